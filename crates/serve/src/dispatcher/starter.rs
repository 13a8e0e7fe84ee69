//! Starts runs of other pipelines for a run: the platform's pipeline executor and event publisher.
//!
//! Such a run is recorded like any other. Its key is made of the run that orders it and the place of the step there, so
//! a step that is performed again (in a retry, or after its process died) finds what it started and starts no second
//! one. The keys also say who waits for whom, so nothing can come to wait for itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pipepost_core::json::read_back;
use pipepost_core::{Failure, FailureKind};
use pipepost_state::StateError;
use pipepost_state::runs::{Decided, NewRun, Run, RunFailure, RunId, RunOrigin, RunState, TraceContext};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::{Dispatcher, EndWaiter, Ended, Submitted};
use crate::idempotency::ContentDigest;
use crate::journal::LineLevel;
use crate::pipelines::ServedPipeline;
use crate::trigger::Start;
use crate::triggers::order;

/// How many runs may come of one another. Where each starts the next, nothing else ends them.
const CHAIN_MAX: usize = 100;

/// How often it is looked whether a run has ended: another process may perform it.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// An order to run a pipeline.
#[derive(Debug, Clone)]
pub struct ExecuteOrder {
    /// The step's place in the run. The same place gives the same run.
    pub place: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The major version that its document must have, if it says one.
    pub version_major: u64,
    /// Its message.
    pub message: Value,
    /// The message as people may see it.
    pub shown: Value,
    /// How long to wait for its answer; `None` to go on at once.
    pub wait: Option<Duration>,
    /// How long it may wait before it begins, if that is said.
    pub expiration: Option<Duration>,
}

/// An order to publish an event.
#[derive(Debug, Clone)]
pub struct PublishOrder {
    /// The step's place in the run. The same place gives the same event.
    pub place: String,
    /// The event's name.
    pub event: String,
    /// The message of the pipelines that it starts.
    pub body: Value,
    /// The body as people may see it.
    pub shown: Value,
}

/// The reason why another run did not end as it should, or was not started.
#[derive(Debug, Clone)]
pub enum StartFailure {
    /// A failure with a kind.
    Failed(Failure),
    /// An error that the other pipeline itself threw.
    Thrown {
        /// What happened, in one sentence.
        message: String,
        /// The other pipeline's error object.
        error: Value,
    },
}

impl From<Failure> for StartFailure {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Starts other pipelines for one run.
#[derive(Debug, Clone)]
pub struct Starter {
    dispatcher: Arc<Dispatcher>,
    run: RunId,
    pipeline: String,
    key: String,
    /// The trace that the run is a part of.
    trace: Option<TraceContext>,
    ancestors: Arc<OnceCell<Vec<Ancestor>>>,
    /// Answers that are recorded without what may not be shown, by the runs that gave them: a step that is tried again
    /// gets them whole.
    answers: Arc<Mutex<HashMap<RunId, Value>>>,
}

/// A run that another run came of.
#[derive(Debug)]
struct Ancestor {
    pipeline: String,
    /// It waits for the next one.
    waits: bool,
}

/// How a run that was ordered is waited for.
enum Waiting {
    /// It was ordered now; its end is told here.
    For(RunId, EndWaiter),
    /// It was ordered before.
    Known(RunId),
}

impl Starter {
    /// Makes one for a run under way.
    pub(super) fn new(dispatcher: &Arc<Dispatcher>, run: &Run) -> Self {
        Self {
            dispatcher: Arc::clone(dispatcher),
            run: run.id.clone(),
            pipeline: run.pipeline.clone(),
            key: run.key.clone(),
            trace: run.trace.clone(),
            ancestors: Arc::default(),
            answers: Arc::default(),
        }
    }

