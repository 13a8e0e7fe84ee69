//! Reading dates, as leniently as Java: fields may overflow into the next larger one, and what follows is ignored.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::Locale;
use super::date_format::{Field, Item};
use super::zone::{abbreviation, offset, time_zone};

/// An instant, or a date and time, or a date, in ISO 8601.
pub(super) fn iso(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(instant) = text.parse() {
        return Some(instant);
    }
    let civil: DateTime = text
        .parse()
        .or_else(|_| {
            text.parse::<Date>()
                .map(|date| date.to_datetime(jiff::civil::Time::midnight()))
        })
        .ok()?;
    civil.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

pub(super) fn pattern(
    items: &[Item],
    text: &str,
    locale: Locale,
    zone: &TimeZone,
    now: Timestamp,
) -> Option<Timestamp> {
    let mut reader = Reader {
        rest: text,
        locale,
        now,
        fields: Fields::default(),
    };
    for (position, item) in items.iter().enumerate() {
        match item {
            Item::Text(literal) => reader.rest = strip_literal(reader.rest, literal)?,
            Item::Field(field, count) => {
                // Digits right after digits: each field takes as many as it has letters.
                let width = match items.get(position + 1) {
                    Some(Item::Field(next, next_count)) if next.is_numeric(*next_count) => Some(*count),
                    _ => None,
                };
                reader.field(*field, *count, width)?;
            }
        }
    }
    reader.fields.instant(zone)
}

struct Reader<'t> {
    rest: &'t str,
    locale: Locale,
    now: Timestamp,
    fields: Fields,
}

/// What has been read; absent fields are those of 1 January 1970, 0:00.
#[derive(Default)]
struct Fields {
    before_era: bool,
    year: Option<i64>,
    month: Option<i64>,
    day_in_year: Option<i64>,
    day: Option<i64>,
    hour: Option<i64>,
    half_hour: Option<i64>,
    afternoon: bool,
    minute: i64,
    second: i64,
    nanosecond: i64,
    zone: Option<TimeZone>,
}

impl Reader<'_> {
    fn field(&mut self, field: Field, count: usize, width: Option<usize>) -> Option<()> {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        let names = self.locale.names;
        match field {
            Field::Era => self.fields.before_era = self.name(&[&names.eras])? == 0,
            Field::Half => self.fields.afternoon = self.name(&[&names.halves, &["AM", "PM"]])? == 1,
            // A name of the day says nothing that the date does not.
            Field::DayName => drop(self.name(&[&names.days, &names.short_days])?),
            Field::Month if !field.is_numeric(count) => {
                self.fields.month = Some(self.name(&[&names.months, &names.short_months])? + 1);
            }
            Field::ZoneName | Field::ZoneRfc822 | Field::ZoneIso8601 => self.zone()?,
            Field::Year => {
                let (year, digits) = self.number(width)?;
                let two = count <= 2 && digits == 2;
                self.fields.year = Some(if two { self.century(year) } else { year });
            }
            Field::Millisecond => {
                let (number, digits) = self.number(width)?;
                // Three digits or fewer are milliseconds, as in Java; more can only be a fraction.
                let scale = 9 - u32::try_from(digits.clamp(3, 9)).ok()?;
                let number = number / 10_i64.pow(u32::try_from(digits.saturating_sub(9)).ok()?);
                self.fields.nanosecond = number * 10_i64.pow(scale);
            }
            // A pattern to read by has none of these.
            Field::WeekYear | Field::WeekInYear | Field::WeekInMonth | Field::DayOfWeekInMonth => return None,
            numeric => {
                let (number, _) = self.number(width)?;
                match numeric {
                    Field::Month => self.fields.month = Some(number),
                    Field::DayInYear => self.fields.day_in_year = Some(number),
                    Field::DayInMonth => self.fields.day = Some(number),
                    Field::Hour => self.fields.hour = Some(number),
                    Field::HourFrom1 => self.fields.hour = Some(if number == 24 { 0 } else { number }),
                    Field::HalfHour => self.fields.half_hour = Some(number),
                    Field::HalfHourFrom1 => self.fields.half_hour = Some(if number == 12 { 0 } else { number }),
                    Field::Minute => self.fields.minute = number,
                    Field::Second => self.fields.second = number,
                    _ => {}
                }
            }
        }
        Some(())
    }

    /// Digits, and how many they were.
    fn number(&mut self, width: Option<usize>) -> Option<(i64, usize)> {
        let count = self
            .rest
            .bytes()
            .take_while(u8::is_ascii_digit)
            .count()
            .min(width.unwrap_or(usize::MAX));
        // More digits than these are no date, and would not fit.
        if count == 0 || count > 18 {
            return None;
        }
        let number = self.rest[..count].parse().ok()?;
        self.rest = &self.rest[count..];
        Some((number, count))
    }

    /// The index of the longest name that stands here, in any case, with or without the point of an abbreviation.
    fn name(&mut self, lists: &[&[&str]]) -> Option<i64> {
        let mut best: Option<(usize, &str)> = None;
        for names in lists {
            for (index, name) in names.iter().enumerate() {
                for spelling in [name, name.trim_end_matches('.')] {
                    if let Some(rest) = strip_ignoring_case(self.rest, spelling)
                        && best.is_none_or(|(_, shortest)| rest.len() < shortest.len())
                    {
                        best = Some((index, &self.rest[self.rest.len() - rest.len()..]));
                    }
                }
            }
        }
        let (index, rest) = best?;
        self.rest = rest;
        i64::try_from(index).ok()
    }

    fn zone(&mut self) -> Option<()> {
        if let Some(rest) = ["GMT", "UTC"]
            .iter()
            .find_map(|name| strip_ignoring_case(self.rest, name))
        {
            self.rest = rest;
            self.fields.zone = Some(TimeZone::UTC);
        }
        if let Some((offset, length)) = offset(self.rest) {
            self.rest = &self.rest[length..];
            self.fields.zone = Some(offset.to_time_zone());
        }
        if self.fields.zone.is_none() {
            let length = self
                .rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+')));
            let (name, rest) = self.rest.split_at(length.unwrap_or(self.rest.len()));
            self.fields.zone = Some(abbreviation(name).or_else(|| time_zone(name))?);
            self.rest = rest;
        }
        Some(())
    }

    /// The year of two digits: within 80 years before and 20 years after now.
    fn century(&self, year: i64) -> i64 {
        let first = i64::from(self.now.to_zoned(TimeZone::UTC).year()) - 80;
        let candidate = first - first.rem_euclid(100) + year;
        if candidate < first { candidate + 100 } else { candidate }
    }
}

