//! From a run that ended to the answer that its caller gets: while it waits, and when it asks again with the same key.

use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use pipepost_core::json::read_back;
use pipepost_core::{Failure, FailureKind};
use pipepost_state::StateError;
use pipepost_state::runs::{Run, RunState};
use serde_json::{Value, json};

use crate::message::{HttpTrigger, answer};
use crate::problem::{Problem, ProblemKind};

/// The header that names the run of an answer.
pub(crate) const RUN_HEADER: HeaderName = HeaderName::from_static("pipepost-run");

/// The header of an answer that was given before (draft-ietf-httpapi-idempotency-key-header).
const REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The path of a run in the API.
pub(crate) fn location(run: &Run) -> String {
    format!("/api/v1/runs/{}", run.id)
}

/// The answer of a run that ended. `output` is the last message, whole; without it the recorded one is taken.
pub(crate) fn of_run(trigger: HttpTrigger, run: &Run, output: Option<&Value>) -> Response {
    let recorded = || {
        let text = run.output.as_deref()?;
        read_back(text).ok()
    };
    let response = match run.state {
        RunState::Done => match output.cloned().or_else(recorded) {
            Some(output) => {
                answer(trigger, &output).unwrap_or_else(|problem| problem.about(location(run)).into_response())
            }
            None => Problem::new(
                ProblemKind::Conflict,
                "The run is done, and its output is not kept any more.",
            )
            .about(location(run))
            .into_response(),
        },
        _ => problem_of(run).into_response(),
    };
    named(response, run)
}

/// Adds the run's name to an answer.
pub(crate) fn named(mut response: Response, run: &Run) -> Response {
    if let Ok(id) = HeaderValue::from_str(run.id.as_str()) {
        response.headers_mut().insert(RUN_HEADER, id);
    }
    response
}

/// Says that an answer is about a run that had ended under the same key.
pub(crate) fn replayed(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
    response
}

/// The problem of a run that did not end as it should.
pub(crate) fn problem_of(run: &Run) -> Problem {
    let counts = run.counts;
    let messages = json!({ "sent": counts.sent, "failed": counts.failed, "uncertain": counts.uncertain });
    let problem = match (run.state, &run.failure) {
        (RunState::Cancelled, Some(failure)) if failure.kind == FailureKind::Transient.as_str() => Problem::new(
            ProblemKind::NotStarted,
            "The run did not begin within its time, and was cancelled.",
        ),
        (RunState::Cancelled, _) => Problem::new(ProblemKind::Cancelled, "The run was cancelled before it began."),
        (RunState::Uncertain, failure) => {
            let of_uncertain = failure
                .as_ref()
                .filter(|failure| failure.kind == FailureKind::Uncertain.as_str());
            match of_uncertain {
                Some(failure) => of_failure(&failure.kind, &failure.object),
                None => {
                    let failure = Failure::new(
                        FailureKind::Uncertain,
                        format!(
                            "Nobody can tell whether {} of the run's messages were sent.",
                            counts.uncertain
                        ),
                    );
                    Problem::of_failure(&failure.advise("Look for them in the sender's mailbox, then settle them."))
                }
            }
        }
        (_, Some(failure)) => of_failure(&failure.kind, &failure.object),
        (_, None) => Problem::new(ProblemKind::Internal, "The run did not end."),
    };
    problem.about(location(run)).with_messages(messages)
}

fn of_failure(kind: &str, object: &str) -> Problem {
    let object = read_back(object).unwrap_or_default();
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    let message = text("message").unwrap_or_else(|| "The run failed.".to_owned());
    match FailureKind::from_name(kind) {
        Some(kind) => {
            let mut failure = Failure::new(kind, message);
            failure.advice = text("advice");
            failure.link = text("link");
            failure.wait = object
                .get("wait")
                .and_then(Value::as_u64)
                .and_then(|wait| u32::try_from(wait).ok());
            Problem::of_failure(&failure)
        }
        None => Problem::of_pipeline(object.get("code").unwrap_or(&Value::Null), message),
    }
}

/// The problem of a state that cannot be used.
pub(crate) fn of_state(error: &StateError) -> Problem {
    tracing::debug!(%error, "the state cannot be used");
    let detail = match error {
        StateError::Unreachable { may_be_done: true, .. } => {
            "The state did not answer, so nobody knows whether it was written down. If it was, it goes on: ask again with the same Idempotency-Key, or look at the runs first."
        }
        _ => "The state cannot be written or read now, so nothing was begun.",
    };
    Problem::new(ProblemKind::StateUnavailable, detail)
}
