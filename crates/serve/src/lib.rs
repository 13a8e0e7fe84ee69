//! Runs pipelines that stay up: their triggers, their durable runs, and the HTTP API.

#![forbid(unsafe_code)]

pub mod cloud_events;
mod encoded;
pub mod idempotency;
pub mod listen;
pub mod message;
pub mod metrics;
pub mod prefer;
pub mod problem;
pub mod schedule;
mod sd_notify;
pub mod tokens;

pub use sd_notify::ServiceManager;
