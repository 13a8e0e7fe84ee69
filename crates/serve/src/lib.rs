//! Runs pipelines that stay up: their triggers, their durable runs, and the HTTP API.

#![forbid(unsafe_code)]

mod api;
mod charset;
pub mod cloud_events;
pub mod dispatcher;
mod encoded;
mod events;
mod health;
pub mod host;
pub mod idempotency;
pub mod journal;
pub mod listen;
pub mod message;
pub mod metrics;
pub mod operator;
mod outcome;
mod pauses;
pub mod pipelines;
pub mod prefer;
pub mod problem;
pub mod schedule;
mod schedules;
mod sd_notify;
pub mod service;
pub mod tokens;
mod told;
mod trace;
pub mod trigger;
mod triggers;

pub use api::runs::detail as run_detail;
pub use sd_notify::ServiceManager;
pub use service::{Operating, Service, Settings, StartError};
pub use told::WARNINGS_TARGET;
