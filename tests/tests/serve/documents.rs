//! What is said of documents: by `check`, in the log, and by the API.

use pipepost_tests::Served;
use serde_json::{Value, json};

use crate::fixture::Fixture;

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
