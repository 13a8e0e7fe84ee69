//! `SimpleDateFormat`: patterns and writing. Reading is in its own module.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::{Locale, date_parse};

/// How a date is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DateFormat {
    /// Milliseconds since 1970.
    Timestamp,
    /// ISO 8601 with milliseconds and the offset, `Z` for UTC.
    Iso,
    Pattern(Vec<Item>),
}

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Text(String),
    Field(Field, usize),
}

/// A pattern letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Era,
    Year,
    WeekYear,
    Month,
    WeekInYear,
    WeekInMonth,
    DayInYear,
    DayInMonth,
    DayOfWeekInMonth,
    DayName,
    DayNumber,
    Half,
    /// 0 to 23.
    Hour,
    /// 1 to 24.
    HourFrom1,
    /// 0 to 11.
    HalfHour,
    /// 1 to 12.
    HalfHourFrom1,
    Minute,
    Second,
    Millisecond,
    ZoneName,
    ZoneRfc822,
    ZoneIso8601,
}

/// The longest pattern, in bytes; one letter can ask for as many digits.
const MAX_PATTERN: usize = 256;

impl DateFormat {
    /// A pattern, or the word `timestamp`. The error is a reason.
    pub(crate) fn parse_pattern(pattern: &str) -> Result<DateFormat, String> {
        if pattern.eq_ignore_ascii_case("timestamp") {
            return Ok(DateFormat::Timestamp);
        }
        if pattern.len() > MAX_PATTERN {
            return Err(format!("it is longer than {MAX_PATTERN} bytes"));
        }
        let mut items: Vec<Item> = Vec::new();
        let push_text = |items: &mut Vec<Item>, c: char| match items.last_mut() {
            Some(Item::Text(text)) => text.push(c),
            _ => items.push(Item::Text(c.to_string())),
        };
        let mut chars = pattern.chars().peekable();
        let mut quoted = false;
        while let Some(c) = chars.next() {
            match c {
                '\'' if chars.next_if_eq(&'\'').is_some() => push_text(&mut items, '\''),
                '\'' => quoted = !quoted,
                c if !quoted && c.is_ascii_alphabetic() => {
                    let field = Field::from_letter(c)
                        .ok_or_else(|| format!("{c} is not a pattern letter; text stands in single quotes"))?;
                    let mut count = 1;
                    while chars.next_if_eq(&c).is_some() {
                        count += 1;
                    }
                    if field == Field::ZoneIso8601 && count > 3 {
                        return Err("X stands three times at most".to_owned());
                    }
                    items.push(Item::Field(field, count));
                }
                c => push_text(&mut items, c),
            }
        }
        if quoted {
            return Err("a quote is not closed".to_owned());
        }
        Ok(DateFormat::Pattern(items))
    }

    /// A pattern by which dates can be read: without weeks. A week and its day need each other, nobody writes dates so,
    /// and a year of weeks (`YYYY`) is always a slip for the year.
    pub(crate) fn to_read(pattern: &str) -> Result<DateFormat, String> {
        let format = DateFormat::parse_pattern(pattern)?;
        let weeks = |item: &Item| matches!(item, Item::Field(field, _) if field.counts_weeks());
        match &format {
            DateFormat::Pattern(items) if items.is_empty() => Err("it is empty".to_owned()),
            DateFormat::Pattern(items) if items.iter().any(weeks) => {
                Err("Y, w, W and F count weeks, by which dates are not read; y is the year".to_owned())
            }
            _ => Ok(format),
        }
    }

    pub(crate) fn format(&self, date: &Zoned, locale: Locale) -> String {
        match self {
            DateFormat::Timestamp => date.timestamp().as_millisecond().to_string(),
            DateFormat::Iso => {
                let sign = if date.year() < 0 { "-" } else { "" };
                let rest = date.strftime("%m-%dT%H:%M:%S");
                format!(
                    "{sign}{:04}-{rest}.{:03}{}",
                    date.year().unsigned_abs(),
                    date.millisecond(),
                    iso_offset(date, 3)
                )
            }
            DateFormat::Pattern(items) => {
                let mut text = String::new();
                for item in items {
                    match item {
                        Item::Text(literal) => text.push_str(literal),
                        Item::Field(field, count) => text.push_str(&field.format(*count, date, locale)),
                    }
                }
                text
            }
        }
    }

    /// The instant that a text means. `zone` holds when the text names none, `now` decides the century of two digits.
    pub(crate) fn parse(&self, text: &str, locale: Locale, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        match self {
            DateFormat::Timestamp => Timestamp::from_millisecond(text.trim().parse().ok()?).ok(),
            DateFormat::Iso => date_parse::iso(text.trim(), zone),
            DateFormat::Pattern(items) => date_parse::pattern(items, text, locale, zone, now),
        }
    }
}

impl Field {
    fn from_letter(letter: char) -> Option<Field> {
        Some(match letter {
            'G' => Field::Era,
            'y' => Field::Year,
            'Y' => Field::WeekYear,
            'M' | 'L' => Field::Month,
            'w' => Field::WeekInYear,
            'W' => Field::WeekInMonth,
            'D' => Field::DayInYear,
            'd' => Field::DayInMonth,
            'F' => Field::DayOfWeekInMonth,
            'E' => Field::DayName,
            'u' => Field::DayNumber,
            'a' => Field::Half,
            'H' => Field::Hour,
            'k' => Field::HourFrom1,
            'K' => Field::HalfHour,
            'h' => Field::HalfHourFrom1,
            'm' => Field::Minute,
            's' => Field::Second,
            'S' => Field::Millisecond,
            'z' => Field::ZoneName,
            'Z' => Field::ZoneRfc822,
            'X' => Field::ZoneIso8601,
            _ => return None,
        })
    }

