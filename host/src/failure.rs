//! What went wrong, typed: by who can mend it and when.

use std::fmt;

use serde::Serialize;

/// The kind of a failure. Retry decisions and exit codes read it; nothing reads the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// What was given is wrong in itself: an address, a parameter, a document, a message that nobody could send.
    Invalid,
    /// The set-up is wrong: an account, a policy, a server without what is demanded of it.
    Configuration,
    /// The server does not take the credentials.
    Authentication,
    /// The server refused for good: this message, or these recipients.
    Refused,
    /// A quota is used up; waiting helps.
    Quota,
    /// Trying again may help: a name not found, a connection refused, a time-out, a 4yz reply.
    Transient,
    /// It may have happened and may not; nobody can tell from here. Never resent unasked.
    Uncertain,
    /// A limit of the run, the step or the sandbox.
    Limit,
}

impl Kind {
    /// The kind as documents and outputs write it.
    pub fn as_str(self) -> &'static str {
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

    /// The kind that [`Kind::as_str`] writes so; none for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Invalid,
            Self::Configuration,
            Self::Authentication,
            Self::Refused,
            Self::Quota,
            Self::Transient,
            Self::Uncertain,
            Self::Limit,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == name)
    }

    /// The process exit code for a run that ends so, after `sysexits.h`.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Invalid => 65,
            Self::Configuration => 78,
            Self::Authentication => 77,
            Self::Refused => 69,
            Self::Quota | Self::Transient => 75,
            Self::Uncertain => 74,
            Self::Limit => 70,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure as it reaches people and pipelines. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// Decides what happens next.
    pub kind: Kind,
    /// What happened and to which thing, in one sentence.
    pub message: String,
    /// What to do now; none where the message says it all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The link to open, where the server gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// How long to wait before another try is worth it, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<u32>,
}

impl Failure {
    /// A failure of `kind` that says what happened.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            advice: None,
            link: None,
            wait: None,
        }
    }

    /// The same with what to do now.
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
