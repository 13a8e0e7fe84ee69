//! Notes that were committed without waiting for the disk, until a commit that waited came after them.
//!
//! A server that crashes may lose such a commit, and a standby that takes over may never have had it. The messages would stay
//! claimed, and read as uncertain although their end is known here. So each answer names the server's incarnation: a row of
//! an unlogged table, which PostgreSQL empties when it recovers from a crash, and does not replicate. When it is another one
//! than that under which something was noted, that is noted again. All notes may be: what they say is a state, and no change.

use std::collections::{HashMap, HashSet};

use pipepost_state::ledger::{Part, PartOutcome, Recorded};

use super::Tenure;
use super::pending::{Ended, Pending, Settled};

/// What was settled, by part, and what was recorded, by key; with whatever else is known of each.
#[derive(Debug, Default)]
struct Notes {
    settled: HashMap<Part, (u64, Tenure, PartOutcome)>,
    recorded: HashMap<String, (u64, Tenure, String, Recorded)>,
}

#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    /// Under which everything in `notes` was written. `None`: it was not asked for, or the server had none.
    incarnation: Option<String>,
    /// The last number of a note.
    serial: u64,
    notes: Notes,
    /// What may have been lost, and is to be written again.
    lost: Notes,
}

impl Unsynced {
    /// Returns whether the server is to be given an incarnation, as far as is known.
    pub(super) fn needs_incarnation(&self) -> bool {
        self.incarnation.is_none()
    }

    /// Returns the number of the last note, if a commit that waits for the disk would tell something of it.
    pub(crate) fn last(&self) -> Option<u64> {
        let is_empty = self.notes.settled.is_empty() && self.notes.recorded.is_empty();
        (!is_empty).then_some(self.serial)
    }

    /// Returns whether something was noted of one of these executions.
    pub(super) fn holds_any(&self, executions: &HashSet<&str>) -> bool {
        let settled = self.notes.settled.values().map(|(_, tenure, _)| tenure);
        let recorded = self.notes.recorded.values().map(|(_, tenure, ..)| tenure);
        settled
            .chain(recorded)
            .any(|tenure| executions.contains(&*tenure.execution))
    }

    /// Something was noted.
    pub(super) fn noted(&mut self, settled: Settled, recorded: Ended, incarnation: Option<String>) {
        self.seen(incarnation);
        self.serial += 1;
        let serial = self.serial;
        let settled = settled
            .into_iter()
            .map(|(part, (tenure, outcome))| (part, (serial, tenure, outcome)));
        self.notes.settled.extend(settled);
        let recorded = recorded
            .into_iter()
            .map(|(key, (tenure, digest, recorded))| (key, (serial, tenure, digest, recorded)));
        self.notes.recorded.extend(recorded);
    }

    /// A commit waited for the disk that was begun after the note with this number. Returns whether anything was lost.
    pub(crate) fn synced(&mut self, until: u64, incarnation: Option<String>) -> bool {
        self.seen(incarnation);
        if self.incarnation.is_some() {
            self.notes.settled.retain(|_, (serial, ..)| *serial > until);
            self.notes.recorded.retain(|_, (serial, ..)| *serial > until);
        }
        self.has_lost()
    }

