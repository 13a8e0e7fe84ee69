//! `pipepost check`.

use std::collections::BTreeSet;

use pipepost::FailureKind;
use pipepost_flowspec::Requirements;
use serde_json::json;

use super::arguments::CheckOptions;
use super::error::CliError;
use super::logging::{answer, answer_json};
use super::setup;

pub(super) async fn execute(options: CheckOptions) -> Result<u8, CliError> {
    let document = setup::read("pipeline", &options.pipeline)?;
    let preparation = setup::preparation(&options.pipeline, &options.pins)?;
    let host = setup::host(&options.host).await?;
    let report = host.check_with(&document, &preparation);
    let out = |line: &str| answer(line).map_err(|error| CliError::io("standard output", &error));
    if options.json {
        let machine =
            json!({ "problems": report.problems, "wants": report.requirements, "ok": !report.problems.has_errors() });
        answer_json(&machine).map_err(|error| CliError::io("standard output", &error))?;
    } else {
        let name = options.pipeline.display();
        for problem in &report.problems {
            out(&format!("{name}: {problem}"))?;
        }
        let (errors, warnings) = (report.problems.errors().count(), report.problems.warnings().count());
        match (errors, warnings) {
            (0, 0) => out(&format!("{name}: no problems."))?,
            _ => out(&format!(
                "{name}: {}, {}.",
                counted(errors, "error"),
                counted(warnings, "warning")
            ))?,
        }
        for line in wanted(&report.requirements) {
            out(&line)?;
        }
    }
    Ok(exit_code(&report.problems))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// What the document requires from outside, for a person; nothing where it requires nothing.
fn wanted(requirements: &Requirements) -> Vec<String> {
    let accounts: Vec<String> = requirements
        .accounts
        .iter()
        .map(|(label, fields)| {
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            if fields.is_empty() {
                label.clone()
            } else {
                format!("{label} ({})", fields.join(", "))
            }
        })
        .collect();
    let all = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>();
    let kinds = [
        ("accounts", accounts),
        ("globals", all(&requirements.globals)),
        ("message paths", all(&requirements.message)),
        ("trigger paths", all(&requirements.trigger)),
        ("JSON paths", all(&requirements.paths)),
    ];
    kinds
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("wants {what}: {}", names.join(", ")))
        .collect()
}

/// The exit code of a document's problems.
pub(super) fn exit_code(problems: &pipepost_flowspec::Problems) -> u8 {
    match problems.kind() {
        None => 0,
        Some(pipepost_flowspec::Kind::Invalid) => pipepost::exit_code(FailureKind::Invalid),
        Some(_) => pipepost::exit_code(FailureKind::Configuration),
    }
}
