//! Pipepost sends email from integration pipelines through a sandbox.
//!
//! A connector is a WebAssembly component. It is given exactly one conversation with exactly one server, and never sees
//! a password: this library, its host, resolves names, dials, speaks TLS and signs in. [`Host`] holds what the
//! pipelines of one operator share; [`Host::prepare`] checks a document; [`Host::run`] runs it.
//!
//! The binary `pipepost` is a thin shell over this library.
#![forbid(unsafe_code)]

pub mod account_test;
pub mod connectors;
#[cfg(feature = "cli")]
pub mod dry_run;
mod exit_code;
mod host;
mod run;
#[cfg(feature = "cli")]
pub mod serve;
pub mod token_sink;

pub use exit_code::exit_code;
pub use host::{Host, HostBuilder, HostError, Preparation, Prepared};
pub use pipepost_core::{
    EgressGate, EgressRule, Endpoint, Failure, FailureKind, Limits, Policy, Remedy, policy, shutdown,
};
pub use pipepost_engine as engine;
pub use pipepost_engine::files;
pub use pipepost_flowspec::LogLevel;
pub use pipepost_net as net;
pub use pipepost_state as state;
pub use run::{
    Counts, ExecuteOrder, LogLine, MergeResults, Observer, OtherRuns, Progress, PublishOrder, RunError, RunOptions,
    RunReport, Settled, Start, StartFailure, Starter, StarterAnswer, StepRecord, TimeLimit, evaluate, spans,
    states_limits,
};

/// The example of docs/embedding.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
struct Embedding;
