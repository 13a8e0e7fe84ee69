//! Trying again within a step: by the kind of the failure, and only what is left.

use std::collections::BTreeSet;

use pipepost::FailureKind;
use pipepost_inbox::Script;
use serde_json::{Value, json};

use crate::fixture::{Fixture, email, steps};

/// So short that nobody waits for it.
fn brisk(attempts: u32) -> Value {
    json!({ "attempts": attempts, "first": "1ms", "max": "2ms" })
}

fn letter(further: Value) -> Value {
    let mut params = json!({ "to": "a@example.com", "subject": "s", "body": "x", "retry": brisk(3) });
    for (name, value) in further.as_object().expect("parameters") {
        params[name] = value.clone();
    }
    steps(json!([email(params)]))
}

fn script(rules: Value) -> Script {
    Script::from_json(&json!({ "rules": rules }).to_string()).expect("a script")
}

/// The recipients of each message that arrived, in its order.
fn envelopes(bench: &Fixture) -> Vec<Vec<String>> {
    let messages = bench.inbox.messages();
    messages.iter().map(|message| message.envelope.to.clone()).collect()
}

#[tokio::test]
async fn what_fails_for_now_is_tried_again_wherever_it_failed() {
    for at in ["greeting", "ehlo", "mail", "rcpt", "data", "content"] {
        let rule = json!({ "at": at, "times": 2, "do": [{ "reply": "451 4.3.0 Try again later" }] });
        let mut rules = vec![rule];
        if at == "data" {
            // With BDAT there is no DATA to refuse.
            rules.push(json!({ "at": "ehlo", "do": [{ "strip": "CHUNKING" }] }));
        }
        let bench = Fixture::new(script(rules.into())).await;
        let output = bench.run(&letter(json!({})), json!({})).await.expect("an output");
        assert_eq!(output["outcome"], "sent", "{at}: {output}");
        assert_eq!(output["attempts"], 3, "{at}");
        assert_eq!(bench.subjects(), ["s"], "{at}");
    }
}

#[tokio::test]
async fn tries_have_an_end_and_are_counted() {
    let rule = json!([{ "at": "mail", "do": [{ "reply": "451 4.3.0 Try again later" }] }]);
    let bench = Fixture::new(script(rule.clone())).await;
    let report = bench.report(&letter(json!({ "retry": brisk(4) })), json!({})).await;
    assert_eq!(report.exit_code(), pipepost::exit_code(FailureKind::Transient));
    assert_eq!(report.counts.failed, 1);
    assert_eq!(report.result.expect("an output")["attempts"], 4);
    assert_eq!(bench.said("MAIL FROM"), 4);

    let bench = Fixture::new(script(rule)).await;
    let output = bench
        .run(&letter(json!({ "retry": false })), json!({}))
        .await
        .expect("an output");
    assert_eq!((&output["attempts"], bench.said("MAIL FROM")), (&json!(1), 1));
}

#[tokio::test]
async fn a_connection_that_closes_is_followed_by_a_new_one() {
    let bench = Fixture::new(script(json!([
        { "at": "mail", "connection": 1, "do": [{ "reply": "421 4.7.0 Try again later, closing connection." }] },
        { "at": "ehlo", "connection": 2, "do": ["close"] },
    ])))
    .await;
    let output = bench.run(&letter(json!({})), json!({})).await.expect("an output");
    assert_eq!(output["outcome"], "sent", "{output}");
    assert_eq!(bench.inbox.connections(), 3);
    assert_eq!(bench.subjects(), ["s"]);
}

#[tokio::test]
async fn what_will_not_pass_is_not_tried_again() {
    for (reply, kind) in [
        ("550 5.1.1 No such user", FailureKind::Refused),
        ("550 5.4.5 Daily user sending limit exceeded.", FailureKind::Quota),
    ] {
        let bench = Fixture::new(script(json!([{ "at": "rcpt", "do": [{ "reply": reply }] }]))).await;
        let report = bench.report(&letter(json!({})), json!({})).await;
        assert_eq!(report.exit_code(), pipepost::exit_code(kind), "{reply}");
        assert_eq!(bench.said("MAIL FROM"), 1, "{reply}");
    }
}

