//! The documented functions and their worked cases, from `conformance.json`.
//!
//! Where the documentation of Digibee contradicts itself or Java, the case's note says so and `documented` holds what it
//! prints. Our answers to these, and why:
//!
//! - `NOT(true)` is false: the page prints true right after "the opposite of the received value".
//! - `SUMDATE(…, "SECOND", 10)` adds ten seconds: the page adds ten milliseconds.
//! - `FORMATNUMBER(123456.789, "###,###.##")` has two digits after the point, as the pattern says; the page prints five.
//! - `FORMATNUMBER(9.95, "###")` is 10, as in Java; the page prints what `000.##` would give.
//! - `RIGHTPAD("example", …)` keeps the small e.
//! - `TONUMBER("123.456", "###.#")` is 123.456: as in Java, a pattern does not round what is read. Nothing is lost.
//! - `TONUMBER("-300", "'-'###")` is -300, as the page has it; Java would take the quoted minus for decoration and lose
//!   the sign.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixed;

use std::collections::BTreeSet;

use fixed::Fixed;
use pipepost_double_braces::{Expression, Masked, Template, function_signatures};
use serde_json::Value;

fn document() -> Value {
    serde_json::from_str(include_str!("conformance.json")).unwrap()
}

#[test]
fn every_documented_function_is_there_with_its_signature() {
    let document = document();
    let documented = document["functions"].as_array().unwrap();
    assert_eq!(documented.len(), 88);
    let known: BTreeSet<String> = function_signatures().collect();
    let mut refused = 0;
    for function in documented {
        let signature = function["signature"].as_str().unwrap();
        if signature.ends_with("(?)") {
            refused += 1;
            let error = Expression::parse(&signature.replace('?', "null")).unwrap_err();
            assert!(error.to_string().contains("not documented"), "{error}");
        } else {
            assert!(known.contains(signature), "{signature}");
        }
    }
    assert_eq!((known.len(), refused), (86, 2));
}

#[test]
#[allow(clippy::print_stdout, reason = "the counts are for the person who runs the test")]
fn every_documented_case_holds() {
    let document = document();
    let mut failed = Vec::new();
    let (mut passed, mut against_documentation) = (0, 0);
    for case in document["cases"].as_array().unwrap() {
        let expression = case["expression"].as_str().unwrap();
        let run = Fixed::message(case["payload"].clone());
        let value = if case["kind"] == "template" {
            let sensitive: Vec<String> = serde_json::from_value(case["sensitive"].clone()).unwrap();
            Template::parse(expression)
                .unwrap()
                .evaluate(&Masked::new(&run, &sensitive))
                .unwrap()
        } else {
            run.eval(expression)
        };
        let accepted = match &case["accepted"] {
            Value::Array(accepted) => accepted.clone(),
            _ => vec![case["expected"].clone()],
        };
        if accepted.iter().any(|expected| same(&value, expected)) {
            passed += 1;
            against_documentation += usize::from(case.get("documented").is_some());
        } else {
            failed.push(format!(
                "{expression}\n  gives    {value}\n  expected {}",
                case["expected"]
            ));
        }
    }
    println!("{passed} cases pass, {against_documentation} of them against what the documentation prints");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(
        (passed, against_documentation),
        (document["cases"].as_array().unwrap().len(), 5)
    );
}

/// Equal, and of the same type: `12.0` is not `12`. A calculated double may differ in its last digit.
fn same(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= b.abs() * f64::EPSILON
        }
        _ => value == expected,
    }
}
