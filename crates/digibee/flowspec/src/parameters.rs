//! Checks parameters against the JSON Schema of their step.
//!
//! This is a checker of our own and not a JSON Schema validator, for three reasons. Documents hold numbers as text and
//! arrays as JSON text, and both forms are right. A value with an expression in it is only known at run time. And the
//! result is for a person: which parameter, what is expected, which name was probably meant.
//!
//! Of JSON Schema it reads `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`, `items`,
//! `minItems`, `minLength`, `minimum`, `maximum`, `anyOf`, `oneOf` and local `$ref`. An object with `properties` takes
//! no other members unless `additionalProperties` says so. It also reads the annotations of [`Annotations`].
//!
//! [`check_written`] is for the document. [`check_resolved`] is for the run, after expressions have become values.

mod annotations;
mod check;
mod coerce;
mod keywords;

pub(crate) use annotations::aliases;
pub use annotations::{Annotations, BodyRole, Grant};
pub(crate) use check::weight;
pub use check::{ParameterProblem, Written, check_resolved, check_written};
pub(crate) use coerce::types;

/// Whether a text holds an expression, so that its value is known only at run time.
pub(crate) fn is_dynamic(text: &str) -> bool {
    text.contains("{{")
}

#[cfg(test)]
mod tests;
