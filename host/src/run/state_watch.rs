//! Whether the state could not be used while a run needed it. Then nothing that was not recorded was sent, and whoever keeps
//! runs can begin this one again when the state is back.

use std::sync::atomic::{AtomicBool, Ordering};

/// What a run has seen of its state.
#[derive(Debug, Default)]
pub(crate) struct StateWatch {
    has_failed: AtomicBool,
}

impl StateWatch {
    /// The state could not be used, so something was not sent.
    pub(crate) fn note(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
    }

    /// Returns whether that has happened.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }
}
