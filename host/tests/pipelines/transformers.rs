//! Steps that change the message and nothing else.

use pipepost::RunOptions;
use serde_json::{Value, json};

use crate::fixture::{document, generate, host, report, run, step, steps, throw};

fn beside(kind: &str, settings: Value) -> Value {
    let mut step = settings;
    step["type"] = kind.into();
    step
}

#[tokio::test]
async fn a_template_gives_a_body_and_keeps_the_model() {
    let transformer = |settings: Value| steps(json!([beside("template-transformer", settings)]));
    let message = json!({ "body": { "name": "Ada" } });
    let output = run(&transformer(json!({ "template": "Dear ${name}" })), message.clone()).await;
    assert_eq!(
        output.expect("an output"),
        json!({ "body": "Dear Ada", "_body": { "name": "Ada" } })
    );
    let bare = json!({ "template": "${name}, {{ message.n }}", "modelPath": "a.b", "preserveOriginal": false });
    let output = run(&transformer(bare), json!({ "a": { "b": { "name": "B" } }, "n": 1 })).await;
    assert_eq!(output.expect("an output"), json!({ "body": "B, 1" }));
    let output = run(&transformer(json!({ "template": "${absent}" })), message)
        .await
        .expect("an output");
    assert_eq!(
        (&output["body"], &output["_body"]),
        (&Value::Null, &json!({ "name": "Ada" }))
    );
    assert!(
        output["_error"]
            .as_str()
            .is_some_and(|error| error.contains("line 1, column")),
        "{output}"
    );
    let problems = host()
        .await
        .prepare(&transformer(json!({ "template": "<#if" })).to_string());
    assert!(problems.unwrap_err().to_string().contains("parameter template"));
}

#[tokio::test]
async fn a_path_replaces_the_message() {
    let transformer = |path: &str, fails: bool| {
        steps(json!([beside(
            "json-path-transformer",
            json!({ "jsonPath": path, "failOnError": fails })
        )]))
    };
    let message = json!({ "a": [{ "n": 1 }, { "n": 2 }] });
    let output = run(&transformer("$.a[*].n", true), message.clone()).await;
    assert_eq!(output.expect("an output"), json!([1, 2]));
    assert!(run(&transformer("$.a.max()", true), message.clone()).await.is_err());
    let output = run(&transformer("$.a.max()", false), message).await.expect("an output");
    assert_eq!(output["success"], false);
}

#[tokio::test]
async fn json_text_and_json_change_into_each_other() {
    let parse = |settings: Value| steps(json!([beside("json-string-to-json-transformer", settings)]));
    let output = run(&parse(json!({})), json!({ "payload": "{\"a\":[1]}", "b": 1 })).await;
    assert_eq!(
        output.expect("an output"),
        json!({ "payload": { "a": [1] }, "b": 1, "_payload": "{\"a\":[1]}" })
    );
    let deep = json!({ "fieldPath": "a.b", "preserveOriginal": false });
    let output = run(&parse(deep), json!({ "a": { "b": "[true]" } })).await;
    assert_eq!(output.expect("an output"), json!({ "a": { "b": [true] } }));
    let output = run(&parse(json!({})), json!({ "payload": "{" }))
        .await
        .expect("an output");
    assert_eq!(output["payload"], "{");
    assert!(
        output["error"]
            .as_str()
            .is_some_and(|error| error.contains("`payload`")),
        "{output}"
    );
    assert!(run(&parse(json!({ "failOnError": true })), json!({})).await.is_err());

    let print = steps(json!([beside(
        "json-to-json-string-transformer",
        json!({ "preserveOriginal": false })
    )]));
    let output = run(&print, json!({ "payload": { "a": [1, "x"] } })).await;
    assert_eq!(output.expect("an output"), json!({ "payload": "{\"a\":[1,\"x\"]}" }));
}

#[tokio::test]
async fn the_session_keeps_fields_for_later_steps() {
    let session = |operation: &str| {
        beside(
            "session-management",
            json!({ "operation": operation, "sessionType": "LOCAL", "scoped": false, "fields": ["a", "absent"] }),
        )
    };
    let document = steps(json!([
        session("PUT"),
        generate(json!({ "seen": "{{ session.a }}" })),
        session("GET"),
        session("DELETE"),
        generate(json!({ "before": "{{ message }}", "after": "{{ session.a }}" })),
    ]));
    let output = run(&document, json!({ "a": 7, "b": 8 })).await;
    assert_eq!(
        output.expect("an output"),
        json!({ "before": { "seen": 7, "a": 7 }, "after": null })
    );
}

#[tokio::test]
async fn an_assertion_passes_fails_or_is_an_output() {
    let assertion = |fails: bool| {
        steps(json!([step(
            "assert-connector-v2",
            json!({
                "condition": "{{ message.ok }}",
                "errorMessage": "not {{ message.what }}",
                "internalErrorMessage": "looked at {{ message.what }}",
                "errorCode": "{{ message.code }}",
                "failOnError": fails,
            })
        )]))
    };
    let fine = json!({ "ok": "true", "what": "good" });
    assert_eq!(run(&assertion(true), fine.clone()).await.expect("an output"), fine);
    let wrong = json!({ "ok": false, "what": "good", "code": 7 });
    let error = run(&assertion(true), wrong.clone()).await.unwrap_err();
    assert_eq!(
        (&error.object["error"], &error.object["code"]),
        (&json!("not good"), &json!(7))
    );
    assert_eq!(error.exit_code(), 1);
    let output = run(&assertion(false), wrong).await.expect("an output");
    assert_eq!(
        (&output["success"], &output["message"]),
        (&json!(false), &json!("not good"))
    );
}

#[tokio::test]
async fn a_generator_s_failure_is_an_output_or_the_end() {
    let generator = |fails: bool| {
        let json = "{\"n\": {{ SUBTRACT(message.a, 1) }} }";
        steps(json!([step(
            "json-generator-connector",
            json!({ "json": json, "failOnError": fails })
        )]))
    };
    let output = run(&generator(false), json!({ "a": {} })).await.expect("an output");
    assert_eq!(output["success"], false);
    assert!(output["message"].is_string() && output["error"].is_string(), "{output}");
    assert!(run(&generator(true), json!({ "a": {} })).await.is_err());
}

#[tokio::test]
async fn a_custom_error_is_thrown_as_it_is() {
    let thrown = step(
        "throw-error-connector",
        json!({ "customErrorEnabled": true, "customError": "{\"why\": {{ message.why }} }" }),
    );
    let error = run(&steps(json!([thrown])), json!({ "why": [1] })).await.unwrap_err();
    assert_eq!(error.object, json!({ "why": [1] }));
    let error = run(
        &steps(json!([throw("plain {{ message.why }}")])),
        json!({ "why": "no" }),
    )
    .await;
    let error = error.unwrap_err();
    assert_eq!(
        (&error.object["error"], &error.object["code"]),
        (&json!("plain no"), &json!(409))
    );
    assert!(error.object["timestamp"].is_i64() && error.object["exception"].is_string());
}

#[tokio::test]
async fn outputs_are_seen_by_alias_also_across_tracks() {
    let mut made = generate(json!({ "id": 9 }));
    made["doubleBracesAlias"] = "made".into();
    let document = document(json!({
        "start": [
            step("block-execution-connector", json!({ "onProcess": "work" })),
            generate(json!({ "seen": "{{ step.made.id }}" }))
        ],
        "work": [made, generate(json!({}))],
    }));
    let report = report(&host().await, &document, RunOptions::new(json!({}))).await;
    assert_eq!(report.result.expect("an output"), json!({ "seen": 9 }));
}
