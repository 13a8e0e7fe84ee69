//! Where windows and pauses are kept: in memory, or in the state that processes share.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use pipepost_core::FailureKind;

use super::clock::Moment;
use crate::state::StateError;

/// Whose they are: a label may stand for another mailbox in another file or environment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) label: String,
    /// JSON: label, user and host.
    pub(super) account: String,
}

/// Nothing is sent until it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) begun: Moment,
    pub(super) until: Moment,
    pub(super) kind: FailureKind,
    /// What the server said, as a sentence.
    pub(super) why: String,
}

/// What is kept of one account, while nobody else touches it.
pub(super) trait Rows {
    /// Admissions that have not ended.
    fn under_way(&mut self) -> Result<usize, StateError>;
    /// Admissions that ended after this moment.
    fn ended_after(&mut self, moment: Moment) -> Result<usize, StateError>;
    /// When the one ended that so many ended after or with; none if there are not so many.
    fn end_before_latest(&mut self, count: usize) -> Result<Option<Moment>, StateError>;
    /// When the first ended of those that ended after this moment.
    fn first_end_after(&mut self, moment: Moment) -> Result<Option<Moment>, StateError>;
    /// Ends that lie beyond this moment are moved to it.
    fn bring_back_to(&mut self, moment: Moment) -> Result<(), StateError>;
    /// Admissions of processes that are gone end at this moment.
    fn end_the_dead(&mut self, moment: Moment) -> Result<(), StateError>;
    /// What ended at this moment or before is not needed any more.
    fn forget(&mut self, moment: Moment) -> Result<(), StateError>;
    /// Adds one that is under way.
    fn add(&mut self) -> Result<i64, StateError>;
    /// One ends.
    fn end(&mut self, admission: i64, at: Moment) -> Result<(), StateError>;
    /// The pause, over or not.
    fn pause(&mut self) -> Result<Option<Pause>, StateError>;
    /// Writes the pause down, in place of any other.
    fn set_pause(&mut self, pause: Option<&Pause>) -> Result<(), StateError>;
}

/// What is done with the rows.
pub(super) type Act<'a> = &'a mut dyn FnMut(&mut dyn Rows) -> Result<(), StateError>;

/// Keeps rows. One implementation a need: within a process, and across processes.
pub(super) trait Shelf: Send + Sync + fmt::Debug {
    /// Whether other processes use it too. Then it waits for a disk, and for them.
    fn is_shared(&self) -> bool;
    /// Runs `act` on what is kept of one account, alone. What fails is not kept. `durable`: it outlives a power cut.
    fn change(&self, key: &Key, durable: bool, act: Act<'_>) -> Result<(), StateError>;
    /// The pause of an account, over or not. Makes nothing that is not there.
    fn pause(&self, key: &Key) -> Result<Option<Pause>, StateError>;
    /// Lets go of everything as a crash does.
    #[cfg(test)]
    fn abandon(&self) {}
}

/// A shelf for one process.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<Key, Account>>);

#[derive(Debug, Default)]
struct Account {
    last: i64,
    /// By number; none: under way.
    admissions: BTreeMap<i64, Option<Moment>>,
    pause: Option<Pause>,
}

impl Shelf for Memory {
    fn is_shared(&self) -> bool {
        false
    }

    fn change(&self, key: &Key, _durable: bool, act: Act<'_>) -> Result<(), StateError> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(accounts.entry(key.clone()).or_default())
    }

    fn pause(&self, key: &Key) -> Result<Option<Pause>, StateError> {
        let accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(accounts.get(key).and_then(|account| account.pause.clone()))
    }
}

impl Account {
    fn ends(&self) -> impl Iterator<Item = Moment> {
        self.admissions.values().filter_map(|end| *end)
    }
}

impl Rows for Account {
    fn under_way(&mut self) -> Result<usize, StateError> {
        Ok(self.admissions.values().filter(|end| end.is_none()).count())
    }

    fn ended_after(&mut self, moment: Moment) -> Result<usize, StateError> {
        Ok(self.ends().filter(|end| *end > moment).count())
    }

    fn end_before_latest(&mut self, count: usize) -> Result<Option<Moment>, StateError> {
        let mut ends: Vec<Moment> = self.ends().collect();
        ends.sort_unstable_by(|one, other| other.cmp(one));
        Ok(ends.get(count).copied())
    }

    fn first_end_after(&mut self, moment: Moment) -> Result<Option<Moment>, StateError> {
        Ok(self.ends().filter(|end| *end > moment).min())
    }

    fn bring_back_to(&mut self, moment: Moment) -> Result<(), StateError> {
        for end in self.admissions.values_mut().flatten() {
            *end = (*end).min(moment);
        }
        Ok(())
    }

    fn end_the_dead(&mut self, _moment: Moment) -> Result<(), StateError> {
        Ok(())
    }

    fn forget(&mut self, moment: Moment) -> Result<(), StateError> {
        self.admissions.retain(|_, end| end.is_none_or(|end| end > moment));
        Ok(())
    }

    fn add(&mut self) -> Result<i64, StateError> {
        self.last += 1;
        self.admissions.insert(self.last, None);
        Ok(self.last)
    }

    fn end(&mut self, admission: i64, at: Moment) -> Result<(), StateError> {
        if let Some(end) = self.admissions.get_mut(&admission) {
            *end = Some(at);
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<Option<Pause>, StateError> {
        Ok(self.pause.clone())
    }

    fn set_pause(&mut self, pause: Option<&Pause>) -> Result<(), StateError> {
        self.pause = pause.cloned();
        Ok(())
    }
}
