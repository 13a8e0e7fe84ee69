//! Comparison and conditions. Null is false, and smaller than all other values.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::arguments::as_number;
use super::{Answer, Arguments, Function, Outcome};
use crate::error::Failure;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("AND", "boolean1, boolean2, …, booleanN", 1, 0, |arguments| {
        truths(&arguments)?.into_iter().all(|truth| truth).answer()
    })
    .any_number(),
    Function::new("OR", "boolean1, boolean2, …, booleanN", 1, 0, |arguments| {
        truths(&arguments)?.into_iter().any(|truth| truth).answer()
    })
    .any_number(),
    Function::new("XOR", "boolean1, boolean2, …, booleanN", 1, 0, |arguments| {
        truths(&arguments)?
            .into_iter()
            .fold(false, |odd, truth| odd != truth)
            .answer()
    })
    .any_number(),
    Function::new("NOT", "boolean", 1, 1, |arguments| (!arguments.truth(0)?).answer()),
    Function::new("EQUALTO", "obj1, obj2", 2, 2, |arguments| {
        equal(arguments.get(0), arguments.get(1)).answer()
    }),
    Function::new("GREATERTHAN", "num1, num2", 2, 2, |arguments| {
        order(&arguments)?.is_gt().answer()
    }),
    Function::new("GREATERTHANEQUAL", "num1, num2", 2, 2, |arguments| {
        order(&arguments)?.is_ge().answer()
    }),
    Function::new("LESSTHAN", "num1, num2", 2, 2, |arguments| {
        order(&arguments)?.is_lt().answer()
    }),
    Function::new("LESSTHANEQUAL", "num1, num2", 2, 2, |arguments| {
        order(&arguments)?.is_le().answer()
    }),
    Function::new(
        "IF",
        "comparison, value-if-true, value-if-false",
        3,
        3,
        |mut arguments| {
            let index = if arguments.truth(0)? { 1 } else { 2 };
            Ok(arguments.take(index))
        },
    ),
    Function::new(
        "SWITCHCASE",
        "defaultValue, condition1, result1, …, conditionN, resultN",
        3,
        0,
        switch_case,
    )
    .any_number(),
    Function::new("ISOBJECT", "object", 1, 1, |arguments| {
        arguments.get(0).is_object().answer()
    }),
    Function::new("ISARRAY", "object", 1, 1, |arguments| {
        arguments.get(0).is_array().answer()
    }),
    Function::new("ISBOOLEAN", "object", 1, 1, |arguments| {
        arguments.get(0).is_boolean().answer()
    }),
    Function::new("ISSTRING", "object", 1, 1, |arguments| {
        arguments.get(0).is_string().answer()
    }),
    Function::new("ISNUMBER", "object", 1, 1, |arguments| {
        arguments.get(0).is_number().answer()
    }),
    Function::new("ISNULL", "object", 1, 1, |arguments| arguments.is_null(0).answer()),
];

fn truths(arguments: &Arguments<'_>) -> Result<Vec<bool>, Failure> {
    (0..arguments.count()).map(|index| arguments.truth(index)).collect()
}

fn switch_case(mut arguments: Arguments<'_>) -> Outcome<'_> {
    if arguments.count().is_multiple_of(2) {
        return Err(Failure::argument("each condition needs a result after it"));
    }
    let mut chosen = 0;
    for condition in (1..arguments.count()).step_by(2) {
        // Evaluation is eager, and a condition that is no boolean fails even behind one that is true.
        if arguments.truth(condition)? && chosen == 0 {
            chosen = condition + 1;
        }
    }
    Ok(arguments.take(chosen))
}

/// Deep equality; numbers are equal when their values are (`1` and `1.0`), objects whatever the order of their keys.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

fn order(arguments: &Arguments<'_>) -> Result<Ordering, Failure> {
    let (a, b) = (arguments.get(0), arguments.get(1));
    match (a, b) {
        (Value::Null, Value::Null) => return Ok(Ordering::Equal),
        (Value::Null, _) => return Ok(Ordering::Less),
        (_, Value::Null) => return Ok(Ordering::Greater),
        _ => {}
    }
    match (as_number(a), as_number(b)) {
        (Some(a), Some(b)) => compare_numbers(&a, &b).ok_or_else(|| arguments.not(0, "a number")),
        // Two texts of which one is no number: by their characters, so that ISO dates compare as expected.
        (a_number, _) => match (a, b) {
            (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
            _ => Err(arguments.not(usize::from(a_number.is_some()), "a number")),
        },
    }
}

fn compare_numbers(a: &Number, b: &Number) -> Option<Ordering> {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}
