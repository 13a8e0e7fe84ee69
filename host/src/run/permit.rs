//! What one batch may commit of an account's messages. It is asked before each commit, and informed of each end.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipepost_accounts::Account;
use pipepost_core::shutdown::ShutdownToken;
use pipepost_core::{Failure, FailureKind};
use pipepost_engine::{Permit, SendPermit};
use pipepost_state::Answer;
use pipepost_state::quota::{AccountKey, SendLimits};
use tokio::sync::oneshot;

use super::quotas::{Quotas, key_of, limits_of};

/// The admissions of one batch.
pub(super) struct AccountPermit {
    quotas: Quotas,
    account: Arc<Account>,
    key: AccountKey,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Transactions under way, by call and number.
    open: HashMap<(u32, u32), i64>,
    /// Why nothing more is sent by this batch.
    held: Option<Failure>,
    /// Calls of which a transaction was held back.
    calls: HashSet<u32>,
}

impl AccountPermit {
    pub(super) fn new(quotas: &Quotas, account: &Arc<Account>) -> Self {
        Self {
            quotas: quotas.clone(),
            account: Arc::clone(account),
            key: key_of(account),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, parts: &[(u32, u32)], ending: &ShutdownToken) -> Result<Permit, Failure> {
        let limits = limits_of(&self.account);
        if !limits.is_some() {
            // A neighbour may have heard of it since the hand-over.
            return match self.quotas.heard(&self.key) {
                Some(failure) => Err(failure),
                None => Ok(Permit::Granted),
            };
        }
        let admitted = self.admit_or_end(limits, parts.len(), ending).await?;
        let Some(admissions) = admitted else {
            return Ok(Permit::Ending);
        };
        debug_assert_eq!(admissions.len(), parts.len(), "each part has an admission of its own");
        for (part, admission) in parts.iter().zip(admissions) {
            // Named twice in one breath: the first of the two is over.
            let other = self.state().open.insert(*part, admission);
            if let Some(other) = other {
                self.quotas.end(&self.key, vec![other]);
            }
        }
        Ok(Permit::Granted)
    }

    /// Asks for admissions in a task of its own: should nobody wait for them any more when they are given, they end.
    async fn admit_or_end(
        &self,
        limits: SendLimits,
        count: usize,
        ending: &ShutdownToken,
    ) -> Result<Option<Vec<i64>>, Failure> {
        let (told, answer) = oneshot::channel();
        let (quotas, key, ending) = (self.quotas.clone(), self.key.clone(), ending.clone());
        tokio::spawn(async move {
            let admitted = quotas.admit(&key, limits, count, &ending).await;
            if let Err(Ok(Some(admissions))) = told.send(admitted) {
                quotas.end(&key, admissions);
            }
        });
        // The task is gone only with the whole runtime.
        answer.await.unwrap_or(Ok(None))
    }
}

impl SendPermit for AccountPermit {
    fn admit<'p>(&'p self, parts: &'p [(u32, u32)], ending: &'p ShutdownToken) -> Answer<'p, Permit> {
        Box::pin(async move {
            let is_held = self.state().held.is_some();
            if !is_held {
                match self.ask(parts, ending).await {
                    Ok(permit) => return permit,
                    Err(failure) => self.state().held = Some(failure),
                }
            }
            self.state().calls.extend(parts.iter().map(|(call, _)| call));
            Permit::Held
        })
    }

    fn ended(&self, part: (u32, u32)) {
        let admission = self.state().open.remove(&part);
        if let Some(admission) = admission {
            self.quotas.end(&self.key, vec![admission]);
        }
    }

    /// What the server says of a quota is noted; in place of what the connector says of a message that was held back stands
    /// the reason.
    fn explain<'p>(&'p self, call: u32, announced: bool, failure: &'p mut Failure) -> Answer<'p, ()> {
        Box::pin(async move {
            {
                let state = self.state();
                if let Some(held) = &state.held {
                    let is_held = state.calls.contains(&call) && failure.kind == FailureKind::Quota;
                    // The connection ended with the message that was held back, and what was to follow over it was not
                    // begun.
                    let follows = !announced && matches!(failure.kind, FailureKind::Limit | FailureKind::Transient);
                    if is_held || follows {
                        failure.clone_from(held);
                        return;
                    }
                }
            }
            if let Some(until) = self.quotas.note(&self.account, failure).await {
                let further = format!(" The account `{}` pauses; it goes on {until}.", self.key.label);
                failure.message.push_str(&further);
                failure.remedy = self.quotas.remedy(&self.key.label).or(failure.remedy.take());
            }
        })
    }
}
