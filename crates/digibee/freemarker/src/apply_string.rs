//! Built-ins on strings and dates.

use std::borrow::Cow;
use std::rc::Rc;

use jiff::Timestamp;
use pipepost_jsonpath::java_regex::{self, JavaRegex, Replacement, TooMuchWork};

use crate::ast::Expr;
use crate::builtins::Builtin;
use crate::error::{Position, RenderError};
use crate::eval::unexpected;
use crate::number::Number;
use crate::render::{Run, missing};
use crate::settings::DateStyle;
use crate::strings;
use crate::value::{DateKind, DateValue, Value};

impl<'a> Run<'a> {
    pub(crate) fn string_builtin(
        &mut self,
        text: Cow<'a, str>,
        builtin: Builtin,
        arguments: &'a [Expr],
        position: Position,
    ) -> Result<Value<'a>, RenderError> {
        use Builtin as B;
        let result = match builtin {
            B::Trim => text.trim_matches(|c: char| c <= ' ').to_owned(),
            B::UpperCase => text.to_uppercase(),
            B::LowerCase => text.to_lowercase(),
            B::CapFirst => strings::first_letter(&text, |c| c.to_uppercase().to_string()),
            B::UncapFirst => strings::first_letter(&text, |c| c.to_lowercase().to_string()),
            B::Capitalize => strings::capitalize(&text),
            B::Html | B::Xhtml => strings::html(&text).into_owned(),
            B::Xml => strings::xml(&text).into_owned(),
            B::JsString => strings::script(&text, false),
            B::JsonString => strings::script(&text, true),
            B::Url | B::UrlPath => {
                let charset = self.argument(arguments, 0)?;
                if charset.is_some_and(|charset| !charset.eq_ignore_ascii_case("UTF-8")) {
                    return Err(RenderError::invalid(position, "only UTF-8 is supported for URLs"));
                }
                strings::url(&text, builtin == B::UrlPath)
            }
            B::ChopLinebreak => text
                .strip_suffix("\r\n")
                .or_else(|| text.strip_suffix(['\n', '\r']))
                .unwrap_or(&text)
                .to_owned(),
            B::Length => return Ok(Value::integer(strings::length(&text))),
            B::Number => {
                return Number::parse(&text)
                    .map(Value::Number)
                    .ok_or_else(|| RenderError::invalid(position, format!("\"{}\" is no number", shorten(&text))));
            }
            B::Boolean => {
                return match &*text {
                    "true" => Ok(Value::Bool(true)),
                    "false" => Ok(Value::Bool(false)),
                    other => Err(RenderError::invalid(
                        position,
                        format!("\"{}\" is no boolean; \"true\" and \"false\" are", shorten(other)),
                    )),
                };
            }
            B::WordList => {
                let blanks = text.bytes().filter(|byte| *byte <= b' ').count();
                self.elements(blanks + 1, position)?;
                let words = text.split(|c: char| c <= ' ').filter(|word| !word.is_empty());
                return Ok(Value::sequence(words.map(|word| Some(Value::text(word))).collect()));
            }
            B::LeftPad | B::RightPad => self.pad(&text, builtin, arguments, position)?,
            B::Substring => self.substring(&text, arguments, position)?,
            _ => return self.search(&text, builtin, arguments, position),
        };
        self.check_length(result.len(), position)?;
        Ok(Value::text(result))
    }

    /// Built-ins whose first argument is looked for in the string.
    fn search(
        &mut self,
        text: &str,
        builtin: Builtin,
        arguments: &'a [Expr],
        position: Position,
    ) -> Result<Value<'a>, RenderError> {
        use Builtin as B;
        // Of these only two make strings of other values.
        let needle = match (builtin, arguments.first()) {
            (B::Replace | B::Split, Some(needle)) => self.text(needle)?,
            _ => self
                .argument(arguments, 0)?
                .ok_or_else(|| missing(position, "the argument"))?,
        };
        let needle = &*needle;
        self.work(text.len() / 16, position)?;
        let flags = match builtin.flags_at() {
            Some(at) => Flags::parse(self.argument(arguments, at)?.as_deref()),
            None => Flags::default(),
        };
        if flags.regex
            || builtin == B::Matches
            || (flags.java.case_insensitive && !matches!(builtin, B::Replace | B::Split))
            || (builtin == B::EnsureStartsWith && arguments.len() > 1)
        {
            return self.pattern(text, needle, builtin, flags, arguments, position);
        }
        let before = |at: Option<usize>| at.map_or(text, |at| &text[..at]).to_owned();
        let after = |at: Option<usize>| at.map_or("", |at| &text[at + needle.len()..]).to_owned();
        let result = match builtin {
            B::Contains => return Ok(Value::Bool(text.contains(needle))),
            B::StartsWith => return Ok(Value::Bool(text.starts_with(needle))),
            B::EndsWith => return Ok(Value::Bool(text.ends_with(needle))),
            B::IndexOf | B::LastIndexOf => {
                let from = self
                    .whole(arguments, 1)?
                    .map(|from| strings::byte_offset(text, usize::try_from(from).unwrap_or(0)));
                let found = match (builtin, from) {
                    (B::IndexOf, from) => text[from.unwrap_or(0)..].find(needle).map(|at| at + from.unwrap_or(0)),
                    (_, None) => text.rfind(needle),
                    (_, Some(from)) => text
                        .char_indices()
                        .map(|(at, _)| at)
                        .take_while(|at| *at <= from)
                        .filter(|at| text[*at..].starts_with(needle))
                        .last(),
                };
                let index = found.map_or(-1, |at| i64::try_from(strings::utf16_index(text, at)).unwrap_or(-1));
                return Ok(Value::Number(Number::Integer(index)));
            }
            B::KeepBefore => before(text.find(needle)),
            B::KeepBeforeLast => before(text.rfind(needle)),
            B::KeepAfter => after(text.find(needle)),
            B::KeepAfterLast => text
                .rfind(needle)
                .map_or("", |at| &text[at + needle.len()..])
                .to_owned(),
            B::RemoveBeginning => text.strip_prefix(needle).unwrap_or(text).to_owned(),
            B::RemoveEnding => text.strip_suffix(needle).unwrap_or(text).to_owned(),
            B::EnsureStartsWith if text.starts_with(needle) => text.to_owned(),
            B::EnsureStartsWith => format!("{needle}{text}"),
            B::EnsureEndsWith if text.ends_with(needle) => text.to_owned(),
            B::EnsureEndsWith => format!("{text}{needle}"),
            B::Split => {
                let ignore_case = flags.java.case_insensitive;
                let most = if needle.is_empty() {
                    text.len()
                } else {
                    text.len() / needle.len()
                };
                self.elements(
                    if ignore_case {
                        most
                    } else {
                        text.matches(needle).count()
                    } + 1,
                    position,
                )?;
                let parts = strings::split(text, needle, ignore_case);
                return Ok(Value::sequence(
                    parts.into_iter().map(|part| Some(Value::text(part))).collect(),
                ));
            }
            B::Replace => {
                let with = arguments
                    .get(1)
                    .map(|with| self.text(with))
                    .transpose()?
                    .unwrap_or_default();
                // The longest that it can become is known before it is made.
                let places = if needle.is_empty() {
                    text.len() + 1
                } else {
                    text.len() / needle.len()
                };
                self.check_length(
                    text.len()
                        .saturating_add(places.saturating_mul(with.len()))
                        .min(if flags.first {
                            text.len() + with.len()
                        } else {
                            usize::MAX
                        }),
                    position,
                )?;
                strings::replace(text, needle, &with, flags.java.case_insensitive, flags.first)
            }
            other => {
                return Err(RenderError::invalid(
                    position,
                    format!("?{} does not apply to a string", other.name()),
                ));
            }
        };
        self.check_length(result.len(), position)?;
        Ok(Value::text(result))
    }

    /// The same for what a flag makes a regular expression, or a text without case.
    fn pattern(
        &mut self,
        text: &str,
        needle: &str,
        builtin: Builtin,
        flags: Flags,
        arguments: &'a [Expr],
        position: Position,
    ) -> Result<Value<'a>, RenderError> {
        use Builtin as B;
        let with_pattern =
            flags.regex || builtin == B::Matches || (builtin == B::EnsureStartsWith && arguments.len() == 2);
        let java = java_regex::Flags {
            literal: !with_pattern,
            ..flags.java
        };
        // A pattern is made anew each time, and a text may be walked through once for each match.
        self.work(200 + needle.len(), position)?;
        let most = text.len() + 1;
        self.work(most / 4, position)?;
        let compiled = match builtin {
            B::Matches => JavaRegex::whole(needle, java),
            _ => JavaRegex::new(needle, java),
        };
        let regex = compiled.map_err(|error| RenderError::invalid(position, error.to_string()))?;
        let too_much = |error: TooMuchWork| RenderError::limit(position, error.to_string());
        let first = |text: &str| regex.find_from(text, 0).map_err(too_much);
        let result = match builtin {
            B::Matches => return regex.is_match(text).map(Value::Bool).map_err(too_much),
            B::Split => {
                let parts = regex
                    .split(text, &|found| found < self.limits.output / 64)
                    .map_err(too_much)?;
                self.elements(parts.len(), position)?;
                return Ok(Value::sequence(
                    parts.into_iter().map(|part| Some(Value::text(part))).collect(),
                ));
            }
            B::Replace => {
                let with = arguments
                    .get(1)
                    .map(|with| self.text(with))
                    .transpose()?
                    .unwrap_or_default();
                let with = Replacement::parse(&with, &regex)
                    .map_err(|error| RenderError::invalid(position, error.to_string()))?;
                let longest = self.limits.output;
                if flags.first {
                    regex.replace_first(text, &with, longest).map_err(too_much)?
                } else {
                    regex.replace_all(text, &with, longest, &|_| true).map_err(too_much)?
                }
            }
            B::KeepBefore => first(text)?.map_or(text, |(start, _)| &text[..start]).to_owned(),
            B::KeepAfter => first(text)?.map_or("", |(_, end)| &text[end..]).to_owned(),
            B::KeepBeforeLast | B::KeepAfterLast => {
                let mut last = None;
                let mut from = Some(0);
                while let Some(at) = from {
                    self.work(1 + (text.len() - at) / 64, position)?;
                    last = match regex.find_from(text, at).map_err(too_much)? {
                        Some(found) => Some(found),
                        None => break,
                    };
                    // As in FreeMarker, matches may overlap: the last is the one that begins last.
                    from = last.and_then(|(start, _)| Some(start + text[start..].chars().next()?.len_utf8()));
                }
                match (builtin, last) {
                    (B::KeepBeforeLast, None) => text,
                    (_, None) => "",
                    (B::KeepBeforeLast, Some((start, _))) => &text[..start],
                    (_, Some((_, end))) => &text[end..],
                }
                .to_owned()
            }
            _ => {
                let with = self.argument(arguments, 1)?.unwrap_or_default();
                match first(text)? {
                    Some((0, _)) => text.to_owned(),
                    _ => format!("{with}{text}"),
                }
            }
        };
        self.check_length(result.len(), position)?;
        Ok(Value::text(result))
    }

    fn pad(
        &mut self,
        text: &str,
        builtin: Builtin,
        arguments: &'a [Expr],
        position: Position,
    ) -> Result<String, RenderError> {
        let wanted = usize::try_from(self.whole(arguments, 0)?.unwrap_or(0)).unwrap_or(0);
        let filling = self.argument(arguments, 1)?.unwrap_or(Cow::Borrowed(" "));
        if filling.is_empty() {
            return Err(RenderError::invalid(position, "a text cannot be padded with nothing"));
        }
        let own = strings::length(text);
        let count = wanted.saturating_sub(own);
        self.check_length(count.saturating_mul(4), position)?;
        // On the right the pattern goes on as if it had begun at the text's start.
        let start = if builtin == Builtin::RightPad {
            own % filling.chars().count()
        } else {
            0
        };
        let padding: String = filling.chars().cycle().skip(start).take(count).collect();
        Ok(if builtin == Builtin::LeftPad {
            padding + text
        } else {
            format!("{text}{padding}")
        })
    }

    fn substring(&mut self, text: &str, arguments: &'a [Expr], position: Position) -> Result<String, RenderError> {
        let length = strings::length(text);
        let from = self.whole(arguments, 0)?.unwrap_or(0);
        let to = self
            .whole(arguments, 1)?
            .unwrap_or_else(|| i64::try_from(length).unwrap_or(i64::MAX));
        let part = match (usize::try_from(from), usize::try_from(to)) {
            (Ok(from), Ok(to)) if from <= to => strings::slice(text, from, to),
            _ => None,
        };
        part.ok_or_else(|| {
            RenderError::invalid(
                position,
                format!("{from} to {to} lies outside the string, which has {length} characters"),
            )
        })
    }

    pub(crate) fn date(
        &mut self,
        target: &'a Expr,
        builtin: Builtin,
        arguments: &'a [Expr],
    ) -> Result<Value<'a>, RenderError> {
        use Builtin as B;
        let kind = match builtin {
            B::Date | B::NumberToDate => DateKind::Date,
            B::Time | B::NumberToTime => DateKind::Time,
            _ => DateKind::DateTime,
        };
        let from_number = matches!(builtin, B::NumberToDate | B::NumberToTime | B::NumberToDateTime);
        let when = match self.value(target)? {
            Value::Number(number) if from_number => {
                let moment = Timestamp::from_millisecond(number.truncate())
                    .map_err(|_| RenderError::invalid(target.position, "the number of milliseconds is out of range"))?;
                moment.to_zoned(self.settings.zone.clone())
            }
            Value::Date(date) if !from_number && arguments.is_empty() => {
                if date.kind != kind && date.kind != DateKind::DateTime {
                    return Err(RenderError::invalid(
                        target.position,
                        "a date cannot become a time, nor a time a date",
                    ));
                }
                date.when.clone()
            }
            Value::Text(text) if !from_number => self.read_date(&text, kind, arguments, target.position)?,
            other => {
                return Err(unexpected(
                    target,
                    if from_number { "a number" } else { "a string or a date" },
                    &other,
                ));
            }
        };
        Ok(Value::Date(Rc::new(DateValue { when, kind })))
    }

    fn read_date(
        &mut self,
        text: &str,
        kind: DateKind,
        arguments: &'a [Expr],
        position: Position,
    ) -> Result<jiff::Zoned, RenderError> {
        let style = match self.argument(arguments, 0)? {
            Some(format) => DateStyle::parse(&format).map_err(|problem| RenderError::invalid(position, problem))?,
            None => self.settings.style(kind).clone(),
        };
        let zone = self.settings.zone.clone();
        match style.pattern(kind, self.settings.locale) {
            Some(pattern) => pattern
                .read(text, &zone, self.settings.locale, self.now)
                .map_err(|error| RenderError::invalid(position, error.to_string())),
            None => read_iso(text, kind, &zone)
                .ok_or_else(|| RenderError::invalid(position, format!("\"{}\" is no ISO 8601 date", shorten(text)))),
        }
    }
}

