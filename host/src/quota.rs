//! How much an account may send, and when: the limits that it states for itself, and the pauses that a server imposes.
//!
//! Limits are sliding windows over what was admitted: no second and no 24 hours, wherever they begin, hold more than the
//! limit, over all connections and runs of the process. A message counts from its admission until a window after its end,
//! since nobody here knows when in between the server takes it; one that failed counts too. So a limit is kept exactly,
//! and not always filled. A pause begins with a server's answer that speaks for the whole account (a quota, too many
//! sign-ins) and lasts as long as that answer means.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pipepost_accounts::Limits;
use pipepost_gmail::{PastedReply, Provider, Retry, Scope, Stage, explain_for};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ending::Ending;
use crate::failure::{Failure, Kind};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What every account of the process has sent of late, and which accounts pause. A handle: clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quotas {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    accounts: Mutex<HashMap<String, Account>>,
    /// Told of each message that ends.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Account {
    /// Messages that were admitted and have not ended.
    under_way: usize,
    /// When messages ended within the last day, oldest first.
    ended: VecDeque<Instant>,
    pause: Option<Pause>,
}

/// Messages that may be sent now. Dropped, they have ended.
#[derive(Debug)]
pub(crate) struct Admission {
    count: usize,
    /// The account states limits, so it is remembered when these ended.
    limited: bool,
    of: Option<(Quotas, String)>,
}

/// Nothing is sent until it is over.
#[derive(Debug, Clone)]
struct Pause {
    until: Instant,
    kind: Kind,
    /// What the server said, as a sentence.
    why: String,
}

impl Admission {
    /// For what no limit concerns.
    pub(crate) fn unlimited(count: usize) -> Self {
        Self {
            count,
            limited: false,
            of: None,
        }
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// They have ended, some of them with these failures.
    pub(crate) fn end<'f>(self, failures: impl Iterator<Item = &'f Failure>) {
        if let Some((quotas, label)) = &self.of {
            failures.for_each(|failure| quotas.note(label, failure));
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let Some((quotas, label)) = &self.of else { return };
        if let Some(account) = quotas.accounts().get_mut(label) {
            account.under_way -= self.count;
            if self.limited {
                account.ended.extend(std::iter::repeat_n(Instant::now(), self.count));
            }
        }
        quotas.shared.ended.notify_waiters();
    }
}

/// What becomes of a wish to send.
enum Word {
    Admitted(usize),
    /// Until a message ends, or this long.
    Wait(Option<Duration>),
}

impl Quotas {
    fn accounts(&self) -> MutexGuard<'_, HashMap<String, Account>> {
        self.shared.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the account may send at least one message more, and admits at most `most`.
    ///
    /// # Errors
    /// While the account pauses, and when its limit for 24 hours is reached: waiting would outlast any run. When the run
    /// ends meanwhile.
    pub(crate) async fn admit(
        &self,
        label: &str,
        limits: Limits,
        most: usize,
        ending: &Ending,
    ) -> Result<Admission, Failure> {
        loop {
            // Made before the look, so that an end between the two is not missed.
            let an_end = self.shared.ended.notified();
            let wait = match self.try_admit(label, limits, most)? {
                Word::Admitted(count) => {
                    return Ok(Admission {
                        count,
                        limited: limits.messages_per_second.is_some() || limits.messages_per_day.is_some(),
                        of: Some((self.clone(), label.to_owned())),
                    });
                }
                Word::Wait(wait) => wait,
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
                () = ending.called() => {
                    return Err(Failure::new(Kind::Limit, "The run ended while this message waited for its turn."));
                }
            }
        }
    }

