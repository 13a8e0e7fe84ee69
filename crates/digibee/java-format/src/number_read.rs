//! Reads numbers by their pattern, from the start of a text.

use crate::date_read::blank;
use crate::error::ReadError;
use crate::number::{NumberPattern, affix_text};
use crate::symbols::Symbols;

/// A number in the type that Java reads it as: `Long` if it fits, otherwise `Double`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ReadNumber {
    /// A 64-bit number without a fraction. A negative zero is zero.
    Integer(i64),
    /// Any other number.
    Double(f64),
}

/// A number as it was found in a text.
struct Found {
    negative: bool,
    /// As `f64` takes them: perhaps with a point, perhaps with an exponent.
    digits: String,
    /// Where the text goes on.
    end: usize,
}

impl NumberPattern {
    /// Reads a number from the start of `text`. As in Java, the text after the number is ignored, grouping separators
    /// may occur anywhere among the integer digits, and a percent pattern divides by 100. [`lenient`](Self::lenient)
    /// patterns accept more.
    ///
    /// # Errors
    /// Fails if the text does not start with the pattern's prefix and a digit, or lacks the pattern's suffix.
    pub fn read(&self, text: &str, symbols: impl Into<Symbols>) -> Result<f64, ReadError> {
        self.read_prefix(text, symbols).map(|(value, _)| value)
    }

    /// Reads a number as [`read`](Self::read) does, and also returns the number of bytes that it took.
    ///
    /// # Errors
    /// Fails in the same cases as [`read`](Self::read).
    pub fn read_prefix(&self, text: &str, symbols: impl Into<Symbols>) -> Result<(f64, usize), ReadError> {
        let found = self.find(text, symbols.into())?;
        Ok((self.double(text, &found)?, found.end))
    }

    /// Reads a number as [`read`](Self::read) does, but keeps a number without a fraction exact.
    ///
    /// # Errors
    /// Fails in the same cases as [`read`](Self::read).
    pub fn read_number(&self, text: &str, symbols: impl Into<Symbols>) -> Result<ReadNumber, ReadError> {
        let found = self.find(text, symbols.into())?;
        let sign = if found.negative { "-" } else { "" };
        if self.scale == 0
            && let Ok(integer) = format!("{sign}{}", found.digits.trim_end_matches('.')).parse()
        {
            return Ok(ReadNumber::Integer(integer));
        }
        let value = self.double(text, &found)?;
        // 2^63 itself is the first double that is too large.
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        if value.fract() == 0.0 && value >= i64::MIN as f64 && value < i64::MAX as f64 {
            return Ok(ReadNumber::Integer(value as i64));
        }
        Ok(ReadNumber::Double(value))
    }

    fn double(&self, text: &str, found: &Found) -> Result<f64, ReadError> {
        let value: f64 = found
            .digits
            .parse()
            .map_err(|_| ReadError::new(text, &self.source, 0, "a number"))?;
        let value = value / [1.0, 1.0, 100.0, 1000.0][self.scale];
        Ok(if found.negative { -value } else { value })
    }

    fn find(&self, text: &str, symbols: Symbols) -> Result<Found, ReadError> {
        let positive = (affix_text(&self.prefix, symbols), affix_text(&self.suffix, symbols));
        let negative = match &self.negative {
            Some((prefix, suffix)) => (affix_text(prefix, symbols), affix_text(suffix, symbols)),
            None => (format!("-{}", positive.0), positive.1.clone()),
        };
        // A quoted minus is part of a positive number's prefix in Java; whoever writes it means the sign.
        let minus_in_prefix = self.lenient && self.negative.is_none() && positive.0.contains('-');
        // Both may fit (one prefix may begin the other): the longer prefix wins, then the one whose suffix fits.
        let mut readings = [(minus_in_prefix, positive), (true, negative)];
        readings.sort_by_key(|(_, (prefix, _))| std::cmp::Reverse(prefix.len()));
        let mut error = ReadError::new(text, &self.source, 0, "a number");
        for (negative, (prefix, suffix)) in readings {
            let Some(rest) = self.strip(text, &prefix) else {
                continue;
            };
            let start = text.len() - rest.len();
            let Some((digits, used)) = self.magnitude(rest, symbols) else {
                error = ReadError::new(text, &self.source, start, "a digit");
                continue;
            };
            match self.strip(&rest[used..], &suffix) {
                Some(after) => {
                    let end = text.len() - after.len();
                    return Ok(Found { negative, digits, end });
                }
                None => error = ReadError::new(text, &self.source, start + used, format!("'{suffix}'")),
            }
        }
        Err(error)
    }

    /// The text after an affix.
    fn strip<'t>(&self, text: &'t str, affix: &str) -> Option<&'t str> {
        if !self.lenient {
            return text.strip_prefix(affix);
        }
        let mut rest = text.chars();
        let same = |wanted: char| rest.next().is_some_and(|found| blank(found) == blank(wanted));
        affix.chars().all(same).then_some(rest.as_str())
    }

    /// The digits at the start of a text, and how many bytes they take.
    fn magnitude(&self, text: &str, symbols: Symbols) -> Option<(String, usize)> {
        if text.starts_with('\u{221e}') {
            return Some(("inf".to_owned(), '\u{221e}'.len_utf8()));
        }
        let groups =
            |c: char| c == symbols.grouping || (self.lenient && blank(symbols.grouping) == ' ' && blank(c) == ' ');
        let (mut digits, mut used, mut any, mut point) = (String::new(), 0, false, false);
        for (offset, c) in text.char_indices() {
            if c.is_ascii_digit() {
                digits.push(c);
                any = true;
                used = offset + 1;
            } else if c == symbols.decimal && !point {
                point = true;
                digits.push('.');
                if any {
                    used = offset + c.len_utf8();
                }
            } else if self.grouping > 0 && !point && groups(c) {
                // A separator counts only with a digit after it, which moves `used` beyond it.
            } else if c == 'E' && any {
                let exponent = exponent(&text[offset + 1..]);
                if !exponent.is_empty() {
                    used = offset + 1 + exponent.len();
                    digits.push('e');
                    digits.push_str(exponent);
                }
                break;
            } else {
                break;
            }
        }
        any.then_some((digits, used))
    }
}

/// The exponent at the start of a text, perhaps negative; empty when there is none.
fn exponent(text: &str) -> &str {
    let sign = usize::from(text.starts_with('-'));
    match text[sign..].bytes().take_while(u8::is_ascii_digit).count() {
        0 => "",
        count => &text[..sign + count],
    }
}
