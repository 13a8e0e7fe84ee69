//! Notices that a ledger could not be written: what was not sent for that reason may be sent when it can be.

use std::sync::Arc;

use pipepost_state::ledger::{ClaimError, Known, Ledger, Message, Part, PartOutcome, Recorded};
use pipepost_state::{Answer, StateError};

use super::state_watch::StateWatch;

/// A ledger that notices.
pub(super) struct WatchedLedger {
    ledger: Arc<dyn Ledger>,
    watch: Arc<StateWatch>,
}

impl WatchedLedger {
    pub(super) fn new(ledger: Arc<dyn Ledger>, watch: Arc<StateWatch>) -> Self {
        Self { ledger, watch }
    }
}

impl Ledger for WatchedLedger {
    fn is_durable(&self) -> bool {
        self.ledger.is_durable()
    }

    fn look_up<'l>(&'l self, messages: &'l [Message]) -> Answer<'l, Result<Vec<Known>, StateError>> {
        Box::pin(async move {
            let known = self.ledger.look_up(messages).await;
            if known.is_err() {
                self.watch.note();
            }
            known
        })
    }

    fn in_doubt(&self, key: &str, output: &str) {
        self.ledger.in_doubt(key, output);
    }

    fn claim(&self, parts: Vec<Part>) -> Answer<'_, Result<(), ClaimError>> {
        Box::pin(async move {
            let claimed = self.ledger.claim(parts).await;
            if matches!(claimed, Err(ClaimError::Unrecorded(_))) {
                self.watch.note();
            }
            claimed
        })
    }

    fn settle(&self, part: &Part, outcome: PartOutcome) {
        self.ledger.settle(part, outcome);
    }

    fn record(&self, key: &str, recorded: Recorded) {
        self.ledger.record(key, recorded);
    }

    fn let_go(&self, keys: &[String]) {
        self.ledger.let_go(keys);
    }

    fn close(&self) -> Answer<'_, Result<(), String>> {
        self.ledger.close()
    }

    fn hand_over(&self) -> Answer<'_, Result<(), String>> {
        self.ledger.hand_over()
    }
}
