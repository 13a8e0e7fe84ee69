//! Whole documents, as people paste them.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::with_context;
use pipepost_double_braces::{Context, Scope};
use pipepost_flowspec::parameters::Grant;
use pipepost_flowspec::{CheckContext, Form, JsonSource, Pipeline, Setting, StepKind, check, parse, schema};
use serde_json::{Value, json};

const ORDER: &str = include_str!("documents/order-confirmation.json");
const DIGEST: &str = include_str!("documents/clipboard-digest.json");
const EVERYTHING: &str = include_str!("documents/everything.json");

fn read(text: &str) -> Pipeline {
    with_context(&[], |context| parse(text, context)).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A run in which every path gives null.
struct Nothing;

impl Context for Nothing {
    fn root(&self, _: Scope) -> Option<&Value> {
        None
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }

    fn random(&self) -> u64 {
        4
    }
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
    let warned: Vec<_> = pipeline.warnings().iter().map(|problem| problem.message()).collect();
    assert_eq!(
        warned,
        [
            "`${customer}` reaches an HTML body unescaped",
            "`${line.name}` reaches an HTML body unescaped"
        ]
    );

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
    let params = connector.params.evaluate(&Nothing).unwrap();
    assert_eq!(params["smtpPort"], json!(587));
    assert_eq!(params.get("useDynamicAccount"), None);
    let written = |name: &str, grant: Grant| {
        let mut named = connector.endpoint.iter();
        let parameter = named.find(|parameter| parameter.name == name && parameter.grant == grant);
        parameter.and_then(|parameter| parameter.written.clone())
    };
    assert_eq!(written("smtpHost", Grant::Host), Some(json!("smtp.gmail.com")));
    assert_eq!(written("isOverSSL", Grant::Tls), Some(json!(false)));
    assert_eq!(written("socketPort", Grant::Port), None);
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
    let params = connector.params.evaluate(&Nothing).unwrap();
    let expected = json!([{"attachment": "order-.pdf", "type": "ATTACHMENT"}]);
    assert_eq!(params["attachments"], expected);
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
    let requirements = with_context(&[], |context| check(ORDER, context)).requirements;
    assert_eq!(
        serde_json::to_value(requirements).unwrap(),
        json!({
            "accounts": {"gmail-orders": ["username"]},
            "globals": ["archive-address"],
            "message": [
                "address", "body.customer.e-mail", "body.customer.name", "body.id", "body.lines", "body.total",
                "customer", "id", "lines", "lines[].name"
            ],
            "trigger": [],
            "pipelines": [],
            "events": [],
            "paths": ["$.[?(@.total > 1000)]", "address"],
        })
    );
}

#[test]
fn a_document_tells_which_pipelines_and_events_it_starts() {
    let step = |name: &str, params: Value| json!({"type": "connector", "name": name, "params": params});
    let document = json!({"flowSpec": {
        "start": [
            step("pipeline-executor-connector", json!({"pipelineName": "price"})),
            step("pipeline-executor-connector", json!({"pipelineName": "{{ message.next }}"})),
            step("event-publisher-connector", json!({"eventName": "order.paid"})),
            step("event-publisher-connector", json!({})),
        ],
        "nowhere": [step("pipeline-executor-connector", json!({"pipelineName": "never"}))],
    }});
    let report = with_context(&[], |context| check(&document.to_string(), context));
    let names = |names: &std::collections::BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>();
    assert_eq!(names(&report.requirements.pipelines), ["price"]);
    assert_eq!(names(&report.requirements.events), ["order.paid"]);
    assert_eq!(report.pipeline.unwrap().starters().count(), 4);
}

#[test]
fn a_pinned_step_may_be_of_any_type() {
    let text = r#"{"flowSpec": {"start": [{"type": "connector", "name": "db-connector-v2", "stepName": "Read", "params": {"x": 1}}]}}"#;
    let unpinned = with_context(&[], |context| parse(text, context));
    assert!(unpinned.unwrap_err().to_string().contains("db-connector-v2"));
    let pinned = with_context(&["Read"], |context| parse(text, context)).unwrap();
    assert!(matches!(&pinned.steps().next().unwrap().kind, StepKind::Pinned(pin) if pin == "Read"));
    let other = with_context(&["Read", "Raed"], |context| parse(text, context)).unwrap_err();
    assert_eq!(other.kind(), Some(pipepost_flowspec::Kind::Configuration));
}

#[test]
fn accounts_that_are_not_known_yet_are_taken_at_their_word() {
    let text = ORDER.replace("gmail-orders", "not-here");
    let catalogue = common::connectors();
    let report = check(&text, &CheckContext::new(&catalogue));
    assert!(report.pipeline.is_some(), "{}", report.problems);
    assert!(report.requirements.accounts.contains_key("not-here"));
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
    let text = r#"{"flowSpec": {"start": [{"type": "delayer", "id": "d", "delayMilliseconds": "x"}]}}"#;
    let problems = with_context(&[], |context| parse(text, context)).unwrap_err();
    assert_eq!(
        serde_json::to_value(&problems).unwrap(),
        json!([{
            "severity": "error", "kind": "invalid", "branch": "start", "step": {"index": 0, "id": "d"},
            "parameter": "/delayMilliseconds", "line": 1, "column": 77,
            "message": "it must be a whole number, and is other text"
        }])
    );
}

#[test]
fn the_document_is_mended_before_its_surroundings() {
    let invalid = r#"{"type": "delayer", "delayMiliseconds": 1}"#;
    let no_account = r#"{"type": "connector", "name": "email-v2", "params": {}}"#;
    let kind = |steps: &str| {
        let text = format!(r#"{{"flowSpec": {{"start": [{steps}]}}}}"#);
        with_context(&[], |context| check(&text, context)).problems.kind()
    };
    assert_eq!(kind(no_account), Some(pipepost_flowspec::Kind::Configuration));
    assert_eq!(
        kind(&format!("{no_account}, {invalid}")),
        Some(pipepost_flowspec::Kind::Invalid)
    );
    assert_eq!(kind(""), None);
}

#[test]
fn a_connector_is_compiled_once_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("body.html"), "<p>${name} {{ step.no.such }}</p>").unwrap();
    let step = |params: Value| {
        let step = json!({"type": "connector", "name": "email-v2", "accountLabel": "mailer", "params": params});
        json!({"flowSpec": {"start": [step]}}).to_string()
    };
    let catalogue = common::connectors();
    let context = CheckContext {
        document_dir: Some(folder.path()),
        ..CheckContext::new(&catalogue)
    };
    let text = step(json!({"body": "Dear ${name}", "failOnError": "{{ message.strict }}", "subject": "x"}));
    let pipeline = parse(&text, &context).unwrap_or_else(|problems| panic!("{problems}"));
    let (_, connector) = pipeline.connectors().next().unwrap();
    let (name, body) = &connector.bodies[0];
    assert_eq!(name, "body");
    assert_eq!(
        body.render(&Nothing, &json!({"name": "Ada"}), None).as_deref(),
        Ok("Dear Ada")
    );
    assert!(matches!(&connector.fail_on_error, Setting::Expression(_)));
    assert_eq!(connector.params.evaluate(&Nothing).unwrap().get("body"), None);
    assert!(connector.items.is_none());

    let report = check(&step(json!({"body": "Dear ${name"})), &context);
    let problem = report.problems.errors().next().unwrap();
    assert_eq!(problem.place().parameter.as_deref(), Some("/params/body"));
    assert!(
        problem.message().contains("the template is not understood"),
        "{problem}"
    );

    // What a sidecar file reads is checked as what the document itself reads.
    let problems = parse(&step(json!({"body": {"file": "body.html"}})), &context).unwrap_err();
    assert!(
        problems.to_string().contains("no step has the alias `no`"),
        "{problems}"
    );
}