    fn try_admit(&self, label: &str, limits: Limits, most: usize) -> Result<Word, Failure> {
        let now = Instant::now();
        let mut accounts = self.accounts();
        let account = accounts.entry(label.to_owned()).or_default();
        if let Some(pause) = account.pause.clone() {
            if now < pause.until {
                return Err(pause.failure(label, pause.until - now));
            }
            account.pause = None;
        }
        while account.ended.front().is_some_and(|first| now - *first >= DAY) {
            account.ended.pop_front();
        }
        let today = account.room(limits.messages_per_day, DAY, now);
        if today == 0 {
            let left = account.ended.front().map_or(DAY, |first| DAY - (now - *first));
            let message = format!(
                "The account `{label}` has sent the {} messages that its own limit allows in 24 hours; the next may go {}.",
                limits.messages_per_day.unwrap_or_default(),
                at(left)
            );
            let mut failure = Failure::new(Kind::Quota, message)
                .advise("Wait until then, or raise limits.messages_per_day in the account.");
            failure.wait = Some(seconds(left));
            return Err(failure);
        }
        let count = account
            .room(limits.messages_per_second, SECOND, now)
            .min(today)
            .min(most);
        if count == 0 {
            let recent = account.ended.iter().find(|end| now - **end < SECOND);
            return Ok(Word::Wait(recent.map(|end| SECOND - (now - *end))));
        }
        account.under_way += count;
        Ok(Word::Admitted(count))
    }

    /// Notes a failure that a server's quota has caused; the account pauses as long as that quota lasts.
    pub(crate) fn note(&self, label: &str, failure: &Failure) {
        if let (Kind::Quota, Some(wait)) = (failure.kind, failure.wait) {
            self.pause(label, Kind::Quota, wait, failure.message.clone());
        }
    }

    /// Notes the reply that refused a sign-in. One that speaks of too many sign-ins is answered by making none for a while;
    /// each further one would prolong it.
    pub(crate) fn note_sign_in(&self, label: &str, host: &str, reply: &[u8]) {
        let Ok(reply) = PastedReply::parse(&String::from_utf8_lossy(reply)) else {
            return;
        };
        let Some(code) = reply.code() else { return };
        let provider = Provider::of_host(host);
        let meaning = explain_for(provider, code, reply.enhanced(), reply.text(), Some(Stage::Auth));
        let temporary =
            Kind::from_name(meaning.kind.as_str()).filter(|kind| matches!(kind, Kind::Transient | Kind::Quota));
        if let (Some(kind), Retry::After(wait), Scope::Account) = (temporary, meaning.retry, meaning.scope) {
            self.pause(label, kind, wait, meaning.cause.into_owned());
        }
    }

