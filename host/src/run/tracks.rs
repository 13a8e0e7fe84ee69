//! Steps with tracks: the block, the retry, the loop that ends by its own word, and branches side by side.
//!
//! The message keys of a track contain the step around it and the track's own name, so that two steps may share a
//! branch. They never contain the number of an attempt.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use pipepost_core::{Failure, FailureKind};
use pipepost_flowspec::{Aggregation, BranchId, DoWhile, Parallel, Retry, SettingValue as _, Step, Tracks};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::RunError;
use super::clock::give_way;
use super::execute::{Execution, place, succeeded};
use super::scopes::Frame;

impl Execution<'_> {
    /// Runs a track of a step within the frame.
    pub(super) async fn track(
        &self,
        step: &Step,
        name: &str,
        branch: BranchId,
        frame: &mut Frame,
    ) -> Result<(), RunError> {
        let inner = format!("{}/{name}", frame.key(step));
        let outer = std::mem::replace(&mut frame.path, inner);
        let result = self.branch(branch, frame).await;
        frame.path = outer;
        result
    }

    /// The work, and after an error in it what is there for that. At the run's end no error is caught any more.
    async fn guarded(&self, step: &Step, tracks: &Tracks, frame: &mut Frame) -> Result<(), RunError> {
        let result = self.track(step, "process", tracks.on_process, frame).await;
        match (result, tracks.on_exception) {
            (Err(error), Some(on_exception)) if !self.clock.is_over() => {
                tracing::debug!(%error, "goes to onException");
                frame.message = Arc::new(error.object);
                self.track(step, "exception", on_exception, frame).await
            }
            (result, _) => result,
        }
    }

    pub(super) async fn block(&self, step: &Step, tracks: &Tracks, frame: &mut Frame) -> Result<(), RunError> {
        self.guarded(step, tracks, frame).await
    }

    /// Runs the work until it ends in success. Each try gets what the one before it left; what was sent in an earlier
    /// try is not sent again, since its key is the same.
    pub(super) async fn retry(&self, step: &Step, retry: &Retry, frame: &mut Frame) -> Result<Value, RunError> {
        let settings = self.at(step, frame).setting("maxRetry", &retry.max_retry);
        let settings = settings.and_then(|most| Ok((most, self.at(step, frame).setting("timeout", &retry.timeout)?)));
        let (most, timeout) = match settings {
            Ok(settings) => settings,
            Err(error) => return self.at(step, frame).end_in(retry.fail_on_error, error),
        };
        let outer = frame.deadline;
        let own = Instant::now().checked_add(Duration::from_millis(timeout));
        let own = own.filter(|_| timeout > 0);
        frame.deadline = [outer, own].into_iter().flatten().min();
        let repeats = std::mem::replace(&mut frame.repeats, true);
        let mut last = Ok(());
        let mut tries = 0;
        while tries < most.max(1) {
            tries += 1;
            last = self.guarded(step, &retry.tracks, frame).await;
            let is_over = frame.deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if (last.is_ok() && succeeded(&frame.message)) || self.clock.is_over() || is_over {
                break;
            }
            tracing::debug!(step = %place(step), tries, "a try without success");
        }
        frame.deadline = outer;
        frame.repeats = repeats;
        match last {
            Err(error) if self.clock.is_over() => Err(error),
            Err(error) => self.at(step, frame).end_in(retry.fail_on_error, error),
            Ok(()) if succeeded(&frame.message) || !retry.fail_on_error => {
                Ok(Arc::unwrap_or_clone(std::mem::take(&mut frame.message)))
            }
            Ok(()) => {
                let output = Arc::unwrap_or_clone(std::mem::take(&mut frame.message));
                let kind = output.pointer("/failure/kind").and_then(Value::as_str);
                let kind = kind.and_then(FailureKind::from_name).unwrap_or(FailureKind::Limit);
                let message = match tries {
                    1 => "The only try did not end in success.".to_owned(),
                    _ => format!("None of {tries} tries ended in success."),
                };
                let failure = Failure::new(kind, message);
                Err(RunError::new(place(step), failure).with(json!({ "output": output })))
            }
        }
    }

    /// Runs the work until it says `loopBreak`, or often enough. The number of a run is a part of its messages' keys.
    pub(super) async fn do_while(&self, step: &Step, repeat: &DoWhile, frame: &mut Frame) -> Result<(), RunError> {
        let most = self.at(step, frame).setting("iteration", &repeat.iterations)?;
        let timeout = self.at(step, frame).setting("timeout", &repeat.timeout)?;
        let (outer, path) = (frame.deadline, frame.path.clone());
        let own = Instant::now().checked_add(Duration::from_millis(timeout));
        frame.deadline = [outer, own.filter(|_| timeout > 0)].into_iter().flatten().min();
        let counter = self.counter(step, usize::try_from(most).unwrap_or(usize::MAX));
        let key = frame.key(step);
        let mut result = Ok(());
        for number in 1..=most {
            give_way().await;
            if self.clock.is_over() {
                result = Err(RunError::new(place(step), self.clock.over()));
                break;
            }
            if frame.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                let message = format!("The loop's time of {timeout} ms is over after {} runs.", number - 1);
                let failure = Failure::new(FailureKind::Limit, message).advise("Give it a longer `timeout`.");
                result = Err(RunError::new(place(step), failure));
                break;
            }
            if repeat.shows_index
                && let Value::Object(message) = Arc::make_mut(&mut frame.message)
            {
                message.insert("loopIndex".to_owned(), number.into());
            }
            frame.path = format!("{key}/{number}");
            let ended = self.turn(step, repeat, number, frame).await;
            counter.one();
            match ended {
                Ok(Turn::Next) => {}
                Ok(Turn::Last) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        (frame.deadline, frame.path) = (outer, path);
        result
    }

    /// One run of a loop's track, and what follows an error in it. An error in `onException` goes up.
    async fn turn(&self, step: &Step, repeat: &DoWhile, number: u64, frame: &mut Frame) -> Result<Turn, RunError> {
        let error = match self.branch(repeat.tracks.on_process, frame).await {
            Ok(()) => {
                let breaks = frame.message.get("loopBreak").and_then(bool::from_value);
                return Ok(if breaks == Some(true) { Turn::Last } else { Turn::Next });
            }
            Err(error) => error,
        };
        if self.clock.is_over() || (repeat.tracks.on_exception.is_none() && repeat.interrupt_on_error) {
            return Err(error);
        }
        if repeat.tracks.on_exception.is_none() {
            self.tally
                .tolerate(format!("{}, run {number}", place(step)), error.tolerated());
        }
        let mut object = error.object;
        if let Value::Object(members) = &mut object {
            members.insert("loopIndex".to_owned(), number.into());
        }
        frame.message = Arc::new(object);
        if let Some(on_exception) = repeat.tracks.on_exception {
            frame.path.push_str("-exception");
            self.branch(on_exception, frame).await?;
        }
        Ok(if repeat.interrupt_on_error {
            Turn::Last
        } else {
            Turn::Next
        })
    }

    /// Runs branches side by side, each with the message as it is, and joins what they leave.
    pub(super) async fn parallel(&self, step: &Step, parallel: &Parallel, frame: &Frame) -> Result<Value, RunError> {
        let fan_out = frame.fan_out.clone().unwrap_or_default();
        let begins = self.clock.fan_out(&fan_out, parallel.executions.len());
        begins.map_err(|failure| RunError::new(place(step), failure))?;
        let mut running = FuturesUnordered::new();
        for (index, execution) in parallel.executions.iter().enumerate() {
            let path = format!("{}/{index}", frame.key(step));
            let mut inner = frame.child(Arc::clone(&frame.message), path);
            // A loop counts its iterations, and these are no iterations of it.
            inner.coalescer = None;
            inner.fan_out = Some(Arc::clone(&fan_out));
            running.push(async move {
                let _track = match self.clock.track() {
                    Ok(track) => track,
                    Err(failure) => return (index, Err(RunError::new(place(step), failure))),
                };
                let result = self.branch(execution.target, &mut inner).await;
                (index, result.map(|()| Arc::unwrap_or_clone(inner.message)))
            });
        }
        let mut results: Vec<Option<Result<Value, RunError>>> = parallel.executions.iter().map(|_| None).collect();
        while let Some((index, result)) = running.next().await {
            if let Some(slot) = results.get_mut(index) {
                *slot = Some(result);
            }
        }
        let mut joined = Vec::with_capacity(results.len());
        let mut failed = 0;
        for (execution, result) in parallel.executions.iter().zip(results.into_iter().flatten()) {
            let result = match result {
                Ok(output) => output,
                Err(error) if self.clock.is_over() => return Err(error),
                Err(error) => {
                    failed += 1;
                    let name = execution.execution_id.as_ref().or(execution.description.as_ref());
                    let name = name.map_or_else(String::new, |name| format!(", execution {name}"));
                    self.tally.tolerate(format!("{}{name}", place(step)), error.tolerated());
                    if parallel.report_exceptions {
                        reported(&error.object)
                    } else {
                        Value::Null
                    }
                }
            };
            joined.push(match &execution.execution_id {
                Some(id) if parallel.show_execution_ids => json!({ "executionId": id, "result": result }),
                _ => result,
            });
        }
        let total = joined.len();
        Ok(match parallel.aggregation {
            Aggregation::Collate => Value::Array(joined),
            Aggregation::Summary => json!({ "total": total, "success": total - failed, "failed": failed }),
        })
    }
}

/// Whether a loop goes on after a run of its track.
enum Turn {
    Next,
    Last,
}

/// An exception as it stands among results.
fn reported(error: &Value) -> Value {
    let member = |name: &str| error.get(name).cloned().unwrap_or_default();
    match error {
        Value::Object(_) => json!({
            "timestamp": member("timestamp"),
            "error": member("error"),
            "code": member("code"),
        }),
        custom => custom.clone(),
    }
}
