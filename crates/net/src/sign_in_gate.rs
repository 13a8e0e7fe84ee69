//! At first one sign-in of an account at a time, and none with a secret that was refused.
//!
//! Servers lock accounts after some refused sign-ins, and each of many connections, and each turn of a loop, would make
//! one. So the first connection of an account signs in before any other: others open once it has succeeded. After a
//! refusal no further sign-in is made, and each request for one gets an error that says so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
    Accepted,
    Refused(Instant),
}

/// The right to be the first to sign in. Whoever drops it without a word leaves it to the next.
pub(crate) type First = OwnedMutexGuard<Known>;

/// The server has refused this secret before.
#[derive(Debug)]
pub(crate) struct RefusedBefore;

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
            Known::Accepted => Ok(None),
            Known::Refused(at) if at.elapsed() < REFUSAL_HOLDS => Err(RefusedBefore),
            Known::Refused(_) => Ok(Some(known)),
        }
    }

    /// Notes the server's last reply to a sign-in, and whether it succeeded.
    pub(crate) async fn note(&self, key: &Key, first: Option<First>, reply: &[u8], is_accepted: bool) {
        let mut known = match first {
            Some(first) => first,
            None => self.of(key).lock_owned().await,
        };
        if is_accepted {
            *known = Known::Accepted;
        } else if is_final(reply) {
            *known = Known::Refused(Instant::now());
        }
    }
}

/// Whether a reply refuses the secret. 4yz may pass, and 504 and 538 speak of the mechanism (RFC 4954, section 6).
fn is_final(reply: &[u8]) -> bool {
    reply.first() == Some(&b'5') && !reply.starts_with(b"504") && !reply.starts_with(b"538")
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
        gate.note(&key(), first, b"535 5.7.8 No\r\n", false).await;
        assert!(other.await.expect("it ends"), "no second sign-in");
        assert!(gate.enter(&key()).await.is_err());
    }

    #[tokio::test]
    async fn a_first_that_comes_to_nothing_leaves_it_to_the_next() {
        let gate = SignInGate::default();
        drop(gate.enter(&key()).await);
        let second = gate.enter(&key()).await.expect("nothing is known");
        gate.note(&key(), second, b"454 4.7.0 Later\r\n", false).await;
        let third = gate.enter(&key()).await.expect("it may pass");
        assert!(third.is_some());
        gate.note(&key(), third, b"235 2.7.0 Yes\r\n", true).await;
        assert!(gate.enter(&key()).await.expect("it is good").is_none());
    }
}
