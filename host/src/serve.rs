//! The host as the service sees it: documents are prepared on it, and runs performed.

mod current;
mod operator;
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pipepost_core::shutdown::ShutdownToken;
use pipepost_core::{Failure, FailureKind};
use pipepost_flowspec::LogLevel;
use pipepost_serve::dispatcher;
use pipepost_serve::host::{
    Answer, Order, PerformFailure, Performed, PipelineHost, PreparedPipeline, Source, SourceFiles,
};
use pipepost_serve::journal::{LineLevel, StepEntry, StepSink};
use pipepost_state::StateError;
use pipepost_state::ledger::{LedgerReader, State};
use pipepost_state::runs::RunCounts;
use serde_json::{Map, Value, json};

pub use self::current::CurrentHost;
pub use self::operator::{AccountSources, HostOperator};
pub use self::watching::MetricsObserver;
use crate::host::{Host, Preparation, Prepared};
use crate::run::{
    ExecuteOrder, LogLine, Observer, PublishOrder, RunError, RunOptions, RunReport, Settled, StartFailure, Starter,
    StarterAnswer, StepRecord, TimeLimit,
};

/// A host whose pipelines a service runs.
#[derive(Debug, Clone)]
pub struct ServedHost {
    host: CurrentHost,
    globals: Arc<Map<String, Value>>,
}

/// A document that was prepared for the service.
#[derive(Debug)]
struct ServedPipeline {
    /// The host as it was when the document was prepared.
    host: Arc<Host>,
    globals: Arc<Map<String, Value>>,
    prepared: Prepared,
    document: Value,
}

impl ServedHost {
    /// Makes one of this host. `globals` are the values of `{{ global.name }}` of every run.
    pub fn new(host: CurrentHost, globals: Map<String, Value>) -> Self {
        Self {
            host,
            globals: Arc::new(globals),
        }
    }
}

/// Prepares a document on a host.
fn prepared(host: &Host, source: &Source) -> Result<Prepared, Vec<String>> {
    // A warning or a note is no reason why it is not served.
    let sentences = |problems: pipepost_flowspec::Problems| problems.errors().map(ToString::to_string).collect();
    match &source.files {
        SourceFiles::Folder(folder) => {
            let preparation = Preparation {
                document_dir: Some(folder.clone()),
                ..Preparation::default()
            };
            host.prepare_with(&source.text, preparation).map_err(sentences)
        }
        SourceFiles::Pinned(files) => {
            let unwritable = |error: std::io::Error| vec![format!("its files cannot be written: {error}")];
            // Its texts are compiled into what is prepared, so the files are needed no longer than that.
            let folder = tempfile::tempdir().map_err(unwritable)?;
            for (name, text) in files {
                let path = folder.path().join(name);
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent).map_err(unwritable)?;
                }
                std::fs::write(path, text).map_err(unwritable)?;
            }
            let preparation = Preparation {
                document_dir: Some(folder.path().to_owned()),
                ..Preparation::default()
            };
            host.prepare_with(&source.text, preparation).map_err(sentences)
        }
    }
}

impl PipelineHost for ServedHost {
    fn prepare(&self, source: &Source) -> Result<Arc<dyn PreparedPipeline>, Vec<String>> {
        let host = self.host.get();
        let prepared = prepared(&host, source)?;
        let text = source.text.strip_prefix('\u{FEFF}').unwrap_or(&source.text);
        let document = serde_json::from_str(text).map_err(|error| vec![error.to_string()])?;
        Ok(Arc::new(ServedPipeline {
            host,
            globals: Arc::clone(&self.globals),
            prepared,
            document,
        }))
    }

    fn position(&self, text: &str, pointer: &str) -> Option<(usize, usize)> {
        let position = pipepost_flowspec::position(text, pointer)?;
        Some((position.line, position.column))
    }
}

impl PreparedPipeline for ServedPipeline {
    fn document(&self) -> &Value {
        &self.document
    }

    fn files(&self) -> &BTreeMap<String, String> {
        self.prepared.files()
    }

    fn accounts(&self) -> BTreeSet<String> {
        self.prepared.step_accounts().map(str::to_owned).collect()
    }

    fn warnings(&self) -> Vec<String> {
        self.prepared.warnings().iter().map(ToString::to_string).collect()
    }

