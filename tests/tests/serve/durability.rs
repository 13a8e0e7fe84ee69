//! What becomes of a run that does not end at once: it is tried again, waits, is cancelled, goes on after a restart.

use std::io::Write as _;

use pipepost_inbox::Script;
use pipepost_tests::Served;
use serde_json::{Value, json};

use crate::fixture::{Fixture, email, sending, subject};

fn rest() -> Value {
    json!({ "type": "rest" })
}

fn script(rules: &Value) -> Script {
    serde_json::from_value(json!({ "rules": rules })).expect("a script")
}

/// A mail server that does not take a recipient the first time.
fn busy_once() -> Script {
    script(&json!([{ "at": "rcpt", "times": 1, "do": [{ "reply": "451 4.3.2 Try again later" }] }]))
}

/// A mail server that keeps the first message waiting for its answer.
fn held() -> Script {
    script(&json!([{ "at": "content", "times": 1, "do": [{ "hold": "answer" }, "regular"] }]))
}

/// A pipeline that waits for a very long time before it sends.
fn slow(trigger: &Value) -> Value {
    let wait = json!({ "type": "delayer", "delayMilliseconds": 800_000 });
    json!({ "triggerSpec": trigger, "flowSpec": { "start": [wait, email()] } })
}

fn only_run(served: &Served) -> Value {
    let runs = served.api("GET", "/api/v1/runs", &Value::Null).with_status(200).json();
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(1), "{runs}");
    runs["runs"][0].clone()
}

fn id(run: &Value) -> &str {
    run["id"].as_str().expect("an id")
}

#[test]
fn a_caller_that_waits_owns_the_retry_and_asks_with_the_same_key() {
    let fixture = Fixture::with_script(busy_once()).pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let key = [("Idempotency-Key", "k")];
    let reply = served.post("welcome", &key, &subject("patience")).with_status(503);
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
    assert_eq!(reply.json()["kind"], "transient");
    let failed = only_run(&served);
    assert_eq!(failed["state"], "failed", "{failed}");
    served.post("welcome", &key, &subject("patience")).with_status(200);
    assert_eq!(fixture.arrived("patience"), 1);
    let done = only_run(&served);
    assert_eq!(
        (&done["id"], &done["state"], &done["attempt"]),
        (&failed["id"], &json!("done"), &json!(2))
    );
}

#[test]
fn what_nobody_waits_for_is_tried_again_by_the_service() {
    let fixture = Fixture::with_script(busy_once()).pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    served
        .post("welcome", &[("Prefer", "respond-async")], &subject("later"))
        .with_status(202);
    let run = loop {
        let run = only_run(&served);
        if run["failure"].is_object() {
            break run;
        }
        assert!(matches!(run["state"].as_str(), Some("queued" | "running")), "{run}");
        std::thread::yield_now();
    };
    assert_eq!(
        (&run["state"], &run["failure"]["kind"]),
        (&json!("queued"), &json!("transient")),
        "{run}"
    );
    assert!(run["due"].as_str() > run["begun"].as_str(), "{run}");
    let run = served.run(id(&run));
    assert_eq!(run["retriesLeft"], 4, "{run}");
    // It waits in the state, not in the process.
    drop(served);
    let served = Served::start(&fixture.scratch, &[]);
    let again = served.run(id(&run));
    assert_eq!((&again["state"], &again["due"]), (&run["state"], &run["due"]));
    // Somebody need not wait for it.
    let path = format!("/api/v1/runs/{}/cancel", id(&run));
    let cancelled = served.api("POST", &path, &Value::Null).with_status(200).json();
    assert_eq!(cancelled["state"], "cancelled");
    served.api("POST", &path, &Value::Null).with_status(409);
    let path = format!("/api/v1/runs/{}/continue", id(&run));
    served.api("POST", &path, &Value::Null).with_status(200);
    served.run_until(id(&run), "done");
    assert_eq!(fixture.arrived("later"), 1);
}

