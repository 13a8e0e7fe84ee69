//! Why a message cannot be made, or was not sent.

use std::fmt;

/// What went wrong, by who can mend it and when. The names are the contract's; retry decisions read nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What was asked for cannot be done as it is written: the parameters are at fault.
    Invalid,
    /// The pipeline, the account or the host's settings are at fault.
    Configuration,
    /// The server did not accept the account's credentials.
    Authentication,
    /// The server will never take it.
    Refused,
    /// A limit in time was reached; waiting helps.
    Quota,
    /// Trying again may help.
    Transient,
    /// Nobody can know whether it was sent.
    Uncertain,
    /// A limit of the sandbox or of the run was reached.
    Limit,
}

impl Kind {
    /// The name as the contract and the step's output spell it.
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

    /// The kind that [`Kind::as_str`] spells so.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
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

    /// Whether it may pass without anybody's doing.
    pub(crate) const fn may_pass(self) -> bool {
        matches!(self, Self::Quota | Self::Transient)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One failure, told to the person who can mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// By who can mend it and when.
    pub kind: Kind,
    /// What happened, in one sentence that names the parameter.
    pub message: String,
    /// What to do now, where the message does not say it all.
    pub advice: Option<String>,
    /// The link to open, where the server gave one.
    pub link: Option<String>,
}

impl Failure {
    /// A failure of this kind with nothing but its sentence.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            advice: None,
            link: None,
        }
    }

    /// The same failure with advice.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The parameter holds something that cannot be used. `what` continues the sentence that its name begins.
    #[cold]
    pub(crate) fn invalid(parameter: &str, what: impl fmt::Display) -> Self {
        // One body for all the types of `what`: the guest's size is compile time in the host.
        #[inline(never)]
        fn of(parameter: &str, what: &dyn fmt::Display) -> Failure {
            Failure::new(Kind::Invalid, format!("parameter `{parameter}`: {what}"))
        }
        of(parameter, &what)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.advice {
            Some(advice) => write!(f, " ({advice})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
