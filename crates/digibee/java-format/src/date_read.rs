//! Reads dates by their pattern, with the leniency of `SimpleDateFormat`.

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

use crate::date::{DatePattern, Item};
use crate::error::ReadError;
use crate::symbols::Symbols;
use crate::zone::{self, time_zone};
use crate::zone_names;

impl DatePattern {
    /// Reads a moment from the start of `text`; the text after it is ignored, as in Java.
    ///
    /// Fields that the pattern does not name are those of 1970-01-01 00:00. Values outside their range roll over
    /// (`30/02/2021` is 2 March). A year of exactly two digits under `yy` is the one within 80 years before and 20
    /// years after `now`. The result is in `zone`, even if the text names another one. If a local time occurs twice
    /// because of a zone change, the later one is used. Names of months and days are read in upper or lower case, in
    /// their long and short forms, the short ones also without their dot. [`lenient`](Self::lenient) patterns accept
    /// more.
    ///
    /// # Errors
    /// Fails on a text that does not fit, a date outside the years -9999 to 9999, or a pattern with week fields
    /// (`Y w W F`), which are not enough to determine a day.
    pub fn read(
        &self,
        text: &str,
        zone: &TimeZone,
        symbols: impl Into<Symbols>,
        now: Timestamp,
    ) -> Result<Zoned, ReadError> {
        let mut reader = Reader {
            text,
            at: 0,
            pattern: &self.source,
            symbols: symbols.into(),
            lenient: self.lenient,
            found: Found {
                month_before_day_of_year: self.lenient,
                ..Found::default()
            },
        };
        for (index, item) in self.items.iter().enumerate() {
            match item {
                Item::Literal(literal) => reader.literal(literal)?,
                Item::Field(letter, width) => {
                    let abuts =
                        matches!(self.items.get(index + 1), Some(Item::Field(next, count)) if is_number(*next, *count));
                    reader.field(*letter, *width, abuts, zone, now)?;
                }
            }
        }
        let end = reader.at;
        if end == 0 {
            return Err(reader.error("a date"));
        }
        reader
            .found
            .resolve_in_window(zone, now)
            .ok_or_else(|| ReadError::new(text, &self.source, end, "a date between the years -9999 and 9999"))
    }
}

/// Whether a field is read as digits.
fn is_number(letter: char, width: usize) -> bool {
    match letter {
        'M' | 'L' => width <= 2,
        _ => !"GEazZX".contains(letter),
    }
}

#[derive(Default)]
struct Found {
    /// The year was written with two digits, and lies in the century that starts 80 years before now.
    in_window: bool,
    before_christ: bool,
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    month_before_day_of_year: bool,
    hour: Option<i64>,
    half_day_hour: Option<i64>,
    afternoon: bool,
    minute: i64,
    second: i64,
    subsecond: SignedDuration,
    zone: Option<TimeZone>,
}

impl Found {
    fn resolve_in_window(mut self, zone: &TimeZone, now: Timestamp) -> Option<Zoned> {
        let when = self.resolve(zone)?;
        if self.in_window
            && let Ok(start) = now.to_zoned(zone.clone()).checked_sub(80.years())
            && when < start
        {
            self.year = self.year.map(|year| year + 100);
            return self.resolve(zone);
        }
        Some(when)
    }

