//! The answer of a synchronous run: its last message.

use std::ops::RangeInclusive;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::Value;

use super::HttpTrigger;
use crate::problem::{Problem, ProblemKind};

/// Makes the answer of a run that is done. For `rest` the last message is the answer; for `http` the message holds it as
/// `code`, `body` and `Content-Type`, and a message that has none of them is answered as JSON.
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
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(_) => return Err(wrong("The `body` of the last message is not a text.")),
            };
            let content_type = match message.get("Content-Type") {
                None | Some(Value::Null) => HeaderValue::from_static("text/plain; charset=utf-8"),
                Some(Value::String(text)) => HeaderValue::from_str(text)
                    .map_err(|_| wrong("The `Content-Type` of the last message is not one."))?,
                Some(_) => return Err(wrong("The `Content-Type` of the last message is not a text.")),
            };
            Ok(response(status, content_type, body))
        }
        _ => Ok(json(StatusCode::OK, last)),
    }
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
    response(status, HeaderValue::from_static("application/json"), value.to_string())
}

fn response(status: StatusCode, content_type: HeaderValue, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
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
        ] {
            let problem = answer(HttpTrigger::Http, &last).expect_err("no answer");
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
