//! The memory of host and guest together, at its peak, while a connector does its worst.

use std::io::Write as _;

use pipepost_inbox::{Script, Security};
use pipepost_tests::connector::component;
use pipepost_tests::{AccountFile, Catcher, Scratch, document, step};
use serde_json::{Value, json};

/// What one connector may make the process take beyond a run in which it does nothing: its own 64 MiB, and what the host
/// keeps of what it says.
const MORE_BYTES_MAX: u64 = 160 << 20;

/// Past the capture of the test harness: the figures are to be seen.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The peak of a run of one step.
fn peak(scratch: &Scratch, connector: &str, params: Value) -> u64 {
    let mut step = step(connector, params);
    step["accountLabel"] = "mail".into();
    scratch.write("pipeline.json", document(&[step]).to_string());
    let arguments = [
        "run",
        "pipeline.json",
        "--accounts",
        "accounts.json",
        "--plugins",
        "plugins",
    ];
    let (ending, memory) = scratch.start(&arguments).ended_with_memory();
    assert!(ending.code.is_some(), "it was killed\n{ending}");
    memory.peak
}

#[test]
fn the_worst_connector_takes_no_more_memory_than_is_stated() {
    let server = Catcher::start(Script::new());
    let account = AccountFile::starttls(("127.0.0.1", server.port(Security::StartTls)), &server.authority());
    let scratch = Scratch::with(&document(&[]), &account);
    for name in ["alone", "caller"] {
        scratch.write(&format!("plugins/{name}.wasm"), component(name));
    }
    let alone =
        |attempt: &str, n: u64, text: &str| json!({ "do": attempt, "n": n, "text": text, "failOnError": false });
    let told = |values: &str| json!(["commit-with-values", "0", values]);
    // They are compiled here, which takes more than a run.
    peak(&scratch, "alone", alone("count", 0, ""));
    peak(&scratch, "caller", json!({ "do": [] }));
    let nothing = peak(&scratch, "alone", alone("count", 0, ""));

    let line = "x".repeat(1 << 20);
    let attacks = [
        ("results of many values", "alone", alone("values", 5_000_000, "")),
        (
            "results of as many values as are kept",
            "alone",
            alone("values", 499_000, ""),
        ),
        ("a result of one long text", "alone", alone("huge", (32 << 20) - 1, "")),
        (
            "a failure with a long output",
            "alone",
            alone("huge-failure", (32 << 20) - 1, ""),
        ),
        ("a result that nests", "alone", alone("deep", 10_000_000, "")),
        ("log lines", "alone", alone("log", 1000, &line)),
        ("words of a failure", "alone", alone("wordy", 20, &line)),
        ("parts", "alone", alone("parts", 10_000, "")),
        ("memory of its own", "alone", alone("memory", 60, "")),
        ("calls in doubt", "caller", json!({ "do": vec![told("499000"); 64] })),
        (
            "calls in doubt beyond what is kept",
            "caller",
            json!({ "do": [told("5000000")] }),
        ),
        (
            "confirmed outputs",
            "caller",
            json!({ "do": vec![json!(["confirm-with-values", "0", "499000"]); 64] }),
        ),
    ];
    let mut worst = 0;
    for (what, connector, params) in attacks {
        let more = peak(&scratch, connector, params).saturating_sub(nothing);
        say(&format!("memory: {what}: {} MiB more than nothing", more >> 20));
        worst = worst.max(more);
    }
    say(&format!("memory: nothing: {} MiB", nothing >> 20));
    assert!(worst < MORE_BYTES_MAX, "{} MiB", worst >> 20);
}

#[test]
fn a_connector_that_describes_itself_at_length_takes_no_memory_for_it() {
    let scratch = Scratch::new();
    scratch.write("one/alone.wasm", component("alone"));
    scratch.write("two/verbose.wasm", component("verbose"));
    let list = |folder: &str| {
        let listed = scratch.start(&["plugins", "list", "--plugins", folder]);
        let (ending, memory) = listed.ended_with_memory();
        (ending, memory.peak)
    };
    for _compiled in 0..2 {
        list("one");
        list("two");
    }
    let (_, nothing) = list("one");
    let (ending, peak) = list("two");
    ending.with_code(78).says(&["verbose.wasm", "JSON values"]);
    let more = peak.saturating_sub(nothing);
    say(&format!(
        "memory: describe: {} MiB more than another connector",
        more >> 20
    ));
    assert!(more < MORE_BYTES_MAX, "{} MiB", more >> 20);
}
