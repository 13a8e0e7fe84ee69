use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use crate::error::Failure;
use crate::evaluate::{EXPRESSION, Evaluation};
use crate::functions::MAX_TEXT;
use crate::text::push_text;
use crate::{Context, EvaluationError, Expression, ParseError, Reference, parse};

/// A compiled text with any number of `{{ }}` in it.
#[derive(Clone, Debug)]
pub struct Template {
    pieces: Vec<Piece>,
    /// Of each expression.
    spans: Vec<Range<usize>>,
}

/// A part of a [`Template`]: the document's own text, or an expression whose value is inserted.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Literal text.
    Text(String),
    /// The expression between `{{` and `}}`.
    Expression(Expression),
}

impl Template {
    /// Parses a text. Single braces, and `}}` without `{{` before it, are text.
    ///
    /// # Errors
    /// Returns a [`ParseError`] with the position.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let (pieces, spans) = parse::template(text)?;
        Ok(Self { pieces, spans })
    }

    /// Returns the value. If the whole text is one `{{ }}`, its value keeps its JSON type. Otherwise the values are
    /// inserted into the text, and the result is text.
    ///
    /// # Errors
    /// Returns an [`EvaluationError`] that names the function that failed.
    pub fn evaluate(&self, context: &dyn Context) -> Result<Value, EvaluationError> {
        self.evaluate_in(&Evaluation::new(context))
    }

    pub(crate) fn evaluate_in<'a>(&'a self, evaluation: &Evaluation<'a>) -> Result<Value, EvaluationError> {
        match self.pieces.as_slice() {
            [Piece::Expression(expression)] => expression.owned(evaluation),
            _ => splice(&self.pieces, evaluation).map(Value::String),
        }
    }

    /// Returns the same value as [`evaluate`](Self::evaluate), but borrowed if the whole text is one path, so that a
    /// large list is not copied only to be read.
    ///
    /// # Errors
    /// Fails in the same cases as [`evaluate`](Self::evaluate).
    pub fn value<'a>(&'a self, context: &'a dyn Context) -> Result<Cow<'a, Value>, EvaluationError> {
        match self.pieces.as_slice() {
            [Piece::Expression(expression)] => expression.value(&Evaluation::new(context)),
            _ => self.evaluate_text(context).map(|text| Cow::Owned(Value::String(text))),
        }
    }

    /// Returns the value as text, even if the whole text is one `{{ }}`.
    ///
    /// # Errors
    /// Fails in the same cases as [`evaluate`](Self::evaluate).
    pub fn evaluate_text(&self, context: &dyn Context) -> Result<String, EvaluationError> {
        splice(&self.pieces, &Evaluation::new(context))
    }

    /// Returns the paths that its expressions use, from left to right.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        let mut found = Vec::new();
        for expression in self.expressions() {
            expression.collect_references(&mut found);
        }
        found.into_iter()
    }

    /// Returns the path, if the whole text is one path in `{{ }}`, whose value stays as it is.
    pub fn as_reference(&self) -> Option<&Reference> {
        match self.pieces.as_slice() {
            [Piece::Expression(expression)] => expression.as_reference(),
            _ => None,
        }
    }

    /// Returns its expressions, from left to right.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Expression(expression) => Some(expression),
        })
    }

    /// Returns the range of each expression in the parsed text, including its braces, in bytes and from left to right.
    pub fn spans(&self) -> &[Range<usize>] {
        &self.spans
    }

    /// Returns whether it contains no expression.
    pub fn is_literal(&self) -> bool {
        self.expressions().next().is_none()
    }

    /// Returns its pieces in order. Two texts never follow each other, and no text is empty.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}

pub(crate) fn splice<'a>(pieces: &'a [Piece], evaluation: &Evaluation<'a>) -> Result<String, EvaluationError> {
    let mut result = String::new();
    for piece in pieces {
        let expression = match piece {
            Piece::Text(text) => {
                result.push_str(text);
                continue;
            }
            Piece::Expression(expression) => expression,
        };
        let before = result.len();
        push_text(&mut result, &*expression.value(evaluation)?);
        evaluation.spend((result.len() - before) / 64, expression.position(), EXPRESSION)?;
        if result.len() > MAX_TEXT {
            let failure = Failure::limit(format!("the text would be longer than {MAX_TEXT} bytes"));
            return Err(EvaluationError::new(expression.position(), EXPRESSION, failure));
        }
    }
    Ok(result)
}
