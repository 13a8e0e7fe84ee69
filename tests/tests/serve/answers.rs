//! What a caller is answered.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use pipepost_inbox::Script;
use pipepost_tests::Served;
use pipepost_tests::http::{Reply, request};
use serde_json::{Value, json};

use crate::fixture::{Fixture, publish, sending, subject};

fn rest() -> Value {
    json!({ "type": "rest" })
}

#[test]
fn a_message_that_is_posted_is_sent_before_it_is_answered() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let reply = served.post("welcome", &[], &subject("hello")).with_status(200);
    assert_eq!(reply.json()["success"], true, "{reply:?}");
    assert_eq!(fixture.arrived("hello"), 1);
    let runs = served.api("GET", "/api/v1/runs", &Value::Null).with_status(200).json();
    let run = &runs["runs"][0];
    assert_eq!(
        (&run["state"], &run["pipeline"]),
        (&json!("done"), &json!("welcome")),
        "{runs}"
    );
    assert_eq!(run["messages"], json!({"sent": 1, "failed": 0, "uncertain": 0}));
    assert_eq!(reply.header("pipepost-run"), run["id"].as_str());
    let run = served.run(run["id"].as_str().expect("an id"));
    assert_eq!(run["message"]["body"], subject("hello"));
    assert_eq!(run["output"]["success"], true);
    // The platform's own path.
    served.post("realm/v1/welcome", &[], &subject("again")).with_status(200);
    assert_eq!(fixture.arrived("again"), 1);
    assert_eq!(served.end("TERM").code, Some(0));
}

#[test]
fn a_key_that_comes_again_gets_the_recorded_answer_and_sends_nothing() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let key = [("Idempotency-Key", "\"order-7\"")];
    let first = served.post("welcome", &key, &subject("once")).with_status(200);
    let again = served
        .post("welcome", &[("Idempotency-Key", "order-7")], &subject("once"))
        .with_status(200);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.json(), first.json());
    let other = served.post("welcome", &key, &subject("twice")).with_status(422);
    assert_eq!(other.json()["kind"], "key-reused");
    assert_eq!((fixture.arrived("once"), fixture.arrived("twice")), (1, 0));
    drop(served);
    // In another process too.
    let served = Served::start(&fixture.scratch, &[]);
    let again = served.post("welcome", &key, &subject("once")).with_status(200);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(fixture.arrived("once"), 1);
}

#[test]
fn an_order_for_a_run_that_comes_again_says_so_when_the_run_has_ended() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let order = json!({ "pipeline": "welcome", "key": "k", "message": { "body": subject("once") } });
    let ask = || served.api("POST", "/api/v1/runs", &order).with_status(202);
    let of_pipeline = |decision: &str| {
        let path = format!("/api/v1/pipelines/welcome/{decision}");
        served.api("POST", &path, &Value::Null).with_status(200);
    };
    of_pipeline("pause");
    let first = ask();
    // The run waits: it is no answer that was given before.
    for reply in [&first, &ask()] {
        assert_eq!(reply.header("idempotency-replayed"), None, "{reply:?}");
    }
    of_pipeline("resume");
    served.run_until(first.json()["id"].as_str().expect("an id"), "done");
    let again = ask();
    assert_eq!(again.header("idempotency-replayed"), Some("true"), "{again:?}");
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(fixture.arrived("once"), 1);
}

#[test]
fn who_does_not_wait_is_told_where_to_look() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let headers = [("Prefer", "respond-async"), ("Idempotency-Key", "k")];
    let reply = served.post("welcome", &headers, &subject("later")).with_status(202);
    assert_eq!(reply.header("preference-applied"), Some("respond-async"));
    let location = reply.header("location").expect("a place to look").to_owned();
    let id = location.rsplit('/').next().expect("an id");
    served.run_until(id, "done");
    assert_eq!(fixture.arrived("later"), 1);
    let again = served.post("welcome", &headers, &subject("later")).with_status(202);
    assert_eq!(again.header("location"), Some(location.as_str()));
    assert_eq!(fixture.arrived("later"), 1);
}

/// A server that is busy whenever it is asked.
fn busy() -> Script {
    let rules = json!([{ "at": "rcpt", "do": [{ "reply": "451 4.3.2 Try again later" }] }]);
    Script::from_json(&json!({ "rules": rules }).to_string()).expect("a script")
}

