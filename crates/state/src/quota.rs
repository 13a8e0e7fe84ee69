//! Limits how much an account may send, and when: by the limits that it states for itself, and by the pauses that a
//! server imposes.
//!
//! Limits are sliding windows over the transactions that were announced to commit. No second and no 24 hours, wherever
//! they begin, contain more transactions than the limit, counted over all connections, all runs, and all processes that
//! share a state. A message that is split by its recipients counts as its transactions, each of which is a message to
//! the server. A pause begins when a server's reply applies to the whole account, and lasts as long as that reply
//! means.

mod memory;
mod rows;
pub mod windows;

use std::fmt;
use std::time::Duration;

pub use memory::MemoryQuotas;
pub use rows::AccountRows;

use crate::Answer;
use crate::clock::Moment;
use crate::error::StateError;

/// The owner of limits and pauses. A label may name a different mailbox in another file or environment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountKey {
    /// The account's label, by which people name it.
    pub label: String,
    /// An identifier that distinguishes the mailbox: JSON of label, user and host.
    pub account: String,
}

/// The limits that an account states for its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendLimits {
    /// The number of messages in any sliding second.
    pub per_second: Option<u32>,
    /// The number of messages in any sliding 24 hours.
    pub per_day: Option<u32>,
}

impl SendLimits {
    /// Returns whether messages have to be counted at all.
    pub fn is_some(self) -> bool {
        self.per_second.is_some() || self.per_day.is_some()
    }
}

/// The reason why an account pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseCause {
    /// A quota is used up.
    Quota,
    /// The server asked the client to stay away for a while: too many sign-ins.
    Transient,
    /// A person wants it.
    Person,
}

impl PauseCause {
    /// Returns the name under which the cause is written down.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::Transient => "transient",
            Self::Person => "person",
        }
    }

    /// Reads a name that was written down.
    pub fn from_name(name: &str) -> Self {
        match name {
            "transient" => Self::Transient,
            "person" => Self::Person,
            _ => Self::Quota,
        }
    }
}

/// A time in which an account sends nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The moment at which it began.
    pub begun: Moment,
    /// The moment at which it ends.
    pub until: Moment,
    /// The cause.
    pub cause: PauseCause,
    /// The server's reply, as a sentence.
    pub why: String,
}

/// A moment in the future, by the store's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coming {
    /// The moment.
    pub at: Moment,
    /// The time from now until then.
    pub wait: Duration,
}

/// A pause that is in force now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The pause.
    pub pause: Pause,
    /// The moment at which it ends.
    pub end: Coming,
}

/// The result of a request to send now.
pub enum Admission {
    /// The transactions may begin. Each number is an argument of [`QuotaStore::end`].
    Admitted(Vec<i64>),
    /// Too many transactions in too short a time. The future ends when it is worth asking again: when time has passed,
    /// or when some transaction has ended, in any process.
    Wait(Answer<'static, ()>),
    /// The account pauses.
    Paused(Standing),
    /// The limit of 24 hours is reached. There is room again at this moment.
    DayFull(Coming),
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admitted(numbers) => f.debug_tuple("Admitted").field(numbers).finish(),
            Self::Wait(_) => f.write_str("Wait"),
            Self::Paused(standing) => f.debug_tuple("Paused").field(standing).finish(),
            Self::DayFull(coming) => f.debug_tuple("DayFull").field(coming).finish(),
        }
    }
}

/// How much may be sent before something has to wait for another day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// The account pauses.
    Paused(Standing),
    /// This number of messages may be sent, and the next place after them opens at this moment. `None`: there is no
    /// limit per day.
    Room(Option<(usize, Coming)>),
}

/// How much of a window is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowUse {
    /// The number of messages in the window.
    pub used: usize,
    /// The limit.
    pub most: usize,
}

impl WindowUse {
    /// Returns how much is used: 0 for nothing, 1 for all of it.
    pub fn ratio(self) -> f64 {
        let whole = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        whole(self.used) / whole(self.most.max(1))
    }
}

/// How much of its limits an account has used; none where it states no such limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Of the sliding second that ends now.
    pub second: Option<WindowUse>,
    /// Of the sliding 24 hours that end now.
    pub day: Option<WindowUse>,
}

/// A pause, for the person who looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseEntry {
    /// The account's label.
    pub label: String,
    /// The moment until which nothing is sent.
    pub until: jiff::Timestamp,
    /// The server's reply, as a sentence.
    pub why: String,
}

/// A store of the limits and pauses of accounts.
pub trait QuotaStore: Send + Sync + fmt::Debug {
    /// Returns how many messages the account may send now. Without limits, it only looks up the account's pause, and
    /// creates nothing.
    ///
    /// The answer may fail when the state cannot be used.
    fn look<'q>(&'q self, key: &'q AccountKey, limits: SendLimits) -> Answer<'q, Result<Availability, StateError>>;

    /// Returns how much of its limits the account has used now, paused or not. Without limits, it touches nothing.
    ///
    /// The answer may fail when the state cannot be used.
    fn usage<'q>(&'q self, key: &'q AccountKey, limits: SendLimits) -> Answer<'q, Result<Usage, StateError>>;

    /// Admits `count` transactions at once, or none.
    ///
    /// The answer may fail when the state cannot be used; then no transaction may begin.
    fn admit<'q>(
        &'q self,
        key: &'q AccountKey,
        limits: SendLimits,
        count: usize,
    ) -> Answer<'q, Result<Admission, StateError>>;

    /// Notes that these transactions have ended. The method does not wait. A transaction whose end was not written down
    /// counts as under way until its process is gone, and as ended from then on.
    fn end(&self, key: &AccountKey, admissions: Vec<i64>);

    /// Begins a pause, unless one of at least the same length is in force. Returns the pause that is then in force.
    ///
    /// The answer may fail when the pause could not be written down.
    fn pause<'q>(
        &'q self,
        key: &'q AccountKey,
        cause: PauseCause,
        lasts: Duration,
        why: &'q str,
    ) -> Answer<'q, Result<Standing, StateError>>;

    /// Ends the pauses of all accounts with this label, for every user they sign in as. Returns the pauses that were in
    /// force.
    ///
    /// The answer may fail when the state cannot be used.
    fn resume<'q>(&'q self, label: &'q str) -> Answer<'q, Result<Vec<PauseEntry>, StateError>>;
}
