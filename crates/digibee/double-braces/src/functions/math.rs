//! Arithmetic. Every result is a double. A result that is not a number (a root of -1, a division by zero) is an error,
//! because JSON cannot represent it.

use serde_json::{Number, Value};

use super::{Answer, Arguments, Function, Outcome};
use crate::error::Failure;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("ABS", "number", 1, 1, |arguments| finite(arguments.double(0)?.abs())),
    Function::new("CEIL", "number", 1, 1, |arguments| finite(arguments.double(0)?.ceil())),
    Function::new("DIVIDE", "numerator, denominator", 2, 2, |arguments| {
        finite(arguments.double(0)? / divisor(&arguments)?)
    }),
    Function::new("LOG", "value, base", 2, 2, |arguments| {
        log(arguments.double(0)?, arguments.double(1)?)
    }),
    Function::new("MAX", "num1, num2", 2, 2, |arguments| {
        finite(arguments.double(0)?.max(arguments.double(1)?))
    }),
    Function::new("MIN", "num1, num2", 2, 2, |arguments| {
        finite(arguments.double(0)?.min(arguments.double(1)?))
    }),
    Function::new("MOD", "numerator, denominator", 2, 2, |arguments| {
        finite(arguments.double(0)? % divisor(&arguments)?)
    }),
    Function::new("MULTIPLY", "num1, …, numN", 1, 0, |arguments| {
        finite(doubles(&arguments)?.iter().product())
    })
    .any_number(),
    Function::new("POW", "num1, exp", 2, 2, |arguments| {
        finite(arguments.double(0)?.powf(arguments.double(1)?))
    }),
    // Ties go up, as in Java's `Math.round`; `floor(x + 0.5)` would be wrong just below a half.
    Function::new("ROUND", "num1", 1, 1, |arguments| {
        let number = arguments.double(0)?;
        let below = number.floor();
        finite(if number - below >= 0.5 { below + 1.0 } else { below })
    }),
    Function::new("SQRT", "num1", 1, 1, |arguments| finite(arguments.double(0)?.sqrt())),
    Function::new("SUBTRACT", "num1, num2", 2, 2, |arguments| {
        finite(arguments.double(0)? - arguments.double(1)?)
    }),
    Function::new("SUM", "num1, …, numN", 1, 0, |arguments| {
        finite(doubles(&arguments)?.iter().sum())
    })
    .any_number(),
];

/// A double as a value.
pub(super) fn finite<'a>(result: f64) -> Outcome<'a> {
    match Number::from_f64(result) {
        // A sum of nothing but negative zeros is of no use to anybody.
        Some(_) if result == 0.0 => 0.0.answer(),
        Some(number) => Value::Number(number).answer(),
        None => Err(Failure::argument("the result is not a number, or too large for one")),
    }
}

fn divisor(arguments: &Arguments<'_>) -> Result<f64, Failure> {
    match arguments.double(1)? {
        0.0 => Err(Failure::argument(format!(
            "{} is zero, and nothing can be divided by it",
            arguments.describe(1)
        ))),
        divisor => Ok(divisor),
    }
}

fn log<'a>(value: f64, base: f64) -> Outcome<'a> {
    // These two are exact for powers of their base, the quotient of logarithms is not.
    finite(if base == 10.0 {
        value.log10()
    } else if base == 2.0 {
        value.log2()
    } else {
        value.ln() / base.ln()
    })
}

fn doubles(arguments: &Arguments<'_>) -> Result<Vec<f64>, Failure> {
    (0..arguments.count()).map(|index| arguments.double(index)).collect()
}
