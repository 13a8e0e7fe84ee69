//! Performs one run, and decides how it goes on: it ends, or it waits for another try.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use pipepost_core::json::read_back;
use pipepost_core::{Failure, FailureKind, shutdown};
use pipepost_state::clock::{Clock as _, SystemClock, length};
use pipepost_state::runs::{Lease, QueueAgain, Run, RunEnd, RunFailure, RunState, backoff};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{Dispatcher, Ended, STATE_RETRY_INTERVAL, Starter};
use crate::host::{Order, Performed, PreparedPipeline, Source};
use crate::journal::StepSink;
use crate::trigger::Trigger;

/// How many documents of earlier texts are kept prepared.
const PINNED_MAX: usize = 64;

/// The kind of an error that the pipeline itself threw.
pub(crate) const PIPELINE_ERROR: &str = "pipeline-error";

/// What performs the runs of one document.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pipeline: Arc<dyn PreparedPipeline>,
    trigger: Trigger,
}

/// The way a run goes on.
enum Next {
    End(RunEnd),
    Again(QueueAgain),
}

/// How a run goes on after an attempt, as it was written down.
pub(super) enum WentOn {
    /// It has ended.
    Ended(Box<Ended>),
    /// It waits for another attempt, or somebody else has it.
    Waits,
    /// It waits for the state, and then for nothing else: whoever waits for it may go on waiting.
    WaitsForState,
}

/// Performs a run, and writes down how it goes on.
pub(super) async fn perform(dispatcher: &Arc<Dispatcher>, lease: Lease) -> WentOn {
    let run = &lease.run;
    let began = Instant::now();
    let (performed, retries) = match prepare(dispatcher, run).await {
        Ok(prepared) => {
            let performed = AssertUnwindSafe(attempt(dispatcher, &prepared, run))
                .catch_unwind()
                .await;
            let performed = performed.unwrap_or_else(|_| {
                Performed::not_begun(
                    &Failure::new(
                        FailureKind::Limit,
                        "The host ended the run because of an error of its own.",
                    )
                    .advise("Look into the log, and report it."),
                )
            });
            (performed, run.retries)
        }
        Err(unprepared) => (*unprepared, 0),
    };
    let output = performed.output.clone();
    let is_unrecorded = performed.unrecorded;
    let next = decide(run, performed, retries);
    match write_down(dispatcher, &lease, next).await {
        Some(run) => WentOn::Ended(Box::new(Ended { run, output })),
        None if is_unrecorded => WentOn::WaitsForState,
        None => {
            dispatcher.went_on_meanwhile(began).await;
            WentOn::Waits
        }
    }
}

/// Performs one attempt.
async fn attempt(dispatcher: &Arc<Dispatcher>, prepared: &Prepared, run: &Run) -> Performed {
    if run.expires.is_some_and(|expires| expires < SystemClock.now()) {
        let message = "The run's time to begin was over before there was room for it.";
        return Performed::not_begun(
            &Failure::new(FailureKind::Limit, message).advise("Continue it, if it still has a purpose."),
        );
    }
    let parse = |text: &Option<String>| text.as_deref().map_or(Ok(Value::Null), read_back);
    let (globals, message) = match (parse(&run.globals), parse(&run.message)) {
        (Ok(Value::Object(globals)), Ok(message)) => (globals, message),
        (Ok(_), Ok(message)) => (Map::new(), message),
        // Without it another message would be sent.
        (Err(error), _) | (_, Err(error)) => {
            let message = format!("The run's message cannot be read back from the state: {error}.");
            return Performed::not_begun(
                &Failure::new(FailureKind::Limit, message).advise("Begin anew with a message that nests less."),
            );
        }
    };
    let ending = shutdown::channel();
    {
        let mut under_way = dispatcher.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.insert(run.id.clone(), ending.0.clone());
    }
    if dispatcher.is_ending.load(Ordering::Acquire) {
        // It was taken as the last one.
        ending.0.request(shutdown::GRACE);
    }
    let order = Order {
        run: run.id.clone(),
        pipeline: run.pipeline.clone(),
        trace: run.trace.clone(),
        key: run.key.clone(),
        message,
        globals,
        limit: prepared.trigger.timeout,
        began_before: run.attempt > 1,
        redelivery: run.redelivery,
        ending,
        steps: StepSink::new(&dispatcher.watching.journal, &dispatcher.watching.metrics, &run.id),
        starter: Starter::new(dispatcher, run),
    };
    let performed = prepared.pipeline.perform(order).await;
    let mut under_way = dispatcher.under_way.lock().unwrap_or_else(PoisonError::into_inner);
    under_way.remove(&run.id);
    performed
}

