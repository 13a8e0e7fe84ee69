//! Evaluation: values are borrowed from the expression and the context for as long as nothing changes them.

use std::borrow::Cow;
use std::cell::Cell;

use serde_json::{Map, Value};

use crate::error::Failure;
use crate::expression::{Call, Expression, Node};
use crate::functions::{Arguments, MAX_TEXT};
use crate::template::splice;
use crate::text::to_text;
use crate::{Context, EvaluationError, Position, Segment};

const NULL: Value = Value::Null;
const MASK: &str = "***";

/// Steps that one evaluation may take: one for each part of an expression and each JSON value that is copied or made, one
/// for each 64 bytes of text.
const STEPS_MAX: u64 = 5_000_000;
/// Steps after which the context is asked whether to go on.
const STEPS_UNASKED: u64 = 4096;

/// One evaluation: what it sees, and the work that it may still do.
pub(crate) struct Evaluation<'a> {
    pub(crate) context: &'a dyn Context,
    left: Cell<u64>,
    asked_at: Cell<u64>,
}

impl<'a> Evaluation<'a> {
    pub(crate) fn new(context: &'a dyn Context) -> Self {
        Self {
            context,
            left: Cell::new(STEPS_MAX),
            asked_at: Cell::new(STEPS_MAX),
        }
    }

    /// Takes steps for the expression, or the function, that stands here.
    pub(crate) fn spend(&self, steps: usize, at: Position, what: &'static str) -> Result<(), EvaluationError> {
        let limit = |reason: &str| EvaluationError::new(at, what, Failure::limit(reason));
        let Some(left) = self.left.get().checked_sub(steps as u64) else {
            return Err(limit("the evaluation takes too much work: make it smaller"));
        };
        self.left.set(left);
        if self.asked_at.get() - left >= STEPS_UNASKED {
            self.asked_at.set(left);
            if !self.context.may_go_on() {
                return Err(limit("the time of the run is over"));
            }
        }
        Ok(())
    }
}

/// What copying or making a value takes.
fn weight(value: &Value) -> usize {
    let mut weight = 0;
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        weight += 1;
        match value {
            Value::String(text) => weight += text.len() / 64,
            Value::Array(elements) => waiting.extend(elements),
            Value::Object(members) => waiting.extend(members.values()),
            _ => {}
        }
    }
    weight
}

/// What stands for an expression in an error where no function failed.
pub(crate) const EXPRESSION: &str = "the expression";

impl Expression {
    pub(crate) fn value<'a>(&'a self, evaluation: &Evaluation<'a>) -> Result<Cow<'a, Value>, EvaluationError> {
        evaluation.spend(1, self.position, EXPRESSION)?;
        let context = evaluation.context;
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
            Node::Text(pieces) => splice(pieces, evaluation).map(|text| Cow::Owned(Value::String(text))),
            Node::Array(elements) => {
                let elements: Result<_, _> = elements.iter().map(|element| element.owned(evaluation)).collect();
                Ok(Cow::Owned(Value::Array(elements?)))
            }
            Node::Object(members) => {
                let mut object = Map::with_capacity(members.len());
                for (key, value) in members {
                    object.insert(to_text(&*key.value(evaluation)?), value.owned(evaluation)?);
                }
                Ok(Cow::Owned(Value::Object(object)))
            }
            Node::Call(call) => self.call(call, evaluation),
        }
    }

    /// The value itself. What is lent is copied, and the copy counted before it is made.
    pub(crate) fn owned<'a>(&'a self, evaluation: &Evaluation<'a>) -> Result<Value, EvaluationError> {
        let value = self.value(evaluation)?;
        if matches!(value, Cow::Borrowed(_)) {
            evaluation.spend(weight(&value), self.position, EXPRESSION)?;
        }
        Ok(value.into_owned())
    }

    fn call<'a>(&'a self, call: &'a Call, evaluation: &Evaluation<'a>) -> Result<Cow<'a, Value>, EvaluationError> {
        let values: Result<Vec<_>, _> = call
            .arguments
            .iter()
            .map(|argument| argument.value(evaluation))
            .collect();
        let arguments = Arguments {
            written: &call.arguments,
            patterns: call.function.patterns,
            compiled: &call.compiled,
            values: values?,
            context: evaluation.context,
        };
        let result = (call.function.run)(arguments).and_then(|value| match &*value {
            Value::String(text) if text.len() > MAX_TEXT => Err(Failure::limit(format!(
                "the result would be longer than {MAX_TEXT} bytes"
            ))),
            _ => Ok(value),
        });
        let value = result.map_err(|failure| EvaluationError::new(self.position, call.function.name, failure))?;
        if let Cow::Owned(made) = &value {
            evaluation.spend(weight(made), self.position, call.function.name)?;
        }
        Ok(value)
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
