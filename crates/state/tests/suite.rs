//! The rules of every store, over the one in memory.

use std::sync::Arc;

use pipepost_state::MemoryStore;
use pipepost_state::suite::{Machine, SimClock};

/// All processes of this machine are one: what is in memory is shared with nobody else.
struct OneProcess {
    store: MemoryStore,
}

impl Machine for OneProcess {
    type Process = MemoryStore;

    const OUTLIVES_A_CRASH: bool = false;

    fn new(clock: Arc<SimClock>) -> Self {
        Self {
            store: MemoryStore::with_clock(clock),
        }
    }

    fn process(&self) -> MemoryStore {
        self.store.clone()
    }

    fn crash(&self, process: MemoryStore) {
        drop(process);
    }
}

pipepost_state::expand_suite!(OneProcess);
