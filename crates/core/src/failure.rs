//! What went wrong, as a type: it says who can correct it and when.

use std::fmt;

/// The kind of a failure. Retry decisions and exit codes depend on it; nothing depends on the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "host", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum FailureKind {
    /// The input is wrong in itself: an address, a parameter, a document, a message that nobody could send.
    Invalid,
    /// The set-up is wrong: an account, a step's settings, a policy, or a server that does not offer what is required
    /// of it.
    Configuration,
    /// The server does not accept the credentials, or requires credentials and none are set.
    Authentication,
    /// The server refused permanently: this message, or these recipients.
    Refused,
    /// A quota is used up. Waiting helps, and applies to the whole account.
    Quota,
    /// Trying again may help: a name that was not found, a refused connection, a time-out, a 4yz reply.
    Transient,
    /// It may or may not have happened, and this side cannot find out. It is never sent again without a person's
    /// request.
    Uncertain,
    /// A limit of the run, the step or the sandbox was reached.
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

    /// Reads a name that [`FailureKind::as_str`] returned; returns `None` for any other text. It is for text that was
    /// stored or received; between layers the kind itself is passed.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Checks whether the same message may be accepted later with nothing changed.
    pub const fn is_temporary(self) -> bool {
        matches!(self, Self::Quota | Self::Transient)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What helps with a failure and is done in the program around the library: a command line, a server and a console each say
/// it in their own words. In JSON it is an object with the remedy's name as `kind`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "host",
    derive(serde::Serialize, serde::Deserialize),
    serde(tag = "kind", rename_all = "kebab-case")
)]
#[non_exhaustive]
pub enum Remedy {
    /// Have a person sign in to the account at its provider again, so that it gets a new refresh token.
    AuthorizeAccount {
        /// The account's label.
        account: String,
        /// The file that the account is in, where no refresh token is kept: put the account into the store first. `None`
        /// for an account of the store. It is not in the JSON.
        #[cfg_attr(feature = "host", serde(skip))]
        file: Option<std::path::PathBuf>,
    },
    /// End the account's pause, if it may send again.
    ResumeAccount {
        /// The account's label.
        account: String,
    },
    /// Raise the account's own limit for 24 hours, if its provider lets it send more.
    RaiseAccountLimit {
        /// The account's label.
        account: String,
    },
    /// Say whether an uncertain message was sent.
    SettleMessage {
        /// The message's key in the ledger.
        key: String,
    },
    /// Give the run a policy that names the host.
    NamePolicy,
    /// Give the run more time.
    RaiseTimeLimit,
    /// Let the server perform the run that has the other pipelines, or try it as a dry run.
    Serve,
}

/// A failure, in the form in which people and pipelines see it. It never holds a secret.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "host", derive(serde::Serialize))]
pub struct Failure {
    /// The kind, which decides what happens next.
    pub kind: FailureKind,
    /// What happened, and to which thing, in one sentence.
    pub message: String,
    /// What to do now; `None` where the message is enough.
    #[cfg_attr(feature = "host", serde(skip_serializing_if = "Option::is_none"))]
    pub advice: Option<String>,
    /// The link to open, where the server gave one.
    #[cfg_attr(feature = "host", serde(skip_serializing_if = "Option::is_none"))]
    pub link: Option<String>,
    /// How many seconds to wait before another try is useful.
    #[cfg_attr(feature = "host", serde(skip_serializing_if = "Option::is_none"))]
    pub wait: Option<u32>,
    /// What helps in the program around the library, which words it. It is not part of the failure's `Display`.
    #[cfg_attr(feature = "host", serde(skip_serializing_if = "Option::is_none"))]
    pub remedy: Option<Remedy>,
}

impl Failure {
    /// Makes a failure of `kind` with a message that says what happened.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            advice: None,
            link: None,
            wait: None,
            remedy: None,
        }
    }

    /// Adds advice: what to do now.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Adds what helps in the program around the library.
    #[must_use]
    pub fn with_remedy(mut self, remedy: Remedy) -> Self {
        self.remedy = Some(remedy);
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
