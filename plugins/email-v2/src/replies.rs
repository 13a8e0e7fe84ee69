//! The way from what a server said, or did not say, to a failure that a person can act on.

use std::fmt;

use pipepost_replies::{Loss, Retry, SessionFailure, explain_close, explain_loss, explain_reply, explain_sign_in};
use pipepost_smtp::{CloseReason, NotSent, OutOfStep, Reply, Stage};

use crate::failure::{Failure, FailureKind};
use crate::world::{Stop, TransportError};

/// A failure, and the time to wait before another try is useful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What went wrong.
    pub failure: Failure,
    /// The time to wait, in seconds.
    pub wait: Option<u32>,
}

impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Self {
        Self { failure, wait: None }
    }
}

impl Verdict {
    /// Converts it to the contract's failure, with the remainder and the output so far, both as JSON.
    pub fn into_failure(self, remainder: Option<String>, output: Option<String>) -> pipepost_sdk::Failure {
        use pipepost_sdk::FailureKind as ContractKind;
        let Failure {
            kind,
            message,
            advice,
            link,
        } = self.failure;
        pipepost_sdk::Failure {
            kind: match kind {
                FailureKind::Invalid => ContractKind::Invalid,
                FailureKind::Configuration => ContractKind::Configuration,
                FailureKind::Authentication => ContractKind::Authentication,
                FailureKind::Refused => ContractKind::Refused,
                FailureKind::Quota => ContractKind::Quota,
                FailureKind::Transient => ContractKind::Transient,
                FailureKind::Uncertain => ContractKind::Uncertain,
                FailureKind::Limit => ContractKind::Limit,
            },
            message,
            advice,
            link,
            retry_after_seconds: self.wait,
            remainder,
            output,
        }
    }
}

/// Why a connection broke.
#[derive(Clone, Debug)]
pub struct Breach {
    /// The transport's error.
    pub error: TransportError,
    /// What was waited for.
    pub awaited: Option<Stage>,
}

impl From<TransportError> for Breach {
    fn from(error: TransportError) -> Self {
        Self { error, awaited: None }
    }
}

/// The server of a conversation, and the account that is used.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// The server's host.
    pub host: &'a str,
    /// The server's port.
    pub port: u16,
    /// The label of the account that is signed in.
    pub account: Option<&'a str>,
}

/// Its address, as `host:port`.
impl fmt::Display for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

/// Returns the meaning of a reply of this server.
pub fn of_reply(server: &Server<'_>, reply: &Reply, stage: Stage) -> Verdict {
    explain_reply(server.host, reply, stage).into()
}

/// Returns the meaning of a reply that refuses the account's sign-in.
fn of_sign_in(server: &Server<'_>, mechanism: &str, reply: &Reply) -> Verdict {
    let mut explained = explain_sign_in(server.host, mechanism, reply);
    if let Some(label) = server.account {
        explained.message = format!("The account `{label}` could not sign in. {}", explained.message);
    }
    explained.into()
}

impl From<SessionFailure> for Verdict {
    fn from(explained: SessionFailure) -> Self {
        let wait = explained.retry.wait();
        let failure = Failure {
            kind: explained.kind,
            message: explained.message,
            advice: explained.advice,
            link: explained.link,
        };
        Self { failure, wait }
    }
}

/// Whether a refusal speaks of this connection alone, so that the message may go over another at once.
pub(crate) fn asks_for_another_connection(server: &Server<'_>, reply: &Reply, stage: Stage) -> bool {
    explain_reply(server.host, reply, stage).retry == Retry::NewConnection
}

/// Returns a reply on one line.
pub fn said(reply: &Reply) -> String {
    match reply.enhanced() {
        Some(code) => format!("{} {code} {}", reply.code(), reply.text()),
        None => format!("{} {}", reply.code(), reply.text()),
    }
}

/// Returns the meaning of a reply about one recipient.
pub fn of_recipient(server: &Server<'_>, recipient: &str, reply: &Reply) -> Verdict {
    let mut verdict = of_reply(server, reply, Stage::Recipient);
    verdict.failure.message = format!("<{recipient}> was refused: {}", verdict.failure.message);
    verdict
}

/// Explains why a connection ended before a message was sent over it.
pub fn of_close(server: &Server<'_>, reason: &CloseReason, wire: Option<&Breach>) -> Verdict {
    match (reason, wire) {
        // What the server said tells more than how the connection broke.
        (CloseReason::Lost(_), Some(breach)) => of_wire(server, breach),
        (
            CloseReason::SignInRefused {
                mechanism,
                reply: Some(reply),
            },
            _,
        ) => of_sign_in(server, mechanism, reply),
        (CloseReason::Lost(_) | CloseReason::OutOfStep(OutOfStep::Misplaced { .. } | OutOfStep::Unasked), _) => {
            let explained = explain_close(server.host, reason);
            Failure::new(explained.kind, explained.message)
                .with_advice(look_at(server, "try again later"))
                .into()
        }
        _ => explain_close(server.host, reason).into(),
    }
}

