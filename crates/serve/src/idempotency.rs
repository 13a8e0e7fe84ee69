//! The header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a request that is repeated with the same key
//! starts no second run.
//!
//! The draft's value is a quoted string. Nearly every client sends it bare, so both are taken, and both name the same key.

use axum::http::{HeaderMap, Method};
use sha2::{Digest as _, Sha256};

use crate::problem::{Problem, ProblemKind};

/// The header's name.
pub const HEADER: &str = "idempotency-key";

/// How many characters a key has at most.
pub const MAX_LENGTH: usize = 255;

/// A key: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Reads the request's key; returns `None` when there is none.
    ///
    /// # Errors
    /// A problem of the kind `bad-request`, if there are two or the key is not one.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(refused("The request has two headers `Idempotency-Key`; send one."));
        }
        let text = value.to_str().map_err(|_| wrong_characters())?.trim();
        let key = match text.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => text.to_owned(),
        };
        Self::new(key).map(Some)
    }

    /// Makes a key of a text that is not a header.
    ///
    /// # Errors
    /// A problem of the kind `bad-request`, if it is empty, too long, or has other characters.
    pub fn new(key: impl Into<String>) -> Result<Self, Problem> {
        let key = key.into();
        if key.is_empty() {
            return Err(refused(
                "The idempotency key is empty; send 1 to 255 visible ASCII characters.",
            ));
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong_characters());
        }
        if key.len() > MAX_LENGTH {
            let detail = format!(
                "The idempotency key has {} characters; send {MAX_LENGTH} at most.",
                key.len()
            );
            return Err(refused(detail));
        }
        Ok(Self(key))
    }

    /// Returns the key without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn refused(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::BadRequest, detail)
}

fn wrong_characters() -> Problem {
    refused("The idempotency key holds a space, or a character that is not visible ASCII; send 1 to 255 of those.")
}

/// The content of a string of RFC 8941 (section 3.3.3) after its first quotation mark.
fn unquote(text: &str) -> Result<String, Problem> {
    let mut key = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next() {
            Some('"') => break,
            Some('\\') => match characters.next() {
                Some(c @ ('"' | '\\')) => key.push(c),
                _ => {
                    return Err(refused(
                        "The idempotency key has a backslash before another character than `\"` or `\\`.",
                    ));
                }
            },
            Some(c) => key.push(c),
            None => {
                return Err(refused(
                    "The idempotency key begins with a quotation mark and does not end with one.",
                ));
            }
        }
    }
    if characters.next().is_some() {
        return Err(refused(
            "Something follows the quotation mark that ends the idempotency key; send only the key.",
        ));
    }
    Ok(key)
}

/// The digest by which a repeated request is compared with the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentDigest([u8; 32]);

impl ContentDigest {
    /// Digests what makes up a request: method, path with query, content type, and body. Each part is counted, so that
    /// two requests with the same characters in other places have other digests.
    pub fn of_request(method: &Method, path_and_query: &str, content_type: &str, body: &[u8]) -> Self {
        Self::of_parts(&[
            method.as_str().as_bytes(),
            path_and_query.as_bytes(),
            content_type.as_bytes(),
            body,
        ])
    }

    /// Digests these parts, in this order.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }

    /// Returns the digest's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn key(values: &[&str]) -> Result<Option<String>, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header");
            headers.append(HEADER, value);
        }
        IdempotencyKey::of(&headers)
            .map(|key| key.map(|key| key.as_str().to_owned()))
            .map_err(|problem| {
                assert_eq!(problem.status().as_u16(), 400);
                problem.detail().to_owned()
            })
    }

    #[test]
    fn a_key_is_quoted_or_bare_and_the_same() {
        assert_eq!(key(&[]), Ok(None));
        assert_eq!(key(&["order-17"]), Ok(Some("order-17".to_owned())));
        assert_eq!(key(&["\"order-17\""]), Ok(Some("order-17".to_owned())));
        assert_eq!(key(&[r#""a\"b\\c""#]), Ok(Some(r#"a"b\c"#.to_owned())));
        assert_eq!(key(&[&"k".repeat(255)]), Ok(Some("k".repeat(255))));
    }

    #[test]
    fn what_is_no_key_is_refused_in_a_sentence() {
        for wrong in [
            "",
            "\"\"",
            "two words",
            "\"two words\"",
            "é",
            "\"open",
            "\"a\"b",
            r#""a\b""#,
        ] {
            let told = key(&[wrong]).expect_err(wrong);
            assert!(told.ends_with('.'), "{wrong}: {told}");
        }
        assert!(key(&[&"k".repeat(256)]).expect_err("too long").contains("256"));
        assert!(key(&["a", "a"]).expect_err("two").contains("two"));
    }

    #[test]
    fn the_digest_sees_every_part_and_where_it_ends() {
        let of =
            |path: &str, kind: &str, body: &str| ContentDigest::of_request(&Method::POST, path, kind, body.as_bytes());
        assert_eq!(of("/a", "t", "b"), of("/a", "t", "b"));
        assert_ne!(of("/a", "t", "b"), of("/a", "t", "c"));
        assert_ne!(of("/at", "", "b"), of("/a", "t", "b"));
        assert_ne!(of("/a", "tb", ""), of("/a", "t", "b"));
        assert_ne!(
            ContentDigest::of_request(&Method::PUT, "/a", "t", b"b"),
            of("/a", "t", "b")
        );
    }
}
