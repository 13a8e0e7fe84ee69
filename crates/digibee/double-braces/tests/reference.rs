//! The reference documentation of the functions: every one is in it, every worked case holds, and
//! docs/reference/functions.md is what the program prints. `BLESS=1` writes it anew.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixed;

use std::collections::BTreeSet;
use std::path::Path;

use fixed::Fixed;
use pipepost_double_braces::{EXAMPLE_MESSAGE, function_reference, function_signatures, functions_markdown};
use serde_json::Value;

#[test]
fn every_function_is_documented_once() {
    let known: BTreeSet<String> = function_signatures()
        .map(|signature| signature.split('(').next().unwrap_or_default().to_owned())
        .collect();
    let documented: Vec<String> = function_reference().map(|function| function.name.to_owned()).collect();
    assert_eq!(documented.iter().cloned().collect::<BTreeSet<_>>(), known);
    assert_eq!(documented.len(), known.len());
}

#[test]
fn every_worked_case_holds() {
    let run = Fixed::message(serde_json::from_str(EXAMPLE_MESSAGE).unwrap());
    let mut wrong = Vec::new();
    for function in function_reference() {
        assert!(
            function.example.contains(&format!("{}(", function.name)),
            "{}",
            function.name
        );
        if let Some(result) = function.result {
            let expected: Value = serde_json::from_str(result).unwrap();
            let value = run.eval(function.example);
            if value != expected {
                wrong.push(format!("{} gives {value}, not {expected}", function.example));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_document_is_what_the_program_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/reference/functions.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, functions_markdown()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == functions_markdown(),
        "docs/reference/functions.md is out of date: run this test with BLESS=1"
    );
}
