//! Retries, decided only by the kind of the failure.
//!
//! A transient failure is tried again after a pause that grows from try to try. The pause is shortened by a random
//! part, so that many calls that failed together do not return together. If the server states a time, the next try is
//! not before it. A used-up quota is tried again when its server says how long to wait and the run has that much time.
//! Nothing else is tried again, except an uncertain message when the pipeline asks for it. A try never outlasts the
//! run: one that would begin after its end is not waited for.

use std::time::Duration;

use pipepost_core::shutdown::ShutdownToken;
use pipepost_core::{Failure, FailureKind};
use serde_json::Value;
use tokio::time::Instant;

use super::calls::Failed;

/// The parameters that the host obeys itself. They are no part of a message's content.
pub(super) const HOST_PARAMETERS: [&str; 3] = ["retry", "onUncertain", "failOnError"];

/// How often and how far apart a call is tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Retry {
    /// Tries altogether, the first among them.
    attempts: u32,
    /// The pause after the first.
    initial_backoff: Duration,
    /// Backoff multiplier.
    multiplier: f64,
    /// The longest pause.
    max_backoff: Duration,
    /// A message that may have been sent is sent again.
    pub(super) resend: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            initial_backoff: Duration::from_secs(1),
            multiplier: 2.0,
            max_backoff: Duration::from_secs(30),
            resend: false,
        }
    }
}

/// Most tries that a step can ask for.
const ATTEMPTS_MAX: u64 = 100;

impl Retry {
    /// What a step says of it: `retry` is the number of tries, `{attempts, first, factor, max}`, or `false`; `onUncertain`
    /// is `report` or `resend`.
    ///
    /// # Errors
    /// `invalid`, with the parameter that cannot be obeyed.
    pub(super) fn read(parameters: &Value) -> Result<Self, Failure> {
        let invalid = |what: &str| Failure::new(FailureKind::Invalid, format!("The parameter {what}."));
        let mut retry = Self::default();
        match parameters.get("retry") {
            None | Some(Value::Null | Value::Bool(true)) => {}
            Some(Value::Bool(false)) => retry.attempts = 1,
            Some(Value::Object(members)) => {
                for (name, value) in members {
                    match name.as_str() {
                        "attempts" => retry.attempts = attempts(value)?,
                        "first" => retry.initial_backoff = pause(name, value)?,
                        "max" => retry.max_backoff = pause(name, value)?,
                        "factor" => {
                            let factor = number(value).filter(|factor| (1.0..=1000.0).contains(factor));
                            retry.multiplier =
                                factor.ok_or_else(|| invalid("`retry.factor` is a number from 1 to 1000"))?;
                        }
                        _ => {
                            let what =
                                format!("`retry` has no member `{name}`; there are attempts, first, factor and max");
                            return Err(invalid(&what));
                        }
                    }
                }
            }
            Some(value) => retry.attempts = attempts(value)?,
        }
        match parameters.get("onUncertain").and_then(Value::as_str) {
            None | Some("" | "report") => {}
            Some("resend") => retry.resend = true,
            Some(other) => {
                let what = format!("`onUncertain` cannot be {other:?}; write \"report\" or \"resend\"");
                return Err(invalid(&what));
            }
        }
        Ok(retry)
    }

    /// How long to pause before the next try; none when this was the last. `attempt` is the number of the one that failed,
    /// from 1, and `chance` lies between 0 and 1.
    pub(super) fn pause(&self, attempt: u32, failure: &Failure, chance: f64) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let told = failure.wait.map(|seconds| Duration::from_secs(seconds.into()));
        let grown = self.initial_backoff.as_secs_f64() * self.multiplier.powf(f64::from(attempt.saturating_sub(1)));
        let longest = self.max_backoff.as_secs_f64();
        let backoff = Duration::from_secs_f64(grown.min(longest) * (0.5 + 0.5 * chance.clamp(0.0, 1.0)));
        match failure.kind {
            // A server that states a time is not asked before it, whatever the step's patience.
            FailureKind::Transient => Some(backoff.max(told.unwrap_or_default())),
            FailureKind::Quota => told.map(|told| told.max(backoff)),
            FailureKind::Uncertain if self.resend => Some(backoff),
            _ => None,
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    }
}

fn attempts(value: &Value) -> Result<u32, Failure> {
    let given = match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64(),
    };
    given
        .filter(|attempts| (1..=ATTEMPTS_MAX).contains(attempts))
        .and_then(|attempts| u32::try_from(attempts).ok())
        .ok_or_else(|| {
            let message =
                format!("The parameter `retry` asks for tries from 1 to {ATTEMPTS_MAX}, and not for {value}.");
            Failure::new(FailureKind::Invalid, message)
        })
}

