//! The vocabulary in which a reply is explained.

use std::fmt;

/// What a reply speaks about, and so what else it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One recipient; the others are not touched.
    Recipient,
    /// This message, or the transaction that carries it; the next one may pass.
    Transaction,
    /// This connection; another one may do better.
    Connection,
    /// The account, on whatever connection.
    Account,
}

impl Scope {
    /// The name in outputs: lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::Transaction => "transaction",
            Self::Connection => "connection",
            Self::Account => "account",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What another try may do without anybody changing anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// None helps.
    No,
    /// At once, on this connection, after RSET.
    SameConnection,
    /// At once, on a new connection.
    NewConnection,
    /// Soon, and each time after a longer pause: the reply names no time, and may pass in seconds or in minutes.
    Soon,
    /// Not before this many seconds; on a new connection if this one was closed, as a 421 does.
    After(u32),
    /// At once, with the recipients that were not accepted in further transactions.
    SplitRecipients,
    /// At once, with the recipients of each domain in a transaction of their own.
    SplitDomains,
}

impl Retry {
    /// The seconds to let pass; none where no time is asked for.
    pub const fn wait(self) -> Option<u32> {
        match self {
            Self::After(seconds) => Some(seconds),
            _ => None,
        }
    }
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::SameConnection => f.write_str("same connection"),
            Self::NewConnection => f.write_str("new connection"),
            Self::Soon => f.write_str("soon"),
            Self::After(seconds) => write!(f, "after {seconds} s"),
            Self::SplitRecipients => f.write_str("split recipients"),
            Self::SplitDomains => f.write_str("split domains"),
        }
    }
}

/// The kind of remedy. A reply may need two: the first is the machine's or the likelier, the second is the person's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// C: fix the configuration or the credentials.
    Configure,
    /// T: try again later.
    Transient,
    /// R: try again on a new connection.
    Reconnect,
    /// Q: wait for the quota.
    Quota,
    /// P: permanent for this message or recipient.
    Permanent,
    /// S: split the recipients.
    Split,
    /// B: the client broke the protocol; report it.
    Bug,
}

impl Class {
    /// The letter that reports and the documentation use.
    pub const fn letter(self) -> char {
        match self {
            Self::Configure => 'C',
            Self::Transient => 'T',
            Self::Reconnect => 'R',
            Self::Quota => 'Q',
            Self::Permanent => 'P',
            Self::Split => 'S',
            Self::Bug => 'B',
        }
    }
}