/// A message is written down one level deeper than it came, and an answer as deep as the pipeline made it.
#[test]
fn a_message_and_an_answer_that_nest_deeply_are_read_back_whole() {
    let answer = json!({ "a": { "b": { "c": "{{ message.body }}" } } });
    let wrap = json!({ "type": "connector", "name": "json-generator-connector", "params": { "json": answer } });
    let wrapping = json!({ "triggerSpec": { "type": "rest" }, "flowSpec": { "start": [wrap] } });
    let fixture = Fixture::new()
        .pipeline("welcome", &sending(&json!({ "type": "rest" })))
        .pipeline("wrap", &wrapping);
    let served = Served::start(&fixture.scratch, &[]);
    let deep = (1..126).fold(json!([]), |below, _| json!([below]));
    let message = json!({ "subject": "deep", "x": deep });
    served.post("welcome", &[], &message).with_status(200);
    assert_eq!(fixture.arrived("deep"), 1);
    let key = [("Idempotency-Key", "k")];
    let first = served.post("wrap", &key, &message).with_status(200);
    let again = served.post("wrap", &key, &message).with_status(200);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(first.body, again.body);
    assert!(first.body.contains("deep"), "{}", first.body);
}

#[test]
fn a_run_that_is_not_begun_in_time_is_cancelled_and_never_begins() {
    let slow = slow(&json!({ "type": "rest", "timeout": 900_000, "consumers": 1 }));
    let short = sending(&json!({ "type": "rest", "timeout": 500 }));
    let fixture = Fixture::new().pipeline("slow", &slow).pipeline("short", &short);
    let served = Served::start(&fixture.scratch, &["--concurrency", "1"]);
    served
        .post("slow", &[("Prefer", "respond-async")], &subject("slow"))
        .with_status(202);
    served.run_until_running(id(&only_run(&served)));
    let key = [("Idempotency-Key", "k")];
    let reply = served.post("short", &key, &subject("short")).with_status(503);
    assert_eq!(reply.json()["kind"], "not-started");
    assert!(reply.header("retry-after").is_some());
    let run = served.run(reply.header("pipepost-run").expect("a run"));
    assert_eq!(
        (&run["state"], &run["attempt"]),
        (&json!("cancelled"), &json!(0)),
        "{run}"
    );
    assert_eq!(fixture.arrived("short"), 0);
    drop(served);
    // With the same key it is begun now.
    let served = Served::start(&fixture.scratch, &["--concurrency", "2"]);
    served.post("short", &key, &subject("short")).with_status(200);
    assert_eq!(fixture.arrived("short"), 1);
}

#[test]
fn when_the_callers_time_is_over_the_run_goes_on_and_the_key_finds_it() {
    let fixture =
        Fixture::with_script(held()).pipeline("welcome", &sending(&json!({ "type": "rest", "timeout": 700 })));
    let served = Served::start(&fixture.scratch, &[]);
    let key = [("Idempotency-Key", "k")];
    let reply = served.post("welcome", &key, &subject("held")).with_status(504);
    assert_eq!(reply.json()["kind"], "timed-out");
    let reply = served.post("welcome", &key, &subject("held")).with_status(409);
    assert_eq!(reply.json()["kind"], "in-progress");
    fixture.catcher.inbox().release("answer");
    let run = only_run(&served);
    served.run_until(id(&run), "done");
    let reply = served.post("welcome", &key, &subject("held")).with_status(200);
    assert_eq!(reply.header("idempotency-replayed"), Some("true"));
    assert_eq!(fixture.arrived("held"), 1);
}

#[test]
fn a_server_that_ends_in_order_leaves_what_is_not_done_to_the_next() {
    let fixture = Fixture::new().pipeline("slow", &slow(&json!({ "type": "rest", "timeout": 900_000 })));
    let served = Served::start(&fixture.scratch, &[]);
    served
        .post("slow", &[("Prefer", "respond-async")], &subject("slow"))
        .with_status(202);
    let run = only_run(&served);
    served.run_until_running(id(&run));
    let ending = served.end("TERM");
    assert_eq!(ending.code, Some(0), "{ending}");
    fixture.write("slow", &json!({ "flowSpec": { "start": [] } }));
    let served = Served::start(&fixture.scratch, &[]);
    served.run_until_running(id(&run));
    let again = served.run(id(&run));
    assert_eq!(
        (&again["attempt"], &again["redelivery"]),
        (&json!(2), &json!(false)),
        "{again}"
    );
    assert_eq!(again["document"], served.run(id(&run))["document"], "it is pinned");
}

