//! CloudEvents 1.0 over HTTP: an event that starts a pipeline.
//!
//! Both single-event modes of the HTTP binding are read: binary (the attributes are `ce-` headers, the body is the data) and
//! structured (`application/cloudevents+json`). A batch is refused by name, because half a batch could not be answered.
//! `source` and `id` together are unique by the specification (section 3.1.1), so they are the key of the event's run: an
//! event that is published again starts nothing.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::charset::{Charset, UnknownCharset};
use crate::encoded::{content_type, media_type, percent_decoded};
use crate::problem::{Problem, ProblemKind};

/// What the name of an attribute begins with in a header (HTTP binding, section 3.1.3.1).
const PREFIX: &str = "ce-";

/// An event that was read and has what the specification requires.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudEvent {
    /// The event's id, unique within its source.
    pub id: String,
    /// Where it happened.
    pub source: String,
    /// What happened: the `eventName` of a trigger.
    pub event_type: String,
    /// When it happened, as it was written (RFC 3339).
    pub time: Option<String>,
    /// The data, which is the pipeline's message: JSON as it is, text as text, and other bytes as an object with
    /// `data_base64`. Data whose type is not said is the first of these that it can be.
    pub message: Value,
}

impl CloudEvent {
    /// Reads the event of a request.
    ///
    /// # Errors
    /// A problem that names the attribute that is missing or wrong, or the mode that is not taken.
    pub fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Problem> {
        let content_type = content_type(headers);
        let media_type = media_type(&content_type);
        if media_type.starts_with("application/cloudevents-batch") {
            return Err(not_taken(
                "A batch of events is not taken here; send each event in a request of its own.",
            ));
        }
        match media_type.strip_prefix("application/cloudevents") {
            Some("+json" | "") => structured(body),
            Some(format) => {
                let format = format.trim_start_matches('+');
                Err(not_taken(format!(
                    "The event is in the format `{format}`; send it as `application/cloudevents+json`."
                )))
            }
            None => binary(headers, &content_type, body),
        }
    }

    /// Returns the key of the event's run. The last slash separates source and id: those of the id are escaped.
    pub fn key(&self) -> String {
        let id = self.id.replace('%', "%25").replace('/', "%2F");
        format!("event/{}/{id}", self.source)
    }
}

fn refused(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::BadRequest, detail)
}

fn not_taken(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::UnsupportedMediaType, detail)
}

fn is_json(media_type: &str) -> bool {
    matches!(media_type, "application/json" | "text/json") || media_type.ends_with("+json")
}

/// The attributes are headers, percent-encoded where they hold more than visible ASCII (HTTP binding, section 3.1.3.2).
fn binary(headers: &HeaderMap, content_type: &str, body: &[u8]) -> Result<CloudEvent, Problem> {
    let mut attributes = Map::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(PREFIX) else {
            continue;
        };
        let text = value
            .to_str()
            .ok()
            .and_then(attribute)
            .ok_or_else(|| refused(format!("The header `{PREFIX}{name}` is not percent-encoded UTF-8.")))?;
        if attributes.insert(name.to_owned(), text.into()).is_some() {
            return Err(refused(format!(
                "The request has two headers `{PREFIX}{name}`; send one."
            )));
        }
    }
    let name = |attribute: &str| format!("the header `{PREFIX}{attribute}`");
    let message = data(content_type, body)?;
    event(&attributes, message, name)
}

fn structured(body: &[u8]) -> Result<CloudEvent, Problem> {
    let envelope: Value =
        serde_json::from_slice(body).map_err(|error| refused(format!("The event is not JSON: {error}.")))?;
    let Value::Object(envelope) = envelope else {
        return Err(refused("The event is not a JSON object."));
    };
    let content_type = match envelope.get("datacontenttype") {
        None | Some(Value::Null) => "",
        Some(Value::String(text)) => text,
        Some(_) => return Err(refused("The attribute `datacontenttype` is not a text.")),
    };
    let message = match (envelope.get("data"), envelope.get("data_base64")) {
        (Some(_), Some(_)) => return Err(refused("The event has both `data` and `data_base64`; send one.")),
        (Some(data), None) => data.clone(),
        (None, Some(Value::String(text))) => {
            let bytes = STANDARD
                .decode(text)
                .map_err(|error| refused(format!("`data_base64` is not base64: {error}.")))?;
            data(content_type, &bytes)?
        }
        (None, Some(_)) => return Err(refused("`data_base64` is not a text.")),
        (None, None) => Value::Object(Map::new()),
    };
    event(&envelope, message, |attribute| format!("the attribute `{attribute}`"))
}

