//! How much an account may send, and when: the limits that it states for itself, and the pauses that a server imposes.
//!
//! Limits are sliding windows over the transactions that were announced to commit: no second and no 24 hours, wherever
//! they begin, hold more than the limit, over all connections and runs, and over all processes that share a state. A
//! message that is split by its recipients counts as its transactions, each of which is a message to the server. A pause
//! begins with a server's answer that speaks for the whole account (a quota, too many sign-ins) and lasts as long as that
//! answer means, for the next runs too where there is a state.
//!
//! An account without limits costs one look at its pause for each hand-over, and no transaction.

mod allowance;
mod clock;
mod pauses;
mod shelf;
mod sqlite;
mod windows;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use allowance::{Allowance, Leave};
use clock::{Clock, Moment, SystemClock, duration, length};
pub use pauses::{PauseEntry, Pauses};
use pipepost_accounts::{Account, Limits};
use pipepost_core::shutdown::ShutdownToken;
use pipepost_core::{Failure, FailureKind};
use pipepost_replies::{PastedReply, Provider, Retry, Scope, Stage, explain_for};
use shelf::{Key, Memory, Pause, Rows, Shelf};
use sqlite::Shared;
use tokio::sync::Notify;
pub(crate) use windows::counts;
use windows::{Outlook, Word};

use crate::state::StateError;

/// How soon a message that waits for another process's looks again.
const AGAIN: Duration = Duration::from_millis(20);

/// Whether an account states limits for its messages, which have to be counted.
pub fn states_limits(account: &Account) -> bool {
    counts(account.limits())
}

/// What every account has sent of late, and which accounts pause. A handle: clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Quotas {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shelf: Box<dyn Shelf>,
    clock: Arc<dyn Clock>,
    /// The state directory, for sentences.
    directory: Option<PathBuf>,
    /// The pauses that this process knows of, as it last heard.
    pauses: Mutex<HashMap<Key, Pause>>,
    /// Told of each admission that ends.
    ended: Notify,
    /// It was said that pauses cannot be kept.
    complained: AtomicBool,
}

impl Default for Quotas {
    fn default() -> Self {
        Self::new(Box::new(Memory::default()), Arc::new(SystemClock), None)
    }
}

impl Key {
    fn of(account: &Account) -> Self {
        let endpoint = account.endpoint().ok();
        let host = endpoint.as_ref().map(|endpoint| &endpoint.host);
        Self {
            label: account.label().to_owned(),
            account: serde_json::json!([account.label(), account.username(), host]).to_string(),
        }
    }
}

impl Quotas {
    /// Shared by all who name this state directory.
    pub(crate) fn in_state(directory: &Path) -> Self {
        let shelf = Shared::new(directory);
        Self::new(Box::new(shelf), Arc::new(SystemClock), Some(directory.to_owned()))
    }

    fn new(shelf: Box<dyn Shelf>, clock: Arc<dyn Clock>, directory: Option<PathBuf>) -> Self {
        Self {
            inner: Arc::new(Inner {
                shelf,
                clock,
                directory,
                pauses: Mutex::default(),
                ended: Notify::new(),
                complained: AtomicBool::new(false),
            }),
        }
    }

    /// How many of so many messages the account may send now, at least one, and why not the others.
    ///
    /// # Errors
    /// While the account pauses, and when its limit for 24 hours is reached: waiting would outlast any run. When it states
    /// limits and the state cannot be used.
    pub(crate) async fn look(&self, account: &Account, most: usize) -> Result<(usize, Option<Failure>), Failure> {
        let (key, limits) = (Key::of(account), account.limits());
        let outlook = if counts(limits) {
            self.work(move |inner| inner.look(&key, limits)).await
        } else {
            self.work(move |inner| Ok(inner.standing_pause(&key).map(Outlook::Pausing)))
                .await
                .map(|outlook| outlook.unwrap_or(Outlook::Room(usize::MAX, 0)))
        };
        let label = account.label();
        match outlook.map_err(|error| self.unkept(label, &error))? {
            Outlook::Pausing(pause) => Err(self.paused(label, &pause)),
            Outlook::Room(room, _) if room >= most => Ok((most, None)),
            Outlook::Room(room, next) => {
                let failure = self.full(label, limits, next);
                if room == 0 {
                    Err(failure)
                } else {
                    Ok((room, Some(failure)))
                }
            }
        }
    }

