//! `DecimalFormat`: patterns, writing with ties to the even digit, reading from the start of a text.

use serde_json::Number;

use super::Locale;

/// A pattern such as `#,##0.00;(#,##0.00)`, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NumberFormat {
    positive: Affixes,
    /// Only when the pattern has a second part; else a minus stands before the positive prefix.
    negative: Option<Affixes>,
    digits: Digits,
    /// 100 for per cent, 1000 for per mille.
    multiplier: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Affixes {
    prefix: String,
    suffix: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Digits {
    least_integer: usize,
    /// Digits before the point in the pattern, which scientific notation needs.
    most_integer: usize,
    least_fraction: usize,
    most_fraction: usize,
    /// 0 for none.
    group: usize,
    point_always: bool,
    least_exponent: Option<usize>,
}

/// Stands for the currency sign in an affix until the locale is known. A private character, so that it is in no pattern.
const CURRENCY: char = '\u{f8ff}';
const CURRENCY_CODE: char = '\u{f8fe}';
/// More digits than any number has.
const MOST_DIGITS: usize = 340;

impl NumberFormat {
    /// The error is a reason.
    pub(crate) fn parse_pattern(pattern: &str) -> Result<NumberFormat, String> {
        let mut parser = PatternParser {
            rest: pattern,
            multiplier: 1,
        };
        let prefix = parser.affix(true)?;
        let digits = parser.digits()?;
        let positive = Affixes {
            prefix,
            suffix: parser.affix(false)?,
        };
        let mut negative = None;
        if let Some(second) = parser.rest.strip_prefix(';') {
            parser.rest = second;
            let prefix = parser.affix(true)?;
            // Of the second part only the affixes count.
            parser.digits()?;
            negative = Some(Affixes {
                prefix,
                suffix: parser.affix(false)?,
            })
            .filter(|negative| *negative != positive);
        }
        if !parser.rest.is_empty() {
            return Err("something stands after the number that needs quotes".to_owned());
        }
        if digits.least_integer.max(digits.most_fraction) > MOST_DIGITS {
            return Err(format!("it asks for more than {MOST_DIGITS} digits"));
        }
        Ok(NumberFormat {
            positive,
            negative,
            digits,
            multiplier: parser.multiplier,
        })
    }

    pub(crate) fn format(&self, number: &Number, locale: Locale) -> String {
        let (negative, decimal) = self.decimal(number);
        let body = match self.digits.least_exponent {
            // The multiplier of a percentage may take a double beyond its range.
            _ if decimal.value.is_some_and(f64::is_infinite) => "∞".to_owned(),
            Some(least) => self.scientific(&decimal, least, locale),
            None => self.plain(&decimal, locale),
        };
        let affixes = match &self.negative {
            Some(affixes) if negative => affixes,
            _ => &self.positive,
        };
        let minus = if negative && self.negative.is_none() { "-" } else { "" };
        format!(
            "{minus}{}{body}{}",
            localised(&affixes.prefix, locale),
            localised(&affixes.suffix, locale)
        )
    }

    /// The number at the start of a text; what stands after it does not matter, as in Java.
    pub(crate) fn parse(&self, text: &str, locale: Locale) -> Option<Number> {
        let own = |affixes: &Affixes| (localised(&affixes.prefix, locale), localised(&affixes.suffix, locale));
        let (prefix, suffix) = own(&self.positive);
        // A quoted minus would be part of a positive number's prefix; whoever writes it means the sign.
        let minus_in_prefix = self.negative.is_none() && prefix.contains('-');
        let negative = match &self.negative {
            Some(affixes) => own(affixes),
            None => (format!("-{prefix}"), suffix.clone()),
        };
        let read = |(prefix, suffix): &(String, String)| {
            let rest = strip_start(text, prefix)?;
            let (digits, exponent, rest) = self.read_digits(rest, locale)?;
            strip_start(rest, suffix)?;
            Some((digits, exponent))
        };
        let (is_negative, (digits, exponent)) = match (read(&negative), read(&(prefix, suffix))) {
            (Some(found), _) => (true, found),
            (None, Some(found)) => (minus_in_prefix, found),
            (None, None) => return None,
        };
        let sign = if is_negative { "-" } else { "" };
        if self.multiplier == 1
            && exponent == 0
            && let Ok(integer) = format!("{sign}{digits}").parse::<i64>()
        {
            return Some(integer.into());
        }
        let value: f64 = format!("{sign}{digits}e{exponent}").parse().ok()?;
        let value = value / f64::from(self.multiplier);
        match crate::functions::whole(value) {
            // As Java: a number without a fraction is an integer.
            Some(integer) if value.fract() == 0.0 => Some(integer.into()),
            _ => Number::from_f64(value),
        }
    }

    /// The sign, and the decimal digits as Java takes them: the shortest that read back as the same number.
    fn decimal(&self, number: &Number) -> (bool, Decimal) {
        let multiplier = f64::from(self.multiplier);
        if let Some(integer) = number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from))
        {
            let scaled = integer * i128::from(self.multiplier);
            return (
                scaled < 0,
                Decimal {
                    text: scaled.unsigned_abs().to_string(),
                    value: None,
                },
            );
        }
        let value = number.as_f64().unwrap_or_default() * multiplier;
        (
            value.is_sign_negative(),
            Decimal {
                text: value.abs().to_string(),
                value: Some(value.abs()),
            },
        )
    }

    fn plain(&self, decimal: &Decimal, locale: Locale) -> String {
        let rounded = decimal.round(self.digits.most_fraction);
        let (integer, fraction) = rounded.split_once('.').unwrap_or((&rounded, ""));
        let integer = integer.trim_start_matches('0');
        let fraction = at_least(fraction, self.digits.least_fraction);
        let mut shown = "0".repeat(self.digits.least_integer.saturating_sub(integer.len())) + integer;
        if shown.is_empty() && fraction.is_empty() {
            shown.push('0');
        }
        let mut body = String::new();
        for (position, digit) in shown.chars().enumerate() {
            let left = shown.len() - position;
            if position > 0 && self.digits.group > 0 && left % self.digits.group == 0 {
                body.push(locale.group);
            }
            body.push(digit);
        }
        if !fraction.is_empty() || self.digits.point_always {
            body.push(locale.decimal);
        }
        body + &fraction
    }

    fn scientific(&self, decimal: &Decimal, least_exponent: usize, locale: Locale) -> String {
        let (least, most) = (self.digits.least_integer, self.digits.most_integer);
        let fraction = self.digits.most_fraction;
        // Where the point stands: 0.1 has it at 0, 12.3 at 2.
        let (mut digits, mut point) = decimal.significant(usize::MAX);
        let zero = digits.is_empty();
        let grouped = most > 1 && most > least;
        let significant = most + fraction;
        if significant > 0 {
            (digits, point) = decimal.significant(significant);
        }
        let repeat = i32::try_from(most).unwrap_or(i32::MAX);
        let least_signed = i32::try_from(least).unwrap_or(i32::MAX);
        let exponent = match (zero, grouped) {
            (true, _) => 0,
            (false, true) => (point - 1).div_euclid(repeat) * repeat,
            (false, false) => point - least_signed,
        };
        let integer_digits = if zero {
            least.max(1)
        } else {
            usize::try_from(point - exponent).unwrap_or(0)
        };
        let least_total = (if grouped { 1 } else { least } + self.digits.least_fraction).max(integer_digits);
        let digits = format!("{digits:0<least_total$}");
        let (integer, fraction) = digits.split_at(integer_digits.min(digits.len()));
        let mut body = integer.to_owned();
        if !fraction.is_empty() || self.digits.point_always {
            body.push(locale.decimal);
            body.push_str(fraction);
        }
        let sign = if exponent < 0 { "-" } else { "" };
        format!("{body}E{sign}{:0>least_exponent$}", exponent.unsigned_abs())
    }

    /// Digits with a point at most, the power of ten after them, and what follows.
    fn read_digits<'t>(&self, text: &'t str, locale: Locale) -> Option<(String, i32, &'t str)> {
        let mut digits = String::new();
        let mut point = false;
        let mut end = 0;
        for (position, c) in text.char_indices() {
            match c {
                '0'..='9' => digits.push(c),
                c if c == locale.decimal && !point => {
                    point = true;
                    digits.push('.');
                }
                c if self.digits.group > 0 && !point && is_group(c, locale) => {
                    // A separator belongs to the number only when digits follow it.
                    if !text[position + c.len_utf8()..].starts_with(|next: char| next.is_ascii_digit()) {
                        break;
                    }
                }
                _ => break,
            }
            end = position + c.len_utf8();
        }
        if !digits.contains(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let digits = digits.trim_end_matches('.').to_owned();
        let rest = &text[end..];
        let Some(after) = rest.strip_prefix('E') else {
            return Some((digits, 0, rest));
        };
        let length = after
            .find(|c: char| !c.is_ascii_digit() && c != '-')
            .unwrap_or(after.len());
        match after[..length].parse::<i32>() {
            Ok(exponent) => Some((digits, exponent, &after[length..])),
            Err(_) => Some((digits, 0, rest)),
        }
    }
}

