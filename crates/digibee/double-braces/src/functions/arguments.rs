//! The arguments of a function, and the conversions that functions share.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use pipepost_java_format::{NumberPattern, Symbols};
use pipepost_jsonpath::JsonPath;
use pipepost_jsonpath::java_regex::JavaRegex;
use serde_json::{Number, Value};

use super::{Compiled, PatternKind};
use crate::Context;
use crate::date_format::DateFormat;
use crate::error::Failure;
use crate::expression::Expression;
use crate::text::{cut, to_text};

/// The evaluated arguments of one call.
pub(crate) struct Arguments<'a> {
    /// The arguments as they were written, for messages.
    pub(crate) written: &'a [Expression],
    /// Which of them are patterns.
    pub(crate) patterns: &'static [(usize, PatternKind)],
    /// The constant patterns, each with its argument's index.
    pub(crate) compiled: &'a [(usize, Compiled)],
    pub(crate) values: Vec<Cow<'a, Value>>,
    pub(crate) context: &'a dyn Context,
}

impl<'a> Arguments<'a> {
    pub(crate) fn count(&self) -> usize {
        self.values.len()
    }

    /// The argument, null when it is absent.
    pub(crate) fn get(&self, index: usize) -> &Value {
        self.values.get(index).map_or(&Value::Null, |value| value)
    }

