//! Reading a date by its pattern, leniently as `SimpleDateFormat` does.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

use crate::date::{DatePattern, Item};
use crate::error::ReadError;
use crate::locale::{Data, Locale};
use crate::zone_names;

impl DatePattern {
    /// Reads a moment from the start of `text`; what follows it is ignored, as in Java.
    ///
    /// Fields that the pattern does not name are those of 1970-01-01 00:00. Values beyond their range roll over
    /// (`30/02/2021` is 2 March). A year of exactly two digits under `yy` is the one within 80 years before and 20
    /// years after `now`. The result is in `zone`, also when the text names another one. A local time that a zone
    /// change repeats is the later of the two. Names of months and days are read in any case, in their long and short
    /// forms, the short ones also without their dot.
    ///
    /// # Errors
    /// A text that does not fit, a date outside the years -9999 to 9999, or a pattern with week fields (`Y w W F`),
    /// which say too little to find a day.
    pub fn read(&self, text: &str, zone: &TimeZone, locale: Locale, now: Timestamp) -> Result<Zoned, ReadError> {
        let mut reader = Reader {
            text,
            at: 0,
            pattern: &self.source,
            data: locale.data(),
            found: Found::default(),
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
    hour: Option<i64>,
    half_day_hour: Option<i64>,
    afternoon: bool,
    minute: i64,
    second: i64,
    millisecond: i64,
    offset: Option<i32>,
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
        let (year, month, days) = match (self.day_of_year, self.day) {
            (Some(day), None) => (year, 0, day - 1),
            (_, day) => (
                year.checked_add(month.div_euclid(12))?,
                month.rem_euclid(12),
                day.unwrap_or(1) - 1,
            ),
        };
        let start = Date::new(i16::try_from(year).ok()?, i8::try_from(month + 1).ok()?, 1).ok()?;
        let hour = match (self.hour, self.half_day_hour) {
            (Some(hour), _) => hour,
            (None, half) => half.unwrap_or(0) + if self.afternoon { 12 } else { 0 },
        };
        let seconds = days.checked_mul(86_400)?.checked_add(hour.checked_mul(3600)?)?;
        let seconds = seconds
            .checked_add(self.minute.checked_mul(60)?)?
            .checked_add(self.second)?;
        let span = SignedDuration::from_secs(seconds).checked_add(SignedDuration::from_millis(self.millisecond))?;
        let local: DateTime = start.at(0, 0, 0, 0).checked_add(span).ok()?;
        match self.offset {
            Some(seconds) => {
                let offset = jiff::tz::Offset::from_seconds(seconds).ok()?;
                Some(offset.to_timestamp(local).ok()?.to_zoned(zone.clone()))
            }
            None => zone.to_ambiguous_zoned(local).later().ok(),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    pattern: &'a str,
    data: &'static Data,
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
            'S' => found.millisecond = value,
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
        let data = self.data;
        match letter {
            'G' => self.found.before_christ = self.name(&[&data.eras], "an era")? == 0,
            'a' => self.found.afternoon = self.name(&[&data.am_pm], "AM or PM")? == 1,
            'E' => {
                self.name(&[&data.weekdays, &data.short_weekdays], "a day of the week")?;
            }
            'M' | 'L' => {
                let names: [&[&str]; 3] = [&data.months, &data.short_months, &data.standalone_short_months];
                self.found.month = Some(self.name(&names, "a month's name")? as i64 + 1);
            }
            _ => self.found.offset = Some(self.zone(letter, width, zone, now)?),
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
                    if let Some(length) = prefix_ignoring_case(rest, form)
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
        let name = rest[..length].to_ascii_uppercase();
        // The zone's own names first: they are ambiguous elsewhere.
        let own = [false, true]
            .into_iter()
            .find_map(|summer| own_offset(&name, zone, summer, now));
        let offset = own
            .or_else(|| zone_names::offset_of(&name))
            .ok_or_else(|| self.error("a time zone"))?;
        self.at += length;
        Ok(offset)
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

/// The bytes of `text` that equal `prefix` but for case.
fn prefix_ignoring_case(text: &str, prefix: &str) -> Option<usize> {
    let mut used = 0;
    let mut chars = text.chars();
    for wanted in prefix.chars() {
        let c = chars.next()?;
        if c != wanted && !c.to_lowercase().eq(wanted.to_lowercase()) {
            return None;
        }
        used += c.len_utf8();
    }
    Some(used)
}
