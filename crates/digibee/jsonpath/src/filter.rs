//! Conditions: the text inside `[?(…)]`.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Number, Value};

use crate::evaluate::{Budget, Start};
use crate::java_regex::JavaRegex;
use crate::path::check_size;
use crate::{FindError, FindErrorKind, Found, JsonPath};

#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Any(Vec<Self>),
    All(Vec<Self>),
    Not(Box<Self>),
    /// Whether an operand is there: a path that selects something.
    Exists(Operand),
    Compare(Operand, Operator, Operand),
    Matches(Operand, JavaRegex),
}

#[derive(Clone, Debug)]
pub(crate) enum Operand {
    /// From `@`.
    Current(JsonPath),
    /// From `$`.
    Root(JsonPath),
    Literal(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    SameTypeAndEqual,
    NotSameTypeAndEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
    SubsetOf,
    AnyOf,
    NoneOf,
    Contains,
    AllOf,
    Size,
    Empty,
}

impl Operator {
    /// Every spelling; a longer one stands before those that it starts with.
    pub(crate) const SPELLINGS: [(&'static str, Self); 17] = [
        ("===", Self::SameTypeAndEqual),
        ("!==", Self::NotSameTypeAndEqual),
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("<", Self::Less),
        (">", Self::Greater),
        ("in", Self::In),
        ("nin", Self::NotIn),
        ("subsetof", Self::SubsetOf),
        ("anyof", Self::AnyOf),
        ("noneof", Self::NoneOf),
        ("contains", Self::Contains),
        ("all", Self::AllOf),
        ("size", Self::Size),
        ("empty", Self::Empty),
    ];
}

impl Condition {
    pub(crate) fn holds(&self, start: Start<'_>, budget: &mut Budget) -> Result<bool, FindError> {
        budget.spend(1)?;
        match self {
            Self::Any(conditions) => {
                for condition in conditions {
                    if condition.holds(start, budget)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::All(conditions) => {
                for condition in conditions {
                    if !condition.holds(start, budget)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Not(condition) => Ok(!condition.holds(start, budget)?),
            Self::Exists(operand) => operand.exists(start, budget),
            Self::Compare(left, operator, right) => {
                let left = left.value(start, budget)?;
                let right = right.value(start, budget)?;
                compare(left.as_deref(), *operator, right.as_deref(), budget)
            }
            Self::Matches(operand, regex) => {
                let Some(value) = operand.value(start, budget)? else {
                    return Ok(false);
                };
                let candidates = match &*value {
                    Value::Array(elements) => elements.as_slice(),
                    one => std::slice::from_ref(one),
                };
                for candidate in candidates {
                    if matches_regex(candidate, regex, budget)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

impl Operand {
    /// The value; the list of an indefinite path as an array. `None` when a definite path selects nothing.
    pub(crate) fn value<'a>(
        &'a self,
        start: Start<'a>,
        budget: &mut Budget,
    ) -> Result<Option<Cow<'a, Value>>, FindError> {
        let (path, start) = match self {
            Self::Literal(value) => return Ok(Some(Cow::Borrowed(value))),
            Self::Current(path) => (path, start),
            Self::Root(path) => (path, start.at_root()),
        };
        match path.select(start, budget) {
            Ok(Found::One(value)) => Ok(value),
            Ok(Found::Many(values)) => {
                budget.spend(check_size(values.iter().map(|value| &**value))?)?;
                Ok(Some(Cow::Owned(values.into_iter().map(Cow::into_owned).collect())))
            }
            Err(error) if error.kind() == FindErrorKind::TooMuchWork => Err(error),
            // In a condition, a function that cannot work on this element makes the element not match.
            Err(_) => Ok(None),
        }
    }

    fn exists(&self, start: Start<'_>, budget: &mut Budget) -> Result<bool, FindError> {
        let (path, start) = match self {
            Self::Literal(value) => return Ok(!matches!(value, Value::Null | Value::Bool(false))),
            Self::Current(path) => (path, start),
            Self::Root(path) => (path, start.at_root()),
        };
        match path.select(start, budget) {
            // A member that is null is there.
            Ok(Found::One(value)) => Ok(value.is_some()),
            Ok(Found::Many(values)) => Ok(!values.is_empty()),
            Err(error) if error.kind() == FindErrorKind::TooMuchWork => Err(error),
            Err(_) => Ok(false),
        }
    }
}

fn compare(
    left: Option<&Value>,
    operator: Operator,
    right: Option<&Value>,
    budget: &mut Budget,
) -> Result<bool, FindError> {
    let (Some(left), Some(right)) = (left, right) else {
        // What is not there equals nothing, and is in no list.
        return Ok(matches!(
            operator,
            Operator::NotEqual | Operator::NotSameTypeAndEqual | Operator::NotIn
        ));
    };
    let mut within = |value: &Value, list: &[Value]| {
        budget.spend(list.len())?;
        Ok::<_, FindError>(list.iter().any(|element| loosely_equal(value, element)))
    };
    Ok(match operator {
        Operator::Equal => loosely_equal(left, right),
        Operator::NotEqual => !loosely_equal(left, right),
        Operator::SameTypeAndEqual => strictly_equal(left, right),
        Operator::NotSameTypeAndEqual => !strictly_equal(left, right),
        Operator::Less => order(left, right).is_some_and(Ordering::is_lt),
        Operator::LessOrEqual => order(left, right).is_some_and(Ordering::is_le),
        Operator::Greater => order(left, right).is_some_and(Ordering::is_gt),
        Operator::GreaterOrEqual => order(left, right).is_some_and(Ordering::is_ge),
        Operator::In => match right {
            Value::Array(list) => within(left, list)?,
            _ => false,
        },
        Operator::NotIn => match right {
            Value::Array(list) => !within(left, list)?,
            _ => true,
        },
        Operator::SubsetOf | Operator::AnyOf | Operator::NoneOf | Operator::AllOf => {
            let (Value::Array(left), Value::Array(right)) = (left, right) else {
                return Ok(false);
            };
            let (sought, list) = if operator == Operator::AllOf {
                (right, left)
            } else {
                (left, right)
            };
            let mut count = 0;
            for element in sought {
                count += usize::from(within(element, list)?);
            }
            match operator {
                Operator::AnyOf => count > 0,
                Operator::NoneOf => count == 0,
                _ => count == sought.len(),
            }
        }
        Operator::Contains => match (left, right) {
            (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
            (Value::Array(list), _) => within(right, list)?,
            _ => false,
        },
        Operator::Size => size(left).is_some_and(|size| right.as_u64() == Some(size as u64)),
        Operator::Empty => size(left).is_some_and(|size| right.as_bool() == Some(size == 0)),
    })
}

fn size(value: &Value) -> Option<usize> {
    match value {
        Value::String(text) => Some(text.encode_utf16().count()),
        Value::Array(elements) => Some(elements.len()),
        Value::Object(members) => Some(members.len()),
        _ => None,
    }
}

/// `==`: a number also equals a text that reads as that number.
fn loosely_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(number), Value::String(text)) | (Value::String(text), Value::Number(number)) => {
            let read: Option<Number> = serde_json::from_str(text.trim()).ok();
            read.is_some_and(|read| compare_numbers(number, &read) == Some(Ordering::Equal))
        }
        _ => strictly_equal(left, right),
    }
}

fn strictly_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare_numbers(left, right) == Some(Ordering::Equal),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| strictly_equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, left)| right.get(key).is_some_and(|right| strictly_equal(left, right)))
        }
        _ => left == right,
    }
}

fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare_numbers(left, right),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

fn compare_numbers(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

/// The whole text must match, as with Java's `matches`.
fn matches_regex(value: &Value, regex: &JavaRegex, budget: &mut Budget) -> Result<bool, FindError> {
    /// A search with lookaround or back references may go back and forth; it costs as much as looking at many values.
    const SEARCH: usize = 200;
    let text = match value {
        Value::String(text) => Cow::Borrowed(text.as_str()),
        Value::Number(number) => Cow::Owned(number.to_string()),
        Value::Bool(truth) => Cow::Owned(truth.to_string()),
        _ => return Ok(false),
    };
    budget.spend(SEARCH + text.len() / 64)?;
    regex.is_match(&text).map_err(|_| FindError::TOO_MUCH_WORK)
}
