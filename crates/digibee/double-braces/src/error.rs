use std::fmt;

/// A position in a text. Both numbers start at 1, and columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column: the number of the character in the line.
    pub column: u32,
}

impl fmt::Display for Position {
    /// `column 7` on the first line, `line 2, column 7` on others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 1 {
            write!(f, "line {}, ", self.line)?;
        }
        write!(f, "column {}", self.column)
    }
}

/// An error in the text of an expression or template: its position, what was found there, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    position: Position,
    found: String,
    expected: String,
}

impl ParseError {
    pub(crate) fn new(position: Position, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            position,
            found: found.into(),
            expected: expected.into(),
        }
    }

    /// Returns the position of the error.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Returns the line, from 1.
    pub fn line(&self) -> u32 {
        self.position.line
    }

    /// Returns the column, from 1, in characters.
    pub fn column(&self) -> u32 {
        self.position.column
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
            "at {}: found {}, expected {}",
            self.position, self.found, self.expected
        )
    }
}

impl std::error::Error for ParseError {}

/// The kind of an [`EvaluationError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EvaluationErrorKind {
    /// A function was given a value that it cannot take.
    Argument,
    /// The work or the result would be larger than is allowed.
    Limit,
    /// A file of the run's directory could not be examined.
    File,
}

/// An error of an expression that has no value: the function, its position and the reason.
///
/// The reason quotes the expression and describes values by their type and size. It never holds a value that came from
/// a scope, because a global or a message may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluationError {
    position: Position,
    function: &'static str,
    kind: EvaluationErrorKind,
    reason: String,
}

impl EvaluationError {
    pub(crate) fn new(position: Position, function: &'static str, failure: Failure) -> Self {
        Self {
            position,
            function,
            kind: failure.kind,
            reason: failure.reason,
        }
    }

    /// Returns the position of the call in the text that was parsed.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Returns the function's name, in capitals.
    pub fn function(&self) -> &'static str {
        self.function
    }

    /// Returns the kind of error.
    pub fn kind(&self) -> EvaluationErrorKind {
        self.kind
    }

    /// Returns only the reason, without function and position.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for EvaluationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.function, self.position, self.reason)
    }
}

impl std::error::Error for EvaluationError {}

/// What a function says when it cannot answer; its caller adds the name and the place.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: EvaluationErrorKind,
    pub(crate) reason: String,
}

impl Failure {
    pub(crate) fn argument(reason: impl Into<String>) -> Self {
        Self {
            kind: EvaluationErrorKind::Argument,
            reason: reason.into(),
        }
    }

    pub(crate) fn limit(reason: impl Into<String>) -> Self {
        Self {
            kind: EvaluationErrorKind::Limit,
            reason: reason.into(),
        }
    }

    pub(crate) fn file(reason: impl Into<String>) -> Self {
        Self {
            kind: EvaluationErrorKind::File,
            reason: reason.into(),
        }
    }
}
