//! What servers have taught of their limits: how many messages they accept on one connection, and how many connections
//! of an account.
//!
//! Servers rarely state these limits. A run learns them from what a server refuses, and later runs begin with that
//! knowledge. Servers change, and what looked like a limit may have been an accident, so each limit has an age after
//! which it is no longer returned, and the server is asked anew.

mod memory;

use std::fmt;
use std::time::Duration;

pub use memory::MemoryServerLimits;

use crate::Answer;
use crate::clock::{Moment, length};
use crate::error::StateError;
use crate::quota::AccountKey;

/// One account at one server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerKey {
    /// The account.
    pub account: AccountKey,
    /// The server, as `host:port`.
    pub server: String,
}

/// How many messages a server accepts on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessagesLimit {
    /// The number of messages that the last connection carried that the server ended.
    pub most: u32,
    /// Whether only one connection has shown it so far. It may have ended by accident.
    pub is_suspected: bool,
}

impl MessagesLimit {
    /// Returns how long the limit is remembered: a week, or a day if it is only suspected.
    pub fn lasts(self) -> Duration {
        if self.is_suspected { DAY } else { 7 * DAY }
    }
}

/// How long a limit of connections is remembered: a day. Other clients may have had the places.
pub const CONNECTIONS_LAST: Duration = DAY;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known of a server's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerLimits {
    /// The limit of messages on one connection; `None` if none is known.
    pub messages: Option<MessagesLimit>,
    /// The limit of the account's connections; `None` if none is known.
    pub connections: Option<u32>,
}

/// A server's limits with their ages, for the person who looks at them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLimitsEntry {
    /// The account's label.
    pub label: String,
    /// The server, as `host:port`.
    pub server: String,
    /// The limits that are remembered.
    pub limits: ServerLimits,
    /// The moment at which the limit of messages was learned.
    pub messages_learned: Option<jiff::Timestamp>,
    /// The moment at which the limit of connections was learned.
    pub connections_learned: Option<jiff::Timestamp>,
}

/// A store of what servers have taught.
pub trait ServerLimitStore: Send + Sync + fmt::Debug {
    /// Returns what is known of a server for an account, and is not too old. Makes nothing that is not there.
    ///
    /// The answer may fail when the state cannot be used.
    fn recall<'s>(&'s self, key: &'s ServerKey) -> Answer<'s, Result<ServerLimits, StateError>>;

    /// Keeps these limits in place of what was known. A limit that was known with the same value keeps its age.
    ///
    /// The answer may fail when the state cannot be used.
    fn learn<'s>(&'s self, key: &'s ServerKey, limits: ServerLimits) -> Answer<'s, Result<(), StateError>>;

    /// Returns what is known of every server, by label and server; with a label, of this account's servers.
    ///
    /// The answer may fail when the state cannot be used.
    fn list<'s>(&'s self, label: Option<&'s str>) -> Answer<'s, Result<Vec<ServerLimitsEntry>, StateError>>;

    /// Forgets what is known of the servers of all accounts with this label. Returns what was known.
    ///
    /// The answer may fail when the state cannot be used.
    fn forget<'s>(&'s self, label: &'s str) -> Answer<'s, Result<Vec<ServerLimitsEntry>, StateError>>;
}

/// The limits of one server as a store keeps them, each with the moment at which it was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeptLimits {
    /// The limit of messages.
    pub messages: Option<(MessagesLimit, Moment)>,
    /// The limit of connections.
    pub connections: Option<(u32, Moment)>,
}

impl KeptLimits {
    /// Returns those that are not too old at this moment. A clock that was set back makes nothing younger than it is.
    #[must_use]
    pub fn fresh(self, now: Moment) -> Self {
        let is_fresh = |learned: Moment, lasts: Duration| (0..length(lasts)).contains(&(now - learned));
        Self {
            messages: self
                .messages
                .filter(|(limit, learned)| is_fresh(*learned, limit.lasts())),
            connections: self
                .connections
                .filter(|(_, learned)| is_fresh(*learned, CONNECTIONS_LAST)),
        }
    }

    /// Returns the same after `limits` were learned at this moment.
    #[must_use]
    pub fn learn(self, limits: ServerLimits, now: Moment) -> Self {
        let known = self.fresh(now);
        Self {
            messages: limits.messages.map(|limit| match known.messages {
                Some(known) if known.0 == limit => known,
                _ => (limit, now),
            }),
            connections: limits.connections.map(|most| match known.connections {
                Some(known) if known.0 == most => known,
                _ => (most, now),
            }),
        }
    }

    /// Returns the limits without their ages.
    pub fn limits(self) -> ServerLimits {
        ServerLimits {
            messages: self.messages.map(|(limit, _)| limit),
            connections: self.connections.map(|(most, _)| most),
        }
    }

    /// Returns whether there is nothing to keep.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Returns what a person is shown of it.
    pub fn shown(self, label: &str, server: &str) -> ServerLimitsEntry {
        let at = |moment: Moment| jiff::Timestamp::from_microsecond(moment).unwrap_or_default();
        ServerLimitsEntry {
            label: label.to_owned(),
            server: server.to_owned(),
            limits: self.limits(),
            messages_learned: self.messages.map(|(_, learned)| at(learned)),
            connections_learned: self.connections.map(|(_, learned)| at(learned)),
        }
    }
}
