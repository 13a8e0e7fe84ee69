//! What is about the service itself: connectors, metrics, the description of the API.

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use pipepost_state::ledger::State as MessageState;
use serde_json::Value;

use super::answers::{Page, answer};
use crate::problem::{Problem, ProblemKind};
use crate::service::Service;
use crate::tokens::Need;

/// The API's description, written by hand and held to the routes by a test.
pub(crate) const OPENAPI: &str = include_str!("../../openapi.json");

/// `GET /api/v1/connectors`.
pub(crate) async fn connectors(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let list = async {
        service.caller(&headers, Need::Read)?;
        let page = Page::of(query.as_deref().unwrap_or_default(), &[])?;
        let connectors = service.operator.connectors().await?;
        let name = |connector: &Value| connector["name"].as_str().unwrap_or_default().to_owned();
        Ok(page.cut("connectors", connectors, name, |connector| connector))
    };
    answer(list.await)
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    if let Err(problem) = service.caller(&headers, Need::Read) {
        return problem.into_response();
    }
    refresh(&service).await;
    let accept = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let (content_type, text) = service.metrics.exposition(accept);
    ([(CONTENT_TYPE, HeaderValue::from_static(content_type))], text).into_response()
}

/// Gauges are as they are now. What cannot be read keeps its last value.
async fn refresh(service: &Service) {
    if let Ok(length) = service.runs.length().await {
        let now = pipepost_state::clock::Clock::now(&pipepost_state::clock::SystemClock);
        let oldest = length.next_due.filter(|&due| due <= now).map_or(0, |due| now - due);
        let running = service.dispatcher.running() as u64;
        let oldest = pipepost_state::clock::duration(oldest);
        service
            .metrics
            .set_queue(length.queued, running.max(length.running), oldest);
    }
    if let Ok(open) = service.ledger.open().await {
        let in_doubt = open
            .iter()
            .filter(|message| message.state == MessageState::Uncertain)
            .count();
        service.metrics.set_messages_in_doubt(in_doubt as u64);
    }
    if let Ok(accounts) = service.operator.account_use().await {
        service.metrics.set_accounts(&accounts);
    }
}

/// `GET /openapi.json`. It says nothing that the documentation does not, so it needs no token.
pub(crate) async fn openapi() -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], OPENAPI).into_response()
}

/// Every other path.
pub(crate) async fn unknown(request: Request) -> Response {
    let detail = format!("There is nothing at `{}`.", request.uri().path());
    Problem::new(ProblemKind::NotFound, detail).into_response()
}

/// Every other method. The router adds the header `Allow`.
pub(crate) async fn other_method(request: Request) -> Response {
    let detail = format!(
        "The path `{}` does not know the method {}; the header `Allow` names those that it knows.",
        request.uri().path(),
        request.method()
    );
    Problem::new(ProblemKind::MethodNotAllowed, detail).into_response()
}
