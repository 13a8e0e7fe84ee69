//! The reason why a session ended, or a command was refused, in sentences for the owner of the account.
//!
//! The account's test and the connector that sends both use these sentences.

use pipepost_core::FailureKind;
use pipepost_smtp::{CloseReason, OutOfStep, Reply, ReplyError, ReplyErrorKind, Stage as SmtpStage};

use crate::{Provider, Retry, Stage, explain_for};

/// What happened in a session, and what to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFailure {
    /// The kind of failure, which says who can repair it and when.
    pub kind: FailureKind,
    /// What happened, in sentences that name the server.
    pub message: String,
    /// What to do now.
    pub advice: Option<String>,
    /// The page to open, if the server named one.
    pub link: Option<String>,
    /// What another try may achieve when nobody changes anything.
    pub retry: Retry,
}

impl SessionFailure {
    fn new(kind: FailureKind, message: String) -> Self {
        Self {
            kind,
            message,
            advice: None,
            link: None,
            retry: Retry::No,
        }
    }

    fn advising(mut self, advice: &str) -> Self {
        self.advice = Some(advice.to_owned());
        self
    }
}

/// Explains a reply of `host` that refuses the command of `stage`.
pub fn explain_reply(host: &str, reply: &Reply, stage: SmtpStage) -> SessionFailure {
    let enhanced = reply.enhanced().map(|code| (code.class, code.subject, code.detail));
    let provider = Provider::of_host(host);
    let explanation = explain_for(provider, reply.code(), enhanced, &reply.text(), Some(stage.into()));
    SessionFailure {
        kind: explanation.kind,
        message: format!("{} `{host}` said: \"{reply}\".", explanation.cause),
        advice: Some(explanation.cure.into_owned()).filter(|cure| !cure.is_empty()),
        link: explanation.link,
        retry: explanation.retry,
    }
}

/// Explains why the session with `host` ended before a message was sent.
pub fn explain_close(host: &str, reason: &CloseReason) -> SessionFailure {
    let configuration = |message: String| SessionFailure::new(FailureKind::Configuration, message);
    match reason {
        CloseReason::Refused { stage, reply } | CloseReason::Closing { stage, reply } => {
            explain_reply(host, reply, *stage)
        }
        CloseReason::StartTlsRefused(reply) if reply.code() >= 500 => configuration(format!(
            "The server `{host}` refuses STARTTLS, and TLS is required; it said: \"{reply}\"."
        ))
        .advising("Use its TLS port (465)."),
        CloseReason::StartTlsRefused(reply) => explain_reply(host, reply, SmtpStage::StartTls),
        CloseReason::SignInRefused { reply: Some(reply), .. } => explain_reply(host, reply, SmtpStage::SignIn),
        CloseReason::SignInRefused { mechanism, reply: None } => SessionFailure::new(
            FailureKind::Authentication,
            format!("The sign-in at `{host}` by {mechanism} failed."),
        ),
        CloseReason::StartTlsMissing => configuration(format!(
            "The server `{host}` does not offer STARTTLS, and TLS is required; if it is a well-known provider's, a firewall or a virus scanner on the way has taken the offer out."
        ))
        .advising("Use port 465 with TLS from the first byte, or another network; where this server is to be spoken to in clear, turn TLS off in account and step."),
        CloseReason::NoMechanism { offered } if offered.is_empty() => configuration(format!(
            "The server `{host}` offers no sign-in, and the account has credentials."
        ))
        .advising("If it needs none, write \"auth\": false in the account; many servers offer it only after TLS, or on another port."),
        CloseReason::NoMechanism { offered } => configuration(format!(
            "The server `{host}` offers {}, and the account signs in by none of them.",
            offered.join(", ")
        ))
        .advising("Change `auth` in the account, or use an account of another type."),
        CloseReason::Injected => configuration(format!(
            "The server `{host}` sent more than its reply before the TLS handshake; somebody on the way may be injecting replies, so nothing was sent."
        ))
        .advising("Try another network, or port 465."),
        // What is too long is an SMTP reply still; a mail server may do better on the next connection.
        CloseReason::OutOfStep(OutOfStep::Unparsable(error)) if !is_too_long(*error) => configuration(format!(
            "What answers at `{host}` is no mail server: its words are not SMTP replies. A proxy, or the sign-in page of a public network, may be in between."
        ))
        .advising("Check host and port, and sign in to the network in a browser first if it asks for that."),
        other => SessionFailure::new(
            FailureKind::Transient,
            format!("The conversation with `{host}` ended early: {other}."),
        ),
    }
}

fn is_too_long(error: ReplyError) -> bool {
    matches!(
        error.kind(),
        ReplyErrorKind::LineTooLong | ReplyErrorKind::TooManyLines | ReplyErrorKind::TooLong
    )
}

impl From<SmtpStage> for Stage {
    fn from(stage: SmtpStage) -> Self {
        match stage {
            SmtpStage::Greeting => Self::Greeting,
            SmtpStage::Hello => Self::Ehlo,
            SmtpStage::StartTls => Self::StartTls,
            SmtpStage::SignIn => Self::Auth,
            SmtpStage::Sender => Self::Mail,
            SmtpStage::Recipient => Self::Rcpt,
            SmtpStage::Data => Self::Data,
            SmtpStage::Content => Self::Content,
            SmtpStage::Reset | SmtpStage::Idle => Self::Other,
        }
    }
}
