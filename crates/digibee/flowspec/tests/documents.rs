//! Whole documents, as people paste them.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::with_surroundings;
use pipepost_flowspec::parameters::Grant;
use pipepost_flowspec::{Form, JsonSource, Pipeline, Setting, StepKind, check, parse};
use serde_json::json;

const ORDER: &str = include_str!("documents/order-confirmation.json");
const DIGEST: &str = include_str!("documents/clipboard-digest.json");
const EVERYTHING: &str = include_str!("documents/everything.json");

fn read(text: &str) -> Pipeline {
    with_surroundings(&[], |surroundings| parse(text, surroundings)).unwrap_or_else(|problems| panic!("{problems}"))
}

fn kinds(pipeline: &Pipeline, branch: &str) -> Vec<String> {
    let (_, branch) = pipeline.branches().find(|(_, found)| found.name == branch).unwrap();
    branch.steps.iter().map(|step| step.type_name.clone()).collect()
}

#[test]
fn a_platform_document_is_read_whole() {
    let pipeline = read(ORDER);
    assert_eq!(pipeline.form(), Form::Platform);
    assert_eq!(pipeline.metadata().name.as_deref(), Some("order-confirmation"));
    assert_eq!(pipeline.metadata().version_minor, Some(json!("4")));
    assert_eq!(pipeline.time_limit(), Some(Duration::from_secs(60)));
    assert_eq!(pipeline.sensitive(), ["document"]);
    assert_eq!(
        kinds(&pipeline, "start"),
        ["json-generator-connector", "log-connector", "choice"]
    );
    assert!(pipeline.warnings().is_empty(), "{}", pipeline.warnings());

    let first = pipeline.branch(pipeline.first());
    assert_eq!(first.steps[0].alias.as_deref(), Some("order"));
    assert!(matches!(&first.steps[0].kind, StepKind::JsonGenerator(generator)
        if generator.fail_on_error && matches!(generator.json, JsonSource::Text(_))));
    let StepKind::Choice(choice) = &first.steps[2].kind else {
        panic!()
    };
    assert_eq!(pipeline.branch(choice.when[1].target).name, "urgent");
    assert_eq!(
        pipeline.branch(choice.otherwise.unwrap()).name,
        "without address #0UTtmO#"
    );
}

#[test]
fn a_connector_keeps_its_account_its_parameters_and_its_endpoint() {
    let pipeline = read(ORDER);
    let step = pipeline.steps().find(|step| step.label() == "Confirm").unwrap();
    let StepKind::Connector(connector) = &step.kind else {
        panic!()
    };
    assert_eq!(connector.name, "email-v2");
    assert_eq!(step.type_name, "email-connector-v2");
    assert_eq!(connector.account_label.as_deref(), Some("gmail-orders"));
    assert_eq!(connector.written["smtpPort"], json!(587));
    assert_eq!(connector.written.get("useDynamicAccount"), None);
    let endpoint: Vec<_> = connector.endpoint().collect();
    assert!(
        endpoint.contains(&(Grant::Host, "smtpHost", &json!("smtp.gmail.com"))),
        "{endpoint:?}"
    );
    assert!(endpoint.contains(&(Grant::Tls, "isOverSSL", &json!(false))));
    assert_eq!(
        step.key(),
        "/with address #Py2q38#/a0c9a6e4-2e7e-4ad0-8b0c-0f6f2a7c1004"
    );
}

#[test]
fn json_text_is_read_before_its_expressions_are() {
    let pipeline = read(ORDER);
    let step = pipeline.steps().find(|step| step.label() == "Tell the desk").unwrap();
    let StepKind::Connector(connector) = &step.kind else {
        panic!()
    };
    let expected = json!([{"attachment": "order-{{ step.order.id }}.pdf", "type": "ATTACHMENT"}]);
    assert_eq!(connector.written["attachments"], expected);
}

#[test]
fn a_clipboard_document_begins_at_its_root() {
    let pipeline = read(DIGEST);
    assert_eq!(pipeline.form(), Form::Clipboard);
    assert_eq!(pipeline.time_limit(), None);
    let first = pipeline.branch(pipeline.first());
    assert!(first.name.starts_with("disconnected-root:"));
    let StepKind::ForEach(each) = &first.steps[0].kind else {
        panic!()
    };
    assert!(each.parallel);
    assert_eq!(
        each.tracks.on_exception, None,
        "a track that is named and not there is none"
    );
    assert!(
        pipeline
            .branch(each.tracks.on_process)
            .name
            .ends_with("-onProcessTrack")
    );
}

