//! What servers have taught of their limits: from the state into the process's connections before the first batch, and
//! back when a batch has learned something.
//!
//! What an account or its preset states is never replaced by what was remembered.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pipepost_accounts::Account;
use pipepost_net::{Connections, Route, ServerCapacity};
use pipepost_state::StateError;
use pipepost_state::server_limits::{MessagesLimit, ServerKey, ServerLimitStore, ServerLimits};
use tokio::sync::Mutex;

use super::quotas::key_of;

/// The memory of a process. Without a store nothing is remembered beyond the process.
#[derive(Debug, Default)]
pub(crate) struct ServerMemory {
    store: Option<Arc<dyn ServerLimitStore>>,
    /// What the store has of the servers that this process has met.
    known: Mutex<HashMap<ServerKey, ServerLimits>>,
    /// It was said that nothing can be kept.
    complained: AtomicBool,
}

impl ServerMemory {
    pub(crate) fn in_store(store: Arc<dyn ServerLimitStore>) -> Self {
        Self {
            store: Some(store),
            ..Self::default()
        }
    }

    /// Lets the connections begin with what is remembered of the route's server, once in a process.
    pub(super) async fn recall(&self, connections: &Connections, route: &Route) {
        let Some((store, account, key)) = self.of(route) else {
            return;
        };
        let mut known = self.known.lock().await;
        if known.contains_key(&key) {
            return;
        }
        let limits = match store.recall(&key).await {
            Ok(limits) => limits,
            Err(error) => {
                self.complain(&error);
                ServerLimits::default()
            }
        };
        if account.limits().messages_per_connection.is_none()
            && let Some(limit) = limits.messages
        {
            connections.recall_capacity(
                route,
                if limit.is_suspected {
                    ServerCapacity::Suspected(limit.most)
                } else {
                    ServerCapacity::Known(limit.most)
                },
            );
        }
        if account.limits().max_connections.is_none()
            && let Some(most) = limits.connections
        {
            connections.recall_connections(route, most);
        }
        known.insert(key, limits);
    }

    /// Writes down what the connections have learned of the route's server since.
    pub(super) async fn note(&self, connections: &Connections, route: &Route) {
        let Some((store, account, key)) = self.of(route) else {
            return;
        };
        let mut known = self.known.lock().await;
        let before = known.get(&key).copied().unwrap_or_default();
        let learned = ServerLimits {
            messages: match account.limits().messages_per_connection {
                Some(_) => before.messages,
                None => messages(connections.capacity(route)),
            },
            connections: match account.limits().max_connections {
                Some(_) => before.connections,
                None => connections.lowered(route),
            },
        };
        if learned == before {
            return;
        }
        match store.learn(&key, learned).await {
            Ok(()) => drop(known.insert(key, learned)),
            Err(error) => self.complain(&error),
        }
    }

    fn of<'r>(&self, route: &'r Route) -> Option<(&Arc<dyn ServerLimitStore>, &'r Account, ServerKey)> {
        let account = route.account().filter(|_| !route.is_dry_run())?;
        let key = ServerKey {
            account: key_of(account),
            server: route.endpoint().to_string(),
        };
        Some((self.store.as_ref()?, account, key))
    }

    /// Once is enough: each batch would say the same.
    fn complain(&self, error: &StateError) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            tracing::warn!("{error} So what servers teach of their limits is known to this process alone.");
        }
    }
}

fn messages(capacity: ServerCapacity) -> Option<MessagesLimit> {
    let (most, is_suspected) = match capacity {
        ServerCapacity::Unlimited => return None,
        ServerCapacity::Suspected(most) => (most, true),
        ServerCapacity::Known(most) => (most, false),
    };
    Some(MessagesLimit { most, is_suspected })
}
