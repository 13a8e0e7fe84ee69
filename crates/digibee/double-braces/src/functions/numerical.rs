//! Numbers from text and text from numbers.

use pipepost_java_format::{NumberPattern, ReadNumber, Symbols};
use serde_json::{Number, Value};

use super::arguments::whole;
use super::math::finite;
use super::{Answer, Arguments, Function, Outcome, PatternKind};
use crate::error::Failure;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "FORMATNUMBER",
        "value, \"formatDestination\", \"localeDest\"?, asInteger?",
        2,
        4,
        format_number,
    )
    .patterns(&[(1, PatternKind::Number), (2, PatternKind::Locale)]),
    Function::new("TODOUBLE", "num1", 1, 1, |arguments| finite(arguments.double(0)?)),
    Function::new("TOINT", "num1", 1, 1, |arguments| {
        match i32::try_from(truncated(&arguments)?) {
            Ok(int) => int.answer(),
            Err(_) => Err(Failure::argument(format!(
                "{} is too large for an integer of 32 bits: TOLONG takes it",
                arguments.describe(0)
            ))),
        }
    }),
    Function::new("TOLONG", "num1", 1, 1, |arguments| truncated(&arguments)?.answer()),
    Function::new(
        "TONUMBER",
        "string, formatSource, localeSource?, asInteger?",
        2,
        4,
        to_number,
    )
    .patterns(&[(1, PatternKind::Number), (2, PatternKind::Locale)]),
    Function::new("RANDOMNUMBERS", "minValue, maxValue", 2, 2, random_numbers),
];

fn truncated(arguments: &Arguments<'_>) -> Result<i64, Failure> {
    let number = arguments.number(0)?;
    number
        .as_i64()
        .or_else(|| number.as_f64().and_then(whole))
        .ok_or_else(|| {
            Failure::argument(format!(
                "{} is too large for an integer of 64 bits",
                arguments.describe(0)
            ))
        })
}

/// Whether the fraction is cut off. Documents leave the locale out and write the flag in its place.
fn as_integer(arguments: &Arguments<'_>) -> Result<bool, Failure> {
    arguments.truth(if arguments.get(2).is_boolean() { 2 } else { 3 })
}

fn format_number(arguments: Arguments<'_>) -> Outcome<'_> {
    if arguments.is_null(0) {
        return Value::Null.answer();
    }
    let number = if as_integer(&arguments)? {
        truncated(&arguments)?.into()
    } else {
        arguments.number(0)?
    };
    let pattern = arguments.number_format(1)?;
    write(&pattern, &number, arguments.locale(2)?).answer()
}

/// Integers of 64 bits are exact, and everything else is a double.
fn write(pattern: &NumberPattern, number: &Number, symbols: Symbols) -> String {
    let exact = (number.is_i64() || number.is_u64()).then(|| number.to_string());
    exact
        .and_then(|digits| pattern.format_decimal(&digits, symbols))
        .unwrap_or_else(|| pattern.format(number.as_f64().unwrap_or_default(), symbols))
}

fn read(pattern: &NumberPattern, text: &str, symbols: Symbols) -> Option<Number> {
    match pattern.read_number(text, symbols).ok()? {
        ReadNumber::Integer(integer) => Some(integer.into()),
        ReadNumber::Double(double) => Number::from_f64(double),
    }
}

fn to_number(arguments: Arguments<'_>) -> Outcome<'_> {
    let Some(text) = arguments.text(0) else {
        return Value::Null.answer();
    };
    let pattern = arguments.number_format(1)?;
    let number = read(&pattern, &text, arguments.locale(2)?);
    let number = number.ok_or_else(|| arguments.not(0, "a text in the format of a number that is given"))?;
    if !as_integer(&arguments)? {
        return Value::Number(number).answer();
    }
    match number.as_i64().or_else(|| number.as_f64().and_then(whole)) {
        Some(integer) => Number::from(integer).answer(),
        None => Err(Failure::argument(format!(
            "{} is too large for an integer of 64 bits",
            arguments.describe(0)
        ))),
    }
}

fn random_numbers(arguments: Arguments<'_>) -> Outcome<'_> {
    let (least, most) = (arguments.integer(0)?, arguments.integer(1)?);
    if most < least {
        return Err(Failure::argument("minValue must not be larger than maxValue"));
    }
    let count = (i128::from(most) - i128::from(least) + 1).unsigned_abs();
    // The high half of a product spreads 64 random bits evenly over the range.
    let offset = (u128::from(arguments.context.random()) * count) >> 64;
    let number = i128::from(least) + i128::try_from(offset).unwrap_or_default();
    i64::try_from(number).unwrap_or(most).answer()
}