/// What the data is as a message. An event without data gives an empty object. Data without a content type may be anything:
/// it is JSON if it can be read so, else text, else base64.
fn data(content_type: &str, bytes: &[u8]) -> Result<Value, Problem> {
    if bytes.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let media_type = media_type(content_type);
    let charset = Charset::of(content_type);
    if is_json(&media_type) {
        let charset = charset.map_err(|UnknownCharset(name)| {
            not_taken(format!(
                "The charset `{name}` of the event's data is not read here; send UTF-8."
            ))
        })?;
        let text = charset
            .decode(bytes)
            .map_err(|error| refused(format!("The event's data {error}.")))?;
        return json(&text).map_err(|error| refused(format!("The event's data is not JSON: {error}.")));
    }
    let is_text = media_type.is_empty() || media_type.starts_with("text/") || media_type.ends_with("xml");
    let text = charset.ok().and_then(|charset| charset.decode(bytes).ok());
    match text.filter(|_| is_text) {
        Some(text) if media_type.is_empty() => Ok(json(&text).unwrap_or_else(|_| text.into())),
        Some(text) => Ok(text.into()),
        None => Ok(serde_json::json!({ "data_base64": STANDARD.encode(bytes) })),
    }
}

/// Reads JSON. Some senders begin with a byte order mark, which may be ignored (RFC 8259, section 8.1).
fn json(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text.strip_prefix('\u{FEFF}').unwrap_or(text))
}

fn event(
    attributes: &Map<String, Value>,
    message: Value,
    named: impl Fn(&str) -> String,
) -> Result<CloudEvent, Problem> {
    let required = |attribute: &str| match attributes.get(attribute) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::String(_)) => Err(refused(format!(
            "The event is not complete: {} is empty.",
            named(attribute)
        ))),
        Some(_) => Err(refused(format!(
            "The event cannot be read: {} is not a text.",
            named(attribute)
        ))),
        None => Err(refused(format!(
            "The event is not complete: {} is missing.",
            named(attribute)
        ))),
    };
    let version = required("specversion")?;
    if version != "1.0" {
        return Err(refused(format!(
            "The event follows version `{version}` of CloudEvents; this service reads 1.0."
        )));
    }
    let time = match attributes.get("time") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.parse::<jiff::Timestamp>().is_ok() => Some(text.clone()),
        Some(_) => {
            return Err(refused(format!(
                "The event cannot be read: {} is not a time of RFC 3339.",
                named("time")
            )));
        }
    };
    Ok(CloudEvent {
        id: required("id")?,
        source: required("source")?,
        event_type: required("type")?,
        time,
        message,
    })
}

