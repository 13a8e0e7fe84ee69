//! The syntax of number patterns.

use crate::error::PatternError;
use crate::number::{Affix, MAX_PATTERN_DIGITS, NumberPattern};

/// Reads `DecimalFormat`'s pattern syntax.
pub(crate) struct PatternParser<'a> {
    pattern: &'a str,
    chars: Vec<char>,
    at: usize,
    scale: usize,
}

/// What the middle of a sub-pattern says.
#[derive(Default)]
struct Shape {
    left: usize,
    zeros: usize,
    right: usize,
    point: Option<usize>,
    grouping: Option<usize>,
    exponent: Option<usize>,
}

impl<'a> PatternParser<'a> {
    pub(crate) fn new(pattern: &'a str) -> Self {
        Self {
            pattern,
            chars: pattern.chars().collect(),
            at: 0,
            scale: 0,
        }
    }

    pub(crate) fn parse(mut self) -> Result<NumberPattern, PatternError> {
        let (prefix, shape, suffix) = self.sub_pattern()?;
        let scale = self.scale;
        let negative = if self.peek() == Some(';') {
            self.at += 1;
            let (negative_prefix, _, negative_suffix) = self.sub_pattern()?;
            // A negative part that differs in nothing from the positive one says nothing.
            let same = (&negative_prefix, &negative_suffix) == (&prefix, &suffix);
            if same {
                None
            } else {
                Some((negative_prefix, negative_suffix))
            }
        } else {
            None
        };
        if self.at < self.chars.len() {
            return Err(self.error(format!("the character '{}' is out of place", self.chars[self.at])));
        }
        let Shape {
            mut left,
            mut zeros,
            mut right,
            point,
            grouping,
            exponent,
        } = shape;
        // "#.##" and ".###" hold no required digit: the one before the point, or the first after it, becomes required.
        if let Some(point) = point
            && zeros == 0
            && left > 0
        {
            let n = point.max(1);
            right = left - n;
            left = n - 1;
            zeros = 1;
        }
        if let Some(point) = point
            && (point < left || point > left + zeros)
        {
            return Err(self.error("a '0' may not stand outside the '#' of its side"));
        }
        if point.is_none() && right > 0 {
            return Err(self.error("a '#' may not follow a '0' before the decimal point"));
        }
        let total = left + zeros + right;
        let effective = point.unwrap_or(total);
        if effective.max(total - effective) > MAX_PATTERN_DIGITS || exponent.is_some_and(|width| width > 10) {
            return Err(self.error(format!("it asks for more than {MAX_PATTERN_DIGITS} digits")));
        }
        let min_int = effective - left;
        Ok(NumberPattern {
            source: self.pattern.to_owned(),
            prefix,
            suffix,
            negative,
            min_int,
            max_int: if exponent.is_some() {
                left + min_int
            } else {
                MAX_PATTERN_DIGITS
            },
            min_frac: point.map_or(0, |point| left + zeros - point),
            max_frac: point.map_or(0, |point| total - point),
            grouping: grouping.unwrap_or(0),
            scale,
            exponent,
            always_point: point == Some(0) && total == 0 || point == Some(total),
            lenient: false,
        })
    }

    fn sub_pattern(&mut self) -> Result<(Vec<Affix>, Shape, Vec<Affix>), PatternError> {
        self.scale = 0;
        let prefix = self.affix(true)?;
        let shape = self.shape()?;
        let suffix = self.affix(false)?;
        Ok((prefix, shape, suffix))
    }

    fn affix(&mut self, before_digits: bool) -> Result<Vec<Affix>, PatternError> {
        let mut out = Vec::new();
        let mut quoted = false;
        while let Some(c) = self.peek() {
            if c == '\'' {
                self.at += 1;
                if self.peek() == Some('\'') {
                    self.at += 1;
                    out.push(Affix::Literal('\''));
                } else {
                    quoted = !quoted;
                }
                continue;
            }
            if !quoted {
                match c {
                    '#' | '0' | ',' | '.' if before_digits => break,
                    '#' | '0' | ',' | '.' => {
                        return Err(self.error(format!("'{c}' may not stand after the digits unquoted")));
                    }
                    ';' => break,
                    _ => {}
                }
            }
            self.at += 1;
            out.push(match c {
                _ if quoted => Affix::Literal(c),
                '-' => Affix::Minus,
                '%' | '\u{2030}' => {
                    if self.scale != 0 {
                        return Err(self.error("it has more than one percent or per mille sign"));
                    }
                    self.scale = if c == '%' { 2 } else { 3 };
                    if c == '%' { Affix::Percent } else { Affix::PerMille }
                }
                '\u{a4}' if self.peek() == Some('\u{a4}') => {
                    self.at += 1;
                    Affix::CurrencyCode
                }
                '\u{a4}' => Affix::CurrencySymbol,
                other => Affix::Literal(other),
            });
        }
        if quoted {
            Err(self.error("a quote is not closed"))
        } else {
            Ok(out)
        }
    }

    fn shape(&mut self) -> Result<Shape, PatternError> {
        let mut shape = Shape::default();
        while let Some(c) = self.peek() {
            match c {
                '#' if shape.zeros > 0 => shape.right += 1,
                '#' => shape.left += 1,
                '0' if shape.right > 0 => return Err(self.error("a '0' may not follow a '#' after another '0'")),
                '0' => shape.zeros += 1,
                ',' if shape.point.is_some() => return Err(self.error("',' may not follow the decimal point")),
                '.' if shape.point.is_some() => return Err(self.error("it has two decimal points")),
                '.' => shape.point = Some(shape.left + shape.zeros + shape.right),
                ',' => {}
                'E' => {
                    self.at += 1;
                    let width = self.chars[self.at..].iter().take_while(|c| **c == '0').count();
                    self.at += width;
                    if width == 0 || shape.left + shape.zeros == 0 {
                        return Err(self.error("the exponent is malformed"));
                    }
                    shape.exponent = Some(width);
                    return Ok(shape);
                }
                _ => break,
            }
            if c == ',' {
                shape.grouping = Some(0);
            } else if shape.point.is_none()
                && let Some(count) = &mut shape.grouping
            {
                *count += 1;
            }
            self.at += 1;
        }
        if shape.grouping == Some(0) {
            return Err(self.error("',' must stand between digits"));
        }
        Ok(shape)
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn error(&self, problem: impl Into<String>) -> PatternError {
        PatternError::new(self.pattern, problem)
    }
}
