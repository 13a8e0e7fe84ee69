//! How many points were covered, and with what end.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::judge::Report;

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Points that were come to.
    struck: usize,
    /// Points that the run did not come to, since it took another way than the one that was counted.
    missed: usize,
    outcomes: BTreeMap<String, usize>,
}

impl Tally {
    /// One point, and what became of its messages.
    pub(super) fn of_point(was_struck: bool, reports: &[Report]) -> Self {
        let mut tally = Self {
            struck: usize::from(was_struck),
            missed: usize::from(!was_struck),
            outcomes: BTreeMap::new(),
        };
        for report in reports {
            *tally.outcomes.entry(report.outcome.clone()).or_default() += 1;
        }
        tally
    }

    /// How many messages had this outcome.
    pub(super) fn of(&self, outcome: &str) -> usize {
        self.outcomes.get(outcome).copied().unwrap_or_default()
    }

    /// Adds what another one has counted.
    pub(super) fn add(&mut self, other: Self) {
        self.struck += other.struck;
        self.missed += other.missed;
        for (outcome, count) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
    }

    /// Says so, and that most points were struck.
    pub(super) fn report(&self, what: &str) {
        // Not `eprintln!`, which the test runner keeps to itself when a test passes.
        let _ = writeln!(
            std::io::stderr(),
            "{what}: {} points ({} more were not come to): {} messages sent, {} uncertain, {} failed",
            self.struck,
            self.missed,
            self.of("sent"),
            self.of("uncertain"),
            self.of("failed"),
        );
        // What is written together need not arrive together, so a run may have a few units less than the one counted.
        assert!(
            self.missed * 10 <= self.struck,
            "too many points were not come to: {self:?}"
        );
    }
}

/// Does each piece of work, several at a time, and adds up what they count.
pub(super) fn all<W: Send>(work: Vec<W>, each: impl Fn(&W) -> Tally + Sync) -> Tally {
    let total = Mutex::new(Tally::default());
    let queue = Mutex::new(work);
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
    // They wait more than they work.
    let workers = 1 + thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(piece) = next() {
                    let one = each(&piece);
                    total.lock().unwrap_or_else(PoisonError::into_inner).add(one);
                }
            });
        }
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}
