//! The elements of a mail merge: a list, or what gives one.

use std::borrow::Cow;

use pipepost_double_braces::{Context, JsonTemplate, Template, ValueTemplate};
use serde_json::Value;

/// The parameter that makes one call an element of its list.
#[derive(Debug, Clone)]
pub struct MergeItems {
    /// Its name.
    pub parameter: String,
    /// What gives the list.
    pub source: ItemsSource,
}

/// What gives the list of a mail merge.
#[derive(Debug, Clone)]
pub enum ItemsSource {
    /// A text that is one expression, or that stands for itself.
    Text(Template),
    /// JSON text with expressions in it.
    Json(JsonTemplate),
    /// A value whose texts are templates.
    Native(ValueTemplate),
}

impl MergeItems {
    /// The list, lent where it is a literal or one path.
    ///
    /// # Errors
    ///
    /// A clause without a full stop: an expression that gives an error, or something else than an array.
    pub fn evaluate<'a>(&'a self, context: &'a dyn Context) -> Result<Cow<'a, [Value]>, String> {
        let value = match &self.source {
            ItemsSource::Text(template) => template.value(context).map_err(|error| error.to_string())?,
            ItemsSource::Json(template) => Cow::Owned(template.evaluate(context).map_err(|error| error.to_string())?),
            ItemsSource::Native(template) => template.value(context).map_err(|error| error.to_string())?,
        };
        let value = match value {
            Cow::Borrowed(Value::Array(elements)) => return Ok(Cow::Borrowed(elements)),
            Cow::Owned(Value::Array(elements)) => return Ok(Cow::Owned(elements)),
            other => other,
        };
        let what = match &*value {
            Value::String(text) => match serde_json::from_str(text) {
                Ok(Value::Array(elements)) => return Ok(Cow::Owned(elements)),
                _ => "a text that is not a JSON array",
            },
            Value::Null => "null",
            Value::Object(_) => "an object",
            _ => "a single value",
        };
        Err(format!("it must give an array, and gives {what}"))
    }
}
