//! The answer of a synchronous run: its last message.

use std::ops::RangeInclusive;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::Value;

use super::HttpTrigger;
use crate::charset::{Charset, UnknownCharset};
use crate::encoded::media_type;
use crate::problem::{Problem, ProblemKind};

/// Makes the answer of a run that is done. For `rest` the last message is the answer; for `http` the message holds it as
/// `code`, `body` and `Content-Type`, and a message that has none of them is answered as JSON. The body is in the charset that
/// the content type names, and 204, 205 and 304 have none.
///
/// # Errors
/// A problem of the kind `pipeline-error`, if the message of an `http` pipeline is not an answer.
pub fn answer(trigger: HttpTrigger, last: &Value) -> Result<Response, Problem> {
    match (trigger, last) {
        (HttpTrigger::Http, Value::Object(message))
            if ["code", "body", "Content-Type"]
                .iter()
                .any(|key| message.contains_key(*key)) =>
        {
            let status = match message.get("code") {
                None | Some(Value::Null) => StatusCode::OK,
                Some(code) => status(code)?,
            };
            let body = match message.get("body") {
                None | Some(Value::Null) => "",
                Some(Value::String(text)) => text,
                Some(_) => return Err(wrong("The `body` of the last message is not a text.")),
            };
            let content_type = match message.get("Content-Type") {
                None | Some(Value::Null) => "text/plain; charset=utf-8",
                Some(Value::String(text)) => text.trim(),
                Some(_) => return Err(wrong("The `Content-Type` of the last message is not a text.")),
            };
            let header = HeaderValue::from_str(content_type)
                .ok()
                .filter(|_| is_content_type(content_type))
                .ok_or_else(|| wrong("The `Content-Type` of the last message is not one."))?;
            if has_no_content(status) {
                return Ok(without_content(status));
            }
            Ok(response(status, header, encoded(body, content_type)?))
        }
        _ => Ok(json(StatusCode::OK, last)),
    }
}

/// Checks whether it begins with a type and a subtype (RFC 9110, section 8.3.1) and is ASCII.
fn is_content_type(content_type: &str) -> bool {
    let is_token = |text: &str| {
        let of_token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
        !text.is_empty() && text.bytes().all(of_token)
    };
    let names = media_type(content_type);
    let names = names.split_once('/');
    content_type.is_ascii() && names.is_some_and(|(name, subtype)| is_token(name) && is_token(subtype))
}

/// The body in the charset that its content type names.
fn encoded(body: &str, content_type: &str) -> Result<Vec<u8>, Problem> {
    let charset = Charset::of(content_type).map_err(|UnknownCharset(name)| {
        wrong(format!(
            "The charset `{name}` in the `Content-Type` of the last message is not known."
        ))
    })?;
    charset.encode(body).map_err(|lacking| {
        wrong(format!(
            "The `body` of the last message has the character `{lacking}` (U+{:04X}), which the charset {} of its `Content-Type` lacks.",
            u32::from(lacking),
            charset.name()
        ))
    })
}

/// Checks whether an answer with this status has no content (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5).
fn has_no_content(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    )
}

/// The status that the message names.
fn status(code: &Value) -> Result<StatusCode, Problem> {
    status_among(code, 200..=599).ok_or_else(|| {
        wrong(format!(
            "The `code` of the last message is {code}; it must be a number from 200 to 599."
        ))
    })
}

