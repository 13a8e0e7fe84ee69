//! What can be wrong with a pattern, and with a text that is read by one.

/// A pattern that Java would refuse, or one that asks for something outside this crate.
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

    /// The reason alone, without the pattern.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

/// A text that does not fit its pattern.
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

    /// Where the text stops to fit, in characters, from 1.
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