#[tokio::test]
async fn only_those_who_were_refused_for_now_get_it_again() {
    let bench = Fixture::new(script(json!([
        { "at": "rcpt", "contains": "<b@", "times": 2, "do": [{ "reply": "450 4.2.1 Busy" }] },
        { "at": "rcpt", "contains": "<c@", "do": [{ "reply": "550 5.1.1 No such user" }] },
    ])))
    .await;
    let to = "a@example.com, b@example.com, c@example.com";
    let report = bench.report(&letter(json!({ "to": to })), json!({})).await;
    assert_eq!((report.exit_code(), report.counts.sent), (0, 1));
    let output = report.result.expect("an output");
    assert_eq!(
        (&output["outcome"], &output["success"]),
        (&json!("sent"), &json!(true)),
        "{output}"
    );
    assert_eq!(output["accepted"], json!(["a@example.com", "b@example.com"]));
    assert_eq!(output["rejected"][0]["recipient"], "c@example.com");
    assert_eq!(output["rejected"].as_array().map(Vec::len), Some(1));
    // A run that ends well does not keep silent about who got nothing.
    assert_eq!(report.counts.refused_recipients, 1);
    let (place, told) = &report.tolerated[0];
    assert!(place.contains("email-connector-v2"), "{place}");
    assert_eq!(
        told.message,
        "It was sent, but not to c@example.com (550 5.1.1 No such user)."
    );
    assert_eq!(output["attempts"], 3);
    assert_eq!(envelopes(&bench), [["a@example.com"], ["b@example.com"]]);
    let ids: BTreeSet<_> = bench
        .inbox
        .messages()
        .iter()
        .map(|message| message.message_id())
        .collect();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn a_message_that_somebody_has_stays_sent_when_the_rest_fails() {
    for (second, code) in [("450 4.2.1 Busy", 450), ("550 5.1.1 No such user", 550)] {
        let bench = Fixture::new(script(json!([
            { "at": "rcpt", "contains": "<b@", "times": 1, "do": [{ "reply": "450 4.2.1 Busy" }] },
            { "at": "rcpt", "contains": "<b@", "do": [{ "reply": second }] },
        ])))
        .await;
        let report = bench
            .report(&letter(json!({ "to": "a@example.com, b@example.com" })), json!({}))
            .await;
        assert_eq!((report.exit_code(), report.counts.sent), (0, 1), "{second}");
        let output = report.result.expect("an output");
        assert_eq!(output["accepted"], json!(["a@example.com"]), "{second}");
        assert_eq!(output["rejected"][0]["code"], code, "{second}");
        assert_eq!(output["failure"], Value::Null, "{second}");
        assert_eq!(envelopes(&bench), [["a@example.com"]], "{second}");
    }
}

#[tokio::test]
async fn what_may_have_been_sent_is_sent_again_when_the_pipeline_asks() {
    let lost = json!([{ "at": "content", "obey": true, "times": 1, "do": ["close"] }]);
    let bench = Fixture::new(script(lost.clone())).await;
    let output = bench
        .run(&letter(json!({ "onUncertain": "resend" })), json!({}))
        .await
        .expect("an output");
    assert_eq!(
        (&output["outcome"], &output["attempts"]),
        (&json!("sent"), &json!(2)),
        "{output}"
    );
    assert_eq!(bench.subjects(), ["s", "s"]);
    let ids: BTreeSet<_> = bench
        .inbox
        .messages()
        .iter()
        .map(|message| message.message_id())
        .collect();
    assert_eq!(ids.len(), 1);

    let bench = Fixture::new(script(lost)).await;
    let report = bench.report(&letter(json!({})), json!({})).await;
    assert_eq!(report.exit_code(), pipepost::exit_code(FailureKind::Uncertain));
    assert_eq!(bench.subjects(), ["s"]);
}

#[tokio::test]
async fn of_many_only_those_that_failed_are_tried_again() {
    let bench = Fixture::new(script(json!([
        { "at": "rcpt", "contains": "<r7@", "times": 1, "do": [{ "reply": "451 4.3.0 later" }] },
        { "at": "content", "contains": "to r9@", "times": 2, "do": [{ "reply": "452 4.3.1 later" }] },
    ])))
    .await;
    let items: Vec<String> = (0..30).map(|n| format!("r{n}@example.com")).collect();
    let document = letter(json!({ "items": items, "to": "{{ item }}", "subject": "to {{ item }}" }));
    let report = bench.report(&document, json!({})).await;
    assert_eq!(
        (report.exit_code(), report.counts.sent),
        (0, 30),
        "{:?}",
        report.tolerated
    );
    let output = report.result.expect("an output");
    let attempts: Vec<u64> = output["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| result["attempts"].as_u64().expect("a number"))
        .collect();
    let expected: Vec<u64> = (0..30)
        .map(|n| match n {
            7 => 2,
            9 => 3,
            _ => 1,
        })
        .collect();
    assert_eq!(attempts, expected);
    assert_eq!(bench.inbox.messages().len(), 30);
}

#[tokio::test]
async fn what_cannot_be_obeyed_is_told_before_anything_is_sent() {
    let bench = Fixture::new(Script::new()).await;
    let wrong = letter(json!({ "retry": { "first": "{{ message.pause }}" }, "failOnError": true }));
    let report = bench.report(&wrong, json!({ "pause": "soon" })).await;
    assert_eq!(report.exit_code(), pipepost::exit_code(FailureKind::Invalid));
    assert!(
        report
            .result
            .expect_err("it is wrong")
            .to_string()
            .contains("`retry.first`")
    );
    assert_eq!(bench.inbox.connections(), 0);
}
