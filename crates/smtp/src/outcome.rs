//! How transactions and connections end.

use std::fmt;

use crate::address::Address;
use crate::content::ContentError;
use crate::reply::{Reply, ReplyError};

/// The caller's name for a transaction; unique among those it has submitted to one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub u32);

/// One envelope and what is known of its content beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its name in actions and outcomes.
    pub id: Id,
    /// The reverse path; none is the empty one, `<>`.
    pub sender: Option<Address>,
    /// The forward paths. A server may take only some of many: see [`Verdict::Deferred`].
    pub recipients: Vec<Address>,
    /// The exact number of octets of the content, line ends as CRLF, before dot-stuffing.
    pub size: u64,
    /// True when the content holds octets beyond ASCII.
    pub eight_bit: bool,
    /// True when the headers hold UTF-8 (RFC 6531). Addresses that need it are noticed without this.
    pub utf8: bool,
}

/// The end of a transaction. There is exactly one for each that was submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which transaction.
    pub id: Id,
    /// What became of the message.
    pub outcome: Outcome,
    /// What became of each recipient, in the transaction's order. [`Verdict::Accepted`] counts as far as the outcome
    /// does: under [`Outcome::Uncertain`] these are the recipients who may have got it, under the other failures they
    /// have not.
    pub recipients: Vec<Verdict>,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server has taken it for every accepted recipient, and says so in this reply.
    Accepted {
        /// The reply to the end of the content.
        reply: Reply,
    },
    /// The server said no. It has not taken it for anybody.
    Refused {
        /// What it said: for [`Stage::Recipient`] to the first recipient.
        reply: Reply,
        /// To what.
        stage: Stage,
    },
    /// Nothing was sent that could make the server take it.
    NotSent(NotSent),
    /// It was sent to its end and the reply did not come, or cannot be relied on. The server may have taken it.
    Uncertain(CloseReason),
}

/// Why nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotSent {
    /// It is larger than the server's SIZE.
    TooLarge {
        /// Octets of the message.
        size: u64,
        /// Octets that the server takes.
        limit: u64,
    },
    /// It needs SMTPUTF8, which the server does not offer.
    NeedsSmtpUtf8 {
        /// The first address because of which; none when the headers are the reason.
        address: Option<Address>,
    },
    /// It holds octets beyond ASCII, and the server does not offer 8BITMIME.
    NeedsEightBitMime,
    /// It has no recipient.
    NoRecipients,
    /// The announcement was refused ([`withhold`](crate::Client::withhold)); its caller knows why.
    Withheld,
    /// Its content cannot be sent.
    Content(ContentError),
    /// The connection ended first. It can be sent on another one without danger of a copy.
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
    /// Nothing, as the transaction ended before.
    Unanswered,
    /// Yes.
    Accepted,
    /// No.
    Rejected(Reply),
    /// Not in this transaction, which has as many recipients as the server takes in one (RFC 5321, section 4.5.3.1.10).
    /// Send the same message to these in a further transaction.
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
    /// AUTH, which somebody else speaks.
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
    /// Nothing: no reply was owed.
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

/// Why a connection ended, or has to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// It was closed in order, after [`quit`](crate::Client::quit).
    Finished,
    /// The server refuses the whole session.
    Refused {
        /// At the greeting, EHLO or RSET.
        stage: Stage,
        /// Its reply.
        reply: Reply,
    },
    /// The server closes the connection (421). What it had not answered before it has not done.
    Closing {
        /// Where in the dialogue this came.
        stage: Stage,
        /// Its reply.
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
        /// What it offers; empty when it offers no sign-in at all.
        offered: Vec<String>,
    },
    /// The sign-in did not succeed.
    SignInRefused {
        /// The mechanism.
        mechanism: String,
        /// The server's last reply, where there was one.
        reply: Option<Reply>,
    },
    /// The server broke the protocol, so that its replies cannot be told apart any more.
    OutOfStep(OutOfStep),
    /// The announcement of a message was refused in the middle of its transmission.
    Withheld,
    /// A message's content failed in the middle of its transmission.
    Content(ContentError),
    /// The transport failed; the reason as it was given to [`connection_lost`](crate::Client::connection_lost).
    Lost(String),
}

impl CloseReason {
    /// The server's reply that ended the connection, where one did.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Refused { reply, .. } | Self::Closing { reply, .. } | Self::StartTlsRefused(reply) => Some(reply),
            Self::SignInRefused { reply, .. } => reply.as_ref(),
            _ => None,
        }
    }

    /// True when a new connection should use the plain dialogue ([`Pipelining::Off`](crate::Pipelining::Off)), because
    /// the server lost step in the other.
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
            Self::NoMechanism { offered } if offered.is_empty() => f.write_str("the server offers no sign-in"),
            Self::NoMechanism { offered } => {
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
    /// It sent a reply, or a part of one, to nothing.
    Unasked,
    /// A reply that makes no sense where it stands: `354` to MAIL, `250` to DATA, a recipient accepted after the sender
    /// was refused, a message accepted for nobody, or an enhanced code that belongs to another command.
    Misplaced {
        /// Where it came.
        stage: Stage,
        /// What it is.
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