    /// Waits until so many transactions may begin, and notes that they do. The numbers are for [`Quotas::end`].
    ///
    /// # Errors
    /// As [`Quotas::look`]; none of them begins then.
    async fn admit(
        &self,
        key: &Key,
        limits: Limits,
        count: usize,
        ending: &ShutdownToken,
    ) -> Result<Option<Vec<i64>>, Failure> {
        loop {
            // Made before the look, so that an end between the two is not missed.
            let an_end = self.inner.ended.notified();
            let wanted = key.clone();
            let word = self.work(move |inner| inner.admit(&wanted, limits, count)).await;
            let wait = match word.map_err(|error| self.unkept(&key.label, &error))? {
                Word::Admitted(admissions) => return Ok(Some(admissions)),
                Word::Pausing(pause) => return Err(self.paused(&key.label, &pause)),
                Word::DayIsFull(next) => return Err(self.full(&key.label, limits, next)),
                Word::Wait(wait) => wait.or(self.inner.shelf.is_shared().then_some(AGAIN)),
            };
            let over = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => {}
                () = an_end => {}
                () = ending.requested() => return Ok(None),
            }
        }
    }

    /// Does what may wait for a disk where nobody waits for the thread.
    async fn work<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Inner) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        if !self.inner.shelf.is_shared() {
            return act(&self.inner);
        }
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || act(&inner)).await;
        done.unwrap_or_else(|error| {
            let directory = self.inner.directory.as_deref().unwrap_or(Path::new("state"));
            Err(StateError::unusable(directory, error))
        })
    }

    /// These transactions have ended.
    fn end(&self, key: &Key, admissions: &[i64]) {
        // A moment later than the clock says, which tells whole ones.
        let now = self.inner.clock.now() + 1;
        let ended = self.inner.shelf.change(key, false, &mut |rows| {
            admissions.iter().try_for_each(|admission| rows.end(*admission, now))
        });
        if let Err(error) = ended {
            // It counts as under way, and once this process is gone as ended then.
            tracing::warn!("{error} The end of a message was not noted for its account's limits.");
        }
        self.inner.ended.notify_waiters();
    }

    /// Notes a failure that a server's quota has caused; the account pauses as long as that quota lasts. Answers until when,
    /// in words.
    pub(crate) fn note(&self, account: &Account, failure: &Failure) -> Option<String> {
        match (failure.kind, failure.wait) {
            (FailureKind::Quota, Some(wait)) => {
                Some(self.pause(account, FailureKind::Quota, wait, failure.message.clone()))
            }
            _ => None,
        }
    }

    /// Notes the reply that refused a sign-in. One that speaks of too many sign-ins is answered by making none for a while;
    /// each further one would prolong it.
    pub(crate) fn note_sign_in(&self, account: &Account, host: &str, reply: &[u8]) {
        let Ok(reply) = PastedReply::parse(&String::from_utf8_lossy(reply)) else {
            return;
        };
        let Some(code) = reply.code() else { return };
        let provider = Provider::of_host(host);
        let meaning = explain_for(provider, code, reply.enhanced(), reply.text(), Some(Stage::Auth));
        let temporary = Some(meaning.kind).filter(|kind| kind.is_temporary());
        if let (Some(kind), Retry::After(wait), Scope::Account) = (temporary, meaning.retry, meaning.scope) {
            self.pause(account, kind, wait, meaning.cause.into_owned());
        }
    }

    fn pause(&self, account: &Account, kind: FailureKind, wait: u32, why: String) -> String {
        let key = Key::of(account);
        let begun = self.inner.clock.now();
        let pause = Pause {
            begun,
            until: begun + length(Duration::from_secs(wait.into())),
            kind,
            why,
        };
        let known = self.inner.known_pause(&key);
        // A batch that fails as a whole says the same of each message.
        if let Some(known) = known.filter(|known| known.until + length(windows::SECOND) >= pause.until) {
            return at(known.until);
        }
        let until = at(pause.until);
        tracing::info!(account = key.label, "the account pauses; it goes on {until}");
        let kept = self.inner.shelf.change(&key, true, &mut |rows| {
            let longer = rows.pause()?.is_none_or(|other| other.until < pause.until);
            if longer { rows.set_pause(Some(&pause)) } else { Ok(()) }
        });
        if let Err(error) = kept {
            self.inner.complain(&error);
        }
        self.inner.pauses().insert(key, pause);
        until
    }

    fn paused(&self, label: &str, pause: &Pause) -> Failure {
        let message = format!(
            "The account `{label}` pauses, and nothing was sent; it goes on {}. {}",
            at(pause.until),
            pause.why
        );
        let mut failure = Failure::new(pause.kind, message);
        if self.inner.directory.is_some() {
            failure = failure.advise(format!(
                "Wait until then; if you know that it may send again, `pipepost accounts resume {label}` ends the pause."
            ));
        }
        failure.wait = Some(seconds(self.inner.left(pause.until)));
        failure
    }

    fn full(&self, label: &str, limits: Limits, next: Moment) -> Failure {
        let message = format!(
            "The account `{label}` has sent the {} messages that its own limit allows in 24 hours; the next may go {}.",
            limits.messages_per_day.unwrap_or_default(),
            at(next)
        );
        let mut failure = Failure::new(FailureKind::Quota, message)
            .advise("Wait until then, or raise limits.messages_per_day in the account.");
        failure.wait = Some(seconds(self.inner.left(next)));
        failure
    }

    fn unkept(&self, label: &str, error: &StateError) -> Failure {
        let message = format!(
            "The account `{label}` states limits, and what it has sent cannot be counted, so nothing was sent. {error}"
        );
        Failure::new(FailureKind::Configuration, message)
            .advise("Name a directory that can be written with --state, or take the limits out of the account.")
    }
}

