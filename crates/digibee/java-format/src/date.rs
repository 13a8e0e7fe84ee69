//! `SimpleDateFormat`: patterns such as `dd/MM/yyyy HH:mm`, and the named styles of each locale.

use jiff::Zoned;
use jiff::civil::Weekday;

use crate::error::PatternError;
use crate::locale::Locale;
use crate::symbols::{Symbols, Week};
use crate::zone_names;

/// Longest run of one pattern letter; each can ask for as many digits.
const MAX_WIDTH: usize = 256;

/// A date pattern that can write and read dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatePattern {
    pub(crate) source: String,
    pub(crate) items: Vec<Item>,
    pub(crate) lenient: bool,
}

/// One of the four lengths in which Java writes a date or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `Sunday, September 6, 2020`
    Full,
    /// `September 6, 2020`
    Long,
    /// `Sep 6, 2020`
    Medium,
    /// `9/6/20`
    Short,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Literal(String),
    Field(char, usize),
}

impl DatePattern {
    /// Parses a pattern in Java's syntax: sequences of letters are fields, other characters are literal, and so is text
    /// in single quotes; `''` is a quote.
    ///
    /// # Errors
    /// Fails on a letter that is not a field in Java, or a quote that is not closed.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        let mut items: Vec<Item> = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            if c == '\'' {
                if chars.next_if_eq(&'\'').is_some() {
                    push_literal(&mut items, '\'');
                    continue;
                }
                loop {
                    match chars.next() {
                        Some('\'') if chars.next_if_eq(&'\'').is_some() => push_literal(&mut items, '\''),
                        Some('\'') => break,
                        Some(other) => push_literal(&mut items, other),
                        None => return Err(PatternError::new(pattern, "a quote is not closed")),
                    }
                }
            } else if c.is_ascii_alphabetic() {
                if !"GyYMLwWDdFEuaHkKhmsSzZX".contains(c) {
                    return Err(PatternError::new(
                        pattern,
                        format!("{c} is not a pattern letter; text stands in single quotes"),
                    ));
                }
                let mut width = 1;
                while chars.next_if_eq(&c).is_some() {
                    width += 1;
                }
                let most = if c == 'X' { 3 } else { MAX_WIDTH };
                if width > most {
                    return Err(PatternError::new(pattern, format!("{c} stands {most} times at most")));
                }
                items.push(Item::Field(c, width));
            } else {
                push_literal(&mut items, c);
            }
        }
        Ok(Self {
            source: pattern.to_owned(),
            items,
            lenient: false,
        })
    }

    /// Returns the same pattern for texts that do not follow Java's syntax exactly:
    ///
    /// - More than three letters `S` are a fraction of the second, in reading and in writing; Java counts milliseconds.
    /// - Any zone letter (`z Z X`) reads any spelling of a zone: `GMT-3`, `-03`, `-0300`, `-03:00`, `Z`, an abbreviation,
    ///   or what [`time_zone`](crate::time_zone) knows.
    /// - AM and PM are read in every language, and spaces of any width are equal in names.
    /// - If the pattern has a month, a day of the year is ignored.
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// Returns whether the pattern is empty.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns whether the pattern counts weeks (`Y w W F`): such a pattern writes dates, but cannot read any.
    pub fn counts_weeks(&self) -> bool {
        let weeks = |item: &Item| matches!(item, Item::Field('Y' | 'w' | 'W' | 'F', _));
        self.items.iter().any(weeks)
    }

    /// Returns the pattern that a locale uses for a date, a time, or both, in the named styles. Without either the
    /// pattern is empty.
    pub fn of_style(date: Option<Style>, time: Option<Style>, locale: Locale) -> Self {
        let data = locale.data();
        let pattern = match (date, time) {
            (Some(date), Some(time)) => {
                let (d, t) = (date as usize, time as usize);
                format!(
                    "{}{}{}",
                    data.date_styles[d],
                    data.joints[d.max(t)],
                    data.time_styles[t]
                )
            }
            (Some(date), None) => data.date_styles[date as usize].to_owned(),
            (None, Some(time)) => data.time_styles[time as usize].to_owned(),
            (None, None) => String::new(),
        };
        // The tables hold valid patterns only (a test parses each); an empty pattern is the harmless way out.
        Self::parse(&pattern).unwrap_or(Self {
            source: pattern,
            items: Vec::new(),
            lenient: false,
        })
    }

    /// Returns the pattern's own text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Writes a moment, in its own zone. Long zone names (`zzzz`) are written as offsets (`GMT-03:00`), except for UTC.
    pub fn format(&self, when: &Zoned, symbols: impl Into<Symbols>) -> String {
        let symbols = symbols.into();
        let mut out = String::new();
        for item in &self.items {
            match item {
                Item::Literal(text) => out.push_str(text),
                // Java writes the milliseconds with zeros before them, which no one means by a longer fraction.
                Item::Field('S', width) if self.lenient && *width > 3 => {
                    out.push_str(&format!("{:0<width$}", format!("{:03}", when.millisecond())));
                }
                Item::Field(letter, width) => write_field(&mut out, *letter, *width, when, symbols),
            }
        }
        out
    }
}

fn push_literal(items: &mut Vec<Item>, c: char) {
    match items.last_mut() {
        Some(Item::Literal(text)) => text.push(c),
        _ => items.push(Item::Literal(c.to_string())),
    }
}

