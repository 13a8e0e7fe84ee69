//! Errors in a pattern, and in a text that is read by a pattern.

/// An error: Java would refuse the pattern, or the pattern needs something that this crate does not support.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern '{pattern}' cannot be used: {problem}")]
pub struct PatternError {
    pattern: String,
    problem: String,
}

impl PatternError {
    pub(crate) fn new(pattern: &str, problem: impl Into<String>) -> Self {
        Self {
            pattern: shorten(pattern),
            problem: problem.into(),
        }
    }

    /// Returns only the reason, without the pattern.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

/// An error: a text does not fit its pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' does not fit the pattern '{pattern}': {expected} expected at character {column}")]
pub struct ReadError {
    text: String,
    pattern: String,
    expected: String,
    column: usize,
}

impl ReadError {
    pub(crate) fn new(text: &str, pattern: &str, offset: usize, expected: impl Into<String>) -> Self {
        let column = text.get(..offset).map_or(0, |before| before.chars().count()) + 1;
        Self {
            text: shorten(text),
            pattern: shorten(pattern),
            expected: expected.into(),
            column,
        }
    }

    /// Returns the column where the text no longer fits, in characters, from 1.
    pub fn column(&self) -> usize {
        self.column
    }
}

/// Keeps a message readable when the text is a whole document.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
