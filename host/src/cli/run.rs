//! `pipepost run`.

use std::io::Read as _;
use std::path::Path;

use pipepost::{Host, Kind, RunOptions as Run, RunReport, TimeLimit};
use serde_json::{Map, Value};

use super::arguments::{RunOptions, Timeout};
use super::check::exit_code;
use super::complaint::Complaint;
use super::logging::{answer, say};
use super::setup;

/// How long what is in flight gets after a signal.
const GRACE: std::time::Duration = std::time::Duration::from_secs(30);

pub(super) async fn run(options: RunOptions) -> Result<u8, Complaint> {
    let document = setup::read("pipeline", &options.pipeline)?;
    let message = input(options.input.as_deref())?;
    let globals = globals(&options.globals)?;
    if let Some(files) = options.files.as_deref().filter(|files| !files.is_dir()) {
        return Err(Complaint::no_input(
            "files directory",
            files,
            &std::io::ErrorKind::NotFound.into(),
        ));
    }
    let host = setup::host_with_transcript(&options.host, options.transcript.as_deref()).await?;
    let pipeline = match host.prepare(&document) {
        Ok(pipeline) => pipeline,
        Err(problems) => {
            let name = options.pipeline.display();
            for problem in &problems {
                say(&format!("pipepost: {name}: {problem}"));
            }
            return Ok(exit_code(&problems));
        }
    };
    for warning in pipeline.warnings() {
        tracing::warn!("{}: {warning}", options.pipeline.display());
    }
    if let Some(key) = &options.execution {
        say(&format!("execution {key}"));
    }
    let mut run = Run::new(message);
    run.globals = globals;
    run.execution = options.execution;
    run.files = options.files;
    run.beside = Some(folder(&options.pipeline));
    run.time_limit = match options.timeout {
        None => TimeLimit::Document,
        Some(Timeout::None) => TimeLimit::None,
        Some(Timeout::After(limit)) => TimeLimit::After(limit),
    };
    let end = run.interruptible();
    let signals = tokio::spawn(watch_signals(end));
    let report = host.run(&pipeline, run).await;
    let interrupted = signals.is_finished();
    signals.abort();
    host.close().await;
    report_run(&report)?;
    if interrupted {
        let counts = report.counts;
        say(&format!(
            "pipepost: interrupted; {} sent, {} failed, {} uncertain.",
            counts.sent, counts.failed, counts.uncertain
        ));
        return Ok(Kind::Transient.exit_code());
    }
    Ok(report.exit_code())
}

/// The first signal ends the run in order; a second one ends the process at once.
async fn watch_signals(end: pipepost::ending::EndCall) {
    if signal().await {
        say(
            "pipepost: ending: nothing new is sent; waiting up to 30 s for the server's replies. Again to end at once.",
        );
        end.end_within(GRACE);
        tokio::spawn(async {
            if signal().await {
                std::process::exit(i32::from(Kind::Transient.exit_code()));
            }
        });
    }
}

#[cfg(unix)]
async fn signal() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        received = interrupt.recv() => received.is_some(),
        received = terminate.recv() => received.is_some(),
    }
}

#[cfg(not(unix))]
async fn signal() -> bool {
    tokio::signal::ctrl_c().await.is_ok()
}

/// The output, or the error object, on standard output; sentences on standard error.
pub(super) fn report_run(report: &RunReport) -> Result<(), Complaint> {
    for (place, failure) in &report.tolerated {
        say(&format!("pipepost: {place}: {failure}"));
    }
    let object = match &report.result {
        Ok(output) => output,
        Err(error) => {
            say(&format!("pipepost: {error}"));
            &error.object
        }
    };
    answer(&format!("{object:#}")).map_err(|error| Complaint::io("standard output", &error))
}

/// The first message.
fn input(path: Option<&Path>) -> Result<Value, Complaint> {
    let (what, text) = match path {
        None => return Ok(Value::Object(Map::new())),
        Some(path) if path == Path::new("-") => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Complaint::no_input("input", path, &error))?;
            ("standard input".to_owned(), text)
        }
        Some(path) => (format!("`{}`", path.display()), setup::read("input", path)?),
    };
    serde_json::from_str(&text)
        .map_err(|error| Complaint::new(Kind::Invalid, format!("The input {what} is not JSON: {error}.")))
}

fn globals(given: &[String]) -> Result<Map<String, Value>, Complaint> {
    let mut globals = Map::new();
    for pair in given {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Complaint::usage(format!(
                "`--global {pair}` has no value; write `--global name=value`."
            )));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        globals.insert(name.to_owned(), value);
    }
    Ok(globals)
}

/// The folder that a document lies in.
fn folder(document: &Path) -> std::path::PathBuf {
    match document.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => ".".into(),
    }
}

/// Runs a document's text on a host, for the demo.
pub(super) async fn run_text(host: &Host, document: &str, run: Run) -> Result<RunReport, Complaint> {
    let pipeline = host
        .prepare(document)
        .map_err(|problems| Complaint::new(Kind::Invalid, problems.to_string()))?;
    Ok(host.run(&pipeline, run).await)
}
