//! The forms in which dates are written and read here: by a Java pattern, as ISO 8601, or as milliseconds.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use pipepost_java_format::{DatePattern, Symbols};

/// The longest pattern, in bytes; one letter can ask for as many digits.
const MAX_PATTERN: usize = 256;

/// How a date is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DateFormat {
    /// Milliseconds since 1970.
    Timestamp,
    /// ISO 8601 with milliseconds and the offset, `Z` for UTC.
    Iso,
    Pattern(DatePattern),
}

impl DateFormat {
    /// A pattern, or the word `timestamp`. The error is a reason.
    pub(crate) fn parse_pattern(pattern: &str) -> Result<Self, String> {
        if pattern.eq_ignore_ascii_case("timestamp") {
            return Ok(Self::Timestamp);
        }
        if pattern.len() > MAX_PATTERN {
            return Err(format!("it is longer than {MAX_PATTERN} bytes"));
        }
        DatePattern::parse(pattern)
            .map(|pattern| Self::Pattern(pattern.lenient()))
            .map_err(|error| error.problem().to_owned())
    }

    /// A pattern by which dates can be read: without weeks. A week and its day need each other, nobody writes dates so,
    /// and a year of weeks (`YYYY`) is always a slip for the year.
    pub(crate) fn to_read(pattern: &str) -> Result<Self, String> {
        let format = Self::parse_pattern(pattern)?;
        match &format {
            Self::Pattern(pattern) if pattern.is_empty() => Err("it is empty".to_owned()),
            Self::Pattern(pattern) if pattern.counts_weeks() => {
                Err("Y, w, W and F count weeks, by which dates are not read; y is the year".to_owned())
            }
            _ => Ok(format),
        }
    }

    pub(crate) fn format(&self, date: &Zoned, symbols: Symbols) -> String {
        match self {
            Self::Timestamp => date.timestamp().as_millisecond().to_string(),
            Self::Iso => iso(date),
            Self::Pattern(pattern) => pattern.format(date, symbols),
        }
    }

    /// The instant that a text means. `zone` holds when the text names none, `now` decides the century of two digits.
    pub(crate) fn parse(&self, text: &str, symbols: Symbols, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Timestamp => Timestamp::from_millisecond(text.trim().parse().ok()?).ok(),
            Self::Iso => read_iso(text.trim(), zone),
            Self::Pattern(pattern) => Some(pattern.read(text, zone, symbols, now).ok()?.timestamp()),
        }
    }
}

fn iso(date: &Zoned) -> String {
    let sign = if date.year() < 0 { "-" } else { "" };
    format!(
        "{sign}{:04}-{}.{:03}{}",
        date.year().unsigned_abs(),
        date.strftime("%m-%dT%H:%M:%S"),
        date.millisecond(),
        iso_offset(date.offset().seconds())
    )
}

/// Whole minutes: the seconds of a local mean time have no place in it.
fn iso_offset(seconds: i32) -> String {
    if seconds == 0 {
        return "Z".to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// An instant, or a date and time, or a date, in ISO 8601.
fn read_iso(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(instant) = text.parse() {
        return Some(instant);
    }
    let civil: DateTime = text
        .parse()
        .or_else(|_| text.parse::<Date>().map(|date| date.to_datetime(Time::midnight())))
        .ok()?;
    civil.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}