#[test]
fn a_run_whose_document_forbids_it_is_not_delivered_again() {
    let fixture =
        Fixture::with_script(held()).pipeline("once", &sending(&json!({ "type": "rest", "allowRedelivery": false })));
    let served = Served::start(&fixture.scratch, &[]);
    served
        .post("once", &[("Prefer", "respond-async")], &subject("once"))
        .with_status(202);
    let run = only_run(&served);
    served.run_until_running(id(&run));
    served.running().signal("KILL");
    drop(served);
    let served = Served::start(&fixture.scratch, &[]);
    let failed = served.run(id(&run));
    assert_eq!(
        (&failed["state"], &failed["failure"]["kind"]),
        (&json!("failed"), &json!("transient")),
        "{failed}"
    );
    let path = format!("/api/v1/runs/{}/continue", id(&run));
    served.api("POST", &path, &Value::Null).with_status(200);
    fixture.catcher.inbox().release("answer");
    let ended = loop {
        let run = served.run(id(&run));
        if !matches!(run["state"].as_str(), Some("queued" | "running")) {
            break run;
        }
        std::thread::yield_now();
    };
    // Whether the message was under way when the process died decides.
    assert!(matches!(ended["state"].as_str(), Some("done" | "uncertain")), "{ended}");
    assert!(fixture.arrived("once") <= 1);
}

#[test]
fn a_run_goes_on_with_the_document_and_the_template_with_which_it_began() {
    let mut step = email();
    step["params"]["body"] = json!({ "file": "letter.html" });
    let document = json!({ "triggerSpec": rest(), "flowSpec": { "start": [step] } });
    let fixture = Fixture::with_script(busy_once()).pipeline("letter", &document);
    fixture.scratch.write("pipelines/letter.html", "<p>first</p>");
    let served = Served::start(&fixture.scratch, &[]);
    let key = [("Idempotency-Key", "k")];
    served.post("letter", &key, &subject("letter")).with_status(503);
    let before = only_run(&served)["document"].clone();
    drop(served);
    fixture.scratch.write("pipelines/letter.html", "<p>second</p>");
    let served = Served::start(&fixture.scratch, &[]);
    served.post("letter", &key, &subject("letter")).with_status(200);
    assert_eq!(only_run(&served)["document"], before);
    let messages = fixture.catcher.inbox().messages();
    let text = |message: &pipepost_inbox::Message| String::from_utf8_lossy(&message.content).into_owned();
    assert!(text(&messages[0]).contains("first"), "{}", text(&messages[0]));
    served.post("letter", &[], &subject("another")).with_status(200);
    let messages = fixture.catcher.inbox().messages();
    assert!(text(&messages[1]).contains("second"), "{}", text(&messages[1]));
}

#[test]
fn sensitive_fields_are_shown_to_nobody_and_are_gone_at_the_end() {
    let mut document = sending(&rest());
    document["sensitive"] = json!(["card"]);
    let fixture = Fixture::new().pipeline("welcome", &document);
    let served = Served::start(&fixture.scratch, &[]);
    let message = json!({ "subject": "card", "card": "4111-1111" });
    served.post("welcome", &[], &message).with_status(200);
    let run = served.run(id(&only_run(&served)));
    assert_eq!(run["message"]["body"]["card"], "***", "{run}");
    assert!(!run.to_string().contains("4111-1111"), "{run}");
    drop(served);
    let database = rusqlite::Connection::open(fixture.scratch.folder().join("state/pipepost.sqlite"));
    let kept: String = database
        .expect("a state")
        .query_row("SELECT message FROM runs", [], |row| row.get(0))
        .expect("a run");
    assert!(!kept.contains("4111-1111"), "{kept}");
}

#[test]
fn a_caller_that_hangs_up_changes_nothing_about_its_run() {
    const CALLERS: usize = 30;
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let body = subject("alone").to_string();
    let request = format!(
        "POST /pipeline/welcome HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        served.token(),
        body.len()
    );
    for _ in 0..CALLERS {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", served.triggers)).expect("it listens");
        stream.write_all(request.as_bytes()).expect("it reads");
    }
    // Whoever asks now comes after them.
    served.post("welcome", &[], &subject("last")).with_status(200);
    let listed = served.api("GET", "/api/v1/runs", &Value::Null).json();
    let runs = listed["runs"].as_array().expect("runs");
    for run in runs {
        served.run_until(id(run), "done");
    }
    assert_eq!(fixture.arrived("alone") + 1, runs.len());
}
