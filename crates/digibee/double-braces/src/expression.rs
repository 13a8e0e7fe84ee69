use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use crate::evaluate::Evaluation;
use crate::functions::{Compiled, Function};
use crate::reference::{write_escaped, write_quoted};
use crate::{Context, EvaluationError, ParseError, Piece, Position, Reference, parse};

/// A compiled expression: the text between `{{` and `}}`.
///
/// `Display` prints it in one canonical form, which parses to the same expression again.
#[derive(Clone, Debug)]
pub struct Expression {
    pub(crate) node: Node,
    pub(crate) position: Position,
}

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Literal(Value),
    /// A text literal with expressions in it.
    Text(Vec<Piece>),
    Reference(Reference),
    Call(Call),
    Array(Vec<Expression>),
    /// Keys are text literals, which may hold expressions.
    Object(Vec<(Expression, Expression)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) function: &'static Function,
    pub(crate) arguments: Vec<Expression>,
    /// Constant patterns, each with its argument's index.
    pub(crate) compiled: Vec<(usize, Compiled)>,
}

impl Expression {
    /// Parses an expression without its braces.
    ///
    /// # Errors
    /// Returns a [`ParseError`] with the position, for anything that no context could evaluate.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::expression(text)
    }

    /// Returns the value, with its JSON type.
    ///
    /// # Errors
    /// Returns an [`EvaluationError`] that names the function that failed.
    pub fn evaluate(&self, context: &dyn Context) -> Result<Value, EvaluationError> {
        self.value(&Evaluation::new(context)).map(Cow::into_owned)
    }

    /// Returns the path, if the expression is nothing else.
    pub(crate) fn as_reference(&self) -> Option<&Reference> {
        match &self.node {
            Node::Reference(reference) => Some(reference),
            _ => None,
        }
    }

    /// Returns the paths that the expression uses, from left to right.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        let mut found = Vec::new();
        self.collect_references(&mut found);
        found.into_iter()
    }

    /// Returns the names of the functions that the expression calls, from left to right.
    pub fn functions(&self) -> impl Iterator<Item = &'static str> {
        let mut found = Vec::new();
        self.visit(&mut |expression| {
            if let Node::Call(call) = &expression.node {
                found.push(call.function.name);
            }
        });
        found.into_iter()
    }

    /// Returns the function's name if the whole expression is one function call, otherwise `None`.
    pub fn outermost_function(&self) -> Option<&'static str> {
        match &self.node {
            Node::Call(call) => Some(call.function.name),
            _ => None,
        }
    }

    /// Returns the position in the text that was parsed.
    pub fn position(&self) -> Position {
        self.position
    }

    pub(crate) fn collect_references<'a>(&'a self, found: &mut Vec<&'a Reference>) {
        self.visit(&mut |expression| {
            if let Node::Reference(reference) = &expression.node {
                found.push(reference);
            }
        });
    }

    fn visit<'a>(&'a self, see: &mut dyn FnMut(&'a Self)) {
        see(self);
        match &self.node {
            Node::Literal(_) | Node::Reference(_) => {}
            Node::Text(pieces) => {
                for piece in pieces {
                    if let Piece::Expression(expression) = piece {
                        expression.visit(see);
                    }
                }
            }
            Node::Call(call) => call.arguments.iter().for_each(|argument| argument.visit(see)),
            Node::Array(elements) => elements.iter().for_each(|element| element.visit(see)),
            Node::Object(members) => {
                for (key, value) in members {
                    key.visit(see);
                    value.visit(see);
                }
            }
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Node::Literal(value) => write_literal(f, value),
            Node::Reference(reference) => write!(f, "{reference}"),
            Node::Text(pieces) => {
                f.write_str("\"")?;
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => write_escaped(f, text, '"')?,
                        Piece::Expression(expression) => write!(f, "{{{{ {expression} }}}}")?,
                    }
                }
                f.write_str("\"")
            }
            Node::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                separated(f, &call.arguments, |f, argument| write!(f, "{argument}"))?;
                f.write_str(")")
            }
            Node::Array(elements) => {
                f.write_str("[")?;
                separated(f, elements, |f, element| write!(f, "{element}"))?;
                f.write_str("]")
            }
            Node::Object(members) => {
                f.write_str("{")?;
                separated(f, members, |f, (key, value)| write!(f, "{key}: {value}"))?;
                f.write_str("}")
            }
        }
    }
}

fn write_literal(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::String(text) => write_quoted(f, text, '"'),
        Value::Array(elements) => {
            f.write_str("[")?;
            separated(f, elements, write_literal)?;
            f.write_str("]")
        }
        Value::Object(members) => {
            f.write_str("{")?;
            separated(f, members, |f, (key, value)| {
                write_quoted(f, key, '"')?;
                f.write_str(": ")?;
                write_literal(f, value)
            })?;
            f.write_str("}")
        }
        plain => write!(f, "{plain}"),
    }
}

fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut fmt::Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    for (number, item) in items.into_iter().enumerate() {
        if number > 0 {
            f.write_str(", ")?;
        }
        write(f, item)?;
    }
    Ok(())
}
