//! Traces over OTLP, if the environment names a collector.
//!
//! The variables are those of the OpenTelemetry specification: `OTEL_EXPORTER_OTLP_ENDPOINT` (or
//! `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`) turns them on; the exporter reads the others, such as
//! `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_TRACES_SAMPLER`, itself.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use pipepost::EgressGate;
use pipepost::spans::TARGET;
use tokio::runtime::Handle;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// The variables that name a collector: for everything, and for traces.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// The export of traces. [`Self::end`] sends the last of them.
#[derive(Debug)]
pub(super) struct Traces {
    provider: SdkTracerProvider,
    runtime: Arc<OnceLock<Handle>>,
}

impl Traces {
    /// Prepares the export, if the environment names a collector. [`Self::begin`] begins it.
    ///
    /// # Errors
    ///
    /// Returns a sentence if the environment does not make sense.
    pub(super) fn from_environment() -> Result<Option<Self>, String> {
        let is_set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let Some(named) = ENDPOINTS.into_iter().rfind(is_set) else {
            return Ok(None);
        };
        let runtime = Arc::new(OnceLock::new());
        let client = Client {
            runtime: Arc::clone(&runtime),
            http: Arc::new(pipepost::net::HttpClient::new(EgressGate::default())),
            has_failed: AtomicBool::new(false),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .build()
            .map_err(|error| {
                format!("No traces are sent: `{named}` or a variable beside it cannot be used ({error}).")
            })?;
        let service = env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
        let resource = Resource::builder()
            .with_service_name(service.unwrap_or_else(|| "pipepost".to_owned()))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_batch_exporter(exporter)
            .build();
        Ok(Some(Self { provider, runtime }))
    }

    /// Sends through this runtime from now on.
    pub(super) fn begin(&self, runtime: Handle) {
        let _ = self.runtime.set(runtime);
    }

    /// Returns what makes traces of the spans of runs.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        // Where a span is in the source says nothing to an operator. An event may hold more than names.
        let is_ours = |metadata: &Metadata<'_>| metadata.is_span() && metadata.target() == TARGET;
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("pipepost"))
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_ours))
    }

    /// Sends what has not been sent yet, for at most five seconds.
    pub(super) fn end(&self) {
        // What went wrong was said when it went wrong.
        let _ = self.provider.shutdown();
    }
}

/// The exporter has a thread of its own without a runtime: each request is a task of the command's.
#[derive(Debug)]
struct Client {
    runtime: Arc<OnceLock<Handle>>,
    http: Arc<pipepost::net::HttpClient>,
    has_failed: AtomicBool,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let address = parts.uri.to_string();
        let http = Arc::clone(&self.http);
        let Some(runtime) = self.runtime.get() else {
            return Err("there is no runtime yet".into());
        };
        let sending = runtime.spawn(async move {
            let url = parts
                .uri
                .to_string()
                .parse()
                .map_err(|_| "it is not an address".to_owned())?;
            let answer = http.post_in_clear(&url, parts.headers, body).await;
            answer.map_err(|failure| failure.to_string())
        });
        let answer = match sending.await {
            Ok(answer) => answer,
            Err(_) => Err("the process ends".to_owned()),
        };
        let trouble = match &answer {
            Ok(answer) if answer.status < 300 => None,
            Ok(answer) => Some(format!("it answered {}", answer.status)),
            Err(reason) => Some(reason.clone()),
        };
        match &trouble {
            None => self.has_failed.store(false, Ordering::Relaxed),
            // Once, and not with each batch.
            Some(trouble) if !self.has_failed.swap(true, Ordering::Relaxed) => {
                tracing::warn!("Traces do not arrive at `{}`: {trouble}.", without_query(&address));
            }
            Some(_) => {}
        }
        let answer = answer?;
        Ok(Response::builder()
            .status(answer.status)
            .body(Bytes::copy_from_slice(&answer.body))?)
    }
}

/// A query may hold a key.
fn without_query(address: &str) -> &str {
    address.split('?').next().unwrap_or_default()
}
