//! Errors in a template, with position and reason.

/// A position in the template's own text. Both numbers are counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column: the number of the character in the line.
    pub column: u32,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// An error: a template cannot be used because it is malformed or contains something that is not supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {message}")]
pub struct ParseError {
    position: Position,
    message: String,
    unsupported: bool,
}

impl ParseError {
    pub(crate) fn new(position: Position, message: impl Into<String>) -> Self {
        Self {
            position,
            message: message.into(),
            unsupported: false,
        }
    }

    /// For what FreeMarker has and this crate has not.
    pub(crate) fn unsupported(position: Position, message: impl Into<String>) -> Self {
        Self {
            position,
            message: message.into(),
            unsupported: true,
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

    /// Returns the column in characters, from 1.
    pub fn column(&self) -> u32 {
        self.position.column
    }

    /// Returns what is wrong and what to do, without the position.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns whether FreeMarker itself would accept the template.
    pub fn is_unsupported(&self) -> bool {
        self.unsupported
    }
}

/// The kind of failure that ended a rendering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RenderErrorKind {
    /// A value that the template needs is missing or null.
    Missing,
    /// A value has another type than its use needs, or does not fit.
    Invalid,
    /// The template did more work or made more text than the limits allow.
    Limit,
}

/// An error: a rendering failed. None of its output is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {message}")]
pub struct RenderError {
    kind: RenderErrorKind,
    position: Position,
    message: String,
}

impl RenderError {
    pub(crate) fn new(kind: RenderErrorKind, position: Position, message: impl Into<String>) -> Self {
        Self {
            kind,
            position,
            message: message.into(),
        }
    }

    pub(crate) fn invalid(position: Position, message: impl Into<String>) -> Self {
        Self::new(RenderErrorKind::Invalid, position, message)
    }

    pub(crate) fn limit(position: Position, message: impl Into<String>) -> Self {
        Self::new(RenderErrorKind::Limit, position, message)
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> RenderErrorKind {
        self.kind
    }

    /// Returns the position of the failure.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Returns the line, from 1.
    pub fn line(&self) -> u32 {
        self.position.line
    }

    /// Returns the column in characters, from 1.
    pub fn column(&self) -> u32 {
        self.position.column
    }

    /// Returns what happened and what to do, without the position.
    pub fn message(&self) -> &str {
        &self.message
    }
}