/// A number that is not negative, in decimal digits.
struct Decimal {
    /// Without an exponent.
    text: String,
    /// The double that the digits are short for.
    value: Option<f64>,
}

impl Decimal {
    /// With this many digits after the point at most. A tie, which only the double's exact value can be, goes to the
    /// even digit.
    fn round(&self, most_fraction: usize) -> String {
        let fraction = self.text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        match self.value {
            Some(value) if fraction > most_fraction => format!("{value:.most_fraction$}"),
            _ => self.text.clone(),
        }
    }

    /// This many significant digits at most, without zeros around them, and where the point stands before them.
    fn significant(&self, most: usize) -> (String, i32) {
        let rounded = match self.value {
            Some(value) if most < 40 => {
                let exact = format!("{value:.*e}", most - 1);
                let shortest = format!("{value:e}");
                if shortest.len() <= exact.len() { shortest } else { exact }
            }
            Some(value) => format!("{value:e}"),
            None => match self.text.parse::<f64>() {
                // An integer that is rounded takes the way of doubles.
                Ok(value) if most < self.text.len() => format!("{value:.*e}", most - 1),
                _ => format!(
                    "{}e{}",
                    point_after_first(&self.text),
                    self.text.len().saturating_sub(1)
                ),
            },
        };
        let (digits, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
        let digits = digits.replace('.', "");
        let digits = digits.trim_end_matches('0').to_owned();
        (digits, exponent.parse::<i32>().unwrap_or(0) + 1)
    }
}

fn point_after_first(digits: &str) -> String {
    match digits.split_at_checked(1) {
        Some((first, rest)) if !rest.is_empty() => format!("{first}.{rest}"),
        _ => digits.to_owned(),
    }
}

/// A fraction without zeros at its end, but with as many digits as asked for.
fn at_least(fraction: &str, least: usize) -> String {
    format!("{:0<least$}", fraction.trim_end_matches('0'))
}

fn is_group(c: char, locale: Locale) -> bool {
    c == locale.group || (locale.group.is_whitespace() && matches!(c, ' ' | '\u{a0}' | '\u{202f}'))
}

/// The text after a start; blanks of any width are alike.
fn strip_start<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    let plain = |c: char| if matches!(c, '\u{a0}' | '\u{202f}') { ' ' } else { c };
    let mut rest = text.chars();
    start
        .chars()
        .all(|c| rest.next().is_some_and(|found| plain(found) == plain(c)))
        .then_some(rest)
        .map(|rest| rest.as_str())
}

