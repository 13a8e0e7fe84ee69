//! The published schema against the documents that are read.

#![allow(clippy::unwrap_used)]

mod common;

use common::{connectors, with_context};
use pipepost_flowspec::{ConnectorDescription, Connectors, check, schema};
use serde_json::{Value, json};

fn validator() -> jsonschema::Validator {
    let schema = schema::document(&connectors());
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn documents() -> Vec<(String, Value)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/documents");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        (
            path.display().to_string(),
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap(),
        )
    };
    let documents: Vec<_> = entries.map(read).collect();
    assert!(documents.len() >= 3);
    documents
}

#[test]
fn every_example_document_is_valid() {
    let validator = validator();
    for (path, document) in documents() {
        let errors: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| format!("{} {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{path}: {errors:#?}");
    }
}

#[test]
fn what_the_schema_refuses_is_refused_by_the_reader_too() {
    let validator = validator();
    let step = |step: Value| json!({"flowSpec": {"start": [step]}});
    let email = |params: Value| {
        step(json!({"type": "connector", "name": "email-v2", "accountLabel": "mailer", "params": params}))
    };
    for document in [
        json!([]),
        json!({"flowSpec": []}),
        json!({"flowSpec": {"begin": []}}),
        json!({"flowSpec": {"start": {}}}),
        json!({"flowSpec": {"start": []}, "triggerSpec": {"timeout": 900_001}}),
        step(json!({})),
        step(json!({"type": "connector"})),
        step(json!({"type": "connector", "name": "db-connector-v2"})),
        step(json!({"type": "delayer", "delayMilliseconds": "soon"})),
        step(json!({"type": "delayer", "dely": 1})),
        step(json!({"type": "connector", "name": "log-connector", "params": {"logLevel": "LOUD"}})),
        step(json!({"type": "connector", "name": "json-generator-connector"})),
        step(json!({"type": "connector", "name": "log-connector", "useDynamicAccount": true})),
        email(json!({"smtpPort": "many"})),
        email(json!({"smtpPort": 0})),
        email(json!({"attachments": [{"name": "x"}]})),
        email(json!({"smtpPrt": 1})),
        email(json!({"body": {"path": "x"}})),
    ] {
        assert!(!validator.is_valid(&document), "{document}");
        let report = with_context(&[], |context| check(&document.to_string(), context));
        assert!(report.pipeline.is_none(), "{document}");
    }
}

#[test]
fn both_forms_of_a_value_and_its_aliases_are_valid() {
    let schema = schema::parameters(&connectors(), "email-connector-v2").unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for params in [
        json!({"smtpPort": 587, "isOverTLS": true, "attachments": [{"attachment": "a"}], "to": ["a@b"]}),
        json!({"smtpPort": "587", "isOverTls": "true", "attachments": "[]", "to": "a@b"}),
        json!({"smtpPort": "{{ global.port }}", "isOverTLS": "{{ message.tls }}", "body": {"file": "x.html"}}),
        json!({"smtpPort": "", "useDynamicAccount": false, "scoped": false, "accountName": ""}),
    ] {
        let errors: Vec<String> = validator.iter_errors(&params).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{params}: {errors:?}");
    }
    assert_eq!(schema::parameters(&connectors(), "nothing"), None);
}

#[test]
fn a_schema_that_contains_itself_many_times_is_widened_within_bounds() {
    let itself: serde_json::Map<String, Value> = (0..100).map(|n| (format!("p{n}"), json!({"$ref": "#"}))).collect();
    let option = json!({"$ref": "#/$defs/a"});
    let aliases: Vec<String> = (0..10_000).map(|n| format!("alias{n}")).collect();
    let wide: Vec<Value> = (0..1000).map(|n| json!(n)).collect();
    for parameters in [
        json!({"properties": itself}),
        json!({"properties": {"a": option}, "$defs": {"a": {"anyOf": vec![option; 100]}}}),
        json!({"properties": {"a": {"x-pipepost-alias": aliases, "enum": wide}}}),
    ] {
        let harmful = ConnectorDescription {
            name: "harmful".to_owned(),
            aliases: Vec::new(),
            parameters,
            account_types: Vec::new(),
        };
        let schema = schema::parameters(&Connectors::new([harmful]).unwrap(), "harmful").unwrap();
        assert!(schema.to_string().len() < 16 << 20);
    }
}
