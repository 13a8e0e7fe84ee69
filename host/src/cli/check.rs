//! `pipepost check`.

use pipepost::Kind;
use serde_json::json;

use super::arguments::CheckOptions;
use super::complaint::Complaint;
use super::logging::answer;
use super::setup;

pub(super) async fn check(options: CheckOptions) -> Result<u8, Complaint> {
    let document = setup::read("pipeline", &options.pipeline)?;
    let host = setup::host(&options.host).await?;
    let report = host.check(&document);
    let out = |line: &str| answer(line).map_err(|error| Complaint::io("standard output", &error));
    if options.json {
        let machine =
            json!({ "problems": report.problems, "wants": report.wants, "ok": !report.problems.has_errors() });
        out(&format!("{machine:#}"))?;
    } else {
        let name = options.pipeline.display();
        for problem in &report.problems {
            out(&format!("{name}: {problem}"))?;
        }
        let (errors, warnings) = (report.problems.errors().count(), report.problems.warnings().count());
        match (errors, warnings) {
            (0, 0) => out(&format!("{name}: no problems."))?,
            _ => out(&format!("{name}: {errors} errors, {warnings} warnings."))?,
        }
    }
    Ok(exit_code(&report.problems))
}

/// The exit code of a document's problems.
pub(super) fn exit_code(problems: &pipepost_flowspec::Problems) -> u8 {
    match problems.kind() {
        None => 0,
        Some(pipepost_flowspec::Kind::Invalid) => Kind::Invalid.exit_code(),
        Some(_) => Kind::Configuration.exit_code(),
    }
}
