//! Whether the process turns, and whether it takes work. Mail servers are no part of it: a provider's outage must not
//! restart this process.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::service::Service;

/// How long the state may take to answer: whoever asks waits for a few seconds only.
const STATE_MAX: Duration = Duration::from_secs(3);

/// `GET /livez`.
pub(crate) async fn live() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// `GET /readyz`.
pub(crate) async fn ready(State(service): State<Arc<Service>>) -> Response {
    let asked = tokio::time::timeout(STATE_MAX, service.runs.length()).await;
    let state = match asked {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("The state gave no answer within {} s.", STATE_MAX.as_secs())),
    };
    let directory = service.pipelines.current();
    let is_draining = !service.is_ready();
    let is_writable = service.dispatcher.is_usable();
    let is_ready = state.is_ok() && is_writable && !is_draining;
    let body = json!({
        "status": if is_ready { "ok" } else { "unavailable" },
        "checks": {
            "state": match &state {
                Ok(()) if is_writable => "ok",
                Ok(()) => "The state can be read and not written.",
                Err(error) => error,
            },
            "pipelines": { "served": directory.pipelines.len(), "withProblems": directory.problems.len() },
            "draining": is_draining,
        },
    });
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body)).into_response()
}
