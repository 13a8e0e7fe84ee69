//! `pipepost check`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pipepost::{FailureKind, Remedy};
use pipepost_flowspec::Requirements;
use pipepost_serve::pipelines::{self, Place, Places, check_name, served_name};
use pipepost_serve::trigger::{Trigger, TriggerProblem};
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
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let document = match setup::read("pipeline", &path) {
            Ok(document) => document,
            // The others are checked all the same, as they are served.
            Err(error) => {
                codes.insert(error.exit_code());
                let problems = error.sentences().iter().map(|sentence| format!("error: {sentence}"));
                checked.push((file, problems.collect(), Requirements::default()));
                continue;
            }
        };
        let report = host.check_with(&document, &setup::preparation(&path, &options.pins)?);
        codes.insert(exit_code(&report.problems));
        let mut problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
        if !report.problems.has_errors() {
            let read = serde_json::from_str(document.trim_start_matches('\u{FEFF}')).unwrap_or_default();
            let name = served_name(&read, &path);
            let trigger = check_name(&name)
                .map_err(|sentence| vec![format!("error: {sentence}")])
                .and_then(|()| trigger(&document, &read));
            let given = trigger.and_then(|trigger| {
                let given = places.take(&file, &Place::all_of(&name, &trigger));
                given.map_err(|taken| taken.iter().map(|sentence| format!("error: {sentence}")).collect())
            });
            problems.extend(given.err().unwrap_or_default());
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

/// The trigger of a document, as `serve` reads it.
fn trigger(text: &str, document: &serde_json::Value) -> Result<Trigger, Vec<String>> {
    let at = |problem: &TriggerProblem| {
        let position = pipepost_flowspec::position(text, &problem.pointer());
        problem.at(position.map(|position| (position.line, position.column)))
    };
    let trigger = Trigger::read(document, jiff::Timestamp::now());
    trigger.map_err(|problems| problems.iter().map(at).collect())
}

/// The documents of a directory, as `serve` finds them.
fn documents(directory: &Path) -> Result<Vec<PathBuf>, CliError> {
    let found = pipelines::documents(directory);
    let found = found.map_err(|error| CliError::no_input("directory", directory, &error))?;
    Ok(found.into_iter().map(|file| directory.join(file)).collect())
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
