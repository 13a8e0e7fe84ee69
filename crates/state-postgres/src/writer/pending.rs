//! What waits to be written.

use std::collections::HashMap;

use pipepost_state::ledger::{Part, PartOutcome, Recorded};

use super::{Claiming, Closing, Job, Look, Open, Tenure};

/// What parts were settled as.
pub(super) type Settled = HashMap<Part, (Tenure, PartOutcome)>;

/// What was recorded of messages, by key, with the digest of their content.
pub(super) type Ended = HashMap<String, (Tenure, String, Recorded)>;

/// What waits, by kind. Of several notes on the same part or message, the last one that counts.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) settled: Settled,
    pub(super) recorded: Ended,
    pub(super) closes: Vec<Closing>,
    pub(super) opens: Vec<Open>,
    pub(super) looks: Vec<Look>,
    pub(super) claims: Vec<Claiming>,
    pub(super) ends: Vec<i64>,
    /// How many notes `ends` came in.
    pub(super) end_notes: u64,
}

impl Pending {
    pub(super) fn add(&mut self, job: Job) {
        match job {
            Job::Open(open) => self.opens.push(open),
            Job::Claim(claim) => self.claims.push(claim),
            Job::Settle(tenure, part, outcome) => self.settle(&tenure, part, outcome),
            Job::Record(tenure, key, digest, recorded) => self.record(tenure, key, digest, recorded),
            Job::Close(close) => self.closes.push(close),
            Job::Look(look) => self.looks.push(look),
            Job::End(mut admissions) => {
                self.ends.append(&mut admissions);
                self.end_notes += 1;
            }
        }
    }

    pub(super) fn settle(&mut self, tenure: &Tenure, part: Part, outcome: PartOutcome) {
        let note = (tenure.clone(), outcome);
        match self.settled.get_mut(&part) {
            // What was confirmed stays so.
            Some((_, PartOutcome::Confirmed(_))) if !matches!(note.1, PartOutcome::Confirmed(_)) => {}
            Some(known) => *known = note,
            None => drop(self.settled.insert(part, note)),
        }
    }

    pub(super) fn record(&mut self, tenure: Tenure, key: String, digest: String, recorded: Recorded) {
        match self.recorded.get_mut(&key) {
            Some((_, _, known)) if !known.uncertain && recorded.uncertain => {}
            Some(known) => *known = (tenure, digest, recorded),
            None => drop(self.recorded.insert(key, (tenure, digest, recorded))),
        }
    }

    /// Takes what is noted of parts and of messages.
    pub(super) fn take_notes(&mut self) -> (Settled, Ended) {
        (std::mem::take(&mut self.settled), std::mem::take(&mut self.recorded))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.settled.len()
            + self.recorded.len()
            + self.closes.len()
            + self.opens.len()
            + self.looks.len()
            + self.claims.len()
            + usize::try_from(self.end_notes).unwrap_or(usize::MAX)
    }
}
