//! From calls to outcomes: what the ledger knows is answered from it, the rest is handed to the connector, what may be
//! tried again is tried again, and how each ended is counted and written down.

use std::sync::Arc;

use pipepost_core::{Failure, FailureKind};
use pipepost_net::Route;
use pipepost_state::ledger::{Known, Message, Recorded};
use serde_json::Value;
use tokio::task::JoinSet;

use super::calls::{Failed, Outcome, PreparedCall, Target};
use super::execute::Execution;
use super::batch_coalescer::Role;
use super::observe::Counter;
use super::permit::AccountPermit;
use super::retry::{DueAttempts, Schedule, Attempt, chance};
use super::route::{RequestedEndpoint, route};
use super::scopes::Frame;
use crate::engine::{BatchEnd, CallEnd, SendPermit, run_batch};

/// A call that was performed, and how that went.
struct AttemptResult {
    which: Attempt,
    result: Result<CallEnd, Failure>,
}

impl Execution<'_> {
    /// Performs one call; in a parallel loop together with those of the other iterations.
    pub(super) async fn send_one(&self, target: &Target<'_>, frame: &Frame, ready: PreparedCall) -> Outcome {
        let ready = Arc::new(ready);
        let mut others = Vec::new();
        if let Some(coalescer) = &frame.coalescer {
            match coalescer.join(&target.step.path, &ready).await {
                Role::Follower(outcome) => return *outcome,
                Role::Leader(waiting) => others = waiting,
            }
        }
        let mut all = vec![ready];
        all.extend(others.iter().map(|waiting| Arc::clone(&waiting.ready)));
        let mut outcomes = self.dispatch(target, frame, &all, None).await.into_iter();
        let own = outcomes.next();
        for (waiting, outcome) in others.into_iter().zip(outcomes) {
            waiting.tell(outcome);
        }
        own.unwrap_or_else(|| Err(lost(target).into()))
    }

    /// Hands calls of one step to its connector, and again what may be tried again. The answers stand in the calls' order.
    pub(super) async fn dispatch(
        &self,
        target: &Target<'_>,
        frame: &Frame,
        calls: &[Arc<PreparedCall>],
        counter: Option<&Arc<Counter>>,
    ) -> Vec<Outcome> {
        let messages: Vec<Message> = calls.iter().map(|call| call.message(false)).collect();
        let known = self.ledger.look_up(&messages).await;
        let mut outcomes: Vec<Option<Outcome>> = calls.iter().map(|_| None).collect();
        let mut first = Vec::with_capacity(calls.len());
        for (index, known) in known.into_iter().enumerate() {
            match self.begin(&calls[index], known).await {
                Ok(remainder) => first.push(Attempt::first(index, remainder)),
                Err(outcome) => {
                    outcomes[index] = Some(*outcome);
                    if let Some(counter) = counter {
                        counter.one();
                    }
                }
            }
        }
        let until = [self.clock.until(), frame.deadline].into_iter().flatten().min();
        let mut schedule = Schedule::new(first, until);
        while let Some(due) = schedule.next(self.clock.token()).await {
            let tries = match due {
                DueAttempts::Now(tries) => tries,
                DueAttempts::Never(tries) => {
                    for one in tries {
                        let outcome = one.last.map_or_else(|| Err(self.clock.over().into()), Err);
                        outcomes[one.index] = Some(self.settle(&calls[one.index], outcome));
                    }
                    continue;
                }
            };
            // One number for all: what failed together and may be sent together stays together.
            let chance = chance();
            for tried in self.run_attempt(target, calls, tries, counter).await {
                let index = tried.which.index;
                let call = &calls[index];
                match self.judge(call, tried, chance, &mut schedule).await {
                    Some(outcome) => outcomes[index] = Some(self.settle(call, outcome)),
                    None => tracing::info!(key = call.key, "will be tried again"),
                }
            }
        }
        let ended = outcomes.into_iter().zip(calls);
        ended
            .map(|(outcome, call)| outcome.unwrap_or_else(|| self.settle(call, Err(lost(target).into()))))
            .collect()
    }

    /// What is to be done about a call: it is to be performed, with what is left of it, or has its outcome already.
    async fn begin(&self, call: &PreparedCall, known: Known) -> Result<Option<String>, Box<Outcome>> {
        match known {
            Known::Nothing => Ok(None),
            Known::Left(remainder) => Ok(Some(remainder)),
            Known::OtherContent => Err(Box::new(Err(other_content(&call.key).into()))),
            Known::Ended(recorded) if recorded.uncertain && call.retry.resend => {
                tracing::warn!(
                    key = call.key,
                    "may have been sent before, and is sent again as the pipeline asks"
                );
                self.again(call)
                    .await
                    .ok_or_else(|| Box::new(replayed(&call.key, recorded)))
            }
            Known::Ended(recorded) => Err(Box::new(replayed(&call.key, recorded))),
        }
    }

    /// Asks the ledger for leave to send an uncertain message again: answers what is left of it.
    async fn again(&self, call: &PreparedCall) -> Option<Option<String>> {
        let known = self.ledger.look_up(&[call.message(true)]).await.pop()?;
        match known {
            Known::Nothing => Some(None),
            Known::Left(remainder) => Some(Some(remainder)),
            Known::Ended(_) | Known::OtherContent => None,
        }
    }

    /// Hands tries to the connector, those on one route together.
    async fn run_attempt(
        &self,
        target: &Target<'_>,
        calls: &[Arc<PreparedCall>],
        tries: Vec<Attempt>,
        counter: Option<&Arc<Counter>>,
    ) -> Vec<AttemptResult> {
        let mut lots: Vec<(&Option<RequestedEndpoint>, Vec<Attempt>)> = Vec::new();
        for one in tries {
            let wanted = &calls[one.index].wanted;
            match lots.iter_mut().find(|(other, _)| *other == wanted) {
                Some((_, lot)) => lot.push(one),
                None => lots.push((wanted, vec![one])),
            }
        }
        let mut performed = Vec::new();
        // Tasks of their own, so that several batches use several cores; they end with this future.
        let mut under_way = JoinSet::new();
        for (wanted, lot) in lots {
            let route = wanted
                .as_ref()
                .map(|wanted| route(self.host, target.account, wanted).map(Arc::new))
                .transpose();
            match route {
                Ok(route) => {
                    let mut now = lot;
                    match self.look(target, route.as_deref(), now.len()).await {
                        Ok((_, None)) => {}
                        Ok((room, Some(failure))) => {
                            performed.extend(now.split_off(room.min(now.len())).into_iter().map(|which| AttemptResult {
                                which,
                                result: Err(failure.clone()),
                            }));
                        }
                        Err(failure) => {
                            performed.extend(now.into_iter().map(|which| AttemptResult {
                                which,
                                result: Err(failure.clone()),
                            }));
                            continue;
                        }
                    }
                    let mut batch = self.batch(target, route.clone(), now.iter().map(|one| (&*calls[one.index], one)));
                    batch.permit = self.permit(target, route.as_deref());
                    let (engine, component) = (self.host.engine.clone(), target.loaded.component.clone());
                    let counter = counter.cloned();
                    let settled = move |_| {
                        if let Some(counter) = &counter {
                            counter.one();
                        }
                    };
                    under_way.spawn(async move {
                        let end = run_batch(&engine, &component, batch, settled).await;
                        (now, route, end)
                    });
                }
                Err(failure) => performed.extend(lot.into_iter().map(|which| AttemptResult {
                    which,
                    result: Err(failure.clone()),
                })),
            }
        }
        while let Some(joined) = under_way.join_next().await {
            // A task that is gone leaves its calls without an end, and that is what they are told in the end.
            let Ok((lot, route, end)) = joined else { continue };
            let BatchEnd {
                calls: mut ends,
                refused_sign_in,
                ..
            } = end;
            if let (Some(account), Some(route), Some(reply)) = (&target.account, &route, &refused_sign_in) {
                let quotas = &self.host.quotas;
                quotas.note_sign_in(account, &route.endpoint().host, reply).await;
            }
            performed.extend(lot.into_iter().zip(0..).map(|(which, id)| AttemptResult {
                which,
                result: ends.remove(&id).ok_or_else(|| lost(target)),
            }));
        }
        performed
    }

    /// How many of these messages the account may send now, and why not the others. A rehearsal sends none.
    async fn look(
        &self,
        target: &Target<'_>,
        route: Option<&Route>,
        most: usize,
    ) -> Result<(usize, Option<Failure>), Failure> {
        match target.account {
            Some(account) if route.is_some() && self.host.dry_run.is_none() => {
                self.host.quotas.look(account, most).await
            }
            _ => Ok((most, None)),
        }
    }

    /// What the account allows a batch to commit. A dry run sends nothing.
    fn permit(&self, target: &Target<'_>, route: Option<&Route>) -> Option<Arc<dyn SendPermit>> {
        let account = target.account.as_ref()?;
        route.filter(|route| route.account().is_some() && !route.is_dry_run())?;
        Some(Arc::new(AccountPermit::new(&self.host.quotas, account)))
    }

    /// How a call has ended; none when it will be tried again.
    async fn judge(&self, call: &PreparedCall, tried: AttemptResult, chance: f64, schedule: &mut Schedule) -> Option<Outcome> {
        let AttemptResult { which, result } = tried;
        let end = match result {
            Ok(end) => end,
            Err(failure) => return Some(Err(failure.into())),
        };
        let confirmed = which.confirmed || end.confirmed;
        let attempt = which.attempt;
        let mut failed = match judged(end, attempt) {
            Ok(output) => return Some(Ok(output)),
            Err(failed) => failed,
        };
        if let Some(last) = which.last {
            // What a connector that was stopped could not say, the try before it said.
            failed.output = failed.output.or(last.output);
        }
        if let Some(pause) = call.retry.pause(attempt, &failed.failure, chance) {
            let remainder = if failed.failure.kind == FailureKind::Uncertain {
                self.record(call, &Err(failed.clone()));
                self.again(call).await
            } else {
                // Without one, nothing of a message was committed, or nobody knows what is left.
                let left = failed.remainder.clone();
                (left.is_some() || !confirmed).then_some(left)
            };
            if let Some(remainder) = remainder {
                let next = Attempt {
                    index: which.index,
                    attempt: attempt + 1,
                    remainder,
                    confirmed,
                    last: Some(failed),
                };
                match schedule.add(pause, next) {
                    Ok(()) => return None,
                    Err(next) => failed = next.last?,
                }
            }
        }
        Some(if confirmed { failed.or_sent() } else { Err(failed) })
    }

    /// Counts how a call ended, and writes down what must not happen again.
    fn settle(&self, call: &PreparedCall, outcome: Outcome) -> Outcome {
        // What commits nothing outside may be done again, and has to be: its files are gone with an earlier run.
        if call.wanted.is_none() {
            return outcome;
        }
        self.tally
            .count(outcome.as_ref().err().map(|failed| failed.failure.kind));
        self.record(call, &outcome);
        outcome
    }

    fn record(&self, call: &PreparedCall, outcome: &Outcome) {
        let recorded = match outcome {
            Ok(output) => Recorded {
                output: text_of(output),
                uncertain: false,
                remainder: None,
            },
            Err(failed) if failed.failure.kind == FailureKind::Uncertain => Recorded {
                output: text_of(&failed.output()),
                uncertain: true,
                remainder: failed.remainder.clone(),
            },
            Err(_) => return,
        };
        self.ledger.record(&call.key, recorded);
    }
}

