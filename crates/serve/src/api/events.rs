//! Server-sent events (WHATWG HTML, section 9.2): what happens, as it happens.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use axum::response::sse::{Event as SentEvent, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::service::Service;
use crate::tokens::Need;

/// How often a stream on which nothing happens says that it is there: proxies close a silent connection after a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /api/v1/events`.
pub(crate) async fn watch(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    if let Err(problem) = service.caller(&headers, Need::Read) {
        return problem.into_response();
    }
    let watcher = service.journal.watch();
    // A pause that begins from now on is told.
    service.pauses.look().await;
    let events = stream::unfold((watcher, service), |(mut watcher, service)| async move {
        let sent = tokio::select! {
            event = watcher.recv() => match event {
                Ok(event) => sent(event.kind, &event.data),
                // The reader was too slow: it has to look at the lists again.
                Err(RecvError::Lagged(missed)) => sent("missed", &json!({ "events": missed })),
                Err(RecvError::Closed) => return None,
            },
            // At the end the stream ends, so that nobody waits for its connection.
            () = service.until_not_ready() => return None,
        };
        Some((Ok::<_, Infallible>(sent), (watcher, service)))
    });
    streamed(events)
}

/// A stream of events that others send, until they have sent the last one.
pub(crate) fn event_stream(mut told: UnboundedReceiver<(&'static str, Value)>) -> Response {
    streamed(stream::poll_fn(move |context| match told.poll_recv(context) {
        Poll::Ready(Some((kind, data))) => Poll::Ready(Some(Ok(sent(kind, &data)))),
        Poll::Ready(None) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    }))
}

fn sent(kind: &str, data: &Value) -> SentEvent {
    SentEvent::default().event(kind).data(data.to_string())
}

fn streamed(events: impl Stream<Item = Result<SentEvent, Infallible>> + Send + 'static) -> Response {
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    let mut response = stream.into_response();
    response
        .headers_mut()
        .insert(CACHE_CONTROL, axum::http::HeaderValue::from_static("no-store"));
    response
}
