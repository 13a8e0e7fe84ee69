//! Values while a template runs. Values of the model are borrowed, never copied.

use std::borrow::Cow;
use std::rc::Rc;

use jiff::Zoned;
use serde_json::Value as Json;

use crate::number::Number;

/// Deepest nesting of sequences and hashes that a template may build.
pub(crate) const MAX_VALUE_DEPTH: usize = 50;

#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Text(Cow<'a, str>),
    Number(Number),
    Bool(bool),
    Date(Rc<DateValue>),
    /// An array or object of the model.
    Json(&'a Json),
    /// An element of the model may be null.
    Sequence(Rc<Built<Vec<Option<Self>>>>),
    Hash(Rc<Built<Entries<'a>>>),
    Range(Range),
    /// What a default without a right side gives: an empty string, sequence and hash in one.
    Nothing,
    /// The template's whole model, with what is laid over it.
    Model,
    /// The model and the template's own variables.
    Variables,
}

/// The entries of a hash in their order; keys are unique.
pub(crate) type Entries<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

/// Something that the template has built, with its nesting.
#[derive(Debug)]
pub(crate) struct Built<T> {
    pub(crate) content: T,
    pub(crate) depth: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct DateValue {
    pub(crate) when: Zoned,
    pub(crate) kind: DateKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DateKind {
    Date,
    Time,
    DateTime,
}

/// `start`, `start + step`, ...; `length` is `None` without an end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) length: Option<u64>,
    /// Ends where the thing ends that it slices.
    pub(crate) adaptive: bool,
    /// `a..b`, which slices a string from `a` to `a - 1` as nothing.
    pub(crate) inclusive: bool,
}

impl<'a> Value<'a> {
    /// `None` for null, which is the same as missing.
    pub(crate) fn from_json(json: &'a Json) -> Option<Self> {
        Some(match json {
            Json::Null => return None,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => Self::Number(Number::from_json(number)),
            Json::String(text) => Self::Text(Cow::Borrowed(text)),
            Json::Array(_) | Json::Object(_) => Self::Json(json),
        })
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }

    pub(crate) fn integer(value: usize) -> Self {
        Self::Number(Number::Integer(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    pub(crate) fn sequence(items: Vec<Option<Self>>) -> Self {
        let depth = items.iter().flatten().map(Self::depth).max().unwrap_or(0) + 1;
        Self::Sequence(Rc::new(Built { content: items, depth }))
    }

    pub(crate) fn hash(entries: Entries<'a>) -> Self {
        let depth = entries.iter().map(|(_, value)| value.depth()).max().unwrap_or(0) + 1;
        Self::Hash(Rc::new(Built {
            content: entries,
            depth,
        }))
    }

    /// Levels of sequences and hashes that the template built around others.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Sequence(sequence) => sequence.depth,
            Self::Hash(hash) => hash.depth,
            _ => 0,
        }
    }

    pub(crate) fn is_sequence(&self) -> bool {
        matches!(
            self,
            Self::Json(Json::Array(_)) | Self::Sequence(_) | Self::Range(_) | Self::Nothing
        )
    }

    pub(crate) fn is_hash(&self) -> bool {
        matches!(
            self,
            Self::Json(Json::Object(_)) | Self::Hash(_) | Self::Model | Self::Variables | Self::Nothing
        )
    }

    /// The count of a sequence; `None` for other values and endless ranges.
    pub(crate) fn len(&self) -> Option<usize> {
        match self {
            Self::Json(Json::Array(items)) => Some(items.len()),
            Self::Sequence(items) => Some(items.content.len()),
            Self::Nothing => Some(0),
            Self::Range(range) => range.length.map(|length| usize::try_from(length).unwrap_or(usize::MAX)),
            _ => None,
        }
    }

    /// An element of a sequence: the outer `None` beyond its end, the inner one for null.
    pub(crate) fn element(&self, index: usize) -> Option<Option<Self>> {
        match self {
            Self::Json(Json::Array(items)) => items.get(index).map(Value::from_json),
            Self::Sequence(items) => items.content.get(index).cloned(),
            Self::Range(range) => range
                .element(index)
                .map(|number| Some(Value::Number(Number::Integer(number)))),
            _ => None,
        }
    }

    /// The string, for those that are one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Nothing => Some(""),
            _ => None,
        }
    }

    /// What kind of thing it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Nothing => "a string",
            Self::Number(_) => "a number",
            Self::Bool(_) => "a boolean",
            Self::Date(_) => "a date",
            _ if self.is_sequence() => "a sequence",
            _ => "a hash",
        }
    }
}

impl Range {
    pub(crate) fn element(&self, index: usize) -> Option<i64> {
        let index = i64::try_from(index).ok()?;
        if self.length.is_some_and(|length| index.unsigned_abs() >= length) {
            return None;
        }
        self.start.checked_add(index.checked_mul(self.step)?)
    }
}
