//! How transactions and connections end.

use std::fmt;

use crate::address::Address;
use crate::content::ContentError;
use crate::dsn::DsnRequest;
use crate::reply::{Reply, ReplyError};

/// The caller's identifier of a transaction, unique among those submitted to one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub u32);

/// One envelope, and what is known of its content beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The identifier in actions and outcomes.
    pub id: Id,
    /// The reverse path. None is the empty path, `<>`.
    pub sender: Option<Address>,
    /// The forward paths. A server may take only some of many: see [`Verdict::Deferred`].
    pub recipients: Vec<Address>,
    /// The exact number of octets of the content, line ends as CRLF, before dot-stuffing.
    pub size: u64,
    /// True when the content holds octets beyond ASCII.
    pub eight_bit: bool,
    /// True when the headers hold UTF-8 (RFC 6531). Addresses that need SMTPUTF8 are recognised without this flag.
    pub utf8: bool,
    /// What is asked of delivery status notifications, where the server offers DSN.
    pub dsn: DsnRequest,
}

/// The end of a transaction. Each submitted transaction has exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The transaction that ended.
    pub id: Id,
    /// How the message ended.
    pub outcome: Outcome,
    /// How each recipient ended, in the transaction's order. [`Verdict::Accepted`] must be read together with the
    /// outcome: under [`Outcome::Uncertain`] these recipients may have received the message, and under the other
    /// failures they have not.
    pub recipients: Vec<Verdict>,
}

/// How a message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server has taken the message for every accepted recipient.
    Accepted {
        /// The reply to the end of the content.
        reply: Reply,
    },
    /// The server refused the message. It has not taken it for any recipient.
    Refused {
        /// The server's reply; for [`Stage::Recipient`], the reply about the first recipient.
        reply: Reply,
        /// The command that the server refused.
        stage: Stage,
    },
    /// Nothing was sent that could make the server take the message.
    NotSent(NotSent),
    /// The message was sent completely, and the reply did not arrive or cannot be relied on. The server may have taken
    /// the message.
    Uncertain(CloseReason),
}

/// The reason why nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotSent {
    /// The message is larger than the server's SIZE.
    TooLarge {
        /// The size of the message, in octets.
        size: u64,
        /// The largest size that the server takes, in octets.
        limit: u64,
    },
    /// The message needs SMTPUTF8, which the server does not offer.
    NeedsSmtpUtf8 {
        /// The first address that needs it; none when the headers are the reason.
        address: Option<Address>,
    },
    /// The message holds octets beyond ASCII, and the server does not offer 8BITMIME.
    NeedsEightBitMime,
    /// The transaction has no recipient.
    NoRecipients,
    /// The announcement was refused ([`withhold`](crate::Client::withhold)). The caller of `withhold` knows why.
    Withheld,
    /// The content cannot be sent.
    Content(ContentError),
    /// The connection ended first. The message can be sent on another connection without danger of a copy.
    Connection(CloseReason),
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { size, limit } => {
                write!(f, "the message has {size} octets, and the server takes at most {limit}")
            }
            Self::NeedsSmtpUtf8 { address: Some(address) } => {
                write!(
                    f,
                    "the server does not take addresses beyond ASCII (SMTPUTF8), such as {address}"
                )
            }
            Self::NeedsSmtpUtf8 { address: None } => {
                f.write_str("the server does not take headers in UTF-8 (SMTPUTF8)")
            }
            Self::NeedsEightBitMime => f.write_str("the server does not take content beyond ASCII (8BITMIME)"),
            Self::NoRecipients => f.write_str("the message has no recipients"),
            Self::Withheld => f.write_str("the message was held back"),
            Self::Content(error) => write!(f, "{error}"),
            Self::Connection(ending) => write!(f, "{ending}"),
        }
    }
}

/// What a server said about one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server said nothing, because the transaction ended before.
    Unanswered,
    /// The server accepted the recipient.
    Accepted,
    /// The server refused the recipient.
    Rejected(Reply),
    /// The server did not take this recipient in this transaction, which already has as many as the server takes in one
    /// (RFC 5321, section 4.5.3.1.10). Send the same message to these recipients in a further transaction.
    Deferred(Reply),
}

/// A part of the dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The server's greeting.
    Greeting,
    /// EHLO or HELO.
    Hello,
    /// STARTTLS.
    StartTls,
    /// AUTH, which the owner of the connection performs.
    SignIn,
    /// RSET.
    Reset,
    /// MAIL.
    Sender,
    /// RCPT.
    Recipient,
    /// DATA.
    Data,
    /// The end of the content, by BDAT or by the final dot.
    Content,
    /// No command: no reply was owed.
    Idle,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "the greeting",
            Self::Hello => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::SignIn => "the sign-in",
            Self::Reset => "RSET",
            Self::Sender => "MAIL FROM",
            Self::Recipient => "RCPT TO",
            Self::Data => "DATA",
            Self::Content => "the message",
            Self::Idle => "nothing in particular",
        })
    }
}