fn read_iso(text: &str, kind: DateKind, zone: &jiff::tz::TimeZone) -> Option<jiff::Zoned> {
    if kind == DateKind::Time {
        return read_iso_time(text, zone);
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.to_zoned(zone.clone()));
    }
    let local = match kind {
        DateKind::Date => text
            .parse::<jiff::civil::Date>()
            .ok()?
            .to_datetime(jiff::civil::Time::midnight()),
        _ => text.parse().ok()?,
    };
    zone.to_ambiguous_zoned(local).later().ok()
}

/// A time of the day, which is one of the first of January 1970: `10:20:30.5`, `10:20`, `102030`, with `Z` or an offset.
fn read_iso_time(text: &str, zone: &jiff::tz::TimeZone) -> Option<jiff::Zoned> {
    let (time, zone) = match text.find(['Z', '+', '-']) {
        None => (text, zone.clone()),
        Some(at) => (&text[..at], jiff::tz::TimeZone::fixed(read_offset(&text[at..])?)),
    };
    let midnight = jiff::civil::date(1970, 1, 1).to_datetime(jiff::civil::Time::midnight());
    let local = match time {
        // The end of the day.
        "24" | "24:00" | "24:00:00" | "2400" | "240000" => midnight.tomorrow().ok()?,
        time => midnight.date().to_datetime(format!("T{time}").parse().ok()?),
    };
    zone.to_ambiguous_zoned(local).later().ok()
}

