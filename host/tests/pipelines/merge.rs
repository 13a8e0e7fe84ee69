//! Mail merge: one message for each element, in few batches.

use std::sync::{Arc, Mutex};

use pipepost::{FailureKind, Observer, Progress, RunOptions};
use pipepost_inbox::Script;
use serde_json::{Value, json};

use crate::fixture::{Fixture, email, report, steps};

fn readers(count: usize) -> Value {
    let reader = |n: usize| json!({ "name": format!("Reader {n}"), "email": format!("r{n}@example.com") });
    json!({ "month": "May", "readers": (0..count).map(reader).collect::<Vec<_>>() })
}

fn newsletter(further: Value) -> Value {
    let mut params = json!({
        "items": "{{ message.readers }}",
        "to": { "name": "{{ item.name }}", "address": "{{ item.email }}" },
        "subject": "to {{ item.name }}",
        "body": "<p>${item.name?html}, it is {{ message.month }} (${month})</p>",
    });
    for (name, value) in further.as_object().expect("parameters") {
        params[name] = value.clone();
    }
    steps(json!([email(params)]))
}

fn refusing(recipient: &str) -> Script {
    Script::new().refuse_recipient(
        recipient,
        "550 5.1.1 The email account that you tried to reach does not exist.",
    )
}

#[derive(Debug, Default)]
struct Seen(Mutex<Vec<(u64, u64, u64)>>);

