//! The file writer, and the files of a run.

use pipepost::{RunError, RunOptions};
use serde_json::{Value, json};

use crate::fixture::{host, report, step, steps};

/// Runs file writers one after the other; the answer is the last output, and the bytes of `out.txt`.
async fn write(writers: &[Value], message: Value) -> (Result<Value, RunError>, Option<Vec<u8>>) {
    let folder = tempfile::tempdir().expect("a directory");
    let keep = folder.path().join("kept");
    let writers: Vec<Value> = writers
        .iter()
        .map(|params| step("file-writer-connector", params.clone()))
        .collect();
    let mut options = RunOptions::new(message);
    options.keep = Some(keep.clone());
    let report = report(&host().await, &steps(Value::Array(writers)), options).await;
    (report.result, std::fs::read(keep.join("out.txt")).ok())
}

fn writer(further: Value) -> Value {
    let mut params = json!({ "fileName": "out.txt", "inputData": "one" });
    for (name, value) in further.as_object().expect("parameters") {
        params[name] = value.clone();
    }
    params
}

#[tokio::test]
async fn what_is_written_and_how() {
    let message = json!({ "list": ["a", { "b": 1 }, 2], "object": { "b": [1] }, "text": "Größe" });
    for (name, params, expected) in [
        ("windows by default", json!({}), b"one\r\n".to_vec()),
        ("unix", json!({ "endOfLinePolicy": "unix" }), b"one\n".to_vec()),
        ("none", json!({ "endOfLinePolicy": "none" }), b"one".to_vec()),
        (
            "an array",
            json!({ "inputData": "{{ message.list }}", "endOfLinePolicy": "unix" }),
            b"a\n{\"b\":1}\n2\n".to_vec(),
        ),
        (
            "an object",
            json!({ "inputData": "{{ message.object }}", "coalesce": true, "endOfLinePolicy": "unix" }),
            b"{\"b\":[1]}\n".to_vec(),
        ),
        (
            "a charset",
            json!({ "inputData": "{{ message.text }}", "charset": "ISO-8859-1", "endOfLinePolicy": "none" }),
            b"Gr\xf6\xdfe".to_vec(),
        ),
        (
            "two octets a character",
            json!({ "inputData": "Gr", "charset": "UTF-16LE", "endOfLinePolicy": "none" }),
            b"G\0r\0".to_vec(),
        ),
        (
            "base64",
            json!({ "inputData": "AP8=\n", "isBinary": true }),
            b"\0\xff".to_vec(),
        ),
    ] {
        let (output, bytes) = write(&[writer(params)], message.clone()).await;
        assert_eq!(
            output.expect(name),
            json!({ "fileName": "out.txt", "success": true }),
            "{name}"
        );
        assert_eq!(bytes.expect(name), expected, "{name}");
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_told() {
    for (params, words) in [
        (json!({ "inputData": { "a": 1 } }), "coalesce"),
        (json!({ "inputData": "not base64!", "isBinary": true }), "base64"),
        (json!({ "inputData": "漢", "charset": "ISO-8859-1" }), "lacks"),
        (json!({ "charset": "KLINGON" }), "no charset `KLINGON`"),
        (json!({ "fileName": "../out.txt" }), "leads out"),
        (json!({ "fileName": "/tmp/out.txt" }), "leads out"),
    ] {
        let (output, bytes) = write(&[writer(params.clone())], json!({})).await;
        let output = output.expect("an output");
        assert_eq!(output["success"], false);
        assert!(
            output["message"].as_str().is_some_and(|told| told.contains(words)),
            "{output}"
        );
        assert_eq!(bytes, None);
        let mut params = params;
        params["failOnError"] = true.into();
        assert!(write(&[writer(params)], json!({})).await.0.is_err());
    }
}

#[tokio::test]
async fn what_exists_is_added_to_replaced_or_left() {
    for (policy, expected, success) in [
        ("append", "onetwo", true),
        ("OVERRIDE", "two", true),
        ("fail", "one", false),
    ] {
        let first = writer(json!({ "endOfLinePolicy": "none" }));
        let second = json!({ "endOfLinePolicy": "none", "inputData": "two", "fileExistsPolicy": policy });
        let (output, bytes) = write(&[first, writer(second)], json!({})).await;
        assert_eq!(output.expect("an output")["success"], success, "{policy}");
        assert_eq!(bytes.expect("a file"), expected.as_bytes(), "{policy}");
    }
}
