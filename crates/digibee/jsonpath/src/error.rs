use std::fmt;

/// An error: a text is not a path. It says what was found at which position, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    column: usize,
    found: String,
    expected: String,
}

impl ParseError {
    pub(crate) fn new(column: usize, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            column,
            found: found.into(),
            expected: expected.into(),
        }
    }

    /// Returns the column: the number of the character, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// Returns what was found at the position.
    pub fn found(&self) -> &str {
        &self.found
    }

    /// Returns what was expected at the position.
    pub fn expected(&self) -> &str {
        &self.expected
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "at column {} of the path: found {}, expected {}",
            self.column, self.found, self.expected
        )
    }
}

impl std::error::Error for ParseError {}

/// An error: a path has no result in a document. It says at which position of the path, and why. None of its messages
/// contains a value of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FindError {
    kind: FindErrorKind,
    column: Option<usize>,
}

/// The reason why a path has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindErrorKind {
    /// The search was stopped because it took too many steps, selected too much, or a regular expression backtracked
    /// too often.
    TooMuchWork,
    /// A function that calculates found no number. The text is the function's name.
    NoNumbers(&'static str),
    /// A function got a value of a kind that it cannot work on.
    WrongKind {
        /// The function.
        function: &'static str,
        /// The kind of value that it works on.
        wanted: &'static str,
    },
    /// The result of a function is too large for a number. The text is the function's name.
    Overflow(&'static str),
}

impl FindError {
    pub(crate) const TOO_MUCH_WORK: Self = Self {
        kind: FindErrorKind::TooMuchWork,
        column: None,
    };

    pub(crate) fn at(column: usize, kind: FindErrorKind) -> Self {
        Self {
            kind,
            column: Some(column),
        }
    }

    /// Returns the reason.
    pub fn kind(&self) -> FindErrorKind {
        self.kind
    }

    /// Returns the position in the path of the function that failed: the number of its first character, from 1. `None`
    /// if the path as a whole takes too much work.
    pub fn column(&self) -> Option<usize> {
        self.column
    }
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(column) = self.column {
            write!(f, "at column {column} of the path: ")?;
        }
        match self.kind {
            FindErrorKind::TooMuchWork => {
                f.write_str("the path takes too much work on this document: make it more specific")
            }
            FindErrorKind::NoNumbers(function) => write!(f, "{function}() found no number to work on"),
            FindErrorKind::WrongKind { function, wanted } => write!(f, "{function}() works on {wanted} only"),
            FindErrorKind::Overflow(function) => write!(f, "the result of {function}() is too large"),
        }
    }
}

impl std::error::Error for FindError {}