    /// Runs a pipeline. Returns its last message if the order waits for it, `None` as soon as the run is recorded
    /// otherwise. Whoever stops to wait changes nothing about the run.
    ///
    /// # Errors
    /// Fails as the other run failed, or because it could not be started.
    pub async fn execute(&self, ordered: ExecuteOrder) -> Result<Option<Value>, StartFailure> {
        let key = key_of(&self.run, ordered.wait.is_some(), &ordered.place);
        let Some(pipeline) = self.served(&ordered) else {
            return self.of_one_that_is_gone(&ordered, &key).await;
        };
        self.check_chain(ordered.wait.is_some().then_some(ordered.pipeline.as_str()))
            .await?;
        let Some(wait) = ordered.wait else {
            self.start(&pipeline, &ordered, key).await?;
            return Ok(None);
        };
        let lent = self.dispatcher.rooms.lend(&self.run, &pipeline.name);
        let new = self.order(
            &pipeline,
            key,
            RunOrigin::Pipeline,
            &ordered.message,
            &ordered.shown,
            false,
        );
        let submitted = self.dispatcher.submit_for(new, Some(self.run.clone())).await;
        let waiting = match submitted.map_err(|error| unusable(&error))? {
            Submitted::New(run, ended) => {
                self.note(format!("runs `{}` and waits for it: run {}", run.pipeline, run.id));
                Waiting::For(run.id, ended)
            }
            Submitted::Known(run) => self.go_on(run).await?,
            Submitted::OtherContent(id) => {
                // What it began with counts; it is not sent again with another message.
                self.note(format!("run {id} goes on with the message that it began with"));
                Waiting::Known(id)
            }
            Submitted::Skipped => return Err(never("was not accepted").into()),
        };
        let ended = self.wait(waiting, wait, ordered.expiration).await?;
        drop(lent);
        self.answer_of(&ended).map(Some)
    }

    /// Starts every pipeline that waits for an event. Returns their names.
    ///
    /// # Errors
    /// Fails when one of them could not be started.
    pub async fn publish(&self, ordered: PublishOrder) -> Result<Vec<String>, StartFailure> {
        self.check_chain(None).await?;
        let directory = self.dispatcher.pipelines.current();
        let waits_for = |pipeline: &&Arc<ServedPipeline>| matches!(&pipeline.trigger.start, Start::Event(name) if *name == ordered.event);
        let listeners: Vec<_> = directory.pipelines.values().filter(waits_for).cloned().collect();
        if listeners.is_empty() {
            self.note(format!("no pipeline waits for the event `{}`", ordered.event));
        }
        let mut started = Vec::new();
        for pipeline in listeners {
            let key = format!("run/{}/event/{}{}", self.run, pipeline.name, ordered.place);
            self.check_queue(&key).await?;
            let order = self.order(&pipeline, key, RunOrigin::Event, &ordered.body, &ordered.shown, true);
            self.submit(order).await?;
            started.push(pipeline.name.clone());
        }
        Ok(started)
    }

    async fn start(&self, pipeline: &ServedPipeline, ordered: &ExecuteOrder, key: String) -> Result<(), StartFailure> {
        self.check_queue(&key).await?;
        let mut order = self.order(
            pipeline,
            key,
            RunOrigin::Pipeline,
            &ordered.message,
            &ordered.shown,
            true,
        );
        order.expiration = ordered.expiration.or(order.expiration);
        self.submit(order).await
    }

    /// Submits what nobody waits for. What is known was started before, whatever became of it.
    async fn submit(&self, order: NewRun) -> Result<(), StartFailure> {
        let submitted = self.dispatcher.submit(order).await;
        if let Submitted::New(run, _) = submitted.map_err(|error| unusable(&error))? {
            self.note(format!("starts `{}`: run {}", run.pipeline, run.id));
        }
        Ok(())
    }

    fn order(
        &self,
        pipeline: &ServedPipeline,
        key: String,
        origin: RunOrigin,
        message: &Value,
        shown: &Value,
        retried_here: bool,
    ) -> NewRun {
        let digest = ContentDigest::of_parts(&[pipeline.name.as_bytes(), message.to_string().as_bytes()]);
        // What one of the two pipelines calls sensitive is shown of neither.
        let shown = pipeline.prepared.shown(shown);
        NewRun {
            key,
            trace: self.trace.clone(),
            shown: (shown != *message).then(|| shown.to_string()),
            ..order(pipeline, None, &digest, origin, message, retried_here)
        }
    }

    fn served(&self, ordered: &ExecuteOrder) -> Option<Arc<ServedPipeline>> {
        let pipeline = self.dispatcher.pipelines.get(&ordered.pipeline)?;
        pipeline
            .has_major(&ordered.version_major.to_string())
            .then_some(pipeline)
    }

