//! What an operator sees of the connections: how many there are, and how sign-ins end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The end of a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignInResult {
    /// The account is signed in.
    Accepted,
    /// The server refused the secret, or each mechanism that it shares with the account.
    Refused,
    /// The server wants it to be tried again later.
    Postponed,
    /// It came to no end: the connection was lost, or there was nothing to sign in with.
    Failed,
}

impl SignInResult {
    /// Returns the name for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Postponed => "postponed",
            Self::Failed => "failed",
        }
    }
}

/// An observer of sign-ins. It is called on the task that signs in, so it should be quick.
pub trait SignInObserver: Send + Sync + fmt::Debug {
    /// Receives how a sign-in of the account with this label ended.
    fn signed_in(&self, account: &str, result: SignInResult);
}

/// The connections of one account that exist at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionCount {
    /// The account's label; none for all connections without an account.
    pub account: Option<String>,
    /// The number of connections in use.
    pub active: usize,
    /// The number of connections in the pool.
    pub idle: usize,
}

/// Counts the sockets that are open, by account.
#[derive(Debug, Default)]
pub(crate) struct OpenSockets {
    by_account: Mutex<BTreeMap<Option<String>, Arc<AtomicUsize>>>,
}

impl OpenSockets {
    /// Counts one more, until what is returned is dropped.
    pub(crate) fn count(&self, account: Option<&str>) -> OpenSocket {
        let mut by_account = self.by_account.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_account.entry(account.map(str::to_owned)).or_default();
        count.fetch_add(1, Ordering::Relaxed);
        OpenSocket(Arc::clone(count))
    }

    /// Returns the counts. `idle` says how many of them are in the pool.
    pub(crate) fn counts(&self, idle: &BTreeMap<Option<String>, usize>) -> Vec<ConnectionCount> {
        let by_account = self.by_account.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = by_account.iter().map(|(account, open)| {
            let idle = idle.get(account).copied().unwrap_or_default();
            ConnectionCount {
                account: account.clone(),
                active: open.load(Ordering::Relaxed).saturating_sub(idle),
                idle,
            }
        });
        counts.collect()
    }
}

/// One open socket.
#[derive(Debug)]
pub(crate) struct OpenSocket(Arc<AtomicUsize>);

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_and_not_in_the_pool_is_active() {
        let sockets = OpenSockets::default();
        let held = [
            sockets.count(Some("mail")),
            sockets.count(Some("mail")),
            sockets.count(None),
        ];
        let idle = BTreeMap::from([(Some("mail".to_owned()), 1)]);
        let of = |account: Option<&str>, active, idle| ConnectionCount {
            account: account.map(str::to_owned),
            active,
            idle,
        };
        assert_eq!(sockets.counts(&idle), [of(None, 1, 0), of(Some("mail"), 1, 1)]);
        drop(held);
        assert_eq!(
            sockets.counts(&BTreeMap::new()),
            [of(None, 0, 0), of(Some("mail"), 0, 0)],
            "a series that was there goes to zero"
        );
    }
}
