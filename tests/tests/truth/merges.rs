//! What a merge reports of elements that it does not come to, and of rows that are not what they seem.

use std::time::Duration;

use pipepost_tests::{Dialogue, Scratch, Scripted, document, numbered};
use serde_json::{Value, json};

use super::report::one_connection;

/// A merge over a file of the folder, to each row's own address.
fn merge(file: &str, further: &Value) -> Value {
    let mut params = json!({ "items": { "file": file }, "to": "{{ item.to }}", "subject": "To {{ item.to }}." });
    for (name, value) in further.as_object().into_iter().flatten() {
        params[name] = value.clone();
    }
    numbered(0, params)
}

fn counts(output: &Value) -> [u64; 4] {
    ["total", "sent", "failed", "uncertain"].map(|name| output[name].as_u64().unwrap_or_default())
}

/// Whoever sends what failed again must not find there who has the message already, or may have it.
#[test]
fn what_an_earlier_run_sent_is_not_among_what_a_later_one_did_not_come_to() {
    let server = Scripted::start(Dialogue::streaming());
    let rows: String = (0..300).map(|row| format!("r{row}@example.test\n")).collect();
    let step = |stops: bool| {
        let further = json!({ "failOnError": stops, "results": { "failed": "failed.csv" } });
        document(&[merge("rows.csv", &further)])
    };
    let scratch = Scratch::with(&step(false), &one_connection(server.account()));
    scratch.write("rows.csv", format!("to\nnobody\n{rows}"));
    let execute = |scratch: &Scratch, more: &[&str]| {
        let usual = ["--files", ".", "--state", "state", "--execution", "e"];
        scratch.run(&[&usual, more].concat())
    };
    let first = execute(&scratch, &["--keep", "first"]).with_code(65);
    assert_eq!(counts(&first.json()), [301, 300, 1, 0], "{first}");
    scratch.write("pipeline.json", step(true).to_string());
    let second = execute(&scratch, &["--keep", "second"]).with_code(65);
    let told = second.json();
    let output = if told["total"].is_u64() { &told } else { &told["output"] };
    assert_eq!(counts(output), [301, 300, 1, 0], "{second}");
    let failed = std::fs::read_to_string(scratch.folder().join("second/failed.csv")).expect("what failed");
    assert_eq!(failed.lines().count(), 2, "{failed}");
    assert_eq!(server.seen().taken.len(), 300);
}

#[test]
fn a_merge_does_not_read_what_it_writes() {
    let server = Scripted::start(Dialogue::pipelining());
    for (results, told) in [
        (json!({ "file": "rows.ndjson" }), "the file that the rows come from"),
        (json!({ "failed": "./rows.ndjson" }), "the file that the rows come from"),
        (json!({ "file": "x", "failed": "x" }), "name two"),
    ] {
        let step = merge("rows.ndjson", &json!({ "results": results }));
        let scratch = Scratch::with(&document(&[step]), &server.account());
        scratch.write("rows.ndjson", "{\"to\": \"ann@example.test\"}\n");
        let ending = scratch.run(&["--files", "."]).with_code(65);
        assert!(ending.stderr.contains(told), "{ending}");
    }
    assert!(server.seen().taken.is_empty());
}

#[test]
fn a_quote_that_nobody_closes_is_told_and_takes_no_row_along_in_silence() {
    let server = Scripted::start(Dialogue::pipelining());
    let step = merge("rows.csv", &json!({ "body": "Dear {{ item.name }}" }));
    let scratch = Scratch::with(&document(&[step]), &server.account());
    scratch.write(
        "rows.csv",
        "to,name\na@example.test,A\nb@example.test,\"B\nc@example.test,C\nd@example.test,D\n",
    );
    let ending = scratch.run(&["--files", "."]).with_code(65);
    assert_eq!(counts(&ending.json()), [2, 1, 1, 0], "{ending}");
    assert!(
        ending.stderr.contains("the quote that opens in line 3 is not closed"),
        "{ending}"
    );
    assert_eq!(server.seen().taken.len(), 1);
}

#[test]
fn a_row_that_does_not_decode_fails_alone_and_a_wrong_encoding_is_said() {
    let server = Scripted::start(Dialogue::pipelining());
    let rows = b"to,name\na@example.test,A\nb@example.test,Jos\xe9\nc@example.test,C\n";
    let run = |further: Value, rows: &[u8]| {
        let mut step = merge("rows.csv", &json!({}));
        for (name, value) in further.as_object().into_iter().flatten() {
            step["params"]["items"][name] = value.clone();
        }
        let scratch = Scratch::with(&document(&[step]), &server.account());
        scratch.write("rows.csv", rows);
        scratch.run(&["--files", "."])
    };
    let ending = run(json!({}), rows).with_code(65);
    assert_eq!(counts(&ending.json()), [3, 2, 1, 0], "{ending}");
    assert!(
        ending.stderr.contains("line 3 has octets that are not UTF-8"),
        "{ending}"
    );
    let ending = run(json!({ "encoding": "utf-16le" }), rows).with_code(65);
    assert!(ending.stderr.contains("no octet at its beginning is zero"), "{ending}");
    let marked: Vec<u8> = "\u{feff}to\na@example.test\n"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    let ending = run(json!({ "encoding": "utf-16le" }), &marked).with_code(65);
    assert!(ending.stderr.contains("the byte order mark of UTF-16BE"), "{ending}");
    assert_eq!(server.seen().taken.len(), 2);
}

/// Whoever writes the rows may pause, and never end.
#[test]
fn rows_of_standard_input_are_sent_as_they_come_and_hold_nothing_up() {
    let server = Scripted::start(Dialogue::pipelining());
    let mut step = merge("-", &json!({}));
    step["params"]["items"]["format"] = json!("ndjson");
    let scratch = Scratch::with(&document(&[step]), &server.account());
    let arguments = [
        "run",
        "pipeline.json",
        "--accounts",
        "accounts.json",
        "--timeout",
        "none",
    ];
    let mut running = scratch.start(&arguments);
    for row in 1..=3 {
        running.told(&format!("{{\"to\": \"r{row}@example.test\"}}\n"));
        while server.seen().taken.len() < row {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let ending = running.interrupt().with_code(75);
    assert_eq!(counts(&ending.json())[1], 3, "{ending}");

    let arguments = ["run", "pipeline.json", "--accounts", "accounts.json", "--timeout", "1s"];
    let mut running = scratch.start(&arguments);
    running.told("{\"to\": \"r4@example.test\"}\n");
    let ending = running.ended_by_itself().with_code(70);
    assert_eq!(counts(&ending.json())[1], 1, "{ending}");
}
