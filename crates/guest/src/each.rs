//! Connectors whose calls have nothing to do with one another.

use serde::{Serialize, de::DeserializeOwned};

use crate::{Call, Failure, FailureKind, Manifest, failure, outcomes};

/// A connector that performs each call of a batch by itself.
pub trait Each {
    /// What `call.parameters` holds.
    type Parameters: DeserializeOwned;
    /// What a call that ended well gives to the next step.
    type Output: Serialize;

    /// What this connector is. Called where no import answers: it must be pure.
    fn describe() -> Manifest;

    /// Performs one call.
    ///
    /// # Errors
    /// A [`Failure`], whose kind decides what becomes of the step.
    fn call(call: &Call, parameters: Self::Parameters) -> Result<Self::Output, Failure>;
}

/// Performs the calls one by one and settles each.
#[doc(hidden)]
pub fn perform_each<T: Each>(_account: Option<String>, calls: Vec<Call>) {
    for call in calls {
        let outcome = serde_json::from_str::<T::Parameters>(&call.parameters)
            .map_err(|error| failure(FailureKind::Invalid, format!("The parameters do not fit: {error}.")))
            .and_then(|parameters| T::call(&call, parameters))
            .and_then(|output| {
                serde_json::to_string(&output)
                    .map_err(|error| failure(FailureKind::Invalid, format!("The output is no JSON: {error}.")))
            });
        outcomes::settled(call.id, outcome.as_deref());
    }
}