    /// The argument itself, without a copy; null from then on.
    pub(crate) fn take(&mut self, index: usize) -> Cow<'a, Value> {
        match self.values.get_mut(index) {
            Some(value) => std::mem::replace(value, Cow::Owned(Value::Null)),
            None => Cow::Owned(Value::Null),
        }
    }

    pub(crate) fn is_null(&self, index: usize) -> bool {
        self.get(index).is_null()
    }

    /// A condition: null counts as false, and the words true and false count as what they say.
    pub(crate) fn truth(&self, index: usize) -> Result<bool, Failure> {
        match self.get(index) {
            Value::Null => Ok(false),
            Value::Bool(truth) => Ok(*truth),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(self.not(index, "a boolean")),
        }
    }

    /// The argument's text form; `None` for null.
    pub(crate) fn text(&self, index: usize) -> Option<Cow<'_, str>> {
        match self.get(index) {
            Value::Null => None,
            Value::String(text) => Some(Cow::Borrowed(text)),
            other => Some(Cow::Owned(to_text(other))),
        }
    }

    /// The argument's text form, which must be there.
    pub(crate) fn required_text(&self, index: usize) -> Result<Cow<'_, str>, Failure> {
        self.text(index).ok_or_else(|| self.not(index, "a text"))
    }

    /// A number, or a text that holds one.
    pub(crate) fn number(&self, index: usize) -> Result<Number, Failure> {
        as_number(self.get(index)).ok_or_else(|| self.not(index, "a number"))
    }

    pub(crate) fn double(&self, index: usize) -> Result<f64, Failure> {
        self.number(index)?.as_f64().ok_or_else(|| self.not(index, "a number"))
    }

    /// A whole number; fractions are refused.
    pub(crate) fn integer(&self, index: usize) -> Result<i64, Failure> {
        let number = self.number(index)?;
        number
            .as_i64()
            .or_else(|| number.as_f64().filter(|double| double.fract() == 0.0).and_then(whole))
            .ok_or_else(|| self.not(index, "a whole number"))
    }

    /// The pattern in this argument, as its function declares it.
    fn pattern(&self, index: usize) -> Result<Cow<'a, Compiled>, Failure> {
        if let Some((_, compiled)) = self.compiled.iter().find(|(at, _)| *at == index) {
            return Ok(Cow::Borrowed(compiled));
        }
        let kind = self.patterns.iter().find(|(at, _)| *at == index).map(|(_, kind)| *kind);
        let Some(kind) = kind else {
            return Err(self.not(index, "a pattern"));
        };
        let (pattern, flags) = (self.get(index), self.get(index + 1));
        Compiled::new(kind, pattern, flags).map(Cow::Owned).map_err(|_| {
            let mut failure = self.not(index, kind.wanted());
            // What is wrong in detail could quote the pattern, which may come from a scope. Where it is and what was expected
            // there quote nothing.
            if let (PatternKind::JsonPath, Value::String(text)) = (kind, pattern)
                && let Err(error) = JsonPath::parse(text)
            {
                let (column, expected) = (error.column(), error.expected());
                failure
                    .reason
                    .push_str(&format!(": at column {column} of the path, expected {expected}"));
            }
            failure
        })
    }

    pub(crate) fn regex(&self, index: usize) -> Result<Cow<'a, JavaRegex>, Failure> {
        match self.pattern(index)? {
            Cow::Borrowed(Compiled::Regex(regex)) => Ok(Cow::Borrowed(regex)),
            Cow::Owned(Compiled::Regex(regex)) => Ok(Cow::Owned(regex)),
            _ => Err(self.not(index, PatternKind::Regex.wanted())),
        }
    }

    pub(crate) fn json_path(&self, index: usize) -> Result<Cow<'a, JsonPath>, Failure> {
        match self.pattern(index)? {
            Cow::Borrowed(Compiled::JsonPath(path)) => Ok(Cow::Borrowed(path)),
            Cow::Owned(Compiled::JsonPath(path)) => Ok(Cow::Owned(path)),
            _ => Err(self.not(index, PatternKind::JsonPath.wanted())),
        }
    }

    pub(crate) fn date_format(&self, index: usize) -> Result<Cow<'a, DateFormat>, Failure> {
        match self.pattern(index)? {
            Cow::Borrowed(Compiled::Date(format)) => Ok(Cow::Borrowed(format)),
            Cow::Owned(Compiled::Date(format)) => Ok(Cow::Owned(format)),
            _ => Err(self.not(index, PatternKind::DateToRead.wanted())),
        }
    }

    pub(crate) fn number_format(&self, index: usize) -> Result<Cow<'a, NumberPattern>, Failure> {
        match self.pattern(index)? {
            Cow::Borrowed(Compiled::Number(format)) => Ok(Cow::Borrowed(format)),
            Cow::Owned(Compiled::Number(format)) => Ok(Cow::Owned(format)),
            _ => Err(self.not(index, PatternKind::Number.wanted())),
        }
    }

    /// The locale in this argument; en-US when it is absent or null.
    pub(crate) fn locale(&self, index: usize) -> Result<Symbols, Failure> {
        match &*self.pattern(index)? {
            Compiled::Locale(symbols) => Ok(*symbols),
            _ => Err(self.not(index, PatternKind::Locale.wanted())),
        }
    }

    /// The time zone in this argument; the context's when it is absent or null.
    pub(crate) fn time_zone(&self, index: usize) -> Result<TimeZone, Failure> {
        if self.is_null(index) {
            return Ok(self.context.time_zone());
        }
        match &*self.pattern(index)? {
            Compiled::TimeZone(zone) => Ok(zone.clone()),
            _ => Err(self.not(index, PatternKind::TimeZone.wanted())),
        }
    }

    /// The failure that says what an argument should have been. Values from scopes are described, never shown.
    pub(crate) fn not(&self, index: usize, wanted: &str) -> Failure {
        let what = match self.get(index) {
            Value::Null if index >= self.values.len() => "absent".to_owned(),
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "a boolean".to_owned(),
            Value::Number(number) if number.is_f64() => "a number with a fraction".to_owned(),
            Value::Number(_) => "a whole number".to_owned(),
            Value::String(text) => match text.chars().count() {
                0 => "an empty text".to_owned(),
                1 => "a text of 1 character".to_owned(),
                count => format!("a text of {count} characters"),
            },
            Value::Array(elements) => format!("an array (length {})", elements.len()),
            Value::Object(_) => "an object".to_owned(),
        };
        Failure::argument(format!("{} must be {wanted}, and is {what}", self.describe(index)))
    }

    /// The argument as the expression writes it, or its start.
    pub(crate) fn describe(&self, index: usize) -> String {
        match self.written.get(index) {
            Some(argument) => format!("argument {}, {},", index + 1, cut(&argument.to_string())),
            None => format!("argument {}", index + 1),
        }
    }
}

/// A number, or a text that holds one as Java's `Double.parseDouble` or JSON would read it.
pub(crate) fn as_number(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => {
            let text = text.trim();
            if let Ok(integer) = text.parse::<i64>() {
                return Some(integer.into());
            }
            // Rust also reads "inf" and "nan"; they are no numbers here.
            let plain = text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
            if plain {
                text.parse().ok().and_then(Number::from_f64)
            } else {
                None
            }
        }
        _ => None,
    }
}

/// The whole part, when it is a 64-bit number.
pub(crate) fn whole(double: f64) -> Option<i64> {
    let whole = double.trunc();
    // 2^63 itself is the first double that is too large.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    (whole >= i64::MIN as f64 && whole < i64::MAX as f64).then_some(whole as i64)
}
