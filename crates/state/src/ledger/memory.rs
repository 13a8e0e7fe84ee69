//! Ledgers that end with their process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::rules::LedgerState;
use super::{ClaimError, Known, Ledger, Message, Part, PartOutcome, Recorded};
use crate::{Answer, StateError};

/// The messages of one execution, shared with the store that keeps them.
pub(crate) type Shared = Arc<Mutex<LedgerState>>;

/// A ledger that lives as long as its run, or as the [`MemoryStore`](crate::MemoryStore) that opened it.
#[derive(Default)]
pub struct MemoryLedger {
    state: Shared,
    /// Somebody can look into it while it is open, and after it.
    is_kept: bool,
    /// Frees the execution when it is dropped.
    release: Mutex<Option<Release>>,
}

/// Called once, when the owner lets go of the execution.
struct Release(Box<dyn FnOnce() + Send>);

impl Drop for MemoryLedger {
    fn drop(&mut self) {
        self.release();
    }
}

impl std::fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryLedger")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl MemoryLedger {
    pub(crate) fn of(state: Shared, release: impl FnOnce() + Send + 'static) -> Self {
        Self {
            state,
            is_kept: true,
            release: Mutex::new(Some(Release(Box::new(release)))),
        }
    }

    fn state(&self) -> MutexGuard<'_, LedgerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self) {
        let release = self.release.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Release(release)) = release {
            release();
        }
    }
}

impl Ledger for MemoryLedger {
    fn look_up<'l>(&'l self, messages: &'l [Message]) -> Answer<'l, Result<Vec<Known>, StateError>> {
        let mut state = self.state();
        let known = messages.iter().map(|message| state.look_up(message)).collect();
        Box::pin(std::future::ready(Ok(known)))
    }

    fn in_doubt(&self, key: &str, output: &str) {
        // Nobody is left to tell when a run ends that keeps nothing.
        if self.is_kept {
            self.state().in_doubt(key, output);
        }
    }

    fn claim(&self, parts: Vec<Part>) -> Answer<'_, Result<(), ClaimError>> {
        let claimed = self.state().claim(parts).map(drop);
        Box::pin(std::future::ready(claimed))
    }

    fn settle(&self, part: &Part, outcome: PartOutcome) {
        self.state().settle(part, outcome);
    }

    fn record(&self, key: &str, recorded: Recorded) {
        self.state().record(key, recorded);
    }

    fn let_go(&self, keys: &[String]) {
        // A store is the only record of what it keeps.
        if !self.is_kept {
            self.state().let_go(keys);
        }
    }

    fn close(&self) -> Answer<'_, Result<(), String>> {
        self.release();
        Box::pin(std::future::ready(Ok(())))
    }
}
