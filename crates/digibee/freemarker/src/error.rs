//! Where a template is wrong, and why.

/// A place in the template's own text, both counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The character in the line.
    pub column: u32,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A template that cannot be used: malformed, or with something that is not supported.
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

    /// Where.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The line, from 1.
    pub fn line(&self) -> u32 {
        self.position.line
    }

    /// The column in characters, from 1.
    pub fn column(&self) -> u32 {
        self.position.column
    }

    /// What is wrong and what to do, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether FreeMarker itself would take it.
    pub fn is_unsupported(&self) -> bool {
        self.unsupported
    }
}

/// What kind of failure ended a rendering.
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

/// A rendering that failed. Nothing of its output is kept.
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

    /// The kind.
    pub fn kind(&self) -> RenderErrorKind {
        self.kind
    }

    /// Where.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The line, from 1.
    pub fn line(&self) -> u32 {
        self.position.line
    }

    /// The column in characters, from 1.
    pub fn column(&self) -> u32 {
        self.position.column
    }

    /// What happened and what to do, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }
}
