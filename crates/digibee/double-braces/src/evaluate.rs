//! Evaluation: values are borrowed from the expression and the context for as long as nothing changes them.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::error::Failure;
use crate::expression::{Call, Expression, Node};
use crate::functions::{Arguments, MAX_TEXT};
use crate::template::splice;
use crate::text::to_text;
use crate::{Context, EvaluationError, Segment};

const NULL: Value = Value::Null;
const MASK: &str = "***";

impl Expression {
    pub(crate) fn value<'a>(&'a self, context: &'a dyn Context) -> Result<Cow<'a, Value>, EvaluationError> {
        match &self.node {
            Node::Literal(value) => Ok(Cow::Borrowed(value)),
            Node::Reference(reference) => {
                let sensitive = context.sensitive_fields();
                if !sensitive.is_empty() && reference.segments().iter().any(|segment| names(segment, sensitive)) {
                    return Ok(Cow::Owned(Value::String(MASK.to_owned())));
                }
                match reference.resolve(context) {
                    None => Ok(Cow::Owned(NULL)),
                    Some(value) if sensitive.is_empty() => Ok(Cow::Borrowed(value)),
                    Some(value) => Ok(Cow::Owned(masked(value, sensitive))),
                }
            }
            Node::Text(pieces) => splice(pieces, context).map(|text| Cow::Owned(Value::String(text))),
            Node::Array(elements) => {
                let elements: Result<_, _> = elements.iter().map(|element| element.evaluate(context)).collect();
                Ok(Cow::Owned(Value::Array(elements?)))
            }
            Node::Object(members) => {
                let mut object = Map::with_capacity(members.len());
                for (key, value) in members {
                    object.insert(to_text(&*key.value(context)?), value.evaluate(context)?);
                }
                Ok(Cow::Owned(Value::Object(object)))
            }
            Node::Call(call) => self.call(call, context),
        }
    }

    fn call<'a>(&'a self, call: &'a Call, context: &'a dyn Context) -> Result<Cow<'a, Value>, EvaluationError> {
        let values: Result<Vec<_>, _> = call.arguments.iter().map(|argument| argument.value(context)).collect();
        let arguments = Arguments {
            written: &call.arguments,
            patterns: call.function.patterns,
            compiled: &call.compiled,
            values: values?,
            context,
        };
        let result = (call.function.run)(arguments).and_then(|value| match &*value {
            Value::String(text) if text.len() > MAX_TEXT => Err(Failure::limit(format!(
                "the result would be longer than {MAX_TEXT} bytes"
            ))),
            _ => Ok(value),
        });
        result.map_err(|failure| EvaluationError::new(self.position, call.function.name, failure))
    }
}

fn names(segment: &Segment, sensitive: &[String]) -> bool {
    matches!(segment, Segment::Name(name) if sensitive.contains(name))
}

fn masked(value: &Value, sensitive: &[String]) -> Value {
    match value {
        Value::Array(elements) => elements.iter().map(|element| masked(element, sensitive)).collect(),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(key, member)| {
                    let shown = if sensitive.contains(key) {
                        MASK.into()
                    } else {
                        masked(member, sensitive)
                    };
                    (key.clone(), shown)
                })
                .collect(),
        ),
        plain => plain.clone(),
    }
}
