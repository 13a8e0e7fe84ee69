//! From an HTTP request to the message of a `rest` or `http` trigger, and from a pipeline's last message to the answer.
//!
//! The message is the platform's: `body`, `form`, `headers`, `queryAndPath`, `method`, `contentType`, `path`. For `rest` a
//! body of JSON arrives parsed, unless the document asks for its text. What signs the caller in is taken out, because
//! messages are kept and shown.

mod answer;
mod body;
mod pairs;
mod route;

use axum::http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};
use axum::http::{HeaderMap, Method};
use serde_json::{Map, Value};

pub(crate) use self::answer::status_among;
pub use self::answer::{answer, too_large};
#[cfg(test)]
pub(crate) use self::body::read_body_within;
pub use self::body::{BODY_TIME, BodyError, read_body};
pub(crate) use self::pairs::query_pairs;
use self::pairs::{PairsOf, pairs};
pub use self::route::{PlatformPath, Route, RouteError};
use crate::charset::{Charset, NotText, UnknownCharset};
use crate::encoded::{content_type, header_text, media_type};
use crate::problem::{Problem, ProblemKind};
use crate::tokens::has_the_form_of_a_token;

/// How many bytes a body has at most where the document says nothing: 5 MB, the platform's limit.
pub const DEFAULT_BODY_LIMIT: usize = 5 * 1024 * 1024;

/// Which of the two HTTP triggers it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpTrigger {
    /// `rest`: JSON in, JSON out. With `text_body` a JSON body arrives as text.
    Rest {
        /// The document says `"body": "text"`.
        text_body: bool,
    },
    /// `http`: any content type in and out; the body is text.
    Http,
}

/// What a request is made of.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, without the query.
    pub path: &'a str,
    /// The query, without its question mark.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body, whole.
    pub body: &'a [u8],
    /// What the route's `:name` parameters hold.
    pub route_parameters: &'a [(String, String)],
}

impl HttpTrigger {
    /// Makes the pipeline's message of a request.
    ///
    /// # Errors
    /// A problem of the kind `bad-request` or `unsupported-media-type`, if the body is not what its content type says, or the
    /// query is not UTF-8.
    pub fn message(self, received: Received<'_>) -> Result<Value, Problem> {
        let content_type = content_type(received.headers);
        let media_type = media_type(&content_type);
        let charset = Charset::of(&content_type).map_err(|UnknownCharset(name)| not_read(&format!("`{name}`")))?;
        let form = match media_type.as_str() {
            // The charset is that of the octets which `%xx` stands for, and those are written in ASCII.
            "application/x-www-form-urlencoded" if charset.is_wide() => return Err(not_read(charset.name())),
            "application/x-www-form-urlencoded" => pairs(received.body, &charset, PairsOf::Form)?,
            _ => Vec::new(),
        };
        let text = charset.decode(received.body).map_err(|error| no_text(&error))?;
        let mut query_and_path = together(query_pairs(received.query)?);
        for (name, value) in received.route_parameters {
            query_and_path.insert(name.clone(), value.clone().into());
        }
        let mut message = Map::new();
        message.insert("body".to_owned(), self.body(text, &media_type)?);
        message.insert("form".to_owned(), Value::Object(together(form)));
        message.insert("headers".to_owned(), Value::Object(headers(received.headers)));
        message.insert("queryAndPath".to_owned(), Value::Object(query_and_path));
        message.insert("method".to_owned(), received.method.as_str().into());
        message.insert("contentType".to_owned(), content_type.into());
        message.insert("path".to_owned(), received.path.into());
        Ok(Value::Object(message))
    }

    fn body(self, text: String, media_type: &str) -> Result<Value, Problem> {
        if self != (Self::Rest { text_body: false }) || text.is_empty() {
            return Ok(text.into());
        }
        if media_type == "application/json" || media_type.ends_with("+json") {
            // Some clients begin with a byte order mark, which may be ignored (RFC 8259, section 8.1).
            return serde_json::from_str(text.strip_prefix('\u{FEFF}').unwrap_or(&text))
                .map_err(|error| Problem::new(ProblemKind::BadRequest, format!("The body is not JSON: {error}.")));
        }
        // A caller who names no content type may still send JSON to what takes JSON.
        if media_type.is_empty()
            && let Ok(parsed) = serde_json::from_str(&text)
        {
            return Ok(parsed);
        }
        Ok(text.into())
    }
}

fn not_read(charset: &str) -> Problem {
    let detail = format!("The body's charset {charset} is not read here; send UTF-8.");
    Problem::new(ProblemKind::UnsupportedMediaType, detail)
}

