//! The host of a service, whose accounts may change while it serves.

use std::sync::{Arc, PoisonError, RwLock};

use pipepost_accounts::Accounts;

use crate::host::Host;

/// The host as it is now. A handle: clones share it. What was prepared on an earlier one goes on with that one's accounts.
#[derive(Debug, Clone)]
pub struct CurrentHost {
    host: Arc<RwLock<Arc<Host>>>,
}

impl CurrentHost {
    /// Begins with this host.
    pub fn new(host: Arc<Host>) -> Self {
        Self {
            host: Arc::new(RwLock::new(host)),
        }
    }

    /// Returns the host as it is now.
    pub fn get(&self) -> Arc<Host> {
        Arc::clone(&self.host.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Goes on with other accounts. Engine, connectors, connections and state stay.
    pub fn set_accounts(&self, accounts: Accounts) {
        let mut host = self.host.write().unwrap_or_else(PoisonError::into_inner);
        *host = Arc::new(host.having(accounts));
    }
}
