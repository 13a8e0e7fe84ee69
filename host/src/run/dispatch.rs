//! From calls to outcomes. What the ledger knows is taken from it, and the rest is handed to the connector. What may be
//! tried again is tried again, and the end of each call is counted and written down.

use std::sync::Arc;
use std::time::Duration;

use pipepost_accounts::Account;
use pipepost_core::json::read_back;
use pipepost_core::{Failure, FailureKind, Remedy};
use pipepost_engine::files::RunFiles;
use pipepost_engine::{BatchEnd, CallEnd, SendPermit, run_batch};
use pipepost_net::{Route, RunId};
use pipepost_state::StateError;
use pipepost_state::ledger::{Known, Ledger, Message, Recorded};
use serde_json::Value;
use tokio::task::JoinSet;
use tracing::{Instrument as _, Span};

use super::batch_coalescer::Role;
use super::calls::{Failed, Outcome, PreparedCall, Target};
use super::clock::RunClock;
use super::mask::Mask;
use super::observe::{Counter, Observer, Settled};
use super::permit::AccountPermit;
use super::quotas::Quotas;
use super::retry::{Attempt, DueAttempts, Schedule, Share, chance};
use super::route::{RequestedEndpoint, route};
use super::scopes::Frame;
use super::spans;
use super::state_watch::StateWatch;
use super::tally::Tally;
use crate::host::Host;

/// A call that was performed, and how that went.
struct AttemptResult {
    attempt: Attempt,
    result: Result<CallEnd, Failure>,
}

/// Sends the calls of a run's connector steps.
pub(super) struct Sender<'a> {
    pub(super) host: &'a Host,
    /// The digest of its document.
    pub(super) pipeline: Arc<str>,
    pub(super) run: RunId,
    pub(super) files: Arc<RunFiles>,
    pub(super) ledger: Arc<dyn Ledger>,
    /// What accounts may send, as the run sees it.
    pub(super) quotas: Quotas,
    /// Told when the state cannot be used.
    pub(super) state: Arc<StateWatch>,
    /// The ledger outlives the run, so that a person can settle what it holds.
    pub(super) is_kept: bool,
    pub(super) clock: Arc<RunClock>,
    pub(super) tally: Arc<Tally>,
    pub(super) observer: Option<Arc<dyn Observer>>,
    /// Hides secrets in what a connector logs.
    pub(super) mask: Arc<Mask>,
}

/// What is to be done about a call.
enum Start {
    /// It is performed.
    Send(Share),
    /// It has its outcome already.
    Ended(Box<Outcome>),
}

/// What became of attempts before anything was handed to the connector.
struct Admitted {
    route: Option<Arc<Route>>,
    attempts: Vec<Attempt>,
}

