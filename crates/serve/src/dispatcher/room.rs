//! How much is under way: in all, and of each pipeline, so that a slow one leaves room for the others.
//!
//! A run that waits for a run of another pipeline lends it its own place, one at a time. So whoever waits never holds the
//! place that the other one needs, and no more is under way than there are places. The number of runs of each pipeline
//! is kept in any case.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipepost_state::runs::RunId;
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
    /// The places that are taken.
    all: usize,
    /// Runs under way on the place of a run that waits for them.
    borrowed: usize,
    by_pipeline: HashMap<String, usize>,
    /// Those of them on places of their own.
    placed: HashMap<String, usize>,
    lenders: HashMap<RunId, Lender>,
}

/// How many places are free, and how many runs of each pipeline are under way.
#[derive(Debug, Default)]
pub(super) struct Usage {
    pub(super) free: usize,
    pub(super) runs: HashMap<String, usize>,
    /// Those of the runs on places of their own, which nobody lent them.
    pub(super) placed: HashMap<String, usize>,
}

/// A run that waits for others.
#[derive(Debug, Default)]
struct Lender {
    /// Another run is under way on its place.
    is_lent: bool,
    /// The pipelines of the runs that it waits for, and how many of each.
    waits_for: BTreeMap<String, usize>,
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

    /// The number of runs under way.
    pub(super) fn used(&self) -> usize {
        let used = self.lock();
        used.all + used.borrowed
    }

    pub(super) fn used_by(&self, pipeline: &str) -> usize {
        self.lock().by_pipeline.get(pipeline).copied().unwrap_or_default()
    }

    pub(super) fn free(&self) -> usize {
        self.size.saturating_sub(self.lock().all)
    }

    /// The places as they are now.
    pub(super) fn usage(&self) -> Usage {
        let used = self.lock();
        Usage {
            free: self.size.saturating_sub(used.all),
            runs: used.by_pipeline.clone(),
            placed: used.placed.clone(),
        }
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

    /// Lends the place of a run to a run of this pipeline, which it waits for, as long as the answer lasts.
    pub(super) fn lend(self: &Arc<Self>, lender: &RunId, pipeline: &str) -> Lent {
        let mut used = self.lock();
        let of_lender = used.lenders.entry(lender.clone()).or_default();
        *of_lender.waits_for.entry(pipeline.to_owned()).or_default() += 1;
        Lent {
            rooms: Arc::clone(self),
            lender: lender.clone(),
            pipeline: pipeline.to_owned(),
        }
    }

    /// The pipelines for whose runs there are lent places, and how many.
    pub(super) fn lent(&self) -> BTreeMap<String, usize> {
        let used = self.lock();
        let mut lent: BTreeMap<String, usize> = BTreeMap::new();
        for lender in used.lenders.values().filter(|lender| !lender.is_lent) {
            for pipeline in lender.waits_for.keys() {
                *lent.entry(pipeline.clone()).or_default() += 1;
            }
        }
        lent
    }

    /// A lent place for a run of this pipeline, which may have `most` at once: of this lender, or of any that waits for
    /// the pipeline.
    pub(super) fn borrow(
        self: &Arc<Self>,
        lender: Option<&RunId>,
        pipeline: &str,
        most: usize,
        freed: Box<dyn Fn() + Send + Sync>,
    ) -> Option<Slot> {
        let lender = {
            let mut used = self.lock();
            if used.by_pipeline.get(pipeline).copied().unwrap_or_default() >= most {
                return None;
            }
            let is_free = |lender: &Lender| !lender.is_lent && lender.waits_for.contains_key(pipeline);
            let found = match lender {
                Some(id) => used
                    .lenders
                    .get(id)
                    .filter(|lender| is_free(lender))
                    .map(|_| id.clone()),
                None => {
                    let mut lenders = used.lenders.iter();
                    lenders.find(|(_, lender)| is_free(lender)).map(|(id, _)| id.clone())
                }
            };
            let found = found?;
            if let Some(lender) = used.lenders.get_mut(&found) {
                lender.is_lent = true;
            }
            used.borrowed += 1;
            *used.by_pipeline.entry(pipeline.to_owned()).or_default() += 1;
            found
        };
        let mut slot = self.slot(pipeline, freed);
        slot.lender = Some(lender);
        Some(slot)
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
            lender: None,
            freed,
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
    /// Changes what is known of a lender, and forgets one that lends nothing.
    fn change(&mut self, id: &RunId, change: impl FnOnce(&mut Lender)) {
        if let Some(lender) = self.lenders.get_mut(id) {
            change(lender);
            if !lender.is_lent && lender.waits_for.is_empty() {
                self.lenders.remove(id);
            }
        }
    }

    fn add(&mut self, pipeline: &str) {
        self.all += 1;
        for counts in [&mut self.by_pipeline, &mut self.placed] {
            *counts.entry(pipeline.to_owned()).or_default() += 1;
        }
    }
}

/// A place that is taken until this is dropped.
pub(super) struct Slot {
    rooms: Arc<Rooms>,
    pipeline: String,
    /// The run whose place it is, if that run lends it.
    lender: Option<RunId>,
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
            match &self.lender {
                Some(lender) => {
                    used.borrowed = used.borrowed.saturating_sub(1);
                    used.change(lender, |lender| lender.is_lent = false);
                }
                None => {
                    used.all = used.all.saturating_sub(1);
                    one_less(&mut used.placed, &self.pipeline);
                }
            }
            one_less(&mut used.by_pipeline, &self.pipeline);
            used.all + used.borrowed == 0
        };
        if is_empty {
            self.rooms.emptied.notify_waiters();
        }
        (self.freed)();
    }
}

