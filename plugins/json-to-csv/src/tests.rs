use pipepost_sdk::testing::{Run, describe};
use pipepost_sdk::{Failure, FailureKind};
use serde_json::{Value, json};

use super::JsonToCsv;

fn perform(parameters: &Value) -> Result<Value, Failure> {
    Run::new().perform::<JsonToCsv>(parameters)
}

fn lines(parameters: &Value) -> Vec<String> {
    lines_of(&parameters.to_string())
}

fn lines_of(parameters: &str) -> Vec<String> {
    let output = Run::new().perform_text::<JsonToCsv>(parameters).expect("lines");
    serde_json::from_value(output["data"].clone()).expect("an array of texts")
}

#[test]
fn rows_become_a_file_of_the_run() {
    let mut run = Run::new();
    let output = run.perform::<JsonToCsv>(&json!({
        "fileName": "out/failures.csv",
        "body": [{"id": 1, "why": "no \"address\", at all"}, {"id": 2, "why": "größer\nals"}],
    }));
    let expected = json!({"success": true, "fileName": "out/failures.csv", "rows": 2});
    assert_eq!(output.expect("written"), expected);
    let file = run.file("out/failures.csv").expect("there");
    let expected = "id,why\r\n1,\"no \"\"address\"\", at all\"\r\n2,\"größer\nals\"\r\n";
    assert_eq!(std::str::from_utf8(file), Ok(expected));
}

#[test]
fn what_is_read_back_is_what_was_written() {
    let cells = [
        "", " ", "\"", "a,b", "x\ry", "x\r\ny", "\u{feff}", "日本", "'", "0123", ";",
    ];
    let body: Vec<Value> = cells.iter().map(|cell| json!({"a": cell, "b": cell})).collect();
    for (delimiter, quoted) in [(",", false), (";", true), ("\\t", false), ("|", true)] {
        let mut run = Run::new();
        let parameters = json!({
            "body": body, "fileName": "x.csv", "delimiter": delimiter, "generateColumnsWithQuotes": quoted,
        });
        run.perform::<JsonToCsv>(&parameters).expect("written");
        let separator = delimiter.replace("\\t", "\t").as_bytes()[0];
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .from_reader(run.file("x.csv").expect("there"));
        let back: Vec<String> = reader
            .records()
            .map(|record| record.expect("CSV")[1].to_owned())
            .collect();
        assert_eq!(back, cells, "{delimiter}");
    }
}

#[test]
fn without_a_file_the_output_holds_the_lines() {
    let parameters = json!({"body": [{"a": "x\ny", "b": true}], "delimiter": ";"});
    let output = perform(&parameters).expect("lines");
    let expected = json!({"success": true, "data": ["a;b", "\"x\ny\";true"], "rows": 1});
    assert_eq!(output, expected);
    let both = json!({"body": [], "headers": "a", "fileName": "x.csv", "outputAsFile": false});
    assert_eq!(lines(&both), ["a"]);
    let neither = perform(&json!({"body": [], "outputAsFile": true})).expect_err("no name");
    assert_eq!(neither.kind, FailureKind::Invalid);
}

#[test]
fn columns_are_the_keys_in_the_order_of_first_appearance_unless_given() {
    let lines = |more: &str| {
        lines_of(&format!(
            r#"{{"body": [{{"z": 1, "a": 2}}, {{"m": 3, "z": 4}}]{more}}}"#
        ))
    };
    assert_eq!(lines(""), ["z,a,m", "1,2,", "4,,3"]);
    assert_eq!(lines(r#", "headers": "m, z""#), ["m,z", ",1", "3,4"]);
    assert_eq!(lines(r#", "headers": ["a"], "showHeaders": false"#), ["2", "\"\""]);
    assert_eq!(lines_of(r#"{"body": [{}, {}]}"#), [""; 0]);
}

#[test]
fn values_are_written_as_they_are() {
    let row = r#"{"n": 1.10, "big": 12345678901234567890123, "null": null, "yes": true, "o": {"b": [1, "x"]}}"#;
    let lines = lines_of(&format!(r#"{{"coalesce": true, "body": [{row}]}}"#));
    assert_eq!(lines[1], r#"1.10,12345678901234567890123,,true,"{""b"": [1, ""x""]}""#);
}

#[test]
fn an_object_in_a_cell_is_an_error_that_names_row_and_column() {
    let failure = perform(&json!({"body": [{"a": 1}, {"a": [1]}]})).expect_err("no cell");
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert_eq!(
        failure.message,
        "Row 2, `a` holds an object or an array, which is no cell."
    );
    assert!(failure.advice.is_some_and(|advice| advice.contains("coalesce")));
}

#[test]
fn formulas_are_disarmed_when_asked() {
    let body = json!([{"=key": "=HYPERLINK(\"http://evil.example\")", "b": -5}, {"=key": "fine", "b": "@x"}]);
    let escaped = ["'=key,b", "\"'=HYPERLINK(\"\"http://evil.example\"\")\",-5", "fine,'@x"];
    assert_eq!(lines(&json!({"body": body, "escapeFormulas": true})), escaped);
    assert!(lines(&json!({"body": body}))[1].starts_with("\"=HYPERLINK"));
}

#[test]
fn line_ends_and_the_byte_order_mark() {
    let mut run = Run::new();
    let parameters = json!({
        "body": [{"a": 1}], "fileName": "x.csv", "endOfLinePolicy": "LINUX", "byteOrderMark": true,
    });
    run.perform::<JsonToCsv>(&parameters).expect("written");
    assert_eq!(run.file("x.csv"), Some("\u{feff}a\n1\n".as_bytes()));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for delimiter in ["", ";;", "\"", "\n", "é"] {
        let failure = perform(&json!({"body": [], "delimiter": delimiter})).expect_err(delimiter);
        assert!(failure.message.contains("`delimiter`"), "{}", failure.message);
    }
    for name in ["../x.csv", "/tmp/x.csv"] {
        let failure = perform(&json!({"body": [], "fileName": name})).expect_err(name);
        assert!(failure.message.contains("run's directory"), "{}", failure.message);
    }
    let append = perform(&json!({"body": [], "appendFile": true})).expect_err("whole files alone");
    assert!(append.advice.is_some_and(|advice| advice.contains("file writer")));
    assert!(perform(&json!({"body": [7]})).is_err());
}

#[test]
fn every_parameter_is_described_and_only_the_rows_are_required() {
    let manifest = describe::<JsonToCsv>();
    let schema: Value = serde_json::from_str(&manifest.parameters).expect("JSON");
    assert_eq!(schema["required"], json!(["body"]));
    let properties = schema["properties"].as_object().expect("properties");
    assert_eq!(properties.len(), 13, "{schema:#}");
    for (name, property) in properties {
        assert!(
            property["description"].as_str().is_some_and(|text| text.len() > 10),
            "{name}"
        );
    }
    assert_eq!(properties["body"]["items"]["type"], "object");
    assert_eq!(properties["appendFile"]["const"], false);
    assert_eq!(properties["endOfLinePolicy"]["enum"], json!(["WINDOWS", "LINUX"]));
    let output: Value = serde_json::from_str(&manifest.output).expect("JSON");
    assert_eq!(output["required"], json!(["success", "rows"]));
}
