//! The bounds of a run that never waits: its time, its tracks, and how deep its values nest.

use std::time::Duration;

use pipepost::{FailureKind, RunOptions, RunReport, TimeLimit};
use serde_json::{Value, json};

use crate::fixture::{document, generate, host, report, step, steps};

async fn limited(document: &Value, message: Value, limit: TimeLimit) -> RunReport {
    let mut options = RunOptions::new(message);
    options.time_limit = limit;
    report(&host().await, document, options).await
}

fn ended_at_a_limit(report: &RunReport, saying: &str) {
    let error = report.result.as_ref().expect_err("it ended");
    assert_eq!(error.exit_code(), pipepost::exit_code(FailureKind::Limit), "{error}");
    assert!(error.to_string().contains(saying), "{error}");
}

#[tokio::test]
async fn a_loop_that_never_waits_ends_at_the_time_limit() {
    for parallel in [false, true] {
        let document = document(json!({
            "start": [step("for-each-connector", json!({ "jsonPath": "$", "parallel": parallel, "onProcess": "work" }))],
            "work": [generate(json!({ "success": true }))],
        }));
        let items = Value::Array(vec![json!(1); 200_000]);
        let report = limited(&document, items, TimeLimit::After(Duration::from_millis(20))).await;
        ended_at_a_limit(&report, "time limit of 0.02 s");
    }
}

/// Executions side by side, two in each of two, so many levels down.
fn doubling(levels: usize) -> Value {
    let name = |level: usize| {
        if level == 0 {
            "start".to_owned()
        } else {
            level.to_string()
        }
    };
    let mut branches = json!({});
    for level in 0..levels {
        let execution = json!({ "target": name(level + 1) });
        let params = json!({ "parallelExecutions": [execution, execution] });
        branches[name(level)] = json!([step("parallel-execution-connector", params)]);
    }
    branches[name(levels)] = json!([generate(json!(1))]);
    document(branches)
}

#[tokio::test]
async fn tracks_within_one_another_are_bounded_without_a_time_limit_too() {
    let report = limited(&doubling(10), json!({}), TimeLimit::None).await;
    assert!(report.result.is_ok(), "{:?}", report.result);
    let report = limited(&doubling(30), json!({}), TimeLimit::None).await;
    ended_at_a_limit(&report, "tracks");
}

/// What `inner` gives, in so many arrays.
fn wrapped(inner: &str, levels: usize) -> Value {
    (0..levels).fold(json!(inner), |inner, _| json!([inner]))
}

#[tokio::test]
async fn a_value_that_a_loop_makes_deeper_ends_the_run() {
    let turns = |levels: usize| {
        let mut wrap = generate(wrapped("{{ step.x }}", levels));
        wrap["doubleBracesAlias"] = "x".into();
        document(json!({
            "start": [step("for-each-connector", json!({ "jsonPath": "$", "onProcess": "wrap", "failOnError": false }))],
            "wrap": [wrap],
        }))
    };
    let items = |count: usize| Value::Array(vec![json!(1); count]);
    let report = limited(&turns(100), items(2), TimeLimit::None).await;
    assert!(report.result.is_ok(), "{:?}", report.result);
    let report = limited(&turns(100), items(300), TimeLimit::None).await;
    ended_at_a_limit(&report, "nests deeper");
    let report = limited(&turns(1), items(300), TimeLimit::None).await;
    ended_at_a_limit(&report, "nests deeper");
}

#[tokio::test]
async fn errors_and_the_session_make_no_value_deeper_either() {
    let thrown = step(
        "throw-error-connector",
        json!({ "customErrorEnabled": true, "customError": { "was": "{{ message }}" } }),
    );
    let retry = json!({ "onProcess": "work", "onException": "handle", "maxRetry": 5000 });
    let throwing = document(json!({
        "start": [step("retry-connector", retry)],
        "work": [thrown],
        "handle": [step("log-connector", json!({ "message": "again" }))],
    }));
    let report = limited(&throwing, json!({}), TimeLimit::None).await;
    ended_at_a_limit(&report, "nests deeper");

    let session = |operation: &str| json!({ "type": "session-management", "operation": operation, "fields": ["$"] });
    let keeping = document(json!({
        "start": [step("retry-connector", json!({ "onProcess": "work", "maxRetry": 5000 }))],
        "work": [session("PUT"), session("GET")],
    }));
    let report = limited(&keeping, json!({}), TimeLimit::None).await;
    ended_at_a_limit(&report, "nests deeper");
}

#[tokio::test]
async fn an_input_that_nests_too_deeply_is_refused_and_harms_nobody() {
    let mut deep = json!(1);
    for _ in 0..100_000 {
        deep = Value::Array(vec![deep]);
    }
    let report = limited(&steps(json!([generate(json!(1))])), deep, TimeLimit::None).await;
    ended_at_a_limit(&report, "The input nests deeper");
}