/// The run of an answer.
fn run_of(served: &Served, reply: &Reply) -> Value {
    served.run(reply.header("pipepost-run").expect("a run"))
}

#[test]
fn who_states_how_long_to_wait_leaves_the_run_to_the_service() {
    let http = json!({ "type": "http" });
    let fixture = Fixture::with_script(busy())
        .pipeline("welcome", &sending(&rest()))
        .pipeline("plain", &letter(&http));
    let served = Served::start(&fixture.scratch, &[]);
    for (pipeline, prefer) in [
        ("welcome", "wait=300"),
        ("plain", "wait=300"),
        ("welcome", "respond-async, wait=300"),
    ] {
        let key = prefer.replace(" ", "");
        let headers = [("Prefer", prefer), ("Idempotency-Key", key.as_str())];
        let reply = served.post(pipeline, &headers, &subject("later")).with_status(202);
        assert_eq!(reply.header("preference-applied"), Some(prefer), "{reply:?}");
        assert_eq!(reply.json()["state"], "queued", "{reply:?}");
        let run = run_of(&served, &reply);
        assert_eq!(
            (&run["state"], &run["retriesLeft"], &run["failure"]["kind"]),
            (&json!("queued"), &json!(4), &json!("transient")),
            "{pipeline} {prefer}: {run}"
        );
        assert!(run["expires"].is_string(), "{run}");
        // The same order again, while its run waits.
        let again = served.post(pipeline, &headers, &subject("later")).with_status(202);
        assert_eq!(again.header("pipepost-run"), reply.header("pipepost-run"));
        assert_eq!(again.header("preference-applied"), Some(prefer), "{again:?}");
    }
    let order = json!({ "account": "mail", "params": letter(&http)["flowSpec"]["start"][0]["params"] });
    let token = format!("Bearer {}", served.token());
    let headers = [("Authorization", token.as_str()), ("Prefer", "wait=300")];
    let reply = request(served.admin, "POST", "/api/v1/send", &headers, &order.to_string());
    let reply = reply.expect("an answer").with_status(202);
    let run = run_of(&served, &reply);
    assert_eq!(
        (&run["state"], &run["retriesLeft"]),
        (&json!("queued"), &json!(4)),
        "{run}"
    );
}

/// [`sending`] with a subject of its own.
fn letter(trigger: &Value) -> Value {
    let mut document = sending(trigger);
    document["flowSpec"]["start"][0]["params"]["subject"] = "later".into();
    document
}

#[test]
fn who_waits_so_long_gets_the_end_or_202_and_the_run_goes_on() {
    let fixture = Fixture::new()
        .pipeline("welcome", &sending(&rest()))
        .pipeline("short", &sending(&json!({ "type": "rest", "timeout": 1 })));
    let served = Served::start(&fixture.scratch, &[]);
    for prefer in ["wait=300", "respond-async, wait=300"] {
        let key = prefer.replace(" ", "");
        let headers = [("Prefer", prefer), ("Idempotency-Key", key.as_str())];
        let first = served.post("welcome", &headers, &subject(prefer)).with_status(200);
        let again = served.post("welcome", &headers, &subject(prefer)).with_status(200);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.json(), first.json());
    }
    // Its own time is over long before the caller's.
    for pipeline in ["welcome", "short"] {
        served
            .api("POST", &format!("/api/v1/pipelines/{pipeline}/pause"), &Value::Null)
            .with_status(200);
    }
    for (pipeline, prefer) in [("short", "wait=1"), ("welcome", "wait=0"), ("welcome", "respond-async")] {
        let reply = served
            .post(pipeline, &[("Prefer", prefer)], &subject("put off"))
            .with_status(202);
        assert_eq!(reply.header("preference-applied"), Some(prefer), "{reply:?}");
        let run = run_of(&served, &reply);
        assert_eq!(
            (&run["state"], &run["retriesLeft"]),
            (&json!("queued"), &json!(5)),
            "{run}"
        );
    }
    // A time beyond every clock is no reason to fall over.
    let reply = served.post("nobody", &[("Prefer", "wait=18446744073709551615")], &json!({}));
    assert_eq!(reply.status, 404);
    served
        .api("POST", "/api/v1/pipelines/welcome/resume", &Value::Null)
        .with_status(200);
    let longest = [("Prefer", "wait=18446744073709551615")];
    served.post("welcome", &longest, &subject("longest")).with_status(200);
}