fn write_field(out: &mut String, letter: char, width: usize, when: &Zoned, symbols: Symbols) {
    let year = i64::from(when.year());
    // There is no year 0: it is 1 BC.
    let year_of_era = if year > 0 { year } else { 1 - year };
    let month = (when.month() - 1).clamp(0, 11) as usize;
    let weekday = when.weekday().to_sunday_zero_offset();
    let number = match letter {
        'G' => return out.push_str(symbols.names.eras[usize::from(year > 0)]),
        'a' => return out.push_str(symbols.names.am_pm[usize::from(when.hour() >= 12)]),
        'E' => {
            let names = if width >= 4 {
                &symbols.names.weekdays
            } else {
                &symbols.names.short_weekdays
            };
            return out.push_str(names[usize::try_from(weekday).unwrap_or(0) % 7]);
        }
        'M' if width >= 4 => return out.push_str(symbols.names.months[month]),
        'M' if width == 3 => return out.push_str(symbols.names.short_months[month]),
        'L' if width >= 4 => return out.push_str(symbols.names.months[month]),
        'L' if width == 3 => return out.push_str(symbols.names.standalone_short_months[month]),
        'z' | 'Z' | 'X' => return write_zone(out, letter, width, when, symbols),
        'y' if width == 2 => year_of_era % 100,
        'y' => year_of_era,
        'Y' if width == 2 => week_of_year(when, symbols.week).1.rem_euclid(100),
        'Y' => week_of_year(when, symbols.week).1,
        'M' | 'L' => i64::from(when.month()),
        'w' => week_of_year(when, symbols.week).0,
        'W' => week_number(i64::from(when.day()), i64::from(weekday), symbols.week),
        'D' => i64::from(when.day_of_year()),
        'd' => i64::from(when.day()),
        'F' => (i64::from(when.day()) - 1) / 7 + 1,
        'u' => i64::from(when.weekday().to_monday_one_offset()),
        'H' => i64::from(when.hour()),
        'k' => (i64::from(when.hour()) + 23) % 24 + 1,
        'K' => i64::from(when.hour()) % 12,
        'h' => (i64::from(when.hour()) + 11) % 12 + 1,
        'm' => i64::from(when.minute()),
        's' => i64::from(when.second()),
        'S' => i64::from(when.subsec_nanosecond()) / 1_000_000,
        _ => return,
    };
    out.push_str(&format!("{number:0width$}"));
}

fn write_zone(out: &mut String, letter: char, width: usize, when: &Zoned, symbols: Symbols) {
    let seconds = when.offset().seconds();
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    match (letter, width) {
        ('Z', _) => out.push_str(&format!("{sign}{hours:02}{minutes:02}")),
        ('X', _) if seconds == 0 => out.push('Z'),
        ('X', 1) => out.push_str(&format!("{sign}{hours:02}")),
        ('X', 2) => out.push_str(&format!("{sign}{hours:02}{minutes:02}")),
        ('X', _) => out.push_str(&format!("{sign}{hours:02}:{minutes:02}")),
        _ => out.push_str(&zone_name(when, width >= 4, symbols)),
    }
}

fn zone_name(when: &Zoned, long: bool, symbols: Symbols) -> String {
    let zone = when.time_zone();
    let info = zone.to_offset_info(when.timestamp());
    let abbreviation = info.abbreviation();
    if abbreviation == "UTC" || zone.iana_name() == Some("UTC") {
        return if long { symbols.names.utc } else { "UTC" }.to_owned();
    }
    if !long {
        let named = zone
            .iana_name()
            .and_then(|name| zone_names::short_name(name, info.dst().is_dst()));
        if let Some(name) = named {
            return name.to_owned();
        }
        if abbreviation.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return abbreviation.to_owned();
        }
    }
    let seconds = when.offset().seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    format!("GMT{sign}{:02}:{:02}", seconds.abs() / 3600, seconds.abs() / 60 % 60)
}

/// The number of the week that holds a day of a period, 0 when it belongs to the period before.
fn week_number(day: i64, weekday: i64, rule: Week) -> i64 {
    let first_day = (weekday - rule.first_weekday - (day - 1)).rem_euclid(7);
    let week = (day - 1 + first_day) / 7;
    if 7 - first_day >= rule.minimal_days {
        week + 1
    } else {
        week
    }
}

/// The week of the year with the year that it counts to.
fn week_of_year(when: &Zoned, rule: Week) -> (i64, i64) {
    let weekday = |day: Weekday| i64::from(day.to_sunday_zero_offset());
    let (year, day) = (i64::from(when.year()), i64::from(when.day_of_year()));
    let week = week_number(day, weekday(when.weekday()), rule);
    let days = i64::from(when.days_in_year());
    if week == 0 {
        let before = if is_leap(year - 1) { 366 } else { 365 };
        return (week_number(day + before, weekday(when.weekday()), rule), year - 1);
    }
    // The last days of a year belong to the next one's first week when that week holds enough of its days.
    let next_first = (weekday(when.weekday()) + days - day + 1 - rule.first_weekday).rem_euclid(7);
    if 7 - next_first >= rule.minimal_days && days - day < next_first {
        return (1, year + 1);
    }
    (week, year)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use super::{DatePattern, Style};
    use crate::Locale;

    #[test]
    fn every_style_of_every_locale_is_a_pattern() {
        let styles = [Style::Full, Style::Long, Style::Medium, Style::Short];
        for locale in Locale::ALL {
            for style in styles {
                for (date, time) in [(Some(style), None), (None, Some(style)), (Some(style), Some(style))] {
                    assert!(
                        !DatePattern::of_style(date, time, locale).items.is_empty(),
                        "{locale:?} {style:?}"
                    );
                }
            }
        }
    }
}
