//! The conditions of a choice: a JSONPath, or a comparison in the platform's `simple` language.
//!
//! `simple`: `#{path} OP literal`, joined by `&&` (which binds more tightly) and `||`. A text literal is written in
//! quotes. Numbers and texts that can be read as numbers are compared as numbers, all other values as text. A path to
//! something that does not exist gives null.

mod simple;

use std::fmt;

use pipepost_jsonpath::JsonPath;
use serde_json::Value;
pub use simple::{Comparison, Literal, Operator, Simple};

use crate::problem::Position;

/// A condition of a choice.
#[derive(Debug, Clone)]
pub enum Condition {
    /// A JSONPath. It holds when its result is not empty: there is one, and it is neither null nor an empty list or
    /// object.
    JsonPath(JsonPath),
    /// A comparison. The condition holds when the comparison does.
    Simple(Simple),
}

impl Condition {
    /// Checks whether the condition holds for this message.
    ///
    /// # Errors
    /// Fails if a path has no result in this message, or if the condition takes too much work on it.
    pub fn matches(&self, message: &Value) -> Result<bool, ConditionError> {
        match self {
            Self::JsonPath(path) => match path.find(message) {
                Ok(found) => Ok(!found.is_empty()),
                Err(error) => Err(ConditionError {
                    reason: error.to_string(),
                }),
            },
            Self::Simple(simple) => simple.matches(message),
        }
    }
}

/// A condition that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the condition could not be evaluated: {reason}")]
pub struct ConditionError {
    pub(crate) reason: String,
}

/// A text that is not a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionSyntaxError {
    /// The position in the text.
    pub position: Position,
    /// What is expected at that position.
    pub expected: String,
}

impl fmt::Display for ConditionSyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at column {}", self.expected, self.position.column)
    }
}

impl std::error::Error for ConditionSyntaxError {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_holds_when_it_finds_something() {
        let holds = |path: &str, message: Value| Condition::JsonPath(JsonPath::parse(path).unwrap()).matches(&message);
        let city = "$.[?(@.city == 'New York')]";
        assert_eq!(holds(city, json!({"city": "New York"})), Ok(true));
        assert_eq!(holds(city, json!({"city": "Porto Alegre"})), Ok(false));
        assert_eq!(holds("$.a", json!({"a": null})), Ok(false));
        assert_eq!(holds("$.a", json!({"a": []})), Ok(false));
        assert_eq!(holds("$.a", json!({"a": 0})), Ok(true));
        assert_eq!(holds("$.a.b", json!({})), Ok(false));
    }
}
