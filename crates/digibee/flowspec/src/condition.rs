//! The conditions of a choice: a JSONPath, or a comparison in the platform's `simple` language.
//!
//! `simple`: `#{path} OP literal`, joined by `&&` (which binds closer) and `||`. A text literal stands in quotes. Numbers
//! and texts that read as numbers are compared as numbers, all else as text. A path that leads nowhere gives null.

mod simple;

use std::fmt;

use pipepost_jsonpath::JsonPath;
use serde_json::Value;
pub use simple::{Comparison, Literal, Operator, Simple};

use crate::problem::Position;

/// A condition of a choice.
#[derive(Debug, Clone)]
pub enum Condition {
    /// Holds when the path's result is not empty: there is one, and it is neither null nor an empty list or object.
    JsonPath(JsonPath),
    /// Holds when the comparison does.
    Simple(Simple),
}

impl Condition {
    /// Whether it holds for this message.
    ///
    /// # Errors
    ///
    /// A path that has no result in this message, or a condition that takes too much work on it.
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

/// A text that is no condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionSyntaxError {
    /// Where in the text.
    pub position: Position,
    /// What should stand there.
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