fn no_text(error: &NotText) -> Problem {
    let detail = format!("The body {error}; send a file, and all else that is no text, as base64 within JSON.");
    Problem::new(ProblemKind::BadRequest, detail)
}

/// The pairs by their names. What is there twice becomes a list.
fn together(pairs: Vec<(String, String)>) -> Map<String, Value> {
    let mut found = Map::new();
    for (name, value) in pairs {
        add(&mut found, name, value.into());
    }
    found
}

fn add(found: &mut Map<String, Value>, name: String, value: Value) {
    match found.get_mut(&name) {
        None => {
            found.insert(name, value);
        }
        Some(Value::Array(values)) => values.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

/// The headers by their names in lower case, without what signs the caller in. What is there twice is joined as RFC 9110
/// (section 5.3) does.
fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let mut found = Map::new();
    for name in headers.keys() {
        let values: Vec<String> = headers.get_all(name).iter().map(header_text).collect();
        let joined = values.join(", ");
        let is_a_sign_in = name == PROXY_AUTHORIZATION
            || name == "apikey"
            || name == AUTHORIZATION && has_the_form_of_a_token(&joined);
        if !is_a_sign_in {
            found.insert(name.as_str().to_owned(), joined.into());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    const REST: HttpTrigger = HttpTrigger::Rest { text_body: false };

    fn request(trigger: HttpTrigger, lines: &[(&str, &str)], query: &str, body: &[u8]) -> Result<Value, Problem> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        of_headers(trigger, &headers, query, body)
    }

    fn of_headers(trigger: HttpTrigger, headers: &HeaderMap, query: &str, body: &[u8]) -> Result<Value, Problem> {
        trigger.message(Received {
            method: &Method::POST,
            path: "/pipeline/realm/v1/order/7",
            query,
            headers,
            body,
            route_parameters: &[("id".to_owned(), "7".to_owned())],
        })
    }

    #[test]
    fn the_message_is_the_platforms() {
        let lines = [("content-type", "application/json"), ("x-shop", "a"), ("x-shop", "b")];
        let message = request(REST, &lines, "page=2&tag=x&tag=y", br#"{"product": "tea"}"#).expect("a message");
        assert_eq!(
            message,
            json!({
                "body": {"product": "tea"},
                "form": {},
                "headers": {"content-type": "application/json", "x-shop": "a, b"},
                "queryAndPath": {"page": "2", "tag": ["x", "y"], "id": "7"},
                "method": "POST",
                "contentType": "application/json",
                "path": "/pipeline/realm/v1/order/7",
            })
        );
    }

    #[test]
    fn only_rest_parses_and_only_json() {
        let body = br#"{"a": 1}"#;
        let parsed = json!({"a": 1});
        let text = json!("{\"a\": 1}");
        for (trigger, content_type, expected) in [
            (REST, "application/json; charset=utf-8", &parsed),
            (REST, "application/problem+json", &parsed),
            (REST, "", &parsed),
            (REST, "text/plain", &text),
            (HttpTrigger::Rest { text_body: true }, "application/json", &text),
            (HttpTrigger::Http, "application/json", &text),
        ] {
            let message = request(trigger, &[("content-type", content_type)], "", body).expect("a message");
            assert_eq!(&message["body"], expected, "{trigger:?} {content_type}");
        }
        let message = request(REST, &[("content-type", "application/json")], "", b"").expect("a message");
        assert_eq!(message["body"], "");
    }

    #[test]
    fn a_form_is_read_and_its_text_stays() {
        let lines = [("content-type", "application/x-www-form-urlencoded")];
        let message = request(REST, &lines, "", b"name=Jos%C3%A9+Silva&x=").expect("a message");
        assert_eq!(message["form"], json!({"name": "José Silva", "x": ""}));
        assert_eq!(message["body"], "name=Jos%C3%A9+Silva&x=");
    }

    #[test]
    fn a_form_is_read_by_its_charset() {
        let form = |charset: &str, body: &[u8]| {
            let content_type = format!("application/x-www-form-urlencoded{charset}");
            request(REST, &[("content-type", &content_type)], "", body)
        };
        for (charset, body, name) in [
            ("; charset=ISO-8859-1", &b"name=J%FCrgen"[..], "Jürgen"),
            ("; charset=ISO-8859-1", b"name=J\xfcrgen", "Jürgen"),
            ("; charset=windows-1252", b"name=5+%80", "5 €"),
            ("; charset=Shift_JIS", b"name=%93%FA%96%7B", "日本"),
            ("; charset=\"utf-8\"", b"name=J%C3%BCrgen", "Jürgen"),
        ] {
            let message = form(charset, body).expect(charset);
            assert_eq!(message["form"], json!({ "name": name }), "{charset}");
        }
        for (charset, body, status, says) in [
            ("", &b"a=1&name=J%FCrgen"[..], 400, "field `name` is not UTF-8: byte 1"),
            ("", b"a=1&name=J\xfcrgen", 400, "field `name` is not UTF-8: byte 1"),
            (
                "; charset=us-ascii",
                b"name=%C3%BC",
                400,
                "field `name` is not `us-ascii`",
            ),
            (
                "; charset=Shift_JIS",
                b"name=%93",
                400,
                "field `name` is not `shift_jis`",
            ),
            ("; charset=utf-7", b"name=x", 415, "`utf-7`"),
            ("; charset=utf-16", b"name=xy", 415, "`utf-16`"),
        ] {
            let problem = form(charset, body).expect_err(says);
            assert_eq!(problem.status().as_u16(), status, "{says}");
            assert!(problem.detail().contains(says), "{}", problem.detail());
        }
    }

    #[test]
    fn a_query_that_is_not_utf_8_is_refused_by_its_parameters_name() {
        let message = request(REST, &[], "n=J%C3%BCrgen", b"").expect("a message");
        assert_eq!(message["queryAndPath"]["n"], "Jürgen");
        let problem = request(REST, &[], "a=1&n=J%FCrgen", b"").expect_err("not UTF-8");
        assert_eq!(problem.status().as_u16(), 400);
        assert!(problem.detail().contains("parameter `n`"), "{}", problem.detail());
    }

    #[test]
    fn a_header_that_is_not_utf_8_has_letters_of_iso_8859_1() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", &b"text/plain; x=\xe9"[..]),
            ("x-name", b"J\xfcrgen"),
            ("x-name", "Jürgen".as_bytes()),
        ] {
            headers.append(name, HeaderValue::from_bytes(value).expect("a value"));
        }
        let message = of_headers(REST, &headers, "", b"{}").expect("a message");
        assert_eq!(message["headers"]["x-name"], "Jürgen, Jürgen");
        assert_eq!(message["contentType"], "text/plain; x=é");
        assert_eq!(message["body"], "{}", "it has a content type");
    }

    #[test]
    fn what_is_no_text_is_refused_with_what_to_do() {
        let part = b"--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"p.png\"\r\n\r\n\x89PNG\r\n--x--\r\n";
        for (content_type, body) in [
            ("image/png", &b"\x89PNG"[..]),
            ("multipart/form-data; boundary=x", part),
            ("application/json; charset=us-ascii", "\"é\"".as_bytes()),
        ] {
            let problem = request(HttpTrigger::Http, &[("content-type", content_type)], "", body).expect_err("no text");
            assert_eq!(problem.status().as_u16(), 400, "{content_type}");
            assert!(
                problem.detail().contains("as base64 within JSON"),
                "{}",
                problem.detail()
            );
        }
    }

    #[test]
    fn what_signs_in_is_no_part_of_the_message() {
        let token = format!("pp_{}", "a".repeat(43));
        let bearer = format!("Bearer {token}");
        let lines = [
            ("authorization", bearer.as_str()),
            ("apikey", token.as_str()),
            ("proxy-authorization", "Basic eA=="),
        ];
        let message = request(REST, &lines, "", b"").expect("a message");
        assert_eq!(message["headers"], json!({}));
        // A public pipeline may check its callers itself.
        let message = request(REST, &[("authorization", "Basic eA==")], "", b"").expect("a message");
        assert_eq!(message["headers"]["authorization"], "Basic eA==");
    }

    #[test]
    fn a_body_that_is_not_what_it_says_is_refused() {
        for (content_type, body, status) in [
            ("application/json", &b"{"[..], 400),
            ("application/json", b"\xff", 400),
            ("text/plain; charset=utf-16", b"x", 400),
            ("text/plain; charset=utf-7", b"x", 415),
        ] {
            let problem = request(REST, &[("content-type", content_type)], "", body).expect_err(content_type);
            assert_eq!(problem.status().as_u16(), status, "{content_type}");
            assert!(problem.detail().ends_with('.'));
        }
        let marked = request(REST, &[("content-type", "application/json")], "", b"\xef\xbb\xbf{}");
        assert_eq!(marked.expect("a message")["body"], json!({}));
        let deep = "[".repeat(100_000);
        assert!(request(REST, &[("content-type", "application/json")], "", deep.as_bytes()).is_err());
        let latin = [("content-type", "text/plain; charset=\"ISO-8859-1\"")];
        assert_eq!(request(REST, &latin, "", b"\xe9").expect("a message")["body"], "é");
        let wide = [("content-type", "application/json; charset=utf-16")];
        let message = request(REST, &wide, "", b"\xff\xfe[\0]\0").expect("a message");
        assert_eq!(message["body"], json!([]));
    }
}