impl Fields {
    fn instant(self, zone: &TimeZone) -> Option<Timestamp> {
        let year = match self.year.unwrap_or(1970) {
            year if self.before_era => 1 - year,
            year => year,
        };
        let (month, days) = match (self.day_in_year, self.month, self.day) {
            (Some(days), None, None) => (1, days),
            (_, month, day) => (month.unwrap_or(1), day.unwrap_or(1)),
        };
        let year = year.checked_add((month - 1).div_euclid(12))?;
        let month = i8::try_from((month - 1).rem_euclid(12) + 1).ok()?;
        let date = Date::new(i16::try_from(year).ok()?, month, 1).ok()?;
        let hour = match (self.hour, self.half_hour) {
            (Some(hour), _) => hour,
            (None, Some(hour)) => hour.checked_add(if self.afternoon { 12 } else { 0 })?,
            (None, None) => 0,
        };
        let span = Span::new()
            .try_days(days - 1)
            .and_then(|span| span.try_hours(hour))
            .and_then(|span| span.try_minutes(self.minute))
            .and_then(|span| span.try_seconds(self.second))
            .and_then(|span| span.try_nanoseconds(self.nanosecond));
        let civil = date
            .to_datetime(jiff::civil::Time::midnight())
            .checked_add(span.ok()?)
            .ok()?;
        let zone = self.zone.unwrap_or_else(|| zone.clone());
        Some(civil.to_zoned(zone).ok()?.timestamp())
    }
}

fn strip_literal<'t>(text: &'t str, literal: &str) -> Option<&'t str> {
    text.strip_prefix(literal)
}

fn strip_ignoring_case<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    let mut rest = text.chars();
    let plain = |c: char| if c == '\u{a0}' || c == '\u{202f}' { ' ' } else { c };
    let same = |a: char, b: char| plain(a) == plain(b) || a.to_lowercase().eq(b.to_lowercase());
    start
        .chars()
        .all(|c| rest.next().is_some_and(|found| same(found, c)))
        .then_some(rest)
        .map(|rest| rest.as_str())
}
