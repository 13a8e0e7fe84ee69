//! Dates, as Java's patterns, as ISO 8601, or as milliseconds since 1970.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Unit, Zoned};
use serde_json::Value;

use super::{Answer, Arguments, Function, Outcome, PatternKind};
use crate::date_format::DateFormat;
use crate::error::Failure;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "FORMATDATE",
        "value, \"origin-format\", \"destination-format\", \"locale-origin\"?, \"timezone-origin\"?, \
         \"locale-destination\"?, \"timezone-destination\"?",
        3,
        7,
        |arguments| {
            let Some(instant) = parse(&arguments, 0, 1, 3, 4)? else {
                return Value::Null.answer();
            };
            write(&arguments, instant, 2, 5, 6)
        },
    )
    .patterns(&[
        (1, PatternKind::DateToRead),
        (2, PatternKind::DateToWrite),
        (3, PatternKind::Locale),
        (4, PatternKind::TimeZone),
        (5, PatternKind::Locale),
        (6, PatternKind::TimeZone),
    ]),
    Function::new("NOW", "", 0, 0, |arguments| {
        arguments.context.now().as_millisecond().answer()
    }),
    Function::new(
        "SUMDATE",
        "milliseconds:number, unit:string, value:string, zoneId?",
        3,
        4,
        sum_date,
    )
    .patterns(&[(3, PatternKind::TimeZone)]),
    Function::new(
        "TOISODATE",
        "value, \"formatSource\", \"locale\"?, \"timezone\"?",
        2,
        4,
        |arguments| {
            let Some(instant) = parse(&arguments, 0, 1, 2, 3)? else {
                return Value::Null.answer();
            };
            DateFormat::Iso
                .format(&instant.to_zoned(TimeZone::UTC), arguments.locale(2)?)
                .answer()
        },
    )
    .patterns(&[
        (1, PatternKind::DateToRead),
        (2, PatternKind::Locale),
        (3, PatternKind::TimeZone),
    ]),
    Function::new("DIFFDATE", "timestamp1, timestamp2, \"timeUnit\"", 3, 3, difference),
];

/// The instant that a text or number means; `None` for null.
fn parse(
    arguments: &Arguments<'_>,
    value: usize,
    format: usize,
    locale: usize,
    zone: usize,
) -> Result<Option<Timestamp>, Failure> {
    let format = arguments.date_format(format)?;
    let (locale, zone) = (arguments.locale(locale)?, arguments.time_zone(zone)?);
    if arguments.is_null(value) {
        return Ok(None);
    }
    if *format == DateFormat::Timestamp {
        return instant(arguments, value).map(Some);
    }
    let parsed = format.parse(&arguments.required_text(value)?, locale, &zone, arguments.context.now());
    match parsed {
        Some(instant) => Ok(Some(instant)),
        None => Err(arguments.not(value, "a date in the format that is given")),
    }
}

fn write<'a>(arguments: &Arguments<'a>, instant: Timestamp, format: usize, locale: usize, zone: usize) -> Outcome<'a> {
    let format = arguments.date_format(format)?;
    if *format == DateFormat::Timestamp {
        return instant.as_millisecond().answer();
    }
    let zoned = instant.to_zoned(arguments.time_zone(zone)?);
    format.format(&zoned, arguments.locale(locale)?).answer()
}

fn sum_date(arguments: Arguments<'_>) -> Outcome<'_> {
    if arguments.is_null(0) {
        return Value::Null.answer();
    }
    let start = instant(&arguments, 0)?.to_zoned(arguments.time_zone(3)?);
    let amount = arguments.integer(2)?;
    let out_of_range = || Failure::argument("the date would be out of the years -9999 to 9999");
    let span = match unit(&arguments, 1)? {
        Unit::Year => Span::new().try_years(amount),
        Unit::Month => Span::new().try_months(amount),
        Unit::Week => Span::new().try_weeks(amount),
        Unit::Day => Span::new().try_days(amount),
        Unit::Hour => Span::new().try_hours(amount),
        Unit::Minute => Span::new().try_minutes(amount),
        Unit::Second => Span::new().try_seconds(amount),
        _ => Span::new().try_milliseconds(amount),
    };
    let sum = span
        .and_then(|span| start.checked_add(span))
        .map_err(|_| out_of_range())?;
    sum.timestamp().as_millisecond().answer()
}

fn difference(arguments: Arguments<'_>) -> Outcome<'_> {
    let unit = unit(&arguments, 2)?;
    if arguments.is_null(0) || arguments.is_null(1) {
        return Value::Null.answer();
    }
    let zone = arguments.context.time_zone();
    let from = instant(&arguments, 0)?.to_zoned(zone.clone());
    let to = instant(&arguments, 1)?.to_zoned(zone);
    count_units(&from, &to, unit)
        .ok_or_else(|| Failure::argument("the dates are too far apart"))?
        .answer()
}

/// How many whole units lie between, towards zero, as Java's `ChronoUnit.between` counts them: a month is whole when
/// its day is reached, so that one year after 29 February ends on 1 March.
fn count_units(from: &Zoned, to: &Zoned, unit: Unit) -> Option<i64> {
    let milliseconds = to
        .timestamp()
        .as_millisecond()
        .checked_sub(from.timestamp().as_millisecond())?;
    match unit {
        Unit::Hour => return Some(milliseconds / 3_600_000),
        Unit::Minute => return Some(milliseconds / 60_000),
        Unit::Second => return Some(milliseconds / 1000),
        Unit::Year | Unit::Month | Unit::Week | Unit::Day => {}
        _ => return Some(milliseconds),
    }
    let mut end = to.date();
    if end > from.date() && to.time() < from.time() {
        end = end.yesterday().ok()?;
    } else if end < from.date() && to.time() > from.time() {
        end = end.tomorrow().ok()?;
    }
    let days = i64::from(from.date().until(end).ok()?.get_days());
    let month = |date: Date| (i64::from(date.year()) * 12 + i64::from(date.month())) * 32 + i64::from(date.day());
    let months = (month(end) - month(from.date())) / 32;
    Some(match unit {
        Unit::Year => months / 12,
        Unit::Month => months,
        Unit::Week => days / 7,
        _ => days,
    })
}

fn unit(arguments: &Arguments<'_>, index: usize) -> Result<Unit, Failure> {
    let name = arguments.required_text(index)?.trim().to_ascii_lowercase();
    Ok(match name.strip_suffix('s').unwrap_or(&name) {
        "year" => Unit::Year,
        "month" => Unit::Month,
        "week" => Unit::Week,
        "day" => Unit::Day,
        "hour" => Unit::Hour,
        "minute" => Unit::Minute,
        "second" => Unit::Second,
        "millisecond" => Unit::Millisecond,
        _ => {
            let wanted = "must be year, month, week, day, hour, minute, second or millisecond";
            return Err(Failure::argument(format!("{} {wanted}", arguments.describe(index))));
        }
    })
}

fn instant(arguments: &Arguments<'_>, index: usize) -> Result<Timestamp, Failure> {
    Timestamp::from_millisecond(arguments.integer(index)?)
        .map_err(|_| arguments.not(index, "milliseconds within the years -9999 to 9999"))
}
