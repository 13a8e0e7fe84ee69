//! The types in which a reply is explained.

use std::fmt;

/// What a reply is about, and so what else it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One recipient. The others are not affected.
    Recipient,
    /// This message, or the transaction that carries it. The next one may be accepted.
    Transaction,
    /// This connection. Another one may succeed.
    Connection,
    /// The account, on every connection.
    Account,
}

impl Scope {
    /// Returns the name in outputs, in lower case.
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

/// What another try may achieve when nobody changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// No try helps.
    No,
    /// At once, on this connection, after RSET.
    SameConnection,
    /// At once, on a new connection.
    NewConnection,
    /// Soon, with a longer pause before each try: the reply names no time, and the cause may pass in seconds or in
    /// minutes.
    Soon,
    /// Not before this number of seconds; on a new connection if this one was closed, as a 421 does.
    After(u32),
    /// At once, with the recipients that were not accepted in further transactions.
    SplitRecipients,
    /// At once, with a separate transaction for the recipients of each domain.
    SplitDomains,
}

impl Retry {
    /// Returns the number of seconds to wait, or none if the reply asks for no time.
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

/// The kind of remedy. A reply may need two: the first is done by the machine or is the more likely one, and the second
/// is done by a person.
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
    /// Returns the letter that reports and the documentation use.
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