    /// A pipeline that is not served: perhaps the step started it before, when it was.
    async fn of_one_that_is_gone(&self, ordered: &ExecuteOrder, key: &str) -> Result<Option<Value>, StartFailure> {
        let known = self.dispatcher.runs.with_key(key).await;
        let Some(run) = known.map_err(|error| unusable(&error))? else {
            let major = ordered.version_major;
            let message = match self.dispatcher.pipelines.get(&ordered.pipeline) {
                Some(_) => format!(
                    "The pipeline `{}` has another major version than {major}.",
                    ordered.pipeline
                ),
                None => format!("No pipeline `{}` is served.", ordered.pipeline),
            };
            return Err(Failure::new(FailureKind::Configuration, message)
                .advise("Correct `pipelineName` and `versionMajor`, or add the pipeline to the directory.")
                .into());
        };
        let Some(wait) = ordered.wait else { return Ok(None) };
        let lent = self.dispatcher.rooms.lend(&self.run, &run.pipeline);
        let waiting = self.go_on(run).await?;
        let ended = self.wait(waiting, wait, ordered.expiration).await?;
        drop(lent);
        self.answer_of(&ended).map(Some)
    }

    /// A run that the step started before. One that failed or never began is tried again: the step itself is.
    async fn go_on(&self, run: Run) -> Result<Waiting, StartFailure> {
        self.note(format!("finds the run {} that it started before", run.id));
        if matches!(run.state, RunState::Failed | RunState::Cancelled) {
            let resumed = self.dispatcher.resume(&run.id).await;
            if let (Decided::Done(run), Some(ended)) = resumed.map_err(|error| unusable(&error))? {
                return Ok(Waiting::For(run.id, ended));
            }
        }
        Ok(Waiting::Known(run.id))
    }

    /// Waits for the end of a run.
    async fn wait(
        &self,
        waiting: Waiting,
        most: Duration,
        expiration: Option<Duration>,
    ) -> Result<Arc<Ended>, StartFailure> {
        let begun = Instant::now();
        let until = begun + most;
        let mut begins_until = expiration.map(|time| begun + time.min(most));
        let (id, mut told) = match waiting {
            Waiting::For(id, told) => (id, told),
            Waiting::Known(id) => {
                // Who begins to wait now looks whether it has ended already.
                let told = self.dispatcher.waiters.wait_for(&id);
                if let Some(ended) = self.look(&id).await? {
                    return Ok(ended);
                }
                (id, told)
            }
        };
        loop {
            let next = [Some(until), begins_until, Some(Instant::now() + LOOK_INTERVAL)];
            let next = next.into_iter().flatten().min().unwrap_or(until);
            match tokio::time::timeout_at(next, &mut told).await {
                Ok(Ok(ended)) => return Ok(ended),
                // It waits again.
                Ok(Err(_)) => {
                    told = self.dispatcher.waiters.wait_for(&id);
                    if let Some(ended) = self.look(&id).await? {
                        return Ok(ended);
                    }
                }
                Err(_) => {
                    if let Some(ended) = self.look(&id).await? {
                        return Ok(whole(&mut told, ended).await);
                    }
                }
            }
            let now = Instant::now();
            if begins_until.is_some_and(|time| now >= time) {
                begins_until = None;
                if let Some(ended) = self.give_up(&id, expiration.unwrap_or(most)).await? {
                    return Ok(whole(&mut told, ended).await);
                }
            }
            if now >= until {
                return match self.give_up(&id, most).await? {
                    Some(ended) => Ok(whole(&mut told, ended).await),
                    None => {
                        let message = format!(
                            "The run {id} has not answered within {} s; it goes on to its end.",
                            most.as_secs_f64()
                        );
                        Err(Failure::new(FailureKind::Transient, message)
                            .advise("Give the step a longer `timeout`. When the step is tried again, it waits for the same run.")
                            .into())
                    }
                };
            }
        }
    }

    /// The run, if it has ended.
    async fn look(&self, id: &RunId) -> Result<Option<Arc<Ended>>, StartFailure> {
        let run = self.dispatcher.runs.run(id).await;
        let run = run.map_err(|error| unusable(&error))?;
        let run = run.ok_or_else(|| never("is not in the state any more"))?;
        Ok(run.state.is_end().then(|| Arc::new(Ended { run, output: None })))
    }

