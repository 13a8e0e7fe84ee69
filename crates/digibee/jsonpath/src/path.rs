use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use crate::evaluate::{Budget, Start};
use crate::filter::Condition;
use crate::functions::Function;
use crate::{FindError, ParseError, parse};

/// A path, compiled.
#[derive(Clone, Debug)]
pub struct JsonPath {
    pub(crate) segments: Vec<Segment>,
    /// Applied to what the segments select, one after the other.
    pub(crate) functions: Vec<Function>,
    source: String,
}

/// One step of a path.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Whether it applies to everything below as well (`..`).
    pub(crate) scan: bool,
    pub(crate) selector: Selector,
}

#[derive(Clone, Debug)]
pub(crate) enum Selector {
    Name(String),
    Names(Vec<String>),
    Wildcard,
    Indices(Vec<i64>),
    Slice(Option<i64>, Option<i64>),
    Filter(Condition),
}

impl JsonPath {
    /// Parses a path.
    ///
    /// # Errors
    ///
    /// A [`ParseError`] with the column.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::path(text)
    }

    pub(crate) fn new(segments: Vec<Segment>, functions: Vec<Function>, source: String) -> Self {
        Self {
            segments,
            functions,
            source,
        }
    }

    /// What the path selects in a document.
    ///
    /// # Errors
    ///
    /// When a function at its end cannot work on what was selected, or the search takes too much work.
    pub fn find<'a>(&self, document: &'a Value) -> Result<Found<'a>, FindError> {
        self.select(
            Start {
                root: document,
                current: document,
            },
            &mut Budget::new(),
        )
    }

    /// Whether the path selects one value at most: it has neither `..`, `*`, a filter, a slice nor several indices, or
    /// it ends in a function.
    pub fn is_definite(&self) -> bool {
        !self.functions.is_empty() || self.selects_one()
    }

    /// The same without its functions.
    pub(crate) fn selects_one(&self) -> bool {
        let last = self.segments.len().saturating_sub(1);
        self.segments
            .iter()
            .enumerate()
            .all(|(position, segment)| segment.is_definite(position == last))
    }

    /// The text that was parsed.
    pub fn as_str(&self) -> &str {
        &self.source
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// What a path selects.
#[derive(Clone, Debug, PartialEq)]
pub enum Found<'a> {
    /// Of a definite path: the value, if it is there.
    One(Option<Cow<'a, Value>>),
    /// Of an indefinite path: every value, in document order.
    Many(Vec<Cow<'a, Value>>),
}

impl Found<'_> {
    /// Whether nothing was selected: no value, null, or an empty list, array or object.
    pub fn is_empty(&self) -> bool {
        match self {
            Found::One(None) => true,
            Found::One(Some(value)) => match &**value {
                Value::Null => true,
                Value::Array(elements) => elements.is_empty(),
                Value::Object(members) => members.is_empty(),
                _ => false,
            },
            Found::Many(values) => values.is_empty(),
        }
    }

    /// The value of a definite path, null when it is not there; the list of an indefinite one.
    pub fn into_value(self) -> Value {
        match self {
            Found::One(value) => value.map_or(Value::Null, Cow::into_owned),
            Found::Many(values) => Value::Array(values.into_iter().map(Cow::into_owned).collect()),
        }
    }
}
