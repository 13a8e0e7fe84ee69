//! What a Java runtime (OpenJDK 17) gave for patterns, numbers, dates and regular expressions, line by line in
//! `java.jsonl`, and that ours is the same.
//!
//! Each line is an array: the kind of case, what Java was given, and what it gave (null or `error` for an exception).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixed;

use fixed::Fixed;
use pipepost_double_braces::Expression;
use serde_json::{Value, json};

/// What the expression gives, or `error`.
fn outcome(expression: &str) -> Value {
    let run = Fixed::default();
    let parsed = Expression::parse(expression).ok();
    parsed
        .and_then(|parsed| parsed.evaluate(&run).ok())
        .unwrap_or_else(|| json!("error"))
}

/// The expression for a case, and the value that it should have.
fn translate(case: &[Value]) -> Vec<(String, Value)> {
    let literal = |index: usize| case[index].to_string();
    let expected = case.last().unwrap().clone();
    let failed = |value: Value| if value.is_null() { json!("error") } else { value };
    match case[0].as_str().unwrap() {
        "formatnumber" => {
            vec![(
                format!("FORMATNUMBER({}, {}, {})", literal(1), literal(2), literal(3)),
                failed(expected),
            )]
        }
        "tonumber" => {
            // Java shows its number as text; whole doubles are ours as integers.
            let expected = match expected.as_str().unwrap() {
                "error" => json!("error"),
                number => serde_json::from_str(number).unwrap(),
            };
            vec![(
                format!("TONUMBER({}, {}, {})", literal(1), literal(2), literal(3)),
                expected,
            )]
        }
        "formatdate" => {
            let (date, pattern, locale, zone) = (literal(1), literal(2), literal(3), literal(4));
            vec![(
                format!("FORMATDATE({date}, 'timestamp', {pattern}, null, null, {locale}, {zone})"),
                expected,
            )]
        }
        "parsedate" => {
            let expected = match expected.as_str().unwrap() {
                "error" => json!("error"),
                milliseconds => serde_json::from_str(milliseconds).unwrap(),
            };
            vec![(
                format!(
                    "FORMATDATE({}, {}, 'timestamp', null, {})",
                    literal(1),
                    literal(2),
                    literal(3)
                ),
                expected,
            )]
        }
        "double" => vec![(format!("TOSTRING({})", expected.as_str().unwrap()), expected.clone())],
        "regex" => {
            let (pattern, text) = (literal(1), literal(2));
            let part = |name: &str| failed(expected[name].clone());
            vec![
                (format!("MATCHES({text}, {pattern})"), part("matches")),
                (format!("STRINGMATCHES({text}, {pattern})"), part("all")),
                (format!("SPLIT({text}, {pattern})"), part("split")),
                (format!("REPLACE({text}, {pattern}, '<$0>')"), part("replaced")),
            ]
        }
        kind => panic!("{kind}"),
    }
}

#[test]
fn where_ours_is_another_answer_there_is_a_reason() {
    let cases = [
        // The shortest digits that read back as the same double, as Java itself prints them since version 19.
        ("TOSTRING(1e23)", json!("1.0E23")),
        // The calendar of ISO 8601 reaches back without end; Java changes to the Julian one in 1582.
        (
            "TOISODATE('0021-05-07', 'yyyy-MM-dd')",
            json!("0021-05-07T00:00:00.000Z"),
        ),
        // This double is a little more than a half, and Java rounds it down all the same.
        ("FORMATNUMBER(0.0005, '0.000')", json!("0.001")),
        // More than three digits of a second are a fraction; Java counts them all as milliseconds.
        (
            "FORMATDATE('10:11:12.123456', 'HH:mm:ss.SSSSSS', 'HH:mm:ss.SSS')",
            json!("10:11:12.123"),
        ),
        // A day of the year gives way to a month and a day.
        (
            "TOISODATE('2021 200 03', 'yyyy DDD MM')",
            json!("2021-03-01T00:00:00.000Z"),
        ),
        // A month's short form may lack its point, and be the one that stands alone.
        (
            "TOISODATE('3 Sep 2021', 'd MMM yyyy', 'de')",
            json!("2021-09-03T00:00:00.000Z"),
        ),
        // A blank between groups of digits is meant as one, however wide.
        ("TONUMBER('1 234,56', '#,##0.00', 'fr')", json!(1234.56)),
        // A quoted minus is the sign; for Java it is a positive number's prefix.
        ("TONUMBER('-300', \"'-'###\")", json!(-300)),
        // A minus before a year is taken for a slip.
        ("TOISODATE('-2021-05-07', 'yyyy-MM-dd')", json!("error")),
    ];
    for (expression, expected) in cases {
        assert_eq!(outcome(expression), expected, "{expression}");
    }
}

/// `(?i)` folds ASCII letters alone, unless `u` stands beside it (`java.util.regex.Pattern`, `CASE_INSENSITIVE`).
#[test]
fn letters_beyond_ascii_have_no_case_without_u() {
    assert_eq!(outcome("STRINGMATCHES('éÉ', '(?i)É')"), json!(["É"]));
    assert_eq!(outcome("STRINGMATCHES('éÉ', '(?iu)É')"), json!(["é", "É"]));
    assert_eq!(outcome("STRINGMATCHES('eE', '(?i)E')"), json!(["e", "E"]));
}

#[test]
fn java_gives_the_same() {
    let mut failed = Vec::new();
    let mut passed = 0;
    for line in include_str!("java.jsonl").lines() {
        let case: Vec<Value> = serde_json::from_str(line).unwrap();
        for (expression, expected) in translate(&case) {
            let value = outcome(&expression);
            let same = match (value.as_f64(), expected.as_f64()) {
                (Some(value), Some(expected)) => value == expected,
                _ => value == expected,
            };
            if same {
                passed += 1;
            } else {
                failed.push(format!("{expression} gives {value}, in Java {expected}"));
            }
        }
    }
    assert!(
        failed.is_empty(),
        "{passed} pass, {} fail:\n{}",
        failed.len(),
        failed.join("\n")
    );
}
