//! How much is under way: in all, and of each pipeline, so that a slow one leaves room for the others.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipepost_state::runs::Room;
use tokio::sync::Notify;

/// The places for runs.
#[derive(Debug)]
pub(super) struct Rooms {
    size: usize,
    used: Mutex<Used>,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Used {
    all: usize,
    by_pipeline: HashMap<String, usize>,
}

impl Rooms {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size: size.max(1),
            used: Mutex::default(),
            emptied: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn used(&self) -> usize {
        self.lock().all
    }

    pub(super) fn used_by(&self, pipeline: &str) -> usize {
        self.lock().by_pipeline.get(pipeline).copied().unwrap_or_default()
    }

    pub(super) fn free(&self) -> usize {
        self.size.saturating_sub(self.lock().all)
    }

    /// A place for a run of this pipeline, which may have `most` at once.
    pub(super) fn reserve(
        self: &Arc<Self>,
        pipeline: &str,
        most: usize,
        freed: Box<dyn Fn() + Send + Sync>,
    ) -> Option<Slot> {
        {
            let mut used = self.lock();
            let of_pipeline = used.by_pipeline.get(pipeline).copied().unwrap_or_default();
            if used.all >= self.size || of_pipeline >= most {
                return None;
            }
            used.add(pipeline);
        }
        Some(self.slot(pipeline, freed))
    }

    /// A place for a run that was taken already.
    pub(super) fn force(self: &Arc<Self>, pipeline: &str, freed: Box<dyn Fn() + Send + Sync>) -> Slot {
        self.lock().add(pipeline);
        self.slot(pipeline, freed)
    }

    fn slot(self: &Arc<Self>, pipeline: &str, freed: Box<dyn Fn() + Send + Sync>) -> Slot {
        Slot {
            rooms: Arc::clone(self),
            pipeline: pipeline.to_owned(),
            freed,
        }
    }

    /// What may be taken now. `limits` is how many runs of a pipeline may be under way, `usual` how many of any other.
    pub(super) fn room(&self, limits: impl Iterator<Item = (String, usize)>, usual: usize) -> Room {
        let used = self.lock();
        let mut by_pipeline: BTreeMap<String, usize> = used
            .by_pipeline
            .keys()
            .map(|pipeline| (pipeline.clone(), usual))
            .collect();
        by_pipeline.extend(limits);
        for (pipeline, count) in &mut by_pipeline {
            let under_way = used.by_pipeline.get(pipeline).copied().unwrap_or_default();
            *count = count.saturating_sub(under_way);
        }
        Room {
            runs: self.size.saturating_sub(used.all),
            by_pipeline,
            others: usual,
        }
    }

    /// Waits until nothing is under way.
    pub(super) async fn until_empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.used() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

impl Used {
    fn add(&mut self, pipeline: &str) {
        self.all += 1;
        *self.by_pipeline.entry(pipeline.to_owned()).or_default() += 1;
    }
}

/// A place that is taken until this is dropped.
pub(super) struct Slot {
    rooms: Arc<Rooms>,
    pipeline: String,
    freed: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("pipeline", &self.pipeline)
            .finish_non_exhaustive()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let is_empty = {
            let mut used = self.rooms.lock();
            used.all = used.all.saturating_sub(1);
            if let Some(count) = used.by_pipeline.get_mut(&self.pipeline) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    used.by_pipeline.remove(&self.pipeline);
                }
            }
            used.all == 0
        };
        if is_empty {
            self.rooms.emptied.notify_waiters();
        }
        (self.freed)();
    }
}
