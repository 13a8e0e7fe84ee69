//! A list of failures becomes a CSV file, and the file an attachment: the document's example, received and taken apart.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipepost_tests::{Scratch, skip};
use serde_json::{Value, json};

use super::document::{follow, section, surroundings};

/// What the example's attachment holds.
const CSV: &str = "order,email,reason\r\n\
    1007,zoë@example.com,\"refused: \"\"no such user\"\"\"\r\n\
    1008,a@example.com,\"'=HYPERLINK(\"\"http://evil.example\"\")\"\r\n\
    1009,,\"timed out,\nthen refused\"\r\n";

/// Prints the attachment as Python's own libraries understand it. CSV that names no charset is UTF-8 (RFC 7111), which
/// Python's `get_content` has not heard of.
const READ_BY_PYTHON: &str = r#"
import csv, email, email.policy, io, json, sys
message = email.message_from_bytes(open(sys.argv[1], "rb").read(), policy=email.policy.default)
[part] = message.iter_attachments()
rows = list(csv.DictReader(io.StringIO(part.get_payload(decode=True).decode("utf-8"), newline="")))
print(json.dumps({"name": part.get_filename(), "type": part.get_content_type(), "rows": rows}))
"#;

#[test]
fn a_list_of_failures_arrives_as_an_attached_csv_file() {
    let scratch = Scratch::new();
    // The document's other terminal, on a port of the system's choice.
    let inbox = scratch.start(&["inbox", "--dir", "caught", "--listen", "127.0.0.1:0"]);
    inbox.says("messages go to");
    follow(
        &section("docs/connectors.md", "json-to-csv"),
        scratch.folder(),
        &surroundings(),
    );
    inbox.interrupt().with_code(0).says(&["1 messages caught"]);

    let caught: Vec<_> = fs::read_dir(scratch.folder().join("caught"))
        .expect("the inbox's folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .collect();
    let [message] = &*caught else {
        panic!("one message was expected, and there are {caught:?}");
    };
    let text = fs::read_to_string(message).expect("a message");
    let (_, attachment) = text.split_once("filename=\"failures.csv\"").expect("the attachment");
    let (_, content) = attachment.split_once("\r\n\r\n").expect("its content");
    let lines = content.lines().take_while(|line| !line.starts_with("--"));
    let decoded = STANDARD.decode(lines.collect::<String>()).expect("base64");
    assert_eq!(String::from_utf8(decoded).as_deref(), Ok(CSV));

    if let Some(seen) = read_by_python(message) {
        let row = |order: &str, email: &str, reason: &str| json!({"order": order, "email": email, "reason": reason});
        let expected = json!({
            "name": "failures.csv",
            "type": "text/csv",
            "rows": [
                row("1007", "zoë@example.com", "refused: \"no such user\""),
                row("1008", "a@example.com", "'=HYPERLINK(\"http://evil.example\")"),
                row("1009", "", "timed out,\nthen refused"),
            ],
        });
        assert_eq!(seen, expected);
    }
}

/// None where there is no Python.
fn read_by_python(message: &Path) -> Option<Value> {
    let python = Command::new("python3")
        .args(["-c", READ_BY_PYTHON])
        .arg(message)
        .output();
    let output = match python {
        Ok(output) => output,
        Err(error) => {
            skip(&format!("python3: {error}"));
            return None;
        }
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}
