//! Connectors whose calls have nothing to do with one another.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Call, Failure, Manifest, outcomes, schema};

/// A connector that performs each call of a batch by itself, and has no account.
///
/// What it says of itself are constants; what it takes and gives are two types, from which its JSON Schemas are made:
/// their doc comments are what people read in `pipepost plugins inspect` and in an editor. Keywords of the host's own
/// are added with `#[schemars(extend("x-pipepost-..." = ...))]`.
pub trait Each {
    /// Its own name, by which documents call it: `json-to-csv`.
    const NAME: &'static str;
    /// Other names by which documents call it.
    const ALIASES: &'static [&'static str] = &[];
    /// Its version, for people: `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    /// One sentence: what it does.
    const SUMMARY: &'static str;

    /// What `call.parameters` holds. Every connector takes `failOnError` too, which the host obeys: it is in the schema
    /// without being here, so this type must not refuse what it does not know.
    type Parameters: DeserializeOwned + JsonSchema;
    /// What a call that ended well gives to the next step.
    type Output: Serialize + JsonSchema;

    /// Performs one call.
    ///
    /// # Errors
    /// A [`Failure`], whose kind decides what becomes of the step.
    fn call(call: &Call, parameters: Self::Parameters) -> Result<Self::Output, Failure>;
}

/// What the connector says of itself.
#[doc(hidden)]
pub fn describe_each<T: Each>() -> Manifest {
    Manifest {
        name: T::NAME.to_owned(),
        aliases: T::ALIASES.iter().map(|alias| (*alias).to_owned()).collect(),
        version: T::VERSION.to_owned(),
        summary: T::SUMMARY.to_owned(),
        parameters: schema::of_parameters::<T::Parameters>(T::NAME).to_string(),
        output: schema::of_output::<T::Output>(T::NAME).to_string(),
        account_types: Vec::new(),
    }
}

/// Performs the calls one by one and settles each.
#[doc(hidden)]
pub fn perform_each<T: Each>(calls: &[Call]) {
    for call in calls {
        let outcome = perform_one::<T>(call);
        outcomes::settled(call.id, outcome.as_ref().map(|output| Some(output.as_str())));
    }
}

/// From a call to what it is settled with.
pub(crate) fn perform_one<T: Each>(call: &Call) -> Result<String, Failure> {
    let parameters = serde_json::from_str(&call.parameters)
        .map_err(|error| Failure::invalid(format!("The parameters do not fit: {error}.")))?;
    let output = T::call(call, parameters)?;
    serde_json::to_string(&output).map_err(|error| Failure::invalid(format!("The output is no JSON: {error}.")))
}
