//! `pipepost run`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pipepost::state::object::{ObjectStore, RehearsalObjects};
use pipepost::state::runs::TraceContext;
use pipepost::{FailureKind, Host, HostBuilder, RunOptions as Run, RunReport, TimeLimit, states_limits};

use super::arguments::{Logging, RunOptions, Timeout};
use super::check::exit_code;
use super::dry_run::{self, Catcher};
use super::error::CliError;
use super::logging::{answer_json, say};
use super::progress::Shown;
use super::setup::Input;
use super::signals::Signals;
use super::state::{self, OpenState};
use super::trace::Watcher;
use super::{remedy, setup};

pub(super) async fn execute(options: RunOptions, logging: &Logging) -> Result<u8, CliError> {
    let document = setup::read("pipeline", &options.pipeline)?;
    let input = setup::input("input", options.input.as_deref())?;
    let mut run = Run::new(serde_json::Value::Null);
    run.globals = setup::globals(&options.globals)?;
    let preparation = setup::preparation(&options.pipeline, &options.pins)?;
    check_paths(&options)?;
    let catcher = if options.dry_run {
        Some(Catcher::new(options.out.as_deref())?)
    } else {
        None
    };
    let host = match &catcher {
        Some(catcher) => {
            let mut builder = setup::builder(&options.host)?.dry_run(catcher.dry_run());
            if let Some(objects) = rehearsal(&options)? {
                builder = builder.objects(objects);
            }
            let host = builder.build().await?;
            if host.accounts().iter().next().is_some() {
                host
            } else {
                let accounts = dry_run::stand_ins(&document, &preparation, &host)?;
                host.with_accounts(accounts)
            }
        }
        None => {
            let named = options
                .state
                .clone()
                .map(|named| state::open(Some(named)))
                .transpose()?;
            let mut builder = setup::builder_in(&options.host, named.as_ref())?;
            if let Some(state) = state_of(&options, named, &builder).await? {
                builder = builder.state(state.store);
            }
            if let Some(path) = options.transcript.as_deref() {
                builder = builder.transcript(setup::transcript(path)?);
            }
            builder.build().await.inspect(setup::tell_replaced)?
        }
    };
    let pipeline = match host.prepare_with(&document, preparation) {
        Ok(pipeline) => pipeline,
        Err(problems) => {
            let name = options.pipeline.display();
            for problem in &problems {
                say(&format!("pipepost: {name}: {problem}"));
            }
            return Ok(exit_code(&problems));
        }
    };
    // Nothing of the trigger but its `timeout` matters to a run that is started by hand.
    for warning in pipeline
        .warnings()
        .warnings()
        .filter(|warning| !warning.is_of_trigger())
    {
        tracing::warn!("{}: {warning}", options.pipeline.display());
    }
    match input {
        Input::Message(message) => run.message = message,
        // A trace has the whole message.
        Input::Long(long) if options.trace.is_some() => run.message = long.read()?,
        Input::Long(long) => {
            let file = long.file.try_clone();
            let file = file.map_err(|error| CliError::io(&long.shown, &error))?;
            run.read_message(&pipeline, file).map_err(|error| long.unread(&error))?;
        }
    }
    let is_named = options.execution.is_some();
    if let Some(key) = &options.execution {
        say(&format!("execution {key}"));
    }
    let watcher = Arc::new(Watcher::new(options.trace.as_deref(), Shown::new(logging.quiet))?);
    run.execution = options.execution;
    run.files = options.files;
    run.keep = options.keep;
    run.results_apart = true;
    run.standard_input = options.input.as_deref() != Some(Path::new("-"));
    // As CI systems and `otel-cli` hand a trace on.
    run.trace = trace();
    run.observer = Some(Arc::clone(&watcher) as Arc<dyn pipepost::Observer>);
    run.time_limit = match options.timeout {
        None => TimeLimit::Document,
        Some(Timeout::None) => TimeLimit::None,
        Some(Timeout::After(limit)) => TimeLimit::After(limit),
    };
    let end = run.interruptible();
    let interrupted = Arc::new(AtomicBool::new(false));
    let signals = tokio::spawn(watch_signals(end, Arc::clone(&interrupted)));
    let report = host.run(&pipeline, run).await;
    signals.abort();
    host.close().await;
    let traced = watcher.finish();
    if let Some(catcher) = &catcher {
        catcher.tell(options.out.as_deref());
    }
    let reported = report_run(&report).and(traced);
    if let Err(error) = reported {
        // Who is told of 75 sends again; only a named execution repeats nothing then.
        let would_repeat = !is_named && (report.counts.sent > 0 || report.counts.uncertain > 0);
        return Err(if would_repeat { error.after_sending() } else { error });
    }
    if interrupted.load(Ordering::Acquire) {
        let counts = report.counts;
        say(&format!(
            "pipepost: interrupted; {} sent, {} failed, {} uncertain.",
            counts.sent, counts.failed, counts.uncertain
        ));
        if counts.uncertain == 0 {
            return Ok(pipepost::exit_code(FailureKind::Transient));
        }
    }
    Ok(report.exit_code())
}