    fn doubts(&self) -> Vec<String> {
        let warnings = self.prepared.warnings().warnings();
        warnings.map(ToString::to_string).collect()
    }

    fn shown(&self, message: &Value) -> Value {
        // What cannot be masked is not shown.
        self.prepared.shown(message).unwrap_or(Value::Null)
    }

    fn perform(&self, order: Order) -> Answer<'_, Performed> {
        Box::pin(async move {
            let before = order.began_before.then(|| (order.key.clone(), order.ending.1.clone()));
            let mut globals = Map::clone(&self.globals);
            globals.extend(order.globals);
            let options = RunOptions {
                globals,
                execution: Some(order.key),
                time_limit: TimeLimit::After(order.limit),
                name: Some(order.pipeline),
                run_id: Some(order.run.to_string()),
                trace: order.trace,
                redelivery: order.redelivery,
                // What earlier attempts sent is counted in the ledger before the end is written down.
                ends_durably: !order.began_before,
                ending: Some(order.ending),
                starter: Some(Arc::new(ServedStarter(order.starter))),
                observer: Some(Arc::new(StepObserver(order.steps))),
                ..RunOptions::new(order.message)
            };
            let report = self.host.run(&self.prepared, options).await;
            let mut performed = self.performed(report);
            if let (Some((key, ending)), Some(own)) = (before, performed.counts) {
                performed.counts = self.count_anew(&key, &ending, own).await;
            }
            performed
        })
    }
}

