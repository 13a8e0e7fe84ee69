//! What a caller is answered.

use pipepost_tests::Served;
use serde_json::{Value, json};

use crate::fixture::{Fixture, sending, subject};

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

#[test]
fn a_failure_is_a_problem_with_the_status_of_its_kind() {
    let thrown = json!({
        "triggerSpec": rest(),
        "flowSpec": { "start": [
            { "type": "connector", "name": "throw-error-connector", "params": { "errorCode": 418, "errorMessage": "no tea" } },
        ]},
    });
    let nobody = json!({
        "triggerSpec": rest(),
        "flowSpec": { "start": [{
            "type": "connector", "name": "email-connector-v2", "accountLabel": "mail",
            "params": { "from": "tester@example.test", "to": "no address", "subject": "x", "body": "x" },
        }]},
    });
    let fixture = Fixture::new().pipeline("thrown", &thrown).pipeline("nobody", &nobody);
    let served = Served::start(&fixture.scratch, &[]);
    let reply = served.post("nobody", &[], &json!({})).with_status(422);
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    let problem = reply.json();
    assert_eq!(problem["kind"], "invalid", "{problem}");
    assert_eq!(problem["type"], "urn:pipepost:problem:invalid");
    let instance = problem["instance"].as_str().expect("a run");
    assert_eq!(served.api("GET", instance, &Value::Null).json()["state"], "failed");
    let problem = served.post("thrown", &[], &json!({})).with_status(418).json();
    assert_eq!(problem["kind"], "pipeline-error", "{problem}");
}

#[test]
fn bad_requests_start_nothing() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&json!({ "type": "rest", "maxRequestSize": 1 })));
    let served = Served::start(&fixture.scratch, &[]);
    let ask = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        pipepost_tests::http::request(served.triggers, method, path, headers, body).expect("an answer")
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
