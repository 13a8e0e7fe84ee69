//! `DecimalFormat`: patterns such as `#,##0.00`, `0.###E0`, `¤ #,##0.00;(¤ #,##0.00)`.

use crate::error::PatternError;
use crate::number_pattern::PatternParser;
use crate::symbols::Symbols;

/// The most digits that a pattern may ask for on either side of the decimal point: Java's own limit for doubles.
pub const MAX_PATTERN_DIGITS: usize = 340;

/// A number pattern that can write and read numbers. Rounding is half to even on the number's exact value, as in Java.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberPattern {
    pub(crate) source: String,
    pub(crate) prefix: Vec<Affix>,
    pub(crate) suffix: Vec<Affix>,
    /// Prefix and suffix of negative numbers; a minus before the positive prefix when absent.
    pub(crate) negative: Option<(Vec<Affix>, Vec<Affix>)>,
    pub(crate) min_int: usize,
    /// Bounds the integer digits in scientific notation only.
    pub(crate) max_int: usize,
    pub(crate) min_frac: usize,
    pub(crate) max_frac: usize,
    /// Digits in a group; 0 is no grouping.
    pub(crate) grouping: usize,
    /// Power of ten that the number is multiplied by: 2 for percent, 3 for per mille.
    pub(crate) scale: usize,
    /// Fewest digits of the exponent.
    pub(crate) exponent: Option<usize>,
    pub(crate) always_point: bool,
    pub(crate) lenient: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Affix {
    Literal(char),
    Minus,
    Percent,
    PerMille,
    CurrencySymbol,
    CurrencyCode,
}

