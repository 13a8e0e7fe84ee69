//! The loop that ends by its own word: do-while.

use pipepost::{FailureKind, RunOptions};
use pipepost_inbox::Script;
use serde_json::{Value, json};

use crate::fixture::{Fixture, document, email, generate, host, report, run, step, throw};

fn looped(params: Value, work: Value, handle: Value) -> Value {
    let mut params = params;
    params["onProcess"] = "work".into();
    params["onException"] = "handle".into();
    let mut branches = json!({ "start": [step("do-while-connector", params)], "work": work });
    if !handle.is_null() {
        branches["handle"] = handle;
    }
    document(branches)
}

/// Counts `n` up by one.
fn count_up() -> Value {
    generate(
        json!({ "n": "{{ SUM(message.n, 1) }}", "loopIndex": "{{ message.loopIndex }}", "loopBreak": "{{ GREATERTHAN(message.n, message.last) }}", "last": "{{ message.last }}" }),
    )
}

#[tokio::test]
async fn the_track_runs_until_it_says_break_or_often_enough() {
    let work = json!([count_up()]);
    let document = looped(
        json!({ "iteration": "10", "timeout": 300_000, "showLoopIndex": false }),
        work,
        Value::Null,
    );
    // The run that leaves `loopBreak` is the last one.
    let output = run(&document, json!({ "n": 0, "last": 2 })).await.expect("an output");
    assert_eq!((&output["n"], &output["loopBreak"]), (&json!(4.0), &json!(true)));
    let output = run(&document, json!({ "n": 0, "last": 99 })).await.expect("an output");
    assert_eq!(output["n"], json!(10.0));
}

#[tokio::test]
async fn the_message_of_each_run_has_its_number_when_asked_for() {
    let work = json!([generate(
        json!({ "seen": "{{ CONCAT(message.seen, message.loopIndex) }}" })
    )]);
    let document = looped(json!({ "iteration": 3, "showLoopIndex": true }), work, Value::Null);
    assert_eq!(
        run(&document, json!({ "seen": "" })).await.expect("an output"),
        json!({ "seen": "123" })
    );
}

#[tokio::test]
async fn an_error_ends_the_loop_and_goes_up_or_to_its_track() {
    let work = json!([throw("run {{ message.n }}")]);
    let unhandled = looped(json!({ "iteration": 3 }), work.clone(), Value::Null);
    let error = run(&unhandled, json!({ "n": 1 })).await.expect_err("an error");
    assert!(error.to_string().contains("run 1"), "{error}");
    let handle = json!([generate(
        json!({ "at": "{{ message.loopIndex }}", "error": "{{ message.error }}" })
    )]);
    let handled = looped(json!({ "iteration": 3 }), work, handle);
    let output = run(&handled, json!({ "n": 1 })).await.expect("an output");
    assert_eq!(output, json!({ "at": 1, "error": "run 1" }));
}

#[tokio::test]
async fn a_loop_that_is_not_interrupted_goes_on_from_the_error_or_from_its_track() {
    let work = json!([
        { "type": "choice", "when": [{ "jsonPath": "$.[?(@.n < 3)]", "target": "thrown" }], "otherwise": "done" }
    ]);
    let mut document = looped(
        json!({ "iteration": 10, "interruptLoopOnError": false }),
        work.clone(),
        json!([generate(json!({ "n": "{{ SUM(message.loopIndex, 1) }}" }))]),
    );
    document["flowSpec"]["thrown"] = json!([throw("too small")]);
    document["flowSpec"]["done"] = json!([generate(json!({ "loopBreak": "true", "n": "{{ message.n }}" }))]);
    let output = run(&document, json!({ "n": 1 })).await.expect("an output");
    assert_eq!(output, json!({ "loopBreak": "true", "n": 3.0 }));
    // Without a track the next run begins with the error, and each error is told.
    let mut document = looped(
        json!({ "iteration": 2, "interruptLoopOnError": false }),
        work,
        Value::Null,
    );
    document["flowSpec"]["thrown"] = json!([throw("too small")]);
    document["flowSpec"]["done"] = json!([generate(json!({ "last": "{{ message.loopIndex }}" }))]);
    let report = report(&host().await, &document, RunOptions::new(json!({ "n": 1 }))).await;
    assert_eq!(report.result.expect("an output"), json!({ "last": 1 }));
    assert_eq!(report.tolerated.len(), 1);
    assert!(
        report.tolerated[0].1.message.contains("too small"),
        "{:?}",
        report.tolerated
    );
}

#[tokio::test]
async fn an_error_in_the_track_for_errors_goes_up() {
    let document = looped(
        json!({ "iteration": 5, "interruptLoopOnError": false }),
        json!([throw("first")]),
        json!([throw("second")]),
    );
    let error = run(&document, json!({})).await.expect_err("an error");
    assert!(error.to_string().contains("second"), "{error}");
}

#[tokio::test]
async fn no_run_begins_after_the_loops_time() {
    let work = json!([{ "type": "delayer", "delayMilliseconds": 20 }]);
    let document = looped(json!({ "iteration": 1_000_000_000, "timeout": 30 }), work, Value::Null);
    let failure = run(&document, json!({})).await.expect_err("its time").failure;
    assert_eq!(failure.expect("a failure").kind, FailureKind::Limit);
}

#[tokio::test]
async fn each_run_sends_its_own_message_and_a_rerun_none_again() {
    let work = json!([
        email(json!({ "to": "a@example.com", "subject": "page {{ message.loopIndex }}", "body": "x" })),
        generate(json!({})),
    ]);
    let document = looped(json!({ "iteration": 3, "showLoopIndex": true }), work, Value::Null);
    let bench = Fixture::new(Script::new()).await;
    for _ in 0..2 {
        bench
            .named("pages", &document, json!({}))
            .await
            .result
            .expect("an output");
    }
    assert_eq!(bench.subjects(), ["page 1", "page 2", "page 3"]);
}
