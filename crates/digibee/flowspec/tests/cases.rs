//! Documents with something wrong in them: one directory a case, `document.json` and what is said about it,
//! `expected.txt`. A case whose expectation holds an error must fail.
//!
//! `UPDATE_EXPECTED=1 cargo test -p pipepost-flowspec --test cases` writes the expectations anew, to be read before
//! they are kept.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use common::with_surroundings;
use pipepost_flowspec::check;

#[test]
fn each_case_is_told_what_is_wrong() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut directories: Vec<_> = fs::read_dir(cases)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    directories.sort();
    assert!(!directories.is_empty());
    let mut failures = String::new();
    for directory in directories {
        let text = fs::read_to_string(directory.join("document.json")).unwrap();
        let report = with_surroundings(&[], |surroundings| check(&text, surroundings));
        let found = format!("{}\n", report.problems);
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(directory.join("expected.txt"), &found).unwrap();
        }
        let expected = fs::read_to_string(directory.join("expected.txt")).unwrap();
        let must_fail = expected.lines().any(|line| line.starts_with("error"));
        if found != expected || report.pipeline.is_some() == must_fail {
            failures.push_str(&format!(
                "--- {}\nexpected:\n{expected}found:\n{found}",
                directory.display()
            ));
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
