//! How much an account may send, and when: the limits that it states for itself, and the pauses that a server imposes.
//!
//! Limits are sliding windows over what was admitted: no second and no 24 hours, wherever they begin, hold more than the
//! limit, over all connections and runs of the process. What was admitted and then failed counts too, so the limit is
//! kept and not filled. A pause begins with a server's answer that speaks for the whole account (a quota, too many
//! sign-ins) and lasts as long as that answer means.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pipepost_accounts::Limits;
use pipepost_gmail::{PastedReply, Provider, Retry, Scope, Stage, explain_for};
use tokio::time::Instant;

use crate::ending::Ending;
use crate::failure::{Failure, Kind};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What every account of the process has sent of late, and which accounts pause.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    accounts: Mutex<HashMap<String, Account>>,
}

#[derive(Debug, Default)]
struct Account {
    /// When messages were admitted within the last day, oldest first.
    admitted: VecDeque<Instant>,
    pause: Option<Pause>,
}

/// Nothing is sent until it is over.
#[derive(Debug, Clone)]
struct Pause {
    until: Instant,
    kind: Kind,
    /// What the server said, as a sentence.
    why: String,
}

impl Quotas {
    fn accounts(&self) -> MutexGuard<'_, HashMap<String, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the account may send one message more within a second, and counts it.
    ///
    /// # Errors
    /// While the account pauses, and when its limit for 24 hours is reached: waiting would outlast any run. When the run
    /// ends meanwhile.
    pub(crate) async fn admit(&self, label: &str, limits: Limits, ending: &Ending) -> Result<(), Failure> {
        loop {
            let wait = match self.try_admit(label, limits)? {
                None => return Ok(()),
                Some(wait) => wait,
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = ending.called() => {
                    return Err(Failure::new(Kind::Limit, "The run ended while this message waited for its turn."));
                }
            }
        }
    }

    /// Counts one message, or says how long to wait.
    fn try_admit(&self, label: &str, limits: Limits) -> Result<Option<Duration>, Failure> {
        let now = Instant::now();
        let mut accounts = self.accounts();
        let account = accounts.entry(label.to_owned()).or_default();
        if let Some(pause) = account.pause.clone() {
            if now < pause.until {
                return Err(pause.failure(label, pause.until - now));
            }
            account.pause = None;
        }
        while account.admitted.front().is_some_and(|first| now - *first >= DAY) {
            account.admitted.pop_front();
        }
        if let Some(left) = account.full_for(limits.messages_per_day, DAY, now) {
            let most = limits.messages_per_day.unwrap_or_default();
            let message = format!(
                "The account `{label}` has sent the {most} messages that its own limit allows in 24 hours; the next may go {}.",
                at(left)
            );
            let mut failure = Failure::new(Kind::Quota, message)
                .advise("Wait until then, or raise limits.messages_per_day in the account.");
            failure.wait = Some(seconds(left));
            return Err(failure);
        }
        if let Some(left) = account.full_for(limits.messages_per_second, SECOND, now) {
            return Ok(Some(left));
        }
        account.admitted.push_back(now);
        Ok(None)
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
    /// How long the window is full yet, if it is.
    fn full_for(&self, most: Option<u32>, window: Duration, now: Instant) -> Option<Duration> {
        let most = usize::try_from(most?).unwrap_or(usize::MAX).max(1);
        let first = *self.admitted.get(self.admitted.len().checked_sub(most)?)?;
        let age = now - first;
        (age < window).then(|| window - age)
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

    #[tokio::test(start_paused = true)]
    async fn no_sliding_second_holds_more_than_the_limit_whoever_sends() {
        let quotas = std::sync::Arc::new(Quotas::default());
        let (_call, ending) = ending();
        let start = Instant::now();
        let mut senders = tokio::task::JoinSet::new();
        for sender in 0..7_u64 {
            let (quotas, ending) = (std::sync::Arc::clone(&quotas), ending.clone());
            senders.spawn(async move {
                let mut sent = Vec::new();
                for message in 0..20_u64 {
                    // Uneven, so that windows begin everywhere.
                    tokio::time::sleep(Duration::from_millis(37 * sender + 13 * message % 90)).await;
                    quotas
                        .admit("a", limits(Some(3), None), &ending)
                        .await
                        .expect("its turn comes");
                    sent.push(Instant::now());
                }
                sent
            });
        }
        let mut sent: Vec<Instant> = senders.join_all().await.into_iter().flatten().collect();
        sent.sort();
        assert_eq!(sent.len(), 140);
        for window in sent.windows(4) {
            assert!(
                window[3] - window[0] >= SECOND,
                "four messages within {:?}",
                window[3] - window[0]
            );
        }
        // Nor is it slower than it has to be: 140 messages, three a second.
        assert!(start.elapsed() < Duration::from_secs(48), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_of_a_day_is_told_with_its_end_and_slides() {
        let quotas = Quotas::default();
        let (_call, ending) = ending();
        let day = limits(None, Some(2));
        quotas.admit("a", day, &ending).await.expect("the first");
        tokio::time::advance(DAY / 2).await;
        quotas.admit("a", day, &ending).await.expect("the second");
        let failure = quotas
            .admit("a", day, &ending)
            .await
            .expect_err("the third is too many");
        assert_eq!((failure.kind, failure.wait), (Kind::Quota, Some(12 * 60 * 60)));
        quotas.admit("b", day, &ending).await.expect("another account");
        tokio::time::advance(DAY / 2).await;
        quotas.admit("a", day, &ending).await.expect("the first is a day old");
        quotas.admit("a", day, &ending).await.expect_err("the second is not");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_pauses_its_account_for_as_long_as_it_means() {
        let quotas = Quotas::default();
        let (_call, ending) = ending();
        let none = Limits::default();
        let mut refusal = Failure::new(Kind::Quota, "Gmail says enough.");
        refusal.wait = Some(3600);
        quotas.note("a", &refusal);
        let failure = quotas.admit("a", none, &ending).await.expect_err("it pauses");
        assert_eq!((failure.kind, failure.wait), (Kind::Quota, Some(3600)));
        assert!(failure.message.contains("Gmail says enough."), "{failure}");
        quotas.admit("b", none, &ending).await.expect("another account");
        tokio::time::advance(Duration::from_secs(3600)).await;
        quotas.admit("a", none, &ending).await.expect("it is over");
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
        quotas
            .admit("a", none, &ending)
            .await
            .expect("a wrong password pauses nothing");
        quotas.note_sign_in(
            "a",
            "smtp.gmail.com",
            b"454 4.7.0 Too many login attempts, please try again later. - gsmtp\r\n",
        );
        let failure = quotas.admit("a", none, &ending).await.expect_err("it backs off");
        assert_eq!(failure.kind, Kind::Transient, "{failure}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_ends_waits_no_longer() {
        let quotas = Quotas::default();
        let (call, ending) = ending();
        let slow = limits(Some(1), None);
        quotas.admit("a", slow, &ending).await.expect("the first");
        call.end_within(Duration::ZERO);
        let failure = quotas.admit("a", slow, &ending).await.expect_err("it is over");
        assert_eq!(failure.kind, Kind::Limit);
    }
}
