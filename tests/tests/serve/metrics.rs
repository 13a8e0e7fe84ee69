//! What `GET /metrics` says after what happened: each value, from the binary.

use pipepost_inbox::Script;
use pipepost_tests::Served;
use pipepost_tests::connector::component;
use serde_json::{Value, json};

use crate::fixture::{Fixture, email, sending, subject, with_accounts};

fn rest() -> Value {
    json!({ "type": "rest" })
}

fn metrics(served: &Served) -> String {
    served.api("GET", "/metrics", &Value::Null).with_status(200).body
}

/// The value of a series.
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("there is no `{series}` in {metrics}"));
    line.parse().expect("a number")
}

fn is(metrics: &str, series: &str, expected: f64) {
    let found = value(metrics, series);
    assert!(
        (found - expected).abs() < 1e-9,
        "{series} is {found}, not {expected}: {metrics}"
    );
}

/// A pipeline that sends with this account.
fn with_account(label: &str) -> Value {
    let mut step = email();
    step["accountLabel"] = json!(label);
    json!({ "triggerSpec": rest(), "flowSpec": { "start": [step] } })
}

#[test]
fn sign_ins_connections_and_windows_are_those_of_their_accounts() {
    let limits = json!({ "messages_per_day": 4, "messages_per_second": 100 });
    let others = [
        ("wrong", "password", json!("not the one")),
        ("limited", "limits", limits),
    ];
    let fixture = with_accounts(Script::new(), &others)
        .pipeline("welcome", &sending(&rest()))
        .pipeline("refused", &with_account("wrong"))
        .pipeline("counted", &with_account("limited"));
    let served = Served::start(&fixture.scratch, &[]);
    let before = metrics(&served);
    is(
        &before,
        r#"pipepost_sign_ins_total{account="wrong",result="refused"}"#,
        0.0,
    );
    is(
        &before,
        r#"pipepost_account_window_used_ratio{account="limited",window="day"}"#,
        0.0,
    );
    served.post("welcome", &[], &subject("one")).with_status(200);
    served.post("welcome", &[], &subject("two")).with_status(200);
    // The second is not even tried: trying again could lock the account.
    for _ in 0..2 {
        served.post("refused", &[], &subject("none")).with_status(500);
    }
    served.post("counted", &[], &subject("three")).with_status(200);
    let after = metrics(&served);
    is(
        &after,
        r#"pipepost_sign_ins_total{account="mail",result="accepted"}"#,
        1.0,
    );
    is(
        &after,
        r#"pipepost_sign_ins_total{account="wrong",result="refused"}"#,
        1.0,
    );
    is(
        &after,
        r#"pipepost_sign_ins_total{account="wrong",result="accepted"}"#,
        0.0,
    );
    is(
        &after,
        r#"pipepost_failures_total{account="wrong",kind="authentication"}"#,
        2.0,
    );
    is(
        &after,
        r#"pipepost_account_window_used_ratio{account="limited",window="day"}"#,
        0.25,
    );
    assert!(
        !after.contains(r#"window_used_ratio{account="mail""#),
        "it states no limit: {after}"
    );
    is(&after, r#"pipepost_connections{account="mail",state="idle"}"#, 1.0);
    is(&after, r#"pipepost_connections{account="mail",state="active"}"#, 0.0);
    is(&after, r#"pipepost_connections{account="limited",state="idle"}"#, 1.0);
    is(&after, r#"pipepost_connections{account="wrong",state="idle"}"#, 0.0);
    // Three runs were accepted, claimed, settled and ended: each of that is synced.
    assert!(value(&after, "pipepost_ledger_commit_seconds_count") >= 8.0, "{after}");
    assert!(value(&after, "pipepost_ledger_commit_seconds_sum") > 0.0, "{after}");
    assert!(
        !after.contains("127.0.0.1") && !after.contains('@'),
        "labels are names: {after}"
    );
}

#[test]
fn a_connection_in_use_is_active() {
    let held = json!({ "rules": [{ "at": "content", "times": 1, "do": [{ "hold": "answer" }, "regular"] }] });
    let script: Script = serde_json::from_value(held).expect("a script");
    let fixture = Fixture::with_script(script).pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let reply = served.post("welcome", &[("Prefer", "respond-async")], &subject("held"));
    let id = reply.with_status(202).json()["id"].as_str().expect("an id").to_owned();
    let active = r#"pipepost_connections{account="mail",state="active"}"#;
    while value(&metrics(&served), active) < 1.0 {
        std::thread::yield_now();
    }
    fixture.catcher.inbox().release("answer");
    served.run_until(&id, "done");
    let after = metrics(&served);
    is(&after, active, 0.0);
    is(&after, r#"pipepost_connections{account="mail",state="idle"}"#, 1.0);
}

#[test]
fn a_connector_that_is_stopped_counts_with_its_reason() {
    let attempt = |params: Value| {
        json!({ "triggerSpec": rest(), "flowSpec": { "start": [
        { "type": "connector", "name": "alone", "stepName": "Try", "params": params },
    ] } })
    };
    let fixture = Fixture::new()
        .pipeline("loop", &attempt(json!({ "do": "loop", "failOnError": true })))
        .pipeline("panic", &attempt(json!({ "do": "panic", "failOnError": true })))
        .pipeline(
            "memory",
            &attempt(json!({ "do": "memory", "n": 1000, "failOnError": true })),
        )
        .pipeline("count", &attempt(json!({ "do": "count", "failOnError": true })));
    fixture.scratch.write("plugins/alone.wasm", component("alone"));
    let policy = json!({ "limits": { "cpu_seconds": 1 } });
    fixture.scratch.write("policy.json", policy.to_string());
    let served = Served::start(&fixture.scratch, &["--plugins", "plugins", "--policy", "policy.json"]);
    for pipeline in ["loop", "panic", "memory", "memory"] {
        let problem = served.post(pipeline, &[], &json!({})).with_status(500).json();
        assert_eq!(problem["kind"], "limit", "{problem}");
    }
    served.post("count", &[], &json!({})).with_status(200);
    let after = metrics(&served);
    for (reason, count) in [("cpu", 1.0), ("trap", 1.0), ("memory", 2.0)] {
        let series = format!(r#"pipepost_connector_stops_total{{connector="alone",reason="{reason}"}}"#);
        is(&after, &series, count);
    }
}
