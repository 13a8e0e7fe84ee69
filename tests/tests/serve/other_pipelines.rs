//! Pipelines that start other ones: the executor and the event publisher.

use pipepost_inbox::Script;
use pipepost_tests::Served;
use serde_json::{Value, json};

use crate::fixture::{Fixture, email, subject};

/// A pipeline of these steps that a request starts.
pub(crate) fn asked(steps: &[Value]) -> Value {
    json!({ "triggerSpec": { "type": "rest", "timeout": 900_000 }, "flowSpec": { "start": steps } })
}

/// A pipeline of these steps that only other ones start.
pub(crate) fn called(steps: &[Value]) -> Value {
    json!({ "triggerSpec": { "timeout": 900_000 }, "flowSpec": { "start": steps } })
}

/// A step that runs another pipeline.
pub(crate) fn runs(operation: &str, pipeline: &str, payload: &str, stops: bool) -> Value {
    json!({
        "type": "connector", "name": "pipeline-executor-connector", "stepName": format!("Run {pipeline}"),
        "params": {
            "operation": operation, "pipelineName": pipeline, "payload": payload, "timeout": 600_000, "failOnError": stops,
        },
    })
}

/// A step that publishes an event with the message as its body.
pub(crate) fn publishes(event: &str) -> Value {
    json!({ "type": "connector", "name": "event-publisher-connector", "params": { "eventName": event } })
}

fn makes(json: &str) -> Value {
    json!({ "type": "connector", "name": "json-generator-connector", "params": { "json": json } })
}

/// A letter whose subject is at this path of the message.
fn letter(path: &str) -> Value {
    let mut step = email();
    step["params"]["subject"] = format!("{{{{ {path} }}}}").into();
    step
}

fn script(rules: &Value) -> Script {
    serde_json::from_value(json!({ "rules": rules })).expect("a script")
}

/// A mail server that keeps the first connection waiting: nothing of a message is under way yet.
fn held_at_the_greeting() -> Script {
    script(&json!([{ "at": "greeting", "times": 1, "do": [{ "hold": "answer" }, "regular"] }]))
}

fn runs_of(served: &Served, pipeline: &str) -> Vec<Value> {
    let path = format!("/api/v1/runs?pipeline={pipeline}&limit=200");
    let listed = served.api("GET", &path, &Value::Null).with_status(200).json();
    listed["runs"].as_array().expect("runs").clone()
}

/// The only run of a pipeline, once it has ended.
fn ended(served: &Served, pipeline: &str) -> Value {
    loop {
        let all = runs_of(served, pipeline);
        assert!(all.len() <= 1, "{all:?}");
        if let Some(run) = all.first()
            && !matches!(run["state"].as_str(), Some("queued" | "running"))
        {
            return run.clone();
        }
        std::thread::yield_now();
    }
}

fn log_of(served: &Served, run: &str) -> String {
    let path = format!("/api/v1/runs/{run}/log");
    served.api("GET", &path, &Value::Null).with_status(200).body
}

