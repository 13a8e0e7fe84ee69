//! Permission to send. The caller that starts a batch grants it or withholds it.

use std::collections::HashSet;
use std::sync::Arc;

use pipepost_core::Failure;
use pipepost_core::shutdown::ShutdownToken;
use pipepost_state::Answer;

/// Whether parts may be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// The parts may be committed now.
    Granted,
    /// The parts may not be committed by this batch.
    Held,
    /// The run ended before permission was given.
    Ending,
}

/// What an account allows to be sent. A part is named by a call's number and a transaction's number.
pub trait SendPermit: Send + Sync {
    /// Waits until these parts may be committed.
    fn admit<'p>(&'p self, parts: &'p [(u32, u32)], ending: &'p ShutdownToken) -> Answer<'p, Permit>;

    /// Notes that an admitted part has ended, or was not begun.
    fn ended(&self, part: (u32, u32));

    /// Adjusts a call's failure, as its connector reported it: what it says of a message that was held back is
    /// corrected. `announced` says whether something of the call was announced.
    fn explain<'p>(&'p self, call: u32, announced: bool, failure: &'p mut Failure) -> Answer<'p, ()>;
}

/// A permit in the hands of one instance. Dropped, what is under way has ended.
pub(super) struct PermitInUse {
    permit: Arc<dyn SendPermit>,
    open: HashSet<(u32, u32)>,
    /// It was told that nothing more is sent.
    pub(super) is_held: bool,
}

impl PermitInUse {
    pub(super) fn new(permit: Arc<dyn SendPermit>) -> Self {
        Self {
            permit,
            open: HashSet::new(),
            is_held: false,
        }
    }

    pub(super) async fn admit(&mut self, parts: &[(u32, u32)], ending: &ShutdownToken) -> Permit {
        // Before the answer, because this may be dropped while it waits.
        self.open.extend(parts);
        let answer = self.permit.admit(parts, ending).await;
        self.is_held |= answer == Permit::Held;
        answer
    }

    pub(super) fn ended(&mut self, part: (u32, u32)) {
        if self.open.remove(&part) {
            self.permit.ended(part);
        }
    }

    pub(super) async fn explain(&self, call: u32, announced: bool, failure: &mut Failure) {
        self.permit.explain(call, announced, failure).await;
    }
}

impl Drop for PermitInUse {
    fn drop(&mut self) {
        for part in self.open.drain() {
            self.permit.ended(part);
        }
    }
}
