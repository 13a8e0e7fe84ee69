//! What hyper refuses before any route sees it: what is not HTTP/1.1, and headers that are too large. Its own answer has no
//! body; here it gets the problem document that every other refusal has.
//!
//! hyper offers no other place for this than the stream that it writes to. Whether the bytes are its own answer is never read
//! from them, since a route may answer with any bytes: they are its own if no answer of a route is open and all that was
//! written before has left. One thing hyper does not answer at all, HTTP/2's preface; it is shown another one instead.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::HttpLimits;
use crate::problem::{CONTENT_TYPE_OF_PROBLEMS, Problem, ProblemKind};

/// How many bytes are read and dropped after a refusal, so that it is not lost with a connection that is reset
/// (RFC 9112, section 9.6).
const REST_MAX: usize = 1024 * 1024;

/// Which answers of a connection are open.
#[derive(Default)]
pub(super) struct Answers {
    open: AtomicU64,
    /// Whether something of an answer may not have been written yet.
    unwritten: AtomicBool,
}

impl Answers {
    /// Begins an answer, which is open until what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> OpenAnswer {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.unwritten.store(true, Ordering::Release);
        OpenAnswer(Arc::clone(self))
    }

    /// Notes that nothing is left to be written.
    pub(super) fn flushed(&self) {
        if self.open.load(Ordering::Acquire) == 0 {
            self.unwritten.store(false, Ordering::Release);
        }
    }

    /// Checks whether what is written now cannot be an answer of a route.
    pub(super) fn is_none_open(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0 && !self.unwritten.load(Ordering::Acquire)
    }
}

/// An answer that a route has begun.
pub(super) struct OpenAnswer(Arc<Answers>);

impl OpenAnswer {
    /// Keeps the answer open until its body was read.
    pub(super) fn until_read(self, body: Body) -> Body {
        Body::new(Open { body, _answer: self })
    }
}

impl Drop for OpenAnswer {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The body of an answer that is open.
struct Open {
    body: Body,
    _answer: OpenAnswer,
}

impl hyper::body::Body for Open {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The beginning of HTTP/2's preface (RFC 9113, section 3.4), up to the version.
const PREFACE: &[u8] = b"PRI * HTTP/";

/// The first bytes of a connection. HTTP/2's preface is the only thing that hyper refuses without an answer, so it is shown to
/// hyper with a version that gets one.
#[derive(Default)]
pub(super) struct FirstBytes {
    /// How many bytes of the preface have arrived.
    matched: usize,
    is_over: bool,
}

impl FirstBytes {
    /// Changes the version of the preface in these bytes, which have just arrived.
    pub(super) fn hide_preface(&mut self, arrived: &mut [u8]) {
        for byte in arrived {
            if self.is_over {
                return;
            }
            match PREFACE.get(self.matched) {
                Some(expected) if expected == byte => self.matched += 1,
                Some(_) => self.is_over = true,
                None => {
                    if *byte == b'2' {
                        *byte = b'9';
                    }
                    self.is_over = true;
                }
            }
        }
    }
}

/// A refusal on its way.
pub(super) struct Refusal {
    bytes: Vec<u8>,
    written: usize,
    /// How many bytes were read and dropped since.
    dropped: usize,
}

impl Refusal {
    /// Makes the refusal for what hyper would answer. Nothing if this has no status, and is left as it is.
    pub(super) fn instead_of(answer: &[u8], limits: HttpLimits) -> Option<Self> {
        let status = answer.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
        let status = StatusCode::from_bytes(status)
            .ok()
            .filter(StatusCode::is_client_error)?;
        let problem = if status == StatusCode::BAD_REQUEST {
            Problem::new(ProblemKind::BadRequest, "What arrived is not a request of HTTP/1.1.")
                .advise("Send HTTP/1.1, with TLS only where the address begins with https.")
        } else {
            let HttpLimits {
                headers, header_bytes, ..
            } = limits;
            let most =
                format!("The request's line and headers are larger than {header_bytes} bytes, or more than {headers}.");
            Problem::new(ProblemKind::HeadersTooLarge, most)
                .advise("Send fewer headers, or put what they hold into the body.")
        };
        let body = problem.to_json().to_string();
        let head = format!(
            "HTTP/1.1 {}\r\ncontent-type: {CONTENT_TYPE_OF_PROBLEMS}\r\ncache-control: no-store\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            problem.status(),
            body.len(),
        );
        Some(Self {
            bytes: (head + &body).into_bytes(),
            written: 0,
            dropped: 0,
        })
    }

    /// Writes what is left of it.
    pub(super) fn poll_write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(left) = self.bytes.get(self.written..).filter(|left| !left.is_empty()) {
            match ready!(Pin::new(&mut *stream).poll_write(context, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and drops what the caller still sends, until it ends or sends too much.
    pub(super) fn poll_drop_rest(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let mut room = [0; 4096];
        while self.dropped < REST_MAX {
            let mut into = ReadBuf::new(&mut room);
            match ready!(Pin::new(&mut *stream).poll_read(context, &mut into)) {
                Ok(()) if !into.filled().is_empty() => self.dropped += into.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}
