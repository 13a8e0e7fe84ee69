//! What a run leaves behind on a terminal and on the machine: nothing that a terminal obeys, nothing for others to read.

#[path = "traces/otlp.rs"]
mod otlp;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use pipepost_tests::{Scratch, document, email, step};
use serde_json::json;

/// A title that a terminal takes, a colour in one character, text that runs backwards, and a line that looks like ours.
const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}txt\u{2066}\r\npipepost: 1 message was sent.";

/// A line that begins as HOSTILE's last does would be believed.
fn has_no_forged_line(shown: &str) {
    assert!(
        !shown
            .lines()
            .any(|line| line.starts_with("pipepost: 1 message was sent.")),
        "{shown}"
    );
}

// Every run through `Scratch` is looked through for what a terminal obeys: these only have to bring it there.

#[test]
fn a_value_reaches_log_and_error_disarmed() {
    let scratch = Scratch::new();
    for steps in [
        vec![step("log-connector", json!({ "message": "said {{ message.said }}" }))],
        vec![step(
            "throw-error",
            json!({ "errorCode": 500, "errorMessage": "{{ message.said }}" }),
        )],
        vec![email(
            json!({ "to": "{{ message.said }}", "subject": "{{ message.said }}" }),
        )],
    ] {
        scratch.write("pipeline.json", document(&steps).to_string());
        scratch.write("input.json", json!({ "said": HOSTILE }).to_string());
        for format in ["text", "json"] {
            let ending = scratch.pipepost(&[
                "run",
                "pipeline.json",
                "--input",
                "input.json",
                "--dry-run",
                "--log-format",
                format,
                "-v",
            ]);
            has_no_forged_line(&ending.stderr);
        }
    }
}

#[test]
fn an_output_means_the_same_to_a_program() {
    let scratch = Scratch::new();
    let generator = step(
        "json-generator-connector",
        json!({ "json": "{\"said\": {{ message.said }} }" }),
    );
    scratch.write("pipeline.json", document(&[generator]).to_string());
    scratch.write("input.json", json!({ "said": HOSTILE }).to_string());
    let ending = scratch
        .pipepost(&["run", "pipeline.json", "--input", "input.json"])
        .with_code(0);
    assert_eq!(ending.json()["said"], json!(HOSTILE));
    let ending = scratch
        .pipepost(&["eval", "{{ message.said }}", "--json", "--message", "input.json"])
        .with_code(0);
    assert_eq!(ending.json(), json!(HOSTILE));
    scratch
        .pipepost(&["eval", "{{ message.said }}", "--message", "input.json"])
        .with_code(0);
}

#[test]
fn names_in_documents_accounts_and_replies_are_disarmed() {
    let scratch = Scratch::new();
    let mut odd = step(
        "log-connector",
        json!({ "mesage\u{1b}[2J": 1, "message": "{{ message.x\u{202e} }" }),
    );
    odd["stepName"] = json!(HOSTILE);
    scratch.write("pipeline.json", document(&[odd, step(HOSTILE, json!({}))]).to_string());
    has_no_forged_line(&scratch.pipepost(&["check", "pipeline.json"]).stdout);
    has_no_forged_line(&scratch.pipepost(&["run", "pipeline.json"]).stderr);
    scratch.write(
        "accounts.json",
        json!({ "label": HOSTILE, "type": "smtp-auth-and-properties", "host": HOSTILE, "usernam\u{9b}": 1 })
            .to_string(),
    );
    has_no_forged_line(&scratch.run(&[]).stderr);
    scratch
        .pipepost(&["explain", "550 5.7.1 \u{9d}0;owned\u{7} \u{202e}no"])
        .with_code(0);
    scratch
        .pipepost(&["explain", "--json", "550 5.7.1 \u{9d}0;owned\u{7} \u{202e}no"])
        .with_code(0);
}

#[test]
fn a_process_that_ends_badly_leaves_no_core_file() {
    let scratch = Scratch::new();
    let inbox = scratch.start(&["inbox", "--listen", "127.0.0.1:0"]);
    inbox.says("listening on");
    let limits = fs::read_to_string(format!("/proc/{}/limits", inbox.id())).expect("a running process has limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = core.unwrap_or_default().split_whitespace().collect();
    assert_eq!(words.get(4..6), Some(&["0", "0"][..]), "{core:?}");
    inbox.interrupt().with_code(0);
}

#[test]
fn what_a_run_writes_is_its_owners_alone() {
    let scratch = Scratch::new();
    let folder = scratch.folder();
    scratch.write("trace.jsonl", "an older trace that others may read");
    fs::set_permissions(folder.join("trace.jsonl"), fs::Permissions::from_mode(0o644)).expect("it is ours");
    fs::create_dir(folder.join("kept")).expect("a writable folder");
    fs::set_permissions(folder.join("kept"), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let write = step(
        "file-writer-connector",
        json!({ "fileName": "a/b.txt", "inputData": "secret" }),
    );
    scratch.write(
        "pipeline.json",
        document(&[write, email(json!({ "subject": "Hello" }))]).to_string(),
    );
    scratch
        .pipepost(&[
            "run",
            "pipeline.json",
            "--dry-run",
            "--out",
            "out",
            "--keep",
            "kept",
            "--trace",
            "trace.jsonl",
            "--execution",
            "x",
            "--state",
            "state",
        ])
        .with_code(0);
    for name in ["trace.jsonl", "kept/a", "out"] {
        closed(&folder.join(name));
    }
}

/// Nobody but its owner reads or writes it, or anything in it.
fn closed(path: &Path) {
    let mode = fs::metadata(path).expect("it was written").mode();
    assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("it is ours").flatten() {
            closed(&entry.path());
        }
    }
}
