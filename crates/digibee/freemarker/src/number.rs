//! Numbers: whole, double and exact decimal, with FreeMarker's arithmetic, which is decimal.

use std::cmp::Ordering;
use std::str::FromStr;

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

/// FreeMarker keeps this many fraction digits of products and quotients, and at least so many of quotients.
const SCALE: u32 = 12;

/// A number as it came: from JSON (whole or double), or computed (decimal). Results that no decimal of 28 digits can
/// hold are doubles.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Integer(i64),
    Double(f64),
    Decimal(Decimal),
}

impl Number {
    pub(crate) fn from_json(number: &serde_json::Number) -> Self {
        if let Some(integer) = number.as_i64() {
            Self::Integer(integer)
        } else if let Some(unsigned) = number.as_u64() {
            Self::Decimal(Decimal::from(unsigned))
        } else {
            Self::Double(number.as_f64().unwrap_or(f64::NAN))
        }
    }

    /// Reads a number as Java's `BigDecimal` does: digits, a point, an exponent, and no blanks.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "NaN" => return Some(Self::Double(f64::NAN)),
            "INF" | "Infinity" => return Some(Self::Double(f64::INFINITY)),
            "-INF" | "-Infinity" => return Some(Self::Double(f64::NEG_INFINITY)),
            _ => {}
        }
        if !text.contains(|c: char| c.is_ascii_digit()) || text.contains(|c: char| !"0123456789+-.eE".contains(c)) {
            return None;
        }
        if let Ok(integer) = text.parse() {
            return Some(Self::Integer(integer));
        }
        let exact = Decimal::from_str_exact(text)
            .ok()
            .or_else(|| Decimal::from_scientific(text).ok());
        exact.map(Self::Decimal).or_else(|| text.parse().ok().map(Self::Double))
    }

    pub(crate) fn to_f64(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Double(double) => double,
            Self::Decimal(decimal) => decimal.to_f64().unwrap_or(f64::NAN),
        }
    }

    /// The whole part, within the range of a Java long.
    pub(crate) fn truncate(self) -> i64 {
        match self {
            Self::Integer(integer) => integer,
            Self::Double(double) => double as i64,
            Self::Decimal(decimal) => {
                decimal
                    .trunc()
                    .to_i64()
                    .unwrap_or(if decimal.is_sign_negative() { i64::MIN } else { i64::MAX })
            }
        }
    }

    pub(crate) fn is_finite(self) -> bool {
        !matches!(self, Self::Double(double) if !double.is_finite())
    }

    /// The exact value as decimal digits, without grouping or exponent.
    pub(crate) fn plain(self) -> String {
        match self {
            Self::Integer(integer) => integer.to_string(),
            Self::Double(double) => double.to_string(),
            Self::Decimal(decimal) => decimal.normalize().to_string(),
        }
    }

    fn decimal(self) -> Option<Decimal> {
        match self {
            Self::Integer(integer) => Some(Decimal::from(integer)),
            // By way of its shortest text, so that 0.1 is 0.1.
            Self::Double(double) if double.is_finite() => {
                let text = double.to_string();
                Decimal::from_str_exact(&text)
                    .ok()
                    .or_else(|| Decimal::from_str(&text).ok())
            }
            Self::Double(_) => None,
            Self::Decimal(decimal) => Some(decimal),
        }
    }

    fn combine(
        self,
        other: Self,
        exact: impl Fn(Decimal, Decimal) -> Option<Decimal>,
        rough: impl Fn(f64, f64) -> f64,
    ) -> Self {
        match (self.decimal(), other.decimal()) {
            (Some(left), Some(right)) => match exact(left, right) {
                Some(result) => Self::Decimal(result),
                None => Self::Double(rough(self.to_f64(), other.to_f64())),
            },
            _ => Self::Double(rough(self.to_f64(), other.to_f64())),
        }
    }

    pub(crate) fn add(self, other: Self) -> Self {
        self.combine(other, Decimal::checked_add, |left, right| left + right)
    }

    pub(crate) fn subtract(self, other: Self) -> Self {
        self.combine(other, Decimal::checked_sub, |left, right| left - right)
    }

    pub(crate) fn multiply(self, other: Self) -> Self {
        self.combine(
            other,
            |left, right| left.checked_mul(right).map(|product| round_to(product, SCALE)),
            |left, right| left * right,
        )
    }

    /// `None` for a division by zero.
    pub(crate) fn divide(self, other: Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        let exact = |left: Decimal, right: Decimal| {
            let scale = SCALE.max(left.scale()).max(right.scale());
            left.checked_div(right).map(|quotient| round_to(quotient, scale))
        };
        Some(self.combine(other, exact, |left, right| left / right))
    }

    /// FreeMarker's remainder is that of the whole parts. `None` for a division by zero.
    pub(crate) fn modulo(self, other: Self) -> Option<Self> {
        let divisor = other.truncate();
        if divisor == 0 {
            None
        } else {
            Some(Self::Integer(self.truncate().wrapping_rem(divisor)))
        }
    }

    pub(crate) fn negate(self) -> Self {
        match self {
            Self::Integer(integer) => integer
                .checked_neg()
                .map_or(Self::Double(-(integer as f64)), Self::Integer),
            Self::Double(double) => Self::Double(-double),
            Self::Decimal(decimal) => Self::Decimal(-decimal),
        }
    }

    pub(crate) fn abs(self) -> Self {
        if self.is_negative() { self.negate() } else { self }
    }

    pub(crate) fn is_negative(self) -> bool {
        self.to_f64() < 0.0
    }

    pub(crate) fn is_zero(self) -> bool {
        match self {
            Self::Integer(integer) => integer == 0,
            Self::Double(double) => double == 0.0,
            Self::Decimal(decimal) => decimal.is_zero(),
        }
    }

    pub(crate) fn floor(self) -> Self {
        self.to_whole(|decimal| decimal.floor(), f64::floor)
    }

    pub(crate) fn ceiling(self) -> Self {
        self.to_whole(|decimal| decimal.ceil(), f64::ceil)
    }

    /// Half goes up, also below zero: `-1.5` becomes `-1`.
    pub(crate) fn round(self) -> Self {
        let half = Decimal::new(5, 1);
        self.to_whole(
            |decimal| decimal.checked_add(half).map_or(decimal, |sum| sum.floor()),
            |double| (double + 0.5).floor(),
        )
    }

    pub(crate) fn whole(self) -> Self {
        self.to_whole(|decimal| decimal.trunc(), f64::trunc)
    }

    fn to_whole(self, exact: impl Fn(Decimal) -> Decimal, rough: impl Fn(f64) -> f64) -> Self {
        match (self, self.decimal()) {
            (Self::Integer(_), _) => self,
            (_, Some(decimal)) => Self::Decimal(exact(decimal)),
            (_, None) => Self::Double(rough(self.to_f64())),
        }
    }

    /// `None` when one is no number.
    pub(crate) fn compare(self, other: Self) -> Option<Ordering> {
        match (self.decimal(), other.decimal()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => self.to_f64().partial_cmp(&other.to_f64()),
        }
    }
}

fn round_to(value: Decimal, scale: u32) -> Decimal {
    value.round_dp_with_strategy(scale, RoundingStrategy::MidpointAwayFromZero)
}
