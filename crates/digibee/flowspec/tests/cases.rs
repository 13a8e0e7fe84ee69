//! Documents with something wrong in them: one directory a case, `document.json` and what is said about it,
//! the snapshot `problems.snap`. A case whose snapshot holds an error must fail.
//!
//! `INSTA_UPDATE=always cargo test -p pipepost-flowspec --test cases` writes the snapshots anew, to be read before they
//! are kept.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use common::with_context;
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
        let report = with_context(&[], |context| check(&text, context));
        let found = report.problems.to_string();
        let must_fail = found.lines().any(|line| line.starts_with("error"));
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&directory);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        // The difference is printed; all cases are to be tried.
        let compare = AssertUnwindSafe(|| settings.bind(|| insta::assert_snapshot!("problems", found)));
        let compared = catch_unwind(compare);
        if compared.is_err() || report.pipeline.is_some() == must_fail {
            failures.push_str(&format!("{}\n", directory.display()));
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
