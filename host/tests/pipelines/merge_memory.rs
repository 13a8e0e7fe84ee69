//! What a mail merge does not hold in memory: the message's list, which stays in its file, and the results, which are apart.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use pipepost::{Prepared, RunOptions, RunReport};
use pipepost_inbox::Script;
use pipepost_state_sqlite::SqliteStore;
use serde_json::{Value, json};

use crate::fixture::{Fixture, document, email, generate, step, steps};

fn newsletter(further: Value) -> Value {
    let mut params = json!({
        "items": "{{ message.readers }}",
        "to": "{{ item.email }}",
        "subject": "to {{ item.name }} of {{ message.list.name }}",
        "body": "${item.name}: {{ item.text }}",
        "failOnError": false,
    });
    for (name, value) in further.as_object().expect("parameters") {
        params[name] = value.clone();
    }
    email(params)
}

fn message(count: usize) -> Value {
    let readers: Vec<Value> = (0..count)
        .map(|n| json!({ "name": format!("Zoë {n}"), "email": format!("r{n}@example.com"), "text": "olá ".repeat(n % 50) }))
        .collect();
    json!({ "before": { "readers": [1] }, "readers": readers, "list": { "name": "news" } })
}

fn file(message: &Value) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(message.to_string().as_bytes()).expect("written");
    file
}

fn prepared(bench: &Fixture, document: &Value) -> Prepared {
    let prepared = bench.host.prepare(&document.to_string());
    prepared.unwrap_or_else(|problems| panic!("{problems}"))
}

fn refusing() -> Script {
    Script::new().refuse_recipient("r333@example.com", "550 5.1.1 There is nobody here.")
}

/// Under one key, so that the Message-IDs are those of another run.
fn named(message: Value) -> RunOptions {
    let mut options = RunOptions::new(message);
    options.execution = Some("news".to_owned());
    options
}

fn written(report: &RunReport) -> Value {
    serde_json::to_value(report.written()).expect("JSON")
}

/// The text of an output or an error object, without what differs from run to run.
fn comparable(mut written: Value) -> String {
    if written.get("timestamp").is_some() {
        written["timestamp"] = Value::Null;
    }
    for result in written["results"].as_array_mut().expect("results") {
        if result.get("response").is_some() {
            result["response"] = Value::Null;
        }
    }
    // The order of the members counts.
    serde_json::to_string_pretty(&written).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_in_its_file_and_results_apart_change_nothing_of_what_comes_out() {
    let message = message(700);
    let document = steps(json!([newsletter(json!({}))]));
    let bench = Fixture::new(refusing()).await;
    let pipeline = prepared(&bench, &document);
    let expected = bench.host.run(&pipeline, named(message.clone())).await;
    assert_eq!((expected.counts.sent, expected.counts.failed), (699, 1));
    assert!(expected.results.is_none());

    let mut options = named(Value::Null);
    options.read_message(&pipeline, file(&message)).expect("a message");
    assert_eq!(options.message["readers"], json!([]), "it stays in the file");
    assert_eq!(options.message["before"], message["before"]);
    options.results_apart = true;
    let report = bench.host.run(&pipeline, options).await;
    assert_eq!(report.counts, expected.counts);
    assert_eq!(report.exit_code(), expected.exit_code());
    let output = report.result.as_ref().expect("an output");
    assert_eq!(output.get("results"), None);
    assert_eq!(report.results.as_ref().map(pipepost::MergeResults::len), Some(700));
    let expected = expected.result.expect("an output");
    assert_eq!(comparable(written(&report)), comparable(expected));
    assert_eq!(bench.inbox.messages().len(), 2 * 699);
}

/// What the file's rows were known by, they are known by in memory, and the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn a_rerun_sends_none_again_wherever_the_list_is() {
    let document = steps(json!([newsletter(json!({}))]));
    let state = tempfile::tempdir().expect("a directory");
    let store = Arc::new(SqliteStore::new(state.path()));
    let bench = Fixture::built(Script::new(), json!({}), |builder| builder.state(store)).await;
    let pipeline = prepared(&bench, &document);
    let mut options = named(Value::Null);
    options.read_message(&pipeline, file(&message(80))).expect("a message");
    assert_eq!(bench.host.run(&pipeline, options).await.counts.sent, 80);
    let report = bench.host.run(&pipeline, named(message(90))).await;
    assert_eq!(report.counts.sent, 10, "the others were sent before");
    let mut options = named(Value::Null);
    options.read_message(&pipeline, file(&message(100))).expect("a message");
    assert_eq!(bench.host.run(&pipeline, options).await.counts.sent, 10);
    assert_eq!(bench.inbox.messages().len(), 100);
}