/// As JSON. `Display` would write it a character's run at a time.
fn text_of(value: &Value) -> String {
    // A value that was read as JSON can be written as JSON.
    serde_json::to_string(value).unwrap_or_default()
}

/// The end of a call that its task took along.
fn lost(target: &Target<'_>) -> Failure {
    let message = format!(
        "Nothing is known of what the connector `{}` did.",
        target.connector.name
    );
    Failure::new(FailureKind::Uncertain, message)
}

fn judged(end: CallEnd, attempts: u32) -> Outcome {
    match end.result {
        Ok(mut output) => {
            if let Value::Object(members) = &mut output
                && end.confirmed
            {
                members.insert("attempts".to_owned(), attempts.into());
            }
            Ok(output)
        }
        Err(failed) => Err(Failed {
            output: failed.output,
            remainder: failed.remainder,
            attempted: end.announced,
            attempts,
            ..failed.failure.into()
        }),
    }
}

/// What an earlier attempt left under this key: its outcome, with `replayed: true`.
fn replayed(key: &str, recorded: Recorded) -> Outcome {
    let uncertain = recorded.uncertain;
    tracing::info!(key, uncertain, "was performed before; its recorded outcome is used");
    let mut output = serde_json::from_str(&recorded.output).unwrap_or(Value::Null);
    if let Value::Object(output) = &mut output {
        output.insert("replayed".to_owned(), Value::Bool(true));
    }
    if !uncertain {
        return Ok(output);
    }
    let message = format!("The message `{key}` may have been sent before; it is not sent again.");
    let failure = Failure::new(FailureKind::Uncertain, message).advise(
        "Look for it in the sender's Sent folder or the server's log, then settle it with `pipepost ledger settle`, where the run has an --execution key.",
    );
    Err(Failed {
        output: Some(output),
        attempted: true,
        ..failure.into()
    })
}

fn other_content(key: &str) -> Failure {
    let message = format!("The message `{key}` was sent before with another content.");
    Failure::new(FailureKind::Configuration, message).advise(
        "Nothing is sent twice under one key: leave the content of a try as it was, or begin another execution.",
    )
}