impl NumberPattern {
    /// Parses a pattern in Java's syntax.
    ///
    /// # Errors
    /// Fails if Java would refuse the pattern (digits in the wrong order, two decimal points, an open quote), or if the
    /// pattern asks for more than [`MAX_PATTERN_DIGITS`] digits.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        PatternParser::new(pattern).parse()
    }

    /// Returns the same pattern for texts that do not follow Java's syntax exactly: spaces of any width are equal,
    /// including those between groups of digits if the region uses them, and a minus within the prefix is the sign even
    /// if it is quoted. The text that the pattern writes stays the same.
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// Returns the pattern's own text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Writes a double.
    pub fn format(&self, value: f64, symbols: impl Into<Symbols>) -> String {
        let symbols = symbols.into();
        if value.is_nan() {
            return "NaN".to_owned();
        }
        let negative = value.is_sign_negative();
        if value.is_infinite() {
            return self.dress(negative, "\u{221e}", symbols);
        }
        // Java multiplies the double itself, with the double's own rounding.
        let magnitude = value.abs() * [1.0, 1.0, 100.0, 1000.0][self.scale];
        if magnitude.is_infinite() {
            return self.dress(negative, "\u{221e}", symbols);
        }
        let shortest = Digits::of_plain(&magnitude.to_string());
        let body = match self.exponent {
            Some(width) if shortest.significant() <= self.most_significant() => {
                self.scientific(&shortest, width, symbols)
            }
            // A tie is one of the exact value, not of the digits that are short for it.
            Some(width) => {
                let places = self.most_significant().saturating_sub(1);
                let rounded = format!("{magnitude:.places$e}");
                self.scientific(&Digits::of_scientific(&rounded), width, symbols)
            }
            None if shortest.fraction.len() <= self.max_frac => self.plain(shortest, symbols),
            // Rust rounds the exact binary value, half to even: so does Java.
            None => self.plain(Digits::of_plain(&format!("{magnitude:.*}", self.max_frac)), symbols),
        };
        self.dress(negative, &body, symbols)
    }

    /// Writes an exact decimal number given as text: digits, at most one point, and an optional leading minus. Returns
    /// `None` if the text is anything else.
    pub fn format_decimal(&self, value: &str, symbols: impl Into<Symbols>) -> Option<String> {
        let symbols = symbols.into();
        let (negative, magnitude) = match value.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, value),
        };
        let (integer, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
        if integer.is_empty()
            || !integer
                .bytes()
                .chain(fraction.bytes())
                .all(|byte| byte.is_ascii_digit())
        {
            return None;
        }
        let mut digits = Digits::of_plain(magnitude);
        digits.shift_left(self.scale);
        let zero = digits.is_zero();
        let body = match self.exponent {
            Some(width) => self.scientific(&digits, width, symbols),
            None => {
                digits.round(self.max_frac);
                self.plain(digits, symbols)
            }
        };
        // An exact zero has no sign, where a double has.
        Some(self.dress(negative && !zero, &body, symbols))
    }

    /// Writes a whole number.
    pub fn format_integer(&self, value: i64, symbols: impl Into<Symbols>) -> String {
        self.format_decimal(&value.to_string(), symbols).unwrap_or_default()
    }

    fn plain(&self, mut digits: Digits, symbols: Symbols) -> String {
        digits.trim(self.min_frac);
        let mut out = String::new();
        let padding = self.min_int.saturating_sub(digits.integer.len());
        let count = padding + digits.integer.len();
        for (index, digit) in std::iter::repeat_n('0', padding)
            .chain(digits.integer.chars())
            .enumerate()
        {
            if index > 0 && self.grouping > 0 && (count - index).is_multiple_of(self.grouping) {
                out.push(symbols.grouping);
            }
            out.push(digit);
        }
        if count == 0 && digits.fraction.is_empty() {
            out.push('0');
        }
        if self.always_point || !digits.fraction.is_empty() {
            out.push(symbols.decimal);
        }
        out.push_str(&digits.fraction);
        out
    }

    /// Scientific notation. With more than one integer digit allowed beyond the required ones the exponent is a
    /// multiple of that count (engineering notation); otherwise the integer has exactly the required digits.
    fn scientific(&self, digits: &Digits, exponent_width: usize, symbols: Symbols) -> String {
        let mut significant: String = format!("{}{}", digits.integer, digits.fraction);
        // The number is 0.significant times ten to this power.
        let mut exponent = digits.integer.len() as i64;
        let leading = significant.bytes().take_while(|digit| *digit == b'0').count();
        significant.drain(..leading);
        exponent -= leading as i64;
        let zero = significant.is_empty();
        let repeat = self.max_int as i64;
        let engineering = self.max_int > 1 && self.max_int > self.min_int;
        let keep = self.most_significant();
        if significant.len() > keep {
            let mut rounded = Digits {
                integer: String::new(),
                fraction: significant,
            };
            rounded.round(keep);
            if !rounded.integer.is_empty() {
                exponent += 1;
            }
            significant = format!("{}{}", rounded.integer, rounded.fraction);
        }
        let significant = significant.trim_end_matches('0');
        let (int_digits, shown_exponent, min_digits) = if engineering {
            let shown = if zero {
                0
            } else {
                (exponent - 1).div_euclid(repeat) * repeat
            };
            let int_digits = if zero {
                self.min_int.max(1)
            } else {
                (exponent - shown) as usize
            };
            (int_digits, shown, self.min_int + self.min_frac)
        } else {
            (
                self.min_int,
                if zero { 0 } else { exponent - self.min_int as i64 },
                self.min_int + self.min_frac,
            )
        };
        let mut all = significant.to_owned();
        while all.len() < int_digits.max(min_digits) {
            all.push('0');
        }
        let (integer, fraction) = all.split_at(int_digits);
        let mut out = integer.to_owned();
        if !fraction.is_empty() || self.always_point {
            out.push(symbols.decimal);
            out.push_str(fraction);
        }
        let sign = if shown_exponent < 0 { "-" } else { "" };
        out + &format!("E{sign}{:0exponent_width$}", shown_exponent.abs())
    }

    /// How many digits scientific notation keeps: Java's runtime keeps more than its documentation promises.
    fn most_significant(&self) -> usize {
        self.max_int + self.max_frac
    }

    fn dress(&self, negative: bool, body: &str, symbols: Symbols) -> String {
        let (sign, prefix, suffix) = match &self.negative {
            Some((prefix, suffix)) if negative => ("", prefix, suffix),
            _ if negative => ("-", &self.prefix, &self.suffix),
            _ => ("", &self.prefix, &self.suffix),
        };
        format!(
            "{sign}{}{body}{}",
            affix_text(prefix, symbols),
            affix_text(suffix, symbols)
        )
    }
}

