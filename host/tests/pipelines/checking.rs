//! The step that checks a value against a JSON Schema.

use pipepost::{FailureKind, RunOptions};
use serde_json::{Value, json};

use crate::fixture::{host, report, run, step, steps};

fn schema() -> Value {
    json!({
        "type": "object", "required": ["id", "lines"],
        "properties": { "id": { "type": "integer" }, "lines": { "items": { "required": ["sku"] } } },
    })
}

fn validator(further: Value) -> Value {
    let mut step = json!({ "type": "validator", "jsonSchema": schema().to_string() });
    for (name, value) in further.as_object().expect("settings") {
        step[name] = value.clone();
    }
    steps(json!([step]))
}

#[tokio::test]
async fn a_value_that_conforms_goes_on() {
    let message = json!({ "id": 1, "lines": [{ "sku": "a" }] });
    assert_eq!(
        run(&validator(json!({})), message.clone()).await.expect("an output"),
        message
    );
    let document = validator(json!({ "payload": "{{ message.order }}" }));
    let output = run(&document, json!({ "order": message })).await.expect("an output");
    assert_eq!(output, message);
    // JSON text is the JSON that it holds.
    let output = run(&document, json!({ "order": message.to_string() }))
        .await
        .expect("an output");
    assert_eq!(output, message);
}

#[tokio::test]
async fn a_value_that_does_not_conform_is_an_output_or_an_error() {
    let message = json!({ "id": "secret-1", "lines": [{ "sku": "a" }, {}] });
    let report = report(&host().await, &validator(json!({})), RunOptions::new(message.clone())).await;
    let told = &report.tolerated[0].1;
    assert_eq!(told.kind, FailureKind::Invalid);
    assert!(
        told.message.contains("2 errors") && !told.message.contains("secret-1"),
        "{told}"
    );
    let output = report.result.expect("an output");
    assert_eq!(output["success"], false);
    let places: Vec<(&Value, &Value)> = output["validation"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|found| (&found["type"], &found["path"]))
        .collect();
    assert!(places.contains(&(&json!("type"), &json!("$.id"))), "{output}");
    assert!(places.contains(&(&json!("required"), &json!("$.lines[1]"))), "{output}");
    let simple = run(
        &validator(json!({ "simplifyValidationResults": true })),
        message.clone(),
    )
    .await;
    assert!(simple.expect("an output")["validation"][0].is_string());
    let error = run(&validator(json!({ "failOnError": true })), message)
        .await
        .expect_err("it ends the run");
    assert_eq!(error.exit_code(), 65);
    assert_eq!(error.object["validation"].as_array().expect("an array").len(), 2);
}

#[tokio::test]
async fn the_connectors_form_and_a_schema_from_the_message_work_too() {
    let params = json!({ "jsonSchema": "{{ message.schema }}", "payload": "{{ message.value }}", "schemaDraftVersion": "v7", "failOnError": true });
    let document = steps(json!([step("validator-connector-v2", params)]));
    let good = json!({ "schema": { "const": 5 }, "value": 5 });
    assert_eq!(run(&document, good).await.expect("an output"), json!(5));
    for bad in [
        json!({ "schema": { "const": 5 }, "value": 6 }),
        json!({ "schema": { "type": 7 }, "value": 6 }),
    ] {
        let error = run(&document, bad).await.expect_err("it does not conform");
        assert_eq!(error.failure.expect("a failure").kind, FailureKind::Invalid);
    }
}

#[tokio::test]
async fn a_schema_of_a_message_that_refers_to_itself_without_end_ends() {
    let params = json!({ "jsonSchema": "{{ message.schema }}", "payload": "{{ message.value }}", "failOnError": true });
    let document = steps(json!([step("validator-connector-v2", params)]));
    for schema in [
        json!({ "allOf": [{ "$ref": "#" }] }),
        json!({ "definitions": { "a": { "anyOf": [{ "$ref": "#/definitions/b" }] }, "b": { "anyOf": [{ "$ref": "#/definitions/a" }] } }, "anyOf": [{ "$ref": "#/definitions/a" }] }),
    ] {
        drop(run(&document, json!({ "schema": schema, "value": [1] })).await);
    }
}
