//! A collector of traces that reads them with OpenTelemetry's own Python classes.

use serde_json::{Value, json};

use crate::peer::{Peer, Program};

const PROGRAM: Program = Program {
    name: "the collector",
    script: "otlp_collector.py",
    module: "opentelemetry.proto.collector.trace.v1.trace_service_pb2",
    packages: "opentelemetry-proto",
};

/// A running collector. It ends when this is dropped, or the test's process is gone.
pub struct Collector {
    peer: Peer,
}

impl Collector {
    /// Starts one that answers with this status, on a port of the system's choice; none, in plain sight, where Python has
    /// no `opentelemetry-proto`.
    pub fn start(status: u16) -> Option<Self> {
        let peer = Peer::start(&PROGRAM, &json!({ "status": status }))?;
        Some(Self { peer })
    }

    /// The value of `OTEL_EXPORTER_OTLP_ENDPOINT` that names it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer.port())
    }

    /// The requests and spans that have arrived. Whoever sent them has ended, so no more will come.
    pub fn received(mut self) -> Vec<Value> {
        self.peer.end();
        while self.peer.event().is_some() {}
        self.peer.history()
    }
}
