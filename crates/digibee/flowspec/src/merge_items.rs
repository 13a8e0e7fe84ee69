//! The elements of a mail merge: a list, an expression that gives one, or the rows of a file.

use std::borrow::Cow;

use pipepost_double_braces::{Context, JsonTemplate, Template, ValueTemplate};
use serde_json::Value;

use crate::rows_file::RowsFile;

/// The parameter that turns one step into one call for each element of its list.
#[derive(Debug, Clone)]
pub struct MergeItems {
    /// The parameter's name.
    pub parameter: String,
    /// The source of the list.
    pub source: ItemsSource,
    /// How elements are grouped; `None` for a call for each element.
    pub group_by: Option<GroupBy>,
}

/// The expression by whose values the elements of a mail merge are grouped.
#[derive(Debug, Clone)]
pub struct GroupBy {
    /// The parameter's name.
    pub parameter: String,
    /// The expression; the element is its `item`.
    pub expression: Template,
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
    /// A file of rows, whose description is the document's own. A list that comes with a message cannot name one.
    File(ValueTemplate),
}

/// The elements of one mail merge.
#[derive(Debug)]
pub enum Items<'a> {
    /// A list. It is borrowed when it is a literal or a single path.
    List(Cow<'a, [Value]>),
    /// The rows of a file.
    File(RowsFile),
}

impl MergeItems {
    /// Returns the list, or the file that has the rows.
    ///
    /// # Errors
    /// Returns a clause without a full stop when an expression fails, or when the value is neither an array nor a file.
    pub fn evaluate<'a>(&'a self, context: &'a dyn Context) -> Result<Items<'a>, String> {
        let value = match &self.source {
            ItemsSource::Text(template) => template.value(context).map_err(|error| error.to_string())?,
            ItemsSource::Json(template) => Cow::Owned(template.evaluate(context).map_err(|error| error.to_string())?),
            ItemsSource::Native(template) => template.value(context).map_err(|error| error.to_string())?,
            ItemsSource::File(template) => {
                let value = template.value(context).map_err(|error| error.to_string())?;
                let file = RowsFile::read(&value).unwrap_or_else(|| Err("it names no file".to_owned()));
                return file.map(Items::File);
            }
        };
        let value = match value {
            Cow::Borrowed(Value::Array(elements)) => return Ok(Items::List(Cow::Borrowed(elements))),
            Cow::Owned(Value::Array(elements)) => return Ok(Items::List(Cow::Owned(elements))),
            other => other,
        };
        let what = match &*value {
            Value::String(text) => match serde_json::from_str(text) {
                Ok(Value::Array(elements)) => return Ok(Items::List(Cow::Owned(elements))),
                _ => "a text that is not a JSON array",
            },
            Value::Null => "null",
            Value::Object(_) => "an object",
            _ => "a single value",
        };
        Err(format!("it must give an array, and gives {what}"))
    }
}
