use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use crate::evaluate::Evaluation;
use crate::{Context, EvaluationError, ParseError, Piece, Reference, Template};

/// A JSON value whose texts are templates, at any depth: the parameters of a step. Keys are literal text.
#[derive(Clone, Debug)]
pub struct ValueTemplate {
    root: Node,
}

#[derive(Clone, Debug)]
enum Node {
    /// Without any expression.
    Literal(Value),
    Template(Template),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl ValueTemplate {
    /// Parses every text in the value.
    ///
    /// # Errors
    /// Returns every error, each with its JSON pointer (RFC 6901).
    pub fn parse(value: &Value) -> Result<Self, Vec<ValueParseError>> {
        let mut errors = Vec::new();
        let root = parse(value, &mut String::new(), &mut errors);
        if errors.is_empty() {
            Ok(Self { root })
        } else {
            Err(errors)
        }
    }

    /// Returns the value with every template replaced by its result.
    ///
    /// # Errors
    /// Returns the error of the first template that has no value, with its JSON pointer.
    pub fn evaluate(&self, context: &dyn Context) -> Result<Value, ValueEvaluationError> {
        let evaluation = Evaluation::new(context);
        evaluate(&self.root, &|template| template.evaluate_in(&evaluation)).map_err(with_pointer)
    }

    /// Returns the same value as [`evaluate`](Self::evaluate), but borrowed if the value is a literal or a text that is
    /// one path, so that a large list is not copied only to be read.
    ///
    /// # Errors
    /// Fails in the same cases as [`evaluate`](Self::evaluate).
    pub fn value<'a>(&'a self, context: &'a dyn Context) -> Result<Cow<'a, Value>, ValueEvaluationError> {
        match &self.root {
            Node::Literal(value) => Ok(Cow::Borrowed(value)),
            Node::Template(template) => template
                .value(context)
                .map_err(|error| with_pointer((Vec::new(), error))),
            Node::Array(_) | Node::Object(_) => self.evaluate(context).map(Cow::Owned),
        }
    }

    /// Returns the value, where `fill` makes the replacement for each text that has expressions in it. `fill` gets the
    /// text's pieces, and whether the text is the whole value. Texts without expressions stay as they are.
    ///
    /// # Errors
    /// Fails in the same cases as [`evaluate`](Self::evaluate).
    pub fn evaluate_with(
        &self,
        context: &dyn Context,
        fill: &dyn Fn(Vec<Filled<'_>>, bool) -> Value,
    ) -> Result<Value, ValueEvaluationError> {
        let is_whole = matches!(self.root, Node::Template(_));
        let evaluation = Evaluation::new(context);
        evaluate(&self.root, &|template| {
            let pieces = template.pieces().iter().map(|piece| match piece {
                Piece::Text(text) => Ok(Filled::Text(text)),
                Piece::Expression(expression) => expression.value(&evaluation).map(Filled::Value),
            });
            let pieces: Result<Vec<Filled<'_>>, EvaluationError> = pieces.collect();
            pieces.map(|pieces| fill(pieces, is_whole))
        })
        .map_err(with_pointer)
    }

    /// Returns the paths that its expressions use, in document order.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        let mut found = Vec::new();
        collect_references(&self.root, &mut found);
        found.into_iter()
    }

    /// Returns a member of an object, if the member contains no expression.
    pub fn literal(&self, name: &str) -> Option<&Value> {
        match &self.root {
            Node::Literal(value) => value.get(name),
            Node::Object(members) => members.iter().find_map(|(key, node)| match node {
                Node::Literal(value) if key == name => Some(value),
                _ => None,
            }),
            Node::Array(_) | Node::Template(_) => None,
        }
    }

    /// Returns its texts that contain expressions, each with its JSON pointer (RFC 6901), in document order.
    pub fn templates(&self) -> Vec<(String, &Template)> {
        let mut found = Vec::new();
        collect_templates(&self.root, &mut String::new(), &mut found);
        found
    }

    /// Returns whether it contains no expression.
    pub fn is_literal(&self) -> bool {
        matches!(self.root, Node::Literal(_))
    }
}

/// A piece of a text with expressions, after evaluation: the document's own text, or the value of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Filled<'a> {
    /// Literal text.
    Text(&'a str),
    /// The value of an expression.
    Value(Cow<'a, Value>),
}

/// An error: a text of a [`ValueTemplate`] is not a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueParseError {
    /// The JSON pointer (RFC 6901) of the text; empty for the whole value.
    pub pointer: String,
    /// The error, with its position.
    pub error: ParseError,
}

impl fmt::Display for ValueParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pointer.is_empty() {
            write!(f, "{} ", self.pointer)?;
        }
        write!(f, "{}", self.error)
    }
}