/// A number of seconds, or a text with a unit.
fn pause(name: &str, value: &Value) -> Result<Duration, Failure> {
    let seconds = match value {
        Value::String(text) => {
            let text = text.trim();
            let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let unit = match &text[digits.len()..] {
                "ms" => Some(0.001),
                "s" | "" => Some(1.0),
                "m" => Some(60.0),
                "h" => Some(3600.0),
                _ => None,
            };
            digits.parse::<f64>().ok().zip(unit).map(|(number, unit)| number * unit)
        }
        other => other.as_f64(),
    };
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| {
            let message = format!(
                "The parameter `retry.{name}` is a time: a number of seconds, or a text such as \"500ms\" or \"2m\"."
            );
            Failure::new(FailureKind::Invalid, message)
        })
}

/// What of a message an attempt is to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Share {
    /// All of it.
    Whole,
    /// JSON that the connector made: what an earlier attempt left.
    Rest(String),
}

impl Share {
    /// What the connector is given of an earlier attempt.
    pub(super) fn remainder(&self) -> Option<&str> {
        match self {
            Self::Whole => None,
            Self::Rest(remainder) => Some(remainder),
        }
    }
}

/// A call that is to be performed.
#[derive(Debug)]
pub(super) struct Attempt {
    /// Which of the calls.
    pub(super) index: usize,
    /// 1 for the first.
    pub(super) attempt: u32,
    /// What of the message is to be sent.
    pub(super) share: Share,
    /// An earlier one confirmed something.
    pub(super) confirmed: bool,
    /// How the last one ended, should there be no time for this one.
    pub(super) last: Option<Failed>,
}

impl Attempt {
    pub(super) fn first(index: usize, share: Share) -> Self {
        Self {
            index,
            attempt: 1,
            // What is left of a message is less than all of it: the rest was confirmed in another run.
            confirmed: matches!(share, Share::Rest(_)),
            share,
            last: None,
        }
    }
}

/// Tries that wait for their time.
#[derive(Debug)]
pub(super) struct Schedule {
    waiting: Vec<(Instant, Attempt)>,
    /// Nothing begins after it.
    until: Option<Instant>,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum DueAttempts {
    /// Their time has come.
    Now(Vec<Attempt>),
    /// Their time will not come any more.
    Never(Vec<Attempt>),
}

impl Schedule {
    /// For calls that begin now.
    pub(super) fn new(first: Vec<Attempt>, until: Option<Instant>) -> Self {
        let now = Instant::now();
        Self {
            waiting: first.into_iter().map(|try_of| (now, try_of)).collect(),
            until,
        }
    }

    /// Lets a try wait. Gives it back where its time would come too late.
    pub(super) fn add(&mut self, after: Duration, next: Attempt) -> Result<(), Box<Attempt>> {
        match Instant::now().checked_add(after) {
            Some(due) if self.until.is_none_or(|until| due < until) => {
                self.waiting.push((due, next));
                Ok(())
            }
            _ => Err(Box::new(next)),
        }
    }

    /// Waits for the next of them, together with all whose time comes no later. None when nothing waits.
    pub(super) async fn next(&mut self, ending: &ShutdownToken) -> Option<DueAttempts> {
        let due = self.waiting.iter().map(|(due, _)| *due).min()?;
        let begins = self.waiting.iter().any(|(_, next)| next.last.is_none());
        tokio::select! {
            // Calls that were never performed are handed over even so: the connector says what became of them.
            biased;
            () = ending.requested(), if !begins => {
                let all = std::mem::take(&mut self.waiting);
                return Some(DueAttempts::Never(all.into_iter().map(|(_, next)| next).collect()));
            }
            () = tokio::time::sleep_until(due) => {}
        }
        let now = Instant::now();
        let waiting = std::mem::take(&mut self.waiting);
        let (ready, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(due, _)| *due <= now);
        self.waiting = later;
        Some(DueAttempts::Now(ready.into_iter().map(|(_, next)| next).collect()))
    }
}

/// A number between 0 and 1.
pub(super) fn chance() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use pipepost_core::shutdown;
    use serde_json::json;

    use super::*;

    fn failure(kind: FailureKind, wait: Option<u32>) -> Failure {
        Failure {
            wait,
            ..Failure::new(kind, "It failed.")
        }
    }

