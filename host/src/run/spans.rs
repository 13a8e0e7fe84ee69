//! The spans of a run: what a log line belongs to, and what a collector of traces receives.
//!
//! Their attributes are names that an operator or an author chose, numbers and kinds, and never a value of a message.

use pipepost_core::{Endpoint, FailureKind};
use pipepost_engine::BatchEnd;
use pipepost_flowspec::Step;
use pipepost_state::runs::TraceContext;
use tracing::Span;
use tracing::field::Empty;

use super::RunError;
use super::calls::Target;
use crate::host::Prepared;

/// The target of every span, for filters.
pub const TARGET: &str = "pipepost::span";

/// The run of a pipeline.
pub(super) fn run(prepared: &Prepared, name: Option<&str>, id: &str) -> Span {
    let name = name.or_else(|| prepared.pipeline.metadata().name.as_deref());
    tracing::info_span!(
        target: TARGET,
        "run",
        otel.name = name.map(|name| format!("run {name}")),
        pipepost.run.id = id,
        pipepost.pipeline = name,
        "error.type" = Empty,
        otel.status_code = Empty,
    )
}

/// Makes the span a part of the trace that a request came with.
pub(super) fn follow(span: &Span, trace: Option<&TraceContext>) {
    #[cfg(feature = "otel")]
    if let Some(trace) = trace {
        use std::collections::HashMap;

        use opentelemetry::propagation::TextMapPropagator as _;
        use opentelemetry_sdk::propagation::TraceContextPropagator;
        use tracing_opentelemetry::OpenTelemetrySpanExt as _;

        let mut headers = HashMap::from([("traceparent".to_owned(), trace.parent().to_owned())]);
        headers.extend(trace.state().map(|state| ("tracestate".to_owned(), state.to_owned())));
        // Where no collector is set, there is no trace to follow.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&headers));
    }
    #[cfg(not(feature = "otel"))]
    let _ = (span, trace);
}

/// A step of a run.
pub(super) fn step(step: &Step) -> Span {
    let label = step.label();
    tracing::info_span!(
        target: TARGET,
        "step",
        otel.name = %format_args!("step {label}"),
        pipepost.step = label,
        "error.type" = Empty,
        otel.status_code = Empty,
    )
}

/// A batch of messages in its connector.
pub(super) fn perform(target: &Target<'_>, endpoint: Option<&Endpoint>) -> Span {
    let connector = &*target.connector.name;
    tracing::info_span!(
        target: TARGET,
        "perform",
        otel.name = %format_args!("perform {connector}"),
        otel.kind = "client",
        pipepost.connector = connector,
        pipepost.account = target.account.map(|account| account.label()),
        server.address = endpoint.map(|endpoint| &*endpoint.host),
        server.port = endpoint.map(|endpoint| i64::from(endpoint.port)),
        "error.type" = Empty,
        otel.status_code = Empty,
    )
}

/// Notes the first failure of a batch.
pub(super) fn batch_ended(span: &Span, end: &BatchEnd) {
    let failures = end.calls.values().filter_map(|call| call.result.as_ref().err());
    if let Some(failed_call) = failures.into_iter().next() {
        failed(span, Some(failed_call.failure.kind));
    }
}

/// Notes that what the span covers has failed.
fn failed(span: &Span, kind: Option<FailureKind>) {
    // An error that a pipeline throws has no kind.
    span.record("error.type", kind.map_or("thrown", FailureKind::as_str));
    span.record("otel.status_code", "ERROR");
}

/// Notes how what the span covers has ended.
pub(super) fn ended<T>(span: &Span, result: &Result<T, RunError>) {
    if let Err(error) = result {
        failed(span, error.failure.as_ref().map(|failure| failure.kind));
    }
}