impl Sender<'_> {
    /// Performs one call; in a parallel loop together with those of the other iterations.
    pub(super) async fn send_one(&self, target: &Target<'_>, frame: &Frame, call: PreparedCall) -> Outcome {
        let call = Arc::new(call);
        let mut others = Vec::new();
        if let Some(coalescer) = &frame.coalescer {
            match coalescer.join(&target.step.path, &call).await {
                Role::Follower(outcome) => return *outcome,
                Role::Leader(waiting) => others = waiting,
            }
        }
        let mut all = vec![call];
        all.extend(others.iter().map(|waiting| Arc::clone(&waiting.call)));
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
        let known = match self.look_up(target, calls).await {
            Ok(known) => known,
            Err(unread) => return unread,
        };
        let mut outcomes: Vec<Option<Outcome>> = calls.iter().map(|_| None).collect();
        let mut first = Vec::with_capacity(calls.len());
        for (index, known) in known.into_iter().enumerate() {
            match self.begin(&calls[index], known).await {
                Start::Send(share) => first.push(Attempt::first(index, share)),
                Start::Ended(outcome) => {
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
            let attempts = match due {
                DueAttempts::Now(attempts) => attempts,
                DueAttempts::Never(attempts) => {
                    for one in attempts {
                        let outcome = one.last.map_or_else(|| Err(self.clock.over().into()), Err);
                        outcomes[one.index] = Some(self.settle(target, &calls[one.index], outcome));
                    }
                    continue;
                }
            };
            // One number for all: what failed together and may be sent together stays together.
            let chance = chance();
            for result in self.run_attempt(target, calls, attempts, counter).await {
                let index = result.attempt.index;
                let call = &calls[index];
                match self.judge(call, result, chance, &mut schedule).await {
                    Some(outcome) => outcomes[index] = Some(self.settle(target, call, outcome)),
                    None => tracing::info!(key = call.key, "will be tried again"),
                }
            }
        }
        let ended = outcomes.into_iter().zip(calls);
        ended
            .map(|(outcome, call)| outcome.unwrap_or_else(|| self.settle(target, call, Err(lost(target).into()))))
            .collect()
    }

    /// What the ledger knows of calls; how they end, if it cannot be read.
    async fn look_up(&self, target: &Target<'_>, calls: &[Arc<PreparedCall>]) -> Result<Vec<Known>, Vec<Outcome>> {
        let messages: Vec<Message> = calls.iter().map(|call| call.message(false)).collect();
        self.ledger.look_up(&messages).await.map_err(|error| {
            tracing::error!(%error, "the ledger could not be read");
            let unread = |call: &Arc<PreparedCall>| self.settle(target, call, Err(unread(&error).into()));
            calls.iter().map(unread).collect()
        })
    }

    /// The ends of calls that are not begun any more: what the ledger knows of them, or this failure.
    pub(super) async fn left(
        &self,
        target: &Target<'_>,
        calls: &[Arc<PreparedCall>],
        failure: &Failure,
    ) -> Vec<Outcome> {
        if calls.is_empty() {
            return Vec::new();
        }
        let known = match self.look_up(target, calls).await {
            Ok(known) => known,
            Err(unread) => return unread,
        };
        let ends = calls.iter().zip(known).map(|(call, known)| match known {
            Known::Ended(recorded) => self.replayed(&call.key, recorded),
            Known::Nothing | Known::Left(_) | Known::OtherContent => self.given_up(target, failure),
        });
        ends.collect()
    }

    /// The end of a message that is not begun.
    pub(super) fn given_up(&self, target: &Target<'_>, failure: &Failure) -> Outcome {
        self.count(target, Some(failure.kind));
        Err(failure.clone().into())
    }

    async fn begin(&self, call: &PreparedCall, known: Known) -> Start {
        match known {
            Known::Nothing => Start::Send(Share::Whole),
            Known::Left(remainder) => Start::Send(Share::Rest(remainder)),
            Known::OtherContent => Start::Ended(Box::new(Err(other_content(&call.key).into()))),
            Known::Ended(recorded) if recorded.uncertain && call.retry.resend => {
                tracing::warn!(
                    key = call.key,
                    "may have been sent before, and is sent again as the pipeline asks"
                );
                match self.claim_again(call).await {
                    Some(share) => Start::Send(share),
                    None => Start::Ended(Box::new(self.replayed(&call.key, recorded))),
                }
            }
            Known::Ended(recorded) => Start::Ended(Box::new(self.replayed(&call.key, recorded))),
        }
    }

    /// What an earlier attempt left under this key: its outcome, with `replayed: true`.
    fn replayed(&self, key: &str, recorded: Recorded) -> Outcome {
        let uncertain = recorded.uncertain;
        tracing::info!(key, uncertain, "was performed before; its recorded outcome is used");
        let mut output = read_back(&recorded.output).unwrap_or(Value::Null);
        if let Value::Object(output) = &mut output {
            output.insert("replayed".to_owned(), Value::Bool(true));
        }
        if !uncertain {
            return Ok(output);
        }
        // It is in doubt again in this run, though nobody sent anything.
        self.tally.count(Some(FailureKind::Uncertain));
        let message = format!("The message `{key}` may have been sent before; it is not sent again.");
        let failure = Failure::new(FailureKind::Uncertain, message);
        let failure = if self.is_kept {
            failure
                .advise("Look for it in the sender's Sent folder or the server's log, then settle it.")
                .with_remedy(Remedy::SettleMessage { key: key.to_owned() })
        } else {
            failure.advise("Look for it in the sender's Sent folder or the server's log.")
        };
        Err(Failed {
            output: Some(output),
            attempted: true,
            ..failure.into()
        })
    }

    /// Asks the ledger for leave to send an uncertain message again. Returns what is left of it.
    async fn claim_again(&self, call: &PreparedCall) -> Option<Share> {
        let known = self.ledger.look_up(&[call.message(true)]).await.ok()?.pop()?;
        match known {
            Known::Nothing => Some(Share::Whole),
            Known::Left(remainder) => Some(Share::Rest(remainder)),
            Known::Ended(_) | Known::OtherContent => None,
        }
    }

    /// Hands attempts to the connector, those on one route together.
    async fn run_attempt(
        &self,
        target: &Target<'_>,
        calls: &[Arc<PreparedCall>],
        attempts: Vec<Attempt>,
        counter: Option<&Arc<Counter>>,
    ) -> Vec<AttemptResult> {
        let mut lots: Vec<(Option<&RequestedEndpoint>, Vec<Attempt>)> = Vec::new();
        for attempt in attempts {
            let endpoint = calls[attempt.index].endpoint.as_ref();
            match lots.iter_mut().find(|(other, _)| *other == endpoint) {
                Some((_, lot)) => lot.push(attempt),
                None => lots.push((endpoint, vec![attempt])),
            }
        }
        let mut results = Vec::new();
        // Tasks of their own, so that several batches use several cores; they end with this future.
        let mut under_way = JoinSet::new();
        for (endpoint, lot) in lots {
            let Some(Admitted { route, attempts }) = self.admit(target, endpoint, lot, &mut results).await else {
                continue;
            };
            if let Some(route) = &route {
                self.host.server_memory.recall(&self.host.connections, route).await;
            }
            let mut batch = self.batch(
                target,
                route.clone(),
                attempts.iter().map(|one| (&*calls[one.index], one)),
            );
            batch.permit = self.permit(target, route.as_deref());
            let (engine, component) = (self.host.engine.clone(), target.component.clone());
            let counter = counter.cloned();
            // A message that is tried again counts once.
            let is_first: Vec<bool> = attempts.iter().map(|one| one.attempt == 1).collect();
            let settled = move |id: u32| {
                let is_first = usize::try_from(id).is_ok_and(|id| is_first.get(id) == Some(&true));
                if let Some(counter) = counter.as_ref().filter(|_| is_first) {
                    counter.one();
                }
            };
            let span = spans::perform(target, route.as_deref().map(Route::endpoint));
            let sending = async move {
                let end = run_batch(&engine, &component, batch, settled).await;
                spans::batch_ended(&Span::current(), &end);
                (attempts, route, end)
            };
            under_way.spawn(sending.instrument(span));
        }
        while let Some(joined) = under_way.join_next().await {
            // A task that is gone leaves its calls without an end, and that is what they are told in the end.
            let Ok((attempts, route, end)) = joined else { continue };
            let BatchEnd {
                calls: mut ends,
                refused_sign_in,
                ..
            } = end;
            let mut pause_remedy = None;
            if let (Some(account), Some(route), Some(reply)) = (&target.account, &route, &refused_sign_in) {
                let quotas = &self.host.quotas;
                pause_remedy = quotas.note_sign_in(account, &route.endpoint().host, reply).await;
            }
            if let Some(route) = &route {
                self.host.server_memory.note(&self.host.connections, route).await;
            }
            let account = route.as_ref().and(target.account.as_ref());
            results.extend(attempts.into_iter().zip(0..).map(|(attempt, id)| {
                let mut end = ends.remove(&id).ok_or_else(|| lost(target));
                if let (Ok(end), Some(account)) = (&mut end, account) {
                    self.add_remedy(account, pause_remedy.as_ref(), end);
                }
                AttemptResult { attempt, result: end }
            }));
        }
        results
    }

    /// A connector is told in words why there is no token, and by a reply that the account signs in too often; what helps is
    /// known here.
    fn add_remedy(&self, account: &Account, of_pause: Option<&Remedy>, end: &mut CallEnd) {
        let Err(failed) = &mut end.result else { return };
        match failed.failure.kind {
            FailureKind::Authentication => failed.failure.remedy = self.host.connections.remedy(account),
            FailureKind::Transient | FailureKind::Quota if of_pause.is_some() => {
                failed.failure.remedy = of_pause.cloned();
            }
            _ => {}
        }
    }

    /// Decides the route of attempts at one endpoint, and how many of them the account may send now. Those that may not go
    /// are among the results.
    async fn admit(
        &self,
        target: &Target<'_>,
        endpoint: Option<&RequestedEndpoint>,
        mut attempts: Vec<Attempt>,
        results: &mut Vec<AttemptResult>,
    ) -> Option<Admitted> {
        let route = endpoint.map(|endpoint| route(self.host, target.account, endpoint).map(Arc::new));
        let admitted = match route.transpose() {
            Ok(route) => {
                let room = self.look(target, route.as_deref(), attempts.len()).await;
                room.map(|(room, reason)| (route, room, reason))
            }
            Err(failure) => Err(failure),
        };
        let (route, held, reason) = match admitted {
            Ok((route, room, Some(reason))) => (route, attempts.split_off(room.min(attempts.len())), reason),
            Ok((route, _, None)) => return Some(Admitted { route, attempts }),
            Err(failure) => (None, std::mem::take(&mut attempts), failure),
        };
        results.extend(held.into_iter().map(|attempt| AttemptResult {
            attempt,
            result: Err(reason.clone()),
        }));
        (!attempts.is_empty()).then_some(Admitted { route, attempts })
    }

    /// How many of these messages the account may send now, and why not the others. A rehearsal sends none.
    async fn look(
        &self,
        target: &Target<'_>,
        route: Option<&Route>,
        most: usize,
    ) -> Result<(usize, Option<Failure>), Failure> {
        match target.account {
            Some(account) if route.is_some() && self.host.dry_run.is_none() => self.quotas.look(account, most).await,
            _ => Ok((most, None)),
        }
    }

    /// What the account allows a batch to commit. A dry run sends nothing.
    fn permit(&self, target: &Target<'_>, route: Option<&Route>) -> Option<Arc<dyn SendPermit>> {
        let account = target.account.as_ref()?;
        route.filter(|route| route.account().is_some() && !route.is_dry_run())?;
        Some(Arc::new(AccountPermit::new(&self.quotas, account)))
    }

    /// How a call has ended; none when it will be tried again.
    async fn judge(
        &self,
        call: &PreparedCall,
        attempted: AttemptResult,
        chance: f64,
        schedule: &mut Schedule,
    ) -> Option<Outcome> {
        let AttemptResult { attempt: which, result } = attempted;
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
            let share = if failed.failure.kind == FailureKind::Uncertain {
                self.record(call, &Err(failed.clone()));
                self.claim_again(call).await
            } else {
                match failed.remainder.clone() {
                    Some(remainder) => Some(Share::Rest(remainder)),
                    // Nothing of a message was committed, or nobody knows what is left.
                    None => (!confirmed).then_some(Share::Whole),
                }
            };
            if let Some(share) = share {
                let next = Attempt {
                    index: which.index,
                    attempt: attempt + 1,
                    share,
                    confirmed,
                    last: Some(failed),
                };
                match schedule.add(pause, next) {
                    Ok(()) => return None,
                    Err(next) => {
                        failed = next.last?;
                        failed.failure.message.push_str(&no_further_try(pause));
                    }
                }
            }
        }
        Some(if confirmed { failed.or_sent() } else { Err(failed) })
    }

    /// Counts how a call ended, and writes down what must not happen again.
    fn settle(&self, target: &Target<'_>, call: &PreparedCall, outcome: Outcome) -> Outcome {
        // What commits nothing outside may be done again, and has to be: its files are gone with an earlier run.
        if call.endpoint.is_none() {
            return outcome;
        }
        self.count(target, outcome.as_ref().err().map(|failed| failed.failure.kind));
        self.record(call, &outcome);
        outcome
    }

    /// Counts how a message ended.
    pub(super) fn count(&self, target: &Target<'_>, failure: Option<FailureKind>) {
        self.tally.count(failure);
        if let Some(observer) = &self.observer {
            observer.settled(&Settled {
                connector: &target.connector.name,
                account: target.account.map(|account| account.label()),
                failure,
            });
        }
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
pub(super) fn text_of(value: &Value) -> String {
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

/// Nobody knows what became of a message before, so it is not sent.
fn unread(error: &StateError) -> Failure {
    let message = format!("The ledger could not be read, so the message was not sent: {error}.");
    Failure::new(FailureKind::Configuration, message)
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

/// Why a failure that may pass is not tried again.
fn no_further_try(pause: Duration) -> String {
    format!(
        " It was not tried again: the next try is worth it in {} s, and the run ends before that.",
        pause.as_secs_f64().ceil()
    )
}

fn other_content(key: &str) -> Failure {
    let message = format!("The message `{key}` was sent before with another content.");
    Failure::new(FailureKind::Configuration, message).advise(
        "Nothing is sent twice under one key: leave the content of a try as it was, or begin another execution.",
    )
}
