//! Runs pipelines that stay up: their triggers, their durable runs, and the HTTP API.

#![forbid(unsafe_code)]

pub mod idempotency;
pub mod prefer;
pub mod problem;
mod sd_notify;
pub mod tokens;

pub use sd_notify::ServiceManager;