/// The trace that this process is a part of.
fn trace() -> Option<TraceContext> {
    let parent = std::env::var("TRACEPARENT").ok()?;
    TraceContext::new(&parent, std::env::var("TRACESTATE").ok().as_deref())
}

/// Where this run writes down what outlives it. A named execution needs the place, and so does whoever names one; a run that
/// only counts for its accounts' limits goes on without the usual place, and says so.
async fn state_of(
    options: &RunOptions,
    named: Option<OpenState>,
    builder: &HostBuilder,
) -> Result<Option<OpenState>, CliError> {
    if named.is_some() {
        return Ok(named);
    }
    if options.execution.is_some() {
        return state::open(None).map(Some);
    }
    let has_limits = builder.named_accounts().iter().any(|account| states_limits(account));
    // There may be no home directory, which matters only where something has to be kept.
    let usual = state::open(None).ok();
    if !has_limits {
        return Ok(usual);
    }
    let trouble = match &usual {
        Some(usual) => {
            let probed = usual.store.probe().await;
            probed.err().map(|error| error.to_string())
        }
        None => Some("There is no home directory to keep a state in.".to_owned()),
    };
    let Some(trouble) = trouble else { return Ok(usual) };
    tracing::warn!(
        "The limits that accounts state are kept within this run alone: {trouble} Name a directory that can be written with --state."
    );
    Ok(None)
}

/// What a dry run sees of the objects that earlier runs kept. It changes none of them, and makes no state where there is none.
fn rehearsal(options: &RunOptions) -> Result<Option<Arc<dyn ObjectStore>>, CliError> {
    let state = match state::open(options.state.clone()) {
        Ok(state) => state,
        Err(_) if options.state.is_none() => return Ok(None),
        Err(error) => return Err(error),
    };
    let rehearsed = || Arc::new(RehearsalObjects::of(state.store.objects())) as Arc<dyn ObjectStore>;
    Ok(state.is_there().then(rehearsed))
}

/// What was typed about files and directories.
fn check_paths(options: &RunOptions) -> Result<(), CliError> {
    if let Some(files) = options.files.as_deref().filter(|files| !files.is_dir()) {
        return Err(CliError::no_input(
            "files directory",
            files,
            &std::io::ErrorKind::NotFound.into(),
        ));
    }
    if options.out.is_some() && !options.dry_run {
        // An environment variable may stand there for other runs.
        tracing::warn!("--out has no effect without --dry-run");
    }
    let is_used = |directory: &Path| std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some());
    if let Some(keep) = options.keep.as_deref().filter(|keep| is_used(keep)) {
        return Err(CliError::usage(format!(
            "The directory `{}` for --keep is not empty, and a run begins with an empty one; name another.",
            keep.display()
        )));
    }
    Ok(())
}

/// The first signal ends the run in order; a second one ends the process at once.
async fn watch_signals(end: pipepost::shutdown::ShutdownHandle, interrupted: Arc<AtomicBool>) {
    let Ok(mut signals) = Signals::listen() else { return };
    signals.next().await;
    // Before the run hears of it: its report may be here before this task is over.
    interrupted.store(true, Ordering::Release);
    say("pipepost: ending: nothing new is sent; waiting up to 30 s for the server's replies. Again to end at once.");
    end.request(pipepost::shutdown::GRACE);
    tokio::spawn(async move {
        signals.next().await;
        std::process::exit(i32::from(pipepost::exit_code(FailureKind::Transient)));
    });
}

/// The output, or the error object, on standard output; sentences on standard error.
pub(super) fn report_run(report: &RunReport) -> Result<(), CliError> {
    for (place, failure) in &report.tolerated {
        say(&format!("pipepost: {place}: {}", remedy::told(failure, Some(failure))));
    }
    if let Err(error) = &report.result {
        say(&format!("pipepost: {}", remedy::told(error, error.failure.as_deref())));
    }
    answer_json(&report.written()).map_err(|error| CliError::io("standard output", &error))
}

/// Runs a document's text on a host, for the demo.
pub(super) async fn run_text(host: &Host, document: &str, run: Run) -> Result<RunReport, CliError> {
    let pipeline = host
        .prepare(document)
        .map_err(|problems| CliError::new(FailureKind::Invalid, problems.to_string()))?;
    Ok(host.run(&pipeline, run).await)
}
