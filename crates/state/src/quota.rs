//! How much an account may send, and when: the limits that it states for itself, and the pauses that a server imposes.
//!
//! Limits are sliding windows over the transactions that were announced to commit: no second and no 24 hours, wherever
//! they begin, hold more than the limit, over all connections and runs, and over all processes that share a state. A
//! message that is split by its recipients counts as its transactions, each of which is a message to the server. A pause
//! begins with a server's answer that speaks for the whole account and lasts as long as that answer means.

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

/// Whose limits and pauses they are: a label may stand for another mailbox in another file or environment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountKey {
    /// The account's label, by which people name it.
    pub label: String,
    /// Tells the mailbox apart: JSON of label, user and host.
    pub account: String,
}

/// The limits that an account states for its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendLimits {
    /// Messages in any sliding second.
    pub per_second: Option<u32>,
    /// Messages in any sliding 24 hours.
    pub per_day: Option<u32>,
}

impl SendLimits {
    /// Returns whether messages have to be counted at all.
    pub fn is_some(self) -> bool {
        self.per_second.is_some() || self.per_day.is_some()
    }
}

/// Why a server made an account pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseCause {
    /// A quota is used up.
    Quota,
    /// It asked to be left alone for a while: too many sign-ins.
    Transient,
}

impl PauseCause {
    /// Returns the name that is written down.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::Transient => "transient",
        }
    }

    /// Reads what was written down.
    pub fn from_name(name: &str) -> Self {
        match name {
            "transient" => Self::Transient,
            _ => Self::Quota,
        }
    }
}

/// Nothing is sent until it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// When it began.
    pub begun: Moment,
    /// When it ends.
    pub until: Moment,
    /// Why.
    pub cause: PauseCause,
    /// What the server said, as a sentence.
    pub why: String,
}

/// A moment that is to come, by the store's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coming {
    /// The moment.
    pub at: Moment,
    /// How long it is until then.
    pub wait: Duration,
}

/// A pause that holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The pause.
    pub pause: Pause,
    /// When it ends.
    pub end: Coming,
}

/// Result of a request to send now.
pub enum Admission {
    /// The transactions may begin. Each number is for [`QuotaStore::end`].
    Admitted(Vec<i64>),
    /// Too many in too short a time. The future ends when it is worth asking again: when time has passed, or when
    /// something that was under way has ended, wherever that was.
    Wait(Answer<'static, ()>),
    /// The account pauses.
    Paused(Standing),
    /// The limit of 24 hours is reached; there is room again at this moment.
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

/// What may be sent before anything has to wait for another day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// The account pauses.
    Paused(Standing),
    /// This many messages may be sent; the next slot after them opens at this moment. `None`: no limit of a day.
    Room(Option<(usize, Coming)>),
}

/// A pause, for the person who looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseEntry {
    /// The account's label.
    pub label: String,
    /// Nothing is sent until then.
    pub until: jiff::Timestamp,
    /// What the server said, as a sentence.
    pub why: String,
}

/// Where limits and pauses of accounts are kept.
pub trait QuotaStore: Send + Sync + fmt::Debug {
    /// Answers how many messages the account may send now. Without limits it is one look at its pause, which makes nothing
    /// that is not there.
    ///
    /// The answer may fail when the state cannot be used.
    fn look<'q>(&'q self, key: &'q AccountKey, limits: SendLimits) -> Answer<'q, Result<Availability, StateError>>;

    /// Admits `count` transactions at once, or none.
    ///
    /// The answer may fail when the state cannot be used; none of them begins then.
    fn admit<'q>(
        &'q self,
        key: &'q AccountKey,
        limits: SendLimits,
        count: usize,
    ) -> Answer<'q, Result<Admission, StateError>>;

    /// Notes that these transactions have ended. Does not wait. One whose end was not written down counts as under way
    /// until its process is gone, and as ended then.
    fn end(&self, key: &AccountKey, admissions: Vec<i64>);

    /// Begins a pause, unless one holds that lasts as long. Answers the one that holds then.
    ///
    /// The answer may fail when it could not be written down.
    fn pause<'q>(
        &'q self,
        key: &'q AccountKey,
        cause: PauseCause,
        lasts: Duration,
        why: &'q str,
    ) -> Answer<'q, Result<Standing, StateError>>;

    /// Ends the pauses of all accounts with this label, whoever they sign in as. Answers those that held.
    ///
    /// The answer may fail when the state cannot be used.
    fn resume<'q>(&'q self, label: &'q str) -> Answer<'q, Result<Vec<PauseEntry>, StateError>>;
}
