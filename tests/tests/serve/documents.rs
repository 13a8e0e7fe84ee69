//! What is said of documents: by `check`, in the log, and by the API.

use pipepost_tests::Served;
use serde_json::{Value, json};

use crate::fixture::Fixture;

fn rest() -> Value {
    json!({ "type": "rest" })
}

/// A pipeline that says so.
fn saying(trigger: &Value, text: &str) -> Value {
    let generator =
        json!({ "type": "connector", "name": "json-generator-connector", "params": { "json": { "says": text } } });
    json!({ "triggerSpec": trigger, "flowSpec": { "start": [generator] } })
}

#[test]
fn a_key_of_the_trigger_without_effect_is_a_warning_and_the_export_is_served() {
    let export = json!({
        "type": "rest", "name": "rest", "timeout": 30_000, "allowRedelivery": false, "maxRequestSize": 5,
        "methods": ["POST"], "responseHeaders": { "X-A": "b" }, "corsHeaders": {}, "rateLimit": { "second": 5 },
        "mtls": true, "apiKey": true, "jwt": false, "cronExpression": "x", "unknown": 1,
    });
    let fixture = Fixture::new().pipeline("export", &saying(&export, "hello"));
    let said = [
        "responseHeaders",
        "corsHeaders",
        "rateLimit",
        "mtls",
        "apiKey",
        "cronExpression",
        "unknown",
    ];
    let checked = fixture.scratch.pipepost(&["check", "pipelines"]).with_code(0);
    for key in said {
        let says = format!("`triggerSpec.{key}` ");
        let line = checked.stdout.lines().find(|line| line.contains(&says));
        assert!(
            line.is_some_and(|line| line.starts_with("export.json: warning at line 1, column ")),
            "{key}: {checked}"
        );
    }
    assert!(checked.stdout.contains("7 problems."), "{checked}");
    let served = Served::start(&fixture.scratch, &[]);
    served.post("export", &[], &json!({})).with_status(200);
    let listed = served.api("GET", "/api/v1/pipelines", &Value::Null).json();
    let warnings = listed["pipelines"][0]["warnings"].as_array().expect("warnings");
    assert_eq!((warnings.len(), &listed["problems"]), (7, &json!([])), "{listed}");
    // What starts a pipeline is nothing to one who starts it by hand.
    let run = fixture.scratch.pipepost(&["run", "pipelines/export.json"]).with_code(0);
    assert!(!run.stderr.contains("triggerSpec"), "{run}");
}

#[test]
fn what_is_wrong_with_a_trigger_has_its_place_in_check_and_in_the_api() {
    let fixture = Fixture::new();
    let text =
        "{\"triggerSpec\": {\"type\": \"event\", \"eventName\": 5,\n \"retries\": -1},\n\"flowSpec\": {\"start\": []}}";
    fixture.scratch.write("pipelines/event.json", text);
    let checked = fixture.scratch.pipepost(&["check", "pipelines"]).with_code(65);
    let said = [
        "error at line 1, column 48: `triggerSpec.eventName` is 5; it must be a text.",
        "error at line 2, column 13: `triggerSpec.retries` is -1; it must be a whole number from 0 to 100.",
    ];
    let lines: Vec<String> = said.iter().map(|said| format!("event.json: {said}\n")).collect();
    assert_eq!(checked.stdout, format!("{}1 pipeline: 2 problems.\n", lines.concat()));
    let served = Served::start(&fixture.scratch, &[]);
    let listed = served.api("GET", "/api/v1/pipelines", &Value::Null).json();
    assert_eq!(listed["problems"][0]["problems"], json!(said), "{listed}");
}

#[test]
fn a_file_where_a_directory_is_wanted_and_a_name_without_end_are_sentences() {
    let mut long = saying(&rest(), "x");
    long["name"] = json!("n".repeat(5000));
    let fixture = Fixture::new()
        .pipeline("welcome", &saying(&rest(), "x"))
        .pipeline("long", &long);
    let file = [
        "serve",
        "pipelines/welcome.json",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    let refused = fixture.scratch.pipepost(&file).with_code(66);
    refused.is_a_sentence("a file instead of a directory");
    assert!(
        refused.stderr.contains("`pipelines/welcome.json` is a file")
            && refused.stderr.contains("`pipepost serve pipelines`"),
        "{refused}"
    );
    let state = [&Served::arguments()[..], &["--state", "pipelines/welcome.json"]].concat();
    let refused = fixture.scratch.pipepost(&state).with_code(78);
    refused.is_a_sentence("a file as state");
    assert!(
        refused.stderr.contains("is a file, and a state is a directory"),
        "{refused}"
    );
    let checked = fixture.scratch.pipepost(&["check", "pipelines"]).with_code(65);
    let says = format!("The pipeline's name `{}…` is longer than 200 bytes.", "n".repeat(80));
    assert!(
        checked.stdout.contains(&says) && checked.stdout.len() < 500,
        "{checked}"
    );
    let served = Served::start(&fixture.scratch, &[]);
    assert!(served.running().complains(&says).len() < 500);
}
