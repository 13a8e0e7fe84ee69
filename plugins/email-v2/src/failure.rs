//! The reason why a message cannot be made, or was not sent.

use std::fmt;

/// The kind of failure, which says who can repair it and when. The same kinds explain a server's reply. The names are
/// the contract's; retry decisions read nothing else.
pub use pipepost_replies::FailureKind;

/// A failure, explained to the person who can repair it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind of failure, which says who can repair it and when.
    pub kind: FailureKind,
    /// What happened, in one sentence that names the parameter.
    pub message: String,
    /// What to do now, if the message does not say it already.
    pub advice: Option<String>,
    /// The link to open, if the server gave one.
    pub link: Option<String>,
}

impl Failure {
    /// Creates a failure of this kind with only its sentence.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            advice: None,
            link: None,
        }
    }

    /// Returns the same failure with advice.
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
