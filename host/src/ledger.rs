//! What was committed, so that nothing is committed twice.
//!
//! Before bytes leave that commit a part of a message, the part is claimed here by the message's key; afterwards it is
//! settled. A key that was claimed before is never claimed again by an attempt that does not know of it: the recorded
//! outcome comes back instead.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::Value;

/// One committing act: a message's key, and the number of the transaction within it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Part {
    /// Derived from execution, step path, loop indices and item; the same in every attempt.
    pub key: String,
    /// 0 for the only one.
    pub number: u32,
}

/// How a part ended.
#[derive(Debug, Clone, PartialEq)]
pub enum PartOutcome {
    /// The other side confirmed it.
    Confirmed,
    /// The other side refused it, or nothing of it was ever written: it may be tried again.
    NotCommitted,
    /// Nobody can tell from here.
    Uncertain,
}

/// How a message ended, for the attempt that comes upon its key again.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Over the resolved parameters: another content under the same key is refused.
    pub digest: String,
    /// Its output, or what there is of it.
    pub output: Value,
    /// True: nobody can tell whether it was committed. False: it was.
    pub uncertain: bool,
}

/// Why a part may not be committed now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// It was committed before, or is being committed by another.
    #[error("it was committed before")]
    Claimed,
    /// The claim could not be written down.
    #[error("the ledger could not be written: {0}")]
    Unrecorded(String),
}

/// Where claims are kept. One embedded implementation a need: within a run, and across runs.
pub trait Ledger: Send + Sync {
    /// Claims all the parts or none of them, durably as far as this ledger is durable.
    ///
    /// # Errors
    /// A [`ClaimError`], and then nothing is claimed.
    fn claim(&self, parts: &[Part]) -> Result<(), ClaimError>;

    /// Writes down how a claimed part ended. One that was not committed may be claimed again.
    fn settle(&self, part: &Part, outcome: PartOutcome);

    /// Writes down how a whole message ended.
    fn record(&self, key: &str, recorded: Recorded);

    /// What was recorded under a key.
    fn recorded(&self, key: &str) -> Option<Recorded>;
}

/// A ledger that lives as long as its run.
#[derive(Debug, Default)]
pub struct RunLedger {
    state: Mutex<RunState>,
}

#[derive(Debug, Default)]
struct RunState {
    claims: HashMap<Part, Option<PartOutcome>>,
    messages: HashMap<String, Recorded>,
}

impl RunLedger {
    fn state(&self) -> std::sync::MutexGuard<'_, RunState> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Ledger for RunLedger {
    fn claim(&self, parts: &[Part]) -> Result<(), ClaimError> {
        let mut state = self.state();
        if parts.iter().any(|part| state.claims.contains_key(part)) {
            return Err(ClaimError::Claimed);
        }
        state.claims.extend(parts.iter().map(|part| (part.clone(), None)));
        Ok(())
    }

    fn settle(&self, part: &Part, outcome: PartOutcome) {
        let mut state = self.state();
        if outcome == PartOutcome::NotCommitted {
            state.claims.remove(part);
        } else {
            state.claims.insert(part.clone(), Some(outcome));
        }
    }

    fn record(&self, key: &str, recorded: Recorded) {
        self.state().messages.insert(key.to_owned(), recorded);
    }

    fn recorded(&self, key: &str) -> Option<Recorded> {
        self.state().messages.get(key).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u32) -> Part {
        Part {
            key: "run/start/0".to_owned(),
            number,
        }
    }

    #[test]
    fn a_claim_is_all_or_nothing() {
        let ledger = RunLedger::default();
        assert_eq!(ledger.claim(&[part(0)]), Ok(()));
        assert_eq!(ledger.claim(&[part(1), part(0)]), Err(ClaimError::Claimed));
        assert_eq!(ledger.claim(&[part(1)]), Ok(()));
    }

    #[test]
    fn only_what_was_not_committed_may_be_claimed_again() {
        let ledger = RunLedger::default();
        for (outcome, again) in [
            (PartOutcome::NotCommitted, Ok(())),
            (PartOutcome::Confirmed, Err(ClaimError::Claimed)),
            (PartOutcome::Uncertain, Err(ClaimError::Claimed)),
        ] {
            let part = Part {
                key: format!("{outcome:?}"),
                number: 0,
            };
            assert_eq!(ledger.claim(std::slice::from_ref(&part)), Ok(()));
            ledger.settle(&part, outcome);
            assert_eq!(ledger.claim(&[part]), again);
        }
    }
}
