//! What holds a sign-in up before the server is asked for anything. That time is not the server's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What a sign-in waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The account's next turn to sign in.
    Turn,
    /// The provider's access token.
    Token,
}

/// How long a connection was held up, and by what. A handle: clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeldUp {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What is over.
    before: Duration,
    /// What goes on, or went on when its wait was given up.
    now: Option<(Hold, Instant)>,
}

impl HeldUp {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `act`, which is what the connection is held up by.
    pub(crate) async fn by<T>(&self, hold: Hold, act: impl Future<Output = T>) -> T {
        self.lock().now = Some((hold, Instant::now()));
        let done = act.await;
        let mut state = self.lock();
        state.before = state.time();
        state.now = None;
        done
    }

    /// How long it was, until now.
    pub(crate) fn time(&self) -> Duration {
        self.lock().time()
    }

    /// By what it is, or was when the wait was given up.
    pub(crate) fn hold(&self) -> Option<Hold> {
        self.lock().now.map(|(hold, _)| hold)
    }

    /// Counts anew.
    pub(crate) fn reset(&self) {
        *self.lock() = State::default();
    }
}

impl State {
    fn time(&self) -> Duration {
        self.before + self.now.map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_hold_counts_and_the_one_that_was_given_up_is_named() {
        let held_up = HeldUp::default();
        let second = Duration::from_secs(1);
        held_up.by(Hold::Token, tokio::time::sleep(second)).await;
        assert_eq!((held_up.hold(), held_up.time()), (None, second));
        tokio::time::sleep(second).await;
        let turn = held_up.by(Hold::Turn, std::future::pending::<()>());
        assert!(tokio::time::timeout(2 * second, turn).await.is_err());
        assert_eq!((held_up.hold(), held_up.time()), (Some(Hold::Turn), 3 * second));
        held_up.reset();
        assert_eq!((held_up.hold(), held_up.time()), (None, Duration::ZERO));
    }
}