#[test]
fn a_pipeline_waits_for_the_answer_of_another_one() {
    let fixture = Fixture::new()
        .pipeline(
            "order",
            &asked(&[runs("SYNC", "price", r#"{"item": {{ message.body.item }}}"#, true)]),
        )
        .pipeline("price", &called(&[makes(r#"{"price": 7, "of": {{ message.item }}}"#)]));
    let served = Served::start(&fixture.scratch, &[]);
    let reply = served.post("order", &[], &json!({ "item": "tea" })).with_status(200);
    assert_eq!(
        reply.json(),
        json!({
            "operation": "SYNC", "pipelineName": "price", "versionMajor": 1, "success": true,
            "payload": { "item": "tea" }, "pipelineResponse": { "price": 7, "of": "tea" },
        })
    );
    let parent = reply.header("pipepost-run").expect("a run");
    let child = ended(&served, "price");
    assert_eq!(
        (&child["state"], &child["origin"]),
        (&json!("done"), &json!("pipeline"))
    );
    let key = child["key"].as_str().expect("a key");
    assert_eq!(key, format!("run/{parent}/sync/start#0"));
    assert!(log_of(&served, parent).contains(child["id"].as_str().expect("an id")));
}

#[test]
fn a_pipeline_goes_on_while_another_one_runs_and_events_start_all_that_wait() {
    let event = json!({ "type": "event", "eventName": "order.paid" });
    let listener = json!({ "triggerSpec": event, "flowSpec": { "start": [letter("message.subject")] } });
    let fixture = Fixture::new()
        .pipeline(
            "order",
            &asked(&[
                runs("ASYNC", "letter", "{{ message.body }}", true),
                makes(r#"{"subject": "published"}"#),
                publishes("order.paid"),
            ]),
        )
        .pipeline("letter", &called(&[letter("message.subject")]))
        .pipeline("one", &listener)
        .pipeline("two", &listener);
    let served = Served::start(&fixture.scratch, &[]);
    let reply = served.post("order", &[], &subject("copied")).with_status(200).json();
    assert_eq!(
        reply,
        json!({
            "success": true, "eventName": "order.paid", "body": { "subject": "published" }, "pipelines": ["one", "two"],
        })
    );
    for pipeline in ["letter", "one", "two"] {
        assert_eq!(ended(&served, pipeline)["state"], "done");
    }
    assert_eq!((fixture.arrived("copied"), fixture.arrived("published")), (1, 2));
    assert_eq!(ended(&served, "one")["origin"], "event");
}

#[test]
fn one_place_is_enough_for_a_chain_and_for_a_loop_side_by_side() {
    let each = json!({
        "type": "connector", "name": "for-each-connector",
        "params": { "expression": "{{ message.body.items }}", "parallel": true, "onProcess": "item" },
    });
    let mut order = asked(&[each]);
    order["flowSpec"]["item"] = json!([runs("SYNC", "middle", "{{ message.$ }}", true)]);
    let mut inner = called(&[letter("message.subject"), makes(r#"{"success": true}"#)]);
    inner["triggerSpec"]["consumers"] = 1.into();
    let fixture = Fixture::new()
        .pipeline("order", &order)
        .pipeline("middle", &called(&[runs("SYNC", "inner", "{{ message.$ }}", true)]))
        .pipeline("inner", &inner);
    let served = Served::start(&fixture.scratch, &["--concurrency", "1"]);
    let items: Vec<Value> = (0..12).map(|number| subject(&format!("item {number}"))).collect();
    let reply = served
        .post("order", &[], &json!({ "items": items }))
        .with_status(200)
        .json();
    assert_eq!(reply, json!({ "total": 12, "success": 12, "failed": 0 }));
    for number in 0..12 {
        assert_eq!(fixture.arrived(&format!("item {number}")), 1);
    }
    assert_eq!(
        (runs_of(&served, "middle").len(), runs_of(&served, "inner").len()),
        (12, 12)
    );
}

#[test]
fn nothing_waits_for_itself_and_no_chain_is_without_an_end() {
    let fixture = Fixture::new()
        .pipeline("one", &asked(&[runs("SYNC", "two", "{}", true)]))
        .pipeline("two", &called(&[runs("SYNC", "one", "{}", true)]))
        .pipeline("again", &asked(&[runs("ASYNC", "again", "{}", true)]));
    let served = Served::start(&fixture.scratch, &[]);
    let problem = served.post("one", &[], &json!({})).with_status(500).json();
    assert_eq!(problem["kind"], "configuration");
    let detail = problem["detail"].as_str().expect("a sentence");
    assert!(
        detail.contains("`one` would wait for itself: `one` runs `two` runs `one`"),
        "{detail}"
    );
    served.post("again", &[], &json!({})).with_status(200);
    loop {
        let runs = runs_of(&served, "again");
        if let Some(failed) = runs.iter().find(|run| run["state"] == "failed") {
            assert_eq!(failed["failure"]["kind"], "limit", "{failed}");
            assert_eq!(runs.len(), 100);
            break;
        }
        std::thread::yield_now();
    }
}

#[test]
fn the_other_pipelines_failure_is_the_steps_failure() {
    let thrown = json!({
        "type": "connector", "name": "throw-error-connector", "params": { "errorCode": 418, "errorMessage": "no tea" },
    });
    let mut nobody = letter("message.subject");
    nobody["params"]["to"] = "no address".into();
    let fixture = Fixture::new()
        .pipeline("stops", &asked(&[runs("SYNC", "tea", "{}", true)]))
        .pipeline("goes-on", &asked(&[runs("SYNC", "tea", "{}", false)]))
        .pipeline(
            "invalid",
            &asked(&[runs("SYNC", "nobody", r#"{"subject": "x"}"#, true)]),
        )
        .pipeline("missing", &asked(&[runs("SYNC", "coffee", "{}", true)]))
        .pipeline("tea", &called(&[thrown]))
        .pipeline("nobody", &called(&[nobody]));
    let served = Served::start(&fixture.scratch, &[]);
    let problem = served.post("stops", &[], &json!({})).with_status(418).json();
    assert_eq!(problem["kind"], "pipeline-error", "{problem}");
    // The last output says of itself that it is no success.
    let problem = served.post("goes-on", &[], &json!({})).with_status(500);
    let run = served.run(problem.header("pipepost-run").expect("a run"));
    assert_eq!(run["output"]["success"], false, "{run}");
    assert_eq!(run["output"]["pipelineResponse"]["error"], "no tea", "{run}");
    let problem = served.post("invalid", &[], &json!({})).with_status(422).json();
    assert_eq!(problem["kind"], "invalid", "{problem}");
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("`nobody` failed")),
        "{problem}"
    );
    let problem = served.post("missing", &[], &json!({})).with_status(500).json();
    assert_eq!(problem["kind"], "configuration", "{problem}");
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("`coffee`")),
        "{problem}"
    );
}

#[test]
fn what_is_uncertain_of_the_other_pipeline_is_uncertain_here_until_it_is_settled() {
    // The message is taken, and the reply never comes.
    let script = Script::default().lose_reply_of_message(1);
    let fixture = Fixture::with_script(script)
        .pipeline(
            "order",
            &asked(&[
                runs("SYNC", "letter", "{{ message.body }}", false),
                makes(r#"{"sent": {{ message.success }}}"#),
            ]),
        )
        .pipeline("letter", &called(&[letter("message.subject")]));
    let served = Served::start(&fixture.scratch, &[]);
    let key = [("Idempotency-Key", "k")];
    let reply = served.post("order", &key, &subject("doubt")).with_status(409);
    assert_eq!(reply.json()["kind"], "uncertain", "{reply:?}");
    let parent = reply.header("pipepost-run").expect("a run").to_owned();
    assert_eq!(served.run(&parent)["output"], json!({ "sent": false }));
    // Asking again sends nothing, and to continue it neither.
    served.post("order", &key, &subject("doubt")).with_status(409);
    let go_on = format!("/api/v1/runs/{parent}/continue");
    served.api("POST", &go_on, &Value::Null).with_status(200);
    assert_eq!(ended(&served, "order")["state"], "uncertain");
    assert_eq!(fixture.arrived("doubt"), 1);
    let listed = served
        .api("GET", "/api/v1/messages?state=uncertain", &Value::Null)
        .json();
    let message = listed["messages"][0]["key"].as_str().expect("a key");
    let place = format!(
        "/api/v1/messages/{}/settle",
        message.replace('#', "%23").replace('/', "%2F")
    );
    served.api("POST", &place, &json!({ "as": "sent" })).with_status(200);
    let child = ended(&served, "letter");
    let child = child["id"].as_str().expect("an id");
    served
        .api("POST", &format!("/api/v1/runs/{child}/continue"), &Value::Null)
        .with_status(200);
    served.run_until(child, "done");
    served.api("POST", &go_on, &Value::Null).with_status(200);
    assert_eq!(served.run_until(&parent, "done")["output"], json!({ "sent": true }));
    assert_eq!(fixture.arrived("doubt"), 1);
}

#[test]
fn a_killed_pipeline_finds_the_answer_that_the_other_one_gave() {
    let fixture = Fixture::with_script(held_at_the_greeting())
        .pipeline(
            "order",
            &asked(&[
                runs("SYNC", "number", "{}", true),
                runs("ASYNC", "copy", r#"{"subject": "copy"}"#, false),
                makes(r#"{"subject": {{ message.pipelineName }}, "copied": {{ message.success }}}"#),
                publishes("order.numbered"),
                letter("message.body.subject"),
            ]),
        )
        .pipeline("number", &called(&[makes(r#"{"number": {{ UUID() }}}"#)]))
        .pipeline("copy", &called(&[makes("{}")]))
        .pipeline(
            "listener",
            &json!({ "triggerSpec": { "type": "event", "eventName": "order.numbered" }, "flowSpec": { "start": [makes("{}")] } }),
        );
    let served = Served::start(&fixture.scratch, &[]);
    served
        .post("order", &[("Prefer", "respond-async")], &json!({}))
        .with_status(202);
    // It waits for the mail server, and everything else is over.
    let before: Vec<Value> = ["number", "copy", "listener"].map(|name| ended(&served, name)).into();
    fixture.catcher.wait_until_held("answer", 1);
    served.running().signal("KILL");
    drop(served);
    let served = Served::start(&fixture.scratch, &[]);
    fixture.catcher.inbox().release("answer");
    let order = ended(&served, "order");
    assert_eq!(
        (&order["state"], &order["redelivery"]),
        (&json!("done"), &json!(true)),
        "{order}"
    );
    let after: Vec<Value> = ["number", "copy", "listener"].map(|name| ended(&served, name)).into();
    assert_eq!(before, after);
    assert_eq!(fixture.arrived("copy"), 1);
}

#[test]
fn a_pipeline_that_is_killed_with_the_one_that_it_waits_for_goes_on_with_it() {
    let fixture = Fixture::with_script(held_at_the_greeting())
        .pipeline("order", &asked(&[runs("SYNC", "letter", "{{ message.body }}", true)]))
        .pipeline(
            "letter",
            &called(&[letter("message.subject"), makes(r#"{"is": "sent"}"#)]),
        );
    let one = ["--concurrency", "1"];
    let served = Served::start(&fixture.scratch, &one);
    served
        .post("order", &[("Prefer", "respond-async")], &subject("both"))
        .with_status(202);
    fixture.catcher.wait_until_held("answer", 1);
    served.running().signal("KILL");
    drop(served);
    let served = Served::start(&fixture.scratch, &one);
    fixture.catcher.inbox().release("answer");
    let (order, letter) = (ended(&served, "order"), ended(&served, "letter"));
    assert_eq!((&order["state"], &letter["state"]), (&json!("done"), &json!("done")));
    assert_eq!((&order["attempt"], &letter["attempt"]), (&json!(2), &json!(2)));
    let order = served.run(order["id"].as_str().expect("an id"));
    assert_eq!(order["output"]["pipelineResponse"], json!({ "is": "sent" }));
    assert_eq!(fixture.arrived("both"), 1);
}

#[test]
fn an_answer_that_was_recorded_without_its_sensitive_fields_is_not_taken_for_whole() {
    let mut card = called(&[makes(r#"{"card": "4111-1111"}"#)]);
    card["sensitive"] = json!(["card"]);
    let fixture = Fixture::with_script(held_at_the_greeting())
        .pipeline(
            "order",
            &asked(&[
                runs("SYNC", "card", "{}", true),
                letter("message.pipelineResponse.card"),
            ]),
        )
        .pipeline("card", &card);
    let served = Served::start(&fixture.scratch, &[]);
    served
        .post("order", &[("Prefer", "respond-async")], &json!({}))
        .with_status(202);
    fixture.catcher.wait_until_held("answer", 1);
    served.running().signal("KILL");
    drop(served);
    let served = Served::start(&fixture.scratch, &[]);
    fixture.catcher.inbox().release("answer");
    let order = ended(&served, "order");
    assert_eq!(
        (&order["state"], &order["failure"]["kind"]),
        (&json!("failed"), &json!("limit")),
        "{order}"
    );
    assert_eq!(fixture.arrived("***"), 0);
}

#[test]
fn who_waits_does_so_no_longer_than_the_step_says() {
    let mut step = runs("SYNC", "slow", "{{ message.body }}", true);
    step["params"]["timeout"] = 300.into();
    let mut late = runs("SYNC", "slow", "{{ message.body }}", true);
    late["params"]["expiration"] = 300.into();
    let wait = json!({ "type": "delayer", "delayMilliseconds": 800_000 });
    let mut slow = called(&[wait]);
    slow["triggerSpec"]["consumers"] = 1.into();
    let fixture = Fixture::new()
        .pipeline("order", &asked(&[step]))
        .pipeline("late", &asked(&[late]))
        .pipeline("slow", &slow);
    let served = Served::start(&fixture.scratch, &[]);
    let problem = served.post("order", &[], &json!({})).with_status(503).json();
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("has not answered")),
        "{problem}"
    );
    assert_eq!(runs_of(&served, "slow")[0]["state"], "running");
    // Its only place is taken, so this one does not begin.
    let problem = served.post("late", &[], &json!({})).with_status(503).json();
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("did not begin")),
        "{problem}"
    );
    let states: Vec<Value> = runs_of(&served, "slow")
        .iter()
        .map(|run| run["state"].clone())
        .collect();
    assert_eq!(states, ["cancelled", "running"]);
}

/// `examples/serving`, as the documentation tells it.
#[test]
fn the_example_takes_an_order_asks_for_its_price_and_sends_a_receipt() {
    let fixture = Fixture::new();
    let examples = pipepost_tests::root().join("examples/serving");
    for name in ["order", "price", "receipt"] {
        let text = std::fs::read_to_string(examples.join(format!("{name}.json"))).expect("an example");
        fixture.scratch.write(&format!("pipelines/{name}.json"), text);
    }
    let checked = fixture.scratch.pipepost(&["check", "pipelines"]).with_code(0);
    assert!(checked.stdout.contains("3 pipelines: no problems."), "{checked}");
    let served = Served::start(&fixture.scratch, &[]);
    let order = json!({ "item": "tea", "to": "ada@example.test" });
    let answer = served.post("order", &[], &order).with_status(200).json();
    assert_eq!(answer, json!({ "accepted": true, "price": 7 }));
    assert_eq!(ended(&served, "receipt")["state"], "done");
    assert_eq!(fixture.arrived("Your order"), 1);
    let order = json!({ "item": "coffee", "to": "ada@example.test" });
    let problem = served.post("order", &[], &order).with_status(404).json();
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("There is no coffee.")),
        "{problem}"
    );
}

#[test]
fn without_a_server_such_a_step_is_refused_before_anything_is_sent_and_a_dry_run_shows_it() {
    let document = asked(&[
        letter("message.subject"),
        runs("SYNC", "price", r#"{"item": 1}"#, true),
        publishes("order.paid"),
    ]);
    let fixture = Fixture::new().pipeline("order", &document);
    fixture.scratch.write("input.json", subject("one").to_string());
    let refused = fixture
        .scratch
        .pipepost(&["run", "pipelines/order.json", "--input", "input.json"])
        .with_code(78);
    for words in ["Run price", "pipepost serve", "--dry-run"] {
        assert!(refused.stderr.contains(words), "{words}: {refused}");
    }
    assert_eq!(fixture.arrived("one"), 0);
    let checked = fixture
        .scratch
        .pipepost(&["check", "pipelines/order.json"])
        .with_code(0);
    for words in [
        "wants pipelines: price",
        "wants listeners of events: order.paid",
        "pipepost serve",
    ] {
        assert!(checked.stdout.contains(words), "{words}: {checked}");
    }
    let checked = fixture.scratch.pipepost(&["check", "pipelines"]).with_code(0);
    assert!(
        checked.stdout.contains("no document of the directory has this name"),
        "{checked}"
    );
    let rehearsed = fixture
        .scratch
        .pipepost(&["run", "pipelines/order.json", "--input", "input.json", "--dry-run"])
        .with_code(0);
    for words in [
        "would run the pipeline `price` with {\"item\":1}",
        "would publish the event `order.paid`",
    ] {
        assert!(rehearsed.stderr.contains(words), "{words}: {rehearsed}");
    }
    let served = Served::start(&fixture.scratch, &[]);
    let preview = json!({ "message": subject("one") });
    let shown = served
        .api("POST", "/api/v1/pipelines/order/preview", &preview)
        .with_status(200)
        .json();
    let starts = shown["starts"].as_array().expect("starts");
    assert_eq!(starts.len(), 2, "{shown}");
    assert_eq!(
        (&starts[0]["pipeline"], &starts[0]["message"]),
        (&json!("price"), &json!({ "item": 1 }))
    );
    assert_eq!(starts[1]["event"], "order.paid");
    assert_eq!(fixture.arrived("one"), 0);
}

#[test]
fn what_steps_log_is_in_the_log_of_their_run() {
    let log = json!({
        "type": "connector", "name": "log-connector", "stepName": "Note",
        "params": { "logLevel": "WARN", "message": "card {{ message.body.card }} of {{ message.body.name }}" },
    });
    let mut document = asked(&[log]);
    document["sensitive"] = json!(["card"]);
    let fixture = Fixture::new().pipeline("order", &document);
    let served = Served::start(&fixture.scratch, &[]);
    let message = json!({ "card": "4111-1111", "name": "Ada" });
    let reply = served.post("order", &[], &message).with_status(200);
    let path = format!("/api/v1/runs/{}/log", reply.header("pipepost-run").expect("a run"));
    let log = served.api("GET", &path, &Value::Null).with_status(200).json();
    let lines = log["lines"].as_array().expect("lines");
    let noted = lines.iter().find(|line| line["source"] == "Note").expect("the line");
    assert_eq!(
        (&noted["level"], &noted["text"]),
        (&json!("warn"), &json!("card *** of Ada"))
    );
}