    /// Ends a run that has not begun after this time. Returns the run if it has ended, by this or before.
    async fn give_up(&self, id: &RunId, after: Duration) -> Result<Option<Arc<Ended>>, StartFailure> {
        let message = format!(
            "The run did not begin within {} s, and was cancelled.",
            after.as_secs_f64()
        );
        let failure = Failure::new(FailureKind::Transient, message);
        let failure = RunFailure {
            kind: failure.kind.as_str().to_owned(),
            object: json!(failure).to_string(),
        };
        let decided = self.dispatcher.cancel(id, Some(failure)).await;
        Ok(match decided.map_err(|error| unusable(&error))? {
            Decided::Done(run) => Some(Arc::new(Ended { run, output: None })),
            Decided::NotNow(run) if run.state.is_end() => Some(Arc::new(Ended { run, output: None })),
            Decided::NotNow(_) | Decided::Unknown => None,
        })
    }

    /// The answer of a run to the step that waits for it.
    fn answer_of(&self, ended: &Ended) -> Result<Value, StartFailure> {
        let run = &ended.run;
        if run.state != RunState::Done {
            return Err(failure_of(run));
        }
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let hides = |text: &String| text.contains(HIDDEN);
        if let Some(output) = &ended.output {
            if run.output.as_ref().is_some_and(hides) {
                answers.insert(run.id.clone(), output.clone());
            }
            return Ok(output.clone());
        }
        if let Some(output) = answers.get(&run.id) {
            return Ok(output.clone());
        }
        recorded_answer(run)
    }

    /// Refuses a chain of runs that would wait for itself, or that has no end.
    async fn check_chain(&self, waited_for: Option<&str>) -> Result<(), StartFailure> {
        let ancestors = self.ancestors.get_or_try_init(|| self.look_up_ancestors()).await;
        let ancestors = ancestors.map_err(|error| unusable(&error))?;
        if let Some(pipeline) = waited_for {
            let above = ancestors.iter().take_while(|ancestor| ancestor.waits);
            let mut waiting: Vec<&str> = above.map(|ancestor| ancestor.pipeline.as_str()).collect();
            waiting.insert(0, &self.pipeline);
            if let Some(at) = waiting.iter().position(|name| *name == pipeline) {
                let mut circle: Vec<String> = waiting[..=at].iter().rev().map(|name| format!("`{name}`")).collect();
                circle.push(format!("`{pipeline}`"));
                let message = format!(
                    "The pipeline `{pipeline}` would wait for itself: {}.",
                    circle.join(" runs ")
                );
                return Err(Failure::new(FailureKind::Configuration, message)
                    .advise("Start it with ASYNC, or let a loop repeat what it does.")
                    .into());
            }
        }
        if ancestors.len() + 1 >= CHAIN_MAX {
            let message = format!("{CHAIN_MAX} runs came of one another, so this one starts no further one.");
            return Err(Failure::new(FailureKind::Limit, message)
                .advise("Let a loop repeat what the pipelines do in turn.")
                .into());
        }
        Ok(())
    }

    /// The runs that this one came of, the nearest first.
    async fn look_up_ancestors(&self) -> Result<Vec<Ancestor>, StateError> {
        let mut ancestors = Vec::new();
        let mut key = self.key.clone();
        while let Some((id, waits)) = parent_of(&key) {
            let Some(run) = self.dispatcher.runs.run(&id).await? else {
                break;
            };
            ancestors.push(Ancestor {
                pipeline: run.pipeline,
                waits,
            });
            if ancestors.len() >= CHAIN_MAX {
                break;
            }
            key = run.key;
        }
        Ok(ancestors)
    }

    /// Refuses an order that would have to wait behind too many others.
    async fn check_queue(&self, key: &str) -> Result<(), StartFailure> {
        let has_place = self.dispatcher.has_place_for(key).await;
        if has_place.map_err(|error| unusable(&error))? {
            return Ok(());
        }
        let message = format!("{} runs wait already.", self.dispatcher.queue_max);
        let mut failure = Failure::new(FailureKind::Transient, message);
        failure.wait = Some(10);
        Err(failure.into())
    }

    fn note(&self, text: String) {
        self.dispatcher.watching.journal.log(&self.run, LineLevel::Info, text);
    }
}

/// The end as this process tells it, which has the answer whole; as the state has it, if another process performed it.
async fn whole(told: &mut EndWaiter, ended: Arc<Ended>) -> Arc<Ended> {
    match tokio::time::timeout(LOOK_INTERVAL, told).await {
        Ok(Ok(told)) => told,
        _ => ended,
    }
}

/// The key of a run that a step orders. A caller's own keys have another beginning.
fn key_of(run: &RunId, waits: bool, place: &str) -> String {
    let how = if waits { "sync" } else { "async" };
    format!("run/{run}/{how}{place}")
}

/// The run that ordered the one with this key, and whether it waits for it.
fn parent_of(key: &str) -> Option<(RunId, bool)> {
    let (id, how) = key.strip_prefix("run/")?.split_once('/')?;
    Some((RunId::parse(id)?, how.starts_with("sync/")))
}

/// What stands for a value that is not shown.
const HIDDEN: &str = "***";

fn has_hidden(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(HIDDEN),
        Value::Array(elements) => elements.iter().any(has_hidden),
        Value::Object(members) => members.values().any(has_hidden),
        _ => false,
    }
}