/// Returns the status that a document's code stands for, if it is one of these: a number, or a text that holds one.
pub(crate) fn status_among(code: &Value, these: RangeInclusive<u16>) -> Option<StatusCode> {
    let number = match code {
        Value::Number(number) => number.as_u64().or_else(|| {
            // An expression gives 200.0 as readily as 200.
            let float = number
                .as_f64()
                .filter(|float| float.fract() == 0.0 && (200.0..=599.0).contains(float))?;
            Some(float as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let status = u16::try_from(number?).ok().filter(|number| these.contains(number))?;
    StatusCode::from_u16(status).ok()
}

fn wrong(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Pipeline, detail)
}

/// Makes the answer to a body over the limit, as the platform gives it.
pub fn too_large() -> Response {
    let body = serde_json::json!({ "message": "Request size limit exceeded" });
    json(StatusCode::PAYLOAD_TOO_LARGE, &body)
}

fn json(status: StatusCode, value: &Value) -> Response {
    let body = value.to_string().into_bytes();
    response(status, HeaderValue::from_static("application/json"), body)
}

fn response(status: StatusCode, content_type: HeaderValue, body: Vec<u8>) -> Response {
    let mut response = without_content(status);
    *response.body_mut() = Body::from(body);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn without_content(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::json;

    use super::*;

    const REST: HttpTrigger = HttpTrigger::Rest { text_body: false };

    async fn shown(response: Response) -> (u16, String, String) {
        let status = response.status().as_u16();
        let content_type = response.headers()[CONTENT_TYPE].to_str().expect("text").to_owned();
        let body = to_bytes(response.into_body(), 10_000).await.expect("a body");
        (status, content_type, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn rest_answers_with_the_last_message() {
        let last = json!({"code": 404, "body": "x"});
        let (status, content_type, body) = shown(answer(REST, &last).expect("an answer")).await;
        assert_eq!((status, content_type.as_str()), (200, "application/json"));
        assert_eq!(body, r#"{"code":404,"body":"x"}"#);
    }

    #[tokio::test]
    async fn http_answers_as_the_last_message_says() {
        let last = json!({"code": 201, "body": "<ok/>", "Content-Type": "text/xml"});
        let answered = shown(answer(HttpTrigger::Http, &last).expect("an answer")).await;
        assert_eq!(answered, (201, "text/xml".to_owned(), "<ok/>".to_owned()));
        let answered = shown(answer(HttpTrigger::Http, &json!({"code": "202"})).expect("an answer")).await;
        assert_eq!(answered, (202, "text/plain; charset=utf-8".to_owned(), String::new()));
        let answered = shown(answer(HttpTrigger::Http, &json!({"code": 200.0})).expect("an answer")).await;
        assert_eq!(answered.0, 200);
        let answered = shown(answer(HttpTrigger::Http, &json!({"sent": 3})).expect("an answer")).await;
        assert_eq!(
            answered,
            (200, "application/json".to_owned(), r#"{"sent":3}"#.to_owned())
        );
    }

    #[tokio::test]
    async fn the_body_is_in_the_charset_that_is_stated() {
        for (content_type, octets) in [
            ("text/xml", &b"J\xc3\xbcrgen"[..]),
            ("text/xml; charset=ISO-8859-1", b"J\xfcrgen"),
            ("text/xml; version=\"1;\"; charset=\"windows-1252\"", b"J\xfcrgen"),
            ("text/xml;charset=utf-16be", b"\0J\0\xfc\0r\0g\0e\0n"),
        ] {
            let last = json!({"body": "Jürgen", "Content-Type": content_type});
            let response = answer(HttpTrigger::Http, &last).expect(content_type);
            assert_eq!(response.headers()[CONTENT_TYPE], content_type);
            let body = to_bytes(response.into_body(), 100).await.expect("a body");
            assert_eq!(&body[..], octets, "{content_type}");
        }
        let last = json!({"body": "5 €", "Content-Type": "text/plain; charset=ISO-8859-1"});
        let problem = answer(HttpTrigger::Http, &last).expect_err("no euro");
        let says = problem.detail();
        assert!(says.contains("`€` (U+20AC)") && says.contains("`iso-8859-1`"), "{says}");
    }

    #[tokio::test]
    async fn an_answer_that_may_have_no_content_has_none() {
        for code in [204, 205, 304] {
            let last = json!({"code": code, "body": "x", "Content-Type": "text/plain"});
            let response = answer(HttpTrigger::Http, &last).expect("an answer");
            assert_eq!(response.status().as_u16(), code);
            assert!(!response.headers().contains_key(CONTENT_TYPE), "{code}");
            assert!(to_bytes(response.into_body(), 100).await.expect("a body").is_empty());
        }
    }

    #[test]
    fn a_message_that_is_no_answer_is_the_pipelines_error() {
        for last in [
            json!({"code": 99}),
            json!({"code": 600}),
            json!({"code": 200.5}),
            json!({"code": true}),
            json!({"body": {"a": 1}}),
            json!({"body": "x", "Content-Type": "text/plain\r\nSet-Cookie: a=b"}),
            json!({"body": "x", "Content-Type": 5}),
            json!({"body": "x", "Content-Type": ""}),
            json!({"body": "x", "Content-Type": "  "}),
            json!({"body": "x", "Content-Type": "html"}),
            json!({"body": "x", "Content-Type": "text/"}),
            json!({"body": "x", "Content-Type": "text/html\u{e9}"}),
            json!({"body": "x", "Content-Type": "text/html; x=\u{e9}"}),
            json!({"code": 204, "Content-Type": ""}),
            json!({"body": "x", "Content-Type": "text/plain; charset=utf-7"}),
            json!({"body": "5 €", "Content-Type": "text/plain; charset=ISO-8859-1"}),
        ] {
            let problem = answer(HttpTrigger::Http, &last).expect_err(&last.to_string());
            assert_eq!(problem.status().as_u16(), 500, "{last}");
        }
    }

    #[tokio::test]
    async fn too_large_is_told_in_the_platforms_words() {
        let (status, content_type, body) = shown(too_large()).await;
        assert_eq!((status, content_type.as_str()), (413, "application/json"));
        assert_eq!(body, r#"{"message":"Request size limit exceeded"}"#);
    }
}
