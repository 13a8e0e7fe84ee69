//! The conditions of a choice: a JSONPath, or a comparison in the platform's `simple` language.
//!
//! `simple`: `#{path} OP literal`, joined by `&&` (which binds closer) and `||`. A text literal stands in quotes. Numbers
//! and texts that read as numbers are compared as numbers, all else as text. A path that leads nowhere gives null.

mod simple;

use std::fmt;

use crate::json_path::JsonPath;

use crate::problem::Position;
pub use simple::{Comparison, Literal, Operator, Simple};

/// A condition of a choice.
#[derive(Debug, Clone)]
pub enum Condition {
    /// Holds when the path's result is not empty: neither null nor an empty text, list or object.
    JsonPath(JsonPath),
    /// Holds when the comparison does.
    Simple(Simple),
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
