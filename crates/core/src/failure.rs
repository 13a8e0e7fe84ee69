//! What went wrong, typed: by who can mend it and when.

use std::fmt;

/// The kind of a failure. Retry decisions and exit codes read it; nothing reads the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "host", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum FailureKind {
    /// What was given is wrong in itself: an address, a parameter, a document, a message that nobody could send.
    Invalid,
    /// The set-up is wrong: an account, a step's settings, a policy, a server without what is demanded of it.
    Configuration,
    /// The server does not take the credentials, or demands some.
    Authentication,
    /// The server refused for good: this message, or these recipients.
    Refused,
    /// A quota is used up; waiting helps, for the whole account.
    Quota,
    /// Trying again may help: a name not found, a connection refused, a time-out, a 4yz reply.
    Transient,
    /// It may have happened and may not; nobody can tell from here. Never resent unasked.
    Uncertain,
    /// A limit of the run, the step or the sandbox.
    Limit,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Invalid,
        Self::Configuration,
        Self::Authentication,
        Self::Refused,
        Self::Quota,
        Self::Transient,
        Self::Uncertain,
        Self::Limit,
    ];

    /// Returns the name that documents, outputs and the contract use, in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Configuration => "configuration",
            Self::Authentication => "authentication",
            Self::Refused => "refused",
            Self::Quota => "quota",
            Self::Transient => "transient",
            Self::Uncertain => "uncertain",
            Self::Limit => "limit",
        }
    }

    /// Reads what [`FailureKind::as_str`] wrote; none for any other text. For text that was stored or received: between
    /// layers the kind itself is passed.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Returns whether the same message may be taken later with nothing changed.
    pub const fn is_temporary(self) -> bool {
        matches!(self, Self::Quota | Self::Transient)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure as it reaches people and pipelines. It never holds a secret.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "host", derive(serde::Serialize))]
pub struct Failure {
    /// Decides what happens next.
    pub kind: FailureKind,
    /// What happened and to which thing, in one sentence.
    pub message: String,
    /// What to do now; none where the message says everything.
    #[cfg_attr(feature = "host", serde(skip_serializing_if = "Option::is_none"))]
    pub advice: Option<String>,
    /// The link to open, where the server gave one.
    #[cfg_attr(feature = "host", serde(skip_serializing_if = "Option::is_none"))]
    pub link: Option<String>,
    /// How long to wait before another try is worth it, in seconds.
    #[cfg_attr(feature = "host", serde(skip_serializing_if = "Option::is_none"))]
    pub wait: Option<u32>,
}

impl Failure {
    /// Makes a failure of `kind` that says what happened.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            advice: None,
            link: None,
            wait: None,
        }
    }

    /// Adds what to do now.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(advice) = &self.advice {
            write!(f, " {advice}")?;
        }
        if let Some(link) = &self.link {
            write!(f, " {link}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
