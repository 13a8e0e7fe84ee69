//! What one instance may commit of an account's messages: asked before each commit, and told of each end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use pipepost_accounts::Account;
use pipepost_core::shutdown::ShutdownToken;
use pipepost_core::{Failure, FailureKind};

use super::shelf::Key;
use super::{Quotas, counts};

/// The admissions of one instance. Dropped, what is under way has ended.
pub(crate) struct Allowance {
    pub(super) quotas: Quotas,
    account: Arc<Account>,
    key: Key,
    /// Transactions under way, by call and number.
    open: HashMap<(u32, u32), i64>,
    /// Why nothing more is sent by this instance.
    pub(super) held: Option<Failure>,
    /// Calls of which a transaction was held back.
    calls: HashSet<u32>,
}

/// Whether something may be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    Granted,
    Held,
    /// The run ended meanwhile.
    Ending,
}

impl Allowance {
    pub(crate) fn new(quotas: &Quotas, account: &Arc<Account>) -> Self {
        Self {
            quotas: quotas.clone(),
            account: Arc::clone(account),
            key: Key::of(account),
            open: HashMap::new(),
            held: None,
            calls: HashSet::new(),
        }
    }

    /// Waits until these transactions may be committed.
    pub(crate) async fn ask(&mut self, parts: &[(u32, u32)], ending: &ShutdownToken) -> Leave {
        if self.held.is_none() {
            match self.admit(parts, ending).await {
                Ok(leave) => return leave,
                Err(failure) => self.held = Some(failure),
            }
        }
        self.calls.extend(parts.iter().map(|(call, _)| call));
        Leave::Held
    }

    async fn admit(&mut self, parts: &[(u32, u32)], ending: &ShutdownToken) -> Result<Leave, Failure> {
        let limits = self.account.limits();
        if !counts(limits) {
            // A neighbour may have heard of it since the hand-over.
            return match self.quotas.inner.known_pause(&self.key) {
                Some(pause) => Err(self.quotas.paused(&self.key.label, &pause)),
                None => Ok(Leave::Granted),
            };
        }
        let admitted = self.quotas.admit(&self.key, limits, parts.len(), ending).await?;
        let Some(admissions) = admitted else {
            return Ok(Leave::Ending);
        };
        for (part, admission) in parts.iter().zip(admissions) {
            // Named twice in one breath: the first of the two is over.
            if let Some(other) = self.open.insert(*part, admission) {
                self.quotas.end(&self.key, &[other]);
            }
        }
        Ok(Leave::Granted)
    }

    /// A transaction is over, or was not begun.
    pub(crate) fn ended(&mut self, part: (u32, u32)) {
        if let Some(admission) = self.open.remove(&part) {
            self.quotas.end(&self.key, &[admission]);
        }
    }

    /// A call fails so. What the server says of a quota is noted; in place of what the connector says of a message that was
    /// held back stands the reason. `announced`: something of it was announced.
    pub(crate) fn judge(&self, call: u32, announced: bool, failure: &mut Failure) {
        if let Some(held) = &self.held {
            let is_held = self.calls.contains(&call) && failure.kind == FailureKind::Quota;
            // The connection ended with the message that was held back, and what was to follow over it was not begun.
            let follows = !announced && matches!(failure.kind, FailureKind::Limit | FailureKind::Transient);
            if is_held || follows {
                failure.clone_from(held);
                return;
            }
        }
        if let Some(until) = self.quotas.note(&self.account, failure) {
            let further = format!(" The account `{}` pauses; it goes on {until}.", self.key.label);
            failure.message.push_str(&further);
        }
    }

    /// Whether this instance was told that nothing more is sent.
    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        let open: Vec<i64> = self.open.drain().map(|(_, admission)| admission).collect();
        if !open.is_empty() {
            self.quotas.end(&self.key, &open);
        }
    }
}