    fn pause(&self, label: &str, kind: Kind, wait: u32, why: String) {
        let until = Instant::now() + Duration::from_secs(wait.into());
        let mut accounts = self.accounts();
        let account = accounts.entry(label.to_owned()).or_default();
        if account.pause.as_ref().is_none_or(|pause| pause.until < until) {
            account.pause = Some(Pause { until, kind, why });
            tracing::info!(
                account = label,
                "the account pauses; it goes on {}",
                at(until - Instant::now())
            );
        }
    }
}

impl Account {
    /// How many messages more the window takes now.
    fn room(&self, most: Option<u32>, window: Duration, now: Instant) -> usize {
        let Some(most) = most else { return usize::MAX };
        let most = usize::try_from(most).unwrap_or(usize::MAX).max(1);
        let ended = self.ended.iter().rev().take_while(|end| now - **end < window).count();
        most.saturating_sub(self.under_way + ended)
    }
}

impl Pause {
    fn failure(&self, label: &str, left: Duration) -> Failure {
        let message = format!(
            "The account `{label}` pauses, and nothing was sent; it goes on {}. {}",
            at(left),
            self.why
        );
        let mut failure = Failure::new(self.kind, message);
        failure.wait = Some(seconds(left));
        failure
    }
}

fn seconds(left: Duration) -> u32 {
    u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

/// The moment after this long, by the clock on the wall.
fn at(left: Duration) -> String {
    let until = jiff::Zoned::now().saturating_add(jiff::SignedDuration::try_from(left).unwrap_or_default());
    format!("at {}", until.strftime("%Y-%m-%d %H:%M:%S %Z"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ending::ending;

    fn limits(second: Option<u32>, day: Option<u32>) -> Limits {
        Limits {
            messages_per_second: second,
            messages_per_day: day,
            ..Limits::default()
        }
    }

    /// One message, which ends at once.
    async fn admit(quotas: &Quotas, label: &str, limits: Limits, ending: &Ending) -> Result<(), Failure> {
        quotas.admit(label, limits, 1, ending).await.map(drop)
    }

    #[tokio::test(start_paused = true)]
    async fn no_sliding_second_holds_more_than_the_limit_whoever_sends() {
        let quotas = Quotas::default();
        let (_call, ending) = ending();
        let start = Instant::now();
        let mut senders = tokio::task::JoinSet::new();
        for sender in 0..7_u64 {
            let (quotas, ending) = (quotas.clone(), ending.clone());
            senders.spawn(async move {
                let mut sent = Vec::new();
                let mut left = 20;
                while left > 0 {
                    let limits = limits(Some(3), None);
                    let admission = quotas.admit("a", limits, left, &ending).await.expect("its turn comes");
                    // Uneven, so that windows begin everywhere; a server takes a message at any time before its end.
                    for message in 0..admission.count() as u64 {
                        tokio::time::sleep(Duration::from_millis((37 * sender + 13 * message) % 90)).await;
                        sent.push(Instant::now());
                    }
                    tokio::time::sleep(Duration::from_millis(11 * sender)).await;
                    left -= admission.count();
                }
                sent
            });
        }
        let mut sent: Vec<Instant> = senders.join_all().await.into_iter().flatten().collect();
        sent.sort();
        assert_eq!(sent.len(), 140);
        for window in sent.windows(4) {
            let span = window[3] - window[0];
            assert!(span >= SECOND, "four messages within {span:?}");
        }
        // Nor is it much slower than it has to be: 140 messages, three a second.
        assert!(start.elapsed() < Duration::from_secs(70), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_of_a_day_is_told_with_its_end_and_slides() {
        let quotas = Quotas::default();
        let (_call, ending) = ending();
        let day = limits(None, Some(2));
        admit(&quotas, "a", day, &ending).await.expect("the first");
        tokio::time::advance(DAY / 2).await;
        admit(&quotas, "a", day, &ending).await.expect("the second");
        let failure = admit(&quotas, "a", day, &ending)
            .await
            .expect_err("the third is too many");
        assert_eq!((failure.kind, failure.wait), (Kind::Quota, Some(12 * 60 * 60)));
        admit(&quotas, "b", day, &ending).await.expect("another account");
        tokio::time::advance(DAY / 2).await;
        admit(&quotas, "a", day, &ending).await.expect("the first is a day old");
        admit(&quotas, "a", day, &ending).await.expect_err("the second is not");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_pauses_its_account_for_as_long_as_it_means() {
        let quotas = Quotas::default();
        let (_call, ending) = ending();
        let none = Limits::default();
        let mut refusal = Failure::new(Kind::Quota, "Gmail says enough.");
        refusal.wait = Some(3600);
        quotas.note("a", &refusal);
        let failure = admit(&quotas, "a", none, &ending).await.expect_err("it pauses");
        assert_eq!((failure.kind, failure.wait), (Kind::Quota, Some(3600)));
        assert!(failure.message.contains("Gmail says enough."), "{failure}");
        admit(&quotas, "b", none, &ending).await.expect("another account");
        tokio::time::advance(Duration::from_secs(3600)).await;
        admit(&quotas, "a", none, &ending).await.expect("it is over");
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_sign_ins_are_a_pause_and_no_wrong_password() {
        let quotas = Quotas::default();
        let (_call, ending) = ending();
        let none = Limits::default();
        quotas.note_sign_in(
            "a",
            "smtp.gmail.com",
            b"535 5.7.8 Username and Password not accepted. - gsmtp\r\n",
        );
        admit(&quotas, "a", none, &ending)
            .await
            .expect("a wrong password pauses nothing");
        quotas.note_sign_in(
            "a",
            "smtp.gmail.com",
            b"454 4.7.0 Too many login attempts, please try again later. - gsmtp\r\n",
        );
        let failure = admit(&quotas, "a", none, &ending).await.expect_err("it backs off");
        assert_eq!(failure.kind, Kind::Transient, "{failure}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_ends_waits_no_longer() {
        let quotas = Quotas::default();
        let (call, ending) = ending();
        let slow = limits(Some(1), None);
        admit(&quotas, "a", slow, &ending).await.expect("the first");
        call.end_within(Duration::ZERO);
        let failure = admit(&quotas, "a", slow, &ending).await.expect_err("it is over");
        assert_eq!(failure.kind, Kind::Limit);
    }
}
