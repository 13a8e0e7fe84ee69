use serde_json::Value;

use crate::{Context, EvaluationError, Expression, ParseError, Reference, parse};

/// A compiled JSON text with expressions in it: the parameter of a json-generator step.
///
/// A `{{ }}` in the place of a value becomes that value, with its type. Inside quotes, including those of keys, it
/// becomes text. The text around the expressions must itself be valid JSON. Values are inserted into the tree and never
/// parsed, so no value can change its shape.
#[derive(Clone, Debug)]
pub struct JsonTemplate {
    root: Expression,
}

impl JsonTemplate {
    /// Parses a JSON text. Quotes of an expression inside a JSON text may be written without or with a backslash:
    /// `"{{ UPPERCASE("a") }}"`, `"{{ UPPERCASE(\"a\") }}"`.
    ///
    /// # Errors
    /// Returns a [`ParseError`] with the position.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Ok(Self {
            root: parse::json_template(text)?,
        })
    }

    /// Returns the JSON value. If a key occurs twice, the last one is used.
    ///
    /// # Errors
    /// Returns an [`EvaluationError`] that names the function that failed.
    pub fn evaluate(&self, context: &dyn Context) -> Result<Value, EvaluationError> {
        self.root.evaluate(context)
    }

    /// Returns the paths that its expressions use, from left to right.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.root.references()
    }
}
