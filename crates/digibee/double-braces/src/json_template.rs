use serde_json::Value;

use crate::{Context, EvaluationError, Expression, ParseError, Reference, parse};

/// A JSON text with expressions in it, compiled: the parameter of a json-generator step.
///
/// A `{{ }}` where a value stands becomes that value, with its type. Inside quotes it becomes text, in keys as well.
/// The text around the expressions must be JSON on its own; values are inserted into the tree and never parsed, so no
/// value can change its shape.
#[derive(Clone, Debug)]
pub struct JsonTemplate {
    root: Expression,
}

impl JsonTemplate {
    /// Parses a JSON text. Quotes of an expression inside a JSON text may be written plainly or escaped:
    /// `"{{ UPPERCASE("a") }}"`, `"{{ UPPERCASE(\"a\") }}"`.
    ///
    /// # Errors
    ///
    /// A [`ParseError`] with the place.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Ok(Self {
            root: parse::json_template(text)?,
        })
    }

    /// The JSON value. Of two equal keys the last counts.
    ///
    /// # Errors
    ///
    /// An [`EvaluationError`] that names the function which could not answer.
    pub fn evaluate(&self, context: &dyn Context) -> Result<Value, EvaluationError> {
        self.root.evaluate(context)
    }

    /// The paths that its expressions use, from left to right.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.root.references()
    }
}
