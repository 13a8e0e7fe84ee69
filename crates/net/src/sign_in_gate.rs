//! At first one sign-in of an account at a time, and none with a secret that was refused.
//!
//! Servers lock accounts after some refused sign-ins, and each of many connections, and each turn of a loop, would make
//! one. So the first connection of an account signs in before any other: others open once it has succeeded. After a
//! refusal no further sign-in is made, and each request for one gets an error that says so.
//!
//! A refused mechanism is no refused secret: another mechanism is tried on the same connection (see `sign_in`). The one
//! that succeeded is remembered, so that later connections begin with it. When the server has refused each mechanism that
//! it shares with the account, no further sign-in is made either: each would send the secret again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pipepost_accounts::sasl::Mechanism;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::Instant;

use crate::pool::Key;

/// How long a refusal holds. A run is shorter; a process that serves many may find the account mended meanwhile.
const REFUSAL_HOLDS: Duration = Duration::from_secs(600);

/// What is known of an account's secret at a server.
#[derive(Debug, Default)]
pub(crate) enum Known {
    /// Nobody has signed in yet.
    #[default]
    Nothing,
    /// By this mechanism.
    Accepted(Mechanism),
    Refused(Instant, Refused),
}

/// What a server refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Secret,
    /// Every mechanism that it shares with the account.
    Mechanisms,
}

/// How a sign-in ended, as far as others are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted(Mechanism),
    Refused(Refused),
    /// Another try may end otherwise.
    Open,
}

/// The right to be the first to sign in. Whoever drops it without a word leaves it to the next.
pub(crate) type First = OwnedMutexGuard<Known>;

/// The server has refused this before.
#[derive(Debug)]
pub(crate) struct RefusedBefore(pub(crate) Refused);

#[derive(Debug, Default)]
pub(crate) struct SignInGate {
    known: Mutex<HashMap<Key, Arc<AsyncMutex<Known>>>>,
}

impl SignInGate {
    fn of(&self, key: &Key) -> Arc<AsyncMutex<Known>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(key.clone()).or_default())
    }

    /// Waits until it is known whether the secret is good. Returns the right to find out where nobody has.
    pub(crate) async fn enter(&self, key: &Key) -> Result<Option<First>, RefusedBefore> {
        let known = self.of(key).lock_owned().await;
        match &*known {
            Known::Nothing => Ok(Some(known)),
            Known::Accepted(_) => Ok(None),
            Known::Refused(at, what) if at.elapsed() < REFUSAL_HOLDS => Err(RefusedBefore(*what)),
            Known::Refused(..) => Ok(Some(known)),
        }
    }

    /// Returns the mechanism by which the account has signed in before. `first` is the caller's own right.
    pub(crate) async fn accepted(&self, key: &Key, first: Option<&First>) -> Option<Mechanism> {
        if first.is_some() {
            return None;
        }
        match *self.of(key).lock_owned().await {
            Known::Accepted(mechanism) => Some(mechanism),
            Known::Nothing | Known::Refused(..) => None,
        }
    }

    /// Notes how a sign-in ended.
    pub(crate) async fn note(&self, key: &Key, first: Option<First>, verdict: Verdict) {
        let mut known = match first {
            Some(first) => first,
            None => self.of(key).lock_owned().await,
        };
        match verdict {
            Verdict::Accepted(mechanism) => *known = Known::Accepted(mechanism),
            Verdict::Refused(what) => *known = Known::Refused(Instant::now(), what),
            Verdict::Open => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::for_tests()
    }

    #[tokio::test]
    async fn the_others_wait_for_the_first_and_none_follows_a_refusal() {
        let gate = Arc::new(SignInGate::default());
        let first = gate.enter(&key()).await.expect("nothing is known");
        assert!(first.is_some());
        let other = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(&key()).await.is_err() }
        });
        tokio::task::yield_now().await;
        assert!(!other.is_finished());
        gate.note(&key(), first, Verdict::Refused(Refused::Secret)).await;
        assert!(other.await.expect("it ends"), "no second sign-in");
        assert!(gate.enter(&key()).await.is_err());
    }

    #[tokio::test]
    async fn a_first_that_comes_to_nothing_leaves_it_to_the_next() {
        let gate = SignInGate::default();
        drop(gate.enter(&key()).await);
        let second = gate.enter(&key()).await.expect("nothing is known");
        gate.note(&key(), second, Verdict::Open).await;
        let third = gate.enter(&key()).await.expect("it may pass");
        assert!(third.is_some());
        assert_eq!(gate.accepted(&key(), third.as_ref()).await, None);
        gate.note(&key(), third, Verdict::Accepted(Mechanism::Login)).await;
        let fourth = gate.enter(&key()).await.expect("it is good");
        assert!(fourth.is_none());
        assert_eq!(gate.accepted(&key(), fourth.as_ref()).await, Some(Mechanism::Login));
    }
}