/// The reason why a connection ended, or must end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The session was closed in order, after [`quit`](crate::Client::quit).
    Finished,
    /// The server refuses the whole session.
    Refused {
        /// The point of the refusal: the greeting, EHLO or RSET.
        stage: Stage,
        /// The server's reply.
        reply: Reply,
    },
    /// The server closes the connection (421). It has not done any command that it had not replied to before.
    Closing {
        /// The part of the dialogue where the reply came.
        stage: Stage,
        /// The server's reply.
        reply: Reply,
    },
    /// TLS is required, and the server does not offer STARTTLS.
    StartTlsMissing,
    /// TLS is required, and the server refuses STARTTLS.
    StartTlsRefused(Reply),
    /// The server sent more than its reply to STARTTLS before the handshake: somebody may be injecting replies.
    Injected,
    /// The server offers no mechanism that may be used.
    NoMechanism {
        /// The mechanisms that the server offers; empty when it offers no sign-in at all.
        offered: Vec<String>,
        /// The mechanisms of the configuration.
        wanted: Vec<String>,
    },
    /// The sign-in did not succeed.
    SignInRefused {
        /// The mechanism that was tried.
        mechanism: String,
        /// The server's last reply, if there was one.
        reply: Option<Reply>,
    },
    /// The server broke the protocol, so its replies can no longer be matched to commands.
    OutOfStep(OutOfStep),
    /// The announcement of a message was refused in the middle of its transmission.
    Withheld,
    /// A message's content failed in the middle of its transmission.
    Content(ContentError),
    /// The transport failed, with the reason that was given to [`connection_lost`](crate::Client::connection_lost).
    Lost(String),
}

impl CloseReason {
    /// Returns the server's reply that ended the connection, if there was one.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Refused { reply, .. } | Self::Closing { reply, .. } | Self::StartTlsRefused(reply) => Some(reply),
            Self::SignInRefused { reply, .. } => reply.as_ref(),
            _ => None,
        }
    }

    /// Checks whether a new connection should use the plain dialogue ([`Pipelining::Off`](crate::Pipelining::Off)),
    /// because the server lost step in the pipelined one.
    pub fn advises_plain_dialogue(&self) -> bool {
        matches!(self, Self::OutOfStep(_))
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("the connection was closed in order"),
            Self::Refused { stage, reply } => write!(f, "the server refused the connection at {stage}: {reply}"),
            Self::Closing { stage, reply } => write!(f, "the server closed the connection at {stage}: {reply}"),
            Self::StartTlsMissing => f.write_str("the server does not offer STARTTLS, and TLS is required"),
            Self::StartTlsRefused(reply) => write!(f, "the server refused STARTTLS, and TLS is required: {reply}"),
            Self::Injected => f.write_str(
                "the server sent more than its reply before the TLS handshake, which may be an attempt to inject replies",
            ),
            Self::NoMechanism { offered, .. } if offered.is_empty() => f.write_str("the server offers no sign-in"),
            Self::NoMechanism { offered, .. } => {
                write!(f, "the server offers none of the sign-in mechanisms allowed here, but {}", offered.join(", "))
            }
            Self::SignInRefused { mechanism, reply: Some(reply) } => {
                write!(f, "the server refused to sign in by {mechanism}: {reply}")
            }
            Self::SignInRefused { mechanism, reply: None } => write!(f, "signing in by {mechanism} failed"),
            Self::OutOfStep(how) => write!(f, "{how}, so the connection was closed"),
            Self::Withheld => f.write_str("the connection was closed before the end of a message that may not be sent"),
            Self::Content(error) => write!(f, "the connection was closed in the middle of a message: {error}"),
            Self::Lost(reason) => write!(f, "the connection was lost: {reason}"),
        }
    }
}

impl std::error::Error for CloseReason {}

/// How a server broke the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutOfStep {
    /// It sent something that is not a reply.
    Unparsable(ReplyError),
    /// It sent a reply, or a part of one, when no reply was owed.
    Unasked,
    /// It sent a reply that makes no sense at this point: `354` to MAIL, `250` to DATA, an accepted recipient after the
    /// sender was refused, a message accepted for no recipient, or an enhanced code that belongs to another command.
    Misplaced {
        /// The part of the dialogue where the reply came.
        stage: Stage,
        /// The reply.
        reply: Reply,
    },
}

impl fmt::Display for OutOfStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unparsable(error) => write!(f, "{error}"),
            Self::Unasked => f.write_str("the server sent a reply to nothing"),
            Self::Misplaced { stage, reply } => {
                write!(
                    f,
                    "the server sent a reply to {stage} that makes no sense there ({reply})"
                )
            }
        }
    }
}