/// The answer of a run that is done, as the state has it.
fn recorded_answer(run: &Run) -> Result<Value, StartFailure> {
    let recorded = run.output.as_deref().and_then(|text| read_back(text).ok());
    let limit = |message: String| {
        Failure::new(FailureKind::Limit, message)
            .advise("What that run did is done. Begin anew under another key, if its answer is needed.")
    };
    match recorded {
        Some(output) if has_hidden(&output) => Err(limit(format!(
            "The pipeline `{}` has answered (run {}) before this run was interrupted, and its answer was recorded without \
             what may not be shown.",
            run.pipeline, run.id
        ))
        .into()),
        Some(output) => Ok(output),
        None => Err(limit(format!(
            "The answer of the pipeline `{}` (run {}) is not kept any more.",
            run.pipeline, run.id
        ))
        .into()),
    }
}

/// Why a run did not end as it should, for the step that waits for it.
fn failure_of(run: &Run) -> StartFailure {
    let object = match &run.failure {
        Some(failure) => read_back(&failure.object).unwrap_or_default(),
        None => Value::Null,
    };
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    let said = text("message").unwrap_or_else(|| match run.state {
        RunState::Cancelled => "It was cancelled before it began.".to_owned(),
        _ => format!("{} of its messages are uncertain.", run.counts.uncertain),
    });
    let message = |what: &str| format!("The pipeline `{}` {what} (run {}): {said}", run.pipeline, run.id);
    if run.state == RunState::Uncertain {
        // Whatever else it failed of: nobody may start it again without looking.
        return Failure::new(FailureKind::Uncertain, message("ended uncertain"))
            .advise("Settle its messages and continue that run, then continue this one.")
            .into();
    }
    let kind = run
        .failure
        .as_ref()
        .and_then(|failure| FailureKind::from_name(&failure.kind));
    let what = if run.state == RunState::Cancelled {
        "was cancelled"
    } else {
        "failed"
    };
    match (kind, run.state) {
        (Some(kind), _) => {
            let mut failure = Failure::new(kind, message(what));
            failure.advice = text("advice");
            failure.link = text("link");
            let wait = object.get("wait").and_then(Value::as_u64);
            failure.wait = wait.and_then(|wait| u32::try_from(wait).ok());
            // What helps the other one helps this one.
            let remedy = object.get("remedy").cloned();
            failure.remedy = remedy.and_then(|remedy| serde_json::from_value(remedy).ok());
            failure.into()
        }
        (None, RunState::Cancelled) => Failure::new(FailureKind::Transient, message(what)).into(),
        (None, _) => StartFailure::Thrown {
            message: message(what),
            error: object.get("error").cloned().unwrap_or(object),
        },
    }
}

fn unusable(error: &StateError) -> StartFailure {
    tracing::error!(%error, "the state cannot be used");
    Failure::new(
        FailureKind::Transient,
        "The state cannot be written or read now, so the other pipeline was not started.",
    )
    .into()
}

fn never(clause: &str) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        format!("The run of the other pipeline {clause}."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_which_run_ordered_it_and_whether_that_waits() {
        let run = RunId::next();
        assert_eq!(parent_of(&key_of(&run, true, "/start/a")), Some((run.clone(), true)));
        assert_eq!(parent_of(&key_of(&run, false, "/start/a")), Some((run.clone(), false)));
        assert_eq!(parent_of(&format!("run/{run}/event/sync/start/a")), Some((run, false)));
        for other in ["key/run/x", "run/x/sync/y", "schedule/run", "", "run/"] {
            assert_eq!(parent_of(other), None, "{other}");
        }
    }

    #[test]
    fn what_may_not_be_shown_is_found_at_any_depth() {
        assert!(has_hidden(&json!({"a": [{"card": "***"}]})));
        assert!(!has_hidden(&json!({"a": [{"card": "**"}, 1, null]})));
    }
}
