//! What accounts may send, in words: the store counts and remembers, and this module says why something waits or is not
//! sent.
//!
//! For an account without limits, each hand-over costs one look at its pause, and no transaction.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pipepost_accounts::Account;
use pipepost_core::shutdown::ShutdownToken;
use pipepost_core::{Failure, FailureKind, Remedy};
use pipepost_replies::{PastedReply, Provider, Retry, Scope, Stage, explain_for};
use pipepost_state::StateError;
use pipepost_state::clock::{Clock as _, Moment, SystemClock, length};
use pipepost_state::quota::{
    AccountKey, Admission, Availability, Coming, MemoryQuotas, Pause, PauseCause, QuotaStore, SendLimits, Standing,
};
use tokio::time::Instant;

use super::state_watch::StateWatch;

/// Returns whether an account states limits for its messages, so that they have to be counted.
pub fn states_limits(account: &Account) -> bool {
    limits_of(account).is_some()
}

/// The limits that an account states for its messages.
pub(super) fn limits_of(account: &Account) -> SendLimits {
    let limits = account.limits();
    SendLimits {
        per_second: limits.messages_per_second,
        per_day: limits.messages_per_day,
    }
}

/// Whose limits and pauses an account's are.
pub(super) fn key_of(account: &Account) -> AccountKey {
    let endpoint = account.endpoint().ok();
    let host = endpoint.as_ref().map(|endpoint| &endpoint.host);
    AccountKey {
        label: account.label().to_owned(),
        account: serde_json::json!([account.label(), account.username(), host]).to_string(),
    }
}

/// An account's key among limits and pauses, and what it states.
#[cfg(feature = "cli")]
pub(crate) fn quota_key(account: &Account) -> (AccountKey, SendLimits) {
    (key_of(account), limits_of(account))
}

/// What every account has sent of late, and which accounts pause. A handle: clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Quotas {
    inner: Arc<Inner>,
    /// Told when the state cannot be used, if somebody asks.
    watch: Option<Arc<StateWatch>>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn QuotaStore>,
    /// Others look into it, so that a person can end a pause.
    is_shared: bool,
    /// The pauses that this process knows of, as it last heard, and when they end.
    heard: Mutex<HashMap<AccountKey, (Standing, Instant)>>,
    /// It was said that pauses cannot be kept.
    complained: AtomicBool,
}

impl Default for Quotas {
    fn default() -> Self {
        Self::new(Arc::new(MemoryQuotas::default()), false)
    }
}

impl Quotas {
    /// Those of a store that outlives the process.
    pub(crate) fn in_store(store: Arc<dyn QuotaStore>) -> Self {
        Self::new(store, true)
    }