#[test]
fn every_fault_is_told_at_once() {
    let text = r#"{"flowSpec": {"start": [
        {"type": "connector", "name": "email-v2", "params": {"isAuth": false, "body": "${", "subject": "{{ x }}"}},
        {"type": "template-transformer", "template": "<#if>"},
        {"type": "delayer", "delayMilliseconds": "x"}
    ]}}"#;
    let problems = with_context(&[], |context| parse(text, context)).unwrap_err();
    let lines: Vec<_> = problems
        .errors()
        .filter_map(|problem| problem.position())
        .map(|at| at.line)
        .collect();
    assert_eq!(lines, [2, 2, 3, 4], "{problems}");
}

/// Keys that the platform's canvas writes, at every depth, and settings that are switched off.
#[test]
fn what_the_canvas_writes_is_known_at_every_depth() {
    let text = json!({"flowSpec": {
        "start": [
            {"type": "delayer", "delayMilliseconds": 50, "__documentation__": "", "accountLabels": {}},
            {"type": "connector", "name": "file-writer-connector", "params": {
                "fileName": "a.txt", "inputData": "x", "writeMetadataSidecar": false, "metadata": {},
            }},
            {"type": "connector", "name": "parallel-execution-connector", "params": {"parallelExecutions": [
                {"target": "a", "executionId": "one", "__documentation__": "", "meta": {}},
            ]}},
            {"type": "choice", "when": [
                {"jsonPath": "$.x", "target": "b", "__documentation__": "why", "position": {"x": 1, "y": 2}},
            ], "otherwise": "b"},
        ],
        "a": [{"type": "connector", "name": "log-connector", "params": {}}],
        "b": [{"type": "connector", "name": "throw-error-connector", "params": {"errorMessage": "no", "failOnError": true}}],
    }});
    let report = with_context(&[], |context| check(&text.to_string(), context));
    assert!(report.problems.is_empty(), "{}", report.problems);
}

