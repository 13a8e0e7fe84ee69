//! The functions that may end a path.

use std::borrow::Cow;

use serde_json::Value;

use crate::evaluate::{Budget, Start};
use crate::filter::Operand;
use crate::{FindError, Found};

/// A call at the end of a path.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) kind: FunctionKind,
    pub(crate) arguments: Vec<Operand>,
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
            Err(FindError::WrongKind {
                function: self.kind.name(),
                wanted,
            })
        };
        let model = match found {
            Found::One(None) if arguments.is_empty() => return Ok(None),
            Found::One(None) => Cow::Owned(Value::Null),
            Found::One(Some(value)) => value,
            Found::Many(values) => Cow::Owned(Value::Array(values.into_iter().map(Cow::into_owned).collect())),
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
                let texts = own.chain(
                    arguments
                        .iter()
                        .flatten()
                        .flat_map(|argument| elements_or_self(argument)),
                );
                Value::String(texts.filter_map(Value::as_str).collect())
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
            return Err(FindError::NoNumbers(name));
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
            .ok_or(FindError::Overflow(name))
    }
}

fn elements_or_self(value: &Value) -> std::slice::Iter<'_, Value> {
    match value {
        Value::Array(elements) => elements.iter(),
        other => std::slice::from_ref(other).iter(),
    }
}