#[tokio::test]
async fn a_list_that_anything_else_reads_is_in_the_message() {
    let bench = Fixture::new(Script::new()).await;
    let message = message(3);
    let read = |document: &Value| {
        let mut options = RunOptions::default();
        let pipeline = prepared(&bench, document);
        options.read_message(&pipeline, file(&message)).expect("a message");
        options.message
    };
    let alone = read(&steps(json!([newsletter(json!({}))])));
    assert_eq!(alone["readers"], json!([]));
    for further in [
        json!({ "subject": "one of {{ SIZE(message.readers) }}" }),
        json!({ "subject": "{{ message.readers[0].name }} and others" }),
        json!({ "subject": "{{ trigger.readers[0].name }} and others" }),
        json!({ "subject": "{{ TOJSON(message) }}" }),
        json!({ "body": "one of ${readers?size}" }),
        json!({ "body": "<#list .data_model?keys as name>${name}</#list>" }),
        json!({ "headers": { "X-First": "{{ message.readers[0].name }}" } }),
        json!({ "results": { "file": "{{ message.readers[0].name }}.ndjson" } }),
        json!({ "items": "{{ DEFAULT(message.readers, NEWEMPTYARRAY()) }}" }),
        json!({ "groupBy": "{{ item.name }}" }),
    ] {
        let document = steps(json!([newsletter(further.clone())]));
        if let Err(problems) = bench.host.prepare(&document.to_string()) {
            panic!("{further}: {problems}");
        }
        assert_eq!(read(&document), message, "{further}");
    }
    let two = steps(json!([newsletter(json!({})), generate(json!({ "a": 1 }))]));
    assert_eq!(read(&two), message, "a step after it");
}

#[tokio::test]
async fn only_results_that_end_the_run_are_apart() {
    let bench = Fixture::new(Script::new()).await;
    let run = async |document: Value| {
        let mut options = RunOptions::new(message(3));
        options.results_apart = true;
        let pipeline = prepared(&bench, &document);
        bench.host.run(&pipeline, options).await
    };
    let last = run(steps(json!([generate(json!("{{ message }}")), newsletter(json!({}))]))).await;
    assert_eq!(last.results.as_ref().map(pipepost::MergeResults::len), Some(3));
    assert_eq!(written(&last)["results"][2]["to"], "r2@example.com");

    let read = generate(json!({ "third": "{{ message.results[2].to }}" }));
    let report = run(steps(json!([newsletter(json!({})), read]))).await;
    assert!(report.results.is_none());
    assert_eq!(report.result.expect("an output"), json!({ "third": "r2@example.com" }));

    let within = step("block-execution-connector", json!({ "onProcess": "work" }));
    let nested = document(json!({ "start": [within], "work": [newsletter(json!({}))] }));
    let report = run(nested).await;
    assert!(report.results.is_none());
    assert_eq!(report.result.expect("an output")["results"][2]["to"], "r2@example.com");
}

/// With `failOnError` the results are a part of the error object.
#[tokio::test]
async fn the_results_of_a_run_that_fails_are_written_with_its_error() {
    let bench = Fixture::new(Script::new().refuse_recipient("r1@example.com", "550 5.1.1 Nobody.")).await;
    let document = steps(json!([newsletter(json!({ "failOnError": true }))]));
    let pipeline = prepared(&bench, &document);
    let expected = bench.host.run(&pipeline, named(message(3))).await;
    let mut options = named(message(3));
    options.results_apart = true;
    let report = bench.host.run(&pipeline, options).await;
    let whole = written(&report);
    assert_eq!(whole["results"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        comparable(whole),
        comparable(expected.result.expect_err("it failed").object)
    );
}