impl std::error::Error for ValueParseError {}

/// An error: a text of a [`ValueTemplate`] has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueEvaluationError {
    /// The JSON pointer (RFC 6901) of the text; empty for the whole value.
    pub pointer: String,
    /// The error, with the function that failed and the reason.
    pub error: EvaluationError,
}

impl fmt::Display for ValueEvaluationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pointer.is_empty() {
            write!(f, "{} ", self.pointer)?;
        }
        write!(f, "{}", self.error)
    }
}

impl std::error::Error for ValueEvaluationError {}

fn parse(value: &Value, pointer: &mut String, errors: &mut Vec<ValueParseError>) -> Node {
    let mut child = |segment: &str, value: &Value| {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&escape_pointer(segment));
        let node = parse(value, pointer, errors);
        pointer.truncate(length);
        node
    };
    match value {
        Value::String(text) => match Template::parse(text) {
            Ok(template) if template.is_literal() => Node::Literal(value.clone()),
            Ok(template) => Node::Template(template),
            Err(error) => {
                errors.push(ValueParseError {
                    pointer: pointer.clone(),
                    error,
                });
                Node::Literal(Value::Null)
            }
        },
        Value::Array(elements) => {
            let nodes: Vec<_> = elements
                .iter()
                .enumerate()
                .map(|(i, v)| child(&i.to_string(), v))
                .collect();
            if nodes.iter().all(|node| matches!(node, Node::Literal(_))) {
                return Node::Literal(value.clone());
            }
            Node::Array(nodes)
        }
        Value::Object(members) => {
            let nodes: Vec<_> = members.iter().map(|(key, v)| (key.clone(), child(key, v))).collect();
            if nodes.iter().all(|(_, node)| matches!(node, Node::Literal(_))) {
                return Node::Literal(value.clone());
            }
            Node::Object(nodes)
        }
        plain => Node::Literal(plain.clone()),
    }
}

/// The pointer is only put together once something has failed.
fn with_pointer((path, error): (Vec<String>, EvaluationError)) -> ValueEvaluationError {
    let pointer = path
        .iter()
        .rev()
        .map(|segment| format!("/{}", escape_pointer(segment)))
        .collect();
    ValueEvaluationError { pointer, error }
}

/// On failure, the way to the text, innermost step first.
fn evaluate<'a>(
    node: &'a Node,
    value_of: &dyn Fn(&'a Template) -> Result<Value, EvaluationError>,
) -> Result<Value, (Vec<String>, EvaluationError)> {
    match node {
        Node::Literal(value) => Ok(value.clone()),
        Node::Template(template) => value_of(template).map_err(|error| (Vec::new(), error)),
        Node::Array(nodes) => {
            let mut elements = Vec::with_capacity(nodes.len());
            for (index, node) in nodes.iter().enumerate() {
                elements.push(evaluate(node, value_of).map_err(|failed| within(failed, index.to_string()))?);
            }
            Ok(Value::Array(elements))
        }
        Node::Object(nodes) => {
            let mut members = Map::with_capacity(nodes.len());
            for (key, node) in nodes {
                let value = evaluate(node, value_of).map_err(|failed| within(failed, key.clone()))?;
                members.insert(key.clone(), value);
            }
            Ok(Value::Object(members))
        }
    }
}

fn within((mut path, error): (Vec<String>, EvaluationError), segment: String) -> (Vec<String>, EvaluationError) {
    path.push(segment);
    (path, error)
}

fn collect_references<'a>(node: &'a Node, found: &mut Vec<&'a Reference>) {
    match node {
        Node::Literal(_) => {}
        Node::Template(template) => found.extend(template.references()),
        Node::Array(nodes) => nodes.iter().for_each(|node| collect_references(node, found)),
        Node::Object(nodes) => nodes.iter().for_each(|(_, node)| collect_references(node, found)),
    }
}

fn collect_templates<'a>(node: &'a Node, pointer: &mut String, found: &mut Vec<(String, &'a Template)>) {
    let mut descend = |segment: &str, node: &'a Node| {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&escape_pointer(segment));
        collect_templates(node, pointer, found);
        pointer.truncate(length);
    };
    match node {
        Node::Literal(_) => {}
        Node::Template(template) => found.push((pointer.clone(), template)),
        Node::Array(nodes) => nodes
            .iter()
            .enumerate()
            .for_each(|(index, node)| descend(&index.to_string(), node)),
        Node::Object(nodes) => nodes.iter().for_each(|(key, node)| descend(key, node)),
    }
}

fn escape_pointer(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}
