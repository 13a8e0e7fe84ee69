//! Pipelines: listed with what starts them and their next times, checked, previewed, paused.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;
use pipepost_state::runs::ScheduleEntry;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answers::{Page, Segment, answer, json_body};
use super::runs::time;
use crate::host::{Source, SourceFiles};
use crate::outcome::of_state;
use crate::pipelines::ServedPipeline;
use crate::problem::{Problem, ProblemKind};
use crate::service::Service;
use crate::tokens::Need;
use crate::trigger::Start;

/// How many of the next times of a schedule are shown.
const NEXT_TIMES: usize = 5;

/// `GET /api/v1/pipelines`.
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let list = async {
        service.caller(&headers, Need::Read)?;
        let page = Page::of(query.as_deref().unwrap_or_default(), &[])?;
        let schedules = service.runs.schedules().await.map_err(|error| of_state(&error))?;
        let schedules: BTreeMap<&str, &ScheduleEntry> =
            schedules.iter().map(|entry| (entry.pipeline.as_str(), entry)).collect();
        let directory = service.pipelines.current();
        let now = Timestamp::now();
        let pipelines: Vec<Arc<ServedPipeline>> = directory.pipelines.values().cloned().collect();
        let shown = |pipeline: Arc<ServedPipeline>| {
            let entry = schedules.get(pipeline.name.as_str()).copied();
            shown(&service, &pipeline, entry, now)
        };
        let mut list = page.cut("pipelines", pipelines, |pipeline| pipeline.name.clone(), shown);
        let problems: Vec<Value> = directory
            .problems
            .iter()
            .map(|problem| {
                json!({ "file": problem.file, "problems": problem.problems, "keepsOlder": problem.keeps_older })
            })
            .collect();
        if let Value::Object(members) = &mut list {
            members.insert("problems".to_owned(), problems.into());
        }
        Ok(list)
    };
    answer(list.await)
}

fn shown(service: &Service, pipeline: &ServedPipeline, entry: Option<&ScheduleEntry>, now: Timestamp) -> Value {
    let trigger = &pipeline.trigger;
    let mut start = match &trigger.start {
        Start::Api => json!({ "type": "api" }),
        Start::Http(http) => json!({
            "type": match http.trigger {
                crate::message::HttpTrigger::Http => "http",
                crate::message::HttpTrigger::Rest { .. } => "rest",
            },
            "path": format!("/pipeline/{}", pipeline.name),
            "methods": http.methods.iter().map(axum::http::Method::as_str).collect::<Vec<_>>(),
            "routes": http.routes.iter().map(crate::message::Route::as_str).collect::<Vec<_>>(),
            "public": service.is_public(pipeline),
        }),
        Start::Schedule(start) => json!({
            "type": "scheduler",
            "cronExpression": start.schedule.expression(),
            "timeZone": start.schedule.zone(),
            "nextTimes": start
                .schedule
                .next_times(now, NEXT_TIMES)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            "lastTime": entry.and_then(|entry| entry.last).map_or(Value::Null, time),
            "missed": entry.map_or(0, |entry| entry.missed),
            "skipped": entry.map_or(0, |entry| entry.skipped),
        }),
        Start::Event(name) => json!({ "type": "event", "eventName": name }),
    };
    if let Value::Object(members) = &mut start {
        let milliseconds = u64::try_from(trigger.timeout.as_millis()).unwrap_or(u64::MAX);
        members.insert("timeout".to_owned(), milliseconds.into());
    }
    json!({
        "name": pipeline.name,
        "file": pipeline.file,
        "document": pipeline.document.digest,
        "trigger": start,
        "paused": entry.is_some_and(|entry| entry.paused),
        "warnings": pipeline.prepared.warnings(),
    })
}

fn lookup(service: &Service, name: &str) -> Result<Arc<ServedPipeline>, Problem> {
    service.pipelines.get(name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Problem {
    Problem::new(ProblemKind::NotFound, format!("There is no pipeline `{name}`."))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckOrder {
    document: Option<Value>,
}

/// `POST /api/v1/pipelines/{name}/check`: the document that is served, or another one for the same folder.
pub(crate) async fn check(
    State(service): State<Arc<Service>>,
    Segment(name): Segment,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let check = async {
        service.caller(&headers, Need::Read)?;
        let order: CheckOrder = json_body(body).await?;
        let pipeline = lookup(&service, &name)?;
        let document = match order.document {
            None => pipeline.document.text.clone(),
            // The documents of the operator may name files beside them; those of a caller must not read them.
            Some(_) => {
                service.caller(&headers, Need::Admin)?;
                match order.document {
                    Some(Value::String(text)) => text,
                    other => other.unwrap_or_default().to_string(),
                }
            }
        };
        let file = service.settings.directory.join(&pipeline.file);
        let folder = file.parent().unwrap_or(&service.settings.directory);
        service.operator.check(&document, folder).await
    };
    answer(check.await)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PreviewOrder {
    #[serde(default = "no_message")]
    message: Value,
    #[serde(default)]
    globals: Map<String, Value>,
}

fn no_message() -> Value {
    Value::Object(Map::new())
}

/// `POST /api/v1/pipelines/{name}/preview`: the messages that a run would send, whole. Nothing is sent.
pub(crate) async fn preview(
    State(service): State<Arc<Service>>,
    Segment(name): Segment,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let preview = async {
        service.caller(&headers, Need::Operate)?;
        let order: PreviewOrder = json_body(body).await?;
        let pipeline = lookup(&service, &name)?;
        let source = Source {
            text: pipeline.document.text.clone(),
            files: SourceFiles::Pinned(pipeline.prepared.files().clone()),
        };
        service.operator.preview(source, order.message, order.globals).await
    };
    answer(preview.await)
}

/// `POST /api/v1/pipelines/{name}/pause`.
pub(crate) async fn pause(State(service): State<Arc<Service>>, Segment(name): Segment, headers: HeaderMap) -> Response {
    answer(set_paused(&service, &name, &headers, true).await)
}

/// `POST /api/v1/pipelines/{name}/resume`.
pub(crate) async fn resume(
    State(service): State<Arc<Service>>,
    Segment(name): Segment,
    headers: HeaderMap,
) -> Response {
    answer(set_paused(&service, &name, &headers, false).await)
}

async fn set_paused(service: &Service, name: &str, headers: &HeaderMap, paused: bool) -> Result<Value, Problem> {
    service.caller(headers, Need::Operate)?;
    if service.pipelines.get(name).is_none() {
        // A pipeline that is gone may still have runs that wait.
        let schedules = service.runs.schedules().await.map_err(|error| of_state(&error))?;
        if !schedules.iter().any(|entry| entry.pipeline == name) {
            return Err(unknown(name));
        }
    }
    let set = service.runs.pause_pipeline(name, paused).await;
    set.map_err(|error| of_state(&error))?;
    service.dispatcher.something_waits();
    service
        .journal
        .tell("pipelines", json!({ "name": name, "paused": paused }));
    Ok(json!({ "name": name, "paused": paused }))
}
