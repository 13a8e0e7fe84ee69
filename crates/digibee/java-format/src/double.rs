//! `Double.toString`.

/// Writes a double as Java's `Double.toString` does: `3.0`, `0.001`, `1.0E7`, `1.0E-4`, `NaN`, `Infinity`.
///
/// The digits are the fewest that read back as the same double, which is Java's rule since version 19.
pub fn java_double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let magnitude = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{value:?}");
    }
    // Rust writes `1e20` and `1.5e-7`; Java wants a fraction and a capital letter.
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if digits.contains('.') => format!("{digits}E{exponent}"),
        Some((digits, exponent)) => format!("{digits}.0E{exponent}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::java_double;

    #[test]
    fn doubles_print_as_java_prints_them() {
        let cases: &[(f64, &str)] = &[
            (3.0, "3.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (0.00012345, "1.2345E-4"),
            (9999999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (0.000_99, "9.9E-4"),
            (-0.5, "-0.5"),
            (12345678.9, "1.23456789E7"),
            (1e10, "1.0E10"),
            (1e300, "1.0E300"),
            // Java 17 prints 4.9E-324: not the shortest digits, and they read back the same.
            (5e-324, "5.0E-324"),
            (1e20, "1.0E20"),
            (-1.5e300, "-1.5E300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (value, text) in cases {
            assert_eq!(java_double(*value), *text);
        }
    }
}