/// Finds or makes what performs the document to which a run is pinned.
async fn prepare(dispatcher: &Dispatcher, run: &Run) -> Result<Prepared, Box<Performed>> {
    if let Some(served) = dispatcher.pipelines.get(&run.pipeline)
        && served.document.digest == run.document
    {
        return Ok(Prepared {
            pipeline: Arc::clone(&served.prepared),
            trigger: served.trigger.clone(),
        });
    }
    let (known, generation) = {
        let pinned = dispatcher.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        (pinned.prepared.get(&run.document).cloned(), pinned.generation)
    };
    if let Some(known) = known {
        return Ok(known);
    }
    let configuration = |message: String| Failure::new(FailureKind::Configuration, message);
    let document = dispatcher.runs.document(&run.document).await;
    dispatcher.note_use(&document);
    let document = document
        .map_err(|error| {
            Box::new(Performed {
                unrecorded: true,
                ..Performed::not_begun(&configuration(error.to_string()))
            })
        })?
        .ok_or_else(|| {
            let message = "The document to which the run is pinned is gone from the state.";
            Box::new(Performed::not_begun(&configuration(message.to_owned())))
        })?;
    let source = Source::pinned(&document);
    let host = Arc::clone(dispatcher.pipelines.host());
    let prepared = tokio::task::spawn_blocking(move || {
        let pipeline = host.prepare(&source)?;
        // A schedule without a further time has begun its runs before.
        let trigger = Trigger::of(pipeline.document(), jiff::Timestamp::UNIX_EPOCH)?;
        Ok(Prepared { pipeline, trigger })
    });
    let prepared: Result<Prepared, Vec<String>> = prepared
        .await
        .unwrap_or_else(|error| Err(vec![format!("it cannot be read: {error}")]));
    let prepared = prepared.map_err(|problems| {
        let message = format!(
            "The document to which the run is pinned does not check any more: {}",
            problems.join("; ")
        );
        let advice = "Mend what it needs (an account, a connector, the policy), then continue the run.";
        Box::new(Performed::not_begun(&configuration(message).advise(advice)))
    })?;
    let mut pinned = dispatcher.pinned.lock().unwrap_or_else(PoisonError::into_inner);
    if pinned.prepared.len() >= PINNED_MAX {
        pinned.prepared.clear();
    }
    // With accounts that changed meanwhile it is good for this run alone, which began before.
    if pinned.generation == generation {
        pinned.prepared.insert(run.document.clone(), prepared.clone());
    }
    Ok(prepared)
}

/// How long a run waits after an attempt that the state ended: it may fail again where little room is left.
fn state_pause(attempt: u32) -> Duration {
    STATE_RETRY_INTERVAL.saturating_mul(attempt.clamp(1, 60))
}

/// Decides how a run goes on after an attempt.
fn decide(run: &Run, performed: Performed, retries: u32) -> Next {
    let Performed {
        shown,
        failure,
        counts,
        interrupted,
        waited_for_uncertain,
        is_unanswered,
        unrecorded,
        ..
    } = performed;
    let Some(counts) = counts else {
        // Whether it is done, or uncertain, is in the ledger. The next attempt finds there what this one did.
        return Next::Again(QueueAgain {
            wait: state_pause(run.attempt),
            failure: None,
            counts: run.counts,
        });
    };
    if unrecorded && (failure.is_some() || counts.failed > 0 || is_unanswered) {
        // Nobody's fault but the state's, and nothing that is not in the ledger was sent: it goes on when the state is back.
        return Next::Again(QueueAgain {
            wait: state_pause(run.attempt),
            failure: None,
            counts,
        });
    }
    if interrupted && (failure.is_some() || counts.failed > 0 || is_unanswered) {
        // What is left is sent after the restart.
        return Next::Again(QueueAgain {
            wait: Duration::ZERO,
            failure: None,
            counts,
        });
    }
    let kind = failure.as_ref().and_then(|failure| failure.kind);
    let is_temporary = kind.is_some_and(FailureKind::is_temporary);
    let output = shown.map(|shown| shown.to_string());
    let recorded = failure.as_ref().map(|failure| RunFailure {
        kind: failure.kind.map_or(PIPELINE_ERROR, FailureKind::as_str).to_owned(),
        object: failure.object.to_string(),
    });
    let is_uncertain = counts.uncertain > 0 || waited_for_uncertain || kind == Some(FailureKind::Uncertain);
    if is_temporary && !is_uncertain && retries > 0 {
        let wait = failure
            .as_ref()
            .and_then(|failure| failure.wait)
            .unwrap_or_else(|| backoff(run.attempt));
        let at = SystemClock.now().saturating_add(length(wait));
        if run.expires.is_none_or(|expires| at <= expires) {
            return Next::Again(QueueAgain {
                wait,
                failure: recorded,
                counts,
            });
        }
    }
    let state = match (is_uncertain, &recorded) {
        (true, _) => RunState::Uncertain,
        (false, Some(_)) => RunState::Failed,
        (false, None) => RunState::Done,
    };
    Next::End(RunEnd {
        state,
        output,
        failure: recorded,
        counts,
    })
}

/// Writes down how a run goes on, and tries until it is written: what was sent is in the ledger meanwhile. Returns the run
/// if it has ended.
async fn write_down(dispatcher: &Dispatcher, lease: &Lease, next: Next) -> Option<Run> {
    let mut is_first = true;
    loop {
        let written = match &next {
            Next::End(end) => dispatcher.runs.finish(lease, end.clone()).await,
            Next::Again(again) => dispatcher.runs.queue_again(lease, again.clone()).await,
        };
        dispatcher.note_use(&written);
        match (written, next_is_end(&next)) {
            (Ok(true), Some(end)) => {
                let mut run = lease.run.clone();
                run.finish(end.clone(), SystemClock.now());
                return Some(run);
            }
            (Ok(true), None) => {
                if let Next::Again(again) = &next {
                    dispatcher.watching.waits_again(&lease.run, again);
                }
                dispatcher.something_waits();
                return None;
            }
            (Ok(false), _) => {
                tracing::warn!(run = %lease.run.id, "somebody else has the run; its end here is not written down");
                return None;
            }
            (Err(error), _) if dispatcher.is_draining() => {
                // It is found as a run whose server died, and replayed from the ledger.
                tracing::error!(run = %lease.run.id, %error, "the end of a run could not be written down");
                return None;
            }
            (Err(error), _) => {
                if std::mem::replace(&mut is_first, false) {
                    tracing::error!(run = %lease.run.id, %error, "the end of a run waits for the state");
                }
                tokio::time::sleep(STATE_RETRY_INTERVAL).await;
            }
        }
    }
}

fn next_is_end(next: &Next) -> Option<&RunEnd> {
    match next {
        Next::End(end) => Some(end),
        Next::Again(_) => None,
    }
}
