//! The functions that are allowed at the end of a path.

use std::borrow::Cow;

use pipepost_java_format::java_double;
use serde_json::Value;

use crate::evaluate::{Budget, Start};
use crate::filter::Operand;
use crate::path::check_size;
use crate::{FindError, FindErrorKind, Found};

/// A call at the end of a path.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) kind: FunctionKind,
    pub(crate) arguments: Vec<Operand>,
    /// Where its name stands in the path, from 1.
    pub(crate) column: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FunctionKind {
    Min,
    Max,
    Avg,
    StdDev,
    Sum,
    Length,
    Keys,
    Concat,
    Append,
    First,
    Last,
    Index,
}

impl FunctionKind {
    /// Every name, with what it stands for.
    pub(crate) const NAMES: [(&'static str, Self); 13] = [
        ("min", Self::Min),
        ("max", Self::Max),
        ("avg", Self::Avg),
        ("stddev", Self::StdDev),
        ("sum", Self::Sum),
        ("length", Self::Length),
        ("keys", Self::Keys),
        ("concat", Self::Concat),
        ("append", Self::Append),
        ("first", Self::First),
        ("last", Self::Last),
        ("index", Self::Index),
        ("size", Self::Length),
    ];

    fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("", |(name, _)| name)
    }

    /// How many arguments it takes, at least and at most.
    pub(crate) fn arity(self) -> (usize, usize) {
        match self {
            Self::Keys | Self::First | Self::Last => (0, 0),
            Self::Index => (1, 1),
            Self::Append => (1, usize::MAX),
            Self::Length => (0, 1),
            _ => (0, usize::MAX),
        }
    }
}

impl Function {
    /// Whether it makes one number of many.
    pub(crate) fn calculates(&self) -> bool {
        matches!(
            self.kind,
            FunctionKind::Min | FunctionKind::Max | FunctionKind::Avg | FunctionKind::StdDev | FunctionKind::Sum
        )
    }

    /// Whether it counts, with no other value named to count in.
    pub(crate) fn counts_children(&self) -> bool {
        self.kind == FunctionKind::Length && self.arguments.is_empty()
    }

