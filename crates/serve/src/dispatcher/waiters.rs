//! Those who wait for the ends of runs.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use pipepost_state::runs::RunId;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::RecvError;

use super::Ended;

type ByRun = HashMap<RunId, Vec<oneshot::Sender<Arc<Ended>>>>;

/// Those who wait, by the run. A handle: clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiters {
    by_run: Arc<Mutex<ByRun>>,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, ByRun> {
        self.by_run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a run's end, which need not be known here yet.
    pub(super) fn wait_for(&self, id: &RunId) -> EndWaiter {
        let (teller, told) = oneshot::channel();
        self.lock().entry(id.clone()).or_default().push(teller);
        EndWaiter {
            told,
            id: id.clone(),
            waiters: self.clone(),
        }
    }

    /// Tells those who wait for a run that its end is not told here: they hear of an error.
    pub(super) fn send_away(&self, id: &RunId) {
        self.lock().remove(id);
    }

    /// Tells a run's end to those who wait for it.
    pub(super) fn tell(&self, ended: Ended) {
        let waiting = self.lock().remove(&ended.run.id);
        let ended = Arc::new(ended);
        for teller in waiting.into_iter().flatten() {
            // Whoever no longer listens need not be told.
            let _ = teller.send(Arc::clone(&ended));
        }
    }

    /// The runs that somebody waits for.
    pub(super) fn runs(&self) -> Vec<RunId> {
        self.lock().keys().cloned().collect()
    }

    /// Forgets who does not wait any more: of the runs that are ordered, most wait for their turn with nobody who waits for
    /// them, and there may be any number.
    fn forget(&self, id: &RunId) {
        let mut by_run = self.lock();
        if let Some(of_run) = by_run.get_mut(id) {
            of_run.retain(|teller| !teller.is_closed());
            if of_run.is_empty() {
                by_run.remove(id);
            }
        }
    }
}

/// Waits for the end of a run. Dropped, it waits no more.
///
/// It fails when the end is not told here: the run waits for another attempt, or somebody else has it.
#[derive(Debug)]
pub struct EndWaiter {
    told: oneshot::Receiver<Arc<Ended>>,
    id: RunId,
    waiters: Waiters,
}

impl Future for EndWaiter {
    type Output = Result<Arc<Ended>, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.told).poll(context)
    }
}

impl Drop for EndWaiter {
    fn drop(&mut self) {
        self.told.close();
        self.waiters.forget(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_no_more_leaves_nothing_behind() {
        let waiters = Waiters::default();
        let (one, other) = (RunId::next(), RunId::next());
        let first = waiters.wait_for(&one);
        let second = waiters.wait_for(&one);
        drop(waiters.wait_for(&other));
        assert_eq!(waiters.runs(), std::slice::from_ref(&one));
        drop(first);
        assert_eq!(waiters.runs(), [one], "the second one waits on");
        drop(second);
        assert!(waiters.runs().is_empty());
    }
}
