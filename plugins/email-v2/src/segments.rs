//! Structured text with values in it: which characters are the document's own, and which came from outside.
//!
//! The host gives the parameters that the schema marks with `x-pipepost-segments` in this form. So their grammar is
//! read from the document's own text, and a value is never more than the place it was put into.

use std::borrow::Cow;

use serde_json::{Value, json};

/// The key of the object that the host writes: `{"segments": [{"text": "Sales <"}, {"value": ...}, {"text": ">"}]}`.
const KEY: &str = "segments";

/// One part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The document's own text.
    Text(String),
    /// The value of an expression.
    Value(Value),
}

/// A text and the values that were put into it, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segments(Vec<Segment>);

impl Segments {
    /// Reads the host's form. If the value is something else, it is returned as the error.
    ///
    /// # Errors
    /// The value itself, unchanged.
    pub fn from_value(value: Value) -> Result<Self, Value> {
        let Value::Object(mut object) = value else {
            return Err(value);
        };
        let is_segments = object.len() == 1
            && matches!(object.get(KEY), Some(Value::Array(elements)) if elements.iter().all(is_segment));
        if !is_segments {
            return Err(Value::Object(object));
        }
        let Some(Value::Array(elements)) = object.remove(KEY) else {
            return Ok(Self::default());
        };
        Ok(Self(elements.into_iter().filter_map(segment).collect()))
    }

    /// Converts the text back to the host's form.
    pub fn into_value(self) -> Value {
        let segments = self.0.into_iter().map(|segment| match segment {
            Segment::Text(text) => json!({ "text": text }),
            Segment::Value(value) => json!({ "value": value }),
        });
        json!({ KEY: segments.collect::<Vec<_>>() })
    }

    /// Returns the segments.
    pub fn iter(&self) -> impl Iterator<Item = &Segment> {
        self.0.iter()
    }

    /// Returns the text, if it is one segment and a text: the document's own, or one value that is a text.
    pub(crate) fn only_text(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Segment::Text(text) | Segment::Value(Value::String(text))] => Some(text),
            _ => None,
        }
    }

    /// Returns the value, if the text is one value and nothing else.
    ///
    /// # Errors
    /// The segments themselves, when there are several or the only one is text.
    pub fn into_single_value(mut self) -> Result<Value, Self> {
        match (self.0.pop(), self.0.is_empty()) {
            (Some(Segment::Value(value)), true) => Ok(value),
            (last, _) => {
                self.0.extend(last);
                Err(self)
            }
        }
    }

    /// Converts a value that may be in the host's form to a plain value: a single value is itself, several parts are
    /// text. Any other value is returned unchanged.
    pub fn plain(value: Value) -> Value {
        match Self::from_value(value) {
            Ok(segments) => segments
                .into_single_value()
                .unwrap_or_else(|segments| Value::String(segments.joined())),
            Err(value) => value,
        }
    }

    /// Returns all segments as one text. No grammar may be read from this text.
    pub fn joined(&self) -> String {
        self.0
            .iter()
            .map(|segment| match segment {
                Segment::Text(text) => Cow::Borrowed(text.as_str()),
                Segment::Value(value) => as_text(value),
            })
            .collect()
    }
}

impl From<&str> for Segments {
    fn from(text: &str) -> Self {
        Self(vec![Segment::Text(text.to_owned())])
    }
}

impl FromIterator<Segment> for Segments {
    fn from_iter<T: IntoIterator<Item = Segment>>(segments: T) -> Self {
        Self(segments.into_iter().collect())
    }
}

/// A value as it stands within text: null is nothing, arrays and objects are JSON.
pub(crate) fn as_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

fn is_segment(value: &Value) -> bool {
    value.as_object().is_some_and(|object| {
        object.len() == 1 && (object.contains_key("value") || object.get("text").is_some_and(Value::is_string))
    })
}

fn segment(value: Value) -> Option<Segment> {
    let Value::Object(mut object) = value else { return None };
    match (object.remove("text"), object.remove("value")) {
        (Some(Value::String(text)), _) => Some(Segment::Text(text)),
        (_, Some(value)) => Some(Segment::Value(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_s_form_is_told_from_every_other_value() {
        let segments = json!({"segments": [{"text": "a "}, {"value": 5}, {"value": null}, {"value": {"b": 1}}]});
        let segments = Segments::from_value(segments).expect("the host's form");
        assert_eq!(segments.joined(), "a 5{\"b\":1}");
        for other in [
            json!("text"),
            json!({"name": "a", "address": "b@c.example"}),
            json!({"segments": "a"}),
            json!({"segments": [{"text": 5}]}),
            json!({"segments": [{"text": "a", "value": "b"}]}),
            json!({"segments": [], "more": 1}),
        ] {
            assert_eq!(Segments::from_value(other.clone()), Err(other));
        }
    }

    #[test]
    fn one_value_is_known_as_such() {
        let single = |value| Segments::from_value(value).expect("segments").into_single_value();
        assert_eq!(single(json!({"segments": [{"value": ["a"]}]})), Ok(json!(["a"])));
        assert!(single(json!({"segments": [{"text": "a"}]})).is_err());
        assert!(single(json!({"segments": [{"value": "a"}, {"text": ">"}]})).is_err());
    }
}
