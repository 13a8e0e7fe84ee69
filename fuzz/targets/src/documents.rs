//! Pipeline documents.

use pipepost_flowspec::{CheckContext, ConnectorDescription, Connectors, check};
use serde_json::json;

/// A document runs, or it is said why not; and the same each time.
///
/// Input: a pipeline document.
pub fn documents(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let connectors = connectors();
    let surroundings = CheckContext::new(&connectors);
    let report = check(&text, &surroundings);
    assert_eq!(
        report.pipeline.is_none(),
        report.problems.has_errors(),
        "{}",
        report.problems
    );
    assert_eq!(
        report.problems.to_string(),
        check(&text, &surroundings).problems.to_string()
    );
    if let Some(pipeline) = report.pipeline {
        let first = pipeline.branch(pipeline.first());
        assert_eq!(first.steps.is_empty(), pipeline.steps().next().is_none());
    }
}

fn connectors() -> Connectors {
    let email = ConnectorDescription {
        name: "email-v2".to_owned(),
        aliases: vec!["email-connector-v2".to_owned()],
        parameters: json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "smtpHost": {"type": "string", "x-pipepost-grant": "host"},
                "smtpPort": {"type": "integer", "minimum": 1, "maximum": 65535, "x-pipepost-grant": "port"},
                "to": {"type": ["string", "array"], "items": {"type": "string"}},
                "subject": {"type": "string", "x-pipepost-default": ""},
                "body": {"type": "string", "x-pipepost-template": true, "x-pipepost-file": true},
                "failOnError": {"type": "boolean", "x-pipepost-default": false},
            },
        }),
        account_types: vec!["basic".to_owned()],
    };
    // One name cannot conflict with another.
    Connectors::new([email]).unwrap_or_else(|conflict| panic!("{conflict:?}"))
}
