//! What a merge reports of elements that it does not come to, and of rows that are not what they seem.

use std::time::Duration;

use pipepost_tests::{Dialogue, SILENCE, Scratch, Scripted, document, numbered};
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

/// The file of what failed is named as `items` of the same step, whatever that says of its source.
#[test]
fn what_failed_is_sent_again_by_the_same_step() {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let latin = |text: &str| {
        text.chars()
            .map(|c| u8::try_from(c).expect("Latin-1"))
            .collect::<Vec<u8>>()
    };
    let rows = "nobody;José\nann@example.test;Ann\n";
    let with_header = format!("to;name\n{rows}");
    for (source, content, failed, how) in [
        (
            "rows.csv",
            latin(&with_header),
            "failed.csv",
            json!({ "encoding": "windows-1252" }),
        ),
        (
            "rows.csv",
            utf16(&with_header),
            "failed.csv",
            json!({ "encoding": "utf-16le" }),
        ),
        (
            "rows.csv",
            rows.as_bytes().to_vec(),
            "failed",
            json!({ "header": ["to", "name"] }),
        ),
    ] {
        let server = Scripted::start(Dialogue::streaming());
        let step = |name: &str| {
            let mut items = json!({ "file": name, "format": "csv", "delimiter": ";" });
            for (name, value) in how.as_object().into_iter().flatten() {
                items[name] = value.clone();
            }
            let results = json!({ "failed": failed });
            let further = json!({ "items": items, "subject": "To {{ item.name }}.", "results": results });
            document(&[merge(name, &further)])
        };
        let scratch = Scratch::with(&step(source), &server.account());
        scratch.write(source, &content);
        let ending = scratch.run(&["--files", ".", "--keep", "kept"]).with_code(65);
        assert_eq!(counts(&ending.json()), [2, 1, 1, 0], "{ending}");
        let left = std::fs::read(scratch.folder().join("kept").join(failed)).expect("what failed");
        // Somebody mends it.
        let (wrong, right) = match &how["encoding"] {
            label if label == "utf-16le" => (utf16("nobody"), utf16("joe@example.test")),
            _ => (latin("nobody"), latin("joe@example.test")),
        };
        let at = left
            .windows(wrong.len())
            .position(|part| part == wrong)
            .expect("the row");
        let mended = [&left[..at], &right, &left[at + wrong.len()..]].concat();
        scratch.write("mended", mended);
        scratch.write("pipeline.json", step("mended").to_string());
        let ending = scratch.run(&["--files", "."]).with_code(0);
        assert_eq!(counts(&ending.json()), [1, 1, 0, 0], "{ending}");
        // `José.` in the subject, as RFC 2047 writes it.
        let taken = server.seen().taken;
        assert!(taken[1].contains("Sm9zw6ku"), "{how}: {}", taken[1]);
    }
}

/// What was not begun when the time was over follows from what took the time, however much it is.
#[test]
fn a_silent_server_is_the_reason_however_long_the_list() {
    let server = Scripted::start(Dialogue::pipelining().says("EHLO", &[SILENCE]));
    let scratch = Scratch::with(
        &document(&[numbered(500, json!({ "retry": false }))]),
        &one_connection(server.account()),
    );
    let ending = scratch.run(&["--timeout", "2s"]).with_code(75);
    assert_eq!(ending.json()["failure"]["kind"], "transient", "{ending}");
}

/// A ledger that is not there has nothing in doubt, and neither has one whose name was mistyped.
#[test]
fn a_state_that_is_not_there_is_not_an_empty_one() {
    let scratch = Scratch::new();
    let ending = scratch
        .pipepost(&["ledger", "list", "--uncertain", "--state", "mistyped"])
        .with_code(66);
    assert!(ending.stderr.contains("mistyped"), "{ending}");
    assert!(!scratch.folder().join("mistyped").exists());
    for address in [
        "postgre://ann:hush-hush@127.0.0.1/x",
        "POSTGRES:/ann:hush-hush@127.0.0.1/x",
    ] {
        let ending = scratch.pipepost(&["ledger", "list", "--state", address]).with_code(78);
        assert!(!ending.stderr.contains("hush"), "{ending}");
    }
    assert_eq!(
        std::fs::read_dir(scratch.folder())
            .expect("a folder")
            .flatten()
            .filter(|entry| entry.file_name() != "home")
            .count(),
        0
    );
}

#[test]
fn rows_of_standard_input_are_read_by_one_merge() {
    let server = Scripted::start(Dialogue::pipelining());
    let step = |stops: bool| {
        let mut step = merge("-", &json!({ "failOnError": stops }));
        step["params"]["items"]["format"] = json!("ndjson");
        step
    };
    let scratch = Scratch::with(&document(&[step(false), step(true)]), &server.account());
    let arguments = ["run", "pipeline.json", "--accounts", "accounts.json"];
    let ending = scratch
        .pipepost_with_input(&arguments, "{\"to\": \"ann@example.test\"}\n")
        .with_code(65);
    assert!(ending.stderr.contains("were read by a merge before"), "{ending}");
    assert_eq!(server.seen().taken.len(), 1);
}

/// Who is told of 75 starts again, and sends again what was sent, unless the execution has a name.
#[test]
#[cfg(target_os = "linux")]
fn a_report_that_cannot_be_written_does_not_have_messages_sent_again() {
    let server = Scripted::start(Dialogue::streaming());
    let scratch = Scratch::with(&document(&[numbered(3, json!({}))]), &server.account());
    let run = |more: &[&str]| {
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("a full disk");
        let arguments = ["run", "pipeline.json", "--accounts", "accounts.json"];
        scratch
            .start_into(full.into(), &[&arguments, more].concat())
            .ended_by_itself()
    };
    let ending = run(&[]).with_code(74);
    assert!(ending.stderr.contains("would be sent again by another run"), "{ending}");
    let named = ["--execution", "e", "--state", "state"];
    let codes = [run(&named), run(&named)].map(|ending| ending.code);
    assert_eq!(codes, [Some(75); 2]);
    assert_eq!(server.seen().taken.len(), 6, "the named execution sent each once");
}