#[test]
fn a_full_queue_refuses_only_what_would_need_a_place() {
    let event = json!({ "type": "event", "eventName": "order.paid" });
    let fixture = Fixture::new()
        .pipeline("welcome", &sending(&rest()))
        .pipeline("other", &sending(&rest()))
        .pipeline("paid", &letter(&event));
    let published = |served: &Served, id: &str| publish(served, id, &json!({}));
    let order = |served: &Served, key: &str| {
        let order = json!({ "pipeline": "welcome", "key": key, "message": { "body": subject("once") } });
        served.api("POST", "/api/v1/runs", &order)
    };
    let send = |served: &Served, key: &str| {
        let order =
            json!({ "account": "mail", "key": key, "params": letter(&event)["flowSpec"]["start"][0]["params"] });
        served.api("POST", "/api/v1/send", &order)
    };
    let served = Served::start(&fixture.scratch, &[]);
    served
        .post("welcome", &[("Idempotency-Key", "a")], &subject("once"))
        .with_status(200);
    let run = published(&served, "1").with_status(202).json()["runs"][0].clone();
    served.run_until(run["id"].as_str().expect("an id"), "done");
    let run = order(&served, "b").with_status(202).json();
    served.run_until(run["id"].as_str().expect("an id"), "done");
    send(&served, "c").with_status(200);
    served
        .api("POST", "/api/v1/pipelines/other/pause", &Value::Null)
        .with_status(200);
    drop(served);
    let served = Served::start(&fixture.scratch, &["--queue", "1"]);
    let waiting = [("Prefer", "respond-async"), ("Idempotency-Key", "d")];
    let first = served.post("other", &waiting, &subject("put off")).with_status(202);
    let busy = |reply: Reply| assert_eq!(reply.with_status(503).json()["kind"], "busy");
    busy(served.post("welcome", &[], &subject("more")));
    busy(served.post("welcome", &[("Idempotency-Key", "new")], &subject("more")));
    busy(published(&served, "2"));
    busy(order(&served, "new"));
    busy(send(&served, "new"));
    let again = served.post("welcome", &[("Idempotency-Key", "a")], &subject("once"));
    assert_eq!(again.with_status(200).header("idempotency-replayed"), Some("true"));
    let other = served.post("welcome", &[("Idempotency-Key", "a")], &subject("other"));
    assert_eq!(other.with_status(422).json()["kind"], "key-reused");
    let again = served.post("other", &waiting, &subject("put off")).with_status(202);
    assert_eq!(again.header("pipepost-run"), first.header("pipepost-run"));
    assert_eq!(
        published(&served, "1").with_status(202).json()["runs"][0]["state"],
        "done"
    );
    assert_eq!(order(&served, "b").with_status(202).json()["id"], run["id"]);
    assert_eq!(
        send(&served, "c").with_status(200).header("idempotency-replayed"),
        Some("true")
    );
    assert_eq!(fixture.arrived("more"), 0);
}

#[test]
fn a_failure_is_a_problem_with_the_status_of_its_kind() {
    let throwing = |code: Value| {
        json!({
            "triggerSpec": rest(),
            "flowSpec": { "start": [
                { "type": "connector", "name": "throw-error-connector", "params": { "errorCode": code, "errorMessage": "no tea" } },
            ]},
        })
    };
    let nobody = json!({
        "triggerSpec": rest(),
        "flowSpec": { "start": [{
            "type": "connector", "name": "email-connector-v2", "accountLabel": "mail",
            "params": { "from": "tester@example.test", "to": "no address", "subject": "x", "body": "x" },
        }]},
    });
    let fixture = Fixture::new()
        .pipeline("thrown", &throwing(json!(418)))
        .pipeline("thrown-text", &throwing(json!("404")))
        .pipeline("thrown-name", &throwing(json!("E404")))
        .pipeline("nobody", &nobody);
    let served = Served::start(&fixture.scratch, &[]);
    let reply = served.post("nobody", &[], &json!({})).with_status(422);
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    let problem = reply.json();
    assert_eq!(problem["kind"], "invalid", "{problem}");
    assert_eq!(problem["type"], "urn:pipepost:problem:invalid");
    let instance = problem["instance"].as_str().expect("a run");
    assert_eq!(served.api("GET", instance, &Value::Null).json()["state"], "failed");
    for (pipeline, status) in [("thrown", 418), ("thrown-text", 404), ("thrown-name", 500)] {
        let problem = served.post(pipeline, &[], &json!({})).with_status(status).json();
        assert_eq!(problem["kind"], "pipeline-error", "{problem}");
    }
}