/// `Z`, `+02`, `+02:00` or `+0200`.
fn read_offset(text: &str) -> Option<jiff::tz::Offset> {
    let (sign, rest) = match text.as_bytes() {
        [b'Z'] => return Some(jiff::tz::Offset::UTC),
        [b'+', ..] => (1, &text[1..]),
        [b'-', ..] => (-1, &text[1..]),
        _ => return None,
    };
    let digits = rest.replacen(':', "", 1);
    let is_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    let (hours, minutes) = match digits.len() {
        2 if is_digits => (digits.parse::<i32>().ok()?, 0),
        4 if is_digits => (digits[..2].parse::<i32>().ok()?, digits[2..].parse().ok()?),
        _ => return None,
    };
    jiff::tz::Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

/// The flags of a search, as their letters: how a text is looked for.
#[derive(Default, Clone, Copy)]
struct Flags {
    regex: bool,
    first: bool,
    java: java_regex::Flags,
}

impl Flags {
    /// The parser has refused other letters.
    fn parse(letters: Option<&str>) -> Self {
        let has = |letter| letters.is_some_and(|letters| letters.contains(letter));
        Self {
            regex: has('r'),
            first: has('f'),
            java: java_regex::Flags {
                case_insensitive: has('i'),
                unicode_case: has('i'),
                multiline: has('m'),
                dotall: has('s'),
                comments: has('c'),
                ..java_regex::Flags::default()
            },
        }
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
