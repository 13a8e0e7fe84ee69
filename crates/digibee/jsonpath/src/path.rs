use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use crate::evaluate::{Budget, Start};
use crate::filter::Condition;
use crate::functions::Function;
use crate::{FindError, ParseError, parse};

/// A compiled path.
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
    /// Returns a [`ParseError`] with the column.
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

    /// Returns what the path selects in a document.
    ///
    /// # Errors
    /// Fails if a function at the end of the path cannot work on the selected values, or if the search takes too much
    /// work.
    pub fn find<'a>(&self, document: &'a Value) -> Result<Found<'a>, FindError> {
        let mut budget = Budget::new();
        let start = Start {
            root: document,
            current: document,
        };
        let found = self.select(start, &mut budget)?;
        if let Found::Many(values) = &found {
            check_size(values.iter().map(|value| &**value))?;
        }
        Ok(found)
    }

    /// Returns whether the path selects at most one value: it has neither `..`, `*`, a filter, a slice nor several
    /// indices, or it begins with `..` and ends in a function. After any other path that selects several values, a
    /// function works on each of them.
    pub fn is_definite(&self) -> bool {
        let begins_with_scan = self.segments.first().is_some_and(|segment| segment.scan);
        self.selects_one() || (!self.functions.is_empty() && begins_with_scan)
    }

    /// The same without its functions.
    pub(crate) fn selects_one(&self) -> bool {
        let last = self.segments.len().saturating_sub(1);
        self.segments
            .iter()
            .enumerate()
            .all(|(position, segment)| segment.is_definite(position == last))
    }

    /// Returns the text that was parsed.
    pub fn as_str(&self) -> &str {
        &self.source
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// Values, at any depth, that a selection may hold. The same value may be selected many times over (`$..*..*`), and each
/// time it is copied.
const RESULT_VALUES_MAX: usize = 2_000_000;
/// Bytes of text in a selection.
const RESULT_TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What copying takes, in steps. Counted before anything is copied.
pub(crate) fn check_size<'v>(selected: impl IntoIterator<Item = &'v Value>) -> Result<usize, FindError> {
    let (mut values, mut text) = (0_usize, 0_usize);
    let mut waiting: Vec<&Value> = Vec::new();
    for value in selected {
        waiting.push(value);
        while let Some(value) = waiting.pop() {
            values += 1;
            match value {
                Value::String(part) => text += part.len(),
                Value::Array(elements) => waiting.extend(elements),
                Value::Object(members) => {
                    text += members.keys().map(String::len).sum::<usize>();
                    waiting.extend(members.values());
                }
                _ => {}
            }
            if values > RESULT_VALUES_MAX || text > RESULT_TEXT_BYTES_MAX {
                return Err(FindError::TOO_MUCH_WORK);
            }
        }
    }
    Ok(values + text / 16)
}

/// The values that a path selects.
#[derive(Clone, Debug, PartialEq)]
pub enum Found<'a> {
    /// The value of a definite path, if it exists.
    One(Option<Cow<'a, Value>>),
    /// The values of an indefinite path, in document order.
    Many(Vec<Cow<'a, Value>>),
}

impl Found<'_> {
    /// Returns whether nothing was selected: no value, null, or an empty list, array or object.
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

    /// Returns the value of a definite path (null if it does not exist), or the list of an indefinite one.
    pub fn into_value(self) -> Value {
        match self {
            Found::One(value) => value.map_or(Value::Null, Cow::into_owned),
            Found::Many(values) => Value::Array(values.into_iter().map(Cow::into_owned).collect()),
        }
    }
}
