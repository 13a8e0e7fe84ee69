//! What a caller is told when a request is not done: a problem document (RFC 9457), with the status that the kind has.
//!
//! A problem is either about the request itself (no such path, no token, a body that is too large) or about the run that
//! the request started; then its kind is the failure's kind. The kind alone decides the status, so a caller can rely on
//! either. `type` is `urn:pipepost:problem:<kind>` and names the same thing as `kind`.

use axum::body::Body;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use pipepost_core::{Failure, FailureKind};
use serde_json::{Map, Value};

use crate::message::status_among;

/// The content type of a problem document (RFC 9457, section 3).
pub const CONTENT_TYPE_OF_PROBLEMS: &str = "application/problem+json";

/// How many seconds a caller waits before it asks again, where nothing better is known.
pub const DEFAULT_WAIT: u32 = 60;

/// What kind of problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The run failed with this kind.
    Run(FailureKind),
    /// The pipeline ended the run with an error of its own.
    Pipeline,
    /// The request cannot be read.
    BadRequest,
    /// There is no token, or one that is not known.
    Unauthenticated,
    /// The token may not do this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The path knows other methods.
    MethodNotAllowed,
    /// The request took too long to arrive.
    RequestTimeout,
    /// Something else is in the way: the thing is in another state than the request needs.
    Conflict,
    /// A run with the same idempotency key has not ended.
    InProgress,
    /// The idempotency key belongs to a request with another content.
    KeyReused,
    /// The body is too large.
    TooLarge,
    /// The request's line and headers are too large, or too many.
    HeadersTooLarge,
    /// The content type is none that is taken here.
    UnsupportedMediaType,
    /// The `Host` header names another host.
    Misdirected,
    /// The run did not begin within its time, and was cancelled.
    NotStarted,
    /// There is no room for another run now.
    Busy,
    /// The service is about to end.
    Draining,
    /// The state cannot be written or read.
    StateUnavailable,
    /// The run goes on after the caller's time.
    TimedOut,
    /// A person or a caller cancelled the run.
    Cancelled,
    /// Something went wrong in the service itself.
    Internal,
}

impl ProblemKind {
    /// Every kind.
    pub const ALL: [Self; 29] = [
        Self::Run(FailureKind::Invalid),
        Self::Run(FailureKind::Configuration),
        Self::Run(FailureKind::Authentication),
        Self::Run(FailureKind::Refused),
        Self::Run(FailureKind::Quota),
        Self::Run(FailureKind::Transient),
        Self::Run(FailureKind::Uncertain),
        Self::Run(FailureKind::Limit),
        Self::Pipeline,
        Self::BadRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::Conflict,
        Self::InProgress,
        Self::KeyReused,
        Self::TooLarge,
        Self::HeadersTooLarge,
        Self::UnsupportedMediaType,
        Self::Misdirected,
        Self::NotStarted,
        Self::Busy,
        Self::Draining,
        Self::StateUnavailable,
        Self::TimedOut,
        Self::Cancelled,
        Self::Internal,
    ];

    /// Returns the name that `kind` and `type` hold.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run(kind) => kind.as_str(),
            Self::Pipeline => "pipeline-error",
            Self::BadRequest => "bad-request",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::RequestTimeout => "request-timeout",
            Self::Conflict => "conflict",
            Self::InProgress => "in-progress",
            Self::KeyReused => "key-reused",
            Self::TooLarge => "too-large",
            Self::HeadersTooLarge => "headers-too-large",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::Misdirected => "misdirected",
            Self::NotStarted => "not-started",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::StateUnavailable => "state-unavailable",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }

    /// Returns the status of the answer.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Run(FailureKind::Invalid | FailureKind::Refused) | Self::KeyReused => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::Run(FailureKind::Quota) => StatusCode::TOO_MANY_REQUESTS,
            Self::Run(FailureKind::Transient)
            | Self::NotStarted
            | Self::Busy
            | Self::Draining
            | Self::StateUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Run(FailureKind::Authentication | FailureKind::Configuration | FailureKind::Limit)
            | Self::Pipeline
            | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            // Clients repeat a 5xx by themselves, and this must not be repeated.
            Self::Run(FailureKind::Uncertain) | Self::Conflict | Self::InProgress | Self::Cancelled => {
                StatusCode::CONFLICT
            }
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Returns the title: the same for every problem of the kind (RFC 9457, section 3.1.3).
    pub const fn title(self) -> &'static str {
        match self {
            Self::Run(FailureKind::Invalid) => "The input is wrong",
            Self::Run(FailureKind::Configuration) => "The set-up is wrong",
            Self::Run(FailureKind::Authentication) => "The mail server did not accept the sign-in",
            Self::Run(FailureKind::Refused) => "The mail server refused",
            Self::Run(FailureKind::Quota) => "A quota is used up",
            Self::Run(FailureKind::Transient) => "It did not work this time",
            Self::Run(FailureKind::Uncertain) => "It is not known whether a message was sent",
            Self::Run(FailureKind::Limit) => "A limit was reached",
            Self::Pipeline => "The pipeline ended with an error",
            Self::BadRequest => "The request cannot be read",
            Self::Unauthenticated => "A token is needed",
            Self::Forbidden => "The token does not allow this",
            Self::NotFound => "There is no such thing",
            Self::MethodNotAllowed => "The path knows other methods",
            Self::RequestTimeout => "The request took too long to arrive",
            Self::Conflict => "The thing is in another state",
            Self::InProgress => "A run with this key has not ended",
            Self::KeyReused => "The key belongs to another content",
            Self::TooLarge => "The body is too large",
            Self::HeadersTooLarge => "The headers are too large",
            Self::UnsupportedMediaType => "The content type is not taken here",
            Self::Misdirected => "The host is another one",
            Self::NotStarted => "The run did not begin in time",
            Self::Busy => "There is no room for another run now",
            Self::Draining => "The service is about to end",
            Self::StateUnavailable => "The state cannot be used",
            Self::TimedOut => "The run goes on",
            Self::Cancelled => "The run was cancelled",
            Self::Internal => "Something went wrong in the service",
        }
    }

    /// Checks whether asking again after a wait is what helps.
    const fn waits(self) -> bool {
        matches!(
            self,
            Self::Run(FailureKind::Quota | FailureKind::Transient)
                | Self::InProgress
                | Self::NotStarted
                | Self::Busy
                | Self::Draining
                | Self::StateUnavailable
        )
    }
}

