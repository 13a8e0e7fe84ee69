//! Runs pipelines that stay up: their triggers, their durable runs, and the HTTP API.

mod sd_notify;

pub use sd_notify::ServiceManager;
