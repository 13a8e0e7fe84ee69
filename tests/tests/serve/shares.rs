//! How pipelines and accounts share the places for runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use pipepost_inbox::Script;
use pipepost_tests::{PATIENCE, Served};
use serde_json::{Value, json};

use crate::fixture::{Fixture, email, sending, subject, with_accounts};

/// Pipelines that are slow.
const SLOW: usize = 8;

/// Runs of each of them.
const RUNS: usize = 8;

/// A pipeline of this account whose runs do not end.
fn slow(account: &str) -> Value {
    let wait = json!({ "type": "delayer", "delayMilliseconds": 800_000 });
    let mut step = email();
    step["accountLabel"] = json!(account);
    json!({
        "triggerSpec": { "type": "rest", "timeout": 900_000 },
        "flowSpec": { "start": [wait, step] },
    })
}

/// The number of runs under way, once there are so many.
fn running(served: &Served, most: usize) -> usize {
    let begun = Instant::now();
    loop {
        let path = "/api/v1/runs?state=running&limit=200";
        let runs = served.api("GET", path, &Value::Null).with_status(200).json();
        let count = runs["runs"].as_array().map_or(0, Vec::len);
        if count >= most {
            return count;
        }
        assert!(begun.elapsed() < PATIENCE, "{count} are under way, not {most}");
    }
}

/// Slow pipelines of these accounts have many runs, and another pipeline begins what it is asked for: when the others came
/// before it, and when they waited for the server to start.
fn others_find_places(account: impl Fn(usize) -> String) {
    let labels: Vec<String> = (0..SLOW).map(&account).collect();
    let of = |label| (label, "from_name", json!("Slow"));
    let mut others: Vec<_> = labels.iter().map(String::as_str).map(of).collect();
    others.dedup_by(|one, other| one.0 == other.0);
    let quick = sending(&json!({ "type": "rest", "timeout": 20_000 }));
    let mut fixture = with_accounts(Script::default(), &others).pipeline("quick", &quick);
    for (number, label) in labels.iter().enumerate() {
        fixture = fixture.pipeline(&format!("slow{number}"), &slow(label));
    }
    let served = Served::start(&fixture.scratch, &[]);
    for number in 0..SLOW * RUNS {
        let pipeline = format!("slow{}", number % SLOW);
        served
            .post(&pipeline, &[("Prefer", "respond-async")], &subject("slow"))
            .with_status(202);
    }
    running(&served, 16);
    served.post("quick", &[], &subject("beside")).with_status(200);
    drop(served);
    let served = Served::start(&fixture.scratch, &[]);
    running(&served, 16);
    served.post("quick", &[], &subject("after")).with_status(200);
    let under_way = running(&served, 16);
    assert!(under_way < 32, "{under_way}");
    assert_eq!((fixture.arrived("beside"), fixture.arrived("after")), (1, 1));
}

#[test]
fn many_pipelines_of_a_slow_account_leave_places_for_others() {
    others_find_places(|_| "slow".to_owned());
}

#[test]
fn many_slow_accounts_leave_places_for_others() {
    others_find_places(|number| format!("slow{number}"));
}

#[test]
fn a_pipeline_that_is_alone_takes_all_places() {
    let mut document = slow("mail");
    document["triggerSpec"]["consumers"] = json!(6);
    let fixture = Fixture::new().pipeline("only", &document);
    let served = Served::start(&fixture.scratch, &["--concurrency", "6"]);
    for _ in 0..7 {
        served
            .post("only", &[("Prefer", "respond-async")], &subject("slow"))
            .with_status(202);
    }
    assert_eq!(running(&served, 6), 6);
}

/// Another process says that a run need not wait any more; the server finds that out by itself.
#[test]
fn what_becomes_due_begins_though_other_runs_end_all_the_time() {
    let fixture = Fixture::new()
        .pipeline("busy", &sending(&json!({ "type": "rest" })))
        .pipeline("later", &sending(&json!({ "type": "rest" })));
    let served = Served::start(&fixture.scratch, &[]);
    let order = json!({ "pipeline": "later", "message": { "body": subject("later") }, "due": "2099-01-01T00:00:00Z" });
    let run = served.api("POST", "/api/v1/runs", &order).with_status(202).json();
    let id = run["id"].as_str().expect("a run");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                served.post("busy", &[], &subject("busy")).with_status(200);
            }
        });
        let state = fixture.scratch.folder().join("state").display().to_string();
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            fixture
                .scratch
                .pipepost(&["runs", "continue", id, "--state", &state])
                .with_code(0);
            served.run_until(id, "done");
        }));
        is_over.store(true, Ordering::SeqCst);
        done.expect("it begins");
    });
    assert_eq!(fixture.arrived("later"), 1);
}

#[test]
fn a_route_is_not_hidden_by_a_pipeline_that_no_request_starts() {
    let routed = json!({ "type": "rest", "routes": ["/digest"] });
    let fixture = Fixture::new()
        .pipeline("digest", &sending(&json!({ "type": "event", "eventName": "digest" })))
        .pipeline("orders", &sending(&routed));
    let served = Served::start(&fixture.scratch, &[]);
    served.post("realm/v1/digest", &[], &subject("routed")).with_status(200);
    assert_eq!(fixture.arrived("routed"), 1);
}
