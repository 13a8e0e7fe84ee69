//! Where the iterations of a parallel loop meet: messages of the same step are handed over together.
//!
//! An iteration that has a message ready waits for as long as other iterations of its loop are still on their way to
//! one. As soon as nobody is, one of those who wait at a step takes the messages of all of them along. So ten iterations
//! share one connection and one dialogue, and none waits for time to pass.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use pipepost_flowspec::StepPath;
use tokio::sync::oneshot;

use super::calls::{Outcome, Ready};

/// The meeting place of one loop's iterations.
#[derive(Debug, Default)]
pub(super) struct Gather {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Iterations that neither wait here nor are over.
    under_way: usize,
    waiting: BTreeMap<StepPath, Vec<Waiting>>,
}

/// One who waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) ready: Arc<Ready>,
    answer: oneshot::Sender<Word>,
}

impl Waiting {
    /// Tells the waiting iteration how its message ended.
    pub(super) fn tell(self, outcome: Outcome) {
        // It has gone only when the whole run was dropped.
        let _ = self.answer.send(Word::Done(Box::new(outcome)));
    }
}

/// What one who waits is told.
#[derive(Debug)]
pub(super) enum Word {
    /// Somebody handed the message over, and this came of it.
    Done(Box<Outcome>),
    /// Hand yours over, and these with it.
    Lead(Vec<Waiting>),
}

impl Gather {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An iteration begins.
    pub(super) fn enter(&self) {
        self.state().under_way += 1;
    }

    /// An iteration is over.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.under_way = state.under_way.saturating_sub(1);
        state.go_if_all_wait();
    }

    /// An iteration has a message ready at a step.
    pub(super) async fn meet(&self, step: &StepPath, ready: &Arc<Ready>) -> Word {
        let (answer, told) = oneshot::channel();
        {
            let mut state = self.state();
            state.under_way = state.under_way.saturating_sub(1);
            let waiting = Waiting {
                ready: Arc::clone(ready),
                answer,
            };
            state.waiting.entry(step.clone()).or_default().push(waiting);
            state.go_if_all_wait();
        }
        // Those who lead always answer; if one is gone, each goes alone.
        told.await.unwrap_or_else(|_| Word::Lead(Vec::new()))
    }
}

impl State {
    fn go_if_all_wait(&mut self) {
        if self.under_way > 0 {
            return;
        }
        for mut together in std::mem::take(&mut self.waiting).into_values() {
            self.under_way += together.len();
            let first = together.remove(0);
            // It has gone only when the whole run was dropped.
            let _ = first.answer.send(Word::Lead(together));
        }
    }
}
