//! A run is a part of the trace in which it was ordered: each attempt, in whatever process.

use pipepost_inbox::Script;
use pipepost_tests::{Collector, Served};
use serde_json::{Value, json};

use crate::fixture::{Fixture, sending, subject};

/// The example of W3C's Trace Context.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn parent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

/// The runs of this pipeline as a collector received them: the trace, the parent and the run's id.
fn runs(received: &[Value], pipeline: &str) -> Vec<(String, String, String)> {
    let name = format!("run {pipeline}");
    let spans = received
        .iter()
        .filter(|one| one["event"] == "span" && one["name"] == name.as_str());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    spans
        .map(|span| {
            (
                text(&span["trace"]),
                text(&span["parent"]),
                text(&span["attributes"]["pipepost.run.id"]),
            )
        })
        .collect()
}

#[test]
fn each_attempt_is_a_part_of_the_trace_in_which_the_run_was_ordered() {
    let Some(collector) = Collector::start(200) else { return };
    let busy_once =
        json!({ "rules": [{ "at": "rcpt", "times": 1, "do": [{ "reply": "451 4.3.2 Try again later" }] }] });
    let script: Script = serde_json::from_value(busy_once).expect("a script");
    let mut fixture = Fixture::with_script(script).pipeline("welcome", &sending(&json!({ "type": "rest" })));
    fixture.scratch = fixture
        .scratch
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint());
    let served = Served::start(&fixture.scratch, &[]);
    let parent = parent();
    let headers = [("Prefer", "respond-async"), ("traceparent", parent.as_str())];
    let reply = served.post("welcome", &headers, &subject("later")).with_status(202);
    let id = reply.json()["id"].as_str().expect("an id").to_owned();
    while !served.run(&id)["failure"].is_object() {
        std::thread::yield_now();
    }
    // The second attempt is another process's.
    assert_eq!(served.end("TERM").code, Some(0));
    let served = Served::start(&fixture.scratch, &[]);
    for decision in ["cancel", "continue"] {
        let path = format!("/api/v1/runs/{id}/{decision}");
        served.api("POST", &path, &Value::Null).with_status(200);
    }
    served.run_until(&id, "done");
    assert_eq!(served.end("TERM").code, Some(0));
    let expected = (TRACE.to_owned(), PARENT.to_owned(), id);
    assert_eq!(runs(&collector.received(), "welcome"), [expected.clone(), expected]);
}

#[test]
fn the_api_and_events_hand_a_trace_on_and_what_is_none_begins_anew() {
    let Some(collector) = Collector::start(200) else { return };
    let event = json!({ "type": "event", "eventName": "order.paid" });
    let log = json!({ "type": "connector", "name": "log-connector", "params": { "message": "hello" } });
    let document = |trigger: &Value| json!({ "triggerSpec": trigger, "flowSpec": { "start": [log] } });
    let mut fixture = Fixture::new()
        .pipeline("paid", &document(&event))
        .pipeline("rest", &document(&json!({ "type": "rest" })))
        .pipeline("called", &document(&Value::Null));
    fixture.scratch = fixture
        .scratch
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint());
    let served = Served::start(&fixture.scratch, &[]);
    let (parent, token) = (parent(), format!("Bearer {}", served.token()));
    let ask = |port: u16, path: &str, headers: &[(&str, &str)], body: &Value| {
        let own = [
            ("Authorization", token.as_str()),
            ("Content-Type", "application/json"),
            ("traceparent", parent.as_str()),
        ];
        let headers = [&own, headers].concat();
        let reply = pipepost_tests::http::request(port, "POST", path, &headers, &body.to_string());
        reply.expect("an answer")
    };
    let event = [
        ("ce-specversion", "1.0"),
        ("ce-type", "order.paid"),
        ("ce-source", "/shop"),
        ("ce-id", "7"),
    ];
    let paid = ask(served.triggers, "/events", &event, &json!({}))
        .with_status(202)
        .json();
    let called = ask(
        served.admin,
        "/api/v1/runs",
        &[("tracestate", "shop=1")],
        &json!({ "pipeline": "called" }),
    );
    let called = called.with_status(202).json();
    for id in [&paid["runs"][0]["id"], &called["id"]] {
        served.run_until(id.as_str().expect("an id"), "done");
    }
    served
        .post("rest", &[("traceparent", "00-nonsense")], &json!({}))
        .with_status(200);
    assert_eq!(served.end("TERM").code, Some(0));
    let received = collector.received();
    for pipeline in ["paid", "called"] {
        let runs = runs(&received, pipeline);
        assert_eq!(runs.len(), 1, "{runs:?}");
        assert_eq!((&*runs[0].0, &*runs[0].1), (TRACE, PARENT), "{pipeline}");
    }
    let runs = runs(&received, "rest");
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert!(runs[0].0 != TRACE && runs[0].1.is_empty(), "{runs:?}");
}