fn localised(affix: &str, locale: Locale) -> String {
    affix
        .replace(CURRENCY, locale.currency.0)
        .replace(CURRENCY_CODE, locale.currency.1)
}

struct PatternParser<'a> {
    rest: &'a str,
    multiplier: u32,
}

impl PatternParser<'_> {
    /// What stands before or after the digits.
    fn affix(&mut self, before: bool) -> Result<String, String> {
        let mut affix = String::new();
        let mut quoted = false;
        while let Some(c) = self.rest.chars().next() {
            let special = matches!(c, '#' | '0' | ',' | '.');
            if !quoted && (c == ';' || special) {
                if special && !before {
                    return Err("digits stand apart from each other".to_owned());
                }
                break;
            }
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                '\'' if self.rest.starts_with('\'') => {
                    self.rest = &self.rest[1..];
                    affix.push('\'');
                }
                '\'' => quoted = !quoted,
                '%' | '‰' if !quoted => {
                    self.multiplier = if c == '%' { 100 } else { 1000 };
                    affix.push(c);
                }
                '¤' if !quoted && self.rest.starts_with('¤') => {
                    self.rest = &self.rest['¤'.len_utf8()..];
                    affix.push(CURRENCY_CODE);
                }
                '¤' if !quoted => affix.push(CURRENCY),
                c => affix.push(c),
            }
        }
        if quoted {
            Err("a quote is not closed".to_owned())
        } else {
            Ok(affix)
        }
    }

    fn digits(&mut self) -> Result<Digits, String> {
        let length = self
            .rest
            .find(|c| !matches!(c, '#' | '0' | ',' | '.'))
            .unwrap_or(self.rest.len());
        let (pattern, rest) = self.rest.split_at(length);
        self.rest = rest;
        let (integer, fraction) = match pattern.split_once('.') {
            Some((integer, fraction)) => (integer, Some(fraction)),
            None => (pattern, None),
        };
        let group = integer.rsplit_once(',').map(|(_, last)| last.len());
        let places = integer.replace(',', "");
        let after = fraction.unwrap_or("");
        let zeros = |digits: &str| digits.bytes().filter(|digit| *digit == b'0').count();
        if after.contains(['.', ',']) || places.contains("0#") || after.contains("#0") || group == Some(0) {
            return Err("# and 0, commas and points do not stand in a possible order".to_owned());
        }
        let mut digits = Digits {
            least_integer: zeros(&places),
            most_integer: places.len(),
            least_fraction: zeros(after),
            most_fraction: after.len(),
            group: group.unwrap_or(0),
            point_always: fraction == Some(""),
            least_exponent: None,
        };
        // Java: with a point and no zero at all, one digit is always shown.
        if fraction.is_some() && zeros(pattern) == 0 && !(places.is_empty() && after.is_empty()) {
            if places.is_empty() {
                digits.least_fraction = 1;
            } else {
                digits.least_integer = 1;
            }
        }
        if let Some(exponent) = self.rest.strip_prefix("E0") {
            let zeros = exponent.bytes().take_while(|byte| *byte == b'0').count();
            digits.least_exponent = Some(zeros + 1);
            self.rest = &exponent[zeros..];
        }
        Ok(digits)
    }
}
