//! Structured texts with values in them. The text has a grammar (a list of addresses, of URLs) that the connector reads
//! and this crate does not, and a value must never be read as part of that grammar.
//!
//! So the connector receives such a text in segments: which parts are the document's own, and which came from outside.
//! Nothing has to be escaped, so nothing can be missed in escaping.

use pipepost_double_braces::{Context, Filled, ValueEvaluationError, ValueTemplate, to_text};
use serde_json::{Value, json};

/// A parameter whose schema has `x-pipepost-segments`, and in which the document has expressions.
///
/// A text becomes `{"segments": [{"text": "Sales <"}, {"value": "sales@example.com"}, {"text": ">"}]}`. An expression that
/// is the whole parameter keeps its value, which may be a list; one that is a whole text within an array or an object is a
/// segment by itself.
#[derive(Debug, Clone)]
pub struct SegmentedParameter {
    pub(crate) name: String,
    pub(crate) value: ValueTemplate,
}

impl SegmentedParameter {
    /// Returns the parameter's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the value in the form that the connector reads.
    ///
    /// # Errors
    /// Returns the error of the first expression that gives no value.
    pub fn evaluate(&self, context: &dyn Context) -> Result<Value, ValueEvaluationError> {
        self.value.evaluate_with(context, &|pieces, is_whole| {
            if let [Filled::Value(value)] = pieces.as_slice()
                && is_whole
            {
                return value.clone().into_owned();
            }
            let segments: Vec<Value> = pieces
                .into_iter()
                .map(|piece| match piece {
                    Filled::Text(text) => json!({ "text": text }),
                    // As numbers stand in every other text.
                    Filled::Value(value) if value.is_number() => json!({ "value": to_text(&value) }),
                    Filled::Value(value) => json!({ "value": value.into_owned() }),
                })
                .collect();
            json!({ "segments": segments })
        })
    }
}