/// A header's value, which may be a string in quotes (RFC 9110, section 5.6.4), with its `%xx` read.
fn attribute(value: &str) -> Option<String> {
    let value = value.trim();
    let unquoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .map(|inner| inner.replace("\\\"", "\"").replace("\\\\", "\\"));
    percent_decoded(unquoted.as_deref().unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }

    const BINARY: [(&str, &str); 5] = [
        ("ce-id", "17"),
        ("ce-source", "/shop/orders"),
        ("ce-type", "order-placed"),
        ("ce-specversion", "1.0"),
        ("content-type", "application/json; charset=utf-8"),
    ];

    #[test]
    fn an_event_in_headers_is_read() {
        let event = CloudEvent::read(&headers(&BINARY), br#"{"total": 5}"#).expect("an event");
        assert_eq!(event.event_type, "order-placed");
        assert_eq!(event.message, json!({"total": 5}));
        assert_eq!(event.key(), "event//shop/orders/17");
    }

    #[test]
    fn an_event_in_one_json_is_the_same() {
        let body = json!({
            "specversion": "1.0", "id": "17", "source": "/shop/orders", "type": "order-placed", "data": {"total": 5},
        });
        let sent = headers(&[("content-type", "application/cloudevents+json; charset=UTF-8")]);
        let event = CloudEvent::read(&sent, body.to_string().as_bytes()).expect("an event");
        assert_eq!(
            event,
            CloudEvent::read(&headers(&BINARY), br#"{"total": 5}"#).expect("an event")
        );
    }

    #[test]
    fn each_attribute_that_is_required_is_missed_by_name() {
        for missing in ["ce-id", "ce-source", "ce-type", "ce-specversion"] {
            let mut sent = headers(&BINARY);
            sent.remove(missing);
            let problem = CloudEvent::read(&sent, b"{}").expect_err(missing);
            assert_eq!(problem.status().as_u16(), 400);
            assert!(problem.detail().contains(missing), "{}", problem.detail());
        }
        let sent = headers(&[("content-type", "application/cloudevents+json")]);
        for missing in ["id", "source", "type", "specversion"] {
            let mut body = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t"});
            body.as_object_mut().expect("an object").remove(missing);
            let problem = CloudEvent::read(&sent, body.to_string().as_bytes()).expect_err(missing);
            assert!(
                problem.detail().contains(&format!("`{missing}`")),
                "{}",
                problem.detail()
            );
        }
    }

    #[test]
    fn what_is_wrong_is_refused_in_a_sentence() {
        let structured = |body: &str| {
            let sent = headers(&[("content-type", "application/cloudevents+json")]);
            CloudEvent::read(&sent, body.as_bytes()).expect_err(body)
        };
        for body in [
            "",
            "[]",
            r#"{"specversion":"0.3","id":"1","source":"s","type":"t"}"#,
            r#"{"specversion":"1.0","id":1,"source":"s","type":"t"}"#,
            r#"{"specversion":"1.0","id":"","source":"s","type":"t"}"#,
            r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":1,"data_base64":"MQ=="}"#,
            r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"?"}"#,
            r#"{"specversion":"1.0","id":"1","source":"s","type":"t","time":"yesterday"}"#,
        ] {
            let problem = structured(body);
            assert_eq!(problem.status().as_u16(), 400, "{body}");
            assert!(problem.detail().ends_with('.'), "{}", problem.detail());
        }
        let problem = CloudEvent::read(&headers(&BINARY), b"{").expect_err("no JSON");
        assert!(problem.detail().contains("not JSON"), "{}", problem.detail());
    }

    #[test]
    fn a_batch_and_other_formats_are_refused_by_name() {
        for (content_type, name) in [
            ("application/cloudevents-batch+json", "batch"),
            ("application/cloudevents+avro", "avro"),
        ] {
            let problem = CloudEvent::read(&headers(&[("content-type", content_type)]), b"[]").expect_err(name);
            assert_eq!(problem.status().as_u16(), 415);
            assert!(problem.detail().contains(name), "{}", problem.detail());
        }
    }

    #[test]
    fn data_that_is_no_json_becomes_text_or_base64() {
        let read = |content_type: &str, body: &[u8]| {
            let mut sent = headers(&BINARY);
            sent.insert("content-type", HeaderValue::from_str(content_type).expect("a value"));
            CloudEvent::read(&sent, body).expect("an event").message
        };
        assert_eq!(read("text/plain", "olá".as_bytes()), json!("olá"));
        assert_eq!(read("image/png", b"\x89P"), json!({"data_base64": "iVA="}));
        assert_eq!(read("application/json", b""), json!({}));
        let sent = headers(&[("content-type", "application/cloudevents+json")]);
        let body = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data_base64": "eyJhIjoxfQ=="});
        let event = CloudEvent::read(&sent, body.to_string().as_bytes()).expect("an event");
        assert_eq!(event.message, json!({"a": 1}));
    }

    #[test]
    fn data_whose_type_is_not_said_is_the_same_in_both_modes() {
        for (bytes, message) in [
            (&b"hi"[..], json!("hi")),
            (b"{\"a\":1}", json!({"a": 1})),
            (b"\xef\xbb\xbf{\"a\":1}", json!({"a": 1})),
            (b"\x89P", json!({"data_base64": "iVA="})),
            (b"", json!({})),
        ] {
            let mut sent = headers(&BINARY);
            sent.remove("content-type");
            let binary = CloudEvent::read(&sent, bytes).expect("an event");
            assert_eq!(binary.message, message);
            let body = json!({
                "specversion": "1.0", "id": "17", "source": "/shop/orders", "type": "order-placed",
                "data_base64": STANDARD.encode(bytes),
            });
            let sent = headers(&[("content-type", "application/cloudevents+json")]);
            let structured = CloudEvent::read(&sent, body.to_string().as_bytes()).expect("an event");
            assert_eq!(structured, binary);
        }
    }

    #[test]
    fn data_is_read_by_its_charset() {
        let read = |content_type: &str, body: &[u8]| {
            let mut sent = headers(&BINARY);
            sent.insert("content-type", HeaderValue::from_str(content_type).expect("a value"));
            CloudEvent::read(&sent, body).map(|event| event.message)
        };
        for (content_type, body, message) in [
            ("text/plain; charset=ISO-8859-1", &b"J\xfcrgen"[..], json!("Jürgen")),
            (
                "application/json; charset=ISO-8859-1",
                b"\"J\xfcrgen\"",
                json!("Jürgen"),
            ),
            ("text/plain", b"J\xfcrgen", json!({"data_base64": "SvxyZ2Vu"})),
            ("text/plain; charset=utf-7", b"x", json!({"data_base64": "eA=="})),
        ] {
            assert_eq!(read(content_type, body).expect("an event"), message, "{content_type}");
        }
        for (content_type, status) in [("application/json", 400), ("application/json; charset=utf-7", 415)] {
            let problem = read(content_type, b"\"J\xfcrgen\"").expect_err(content_type);
            assert_eq!(problem.status().as_u16(), status, "{}", problem.detail());
        }
    }

    #[test]
    fn percent_encoding_is_read_and_keys_stay_apart() {
        let mut sent = headers(&BINARY);
        sent.insert("ce-id", HeaderValue::from_static("S%C3%A3o%2F1"));
        let event = CloudEvent::read(&sent, b"{}").expect("an event");
        assert_eq!(event.id, "São/1");
        assert_eq!(event.key(), "event//shop/orders/São%2F1");
        sent.insert("ce-id", HeaderValue::from_static("%C3"));
        assert!(CloudEvent::read(&sent, b"{}").is_err());
        let event = |source: &str, id: &str| CloudEvent {
            source: source.to_owned(),
            id: id.to_owned(),
            ..event.clone()
        };
        assert_ne!(event("a", "b/c").key(), event("a/b", "c").key());
        assert_ne!(event("a", "%2F").key(), event("a", "/").key());
    }
}