/// Explains why an operation of the transport failed.
pub fn of_wire(server: &Server<'_>, breach: &Breach) -> Verdict {
    let error = &breach.error;
    let kind = match error {
        TransportError::Denied(_) | TransportError::Tls(_) => FailureKind::Configuration,
        TransportError::Credentials(_) => FailureKind::Authentication,
        TransportError::Ending => FailureKind::Limit,
        TransportError::Unresolved(_)
        | TransportError::Refused(_)
        | TransportError::TimedOut
        | TransportError::Closed
        | TransportError::Io(_) => FailureKind::Transient,
    };
    let failure = Failure::new(kind, of_connection(server, breach));
    if let Some(advice) = loss(server, breach).and_then(|lost| lost.advice) {
        return failure
            .with_advice(look_at(server, advice.trim_end_matches('.')))
            .into();
    }
    match error {
        TransportError::Closed | TransportError::Io(_) => failure.with_advice(look_at(server, "try again later")),
        TransportError::TimedOut => failure.with_advice(look_at(
            server,
            "try again later, or give the server more time with `mail.smtp.timeout` in the account",
        )),
        _ => failure,
    }
    .into()
}

/// Returns how the connection ended, in a sentence that names the server.
pub fn of_connection(server: &Server<'_>, breach: &Breach) -> String {
    if let Some(lost) = loss(server, breach) {
        return lost.message;
    }
    match &breach.error {
        // Some of these sentences name it already.
        TransportError::Io(text) if !text.contains(server.host) => {
            format!("In the conversation with `{server}`: {text}")
        }
        TransportError::Io(text)
        | TransportError::Denied(text)
        | TransportError::Unresolved(text)
        | TransportError::Refused(text)
        | TransportError::Tls(text)
        | TransportError::Credentials(text) => text.clone(),
        TransportError::Closed | TransportError::TimedOut | TransportError::Ending => {
            "The run ended before this message was sent.".to_owned()
        }
    }
}

/// What it means when the server left without a word.
fn loss(server: &Server<'_>, breach: &Breach) -> Option<SessionFailure> {
    let loss = match breach.error {
        TransportError::Closed => Loss::Closed,
        TransportError::TimedOut => Loss::Silent,
        _ => return None,
    };
    Some(explain_loss(&server.to_string(), loss, breach.awaited))
}

/// What to do about a connection that ends early: first this, then look at what it does.
fn look_at(server: &Server<'_>, first: &str) -> String {
    match server.account {
        Some(label) => format!("{first}; where it goes on so, `pipepost accounts test {label}` shows how far it comes"),
        None => format!("{first}; where it goes on so, see whether this is the right server and port"),
    }
}

/// Explains why a message was not sent.
pub fn of_not_sent(server: &Server<'_>, reason: &NotSent, stop: Option<Stop>, wire: Option<&Breach>) -> Verdict {
    let host = server.host;
    match reason {
        NotSent::Connection(reason) => of_close(server, reason, wire),
        NotSent::TooLarge { size, limit } => Failure::new(
            FailureKind::Invalid,
            format!("The message has {size} octets, and the server `{host}` takes at most {limit}; it was not sent."),
        )
        .with_advice("Send smaller attachments, or a link to them")
        .into(),
        NotSent::NeedsSmtpUtf8 { address } => {
            let what = address.as_ref().map_or("the headers need".to_owned(), |address| {
                format!("the address `{address}` needs")
            });
            Failure::new(
                FailureKind::Invalid,
                format!("The server `{host}` does not take SMTPUTF8, which {what}."),
            )
            .into()
        }
        NotSent::NeedsEightBitMime => Failure::new(
            FailureKind::Invalid,
            format!("The server `{host}` does not take 8BITMIME, which this message needs."),
        )
        .into(),
        NotSent::NoRecipients => Failure::new(FailureKind::Invalid, "The message has no recipient.").into(),
        NotSent::Content(error) => Failure::new(
            FailureKind::Invalid,
            format!("The message could not be read to its end: {error}."),
        )
        .into(),
        // Without its reason nobody is to send it again.
        NotSent::Withheld => of_stop(stop.unwrap_or(Stop::Claimed)),
        other => Failure::new(FailureKind::Transient, format!("The message was not sent: {other:?}.")).into(),
    }
}

/// Why an announcement was refused.
fn of_stop(stop: Stop) -> Verdict {
    let (kind, message) = match stop {
        Stop::Ending => (FailureKind::Limit, "The run ended before this message was sent."),
        // What became of it is written where it was claimed; here nobody knows.
        Stop::Claimed => (
            FailureKind::Uncertain,
            "This message was handed to the server before, by this or another run, and is not sent again.",
        ),
        Stop::Unrecorded => (
            FailureKind::Configuration,
            "The ledger could not be written, so the message was not sent.",
        ),
        Stop::Paused => (
            FailureKind::Quota,
            "The account sends nothing now: it has reached its own limit, or it pauses.",
        ),
    };
    Failure::new(kind, message).into()
}