#[test]
fn every_step_type_is_read_and_left_overs_do_no_harm() {
    let pipeline = read(EVERYTHING);
    let warnings: Vec<_> = pipeline
        .warnings()
        .iter()
        .map(|problem| problem.message().to_owned())
        .collect();
    assert_eq!(warnings, ["no step leads to this branch, so it never runs"]);
    let steps = &pipeline.branch(pipeline.first()).steps;
    assert_eq!(steps.len(), 12);
    assert!(matches!(&steps[1].kind, StepKind::Delayer(delayer) if matches!(delayer.delay, Setting::Expression(_))));
    assert!(matches!(&steps[8].kind, StepKind::Retry(retry) if matches!(retry.max_retry, Setting::Fixed(5))));
    let StepKind::Parallel(parallel) = &steps[9].kind else {
        panic!()
    };
    assert_eq!(pipeline.branch(parallel.executions[1].target).name, "p1:y");
}

#[test]
fn a_document_tells_what_it_wants() {
    let wants = with_surroundings(&[], |surroundings| check(ORDER, surroundings)).wants;
    assert_eq!(
        serde_json::to_value(wants).unwrap(),
        json!({
            "accounts": {"gmail-orders": ["username"]},
            "globals": ["archive-address"],
            "message": [
                "address", "body.customer.e-mail", "body.customer.name", "body.id", "body.lines", "body.total",
                "customer", "id"
            ],
            "trigger": [],
            "paths": ["$.[?(@.total > 1000)]", "address"],
        })
    );
}

#[test]
fn a_pinned_step_may_be_of_any_type() {
    let text = r#"{"flowSpec": {"start": [{"type": "connector", "name": "db-connector-v2", "stepName": "Read", "params": {"x": 1}}]}}"#;
    let unpinned = with_surroundings(&[], |surroundings| parse(text, surroundings));
    assert!(unpinned.unwrap_err().to_string().contains("db-connector-v2"));
    let pinned = with_surroundings(&["Read"], |surroundings| parse(text, surroundings)).unwrap();
    assert!(matches!(&pinned.steps().next().unwrap().kind, StepKind::Pinned(pin) if pin == "Read"));
    let other = with_surroundings(&["Read", "Raed"], |surroundings| parse(text, surroundings)).unwrap_err();
    assert_eq!(other.kind(), Some(pipepost_flowspec::Kind::Configuration));
}

#[test]
fn accounts_that_are_not_known_yet_are_taken_at_their_word() {
    let text = ORDER.replace("gmail-orders", "not-here");
    let catalogue = common::connectors();
    let report = check(&text, &pipepost_flowspec::Surroundings::new(&catalogue));
    assert!(report.pipeline.is_some(), "{}", report.problems);
    assert!(report.wants.accounts.contains_key("not-here"));
}

#[test]
fn objects_may_stand_as_json_text() {
    let steps =
        json!({"start": [{"type": "connector", "name": "log-connector", "params": "{\"logLevel\": \"WARN\"}"}]});
    let document = json!({"flowSpec": steps.to_string(), "triggerSpec": "{\"timeout\": 1000}"});
    let pipeline = read(&document.to_string());
    assert_eq!(pipeline.time_limit(), Some(Duration::from_secs(1)));
    assert!(matches!(&pipeline.steps().next().unwrap().kind, StepKind::Log(log) if log.message.is_none()));
}

#[test]
fn machines_get_problems_as_json() {
    let text = r#"{"flowSpec": {"start": [{"type": "delayer", "id": "d", "delay": "x"}]}}"#;
    let problems = with_surroundings(&[], |surroundings| parse(text, surroundings)).unwrap_err();
    assert_eq!(
        serde_json::to_value(&problems).unwrap(),
        json!([{
            "severity": "error", "kind": "invalid", "branch": "start", "step": {"index": 0, "id": "d"},
            "parameter": "/delay", "line": 1, "column": 65,
            "message": "it must be a whole number, and is other text"
        }])
    );
}

#[test]
fn the_document_is_mended_before_its_surroundings() {
    let invalid = r#"{"type": "delayer", "dely": 1}"#;
    let no_account = r#"{"type": "connector", "name": "email-v2", "params": {}}"#;
    let kind = |steps: &str| {
        let text = format!(r#"{{"flowSpec": {{"start": [{steps}]}}}}"#);
        with_surroundings(&[], |surroundings| check(&text, surroundings))
            .problems
            .kind()
    };
    assert_eq!(kind(no_account), Some(pipepost_flowspec::Kind::Configuration));
    assert_eq!(
        kind(&format!("{no_account}, {invalid}")),
        Some(pipepost_flowspec::Kind::Invalid)
    );
    assert_eq!(kind(""), None);
}