    fn new(store: Arc<dyn QuotaStore>, is_shared: bool) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                is_shared,
                heard: Mutex::default(),
                complained: AtomicBool::new(false),
            }),
            watch: None,
        }
    }

    /// The same for one run, which is told when the state cannot be used.
    pub(super) fn watched_by(&self, watch: &Arc<StateWatch>) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            watch: Some(Arc::clone(watch)),
        }
    }

    fn unkept(&self, label: &str, error: &StateError) -> Failure {
        if let Some(watch) = &self.watch {
            watch.note();
        }
        unkept(label, error)
    }

    /// Returns the store of limits and pauses.
    #[cfg(feature = "cli")]
    pub(crate) fn store(&self) -> &Arc<dyn QuotaStore> {
        &self.inner.store
    }

    fn known(&self) -> MutexGuard<'_, HashMap<AccountKey, (Standing, Instant)>> {
        self.inner.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The failure of an account's messages while it pauses, as far as this process has heard.
    pub(super) fn heard(&self, key: &AccountKey) -> Option<Failure> {
        self.standing(key).map(|standing| self.paused(&key.label, &standing))
    }

    fn standing(&self, key: &AccountKey) -> Option<Standing> {
        let known = self.known();
        let (standing, until) = known.get(key)?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| Standing {
            end: Coming {
                wait: left,
                ..standing.end
            },
            ..standing.clone()
        })
    }

    fn hear(&self, key: &AccountKey, standing: Option<&Standing>) {
        let mut known = self.known();
        match standing {
            Some(standing) => {
                let until = Instant::now() + standing.end.wait;
                known.insert(key.clone(), (standing.clone(), until));
            }
            None => drop(known.remove(key)),
        }
    }

    /// How many of so many messages the account may send now, at least one, and why not the others.
    ///
    /// # Errors
    /// While the account pauses, and when its limit for 24 hours is reached: waiting would outlast any run. When it states
    /// limits and the state cannot be used.
    pub(super) async fn look(&self, account: &Account, most: usize) -> Result<(usize, Option<Failure>), Failure> {
        let (key, limits) = (key_of(account), limits_of(account));
        let label = &key.label;
        let availability = match self.inner.store.look(&key, limits).await {
            Ok(availability) => availability,
            Err(error) if limits.is_some() => return Err(self.unkept(label, &error)),
            Err(error) => {
                // What this process knows has to do.
                self.complain(&error);
                return match self.heard(&key) {
                    Some(failure) => Err(failure),
                    None => Ok((most, None)),
                };
            }
        };
        match availability {
            Availability::Paused(standing) => {
                self.hear(&key, Some(&standing));
                Err(self.paused(label, &standing))
            }
            Availability::Room(room) => {
                self.hear(&key, None);
                match room {
                    Some((room, next)) if room < most => {
                        let failure = full(label, limits, next);
                        if room == 0 {
                            Err(failure)
                        } else {
                            Ok((room, Some(failure)))
                        }
                    }
                    _ => Ok((most, None)),
                }
            }
        }
    }

    /// Waits until so many transactions may begin, and notes that they do. The numbers are for [`Quotas::end`]; none when
    /// the run ended meanwhile.
    ///
    /// # Errors
    /// As [`Quotas::look`]; none of them begins then.
    pub(super) async fn admit(
        &self,
        key: &AccountKey,
        limits: SendLimits,
        count: usize,
        ending: &ShutdownToken,
    ) -> Result<Option<Vec<i64>>, Failure> {
        loop {
            let admission = self.inner.store.admit(key, limits, count).await;
            let wait = match admission.map_err(|error| self.unkept(&key.label, &error))? {
                Admission::Admitted(admissions) => return Ok(Some(admissions)),
                Admission::Paused(standing) => {
                    self.hear(key, Some(&standing));
                    return Err(self.paused(&key.label, &standing));
                }
                Admission::DayFull(next) => return Err(full(&key.label, limits, next)),
                Admission::Wait(wait) => wait,
            };
            tokio::select! {
                () = wait => {}
                () = ending.requested() => return Ok(None),
            }
        }
    }

    /// These transactions have ended.
    pub(super) fn end(&self, key: &AccountKey, admissions: Vec<i64>) {
        self.inner.store.end(key, admissions);
    }

    /// Notes a failure that a server's quota has caused; the account pauses as long as that quota lasts. Returns until when,
    /// in words.
    pub(super) async fn note(&self, account: &Account, failure: &Failure) -> Option<String> {
        match (failure.kind, failure.wait) {
            (FailureKind::Quota, Some(wait)) => {
                Some(self.pause(account, PauseCause::Quota, wait, &failure.message).await)
            }
            _ => None,
        }
    }

    /// Notes the reply that refused a sign-in. One that speaks of too many sign-ins is answered by making none for a while;
    /// each further one would prolong it. Returns what helps, if the account pauses.
    pub(super) async fn note_sign_in(&self, account: &Account, host: &str, reply: &[u8]) -> Option<Remedy> {
        let reply = PastedReply::parse(&String::from_utf8_lossy(reply)).ok()?;
        let code = reply.code()?;
        let provider = Provider::of_host(host);
        let meaning = explain_for(provider, code, reply.enhanced(), reply.text(), Some(Stage::Auth));
        let cause = match meaning.kind {
            FailureKind::Transient => PauseCause::Transient,
            FailureKind::Quota => PauseCause::Quota,
            _ => return None,
        };
        let (Retry::After(wait), Scope::Account) = (meaning.retry, meaning.scope) else {
            return None;
        };
        self.pause(account, cause, wait, &meaning.cause).await;
        self.remedy(account.label())
    }

    async fn pause(&self, account: &Account, cause: PauseCause, seconds: u32, why: &str) -> String {
        let key = key_of(account);
        let lasts = Duration::from_secs(seconds.into());
        // A batch that fails as a whole says the same of each message.
        let known = self.standing(&key);
        if let Some(known) = known.filter(|known| known.end.wait + Duration::from_secs(1) >= lasts) {
            return at(known.end.at);
        }
        let standing = match self.inner.store.pause(&key, cause, lasts, why).await {
            Ok(standing) => standing,
            Err(error) => {
                self.complain(&error);
                let begun = SystemClock.now();
                let until = begun + length(lasts);
                Standing {
                    pause: Pause {
                        begun,
                        until,
                        cause,
                        why: why.to_owned(),
                    },
                    end: Coming { at: until, wait: lasts },
                }
            }
        };
        let until = at(standing.end.at);
        tracing::info!(account = key.label, "the account pauses; it goes on {until}");
        self.hear(&key, Some(&standing));
        until
    }

    fn paused(&self, label: &str, standing: &Standing) -> Failure {
        let message = format!(
            "The account `{label}` pauses, and nothing was sent; it goes on {}. {}",
            at(standing.end.at),
            standing.pause.why
        );
        let kind = match standing.pause.cause {
            PauseCause::Quota | PauseCause::Person => FailureKind::Quota,
            PauseCause::Transient => FailureKind::Transient,
        };
        let mut failure = Failure::new(kind, message);
        failure.remedy = self.remedy(label);
        if failure.remedy.is_some() {
            failure = failure.advise("Wait until then, or end the pause if you know that the account may send again.");
        }
        failure.wait = Some(seconds(standing.end.wait));
        failure
    }

    /// What a person may do about an account's pause: end it, if others see it.
    pub(super) fn remedy(&self, label: &str) -> Option<Remedy> {
        self.inner.is_shared.then(|| Remedy::ResumeAccount {
            account: label.to_owned(),
        })
    }

    /// Once is enough: each hand-over would say the same.
    fn complain(&self, error: &StateError) {
        if !self.inner.complained.swap(true, Ordering::Relaxed) {
            tracing::warn!("{error} So the pauses of accounts are known to this process alone.");
        }
    }
}

