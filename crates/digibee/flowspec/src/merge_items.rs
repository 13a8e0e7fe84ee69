//! The elements of a mail merge: a list, or an expression that gives one.

use std::borrow::Cow;

use pipepost_double_braces::{Context, JsonTemplate, Template, ValueTemplate};
use serde_json::Value;

/// The parameter that turns one step into one call for each element of its list.
#[derive(Debug, Clone)]
pub struct MergeItems {
    /// The parameter's name.
    pub parameter: String,
    /// The source of the list.
    pub source: ItemsSource,
}

/// The source of the list of a mail merge.
#[derive(Debug, Clone)]
pub enum ItemsSource {
    /// A text that is one expression, or literal text.
    Text(Template),
    /// JSON text with expressions in it.
    Json(JsonTemplate),
    /// A value whose texts are templates.
    Native(ValueTemplate),
}

impl MergeItems {
    /// Returns the list. It is borrowed when it is a literal or a single path.
    ///
    /// # Errors
    /// Returns a clause without a full stop when an expression fails, or when the value is not an array.
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