pub(crate) fn affix_text(affix: &[Affix], symbols: Symbols) -> String {
    let mut out = String::new();
    for part in affix {
        match part {
            Affix::Literal(c) => out.push(*c),
            Affix::Minus => out.push('-'),
            Affix::Percent => out.push('%'),
            Affix::PerMille => out.push('\u{2030}'),
            Affix::CurrencySymbol => out.push_str(symbols.currency.0),
            Affix::CurrencyCode => out.push_str(symbols.currency.1),
        }
    }
    out
}

/// A magnitude as its decimal digits.
struct Digits {
    /// Without leading zeros.
    integer: String,
    fraction: String,
}

impl Digits {
    fn of_plain(text: &str) -> Self {
        let (integer, fraction) = text.split_once('.').unwrap_or((text, ""));
        Self {
            integer: integer.trim_start_matches('0').to_owned(),
            fraction: fraction.to_owned(),
        }
    }

    /// From `1.25e-7` and the like.
    fn of_scientific(text: &str) -> Self {
        let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let places: i32 = exponent.parse().unwrap_or(0);
        let mut plain = Self::of_plain(digits);
        if places < 0 {
            let zeros = "0".repeat(usize::try_from(-places - 1).unwrap_or(0));
            plain.fraction = format!("{zeros}{}{}", plain.integer, plain.fraction);
            plain.integer.clear();
        } else {
            plain.shift_left(usize::try_from(places).unwrap_or(0));
        }
        plain
    }

    /// How many digits there are without the zeros around them.
    fn significant(&self) -> usize {
        let all = format!("{}{}", self.integer, self.fraction);
        all.trim_matches('0').len()
    }

    fn is_zero(&self) -> bool {
        self.integer.is_empty() && self.fraction.bytes().all(|digit| digit == b'0')
    }

    fn shift_left(&mut self, places: usize) {
        for _ in 0..places {
            let digit = if self.fraction.is_empty() {
                '0'
            } else {
                self.fraction.remove(0)
            };
            if !(self.integer.is_empty() && digit == '0') {
                self.integer.push(digit);
            }
        }
    }

    /// Rounds half to even at `places` fraction digits.
    fn round(&mut self, places: usize) {
        if self.fraction.len() <= places {
            return;
        }
        let cut = self.fraction.split_off(places);
        let last = self
            .fraction
            .bytes()
            .last()
            .or(self.integer.bytes().last())
            .unwrap_or(b'0');
        let half = cut.as_bytes()[0] == b'5' && cut.bytes().skip(1).all(|digit| digit == b'0');
        let up = if half {
            (last - b'0') % 2 == 1
        } else {
            cut.as_bytes()[0] >= b'5'
        };
        if up && add_one(&mut self.fraction) && add_one(&mut self.integer) {
            self.integer.insert(0, '1');
        }
    }

    /// Drops fraction digits that say nothing, and fills up to `min_frac`.
    fn trim(&mut self, min_frac: usize) {
        let needed = self.fraction.trim_end_matches('0').len().max(min_frac);
        self.fraction.truncate(needed);
        while self.fraction.len() < min_frac {
            self.fraction.push('0');
        }
    }
}

/// Adds one at the last place; true when a one is carried out at the front.
fn add_one(digits: &mut String) -> bool {
    let kept = digits.trim_end_matches('9').len();
    let nines = digits.len() - kept;
    digits.truncate(kept);
    let carried = match digits.pop() {
        Some(digit) => {
            digits.push(char::from(digit as u8 + 1));
            false
        }
        None => true,
    };
    digits.extend(std::iter::repeat_n('0', nines));
    carried
}