fn full(label: &str, limits: SendLimits, next: Coming) -> Failure {
    let message = format!(
        "The account `{label}` has sent the {} messages that its own limit allows in 24 hours; the next may go {}.",
        limits.per_day.unwrap_or_default(),
        at(next.at)
    );
    let mut failure = Failure::new(FailureKind::Quota, message)
        .advise("Wait until then, or raise limits.messages_per_day in the account.")
        .with_remedy(Remedy::RaiseAccountLimit {
            account: label.to_owned(),
        });
    failure.wait = Some(seconds(next.wait));
    failure
}

fn unkept(label: &str, error: &StateError) -> Failure {
    let message = format!(
        "The account `{label}` states limits, and what it has sent cannot be counted, so nothing was sent. {error}"
    );
    Failure::new(FailureKind::Configuration, message)
        .advise("Use a state directory that can be written, or take the limits out of the account.")
}

fn seconds(left: Duration) -> u32 {
    u32::try_from(left.as_micros().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

/// A moment, in words.
fn at(moment: Moment) -> String {
    let moment = jiff::Timestamp::from_microsecond(moment).unwrap_or_default();
    let local = moment.to_zoned(jiff::tz::TimeZone::system());
    format!("at {}", local.strftime("%Y-%m-%d %H:%M:%S %Z"))
}

#[cfg(test)]
mod tests;