    fn counts_weeks(self) -> bool {
        matches!(
            self,
            Field::WeekYear | Field::WeekInYear | Field::WeekInMonth | Field::DayOfWeekInMonth
        )
    }

    /// Whether it is written in digits.
    pub(crate) fn is_numeric(self, count: usize) -> bool {
        match self {
            Field::Month => count < 3,
            Field::Era | Field::DayName | Field::Half | Field::ZoneName | Field::ZoneRfc822 | Field::ZoneIso8601 => {
                false
            }
            _ => true,
        }
    }

    fn format(self, count: usize, date: &Zoned, locale: Locale) -> String {
        let name = |names: &'static [&'static str], index: i8| {
            usize::try_from(index)
                .ok()
                .and_then(|index| names.get(index))
                .copied()
                .unwrap_or_default()
                .to_owned()
        };
        let weekday = date.weekday().to_monday_zero_offset();
        let hour = date.hour();
        let number = match self {
            Field::Era => return locale.names.eras[usize::from(date.year() > 0)].to_owned(),
            Field::Year => return year(if date.year() > 0 { date.year() } else { 1 - date.year() }, count),
            Field::WeekYear => return year(week_of_year(date.date(), locale).0, count),
            Field::Month if count >= 4 => return name(&locale.names.months, date.month() - 1),
            Field::Month if count == 3 => return name(&locale.names.short_months, date.month() - 1),
            Field::DayName if count >= 4 => return name(&locale.names.days, weekday),
            Field::DayName => return name(&locale.names.short_days, weekday),
            Field::Half => return locale.names.halves[usize::from(hour >= 12)].to_owned(),
            Field::Millisecond if count > 3 => {
                // Java writes the milliseconds with zeros before them, which no one means by a longer fraction.
                return format!("{:03}{}", date.millisecond(), "0".repeat(count - 3));
            }
            Field::ZoneName => return zone_name(date, count),
            Field::ZoneRfc822 => return offset(date, ""),
            Field::ZoneIso8601 => return iso_offset(date, count),
            Field::Month => date.month().into(),
            Field::WeekInYear => week_of_year(date.date(), locale).1,
            Field::WeekInMonth => week_of_month(date.date(), locale),
            Field::DayInYear => date.day_of_year(),
            Field::DayInMonth => date.day().into(),
            Field::DayOfWeekInMonth => i16::from((date.day() - 1) / 7 + 1),
            Field::DayNumber => i16::from(weekday) + 1,
            Field::Hour => hour.into(),
            Field::HourFrom1 => i16::from(if hour == 0 { 24 } else { hour }),
            Field::HalfHour => i16::from(hour % 12),
            Field::HalfHourFrom1 => i16::from(if hour % 12 == 0 { 12 } else { hour % 12 }),
            Field::Minute => date.minute().into(),
            Field::Second => date.second().into(),
            Field::Millisecond => date.millisecond(),
        };
        format!("{number:0count$}")
    }
}

/// Two letters mean the last two digits.
fn year(year: i16, count: usize) -> String {
    if count == 2 {
        format!("{:02}", year.rem_euclid(100))
    } else {
        format!("{year:0count$}")
    }
}

fn offset(date: &Zoned, separator: &str) -> String {
    let seconds = date.offset().seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;
    format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
}

fn iso_offset(date: &Zoned, count: usize) -> String {
    match count {
        _ if date.offset().seconds() == 0 => "Z".to_owned(),
        1 => offset(date, "").chars().take(3).collect(),
        2 => offset(date, ""),
        _ => offset(date, ":"),
    }
}

fn zone_name(date: &Zoned, count: usize) -> String {
    let info = date.time_zone().to_offset_info(date.timestamp());
    let abbreviation = info.abbreviation();
    if *date.time_zone() == TimeZone::UTC || abbreviation == "UTC" {
        return if count >= 4 {
            "Coordinated Universal Time"
        } else {
            "UTC"
        }
        .to_owned();
    }
    // Many zones have no letters of their own; the offset says it in every language.
    if count >= 4 || !abbreviation.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return format!("GMT{}", offset(date, ":"));
    }
    abbreviation.to_owned()
}

/// The year to which a date's week belongs, and the week's number in it.
fn week_of_year(date: Date, locale: Locale) -> (i16, i16) {
    let week = |year: i16| {
        let first = Date::new(year, 1, 1).ok()?;
        Some((
            date.day_of_year() + days_between(first, date.first_of_year()) - 1,
            first,
        ))
    };
    for year in [
        date.year().saturating_add(1),
        date.year(),
        date.year().saturating_sub(1),
    ] {
        if let Some((days, first)) = week(year) {
            let number = week_number(days, first.weekday(), locale);
            if number >= 1 {
                return (year, number);
            }
        }
    }
    (date.year(), 1)
}

fn week_of_month(date: Date, locale: Locale) -> i16 {
    week_number(i16::from(date.day()) - 1, date.first_of_month().weekday(), locale)
}

/// The number of the week that lies `days` after a first day; 0 or less when it belongs to what was before.
fn week_number(days: i16, first: Weekday, locale: Locale) -> i16 {
    let into_week = i16::from(first.since(locale.first_day));
    let week = (days + into_week).div_euclid(7);
    // The days of the first week that belong to the period decide whether it counts.
    if 7 - into_week >= i16::from(locale.least_days) {
        week + 1
    } else {
        week
    }
}

fn days_between(from: Date, to: Date) -> i16 {
    from.until(to)
        .ok()
        .and_then(|span| i16::try_from(span.get_days()).ok())
        .unwrap_or_default()
}
