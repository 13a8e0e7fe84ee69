//! The store that lives within one process.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::Answer;
use crate::clock::{Clock, Moment, SystemClock, seconds};
use crate::copy::{Copied, Piece, Pieces};
use crate::error::{Holder, StateError};
use crate::ledger::{
    Decision, Entry, Ledger, LedgerReader, LedgerState, MemoryLedger, RETENTION_SECONDS, SettleError, Shared, State,
    UPKEEP_SECONDS,
};
use crate::object::{MemoryObjects, ObjectStore};
use crate::quota::{MemoryQuotas, QuotaStore};
use crate::runs::{MemoryRuns, RunStore};
use crate::server_limits::{MemoryServerLimits, ServerLimitStore};
use crate::store::{Redact, StateStore};

/// A store that lives as long as its process. A handle: clones share it.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    book: Arc<Book>,
    quotas: Arc<MemoryQuotas>,
    server_limits: Arc<MemoryServerLimits>,
    objects: Arc<MemoryObjects>,
    runs: Arc<MemoryRuns>,
}

#[derive(Debug)]
struct Book {
    clock: Arc<dyn Clock>,
    executions: Mutex<Executions>,
}

#[derive(Debug, Default)]
struct Executions {
    by_key: HashMap<String, Execution>,
    /// When old ones were forgotten last.
    upkeep: Moment,
}

#[derive(Debug)]
struct Execution {
    state: Shared,
    is_running: bool,
    begun: Moment,
    changed: Moment,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }
}

impl MemoryStore {
    /// Makes a store that uses this clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            quotas: Arc::new(MemoryQuotas::with_clock(Arc::clone(&clock))),
            server_limits: Arc::new(MemoryServerLimits::with_clock(Arc::clone(&clock))),
            objects: Arc::default(),
            runs: Arc::new(MemoryRuns::with_clock(Arc::clone(&clock))),
            book: Arc::new(Book {
                clock,
                executions: Mutex::default(),
            }),
        }
    }

    fn open(&self, key: &str, redact: Redact) -> Result<Arc<dyn Ledger>, StateError> {
        let now = self.book.clock.now();
        let mut executions = self.book.executions();
        executions.forget(now);
        let execution = executions.by_key.entry(key.to_owned()).or_insert_with(|| {
            let state = LedgerState::with(HashMap::new(), Arc::clone(&self.book.clock), redact.clone());
            Execution {
                state: Arc::new(Mutex::new(state)),
                is_running: false,
                begun: now,
                changed: now,
            }
        });
        if execution.is_running {
            return Err(StateError::Taken {
                execution: key.to_owned(),
                holder: Holder {
                    machine: None,
                    process: std::process::id(),
                },
                since: jiff::Timestamp::from_microsecond(execution.begun).unwrap_or_default(),
            });
        }
        (execution.is_running, execution.begun, execution.changed) = (true, now, now);
        {
            let mut state = execution.state();
            state.hand_over(Some(redact));
            state.record_completed();
        }
        let (book, freed) = (Arc::clone(&self.book), key.to_owned());
        Ok(Arc::new(MemoryLedger::of(Arc::clone(&execution.state), move || {
            book.free(&freed);
        })))
    }
}

impl Book {
    fn executions(&self) -> MutexGuard<'_, Executions> {
        self.executions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn free(&self, key: &str) {
        let now = self.clock.now();
        let mut executions = self.executions();
        if let Some(execution) = executions.by_key.get_mut(key) {
            (execution.is_running, execution.changed) = (false, now);
            execution.state().hand_over(None);
        }
    }
}

impl Execution {
    fn state(&self) -> MutexGuard<'_, LedgerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Executions {
    /// An execution is forgotten as a whole: run again with half of it forgotten, it would send that half twice.
    fn forget(&mut self, now: Moment) {
        if seconds(now - self.upkeep) < UPKEEP_SECONDS && self.upkeep <= now {
            return;
        }
        self.upkeep = now;
        let before = seconds(now) - RETENTION_SECONDS;
        self.by_key.retain(|_, execution| {
            execution.is_running || seconds(execution.changed) >= before || !execution.state().is_forgettable(before)
        });
    }
}

