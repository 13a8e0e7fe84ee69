//! `POST /events`: an event starts every pipeline that waits for its type.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use pipepost_state::runs::{NewRun, RunOrigin};
use serde_json::{Value, json};

use crate::cloud_events::CloudEvent;
use crate::dispatcher::Submitted;
use crate::idempotency::ContentDigest;
use crate::message::{DEFAULT_BODY_LIMIT, read_body};
use crate::outcome::of_state;
use crate::pipelines::ServedPipeline;
use crate::problem::Problem;
use crate::service::Service;
use crate::tokens::Need;
use crate::trace;
use crate::trigger::Start;
use crate::triggers::{check_queue, order};

/// `POST /events`.
pub(crate) async fn publish(State(service): State<Arc<Service>>, request: Request) -> Response {
    match accept(&service, request).await {
        Ok(runs) => (StatusCode::ACCEPTED, Json(json!({ "runs": runs }))).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn accept(service: &Arc<Service>, request: Request) -> Result<Vec<Value>, Problem> {
    let (head, body) = request.into_parts();
    // Also if nobody waits for the event: whoever starts nothing learns nothing of who listens.
    let caller = service.caller(&head.headers, Need::RunSome)?;
    service.check_ready()?;
    let body = read_body(body, DEFAULT_BODY_LIMIT).await?;
    let event = CloudEvent::read(&head.headers, &body)?;
    let listeners = listeners(service, &event.event_type);
    for pipeline in &listeners {
        caller.require(Need::Run(&pipeline.name))?;
    }
    let mut orders = Vec::new();
    for pipeline in listeners {
        let order = order_of(&pipeline, &event);
        // Before any of them is given: an event that is refused starts nothing.
        check_queue(service, &order.key).await?;
        orders.push((pipeline, order));
    }
    let mut runs = Vec::new();
    let trace = trace::of_headers(&head.headers);
    for (pipeline, order) in orders {
        let order = NewRun {
            trace: trace.clone(),
            ..order
        };
        let submitted = service.dispatcher.submit(order).await;
        let (id, state) = match submitted.map_err(|error| of_state(&error))? {
            Submitted::New(run, _) | Submitted::Known(run) => (run.id, run.state.as_str()),
            // `source` and `id` name one event: what comes again under them is that event.
            Submitted::OtherContent(id) => (id, "known"),
            Submitted::Skipped => continue,
        };
        runs.push(json!({ "pipeline": pipeline.name, "id": id.as_str(), "state": state }));
    }
    Ok(runs)
}

/// The pipelines that wait for events of this type.
pub(crate) fn listeners(service: &Service, event_type: &str) -> Vec<Arc<ServedPipeline>> {
    let directory = service.pipelines.current();
    let waits_for =
        |pipeline: &&Arc<ServedPipeline>| matches!(&pipeline.trigger.start, Start::Event(name) if name == event_type);
    directory.pipelines.values().filter(waits_for).cloned().collect()
}

/// The run of one pipeline for an event.
pub(crate) fn order_of(pipeline: &ServedPipeline, event: &CloudEvent) -> NewRun {
    let key = event.key();
    let digest = ContentDigest::of_parts(&[key.as_bytes()]);
    NewRun {
        key: format!("{key}/{}", pipeline.name),
        ..order(pipeline, None, &digest, RunOrigin::Event, &event.message, true)
    }
}