    fn seconds(retry: &Retry, kind: FailureKind, wait: Option<u32>, attempt: u32) -> Option<f64> {
        let pause = retry.pause(attempt, &failure(kind, wait), 1.0)?;
        Some(pause.as_secs_f64())
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let retry = Retry::default();
        for kind in [
            FailureKind::Invalid,
            FailureKind::Configuration,
            FailureKind::Authentication,
            FailureKind::Refused,
            FailureKind::Quota,
            FailureKind::Uncertain,
            FailureKind::Limit,
        ] {
            assert_eq!(seconds(&retry, kind, None, 1), None, "{kind}");
        }
        assert_eq!(seconds(&retry, FailureKind::Transient, None, 1), Some(1.0));
        assert_eq!(seconds(&retry, FailureKind::Quota, Some(600), 1), Some(600.0));
        let resend = Retry { resend: true, ..retry };
        assert_eq!(seconds(&resend, FailureKind::Uncertain, None, 1), Some(1.0));
    }

    #[test]
    fn pauses_grow_to_a_bound_and_chance_halves_them_at_most() {
        let retry = Retry {
            attempts: 5,
            max_backoff: Duration::from_secs(5),
            ..Retry::default()
        };
        let pauses: Vec<Option<f64>> = (1..=5)
            .map(|attempt| seconds(&retry, FailureKind::Transient, None, attempt))
            .collect();
        assert_eq!(pauses, [Some(1.0), Some(2.0), Some(4.0), Some(5.0), None]);
        let least = retry.pause(2, &failure(FailureKind::Transient, None), 0.0);
        assert_eq!(least, Some(Duration::from_secs(1)));
        // What a server asks for counts, whatever the step's patience.
        assert_eq!(seconds(&retry, FailureKind::Transient, Some(3), 1), Some(3.0));
        assert_eq!(seconds(&retry, FailureKind::Transient, Some(300), 1), Some(300.0));
    }

    #[test]
    fn steps_say_it_in_several_ways() {
        let read = |value: Value| Retry::read(&json!({ "retry": value })).expect("it can be obeyed");
        let attempts = |attempts: u32| Retry {
            attempts,
            ..Retry::default()
        };
        assert_eq!(read(json!(5)), attempts(5));
        assert_eq!(read(json!("5")), attempts(5));
        assert_eq!(read(json!(true)), Retry::default());
        assert_eq!(read(json!(false)), attempts(1));
        let whole = read(json!({"attempts": 4, "first": "250ms", "factor": 1.5, "max": "2m"}));
        assert_eq!(whole.initial_backoff, Duration::from_millis(250));
        assert_eq!(whole.max_backoff, Duration::from_secs(120));
        for wrong in [
            json!({"retry": 0}),
            json!({"retry": {"attempts": 1000}}),
            json!({"retry": {"first": "soon"}}),
            json!({"retry": {"first": -1}}),
            json!({"retry": {"factor": 0.5}}),
            json!({"retry": {"most": 3}}),
            json!({"onUncertain": "guess"}),
        ] {
            let failure = Retry::read(&wrong).expect_err("it cannot be obeyed");
            assert_eq!(failure.kind, FailureKind::Invalid, "{wrong}");
        }
    }

    fn waiting(index: usize) -> Attempt {
        Attempt {
            attempt: 2,
            last: Some(failure(FailureKind::Transient, None).into()),
            ..Attempt::first(index, Share::Whole)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_try_comes_at_its_time() {
        let (_end, ending) = shutdown::channel();
        let begun = Instant::now();
        let mut schedule = Schedule::new(Vec::new(), None);
        for (index, after) in [(0, 7), (1, 3), (2, 3)] {
            schedule
                .add(Duration::from_secs(after), waiting(index))
                .expect("there is time");
        }
        let mut order = Vec::new();
        while let Some(DueAttempts::Now(tries)) = schedule.next(&ending).await {
            let which: Vec<usize> = tries.iter().map(|next| next.index).collect();
            order.push((begun.elapsed().as_secs(), which));
        }
        assert_eq!(order, [(3, vec![1, 2]), (7, vec![0])]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_waited_for_beyond_the_runs_time() {
        let (end, ending) = shutdown::channel();
        let until = Instant::now() + Duration::from_secs(10);
        let mut schedule = Schedule::new(Vec::new(), Some(until));
        assert!(schedule.add(Duration::from_secs(10), waiting(0)).is_err());
        schedule.add(Duration::from_secs(9), waiting(1)).expect("there is time");
        end.request(Duration::from_secs(30));
        assert!(matches!(schedule.next(&ending).await, Some(DueAttempts::Never(tries)) if tries[0].index == 1));
        assert!(schedule.next(&ending).await.is_none());
    }
}