impl Inner {
    fn pauses(&self) -> MutexGuard<'_, HashMap<Key, Pause>> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pause that this process knows of, if it stands.
    fn known_pause(&self, key: &Key) -> Option<Pause> {
        let now = self.clock.now();
        self.pauses().get(key).filter(|pause| now < pause.until).cloned()
    }

    /// The pause that stands. Where the state cannot be read, what this process knows has to do.
    fn standing_pause(&self, key: &Key) -> Option<Pause> {
        let pause = match self.shelf.pause(key) {
            Ok(None) => None,
            Ok(Some(pause)) if pause.begun <= self.clock.now() => {
                Some(pause).filter(|pause| self.clock.now() < pause.until)
            }
            // The clock was set back.
            Ok(Some(_)) => {
                let mut standing = None;
                let change = self.shelf.change(key, false, &mut |rows| {
                    standing = windows::pause(rows, self.clock.now())?;
                    Ok(())
                });
                if let Err(error) = change {
                    self.complain(&error);
                }
                standing
            }
            Err(error) => {
                self.complain(&error);
                return self.known_pause(key);
            }
        };
        self.hear(key, pause.as_ref());
        pause
    }

    fn hear(&self, key: &Key, pause: Option<&Pause>) {
        let mut pauses = self.pauses();
        match pause {
            Some(pause) => drop(pauses.insert(key.clone(), pause.clone())),
            None => drop(pauses.remove(key)),
        }
    }

    fn look(&self, key: &Key, limits: Limits) -> Result<Outlook, StateError> {
        let outlook = self.within(key, false, |rows| windows::look(rows, limits, &*self.clock))?;
        self.hear(
            key,
            match &outlook {
                Outlook::Pausing(pause) => Some(pause),
                Outlook::Room(..) => None,
            },
        );
        Ok(outlook)
    }

    fn admit(&self, key: &Key, limits: Limits, count: usize) -> Result<Word, StateError> {
        let durable = limits.messages_per_day.is_some();
        self.within(key, durable, |rows| windows::admit(rows, limits, count, &*self.clock))
    }

    fn within<T>(
        &self,
        key: &Key,
        durable: bool,
        mut act: impl FnMut(&mut dyn Rows) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let mut answer = None;
        self.shelf.change(key, durable, &mut |rows| {
            answer = Some(act(rows)?);
            Ok(())
        })?;
        let directory = self.directory.as_deref().unwrap_or(Path::new("state"));
        answer.ok_or_else(|| StateError::unusable(directory, "it gave no answer"))
    }

    fn left(&self, until: Moment) -> Duration {
        duration(until - self.clock.now())
    }

    /// Once is enough: each hand-over would say the same.
    fn complain(&self, error: &StateError) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            tracing::warn!("{error} So the pauses of accounts are known to this process alone.");
        }
    }
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
