//! From what a server said, or did not, to a failure that a person can act on.

use std::fmt;

use pipepost_replies::{self as gmail, Provider, Retry, explain_for};
use pipepost_smtp::{CloseReason, NotSent, Reply, Stage};

use crate::failure::{Failure, FailureKind};
use crate::world::{Stop, WireError};

/// A failure, and how long to wait before another try is worth it, in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What went wrong.
    pub failure: Failure,
    /// Seconds.
    pub wait: Option<u32>,
}

impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Self {
        Self { failure, wait: None }
    }
}

/// Who said it, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// The host.
    pub host: &'a str,
    /// Its port.
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

/// What a reply of this server means.
pub fn of_reply(server: &Server<'_>, reply: &Reply, stage: Stage) -> Verdict {
    let host = server.host;
    let enhanced = reply.enhanced().map(|code| (code.class, code.subject, code.detail));
    let text = reply.text();
    let meaning = explain_for(
        Provider::of_host(host),
        reply.code(),
        enhanced,
        &text,
        Some(stage_of(stage)),
    );
    let cause = match (stage, server.account) {
        (Stage::SignIn, Some(label)) => format!("The account `{label}` could not sign in. {}", meaning.cause),
        _ => meaning.cause.into_owned(),
    };
    let message = format!("{cause} `{host}` said: \"{}\".", said(reply));
    let mut failure = Failure::new(meaning.kind, message);
    if !meaning.cure.is_empty() {
        failure = failure.with_advice(meaning.cure.into_owned());
    }
    failure.link = meaning.link;
    let wait = match meaning.retry {
        Retry::After(seconds) => Some(seconds),
        _ => None,
    };
    Verdict { failure, wait }
}

/// A reply on one line.
pub fn said(reply: &Reply) -> String {
    match reply.enhanced() {
        Some(code) => format!("{} {code} {}", reply.code(), reply.text()),
        None => format!("{} {}", reply.code(), reply.text()),
    }
}

/// What a reply to one recipient means.
pub fn of_recipient(server: &Server<'_>, recipient: &str, reply: &Reply) -> Verdict {
    let mut verdict = of_reply(server, reply, Stage::Recipient);
    verdict.failure.message = format!("<{recipient}> was refused: {}", verdict.failure.message);
    verdict
}

/// Why a connection ended before a message was sent over it.
pub fn of_ending(server: &Server<'_>, ending: &CloseReason, wire: Option<&WireError>) -> Verdict {
    if let Some(error) = wire {
        return of_wire(server, error);
    }
    let host = server.host;
    match ending {
        CloseReason::Refused { stage, reply } | CloseReason::Closing { stage, reply } => of_reply(server, reply, *stage),
        CloseReason::StartTlsRefused(reply) if reply.code() >= 500 => Failure::new(
            FailureKind::Configuration,
            format!("The server `{host}` refuses STARTTLS, and TLS is required; it said: \"{}\".", said(reply)),
        )
        .with_advice("Use its TLS port (465)")
        .into(),
        CloseReason::StartTlsRefused(reply) => of_reply(server, reply, Stage::StartTls),
        CloseReason::SignInRefused { reply: Some(reply), .. } => of_reply(server, reply, Stage::SignIn),
        CloseReason::SignInRefused { mechanism, reply: None } => {
            Failure::new(FailureKind::Authentication, format!("Signing in at `{host}` by {mechanism} failed.")).into()
        }
        CloseReason::StartTlsMissing => Failure::new(
            FailureKind::Configuration,
            format!("The server `{host}` does not offer STARTTLS, and TLS is required."),
        )
        .with_advice("Use its TLS port (465), or, if this server is to be spoken to in clear, turn TLS off in account and step")
        .into(),
        CloseReason::NoMechanism { offered } if offered.is_empty() => Failure::new(
            FailureKind::Configuration,
            format!("The server `{host}` offers no sign-in, and the account has credentials."),
        )
        .with_advice("If this server needs no sign-in, say \"auth\": false in the account; many servers offer it only after TLS")
        .into(),
        CloseReason::NoMechanism { offered } => Failure::new(
            FailureKind::Configuration,
            format!("The server `{host}` offers {}, and the account signs in by none of them.", offered.join(", ")),
        )
        .with_advice("Change `auth` in the account")
        .into(),
        CloseReason::Injected => Failure::new(
            FailureKind::Configuration,
            format!("The server `{host}` sent more than its reply before the TLS handshake; somebody may be injecting replies, so nothing was sent."),
        )
        .into(),
        other => Failure::new(FailureKind::Transient, format!("The conversation with `{server}` ended early: {other}."))
            .with_advice(look_at(server, "try again later"))
            .into(),
    }
}

