//! Runs: accepted, listed, shown, cancelled, continued.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use pipepost_core::json::read_back;
use pipepost_state::clock::Moment;
use pipepost_state::runs::{Decided, NewRun, Run, RunFilter, RunId, RunOrigin, RunState};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answers::{BODY_MAX, Page, Segment, answer, object};
use crate::dispatcher::Submitted;
use crate::idempotency::{ContentDigest, IdempotencyKey};
use crate::journal::Journal;
use crate::message::{query_pairs, read_body};
use crate::outcome::{location, of_state, replayed};
use crate::prefer::Prefer;
use crate::problem::{Problem, ProblemKind};
use crate::service::Service;
use crate::tokens::Need;
use crate::trace;
use crate::triggers::{accepted, check_queue, key_reused, order};

/// How many runs a page has, if nobody says it, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 200;

/// What `POST /api/v1/runs` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOrder {
    pipeline: String,
    #[serde(default = "no_message")]
    message: Value,
    key: Option<String>,
    due: Option<String>,
    globals: Option<Map<String, Value>>,
}

fn no_message() -> Value {
    Value::Object(Map::new())
}

/// `POST /api/v1/runs`.
pub(crate) async fn create(State(service): State<Arc<Service>>, headers: HeaderMap, body: Body) -> Response {
    match accept(&service, &headers, body).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn accept(service: &Arc<Service>, headers: &HeaderMap, body: Body) -> Result<Response, Problem> {
    let caller = service.any_caller(headers)?;
    let bad = |detail: String| Problem::new(ProblemKind::BadRequest, detail);
    let body = read_body(body, BODY_MAX).await?;
    let given: NewOrder = object(&body, "The body is not an order for a run")?;
    caller.require(Need::Run(&given.pipeline))?;
    if !service.is_ready() {
        return Err(Problem::new(
            ProblemKind::Draining,
            "The service is about to end and takes nothing new.",
        )
        .wait(5));
    }
    let pipeline = service.pipelines.get(&given.pipeline).ok_or_else(|| {
        let detail = format!("There is no pipeline `{}`.", given.pipeline);
        Problem::new(ProblemKind::NotFound, detail)
    })?;
    let key = match given.key {
        Some(key) => Some(IdempotencyKey::new(key)?),
        None => IdempotencyKey::of(headers)?,
    };
    let due = given.due.as_deref().map(moment).transpose().map_err(bad)?;
    let digest = ContentDigest::of_parts(&[&body]);
    let order = NewRun {
        due,
        trace: trace::of_headers(headers),
        globals: given.globals.map(|globals| Value::Object(globals).to_string()),
        ..order(
            &pipeline,
            key.map(|key| key.as_str().to_owned()),
            &digest,
            RunOrigin::Api,
            &given.message,
            true,
        )
    };
    check_queue(service, &order.key).await?;
    // Nobody waits here, whatever the caller prefers.
    let prefer = Prefer {
        wait: None,
        ..Prefer::of(headers)
    };
    let submitted = service.dispatcher.submit(order).await;
    match submitted.map_err(|error| of_state(&error))? {
        Submitted::New(run, _) => Ok(accepted(&run, prefer)),
        Submitted::Known(run) if run.state.is_end() => Ok(replayed(accepted(&run, prefer))),
        Submitted::Known(run) => Ok(accepted(&run, prefer)),
        Submitted::OtherContent(id) => Err(key_reused(&id)),
        Submitted::Skipped => Err(Problem::new(
            ProblemKind::Conflict,
            "Another run of the pipeline waits already.",
        )),
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    let parsed: Result<Timestamp, _> = text.parse();
    match parsed {
        Ok(time) => Ok(time.as_microsecond()),
        Err(_) => Err(format!(
            "`{text}` is not a time of RFC 3339, such as `2026-11-28T08:00:00Z`."
        )),
    }
}

/// `GET /api/v1/runs`.
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    match page(&service, query.as_deref().unwrap_or_default(), &headers).await {
        Ok(page) => Json(page).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn page(service: &Service, query: &str, headers: &HeaderMap) -> Result<Value, Problem> {
    service.caller(headers, Need::Read)?;
    let filter = filter(query)?;
    let limit = filter.limit;
    let mut runs = service
        .runs
        .list(RunFilter {
            limit: limit + 1,
            ..filter
        })
        .await
        .map_err(|error| of_state(&error))?;
    let has_more = runs.len() > limit;
    runs.truncate(limit);
    let next = runs.last().filter(|_| has_more).map(|run| run.id.as_str().to_owned());
    let runs: Vec<Value> = runs.iter().map(summary).collect();
    Ok(json!({ "runs": runs, "next": next }))
}

fn filter(query: &str) -> Result<RunFilter, Problem> {
    let bad = |detail: String| Problem::new(ProblemKind::BadRequest, detail);
    let mut filter = RunFilter {
        limit: PAGE,
        ..RunFilter::default()
    };
    for (name, value) in query_pairs(query)? {
        let text = || value.clone();
        match &*name {
            _ if value.is_empty() => {}
            "pipeline" => filter.pipeline = Some(text()),
            "state" => {
                let names = RunState::ALL.map(RunState::as_str).join(", ");
                let state = RunState::from_name(&value);
                filter.state = Some(state.ok_or_else(|| bad(format!("`{value}` is not a state; there are {names}.")))?);
            }
            "kind" => filter.kind = Some(text()),
            "since" => filter.since = Some(moment(&value).map_err(bad)?),
            "until" => filter.until = Some(moment(&value).map_err(bad)?),
            "q" => filter.text = Some(text()),
            "after" => {
                let id = RunId::parse(&value).ok_or_else(|| bad(format!("`{value}` is not a place in the list.")))?;
                filter.after = Some(id);
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                filter.limit =
                    limit.ok_or_else(|| bad(format!("`limit` is `{value}`; it must be from 1 to {PAGE_MAX}.")))?;
            }
            other => return Err(bad(format!("The list knows no `{other}`."))),
        }
    }
    Ok(filter)
}

/// `GET /api/v1/runs/{id}`.
pub(crate) async fn show(State(service): State<Arc<Service>>, Segment(id): Segment, headers: HeaderMap) -> Response {
    match found(&service, &id, &headers).await {
        Ok(run) => Json(detail(&run)).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// Whoever may start a pipeline may look at its runs.
pub(crate) async fn found(service: &Service, id: &str, headers: &HeaderMap) -> Result<Run, Problem> {
    let caller = service.any_caller(headers)?;
    let run = lookup(service, id).await?;
    if !caller.may(Need::Run(&run.pipeline)) {
        caller.require(Need::Read)?;
    }
    Ok(run)
}

async fn lookup(service: &Service, id: &str) -> Result<Run, Problem> {
    let unknown = || Problem::new(ProblemKind::NotFound, format!("There is no run `{id}`."));
    let id = RunId::parse(id).ok_or_else(unknown)?;
    let run = service.runs.run(&id).await.map_err(|error| of_state(&error))?;
    run.ok_or_else(unknown)
}

/// `GET /api/v1/runs/{id}/steps`.
pub(crate) async fn steps(
    State(service): State<Arc<Service>>,
    Segment(id): Segment,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    answer(kept(&service, &id, &query, &headers, "steps", Journal::steps).await)
}

/// `GET /api/v1/runs/{id}/log`.
pub(crate) async fn log(
    State(service): State<Arc<Service>>,
    Segment(id): Segment,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    answer(kept(&service, &id, &query, &headers, "lines", Journal::lines).await)
}

/// A page of what this process saw of a run. `kept` is false for a run that it saw nothing of, or forgot.
async fn kept(
    service: &Service,
    id: &str,
    query: &str,
    headers: &HeaderMap,
    name: &str,
    entries: fn(&Journal, &RunId) -> Option<Vec<Value>>,
) -> Result<Value, Problem> {
    let page = Page::of(query, &[])?;
    let run = found(service, id, headers).await?;
    let entries = entries(&service.journal, &run.id);
    let is_kept = entries.is_some();
    let numbered = entries.unwrap_or_default().into_iter().enumerate().collect();
    let mut list = page.cut(
        name,
        numbered,
        |(number, _): &(usize, Value)| format!("{number:06}"),
        |(_, entry)| entry,
    );
    if let Value::Object(members) = &mut list {
        members.insert("kept".to_owned(), is_kept.into());
    }
    Ok(list)
}

/// `POST /api/v1/runs/{id}/cancel`.
pub(crate) async fn cancel(State(service): State<Arc<Service>>, Segment(id): Segment, headers: HeaderMap) -> Response {
    match cancelled(&service, &id, &headers).await {
        Ok(run) => Json(detail(&run)).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn cancelled(service: &Service, id: &str, headers: &HeaderMap) -> Result<Run, Problem> {
    service.caller(headers, Need::Operate)?;
    let run = lookup(service, id).await?;
    let decided = service.dispatcher.cancel(&run.id, None).await;
    match decided.map_err(|error| of_state(&error))? {
        Decided::Done(run) => Ok(run),
        Decided::NotNow(run) => Err(not_now(&run, "only a run that waits can be cancelled")),
        Decided::Unknown => Err(Problem::new(ProblemKind::NotFound, format!("There is no run `{id}`."))),
    }
}

/// `POST /api/v1/runs/{id}/continue`.
pub(crate) async fn resume(State(service): State<Arc<Service>>, Segment(id): Segment, headers: HeaderMap) -> Response {
    match resumed(&service, &id, &headers).await {
        Ok(run) => Json(detail(&run)).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn resumed(service: &Service, id: &str, headers: &HeaderMap) -> Result<Run, Problem> {
    service.caller(headers, Need::Operate)?;
    let run = lookup(service, id).await?;
    let decided = match service.dispatcher.hasten(&run.id).await {
        Ok(Decided::NotNow(_)) => service.dispatcher.resume(&run.id).await.map(|(decided, _)| decided),
        decided => decided,
    };
    match decided.map_err(|error| of_state(&error))? {
        Decided::Done(run) => Ok(run),
        Decided::NotNow(run) if run.state.is_end() && run.message.is_none() => {
            Err(not_now(&run, "its message is not kept any more"))
        }
        Decided::NotNow(run) => Err(not_now(
            &run,
            "only a run that failed, was cancelled, is uncertain or waits for its time can be continued",
        )),
        Decided::Unknown => Err(Problem::new(ProblemKind::NotFound, format!("There is no run `{id}`."))),
    }
}

fn not_now(run: &Run, clause: &str) -> Problem {
    let detail = format!("The run is {}; {clause}.", run.state.as_str());
    Problem::new(ProblemKind::Conflict, detail).about(location(run))
}

/// A moment as RFC 3339 writes it.
pub(crate) fn time(moment: Moment) -> Value {
    Timestamp::from_microsecond(moment).map_or(Value::Null, |time| Value::String(time.to_string()))
}

fn parsed(text: Option<&str>) -> Value {
    text.and_then(|text| read_back(text).ok()).unwrap_or_default()
}

/// A run in a list.
pub(crate) fn summary(run: &Run) -> Value {
    json!({
        "id": run.id.as_str(),
        "pipeline": run.pipeline,
        "state": run.state.as_str(),
        "origin": run.origin.as_str(),
        "key": run.key,
        "attempt": run.attempt,
        "redelivery": run.redelivery,
        "accepted": time(run.accepted),
        "due": time(run.due),
        "begun": run.begun.map_or(Value::Null, time),
        "ended": run.ended.map_or(Value::Null, time),
        "messages": { "sent": run.counts.sent, "failed": run.counts.failed, "uncertain": run.counts.uncertain },
        "failure": run.failure.as_ref().map_or(Value::Null, |failure| parsed(Some(&failure.object))),
    })
}

/// Returns a run as people may see it, with its message and output.
pub fn detail(run: &Run) -> Value {
    let mut detail = summary(run);
    if let Value::Object(members) = &mut detail {
        members.insert("document".to_owned(), run.document.clone().into());
        members.insert("deaths".to_owned(), run.deaths.into());
        members.insert("retriesLeft".to_owned(), run.retries.into());
        members.insert("expires".to_owned(), run.expires.map_or(Value::Null, time));
        members.insert("message".to_owned(), parsed(run.shown()));
        members.insert("output".to_owned(), parsed(run.output.as_deref()));
    }
    detail
}
