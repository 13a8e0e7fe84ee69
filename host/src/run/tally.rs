//! How a run's calls ended, and what the pipeline went on from.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use pipepost_core::{Failure, FailureKind};

use super::{Counts, OtherRuns};

/// Failures that the run went on from and that are kept word for word.
const TOLERATED_MAX: usize = 100;

/// Counts as the run goes on.
#[derive(Debug, Default)]
pub(super) struct Tally {
    sent: AtomicU64,
    failed: AtomicU64,
    uncertain: AtomicU64,
    refused_recipients: AtomicU64,
    uncertain_runs: AtomicU64,
    unanswered_runs: AtomicU64,
    tolerated: Mutex<Vec<(String, Failure)>>,
}

impl Tally {
    /// Counts how a call ended.
    pub(super) fn count(&self, failure: Option<FailureKind>) {
        let count = match failure {
            None => &self.sent,
            Some(FailureKind::Uncertain) => &self.uncertain,
            Some(_) => &self.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts recipients that a message went out without.
    pub(super) fn count_refused(&self, recipients: usize) {
        self.refused_recipients.fetch_add(recipients as u64, Ordering::Relaxed);
    }

    /// Counts a run of another pipeline that ended uncertain.
    pub(super) fn count_uncertain_run(&self) {
        self.uncertain_runs.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a run of another pipeline whose answer this run cannot wait for any more.
    pub(super) fn count_unanswered(&self) {
        self.unanswered_runs.fetch_add(1, Ordering::Relaxed);
    }

    /// What the runs of other pipelines were counted as so far.
    pub(super) fn other_runs(&self) -> OtherRuns {
        OtherRuns {
            uncertain: self.uncertain_runs.load(Ordering::Relaxed),
            unanswered: self.unanswered_runs.load(Ordering::Relaxed),
        }
    }

    /// Remembers a failure that the pipeline goes on from.
    pub(super) fn tolerate(&self, place: String, failure: Failure) {
        tracing::debug!(place, %failure, "goes on from a failure");
        let mut tolerated = self.tolerated.lock().unwrap_or_else(PoisonError::into_inner);
        if tolerated.len() < TOLERATED_MAX {
            tolerated.push((place, failure));
        }
    }

    /// The counts so far, and the failures with their places.
    pub(super) fn read(&self) -> (Counts, Vec<(String, Failure)>) {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = Counts {
            sent: get(&self.sent),
            failed: get(&self.failed),
            uncertain: get(&self.uncertain),
            refused_recipients: get(&self.refused_recipients),
        };
        let tolerated = self.tolerated.lock().unwrap_or_else(PoisonError::into_inner);
        (counts, tolerated.clone())
    }
}
