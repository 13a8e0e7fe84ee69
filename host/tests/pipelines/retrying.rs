//! The retry: again until it succeeds, and never a message twice.

use pipepost::{FailureKind, RunOptions};
use pipepost_inbox::Script;
use serde_json::{Value, json};

use crate::fixture::{Fixture, document, email, generate, host, report, run, step, throw};

fn retry(params: Value, work: Value, handler: Value) -> Value {
    let mut params = params;
    params["onProcess"] = "work".into();
    if !handler.is_null() {
        params["onException"] = "handle".into();
    }
    let mut branches = json!({
        "start": [step("retry-connector", params)],
        "work": work,
    });
    if !handler.is_null() {
        branches["handle"] = handler;
    }
    document(branches)
}

/// Counts itself up, and succeeds at three.
fn counting() -> Value {
    json!([generate(
        json!({ "n": "{{ SUM(message.n, 1) }}", "success": "{{ EQUALTO(SUM(message.n, 1), 3) }}" })
    )])
}

#[tokio::test]
async fn each_try_gets_what_the_one_before_it_left() {
    let output = run(
        &retry(json!({ "maxRetry": 5 }), counting(), Value::Null),
        json!({ "n": 0 }),
    )
    .await;
    assert_eq!(output.expect("an output"), json!({ "n": 3.0, "success": true }));
    let output = run(
        &retry(json!({ "maxRetry": "2" }), counting(), Value::Null),
        json!({ "n": 0 }),
    )
    .await;
    assert_eq!(output.expect("an output"), json!({ "n": 2.0, "success": false }));
}

#[tokio::test]
async fn success_at_the_end_of_on_exception_ends_the_retry() {
    let document = retry(
        json!({}),
        json!([throw("again")]),
        json!([generate(json!({ "success": true, "because": "{{ message.error }}" }))]),
    );
    let output = run(&document, json!({})).await;
    assert_eq!(
        output.expect("an output"),
        json!({ "success": true, "because": "again" })
    );
}

#[tokio::test]
async fn a_retry_in_vain_ends_the_run_only_when_asked() {
    let never = json!([throw("never")]);
    let output = run(&retry(json!({}), never.clone(), Value::Null), json!({})).await;
    let output = output.expect("an output");
    assert_eq!(
        (&output["success"], &output["message"]),
        (&json!(false), &json!("never"))
    );
    let error = run(&retry(json!({ "failOnError": true }), never, Value::Null), json!({})).await;
    assert_eq!(error.unwrap_err().object["error"], "never");
    let no = json!([generate(json!({ "success": false, "failure": { "kind": "quota" } }))]);
    let error = run(&retry(json!({ "failOnError": true }), no, Value::Null), json!({})).await;
    assert_eq!(error.unwrap_err().exit_code(), pipepost::exit_code(FailureKind::Quota));
}

#[tokio::test]
async fn past_its_time_a_retry_begins_no_step() {
    let work = json!([{ "type": "delayer", "delayMilliseconds": 600_000 }, generate(json!({ "success": true }))]);
    let document = retry(json!({ "timeout": 20, "failOnError": true }), work, Value::Null);
    let error = run(&document, json!({})).await.unwrap_err();
    assert_eq!(error.exit_code(), pipepost::exit_code(FailureKind::Limit));
    assert!(error.to_string().contains("the retry around it"), "{error}");
}

#[tokio::test]
async fn what_was_sent_is_not_sent_again() {
    let bench = Fixture::new(Script::new()).await;
    let work = json!([
        email(json!({ "to": "a@example.com", "subject": "once", "body": "the same each time" })),
        throw("after the sending")
    ]);
    let document = retry(
        json!({ "maxRetry": 3 }),
        work,
        json!([generate(json!({ "success": false }))]),
    );
    let report = bench.report(&document, json!({})).await;
    assert_eq!(report.counts.sent, 1);
    assert_eq!(bench.subjects(), ["once"]);
}

#[tokio::test]
async fn the_recorded_outcome_comes_back() {
    let bench = Fixture::new(Script::new()).await;
    let mut sending = email(json!({ "to": "a@example.com", "subject": "once", "body": "x" }));
    sending["doubleBracesAlias"] = "mail".into();
    let work = json!([
        sending,
        generate(json!({ "replayed": "{{ step.mail.replayed }}", "id": "{{ step.mail.messageId }}" }))
    ]);
    let document = retry(json!({ "maxRetry": 2 }), work, Value::Null);
    let output = bench.run(&document, json!({})).await.expect("an output");
    assert_eq!(output["replayed"], true);
    let sent = bench.inbox.messages();
    assert_eq!(sent.len(), 1);
    let id = sent[0].message_id().expect("a Message-ID");
    assert_eq!(output["id"], format!("<{id}>"));
}

#[tokio::test]
async fn what_may_have_been_sent_is_not_sent_again() {
    // The connection is lost when the content has left and before the reply to it.
    let script = r#"{"rules": [{"at": "content", "obey": true, "do": ["close"]}]}"#;
    let script = Script::from_json(script).expect("a script");
    let bench = Fixture::new(script).await;
    let work = json!([email(
        json!({ "to": "a@example.com", "subject": "perhaps", "body": "x" })
    )]);
    let document = retry(json!({ "maxRetry": 3 }), work, Value::Null);
    let output = bench.run(&document, json!({})).await.expect("an output");
    assert_eq!(output["outcome"], "uncertain");
    assert_eq!(output["replayed"], true);
    // The ledger of this run ends with it, so there is nothing to settle.
    assert_eq!(output["failure"]["remedy"], Value::Null, "{output:#}");
    assert_eq!(bench.said("MAIL FROM"), 1);
}

#[tokio::test]
async fn another_content_under_the_same_key_is_refused() {
    let bench = Fixture::new(Script::new()).await;
    let work = json!([
        email(json!({ "to": "a@example.com", "subject": "n{{ message.n }}", "body": "x" })),
        generate(json!({ "n": 2 }))
    ]);
    let output =
        email(json!({ "to": "a@example.com", "subject": "n{{ message.n }}", "body": "x", "failOnError": true }));
    let document = retry(
        json!({ "maxRetry": 2, "failOnError": true }),
        json!([output, generate(json!({ "n": 2 }))]),
        Value::Null,
    );
    let error = bench.run(&document, json!({ "n": 1 })).await.unwrap_err();
    assert_eq!(error.exit_code(), pipepost::exit_code(FailureKind::Configuration));
    assert_eq!(bench.subjects(), ["n1"]);
    // Tolerated, it is told.
    let report = bench
        .report(&retry(json!({ "maxRetry": 2 }), work, Value::Null), json!({ "n": 3 }))
        .await;
    assert!(
        report.tolerated[0].1.message.contains("another content"),
        "{:?}",
        report.tolerated
    );
    assert_eq!(bench.subjects(), ["n1", "n3"]);
}

#[tokio::test]
async fn a_retry_tells_what_is_wrong_with_its_settings() {
    let document = retry(
        json!({ "maxRetry": "{{ message.n }}", "failOnError": true }),
        counting(),
        Value::Null,
    );
    let report = report(&host().await, &document, RunOptions::new(json!({ "n": "many" }))).await;
    let error = report.result.unwrap_err();
    assert!(error.to_string().contains("`maxRetry`"), "{error}");
}
