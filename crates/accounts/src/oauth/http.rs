//! What tokens need from outside: one POST, and the time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::SystemTime;

use url::Url;
use zeroize::Zeroizing;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A client that sends one POST. The host implements it over its own TLS.
///
/// Implementations must not follow redirects, since the body holds a secret. They must ask the operator's policy and
/// the egress rule before they dial, verify certificates, read at most 64 KiB of an answer, and stop after a time limit
/// of their own.
pub trait HttpPost: Send + Sync {
    /// Sends the request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// Returns an [`HttpFailure`] when there is no answer.
    fn post(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpFailure>>;
}

/// A request to a token endpoint.
pub struct HttpRequest {
    /// `https`, or `http` to a loopback address.
    pub url: Url,
    /// The value of the `Content-Type` header. Send `Accept: application/json` too.
    pub content_type: &'static str,
    /// The body. It holds secrets.
    pub body: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

/// A token endpoint's answer.
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The body. It holds secrets.
    pub body: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// The reason why there is no answer, as the end of a sentence: `the connection was refused`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpFailure {
    reason: String,
    is_denied: bool,
}

impl HttpFailure {
    /// Makes a failure of a server that did not respond, or not with HTTP. A later try may succeed.
    pub fn unanswered(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            is_denied: false,
        }
    }

    /// Makes a failure of a server that may not be asked from here, so nothing was sent.
    pub fn denied(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            is_denied: true,
        }
    }

    /// Checks whether the server may not be asked from here.
    pub fn is_denied(&self) -> bool {
        self.is_denied
    }
}

impl fmt::Display for HttpFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for HttpFailure {}

/// A clock that says what time it is.
pub trait Clock: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> SystemTime;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