/// The canvas writes `failOnError` on any step: it is a parameter where the step has one, and says nothing elsewhere.
#[test]
fn fail_on_error_may_stand_on_every_step() {
    let names = schema::document(&common::connectors());
    let kinds: Vec<(String, Value)> = names["$defs"].as_object().unwrap().clone().into_iter().collect();
    assert!(kinds.len() > 20);
    for value in [json!(true), json!(false), json!("true")] {
        let steps = json!([
            {"type": "connector", "name": "json-generator-connector", "failOnError": value, "params": {"json": "{}"}},
            {"type": "connector", "name": "email-connector-v2", "failOnError": value, "accountLabel": "mailer",
             "params": {"from": "a@b.example", "to": "c@d.example"}},
            {"type": "connector", "name": "log-connector", "failOnError": value, "params": {}},
            {"type": "delayer", "failOnError": value},
            {"type": "session-management", "operation": "GET", "fields": ["a"], "failOnError": value},
            {"type": "template-transformer", "template": "x", "failOnError": value},
            {"type": "json-path-transformer", "jsonPath": "$", "failOnError": value},
            {"type": "connector", "name": "block-execution-connector", "failOnError": value, "params": {"onProcess": "a"}},
            {"type": "connector", "name": "do-while-connector", "failOnError": value, "params": {"onProcess": "a"}},
            {"type": "connector", "name": "object-store-connector", "failOnError": value,
             "params": {"operation": "DELETE", "objectStore": "a", "objectId": "1"}},
            {"type": "validator", "jsonSchema": "{}", "failOnError": value},
            {"type": "choice", "when": [{"jsonPath": "$.a", "target": "b"}], "failOnError": value},
        ]);
        let document = json!({"flowSpec": {
            "start": steps,
            "a": [{"type": "connector", "name": "log-connector", "params": {}}],
            "b": [{"type": "connector", "name": "throw-error-connector", "failOnError": value, "params": {"errorMessage": "x"}}],
        }});
        let report = with_context(&[], |context| check(&document.to_string(), context));
        assert!(report.problems.is_empty(), "{}", report.problems);
        let validator = jsonschema::validator_for(&names).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
        let pipeline = report.pipeline.unwrap();
        let expected = value != json!(false);
        let mut seen = 0;
        for step in pipeline.steps() {
            let found = match &step.kind {
                StepKind::JsonGenerator(generator) => generator.fail_on_error,
                StepKind::JsonPathTransformer(transformer) => transformer.fail_on_error,
                StepKind::ObjectStore(store) => store.fail_on_error,
                StepKind::Validator(validator) => validator.fail_on_error,
                StepKind::Connector(connector) => matches!(connector.fail_on_error, Setting::Fixed(true)),
                _ => continue,
            };
            assert_eq!(found, expected, "{}", step.label());
            seen += 1;
        }
        assert_eq!(seen, 5);
    }
    // Where both are written, the parameter counts, and the other is told.
    let text = json!({"flowSpec": {"start": [
        {"type": "connector", "name": "json-generator-connector", "failOnError": true, "params": {"json": "{}", "failOnError": false}},
    ]}});
    let report = with_context(&[], |context| check(&text.to_string(), context));
    assert!(
        report.problems.to_string().contains("two values"),
        "{}",
        report.problems
    );
}
