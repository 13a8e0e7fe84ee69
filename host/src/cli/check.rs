//! `pipepost check`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pipepost::{FailureKind, Remedy};
use pipepost_flowspec::Requirements;
use pipepost_serve::pipelines::{Place, Places, served_name};
use pipepost_serve::trigger::Trigger;
use serde_json::json;

use super::arguments::CheckOptions;
use super::error::CliError;
use super::logging::{answer, answer_json};
use super::setup;

pub(super) async fn execute(options: CheckOptions) -> Result<u8, CliError> {
    if options.pipeline.is_dir() {
        return directory(&options).await;
    }
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
        if report
            .pipeline
            .is_some_and(|pipeline| pipeline.starters().next().is_some())
        {
            out(&format!(
                "{name}: It starts other pipelines. {}",
                super::remedy::sentence(&Remedy::Serve).unwrap_or_default()
            ))?;
        }
    }
    Ok(exit_code(&report.problems))
}

/// Checks every pipeline of a directory, as `serve` reads it.
async fn directory(options: &CheckOptions) -> Result<u8, CliError> {
    let host = setup::host(&options.host).await?;
    let out = |line: &str| answer(line).map_err(|error| CliError::io("standard output", &error));
    let mut checked = Vec::new();
    let mut codes = BTreeSet::new();
    let mut names = BTreeSet::new();
    let mut places = Places::default();
    for path in documents(&options.pipeline)? {
        let document = setup::read("pipeline", &path)?;
        let report = host.check_with(&document, &setup::preparation(&path, &options.pins)?);
        codes.insert(exit_code(&report.problems));
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
        if !report.problems.has_errors() {
            let document = serde_json::from_str(document.trim_start_matches('\u{FEFF}')).unwrap_or_default();
            let name = served_name(&document, &path);
            let trigger = Trigger::of(&document, jiff::Timestamp::now());
            let given = trigger.and_then(|trigger| places.take(&file, &Place::all_of(&name, &trigger)));
            let wrong = given.err().unwrap_or_default();
            problems.extend(wrong.into_iter().map(|sentence| format!("error: {sentence}")));
            names.insert(name);
            if problems.len() > report.problems.iter().count() {
                codes.insert(pipepost::exit_code(FailureKind::Invalid));
            }
        }
        checked.push((file, problems, report.requirements));
    }
    for (_, problems, requirements) in &mut checked {
        let missing = requirements.pipelines.iter().filter(|name| !names.contains(*name));
        problems.extend(missing.map(|name| {
            format!("warning: it runs the pipeline `{name}`, and no document of the directory has this name.")
        }));
    }
    let code = codes.into_iter().find(|code| *code != 0).unwrap_or_default();
    if options.json {
        let files: Vec<_> = checked
            .iter()
            .map(|(file, problems, wants)| json!({ "file": file, "problems": problems, "wants": wants }))
            .collect();
        let machine = json!({ "files": files, "ok": code == 0 });
        answer_json(&machine).map_err(|error| CliError::io("standard output", &error))?;
        return Ok(code);
    }
    let mut count = 0;
    for (file, problems, _) in &checked {
        for problem in problems {
            out(&format!("{file}: {problem}"))?;
        }
        count += problems.len();
    }
    let pipelines = counted(checked.len(), "pipeline");
    match count {
        0 => out(&format!("{pipelines}: no problems."))?,
        _ => out(&format!("{pipelines}: {}.", counted(count, "problem")))?,
    }
    Ok(code)
}

/// The documents of a directory, as `serve` finds them.
fn documents(directory: &Path) -> Result<Vec<PathBuf>, CliError> {
    let entries = std::fs::read_dir(directory).map_err(|error| CliError::no_input("directory", directory, &error))?;
    let is_document = |path: &PathBuf| {
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        !is_hidden && path.is_file() && path.extension().is_some_and(|extension| extension == "json")
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_document)
        .collect();
    found.sort();
    Ok(found)
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
        ("pipelines", all(&requirements.pipelines)),
        ("listeners of events", all(&requirements.events)),
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
