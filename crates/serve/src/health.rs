//! Whether the process turns, and whether it takes work. Mail servers are no part of it: a provider's outage must not
//! restart this process.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::problem::Problem;
use crate::service::Service;

/// How long each part may take to answer: whoever asks waits for a few seconds only.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// `GET /livez`.
pub(crate) async fn live() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// `GET /readyz`.
pub(crate) async fn ready(State(service): State<Arc<Service>>) -> Response {
    let (state, connectors) = tokio::join!(state(&service), connectors(&service));
    let directory = service.pipelines.current();
    let is_draining = !service.is_ready();
    let is_ready = state.is_ok() && connectors.is_ok() && !is_draining;
    let told = |check: &Result<(), String>| match check {
        Ok(()) => "ok".to_owned(),
        Err(sentence) => sentence.clone(),
    };
    let body = json!({
        "status": if is_ready { "ok" } else { "unavailable" },
        "checks": {
            "state": told(&state),
            "connectors": told(&connectors),
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

/// Checks whether the state can be read and written.
async fn state(service: &Service) -> Result<(), String> {
    match tokio::time::timeout(ANSWER_MAX, service.runs.length()).await {
        Ok(Ok(_)) if service.dispatcher.is_usable() => Ok(()),
        Ok(Ok(_)) => Err("The state can be read and not written.".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("The state gave no answer within {} s.", ANSWER_MAX.as_secs())),
    }
}

/// Checks whether the host has the connectors that it loaded at its start.
async fn connectors(service: &Service) -> Result<(), String> {
    match tokio::time::timeout(ANSWER_MAX, service.operator.connectors()).await {
        Ok(answer) => of_connectors(answer.map(|connectors| connectors.len())),
        Err(_) => Err(format!(
            "The host did not name its connectors within {} s.",
            ANSWER_MAX.as_secs()
        )),
    }
}

fn of_connectors(count: Result<usize, Problem>) -> Result<(), String> {
    match count {
        Ok(0) => Err("The host has no connectors, so nothing can be sent.".to_owned()),
        Ok(_) => Ok(()),
        Err(problem) => Err(problem.detail().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::ProblemKind;

    #[test]
    fn a_host_without_connectors_takes_no_work() {
        assert_eq!(of_connectors(Ok(1)), Ok(()));
        assert!(of_connectors(Ok(0)).expect_err("none").contains("no connectors"));
        let problem = Problem::new(ProblemKind::Internal, "They are gone.");
        assert_eq!(of_connectors(Err(problem)), Err("They are gone.".to_owned()));
    }
}
