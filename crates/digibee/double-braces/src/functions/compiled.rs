//! Patterns. A constant pattern is compiled once, when the expression is parsed; any other is compiled at each
//! evaluation.

use jiff::tz::TimeZone;
use pipepost_java_format::{NumberPattern, Symbols, time_zone};
use pipepost_jsonpath::JsonPath;
use pipepost_jsonpath::java_regex::{Flags, JavaRegex};
use serde_json::Value;

use crate::ParseError;
use crate::date_format::DateFormat;
use crate::expression::{Expression, Node};
use crate::functions::Function;
use crate::text::cut;

/// What an argument is a pattern of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatternKind {
    /// Looked for anywhere.
    Regex,
    /// Matched by the whole text.
    WholeRegex,
    /// With the names of flags in the argument after it.
    FlaggedRegex,
    JsonPath,
    /// By which dates are read.
    DateToRead,
    /// By which dates are written.
    DateToWrite,
    Number,
    Locale,
    TimeZone,
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) enum Compiled {
    Regex(JavaRegex),
    JsonPath(JsonPath),
    Date(DateFormat),
    Number(NumberPattern),
    Locale(Symbols),
    TimeZone(TimeZone),
}

impl Compiled {
    /// The constant patterns of a call, each with its argument's index.
    pub(crate) fn all(function: &Function, arguments: &[Expression]) -> Result<Vec<(usize, Self)>, ParseError> {
        let mut compiled = Vec::new();
        for (index, kind) in function.patterns {
            let Some(Expression {
                node: Node::Literal(value),
                position,
            }) = arguments.get(*index)
            else {
                continue;
            };
            let flags = match arguments.get(index + 1).map(|argument| &argument.node) {
                _ if *kind != PatternKind::FlaggedRegex => &Value::Null,
                None => &Value::Null,
                Some(Node::Literal(flags)) => flags,
                Some(_) => continue,
            };
            let pattern = Self::new(*kind, value, flags).map_err(|expected| {
                ParseError::new(
                    *position,
                    format!(
                        "{} as an argument of {}",
                        cut(&arguments[*index].to_string()),
                        function.name
                    ),
                    expected,
                )
            })?;
            compiled.push((*index, pattern));
        }
        Ok(compiled)
    }

    /// The error says what would have been right, and may quote the pattern.
    pub(crate) fn new(kind: PatternKind, pattern: &Value, flags: &Value) -> Result<Self, String> {
        let text = match pattern {
            Value::String(text) if kind == PatternKind::Locale && text.trim().is_empty() => {
                return Ok(Self::Locale(Symbols::default()));
            }
            Value::String(text) => text.as_str(),
            // Absent dates and locales have a meaning of their own.
            Value::Null if matches!(kind, PatternKind::DateToRead | PatternKind::DateToWrite) => {
                return Ok(Self::Date(DateFormat::Iso));
            }
            // So has a flag in a locale's place, which the locale was left out before.
            Value::Null | Value::Bool(_) if kind == PatternKind::Locale => {
                return Ok(Self::Locale(Symbols::default()));
            }
            Value::Null if kind == PatternKind::TimeZone => return Ok(Self::TimeZone(TimeZone::UTC)),
            _ => return Err(format!("{} in a text", kind.wanted())),
        };
        let because = |reason: String| format!("{}: {reason}", kind.wanted());
        match kind {
            PatternKind::Regex => JavaRegex::new(text, Flags::default())
                .map(Compiled::Regex)
                .map_err(|e| e.to_string()),
            PatternKind::WholeRegex => JavaRegex::whole(text, Flags::default())
                .map(Compiled::Regex)
                .map_err(|error| error.to_string()),
            PatternKind::FlaggedRegex => {
                let flags = parse_flags(flags).ok_or("names of Java's pattern flags, such as CASE_INSENSITIVE")?;
                JavaRegex::new(text, flags)
                    .map(Compiled::Regex)
                    .map_err(|error| error.to_string())
            }
            PatternKind::JsonPath => JsonPath::parse(text)
                .map(Compiled::JsonPath)
                .map_err(|e| because(e.to_string())),
            PatternKind::DateToRead => DateFormat::to_read(text).map(Compiled::Date).map_err(because),
            PatternKind::DateToWrite => DateFormat::parse_pattern(text).map(Compiled::Date).map_err(because),
            PatternKind::Number => NumberPattern::parse(text)
                .map(|pattern| Self::Number(pattern.lenient()))
                .map_err(|error| because(error.problem().to_owned())),
            PatternKind::Locale => Symbols::of_tag(text)
                .map(Compiled::Locale)
                .ok_or_else(|| kind.wanted().to_owned()),
            PatternKind::TimeZone => time_zone(text)
                .map(Compiled::TimeZone)
                .ok_or_else(|| kind.wanted().to_owned()),
        }
    }
}

impl PatternKind {
    /// What an argument of this kind must be.
    pub(crate) fn wanted(self) -> &'static str {
        match self {
            Self::Regex | Self::WholeRegex | Self::FlaggedRegex => "a Java regular expression",
            Self::JsonPath => "a JSONPath",
            Self::DateToRead | Self::DateToWrite => "a date pattern of Java's SimpleDateFormat, or timestamp",
            Self::Number => "a number pattern of Java's DecimalFormat",
            Self::Locale => "a locale of English, Portuguese, Spanish, German or French, such as en-US or pt-BR",
            Self::TimeZone => "a time zone, such as UTC, America/Sao_Paulo or GMT-03:00",
        }
    }
}

/// Names of flags, joined by `|`, commas or blanks.
fn parse_flags(names: &Value) -> Option<Flags> {
    let mut flags = Flags::default();
    let names = match names {
        Value::Null => "",
        Value::String(names) => names,
        _ => return None,
    };
    for name in names.split(['|', ',', ' ']).filter(|name| !name.is_empty()) {
        let name = name.rsplit('.').next().unwrap_or(name).to_ascii_uppercase();
        if !flags.set(&name) {
            return None;
        }
    }
    Some(flags)
}