/// Why the transport did not do as asked.
pub fn of_wire(server: &Server<'_>, error: &WireError) -> Verdict {
    let kind = match error {
        WireError::Denied(_) | WireError::Tls(_) => FailureKind::Configuration,
        WireError::Credentials(_) => FailureKind::Authentication,
        WireError::Ending => FailureKind::Limit,
        WireError::Unresolved(_)
        | WireError::Refused(_)
        | WireError::TimedOut
        | WireError::Closed
        | WireError::Io(_) => FailureKind::Transient,
    };
    let failure = Failure::new(kind, of_connection(server, error));
    match error {
        WireError::Closed | WireError::Io(_) => failure.with_advice(look_at(server, "try again later")),
        WireError::TimedOut => failure.with_advice(look_at(
            server,
            "try again later, or give the server more time with `mail.smtp.timeout` in the account",
        )),
        _ => failure,
    }
    .into()
}

/// What became of the connection, in a sentence that names the server.
pub fn of_connection(server: &Server<'_>, error: &WireError) -> String {
    match error {
        WireError::Closed => format!("The server `{server}` closed the connection."),
        WireError::TimedOut => format!("The server `{server}` did not answer in time."),
        // Some of these sentences name it already.
        WireError::Io(text) if !text.contains(server.host) => format!("In the conversation with `{server}`: {text}"),
        other => other.to_string(),
    }
}

/// What to do about a connection that ends early: first this, then look at what it does.
fn look_at(server: &Server<'_>, first: &str) -> String {
    match server.account {
        Some(label) => format!("{first}; where it goes on so, `pipepost accounts test {label}` shows how far it comes"),
        None => format!("{first}; where it goes on so, see whether this is the right server and port"),
    }
}

/// Why a message was not sent.
pub fn of_not_sent(server: &Server<'_>, reason: &NotSent, wire: Option<&WireError>) -> Verdict {
    let host = server.host;
    match reason {
        NotSent::Connection(ending) => of_ending(server, ending, wire),
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
        NotSent::Withheld(text) => Failure::new(kind_of_reason(text), text.clone()).into(),
        other => Failure::new(FailureKind::Transient, format!("The message was not sent: {other:?}.")).into(),
    }
}

/// Why an announcement was refused, in a sentence.
pub fn reason(stop: Stop) -> &'static str {
    match stop {
        Stop::Ending => "The run ended before this message was sent.",
        Stop::Claimed => "This message was handed to the server before, by this or another run, and is not sent again.",
        Stop::Unrecorded => "The ledger could not be written, so the message was not sent.",
        Stop::Held => "The account sends nothing now: it has reached its own limit, or it pauses.",
    }
}

/// The kind of a sentence that [`reason`] made.
fn kind_of_reason(text: &str) -> FailureKind {
    match text {
        // What became of it is written where it was claimed; here nobody knows.
        text if text == reason(Stop::Claimed) => FailureKind::Uncertain,
        text if text == reason(Stop::Unrecorded) => FailureKind::Configuration,
        text if text == reason(Stop::Held) => FailureKind::Quota,
        _ => FailureKind::Limit,
    }
}

fn stage_of(stage: Stage) -> gmail::Stage {
    match stage {
        Stage::Greeting => gmail::Stage::Greeting,
        Stage::Hello => gmail::Stage::Ehlo,
        Stage::StartTls => gmail::Stage::StartTls,
        Stage::SignIn => gmail::Stage::Auth,
        Stage::Sender => gmail::Stage::Mail,
        Stage::Recipient => gmail::Stage::Rcpt,
        Stage::Data => gmail::Stage::Data,
        Stage::Content => gmail::Stage::Content,
        Stage::Reset | Stage::Idle => gmail::Stage::Other,
    }
}