impl StateStore for MemoryStore {
    fn open_ledger<'s>(
        &'s self,
        execution: &'s str,
        redact: Redact,
    ) -> Answer<'s, Result<Arc<dyn Ledger>, StateError>> {
        Box::pin(ready(self.open(execution, redact)))
    }

    fn quotas(&self) -> Arc<dyn QuotaStore> {
        Arc::clone(&self.quotas) as Arc<dyn QuotaStore>
    }

    fn server_limits(&self) -> Arc<dyn ServerLimitStore> {
        Arc::clone(&self.server_limits) as Arc<dyn ServerLimitStore>
    }

    fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects) as Arc<dyn ObjectStore>
    }

    fn runs(&self) -> Arc<dyn RunStore> {
        Arc::clone(&self.runs) as Arc<dyn RunStore>
    }

    fn reader(&self) -> Arc<dyn LedgerReader> {
        Arc::clone(&self.book) as Arc<dyn LedgerReader>
    }

    fn copy_out(&self, _into: mpsc::Sender<Piece>) -> Answer<'_, Result<(), StateError>> {
        Box::pin(ready(Err(StateError::unusable("memory", "it ends with its process"))))
    }

    fn copy_in(&self, _from: Pieces) -> Answer<'_, Result<Option<Copied>, StateError>> {
        Box::pin(ready(Err(StateError::unusable("memory", "it ends with its process"))))
    }

    fn probe(&self) -> Answer<'_, Result<(), StateError>> {
        Box::pin(ready(Ok(())))
    }
}

impl Book {
    fn entries(&self, execution: Option<&str>) -> Vec<Entry> {
        let executions = self.executions();
        let mut keys: Vec<&String> = executions.by_key.keys().collect();
        keys.sort();
        keys.into_iter()
            .filter(|key| execution.is_none_or(|execution| execution == *key))
            .filter_map(|key| Some((key, executions.by_key.get(key)?)))
            .flat_map(|(key, execution)| execution.state().entries(key, execution.is_running))
            .collect()
    }

    fn decide(&self, key: &str, decision: Decision) -> Result<Entry, SettleError> {
        let executions = self.executions();
        for (name, execution) in &executions.by_key {
            let mut state = execution.state();
            if let Some(entry) = state.entry_mut(key) {
                entry.decide(key, decision, execution.is_running)?;
                return Ok(entry.clone().shown(key, name, false));
            }
        }
        Err(SettleError::Unknown(key.to_owned()))
    }
}

impl LedgerReader for Book {
    fn list<'r>(&'r self, execution: Option<&'r str>) -> Answer<'r, Result<Vec<Entry>, StateError>> {
        Box::pin(ready(Ok(self.entries(execution))))
    }

    fn page<'r>(
        &'r self,
        execution: Option<&'r str>,
        after: Option<&'r str>,
        limit: usize,
    ) -> Answer<'r, Result<Vec<Entry>, StateError>> {
        let mut entries = self.entries(execution);
        if let Some(after) = after {
            let place = entries.iter().position(|entry| entry.key == after);
            entries.drain(..place.map_or(entries.len(), |place| place + 1));
        }
        entries.truncate(limit);
        Box::pin(ready(Ok(entries)))
    }

    fn open(&self) -> Answer<'_, Result<Vec<Entry>, StateError>> {
        let mut entries = self.entries(None);
        entries.retain(|entry| entry.state != State::Sent);
        Box::pin(ready(Ok(entries)))
    }

    fn show<'r>(&'r self, key: &'r str) -> Answer<'r, Result<Option<Entry>, StateError>> {
        let found = self.entries(None).into_iter().find(|entry| entry.key == key);
        Box::pin(ready(Ok(found)))
    }

    fn settle<'r>(&'r self, key: &'r str, decision: Decision) -> Answer<'r, Result<Entry, SettleError>> {
        Box::pin(ready(self.decide(key, decision)))
    }
}
