//! The API for operators and the console: one file for each kind of thing.

mod accounts;
mod answers;
mod events;
mod messages;
mod pipelines;
pub(crate) mod runs;
mod send;
mod system;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
pub(crate) use system::{other_method, unknown};

use crate::service::Service;

/// The routes of the listener for operators.
pub(crate) fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/api/v1/runs", get(runs::list).post(runs::create))
        .route("/api/v1/runs/{id}", get(runs::show))
        .route("/api/v1/runs/{id}/steps", get(runs::steps))
        .route("/api/v1/runs/{id}/messages", get(messages::of_run))
        .route("/api/v1/runs/{id}/log", get(runs::log))
        .route("/api/v1/runs/{id}/cancel", post(runs::cancel))
        .route("/api/v1/runs/{id}/continue", post(runs::resume))
        .route("/api/v1/send", post(send::send))
        .route("/api/v1/messages", get(messages::list))
        .route("/api/v1/messages/{key}/settle", post(messages::settle))
        .route("/api/v1/accounts", get(accounts::list))
        .route(
            "/api/v1/accounts/{label}",
            get(accounts::show).put(accounts::put).delete(accounts::remove),
        )
        .route("/api/v1/accounts/{label}/test", post(accounts::test))
        .route("/api/v1/accounts/{label}/pause", post(accounts::pause))
        .route("/api/v1/accounts/{label}/resume", post(accounts::resume))
        .route("/api/v1/accounts/{label}/authorize", post(accounts::authorize))
        .route("/api/v1/pipelines", get(pipelines::list))
        .route("/api/v1/pipelines/{name}/check", post(pipelines::check))
        .route("/api/v1/pipelines/{name}/preview", post(pipelines::preview))
        .route("/api/v1/pipelines/{name}/pause", post(pipelines::pause))
        .route("/api/v1/pipelines/{name}/resume", post(pipelines::resume))
        .route("/api/v1/connectors", get(system::connectors))
        .route("/api/v1/events", get(events::watch))
        .route("/oauth/callback", get(accounts::callback))
        .route("/metrics", get(system::metrics))
        .route("/openapi.json", get(system::openapi))
}
