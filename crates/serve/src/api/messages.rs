//! Messages in the ledger: those in doubt, and how a person settles them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use pipepost_state::ledger::{Decision, Entry, SettleError, State as MessageState};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::{PAGE_MAX, Page, Segment, answer, json_body};
use super::runs::found;
use crate::outcome::of_state;
use crate::problem::{Problem, ProblemKind};
use crate::service::Service;
use crate::tokens::Need;

/// `GET /api/v1/messages`.
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let list = async {
        service.caller(&headers, Need::Read)?;
        page(&service, query.as_deref().unwrap_or_default(), None).await
    };
    answer(list.await)
}

/// `GET /api/v1/runs/{id}/messages`.
pub(crate) async fn of_run(
    State(service): State<Arc<Service>>,
    Segment(id): Segment,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let list = async {
        let run = found(&service, &id, &headers).await?;
        page(&service, query.as_deref().unwrap_or_default(), Some(&run.key)).await
    };
    answer(list.await)
}

async fn page(service: &Service, query: &str, execution: Option<&str>) -> Result<Value, Problem> {
    const STATES: [MessageState; 4] = [
        MessageState::Sent,
        MessageState::Uncertain,
        MessageState::UnderWay,
        MessageState::NotSent,
    ];
    let page = Page::of(query, &["state"])?;
    let state = page.condition("state").map(|name| {
        let state = STATES.into_iter().find(|state| state.as_str() == name);
        state.ok_or_else(|| {
            let names = STATES.map(MessageState::as_str).join(", ");
            Problem::new(
                ProblemKind::BadRequest,
                format!("`{name}` is not a state; there are {names}."),
            )
        })
    });
    let state = state.transpose()?;
    let messages = match (execution, state) {
        // What is open is little, even where millions were sent.
        (None, Some(state)) if state != MessageState::Sent => {
            let mut open = service.ledger.open().await.map_err(|error| of_state(&error))?;
            open.retain(|message| message.state == state);
            open
        }
        _ => return found_page(service, &page, execution, state).await,
    };
    Ok(page.cut(
        "messages",
        messages,
        |message| message.key.clone(),
        |message| shown(&message),
    ))
}

/// A page of messages, of which the ledger reads no more than it takes to fill it.
async fn found_page(
    service: &Service,
    page: &Page,
    execution: Option<&str>,
    state: Option<MessageState>,
) -> Result<Value, Problem> {
    let mut found: Vec<Entry> = Vec::new();
    let mut after = page.after.clone();
    while found.len() <= page.limit {
        let read = service.ledger.page(execution, after.as_deref(), PAGE_MAX).await;
        let mut read = read.map_err(|error| of_state(&error))?;
        let is_last = read.len() < PAGE_MAX;
        after = read.last().map(|message| message.key.clone());
        read.retain(|message| state.is_none_or(|state| message.state == state));
        found.append(&mut read);
        if is_last {
            break;
        }
    }
    Ok(page.begin(
        "messages",
        found,
        |message| message.key.clone(),
        |message| shown(&message),
    ))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettleOrder {
    r#as: SettleAs,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SettleAs {
    Sent,
    NotSent,
}

/// `POST /api/v1/messages/{key}/settle`.
pub(crate) async fn settle(
    State(service): State<Arc<Service>>,
    Segment(key): Segment,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let settle = async {
        service.caller(&headers, Need::Operate)?;
        let order: SettleOrder = json_body(body).await?;
        let decision = match order.r#as {
            SettleAs::Sent => Decision::Sent,
            SettleAs::NotSent => Decision::NotSent,
        };
        let settled = service
            .ledger
            .settle(&key, decision)
            .await
            .map_err(|error| of_settling(&error))?;
        service.journal.tell(
            "messages",
            json!({ "key": settled.key, "state": settled.state.as_str() }),
        );
        Ok(shown(&settled))
    };
    answer(settle.await)
}

fn of_settling(error: &SettleError) -> Problem {
    let kind = match error {
        SettleError::State(error) => return of_state(error),
        SettleError::Unknown(_) => ProblemKind::NotFound,
        SettleError::NotUncertain { .. } | SettleError::Running(_) | SettleError::InPart(_) => ProblemKind::Conflict,
    };
    Problem::new(kind, error.to_string())
}

fn shown(message: &Entry) -> Value {
    json!(message)
}
