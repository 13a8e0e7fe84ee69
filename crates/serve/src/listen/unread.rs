//! What a caller still sends after its request was answered, such as a body that is too large.
//!
//! A connection that is closed while bytes lie there unread is reset, and then the caller may lose the answer, which has
//! arrived before (RFC 9112, section 9.6). So some of the rest is read before the answer is given.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Frame, Incoming, SizeHint};

/// How many bytes are read at most.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long it may take.
const TIME_MAX: Duration = Duration::from_secs(2);

/// The rest of a request's body, once whoever read it is done.
pub(super) struct Rest {
    slot: Arc<Mutex<Option<Incoming>>>,
    /// The caller sends its body only when it is asked to.
    is_expecting: bool,
}

/// Lends a body to whoever reads it, and gets the rest of it back.
pub(super) fn lend(request: hyper::Request<Incoming>) -> (axum::extract::Request, Rest) {
    let slot = Arc::default();
    let rest = Rest {
        slot: Arc::clone(&slot),
        is_expecting: request.headers().contains_key(hyper::header::EXPECT),
    };
    let request = request.map(|body| Body::new(Lent { body: Some(body), slot }));
    (request, rest)
}

impl Rest {
    /// Reads the rest, within bounds.
    pub(super) async fn read(self) {
        let body = self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut body) = body.filter(|_| !self.is_expecting) else {
            return;
        };
        let reading = async {
            let mut count = 0;
            while let Some(Ok(frame)) = std::future::poll_fn(|context| poll(&mut body, context)).await {
                count += frame.data_ref().map_or(0, Bytes::len);
                if count > BYTES_MAX {
                    return;
                }
            }
        };
        // Whoever sends more, or more slowly, has to see for itself.
        let _ = tokio::time::timeout(TIME_MAX, reading).await;
    }
}

fn poll(body: &mut Incoming, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    hyper::body::Body::poll_frame(Pin::new(body), context)
}

/// A body that gives itself back.
struct Lent {
    body: Option<Incoming>,
    slot: Arc<Mutex<Option<Incoming>>>,
}

impl hyper::body::Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => poll(body, context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(hyper::body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(hyper::body::Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| !hyper::body::Body::is_end_stream(body));
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = rest;
    }
}
