//! What a run tells: records of its steps, with nothing in them that may not be shown; and pinned steps.

use std::sync::{Arc, Mutex};

use pipepost::{Observer, Preparation, RunOptions, StepRecord};
use pipepost_inbox::Script;
use serde_json::{Value, json};

use crate::fixture::{Fixture, document, generate, host, report, report_with, step, steps};

#[derive(Debug, Default)]
struct Records(Mutex<Vec<Value>>);

impl Observer for Records {
    fn wants_steps(&self) -> bool {
        true
    }

    fn step(&self, record: &StepRecord<'_>) {
        let record = serde_json::to_value(record).expect("JSON");
        self.0.lock().expect("no panic while it is held").push(record);
    }
}

impl Records {
    fn taken(&self) -> Vec<Value> {
        self.0.lock().expect("no panic while it is held").clone()
    }
}

fn watched(message: Value) -> (Arc<Records>, RunOptions) {
    let records = Arc::new(Records::default());
    let mut options = RunOptions::new(message);
    options.observer = Some(Arc::clone(&records) as Arc<dyn Observer>);
    (records, options)
}

#[tokio::test]
async fn each_step_is_recorded_and_sensitive_fields_are_not_shown() {
    let mut document = document(json!({
        "start": [step("for-each-connector", json!({ "jsonPath": "$.a", "onProcess": "work" }))],
        "work": [generate(json!({ "success": true, "card": "{{ message.card }}" }))],
    }));
    document["sensitive"] = json!(["card"]);
    let (records, mut options) = watched(json!({ "a": [{ "card": 1234 }], "card": { "number": 5678 } }));
    options.execution = Some("run-1".to_owned());
    report(&host().await, &document, options)
        .await
        .result
        .expect("an output");
    let records = records.taken();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0]["path"], "/start#0/0/work#0");
    assert_eq!(records[0]["execution"], "run-1");
    assert_eq!(records[0]["input"], json!({ "card": "***" }));
    assert_eq!(records[0]["output"], json!({ "success": true, "card": "***" }));
    assert_eq!(records[1]["type"], "for-each-connector");
    assert_eq!(records[1]["output"], json!({ "total": 1, "success": 1, "failed": 0 }));
    assert!(!json!(records).to_string().contains("1234"));
    assert!(!json!(records).to_string().contains("5678"));
}

#[tokio::test]
async fn an_exposed_secret_is_in_no_record() {
    let bench = Fixture::with(Script::new(), json!({ "exposed_fields": ["password"] })).await;
    let document = steps(json!([
        generate(json!({ "header": "Basic {{ account.mail.password }}" })),
        step(
            "throw-error-connector",
            json!({ "errorMessage": "it was {{ message.header }}" })
        )
    ]));
    let (records, options) = watched(json!({}));
    let error = report(&bench.host, &document, options).await.result.unwrap_err();
    assert!(error.to_string().contains("abcd efgh ijkl mnop"));
    let records = json!(records.taken()).to_string();
    assert!(
        records.contains("Basic ***") && records.contains("it was Basic ***"),
        "{records}"
    );
    assert!(!records.contains("abcd"));
}

#[tokio::test]
async fn a_pinned_step_does_not_run_whatever_it_is() {
    let document = steps(json!([
        { "type": "connector", "name": "some-database-connector", "stepName": "Read orders", "params": { "sql": "select" } },
        generate(json!({ "first": "{{ message[0].id }}" })),
    ]));
    let host = host().await;
    let problems = host.prepare(&document.to_string()).unwrap_err();
    assert!(problems.to_string().contains("some-database-connector"), "{problems}");
    let preparation = Preparation {
        pins: [("Read orders".to_owned(), json!([{ "id": 7 }]))].into(),
        ..Preparation::default()
    };
    let report = report_with(&host, &document, preparation, RunOptions::new(json!({}))).await;
    assert_eq!(report.result.expect("an output"), json!({ "first": 7 }));
}