/// A problem document, and the headers that go with it.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    kind: ProblemKind,
    status: StatusCode,
    detail: String,
    instance: Option<String>,
    advice: Option<String>,
    link: Option<String>,
    wait: Option<u32>,
    messages: Option<Value>,
    headers: HeaderMap,
}

impl Problem {
    /// Makes a problem of this kind. `detail` says in one sentence what happened to this request.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            kind,
            status: kind.status(),
            detail: detail.into(),
            instance: None,
            advice: None,
            link: None,
            wait: None,
            messages: None,
            headers: HeaderMap::new(),
        }))
    }

    /// Makes the problem of a run that ended with this failure.
    pub fn of_failure(failure: &Failure) -> Self {
        let mut problem = Self::new(ProblemKind::Run(failure.kind), failure.message.clone());
        problem.0.advice.clone_from(&failure.advice);
        problem.0.link.clone_from(&failure.link);
        problem.0.wait = failure.wait;
        problem
    }

    /// Makes the problem of a run that the pipeline itself ended with an error: `code` is the status if it is one from
    /// 400 to 599, as a number or a text.
    pub fn of_pipeline(code: &Value, message: impl Into<String>) -> Self {
        let mut problem = Self::new(ProblemKind::Pipeline, message);
        let chosen = status_among(code, 400..=599);
        problem.0.status = chosen.unwrap_or(problem.0.status);
        problem
    }

    /// Makes the problem of a request without a token that is known (RFC 6750, section 3).
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        let challenge = HeaderValue::from_static("Bearer realm=\"pipepost\"");
        Self::new(ProblemKind::Unauthenticated, detail).with_header(WWW_AUTHENTICATE, challenge)
    }

    /// Makes the problem of a path that knows other methods, which it names (RFC 9110, section 15.5.6).
    pub fn method_not_allowed(method: &str, allowed: &[&str]) -> Self {
        let list = allowed.join(", ");
        let detail = format!("The path does not know the method {method}; it knows {list}.");
        let problem = Self::new(ProblemKind::MethodNotAllowed, detail);
        match HeaderValue::from_str(&list) {
            Ok(allow) => problem.with_header(ALLOW, allow),
            Err(_) => problem,
        }
    }

    /// Adds what to do now.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.0.advice = Some(advice.into());
        self
    }

    /// Adds how many seconds to wait before the next try.
    #[must_use]
    pub fn wait(mut self, seconds: u32) -> Self {
        self.0.wait = Some(seconds);
        self
    }

    /// Adds which run or request it is about: a path of the API.
    #[must_use]
    pub fn about(mut self, instance: impl Into<String>) -> Self {
        self.0.instance = Some(instance.into());
        self
    }

    /// Adds what became of the run's messages.
    #[must_use]
    pub fn with_messages(mut self, messages: Value) -> Self {
        self.0.messages = Some(messages);
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Returns the kind.
    pub fn kind(&self) -> ProblemKind {
        self.0.kind
    }

    /// Returns the status of the answer.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Returns the sentence that says what happened.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Returns the document.
    pub fn to_json(&self) -> Value {
        let mut document = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                document.insert(name.to_owned(), value);
            }
        };
        put(
            "type",
            Some(format!("urn:pipepost:problem:{}", self.0.kind.as_str()).into()),
        );
        put("title", Some(self.0.kind.title().into()));
        put("status", Some(self.0.status.as_u16().into()));
        put("detail", Some(self.0.detail.clone().into()));
        put("instance", self.0.instance.clone().map(Value::from));
        put("kind", Some(self.0.kind.as_str().into()));
        put("advice", self.0.advice.clone().map(Value::from));
        put("link", self.0.link.clone().map(Value::from));
        put("wait", self.seconds_to_wait().map(Value::from));
        put("messages", self.0.messages.clone());
        Value::Object(document)
    }

    /// How many seconds to wait, where waiting helps.
    fn seconds_to_wait(&self) -> Option<u32> {
        self.0.wait.or_else(|| self.0.kind.waits().then_some(DEFAULT_WAIT))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_json().to_string()));
        *response.status_mut() = self.0.status;
        let wait = self.seconds_to_wait();
        let headers = response.headers_mut();
        headers.extend(self.0.headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_OF_PROBLEMS));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = wait {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::body::to_bytes;
    use serde_json::json;

    use super::*;

    /// The row "kinds" of the semantics: status, and whether the answer says when to come back.
    #[test]
    fn each_kind_of_failure_has_its_status() {
        let rows = [
            (FailureKind::Invalid, 422, false),
            (FailureKind::Refused, 422, false),
            (FailureKind::Quota, 429, true),
            (FailureKind::Transient, 503, true),
            (FailureKind::Authentication, 500, false),
            (FailureKind::Configuration, 500, false),
            (FailureKind::Limit, 500, false),
            (FailureKind::Uncertain, 409, false),
        ];
        assert_eq!(rows.len(), FailureKind::ALL.len());
        for (kind, status, waits) in rows {
            let response = Problem::of_failure(&Failure::new(kind, "It went wrong.")).into_response();
            assert_eq!(response.status().as_u16(), status, "{kind}");
            assert_eq!(response.headers().contains_key(RETRY_AFTER), waits, "{kind}");
        }
    }

    #[test]
    fn the_wait_that_was_said_is_the_one_that_is_passed_on() {
        let failure = Failure {
            wait: Some(7),
            ..Failure::new(FailureKind::Quota, "The account sent all that it may send today.")
        };
        let response = Problem::of_failure(&failure).into_response();
        assert_eq!(response.headers()[RETRY_AFTER], "7");
    }

    #[tokio::test]
    async fn a_document_has_the_members_of_the_rfc_and_ours() {
        let failure = Failure {
            link: Some("https://support.example/help".to_owned()),
            ..Failure::new(FailureKind::Refused, "The server refused the message.").advise("Change the subject.")
        };
        let problem = Problem::of_failure(&failure)
            .about("/api/v1/runs/1")
            .with_messages(serde_json::json!([{"outcome": "failed"}]));
        let response = problem.into_response();
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let body = to_bytes(response.into_body(), 10_000).await.expect("a body");
        let document: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(
            document,
            serde_json::json!({
                "type": "urn:pipepost:problem:refused",
                "title": "The mail server refused",
                "status": 422,
                "detail": "The server refused the message.",
                "instance": "/api/v1/runs/1",
                "kind": "refused",
                "advice": "Change the subject.",
                "link": "https://support.example/help",
                "messages": [{"outcome": "failed"}],
            })
        );
    }

    #[test]
    fn a_pipeline_chooses_its_status_among_errors_only() {
        for (code, status) in [
            (json!(418), 418),
            (json!(599), 599),
            (json!(404.0), 404),
            (json!("404"), 404),
            (json!(200), 500),
            (json!("200"), 500),
            (json!(600), 500),
            (json!(-1), 500),
            (json!("E404"), 500),
            (json!(""), 500),
            (Value::Null, 500),
        ] {
            assert_eq!(Problem::of_pipeline(&code, "No.").status().as_u16(), status, "{code}");
        }
    }

    #[test]
    fn names_are_unique_and_titles_are_no_sentences() {
        let names: BTreeSet<&str> = ProblemKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), ProblemKind::ALL.len());
        for kind in ProblemKind::ALL {
            assert!(!kind.title().ends_with('.'), "{kind:?}");
            assert!(
                kind.status().is_client_error() || kind.status().is_server_error(),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn other_methods_and_missing_tokens_say_what_would_do() {
        let response = Problem::method_not_allowed("PATCH", &["GET", "PUT"]).into_response();
        assert_eq!(response.headers()[ALLOW], "GET, PUT");
        let response = Problem::unauthenticated("The request has no token.").into_response();
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer realm=\"pipepost\"");
    }
}