    /// These parts were claimed after everything that was noted of them, which no longer counts.
    pub(super) fn claimed<'p>(&mut self, parts: impl IntoIterator<Item = &'p Part>) {
        for part in parts {
            for notes in [&mut self.notes, &mut self.lost] {
                notes.settled.remove(part);
                notes.recorded.remove(&part.key);
            }
        }
    }

    /// Gives back what may have been lost. What waits already is newer; only what is known to be sent stays so.
    pub(super) fn give_back(&mut self, pending: &mut Pending) {
        if !self.has_lost() {
            return;
        }
        let Notes { settled, recorded } = std::mem::take(&mut self.lost);
        let newer = pending.take_notes();
        for (part, (_, tenure, outcome)) in settled {
            pending.settle(&tenure, part, outcome);
        }
        for (key, (_, tenure, digest, recorded)) in recorded {
            pending.record(tenure, key, digest, recorded);
        }
        for (part, (tenure, outcome)) in newer.0 {
            pending.settle(&tenure, part, outcome);
        }
        for (key, (tenure, digest, recorded)) in newer.1 {
            pending.record(tenure, key, digest, recorded);
        }
    }

    fn has_lost(&self) -> bool {
        !(self.lost.settled.is_empty() && self.lost.recorded.is_empty())
    }

    /// The server answers under this incarnation.
    pub(super) fn seen(&mut self, incarnation: Option<String>) {
        if incarnation.is_some() && incarnation == self.incarnation {
            return;
        }
        self.incarnation = incarnation;
        let Notes { settled, recorded } = std::mem::take(&mut self.notes);
        self.lost.settled.extend(settled);
        self.lost.recorded.extend(recorded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(key: &str) -> Part {
        Part {
            key: key.to_owned(),
            number: 0,
        }
    }

    fn settled(key: &str, outcome: PartOutcome) -> Settled {
        let tenure = Tenure {
            execution: "run".into(),
            epoch: 1,
        };
        [(part(key), (tenure, outcome))].into()
    }

    fn incarnation(name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    fn given_back(unsynced: &mut Unsynced, waiting: Settled) -> Settled {
        let mut pending = Pending {
            settled: waiting,
            ..Pending::default()
        };
        unsynced.give_back(&mut pending);
        pending.settled
    }

    #[test]
    fn what_was_noted_before_a_synced_commit_of_the_same_server_is_there_to_stay() {
        let mut unsynced = Unsynced::default();
        unsynced.noted(settled("a", PartOutcome::Uncertain), Ended::new(), incarnation("one"));
        let before = unsynced.last().expect("a note");
        unsynced.noted(settled("b", PartOutcome::Uncertain), Ended::new(), incarnation("one"));
        assert!(!unsynced.synced(before, incarnation("one")));
        unsynced.seen(incarnation("two"));
        let back = given_back(&mut unsynced, Settled::new());
        assert_eq!(back.keys().collect::<Vec<_>>(), [&part("b")]);
        assert_eq!(unsynced.last(), None);
    }

    #[test]
    fn a_synced_commit_of_another_server_tells_that_everything_may_be_lost() {
        let mut unsynced = Unsynced::default();
        unsynced.noted(settled("a", PartOutcome::Uncertain), Ended::new(), incarnation("one"));
        let last = unsynced.last().expect("a note");
        assert!(unsynced.synced(last, incarnation("two")));
        assert_eq!(given_back(&mut unsynced, Settled::new()).len(), 1);
        // Where the server has none yet, nothing is known either.
        unsynced.noted(settled("a", PartOutcome::Uncertain), Ended::new(), None);
        assert!(unsynced.synced(last + 1, None) && unsynced.needs_incarnation());
    }

    #[test]
    fn a_claim_and_what_is_newer_count_more_than_what_was_noted_before_them() {
        let mut unsynced = Unsynced::default();
        for (key, outcome) in [
            ("claimed again", PartOutcome::NotCommitted),
            ("newer", PartOutcome::NotCommitted),
            ("confirmed", PartOutcome::Confirmed(None)),
        ] {
            unsynced.noted(settled(key, outcome), Ended::new(), incarnation("one"));
        }
        unsynced.claimed([&part("claimed again")]);
        unsynced.seen(incarnation("two"));
        let mut waiting = settled("newer", PartOutcome::Uncertain);
        waiting.extend(settled("confirmed", PartOutcome::Uncertain));
        let back = given_back(&mut unsynced, waiting);
        assert_eq!(back.len(), 2);
        assert_eq!(back[&part("newer")].1, PartOutcome::Uncertain);
        assert_eq!(back[&part("confirmed")].1, PartOutcome::Confirmed(None));
    }
}
