//! What the command line adds to the library: rehearsals, traces, pins, trials of expressions, schemas.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

/// A folder with the examples, and the binary run in it.
struct Desk {
    folder: tempfile::TempDir,
}

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        for entry in std::fs::read_dir(examples).expect("the examples") {
            let path = entry.expect("an example").path();
            if !path.is_file() {
                continue;
            }
            let name = path.file_name().expect("a name");
            std::fs::copy(&path, folder.path().join(name)).expect("a copy");
        }
        Self { folder }
    }

    fn write(&self, name: &str, value: &Value) {
        std::fs::write(self.folder.path().join(name), value.to_string()).expect("a file");
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).expect("a file")
    }

    fn files(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join(folder)).expect("a directory");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn pipepost(&self, arguments: &[&str]) -> Said {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_pipepost"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PIPEPOST_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/compiled"))
            .output()
            .expect("the binary runs");
        Said {
            code: status.code().expect("no signal"),
            out: String::from_utf8(stdout).expect("UTF-8"),
            err: String::from_utf8(stderr).expect("UTF-8"),
        }
    }
}

#[test]
fn a_dry_run_writes_messages_and_needs_neither_network_nor_secret() {
    let desk = Desk::new();
    // No such name can be resolved, and no such variable is set.
    let account = json!({
        "label": "gmail", "type": "smtp-auth-and-properties", "host": "smtp.invalid", "port": 587,
        "username": "ops@example.com", "password": "${env:NO_SUCH_SECRET}", "starttls_enable": true,
    });
    desk.write("accounts.json", &account);
    let arguments = [
        "run",
        "newsletter.json",
        "--input",
        "newsletter.input.json",
        "--dry-run",
    ];
    let with = |more: &[&str]| desk.pipepost(&[&arguments[..], &["--accounts", "accounts.json"], more].concat());
    let said = with(&["--out", "rehearsed"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("3 messages would have been sent"), "{}", said.err);
    let output: Value = serde_json::from_str(&said.out).expect("JSON alone");
    assert_eq!(output["sent"], 3);
    let files = desk.files("rehearsed");
    assert_eq!(files.iter().filter(|name| name.ends_with(".eml")).count(), 3);
    let envelope = files.iter().find(|name| name.ends_with(".json")).expect("an envelope");
    let envelope: Value = serde_json::from_str(&desk.read(&format!("rehearsed/{envelope}"))).expect("JSON");
    assert_eq!(envelope["envelope"]["from"], "ops@example.com");

    let printed = with(&[]);
    assert_eq!(printed.code, 0, "{}", printed.err);
    assert!(
        printed
            .err
            .contains("-- envelope: from <ops@example.com> to zoe@example.com"),
        "{}",
        printed.err
    );
    assert!(printed.err.contains("Subject: "), "{}", printed.err);

    let without = desk.pipepost(&arguments);
    assert_eq!(without.code, 0, "{}", without.err);
    assert!(
        without.err.contains("gmail signs in as you@example.com"),
        "{}",
        without.err
    );
}

#[test]
fn a_trace_a_pin_and_the_run_s_files() {
    let desk = Desk::new();
    desk.write(
        "output.json",
        &json!({ "date": "today", "failed": [{ "id": "P-9", "reason": "none" }] }),
    );
    let said = desk.pipepost(&[
        "run",
        "failed-payments.clipboard.json",
        "--dry-run",
        "--out",
        "rehearsed",
        "--pin",
        "Only what failed=output.json",
        "--globals",
        "globals.json",
        "--trace",
        "trace.jsonl",
        "--keep",
        "kept",
    ]);
    assert_eq!(said.code, 66, "{}", said.err);
    assert!(said.err.contains("`globals.json` is not there"), "{}", said.err);
    desk.write("globals.json", &json!({ "desk": "file@example.com" }));
    let said = desk.pipepost(&[
        "run",
        "failed-payments.clipboard.json",
        "--dry-run",
        "--out",
        "rehearsed",
        "--pin",
        "Only what failed=output.json",
        "--globals",
        "globals.json",
        "--global",
        "desk=typed@example.com",
        "--trace",
        "trace.jsonl",
        "--keep",
        "kept",
    ]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(desk.read("kept/failed.csv"), "P-9;none\n");
    let output: Value = serde_json::from_str(&said.out).expect("JSON alone");
    assert_eq!(output["to"], "typed@example.com");
    let trace = desk.read("trace.jsonl");
    let records: Vec<Value> = trace
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let steps: Vec<&str> = records.iter().filter_map(|record| record["step"].as_str()).collect();
    assert_eq!(
        steps,
        [
            "Only what failed",
            "Any?",
            "Write it down",
            "A line each",
            "Tell the desk"
        ]
    );
    assert_eq!(records[3]["output"], json!({ "total": 1, "success": 1, "failed": 0 }));
}

#[test]
fn an_expression_or_a_template_can_be_tried() {
    let desk = Desk::new();
    desk.write("message.json", &json!({ "name": "Ada", "n": [1, 2] }));
    for (text, expected) in [
        ("UPPERCASE(message.name)", "ADA"),
        ("{{ message.n }}", "[\n  1,\n  2\n]"),
        ("Dear {{ message.name }}, {{ global.month }}", "Dear Ada, May"),
        (
            "<#list n as x>${x}<#sep>+</#list> of ${name} {{ message.name }}",
            "1+2 of Ada Ada",
        ),
    ] {
        let said = desk.pipepost(&["eval", text, "--message", "message.json", "--global", "month=May"]);
        assert_eq!((said.code, said.out.trim_end()), (0, expected), "{}", said.err);
    }
    let quoted = desk.pipepost(&["eval", "{{ message.name }}", "--message", "message.json", "--json"]);
    assert_eq!(quoted.out, "\"Ada\"\n");
    for wrong in ["UPPERCASE(", "{{ message.", "${name", "<#if>", "ABS(\"x\")"] {
        let said = desk.pipepost(&["eval", wrong]);
        assert_eq!((said.code, said.out.as_str()), (65, ""), "{wrong}");
        assert!(said.err.contains("column"), "{wrong}: {}", said.err);
    }
}

#[test]
fn schemas_are_printed_for_editors() {
    let desk = Desk::new();
    for (of, place, expected) in [
        ("document", "/title", json!("Pipeline")),
        ("email-connector-v2", "/properties/to/anyOf/0/description", Value::Null),
        ("choice", "/properties/when/anyOf/0/type", json!("array")),
        ("account", "/title", json!("Pipepost accounts")),
    ] {
        let said = desk.pipepost(&["schema", of]);
        assert_eq!(said.code, 0, "{}", said.err);
        let schema: Value = serde_json::from_str(&said.out).expect("JSON");
        match schema.pointer(place) {
            Some(found) if !expected.is_null() => assert_eq!(*found, expected, "{of}"),
            found => assert!(found.is_some(), "{of}: {place}"),
        }
    }
    assert_eq!(desk.pipepost(&["schema", "nonsense"]).code, 64);
}

/// What an editor shows beside a name, for every name of every schema.
#[test]
fn every_property_of_every_schema_is_described() {
    fn undescribed(schema: &Value, at: &str, missing: &mut Vec<String>) {
        if !schema.is_object() {
            return;
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let at = format!("{at}.{name}");
            let has_text = property["description"].as_str().is_some_and(|text| !text.is_empty());
            // A reference is described where it leads, and a condition's constant by its step.
            if !has_text && property.get("$ref").is_none() && property.get("const").is_none() {
                missing.push(at.clone());
            }
            undescribed(property, &at, missing);
        }
        for keyword in ["items", "additionalProperties"] {
            undescribed(&schema[keyword], at, missing);
        }
        for keyword in ["anyOf", "oneOf", "allOf", "prefixItems"] {
            for option in schema[keyword].as_array().into_iter().flatten() {
                undescribed(option, at, missing);
            }
        }
        for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
            undescribed(definition, &format!("{at}#{name}"), missing);
        }
    }
    let desk = Desk::new();
    let mut missing = Vec::new();
    for of in [
        "document",
        "account",
        "policy",
        "email-connector-v2",
        "json-to-csv-connector-v2",
        "object-store-connector",
        "choice",
    ] {
        let said = desk.pipepost(&["schema", of]);
        assert_eq!(said.code, 0, "{}", said.err);
        undescribed(&serde_json::from_str(&said.out).expect("JSON"), of, &mut missing);
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn check_tells_what_a_document_wants() {
    let desk = Desk::new();
    desk.write(
        "accounts.json",
        &json!({ "label": "gmail", "type": "basic", "username": "a@b.example", "password": "x" }),
    );
    let said = desk.pipepost(&["check", "failed-payments.clipboard.json", "--accounts", "accounts.json"]);
    assert_eq!(said.code, 0, "{}", said.out);
    assert!(said.out.contains("no problems."), "{}", said.out);
    assert!(said.out.contains("wants accounts: gmail (username)"), "{}", said.out);
    assert!(said.out.contains("wants globals: desk"), "{}", said.out);
    assert!(said.out.contains("total"), "{}", said.out);
}
