//! What every route of the API shares: how a body is read, and how a page is made.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::message::{query_pairs, read_body};
use crate::problem::{Problem, ProblemKind};

/// How many bytes a body of the API has at most.
pub(crate) const BODY_MAX: usize = 5 * 1024 * 1024;

/// How many entries a page has, if nobody says it, and at most.
pub(crate) const PAGE: usize = 50;
pub(crate) const PAGE_MAX: usize = 200;

/// The answer: JSON with 200, or the problem.
pub(crate) fn answer(result: Result<Value, Problem>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// The answer: nothing with 204, or the problem.
pub(crate) fn nothing(result: Result<(), Problem>) -> Response {
    match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// A segment of the path, decoded.
#[derive(Debug)]
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segment: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        segment.map(|Path(segment)| Self(segment)).map_err(|_| {
            let detail = format!(
                "A name in the path `{}` is not UTF-8 when it is decoded.",
                parts.uri.path()
            );
            Problem::new(ProblemKind::BadRequest, detail)
        })
    }
}

/// Reads a body of JSON. An empty body is an empty object, for requests that need say nothing.
pub(crate) async fn json_body<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let bytes = read_body(body, BODY_MAX).await?;
    let text = if bytes.is_empty() { &b"{}"[..] } else { &bytes[..] };
    object(text, "The body cannot be read")
}

/// Reads a JSON object; `wrong` says what it is not, if it cannot be read. Something else than an object is refused before: an
/// array would be taken for the members in their order.
pub(crate) fn object<T: DeserializeOwned>(text: &[u8], wrong: &str) -> Result<T, Problem> {
    let bad = |detail: String| Problem::new(ProblemKind::BadRequest, detail);
    let first = text.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    if first != Some(&b'{') {
        return Err(bad("The body has to be a JSON object.".to_owned()));
    }
    serde_json::from_slice(text).map_err(|error| bad(format!("{wrong}: {error}.")))
}

/// What a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// The conditions, by name.
    pub(crate) conditions: Map<String, Value>,
    /// The last entry of the page before.
    pub(crate) after: Option<String>,
    /// How many entries to return.
    pub(crate) limit: usize,
}

impl Page {
    /// Reads the query. Other names than `known`, `after` and `limit` are refused, because a misspelt condition would give
    /// a list that nobody asked for.
    pub(crate) fn of(query: &str, known: &[&str]) -> Result<Self, Problem> {
        let bad = |detail: String| Problem::new(ProblemKind::BadRequest, detail);
        let mut page = Self {
            conditions: Map::new(),
            after: None,
            limit: PAGE,
        };
        for (name, value) in query_pairs(query)? {
            match &*name {
                "after" if value.is_empty() => {}
                "after" => page.after = Some(value),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                    page.limit =
                        limit.ok_or_else(|| bad(format!("`limit` is `{value}`; it must be from 1 to {PAGE_MAX}.")))?;
                }
                name if known.contains(&name) => {
                    if !value.is_empty() {
                        page.conditions.insert(name.to_owned(), value.into());
                    }
                }
                other => return Err(bad(format!("The list does not know `{other}`."))),
            }
        }
        Ok(page)
    }

    /// Returns a condition.
    pub(crate) fn condition(&self, name: &str) -> Option<&str> {
        self.conditions.get(name).and_then(Value::as_str)
    }

    /// Cuts a page out of a whole list, in the order of `key`, and names it `name`. The entry at which the page before ended may
    /// be gone by now: a message in doubt that was settled, a pipeline that was removed.
    pub(crate) fn cut<T>(
        &self,
        name: &str,
        mut all: Vec<T>,
        key: impl Fn(&T) -> String,
        shown: impl Fn(T) -> Value,
    ) -> Value {
        all.sort_by_cached_key(&key);
        if let Some(after) = &self.after {
            all.drain(..all.partition_point(|entry| key(entry) <= *after));
        }
        self.begin(name, all, key, shown)
    }

    /// Makes the page of a list that begins with the page's first entry; what is more than a page says that there is a next
    /// one.
    pub(crate) fn begin<T>(
        &self,
        name: &str,
        mut rest: Vec<T>,
        key: impl Fn(&T) -> String,
        shown: impl Fn(T) -> Value,
    ) -> Value {
        let has_more = rest.len() > self.limit;
        rest.truncate(self.limit);
        let next = rest.last().filter(|_| has_more).map(&key);
        let entries: Vec<Value> = rest.into_iter().map(shown).collect();
        json!({ name: entries, "next": next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let all = || vec!["a", "b", "c"];
        let mut after = String::new();
        let mut seen = Vec::new();
        loop {
            let page = Page::of(&format!("limit=2&after={after}"), &[]).expect("a page");
            let cut = page.cut("letters", all(), |letter| (*letter).to_owned(), |letter| letter.into());
            seen.extend(cut["letters"].as_array().expect("letters").clone());
            match cut["next"].as_str() {
                Some(next) => after = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, all());
    }

    #[test]
    fn the_next_page_begins_behind_an_entry_that_is_gone() {
        let page = Page::of("limit=2&after=b", &[]).expect("a page");
        let left = vec!["d", "a", "c", "e"];
        let cut = page.cut("letters", left, |letter| (*letter).to_owned(), |letter| letter.into());
        assert_eq!(cut, json!({ "letters": ["c", "d"], "next": "d" }));
    }

    #[test]
    fn a_list_refuses_what_it_does_not_know() {
        for wrong in ["limit=0", "limit=201", "limit=x", "stat=done", "state=%FC"] {
            assert_eq!(Page::of(wrong, &["state"]).expect_err(wrong).status().as_u16(), 400);
        }
        let page = Page::of("state=done&limit=200&q=", &["state", "q"]).expect("a page");
        assert_eq!(
            (page.condition("state"), page.condition("q"), page.limit),
            (Some("done"), None, 200)
        );
    }
}