/// How many messages of an execution are sent and how many are uncertain. It may have any number, so they are read in pages.
async fn counted(reader: &dyn LedgerReader, execution: &str) -> Result<(u64, u64), StateError> {
    const PAGE: usize = 1000;
    let (mut sent, mut uncertain) = (0, 0);
    let mut after: Option<String> = None;
    loop {
        let page = reader.page(Some(execution), after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else {
            return Ok((sent, uncertain));
        };
        after = Some(last.key.clone());
        let count = |state: State| page.iter().filter(|entry| entry.state == state).count() as u64;
        sent += count(State::Sent);
        uncertain += count(State::Uncertain);
    }
}

impl ServedPipeline {
    /// Counts what all attempts have sent, by the ledger: an attempt counts only what it sent itself. Waits for a state that
    /// cannot be read, as the run's end would; none if the server ends before it can.
    async fn count_anew(&self, key: &str, ending: &ShutdownToken, own: RunCounts) -> Option<RunCounts> {
        let Some(state) = &self.host.state else {
            return Some(own);
        };
        let mut is_first = true;
        loop {
            match counted(&*state.reader(), key).await {
                Ok((sent, uncertain)) => return Some(RunCounts { sent, uncertain, ..own }),
                Err(error) if std::mem::replace(&mut is_first, false) => {
                    tracing::error!(%error, "a run's end waits for the state, where its earlier attempts are counted");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(dispatcher::STATE_RETRY_INTERVAL) => {}
                () = ending.requested() => return None,
            }
        }
    }

    fn performed(&self, report: RunReport) -> Performed {
        let reported = report.reported_failure();
        let counts = RunCounts {
            sent: report.counts.sent,
            failed: report.counts.failed,
            uncertain: report.counts.uncertain,
        };
        let (interrupted, other_runs) = (report.interrupted, report.other_runs);
        let unrecorded = report.unrecorded;
        let (output, failure) = match report.result {
            Err(error) => (None, Some(self.failure(&error))),
            Ok(output) => {
                let failure = reported.map(|kind| self.reported(kind, &output));
                (Some(output), failure)
            }
        };
        Performed {
            shown: output.as_ref().map(|output| self.shown(output)),
            output,
            failure,
            counts: Some(counts),
            interrupted,
            waited_for_uncertain: other_runs.uncertain > 0,
            is_unanswered: other_runs.unanswered > 0,
            unrecorded,
        }
    }

    fn failure(&self, error: &RunError) -> PerformFailure {
        match &error.failure {
            Some(failure) => of_failure(failure, &error.place),
            None => {
                let object = self.shown(&error.object);
                let message = match object.get("error").or_else(|| object.get("message")) {
                    Some(Value::String(text)) => text.clone(),
                    _ => object.to_string(),
                };
                PerformFailure {
                    kind: None,
                    wait: None,
                    object: json!({
                        "kind": "pipeline-error", "message": message, "place": error.place,
                        "code": object.get("code").cloned().unwrap_or_default(), "error": object,
                    }),
                }
            }
        }
    }

    /// The failure that a last output reports of itself.
    fn reported(&self, kind: Option<FailureKind>, output: &Value) -> PerformFailure {
        let shown = self.shown(output);
        let failure = shown.get("failure").filter(|failure| failure.is_object());
        let text = |name: &str| {
            let of_failure = failure.and_then(|failure| failure.get(name));
            of_failure
                .or_else(|| shown.get(name))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let message = text("message").unwrap_or_else(|| "The last step says that it did not succeed.".to_owned());
        match kind {
            Some(kind) => {
                let mut made = Failure::new(kind, message);
                made.advice = text("advice");
                made.link = text("link");
                made.wait = failure
                    .and_then(|failure| failure.get("wait"))
                    .and_then(Value::as_u64)
                    .and_then(|wait| u32::try_from(wait).ok());
                of_failure(&made, "")
            }
            None => PerformFailure {
                kind: None,
                wait: None,
                object: json!({ "kind": "pipeline-error", "message": message }),
            },
        }
    }
}

fn of_failure(failure: &Failure, place: &str) -> PerformFailure {
    let mut object = json!(failure);
    if let (Value::Object(members), false) = (&mut object, place.is_empty()) {
        members.insert("place".to_owned(), place.into());
    }
    PerformFailure {
        kind: Some(failure.kind),
        wait: failure.wait.map(|wait| Duration::from_secs(wait.into())),
        object,
    }
}

/// Hands each step, and the end of each message, to the service.
#[derive(Debug)]
struct StepObserver(StepSink);

impl Observer for StepObserver {
    fn wants_steps(&self) -> bool {
        true
    }

    fn step(&self, record: &StepRecord<'_>) {
        self.0.step(StepEntry {
            execution: record.execution.to_owned(),
            path: record.path.to_owned(),
            branch: record.branch.to_owned(),
            number: record.number,
            step: record.step.to_owned(),
            kind: record.kind.to_owned(),
            input: Arc::clone(&record.input),
            output: record.output.clone(),
            error: record.error.clone(),
            milliseconds: record.milliseconds,
            is_cut: false,
        });
    }

    fn wants_lines(&self) -> bool {
        true
    }

    fn line(&self, line: &LogLine<'_>) {
        let level = match line.level {
            LogLevel::Trace => LineLevel::Trace,
            LogLevel::Debug => LineLevel::Debug,
            LogLevel::Info => LineLevel::Info,
            LogLevel::Warn => LineLevel::Warn,
            LogLevel::Error => LineLevel::Error,
        };
        self.0.line(level, line.source, line.text);
    }

    fn settled(&self, settled: &Settled<'_>) {
        self.0.message(settled.connector, settled.account, settled.failure);
    }
}

/// Starts other pipelines of the service for one run.
#[derive(Debug)]
struct ServedStarter(dispatcher::Starter);

impl Starter for ServedStarter {
    fn execute(&self, order: ExecuteOrder) -> StarterAnswer<'_, Option<Value>> {
        let order = dispatcher::ExecuteOrder {
            place: order.place,
            pipeline: order.pipeline,
            version_major: order.version_major,
            message: order.message,
            shown: order.shown,
            wait: order.wait,
            expiration: order.expiration,
        };
        Box::pin(async move { self.0.execute(order).await.map_err(of_start) })
    }

    fn publish(&self, order: PublishOrder) -> StarterAnswer<'_, Vec<String>> {
        let order = dispatcher::PublishOrder {
            place: order.place,
            event: order.event,
            body: order.body,
            shown: order.shown,
        };
        Box::pin(async move { self.0.publish(order).await.map_err(of_start) })
    }
}

fn of_start(failure: dispatcher::StartFailure) -> StartFailure {
    match failure {
        dispatcher::StartFailure::Failed(failure) => StartFailure::Failed(failure),
        dispatcher::StartFailure::Thrown { message, error } => StartFailure::Thrown { message, error },
    }
}