    /// The result for one of several values. As in Jayway, a value that the function cannot work on gives null and does
    /// not end the search; `append` leaves it as it is.
    pub(crate) fn apply_to_each<'a>(
        &self,
        value: Option<Cow<'a, Value>>,
        start: Start<'a>,
        budget: &mut Budget,
    ) -> Result<Option<Cow<'a, Value>>, FindError> {
        let Some(value) = value else { return Ok(None) };
        let fits = match self.kind {
            FunctionKind::Length => !self.arguments.is_empty() || value.is_array() || value.is_object(),
            FunctionKind::Keys => value.is_object(),
            FunctionKind::First | FunctionKind::Last | FunctionKind::Index => value.is_array(),
            FunctionKind::Append if !value.is_array() => return Ok(Some(value)),
            _ => true,
        };
        if fits {
            self.apply(Found::One(Some(value)), start, budget)
        } else {
            Ok(None)
        }
    }

    fn error(&self, kind: FindErrorKind) -> FindError {
        FindError::at(self.column, kind)
    }

    /// The result; `None` where there is nothing to work on.
    pub(crate) fn apply<'a>(
        &self,
        found: Found<'a>,
        start: Start<'a>,
        budget: &mut Budget,
    ) -> Result<Option<Cow<'a, Value>>, FindError> {
        let mut arguments = Vec::new();
        for argument in &self.arguments {
            arguments.push(argument.value(start, budget)?);
        }
        let wrong = |wanted| {
            let function = self.kind.name();
            Err(self.error(FindErrorKind::WrongKind { function, wanted }))
        };
        let model = match found {
            Found::One(None) if arguments.is_empty() => return Ok(None),
            Found::One(None) => Cow::Owned(Value::Null),
            Found::One(Some(value)) => value,
            Found::Many(values) => {
                budget.spend(check_size(values.iter().map(|value| &**value))?)?;
                Cow::Owned(Value::Array(values.into_iter().map(Cow::into_owned).collect()))
            }
        };
        budget.spend(model.as_array().map_or(1, Vec::len))?;
        let value = match self.kind {
            FunctionKind::Min | FunctionKind::Max | FunctionKind::Avg | FunctionKind::StdDev | FunctionKind::Sum => {
                self.calculate(&model, &arguments)?
            }
            FunctionKind::Length => match arguments.first().and_then(Option::as_ref).unwrap_or(&model).as_ref() {
                Value::Array(elements) => elements.len().into(),
                Value::Object(members) => members.len().into(),
                // As Java counts: in UTF-16 units.
                Value::String(text) => text.encode_utf16().count().into(),
                _ => return wrong("arrays, objects and texts"),
            },
            FunctionKind::Keys => match &*model {
                Value::Object(members) => members.keys().cloned().map(Value::String).collect(),
                _ => return wrong("objects"),
            },
            FunctionKind::Concat => {
                let own = model.as_array().map(Vec::as_slice).unwrap_or_default().iter();
                let mut text: String = own.filter_map(Value::as_str).collect();
                for part in arguments
                    .iter()
                    .flatten()
                    .flat_map(|argument| elements_or_self(argument))
                {
                    let before = text.len();
                    push_plain(&mut text, part);
                    budget.spend((text.len() - before) / 16)?;
                }
                Value::String(text)
            }
            FunctionKind::Append => match model.into_owned() {
                Value::Array(mut elements) => {
                    elements.extend(arguments.into_iter().flatten().map(Cow::into_owned));
                    Value::Array(elements)
                }
                _ => return wrong("arrays"),
            },
            FunctionKind::First | FunctionKind::Last | FunctionKind::Index => {
                let Value::Array(elements) = &*model else {
                    return wrong("arrays");
                };
                let index = match self.kind {
                    FunctionKind::First => 0,
                    FunctionKind::Last => -1,
                    _ => match arguments
                        .first()
                        .and_then(Option::as_ref)
                        .and_then(|index| index.as_i64())
                    {
                        Some(index) => index,
                        None => return wrong("arrays, with a whole number"),
                    },
                };
                let index = if index < 0 {
                    index.checked_add_unsigned(elements.len() as u64)
                } else {
                    Some(index)
                };
                let index = index.and_then(|index| usize::try_from(index).ok());
                return Ok(index.and_then(|index| elements.get(index)).cloned().map(Cow::Owned));
            }
        };
        Ok(Some(Cow::Owned(value)))
    }

    fn calculate(&self, model: &Value, arguments: &[Option<Cow<'_, Value>>]) -> Result<Value, FindError> {
        let name = self.kind.name();
        // The lists that an indefinite path selects count with their elements.
        let own = model
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
            .iter()
            .flat_map(elements_or_self);
        let given = arguments
            .iter()
            .flatten()
            .flat_map(|argument| elements_or_self(argument));
        let numbers: Vec<f64> = own.chain(given).filter_map(Value::as_f64).collect();
        if numbers.is_empty() {
            return Err(self.error(FindErrorKind::NoNumbers(name)));
        }
        #[allow(clippy::cast_precision_loss, reason = "no list is long enough to lose a digit")]
        let count = numbers.len() as f64;
        let sum: f64 = numbers.iter().sum();
        let result = match self.kind {
            FunctionKind::Min => numbers.iter().copied().fold(f64::INFINITY, f64::min),
            FunctionKind::Max => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            FunctionKind::Sum => sum,
            FunctionKind::Avg => sum / count,
            _ => {
                let mean = sum / count;
                (numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / count).sqrt()
            }
        };
        serde_json::Number::from_f64(result)
            .map(Value::Number)
            .ok_or_else(|| self.error(FindErrorKind::Overflow(name)))
    }
}

fn elements_or_self(value: &Value) -> std::slice::Iter<'_, Value> {
    match value {
        Value::Array(elements) => elements.iter(),
        other => std::slice::from_ref(other).iter(),
    }
}

/// What `concat` writes of an argument: texts, numbers as Java prints them, booleans. Null, arrays and objects have no
/// text of their own.
fn push_plain(text: &mut String, value: &Value) {
    match value {
        Value::String(part) => text.push_str(part),
        Value::Bool(truth) => text.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => match number.as_f64() {
            Some(double) if number.is_f64() => text.push_str(&java_double(double)),
            _ => text.push_str(&number.to_string()),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => {}
    }
}
