//! Reads a body within its limits: so many bytes, and so much time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::problem::{Problem, ProblemKind};

/// How long a body takes to arrive at most, on every route.
pub const BODY_TIME: Duration = Duration::from_secs(60);

/// The reason why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It has more bytes than it may have.
    #[error("The body is larger than {limit} bytes.")]
    TooLarge {
        /// How many bytes it may have.
        limit: usize,
    },
    /// It did not arrive in time.
    #[error("The body did not arrive within {} s.", time.as_secs())]
    TooSlow {
        /// How long it may take.
        time: Duration,
    },
    /// The connection broke, or the body's framing is wrong.
    #[error("The body did not arrive whole: {0}.")]
    Broken(String),
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let kind = match error {
            BodyError::TooLarge { .. } => ProblemKind::TooLarge,
            BodyError::TooSlow { .. } => ProblemKind::RequestTimeout,
            BodyError::Broken(_) => ProblemKind::BadRequest,
        };
        Self::new(kind, error.to_string())
    }
}

/// Reads a body of at most `limit` bytes within [`BODY_TIME`]. It never holds more than the limit, whatever the sender
/// announced.
///
/// # Errors
/// A [`BodyError`].
pub async fn read_body(body: Body, limit: usize) -> Result<Bytes, BodyError> {
    read_body_within(body, limit, BODY_TIME).await
}

/// The same within another time.
pub(crate) async fn read_body_within(body: Body, limit: usize, time: Duration) -> Result<Bytes, BodyError> {
    // Known before a byte is read, and before a caller that waits for `100 Continue` sends one.
    let announced = hyper::body::Body::size_hint(&body).lower();
    if announced > limit as u64 {
        return Err(BodyError::TooLarge { limit });
    }
    match tokio::time::timeout(time, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge { limit }),
        Ok(Err(error)) => Err(BodyError::Broken(error.to_string())),
        Err(_) => Err(BodyError::TooSlow { time }),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::Frame;

    use super::*;

    /// Gives its parts, then waits for ever or ends.
    struct Parts(Vec<&'static str>, bool);

    impl hyper::body::Body for Parts {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.pop() {
                Some(part) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(part.as_bytes()))))),
                None if self.1 => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_read_up_to_its_limits() {
        let read = read_body(Body::from("12345"), 5).await.expect("read");
        assert_eq!(&read[..], b"12345");
        let error = read_body(Body::from("123456"), 5).await.expect_err("too large");
        assert!(matches!(error, BodyError::TooLarge { limit: 5 }));
        // One that announces nothing.
        let error = read_body(Body::new(Parts(vec!["123", "456"], true)), 5).await;
        assert!(matches!(error, Err(BodyError::TooLarge { .. })));
        let error = read_body(Body::new(Parts(vec!["1"], false)), 5)
            .await
            .expect_err("too slow");
        assert_eq!(error.to_string(), "The body did not arrive within 60 s.");
        assert_eq!(Problem::from(error).status().as_u16(), 408);
    }
}
