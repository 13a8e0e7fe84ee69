//! What servers have taught, within a process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{KeptLimits, ServerKey, ServerLimitStore, ServerLimits, ServerLimitsEntry};
use crate::Answer;
use crate::clock::Clock;
use crate::error::StateError;

/// A store that keeps what servers have taught in memory, as long as it exists.
#[derive(Debug)]
pub struct MemoryServerLimits {
    servers: Mutex<HashMap<ServerKey, KeptLimits>>,
    clock: Arc<dyn Clock>,
}

impl MemoryServerLimits {
    /// Makes a store that uses this clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            servers: Mutex::default(),
            clock,
        }
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<ServerKey, KeptLimits>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entries(&self, label: Option<&str>) -> Vec<ServerLimitsEntry> {
        let now = self.clock.now();
        let servers = self.servers();
        let mut keys: Vec<&ServerKey> = servers
            .keys()
            .filter(|key| label.is_none_or(|label| key.account.label == label))
            .collect();
        keys.sort_by_key(|key| (&key.account.label, &key.server, &key.account.account));
        keys.into_iter()
            .filter_map(|key| {
                let kept = servers.get(key)?.fresh(now);
                (!kept.is_empty()).then(|| kept.shown(&key.account.label, &key.server))
            })
            .collect()
    }
}

fn ready<T: Send + 'static>(value: T) -> Answer<'static, Result<T, StateError>> {
    Box::pin(std::future::ready(Ok(value)))
}

impl ServerLimitStore for MemoryServerLimits {
    fn recall<'s>(&'s self, key: &'s ServerKey) -> Answer<'s, Result<ServerLimits, StateError>> {
        let kept = self.servers().get(key).copied().unwrap_or_default();
        ready(kept.fresh(self.clock.now()).limits())
    }

    fn learn<'s>(&'s self, key: &'s ServerKey, limits: ServerLimits) -> Answer<'s, Result<(), StateError>> {
        let now = self.clock.now();
        let mut servers = self.servers();
        let kept = servers.entry(key.clone()).or_default();
        *kept = kept.learn(limits, now);
        servers.retain(|_, kept| !kept.fresh(now).is_empty());
        ready(())
    }

    fn list<'s>(&'s self, label: Option<&'s str>) -> Answer<'s, Result<Vec<ServerLimitsEntry>, StateError>> {
        ready(self.entries(label))
    }

    fn forget<'s>(&'s self, label: &'s str) -> Answer<'s, Result<Vec<ServerLimitsEntry>, StateError>> {
        let known = self.entries(Some(label));
        self.servers().retain(|key, _| key.account.label != label);
        ready(known)
    }
}