#[test]
fn an_http_pipeline_answers_in_its_charset_and_without_content_where_there_is_none() {
    let answering = |answer: Value| {
        let generator =
            json!({ "type": "connector", "name": "json-generator-connector", "params": { "json": answer } });
        json!({ "triggerSpec": { "type": "http" }, "flowSpec": { "start": [generator] } })
    };
    let latin = "text/xml; charset=ISO-8859-1";
    let fixture = Fixture::new()
        .pipeline(
            "nothing",
            &answering(json!({ "code": 204, "body": "x", "Content-Type": "text/plain" })),
        )
        .pipeline("again", &answering(json!({ "code": 205, "body": "x" })))
        .pipeline("unchanged", &answering(json!({ "code": 304, "body": "x" })))
        .pipeline("latin", &answering(json!({ "body": "Jürgen", "Content-Type": latin })))
        .pipeline("euro", &answering(json!({ "body": "5 €", "Content-Type": latin })));
    let served = Served::start(&fixture.scratch, &[]);
    for (pipeline, status, length) in [
        ("nothing", 204, None),
        ("again", 205, Some("0")),
        ("unchanged", 304, None),
    ] {
        let reply = served.post(pipeline, &[], &json!({})).with_status(status);
        assert_eq!(reply.header("content-length"), length, "{reply:?}");
        assert_eq!(
            (reply.header("content-type"), reply.body.as_str()),
            (None, ""),
            "{reply:?}"
        );
    }
    let head = format!(
        "POST /pipeline/latin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        served.token()
    );
    let mut stream = TcpStream::connect(("127.0.0.1", served.triggers)).expect("it listens");
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    assert!(answer.ends_with(b"\r\n\r\nJ\xfcrgen"), "{}", answer.escape_ascii());
    let problem = served.post("euro", &[], &json!({})).with_status(500).json();
    assert!(
        problem["detail"].as_str().is_some_and(|told| told.contains("U+20AC")),
        "{problem}"
    );
}

#[test]
fn the_platforms_path_names_a_major_version() {
    let mut second = sending(&rest());
    second["versionMajor"] = json!(2);
    let fixture = Fixture::new()
        .pipeline("any", &sending(&rest()))
        .pipeline("second", &second);
    let served = Served::start(&fixture.scratch, &[]);
    for (path, status) in [
        ("realm/v1/any", 200),
        ("realm/v17/any", 200),
        ("realm/1/any", 404),
        ("realm/v/any", 404),
        ("realm/vx/any", 404),
        ("realm/v1.0/any", 404),
        ("realm/x/any", 404),
        ("realm/v2/second", 200),
        ("realm/v1/second", 404),
        ("realm/2/second", 404),
        ("v2/second", 404),
    ] {
        let reply = served.post(path, &[], &subject(path));
        assert_eq!(reply.status, status, "{path}: {reply:?}");
    }
}

#[test]
fn bad_requests_start_nothing() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&json!({ "type": "rest", "maxRequestSize": 1 })));
    let served = Served::start(&fixture.scratch, &[]);
    let ask = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        request(served.triggers, method, path, headers, body).expect("an answer")
    };
    let token = format!("Bearer {}", served.token());
    let signed = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    assert_eq!(ask("POST", "/pipeline/welcome", &[], "{}").status, 401);
    let wrong = [("Authorization", "Bearer pp_wrong")];
    assert_eq!(ask("POST", "/pipeline/welcome", &wrong, "{}").status, 401);
    assert_eq!(ask("POST", "/pipeline/wellcome", &signed, "{}").status, 404);
    assert_eq!(ask("POST", "/elsewhere", &signed, "{}").status, 404);
    let reply = ask("GET", "/pipeline/welcome", &signed, "");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    assert_eq!(ask("POST", "/pipeline/welcome", &signed, "{").status, 400);
    let large = format!("\"{}\"", "x".repeat(1024 * 1024));
    let reply = ask("POST", "/pipeline/welcome", &signed, &large).with_status(413);
    assert_eq!(reply.json(), json!({ "message": "Request size limit exceeded" }));
    let runs = served.api("GET", "/api/v1/runs", &Value::Null).json();
    assert_eq!(runs["runs"], json!([]), "{runs}");
}
