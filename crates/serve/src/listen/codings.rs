//! Bodies that are encoded in a way that nothing here decodes are refused by name, before their bytes are taken for text.

use axum::Router;
use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Body as _;

use crate::problem::{Problem, ProblemKind};

/// The routes, for bodies that can be read.
pub(super) fn checked(routes: Router) -> Router {
    routes.layer(middleware::from_fn(check))
}

async fn check(request: Request, next: Next) -> Response {
    // A coding of no body changes nothing: whoever only asks whether the service is there gets an answer.
    let has_body = !request.body().is_end_stream();
    match refusal(request.headers(), has_body) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}

fn refusal(headers: &HeaderMap, has_body: bool) -> Option<Problem> {
    if let Some(coding) = other_than(headers, &TRANSFER_ENCODING, "chunked") {
        let detail =
            format!("The transfer coding `{coding}` is not read here; send the body with `chunked` and nothing else.");
        return Some(Problem::new(ProblemKind::BadRequest, detail));
    }
    let coding = other_than(headers, &CONTENT_ENCODING, "identity").filter(|_| has_body)?;
    let detail = format!("The body's content coding `{coding}` is not read here; send the body as it is.");
    Some(Problem::new(ProblemKind::UnsupportedMediaType, detail))
}

/// The first coding in a header's list that is not this one.
fn other_than(headers: &HeaderMap, name: &HeaderName, known: &str) -> Option<String> {
    let values = headers.get_all(name).iter();
    let texts: Vec<String> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    let mut codings = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    let other = codings.find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(known));
    other.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_coding_that_nobody_decodes_is_named() {
        for (name, value, status) in [
            ("transfer-encoding", "gzip, chunked", Some(400)),
            ("transfer-encoding", "chunked", None),
            ("content-encoding", "gzip", Some(415)),
            ("content-encoding", "identity, br", Some(415)),
            ("content-encoding", "Identity", None),
            ("content-encoding", "", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            let found = refusal(&headers, true).map(|problem| problem.status().as_u16());
            assert_eq!(found, status, "{name}: {value}");
            let of_nothing = refusal(&headers, false).map(|problem| problem.status().as_u16());
            assert_eq!(of_nothing, status.filter(|&status| status == 400), "{name}: {value}");
        }
    }
}