    fn resolve(&self, zone: &TimeZone) -> Option<Zoned> {
        let year = self.year.unwrap_or(1970);
        let year = if self.before_christ { 1 - year } else { year };
        let month = self.month.unwrap_or(1) - 1;
        let month_rules = self.month_before_day_of_year && self.month.is_some();
        let (year, month, days) = match (self.day_of_year, self.day) {
            (Some(day), None) if !month_rules => (year, 0, day - 1),
            (_, day) => (
                year.checked_add(month.div_euclid(12))?,
                month.rem_euclid(12),
                day.unwrap_or(1) - 1,
            ),
        };
        let start = Date::new(i16::try_from(year).ok()?, i8::try_from(month + 1).ok()?, 1).ok()?;
        let hour = match (self.hour, self.half_day_hour) {
            (Some(hour), _) => hour,
            // Without an hour the half of the day still counts.
            (None, half) => half.unwrap_or(0).checked_add(if self.afternoon { 12 } else { 0 })?,
        };
        let seconds = days.checked_mul(86_400)?.checked_add(hour.checked_mul(3600)?)?;
        let seconds = seconds
            .checked_add(self.minute.checked_mul(60)?)?
            .checked_add(self.second)?;
        let span = SignedDuration::from_secs(seconds).checked_add(self.subsecond)?;
        let local: DateTime = start.at(0, 0, 0, 0).checked_add(span).ok()?;
        let in_zone = |zone: &TimeZone| zone.to_ambiguous_zoned(local).later().ok();
        match &self.zone {
            Some(named) => Some(in_zone(named)?.with_time_zone(zone.clone())),
            None => in_zone(zone),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    pattern: &'a str,
    symbols: Symbols,
    lenient: bool,
    found: Found,
}

impl Reader<'_> {
    fn literal(&mut self, literal: &str) -> Result<(), ReadError> {
        if !self.rest().starts_with(literal) {
            return Err(self.error(format!("'{literal}'")));
        }
        self.at += literal.len();
        Ok(())
    }

    fn field(
        &mut self,
        letter: char,
        width: usize,
        abuts: bool,
        zone: &TimeZone,
        now: Timestamp,
    ) -> Result<(), ReadError> {
        let blanks = self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
        self.at += blanks;
        if !is_number(letter, width) {
            return self.text_field(letter, width, zone, now);
        }
        let (value, digits) = self.number(abuts.then_some(width))?;
        let found = &mut self.found;
        match letter {
            'y' if width <= 2 && digits == 2 => {
                found.year = Some(in_window(value, now));
                found.in_window = true;
            }
            'y' => found.year = Some(value),
            'M' | 'L' => found.month = Some(value),
            'd' => found.day = Some(value),
            'D' => found.day_of_year = Some(value),
            'H' => found.hour = Some(value),
            'k' => found.hour = Some(if value == 24 { 0 } else { value }),
            'K' => found.half_day_hour = Some(value),
            'h' => found.half_day_hour = Some(if value == 12 { 0 } else { value }),
            'm' => found.minute = value,
            's' => found.second = value,
            'S' if self.lenient => found.subsecond = fraction(value, digits),
            'S' => found.subsecond = SignedDuration::from_millis(value),
            // The day of the week follows from the date.
            'u' => {}
            other => {
                return Err(self.error(format!(
                    "a pattern without the week field '{other}', which cannot be read,"
                )));
            }
        }
        Ok(())
    }

    fn text_field(&mut self, letter: char, width: usize, zone: &TimeZone, now: Timestamp) -> Result<(), ReadError> {
        let names = self.symbols.names;
        match letter {
            'G' => self.found.before_christ = self.name(&[&names.eras], "an era")? == 0,
            'a' => {
                let english: &[&str] = if self.lenient { &["AM", "PM"] } else { &[] };
                self.found.afternoon = self.name(&[&names.am_pm, english], "AM or PM")? == 1;
            }
            'E' => {
                self.name(&[&names.weekdays, &names.short_weekdays], "a day of the week")?;
            }
            'M' | 'L' => {
                let lists: [&[&str]; 3] = [&names.months, &names.short_months, &names.standalone_short_months];
                self.found.month = Some(self.name(&lists, "a month's name")? as i64 + 1);
            }
            _ if self.lenient => self.found.zone = Some(self.any_zone(zone, now)?),
            _ => {
                let seconds = self.zone(letter, width, zone, now)?;
                let offset = Offset::from_seconds(seconds).map_err(|_| self.error("an offset below 24 hours"))?;
                self.found.zone = Some(offset.to_time_zone());
            }
        }
        Ok(())
    }

    /// Reads the longest of the names, and returns its index in its list.
    fn name(&mut self, lists: &[&[&str]], expected: &str) -> Result<usize, ReadError> {
        let rest = self.rest();
        let mut best: Option<(usize, usize)> = None;
        for list in lists {
            for (index, name) in list.iter().enumerate() {
                for form in [*name, name.trim_end_matches('.')] {
                    if let Some(length) = prefix_ignoring_case(rest, form, self.lenient)
                        && best.is_none_or(|(_, longest)| length > longest)
                    {
                        best = Some((index, length));
                    }
                }
            }
        }
        let (index, length) = best.ok_or_else(|| self.error(expected))?;
        self.at += length;
        Ok(index)
    }

    fn number(&mut self, width: Option<usize>) -> Result<(i64, usize), ReadError> {
        let available = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let digits = available.min(width.unwrap_or(usize::MAX));
        let value = self.rest()[..digits]
            .parse::<i64>()
            .map_err(|_| self.error("a number"))?;
        self.at += digits;
        Ok((value, digits))
    }

    fn zone(&mut self, letter: char, width: usize, zone: &TimeZone, now: Timestamp) -> Result<i32, ReadError> {
        let rest = self.rest();
        if letter == 'X' {
            if rest.starts_with('Z') {
                self.at += 1;
                return Ok(0);
            }
            return self.offset(width > 1, width == 3);
        }
        if rest.starts_with(['+', '-']) {
            return self.offset(true, false);
        }
        if rest.len() > 3 && rest.starts_with("GMT") && rest[3..].starts_with(['+', '-']) {
            self.at += 3;
            return self.offset(true, true);
        }
        let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let offset = abbreviation(&rest[..length], zone, now).ok_or_else(|| self.error("a time zone"))?;
        self.at += length;
        Ok(offset)
    }

    /// A zone in whatever spelling, by a lenient pattern.
    fn any_zone(&mut self, zone: &TimeZone, now: Timestamp) -> Result<TimeZone, ReadError> {
        let greenwich = ["GMT", "UTC"]
            .iter()
            .find_map(|name| prefix_ignoring_case(self.rest(), name, false));
        self.at += greenwich.unwrap_or(0);
        if let Some((offset, length)) = zone::offset(self.rest()) {
            self.at += length;
            return Ok(offset.to_time_zone());
        }
        if greenwich.is_some() {
            return Ok(TimeZone::UTC);
        }
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+')));
        let name = &rest[..end.unwrap_or(rest.len())];
        let named = abbreviation(name, zone, now)
            .and_then(|seconds| Some(Offset::from_seconds(seconds).ok()?.to_time_zone()))
            .or_else(|| time_zone(name))
            .ok_or_else(|| self.error("a time zone"))?;
        self.at += name.len();
        Ok(named)
    }

    /// Reads `+hh`, `+hhmm` or `+hh:mm`.
    fn offset(&mut self, minutes: bool, colon: bool) -> Result<i32, ReadError> {
        let sign = match self.rest().as_bytes().first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(self.error("a time zone")),
        };
        self.at += 1;
        let hours = self.number(Some(2))?.0;
        if colon {
            self.literal(":")?;
        }
        let minutes = if minutes { self.number(Some(2))?.0 } else { 0 };
        if hours > 23 || minutes > 59 {
            return Err(self.error("an offset below 24 hours"));
        }
        Ok(sign * i32::try_from(hours * 3600 + minutes * 60).unwrap_or(0))
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn error(&self, expected: impl Into<String>) -> ReadError {
        ReadError::new(self.text, self.pattern, self.at, expected)
    }
}

/// The offset in seconds that an abbreviation means. The zone's own names come first: they are ambiguous elsewhere.
fn abbreviation(name: &str, zone: &TimeZone, now: Timestamp) -> Option<i32> {
    let name = name.to_ascii_uppercase();
    [false, true]
        .into_iter()
        .find_map(|summer| own_offset(&name, zone, summer, now))
        .or_else(|| zone_names::offset_of(&name))
}

/// Digits behind the second's point as a lenient pattern takes them: three or fewer are milliseconds, as in Java; more
/// can only be a fraction.
fn fraction(number: i64, digits: usize) -> SignedDuration {
    let number = (3..digits.max(3)).fold(i128::from(number) * 1_000_000, |number, _| number / 10);
    SignedDuration::from_nanos_i128(number)
}

/// The offset that the zone itself has under this name, this year.
fn own_offset(name: &str, zone: &TimeZone, summer: bool, now: Timestamp) -> Option<i32> {
    let year = now.to_zoned(zone.clone()).year();
    [1, 7].into_iter().find_map(|month| {
        let at = Date::new(year, month, 1).ok()?.to_zoned(zone.clone()).ok()?;
        let info = zone.to_offset_info(at.timestamp());
        let java = zone.iana_name().and_then(|id| zone_names::short_name(id, summer));
        let fits = info.dst().is_dst() == summer && (info.abbreviation() == name || java == Some(name));
        fits.then(|| info.offset().seconds())
    })
}

/// The year that two digits mean: within 80 years before and 20 years after now.
fn in_window(two_digits: i64, now: Timestamp) -> i64 {
    let start = i64::from(now.to_zoned(TimeZone::UTC).year()) - 80;
    let year = start - start.rem_euclid(100) + two_digits;
    if year < start { year + 100 } else { year }
}

/// The bytes of `text` that equal `prefix` but for case, and but for the width of blanks if those are alike.
fn prefix_ignoring_case(text: &str, prefix: &str, blanks_alike: bool) -> Option<usize> {
    let mut used = 0;
    let mut chars = text.chars();
    for wanted in prefix.chars() {
        let c = chars.next()?;
        let same =
            c == wanted || (blanks_alike && blank(c) == blank(wanted)) || c.to_lowercase().eq(wanted.to_lowercase());
        if !same {
            return None;
        }
        used += c.len_utf8();
    }
    Some(used)
}

/// The character, or a plain blank for one that is only wider, narrower or unbreakable.
pub(crate) fn blank(c: char) -> char {
    if matches!(c, '\u{a0}' | '\u{202f}') { ' ' } else { c }
}
