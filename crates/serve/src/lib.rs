//! Runs pipelines that stay up: their triggers, their durable runs, and the HTTP API.