/// Takes one away, and what has none left.
fn one_less(counts: &mut HashMap<String, usize>, pipeline: &str) {
    if let Some(count) = counts.get_mut(pipeline) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(pipeline);
        }
    }
}

/// A place that is lent until this is dropped.
#[derive(Debug)]
pub(super) struct Lent {
    rooms: Arc<Rooms>,
    lender: RunId,
    pipeline: String,
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut used = self.rooms.lock();
        used.change(&self.lender, |lender| {
            if let Some(count) = lender.waits_for.get_mut(&self.pipeline) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    lender.waits_for.remove(&self.pipeline);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Box<dyn Fn() + Send + Sync> {
        Box::new(|| {})
    }

    #[test]
    fn who_waits_lends_its_place_to_one_run_at_a_time() {
        let rooms = Arc::new(Rooms::new(1));
        let parent = RunId::next();
        let own = rooms.reserve("parent", 1, nothing()).expect("room");
        assert!(rooms.reserve("child", 10, nothing()).is_none());
        assert!(
            rooms.borrow(Some(&parent), "child", 10, nothing()).is_none(),
            "it does not wait"
        );
        let first = rooms.lend(&parent, "child");
        let second = rooms.lend(&parent, "other");
        assert_eq!(rooms.lent().values().sum::<usize>(), 2);
        let child = rooms.borrow(None, "child", 10, nothing()).expect("the lent place");
        assert_eq!((rooms.used(), rooms.free(), rooms.used_by("child")), (2, 0, 1));
        assert!(rooms.lent().is_empty());
        assert!(
            rooms.borrow(Some(&parent), "other", 10, nothing()).is_none(),
            "it is lent"
        );
        drop(first);
        drop(child);
        let other = rooms.borrow(Some(&parent), "other", 10, nothing()).expect("it is back");
        drop(second);
        drop(own);
        assert_eq!((rooms.used(), rooms.free()), (1, 1), "the other run goes on");
        drop(other);
        assert_eq!(rooms.used(), 0);
        assert!(rooms.lock().lenders.is_empty());
    }

    #[test]
    fn a_lent_place_does_not_let_a_pipeline_have_more_runs_than_it_may() {
        let rooms = Arc::new(Rooms::new(2));
        let parent = RunId::next();
        let _own = rooms.reserve("parent", 1, nothing()).expect("room");
        let only = rooms.reserve("child", 1, nothing()).expect("room");
        let _lent = rooms.lend(&parent, "child");
        assert!(rooms.borrow(Some(&parent), "child", 1, nothing()).is_none());
        drop(only);
        assert!(rooms.borrow(Some(&parent), "child", 1, nothing()).is_some());
    }
}
