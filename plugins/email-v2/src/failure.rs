//! Why a message cannot be made, or was not sent.

use std::fmt;

/// What went wrong, by who can mend it and when: the same kinds by which a server's reply is explained. The names are the
/// contract's; retry decisions read nothing else.
pub use pipepost_replies::FailureKind;

/// One failure, told to the person who can mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// By who can mend it and when.
    pub kind: FailureKind,
    /// What happened, in one sentence that names the parameter.
    pub message: String,
    /// What to do now, where the message does not say it all.
    pub advice: Option<String>,
    /// The link to open, where the server gave one.
    pub link: Option<String>,
}

impl Failure {
    /// A failure of this kind with nothing but its sentence.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
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
            Failure::new(FailureKind::Invalid, format!("parameter `{parameter}`: {what}"))
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