impl Observer for Seen {
    fn progress(&self, progress: &Progress<'_>) {
        let mut seen = self.0.lock().expect("no panic while it is held");
        seen.push((progress.total.unwrap_or_default(), progress.done, progress.failed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_go_out_and_one_that_is_refused_stops_none() {
    let bench = Fixture::new(refusing("r250@example.com")).await;
    let seen = Arc::new(Seen::default());
    let mut options = RunOptions::new(readers(500));
    options.observer = Some(Arc::clone(&seen) as Arc<dyn Observer>);
    let report = report(&bench.host, &newsletter(json!({})), options).await;
    assert_eq!(report.exit_code(), pipepost::exit_code(FailureKind::Refused));
    assert_eq!(report.tolerated.len(), 1, "{:?}", report.tolerated);
    assert_eq!(
        (report.counts.sent, report.counts.failed, report.counts.uncertain),
        (499, 1, 0)
    );
    let output = report.result.expect("an output");
    for (name, value) in [("total", 500), ("sent", 499), ("failed", 1), ("uncertain", 0)] {
        assert_eq!(output[name], value, "{name}");
    }
    assert_eq!(output["success"], false);
    let results = output["results"].as_array().expect("results");
    for (n, result) in results.iter().enumerate() {
        assert_eq!(result["subject"], format!("to Reader {n}"));
        assert_eq!(result["success"], n != 250);
    }
    assert_eq!(results[250]["rejected"][0]["recipient"], "r250@example.com");
    assert_eq!(bench.inbox.messages().len(), 499);
    assert!(bench.inbox.connections() <= 5, "{}", bench.inbox.connections());
    assert!(bench.text("to Reader 7").contains("Reader 7, it is May (May)"));
    let seen = seen.0.lock().expect("no panic while it is held");
    let last = seen.iter().max().expect("progress was told");
    assert_eq!(*last, (500, 500, 1));
}

#[tokio::test]
async fn each_message_has_an_id_of_its_own_and_the_same_in_another_attempt() {
    let bench = Fixture::new(Script::new()).await;
    let ids = async |key: &str| {
        let mut options = RunOptions::new(readers(3));
        options.execution = Some(key.to_owned());
        let output = report(&bench.host, &newsletter(json!({})), options).await.result;
        let output = output.expect("an output");
        let results = output["results"].as_array().expect("results").clone();
        results
            .iter()
            .map(|result| result["messageId"].to_string())
            .collect::<Vec<_>>()
    };
    let first = ids("a").await;
    assert!(first[0] != first[1] && first[1] != first[2] && first[0] != first[2]);
    assert_eq!(ids("a").await, first);
    assert_ne!(ids("b").await, first);
}

#[tokio::test]
async fn with_fail_on_error_a_failure_is_the_last() {
    let bench = Fixture::new(refusing("r1@example.com")).await;
    let error = bench
        .run(&newsletter(json!({ "failOnError": true })), readers(4))
        .await
        .unwrap_err();
    assert_eq!(error.exit_code(), pipepost::exit_code(FailureKind::Refused));
    assert_eq!(bench.subjects(), ["to Reader 0"]);
    assert_eq!((&error.object["sent"], &error.object["failed"]), (&json!(1), &json!(3)));
    assert_eq!(error.object["results"][2]["attempted"], false);
}

#[tokio::test]
async fn an_element_that_makes_no_message_is_told_and_the_others_go() {
    let bench = Fixture::new(Script::new()).await;
    let mut message = readers(3);
    message["readers"][1] = json!({ "name": "Nobody", "email": "no address" });
    message["readers"][2] = json!({ "email": "r2@example.com" });
    let output = bench.run(&newsletter(json!({})), message).await.expect("an output");
    assert_eq!((&output["sent"], &output["failed"]), (&json!(1), &json!(2)));
    assert_eq!(output["results"][1]["exception"], "invalid");
    let told = output["results"][2]["message"].as_str().expect("a sentence");
    assert!(told.contains("`body`") && told.contains("line 1, column"), "{told}");
}

#[tokio::test]
async fn items_are_an_array_in_any_form_or_an_error() {
    let bench = Fixture::new(Script::new()).await;
    let written = json!([{ "name": "A {{ message.month }}", "email": "a@example.com" }]);
    for items in [written.clone(), Value::String(written.to_string())] {
        let document = newsletter(json!({ "items": items }));
        let output = bench
            .run(&document, json!({ "month": "\"May\"" }))
            .await
            .expect("an output");
        assert_eq!(output["sent"], 1, "{output}");
        assert_eq!(output["results"][0]["subject"], "to A \"May\"");
    }
    let none = bench
        .run(&newsletter(json!({})), json!({ "month": 1, "readers": [] }))
        .await;
    assert_eq!(none.expect("an output")["success"], true);
    let output = bench
        .run(&newsletter(json!({})), json!({ "readers": { "a": 1 } }))
        .await;
    let output = output.expect("an output");
    assert_eq!(output["success"], false);
    let told = output["message"].as_str().expect("a sentence");
    assert!(told.contains("`items`") && told.contains("an object"), "{told}");
}

/// One mail per owner from a flat list.
fn by_owner(further: Value) -> Value {
    let mut params = json!({
        "items": "{{ message.payments }}",
        "groupBy": "{{ item.owner }}",
        "to": "{{ item.key }}",
        "subject": "failed payments",
        "body": "<#list item.rows as row>${row.order}<#sep>, </#list>",
    });
    for (name, value) in further.as_object().expect("parameters") {
        params[name] = value.clone();
    }
    steps(json!([email(params)]))
}

fn payments(list: &[(&str, u64)]) -> Value {
    let rows: Vec<Value> = list
        .iter()
        .map(|(owner, order)| json!({ "owner": owner, "order": order }))
        .collect();
    json!({ "payments": rows })
}

#[tokio::test]
async fn elements_of_one_value_make_one_message_in_their_order() {
    let bench = Fixture::new(Script::new()).await;
    let list = payments(&[("b@example.com", 3), ("a@example.com", 1), ("b@example.com", 2)]);
    let output = bench.run(&by_owner(json!({})), list).await.expect("an output");
    assert_eq!((&output["total"], &output["sent"]), (&json!(2), &json!(2)));
    assert_eq!(output["results"][0]["to"], "b@example.com");
    let texts: Vec<String> = bench.subjects();
    assert_eq!(texts.len(), 2);
    let text = bench
        .inbox
        .messages()
        .iter()
        .map(|message| String::from_utf8_lossy(&message.content).into_owned())
        .collect::<String>();
    assert!(text.contains("3, 2") && text.contains("\r\n1\r\n"), "{text}");
}

#[tokio::test]
async fn a_rerun_knows_a_group_by_its_value_and_not_by_its_place() {
    let bench = Fixture::new(Script::new()).await;
    let first = payments(&[("b@example.com", 2)]);
    bench
        .named("day-1", &by_owner(json!({})), first)
        .await
        .result
        .expect("an output");
    // Another owner comes first now: the one who has a message gets none again.
    let again = payments(&[("a@example.com", 1), ("b@example.com", 2)]);
    let report = bench.named("day-1", &by_owner(json!({})), again).await;
    let output = report.result.expect("an output");
    assert_eq!(
        (&output["sent"], &output["results"][1]["replayed"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(bench.inbox.messages().len(), 2);
    // Another row for an owner who has a message is another content under the same key.
    let changed = payments(&[("b@example.com", 2), ("b@example.com", 9)]);
    let output = bench
        .named("day-1", &by_owner(json!({})), changed)
        .await
        .result
        .expect("an output");
    assert_eq!(output["failure"]["kind"], "configuration");
    assert_eq!(bench.inbox.messages().len(), 2);
}

#[tokio::test]
async fn an_element_without_a_value_to_group_by_is_named() {
    let bench = Fixture::new(Script::new()).await;
    let document = by_owner(json!({ "groupBy": "{{ UPPERCASE(ABS(item.owner)) }}" }));
    let output = bench.run(&document, payments(&[("x", 1)])).await.expect("an output");
    let message = output["message"].as_str().expect("a message");
    assert!(message.contains("`groupBy`") && message.contains("item 1"), "{message}");
    for (further, reason) in [
        (json!({ "groupBy": "owner" }), "no expression"),
        (json!({ "items": null }), "no `items`"),
        (json!({ "items": { "file": "a.csv" } }), "not grouped"),
    ] {
        let problems = bench
            .host
            .prepare(&by_owner(further).to_string())
            .expect_err("it is refused");
        assert!(problems.to_string().contains(reason), "{problems}");
    }
}
