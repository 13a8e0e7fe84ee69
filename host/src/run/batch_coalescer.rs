//! Joins the messages of a parallel loop's iterations into batches: the messages of one step are handed over together.
//!
//! An iteration that has a message ready waits while other iterations of its loop may still get one ready. When no such
//! iteration is left, one of those that wait at a step takes the messages of all of them along. So ten iterations share
//! one connection and one dialogue. The wait for a slow one is limited: see [`COALESCE_WAIT_MAX`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pipepost_flowspec::StepPath;
use tokio::sync::oneshot;

use super::calls::{Outcome, PreparedCall};

/// How long a message waits for company at most: as long as a sign-in takes, which is what going together saves.
const COALESCE_WAIT_MAX: Duration = Duration::from_millis(200);

/// Joins the messages of one loop's iterations.
#[derive(Debug, Default)]
pub(super) struct BatchCoalescer {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Iterations that neither wait here nor are over.
    under_way: usize,
    waiting: BTreeMap<StepPath, Vec<Waiting>>,
    /// Tells those who wait from each other.
    next: u64,
}

/// One who waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) call: Arc<PreparedCall>,
    number: u64,
    answer: oneshot::Sender<Role>,
}

impl Waiting {
    /// Tells the waiting iteration how its message ended.
    pub(super) fn tell(self, outcome: Outcome) {
        // It has gone only when the whole run was dropped.
        let _ = self.answer.send(Role::Follower(Box::new(outcome)));
    }
}

/// What an iteration with a message becomes.
#[derive(Debug)]
pub(super) enum Role {
    /// Somebody handed the message over, and this came of it.
    Follower(Box<Outcome>),
    /// Hand yours over, and these with it.
    Leader(Vec<Waiting>),
}

impl BatchCoalescer {
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
    pub(super) async fn join(&self, step: &StepPath, call: &Arc<PreparedCall>) -> Role {
        let (answer, mut told) = oneshot::channel();
        let number = {
            let mut state = self.state();
            let number = state.next;
            state.next += 1;
            state.under_way = state.under_way.saturating_sub(1);
            let waiting = Waiting {
                call: Arc::clone(call),
                number,
                answer,
            };
            state.waiting.entry(step.clone()).or_default().push(waiting);
            state.go_if_all_wait();
            number
        };
        // Those who lead always answer; if one is gone, each goes alone.
        let alone = |_| Role::Leader(Vec::new());
        if let Ok(word) = tokio::time::timeout(COALESCE_WAIT_MAX, &mut told).await {
            return word.unwrap_or_else(alone);
        }
        let others = self.state().go_without_the_slow(step, number);
        match others {
            Some(others) => Role::Leader(others),
            // Somebody has taken the message along, and answers when it is over.
            None => told.await.unwrap_or_else(alone),
        }
    }
}

impl State {
    /// Takes along everybody who waits at the step, if the one of this number still does.
    fn go_without_the_slow(&mut self, step: &StepPath, number: u64) -> Option<Vec<Waiting>> {
        let together = self.waiting.get_mut(step)?;
        let own = together.iter().position(|waiting| waiting.number == number)?;
        together.remove(own);
        let others = self.waiting.remove(step).unwrap_or_default();
        self.under_way += others.len() + 1;
        Some(others)
    }

    fn go_if_all_wait(&mut self) {
        if self.under_way > 0 {
            return;
        }
        for mut together in std::mem::take(&mut self.waiting).into_values() {
            self.under_way += together.len();
            let first = together.remove(0);
            // It has gone only when the whole run was dropped.
            let _ = first.answer.send(Role::Leader(together));
        }
    }
}
