//! The run of a pipeline: the message goes from step to step, and every step's output becomes the next message.

mod apart;
mod batch_coalescer;
mod calls;
mod clock;
mod connect;
mod depth;
mod dispatch;
mod encoding;
mod execute;
mod expressions;
mod file_writer;
mod groups;
mod json_text;
mod mask;
mod merge;
mod objects;
mod observe;
mod other_pipelines;
mod paths;
mod permit;
mod quotas;
mod repeat;
mod retry;
mod route;
mod scopes;
mod server_memory;
pub mod spans;
mod state_watch;
mod step_context;
mod steps;
mod tally;
mod tracks;
mod transform;
mod validate;
mod watched_ledger;

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use apart::MergeResults;
use clock::RunClock;
use dispatch::Sender;
use execute::Execution;
pub use expressions::evaluate;
use mask::Mask;
use merge::MessageRows;
pub use observe::{LogLine, Observer, Progress, Settled, Start, StepRecord};
pub use other_pipelines::{ExecuteOrder, OtherRuns, PublishOrder, StartFailure, Starter, StarterAnswer};
use pipepost_core::shutdown::{self, ShutdownHandle, ShutdownToken};
use pipepost_core::{Failure, FailureKind};
use pipepost_engine::files::RunFiles;
use pipepost_flowspec::Pipeline;
use pipepost_net::RunId;
use pipepost_state::ledger::{Ledger, MemoryLedger};
use pipepost_state::runs::TraceContext;
use pipepost_state::{Redact, StateError};
pub(crate) use quotas::Quotas;
#[cfg(feature = "cli")]
pub(crate) use quotas::quota_key;
pub use quotas::states_limits;
use scopes::RunScopes;
use serde_json::{Value, json};
pub(crate) use server_memory::ServerMemory;
use state_watch::StateWatch;
use tally::Tally;
use tracing::Instrument as _;
use watched_ledger::WatchedLedger;

use crate::exit_code::exit_code;
use crate::host::{Host, Prepared};

/// The time limit of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeLimit {
    /// The time limit of the document; if it has none, 30 seconds.
    #[default]
    Document,
    /// This duration.
    After(Duration),
    /// No limit.
    None,
}

/// The input and the settings of one run.
#[derive(Debug, Default)]
pub struct RunOptions {
    /// The first step's message.
    pub message: Value,
    /// The values of `{{ global.name }}`.
    pub globals: serde_json::Map<String, Value>,
    /// The execution's key; if none, a random one. The same key makes the same Message-IDs. If the host has a state
    /// directory, what is sent under a key is written down there, and a run under the same key sends none of it again.
    pub execution: Option<String>,
    /// A directory of files for attachments. The files are only read.
    pub files: Option<PathBuf>,
    /// The directory of the run's own files, which is kept afterwards. If none, a temporary directory is used and
    /// removed with the run.
    pub keep: Option<PathBuf>,
    /// The observer that receives steps and progress.
    pub observer: Option<Arc<dyn Observer>>,
    /// The time limit.
    pub time_limit: TimeLimit,
    /// Whether mail merges may take their rows from the process's standard input (`"items": {"file": "-"}`).
    pub standard_input: bool,
    /// The name of the pipeline in logs and traces; if none, the document's own name.
    pub name: Option<String>,
    /// The run's id in logs and traces; if none, the execution's key.
    pub run_id: Option<String>,
    /// The trace of the request that began the run; the run is a part of it.
    pub trace: Option<TraceContext>,
    /// Whether this execution began before in a process that died: `{{ metadata.execution.redelivery }}`.
    pub redelivery: bool,
    /// Starts other pipelines for the run; without one, a document with steps that do so does not run.
    pub starter: Option<Arc<dyn Starter>>,
    /// Whether the caller makes the run's end durable through the host's state: what was sent then becomes durable with
    /// it, in one step.
    pub(crate) ends_durably: bool,
    /// Whether the results of a mail merge that is the run's last step are returned apart from its output, in
    /// [`RunReport::results`]. There is then no bound on their number: they are never in memory together. An observer that
    /// wants steps sees whole outputs, and then they are not apart.
    pub results_apart: bool,
    /// The list of the message that stays in its file, by [`RunOptions::read_message`].
    pub(crate) message_rows: Option<MessageRows>,
    /// Told to end the run early, by [`RunOptions::interruptible`].
    pub(crate) ending: Option<(ShutdownHandle, ShutdownToken)>,
}

impl RunOptions {
    /// Returns the settings of a run that begins with this message.
    pub fn new(message: Value) -> Self {
        Self {
            message,
            ..Self::default()
        }
    }

    /// Reads the message of a file of JSON in UTF-8, from its beginning, for a run of this pipeline. If the pipeline is a mail
    /// merge alone, whose `items` are a member of the message that nothing in it reads besides (`{{ message.name }}`), then
    /// this list stays in the file and is read as it is sent: its length does not count for the memory. An observer that wants
    /// steps sees it empty.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or is not one JSON text, wherever in it that is.
    pub fn read_message(&mut self, pipeline: &Prepared, file: File) -> Result<(), serde_json::Error> {
        (self.message, self.message_rows) = MessageRows::find(file, pipeline.merged_member())?;
        Ok(())
    }

    /// Returns a handle that ends the run early: nothing new starts, and messages in flight get time to be confirmed.
    pub fn interruptible(&mut self) -> ShutdownHandle {
        self.ending.get_or_insert_with(shutdown::channel).0.clone()
    }
}

/// The result of a run.
#[derive(Debug)]
pub struct RunReport {
    /// The execution's key.
    pub execution: String,
    /// The last step's output, or the reason why there is none.
    pub result: Result<Value, RunError>,
    /// The member `results` of the output or of the error object, which is then missing there: see
    /// [`RunOptions::results_apart`].
    pub results: Option<MergeResults>,
    /// The numbers of messages (calls of connectors) by outcome.
    pub counts: Counts,
    /// Failures after which the pipeline continued, with their places.
    pub tolerated: Vec<(String, Failure)>,
    /// Whether somebody ended the run early, by [`RunOptions::interruptible`].
    pub interrupted: bool,
    /// What the runs of other pipelines mean for this one.
    pub other_runs: OtherRuns,
    /// Whether something was not sent because the state could not be used, or the ledger is another owner's for now. The same
    /// run may send it when that is over.
    pub unrecorded: bool,
}

impl RunReport {
    /// Returns the whole output, or the whole error object, to be written somewhere: with what [`RunReport::results`] holds.
    pub fn written(&self) -> impl serde::Serialize + '_ {
        apart::Whole {
            object: match &self.result {
                Ok(output) => output,
                Err(error) => &error.object,
            },
            results: self.results.as_ref(),
        }
    }

    /// Returns the failure that an output reports of itself with `success: false`: its kind, if it names one.
    pub fn reported_failure(&self) -> Option<Option<FailureKind>> {
        match &self.result {
            Ok(output) if output.get("success") == Some(&Value::Bool(false)) => {
                Some(["/failure/kind", "/exception", "/error"].iter().find_map(|place| {
                    let name = output.pointer(place)?.as_str()?;
                    FailureKind::from_name(name)
                }))
            }
            _ => None,
        }
    }

    /// Returns the process exit code: 0, the number of the failure's kind, or 1 for an error that the pipeline itself
    /// threw. An output that says `success: false` counts as its failure.
    pub fn exit_code(&self) -> u8 {
        // Whatever else it came to, somebody has to look before anything is sent again.
        if self.counts.uncertain > 0 {
            return exit_code(FailureKind::Uncertain);
        }
        match &self.result {
            Err(error) => error.exit_code(),
            Ok(_) => self.reported_failure().map_or(0, |kind| kind.map_or(1, exit_code)),
        }
    }
}

/// The numbers of calls of connectors by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// The number of messages that were sent.
    pub sent: u64,
    /// The number of messages that were certainly not sent.
    pub failed: u64,
    /// The number of messages that are uncertain: they may or may not have been sent.
    pub uncertain: u64,
    /// The number of recipients who were refused, of messages that were sent to others.
    pub refused_recipients: u64,
}

/// The reason why a run ended without an output.
#[derive(Debug, Clone)]
pub struct RunError {
    /// The failure; none for an error that the pipeline itself threw.
    pub failure: Option<Box<Failure>>,
    /// The branch and the step.
    pub place: String,
    /// The error object, as onException tracks and the caller see it.
    pub object: Value,
}

impl RunError {
    pub(crate) fn new(place: impl Into<String>, failure: Failure) -> Self {
        let object = json!({
            "timestamp": timestamp(),
            "error": failure.to_string(),
            "exception": failure.kind.as_str(),
            "code": exit_code(failure.kind),
            "failure": failure,
        });
        Self {
            place: place.into(),
            object,
            failure: Some(Box::new(failure)),
        }
    }

    /// The same with further members of the error object.
    pub(crate) fn with(mut self, further: Value) -> Self {
        if let (Value::Object(object), Value::Object(further)) = (&mut self.object, further) {
            for (name, value) in further {
                object.entry(name).or_insert(value);
            }
        }
        self
    }

    /// Returns the message without the place.
    pub(crate) fn reason(&self) -> String {
        match (&self.failure, self.object.get("error").and_then(Value::as_str)) {
            (Some(failure), _) => failure.to_string(),
            (None, Some(error)) => error.to_owned(),
            (None, None) => self.object.to_string(),
        }
    }

    /// As a failure that the run goes on from.
    pub(crate) fn tolerated(&self) -> Failure {
        match &self.failure {
            Some(failure) => (**failure).clone(),
            None => Failure::new(FailureKind::Invalid, self.reason()),
        }
    }

    /// The output of a step that failed so, and that the pipeline goes on from.
    pub(crate) fn as_output(&self) -> Value {
        let mut output = json!({
            "success": false,
            "message": self.reason(),
            "exception": self.object.get("exception").cloned().unwrap_or_default(),
        });
        if let (Some(failure), Value::Object(output)) = (&self.failure, &mut output) {
            output.insert("failure".to_owned(), json!(failure));
        }
        output
    }

    /// Returns the process exit code.
    pub fn exit_code(&self) -> u8 {
        self.failure.as_ref().map_or(1, |failure| exit_code(failure.kind))
    }
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.reason())
    }
}

impl std::error::Error for RunError {}

/// Milliseconds since the Unix epoch, as the platform's error objects have them.
pub(crate) fn timestamp() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Runs a prepared pipeline.
pub(crate) async fn run(host: &Host, prepared: &Prepared, mut options: RunOptions) -> RunReport {
    let named = options.execution.take();
    let key = named.clone().unwrap_or_else(random_key);
    let run_id = options.run_id.as_deref().unwrap_or(&key);
    let span = spans::run(prepared, options.name.as_deref(), run_id);
    spans::follow(&span, options.trace.as_ref());
    let report = run_within(host, prepared, options, named, key)
        .instrument(span.clone())
        .await;
    spans::ended(&span, &report.result);
    report
}

async fn run_within(
    host: &Host,
    prepared: &Prepared,
    mut options: RunOptions,
    named: Option<String>,
    execution_key: String,
) -> RunReport {
    let (shutdown, token) = options.ending.take().unwrap_or_else(shutdown::channel);
    let limit = time_limit(&prepared.pipeline, options.time_limit);
    let ends_durably = options.ends_durably;
    let watch = Arc::new(StateWatch::default());
    let over = |failure: Failure| RunReport {
        execution: execution_key.clone(),
        result: Err(RunError::new("", failure)),
        results: None,
        counts: Counts::default(),
        tolerated: Vec::new(),
        interrupted: false,
        other_runs: OtherRuns::default(),
        unrecorded: watch.has_failed(),
    };
    if let Err(failure) = check_depth(&mut options) {
        return over(failure);
    }
    // Before anything of it happened.
    if let (None, None, Some(step)) = (&options.starter, &host.dry_run, prepared.pipeline.starters().next()) {
        let mut report = over(other_pipelines::no_server(step));
        if let Err(error) = &mut report.result {
            error.place = execute::place(step);
        }
        return report;
    }
    let message_rows = options.message_rows.take();
    if let Some(rows) = &message_rows
        && prepared.merged_member() != Some(&rows.member)
    {
        let message = "The message was read for another pipeline.";
        return over(Failure::new(FailureKind::Invalid, message));
    }
    let files = match run_files(&mut options) {
        Ok(files) => Arc::new(files),
        Err(failure) => return over(failure),
    };
    let scopes = match RunScopes::new(host, prepared, &mut options, &execution_key, limit) {
        Ok(scopes) => scopes,
        Err(failure) => return over(failure),
    };
    let mask = Arc::new(Mask::new(prepared.pipeline.sensitive(), scopes.secrets()));
    let is_kept = named.is_some() && host.state.is_some() && host.dry_run.is_none();
    let ledger = match ledger(host, named, &mask, &watch).await {
        Ok(ledger) => ledger,
        Err(failure) => return over(failure),
    };
    let clock = RunClock::new(limit, shutdown, token);
    let alarm = clock.alarm();
    let tally = Arc::new(Tally::default());
    let is_watched = options.observer.as_ref().is_some_and(|observer| observer.wants_steps());
    let execution = Execution {
        sender: Sender {
            host,
            pipeline: Arc::clone(&prepared.digest),
            run: RunId::next(),
            files: Arc::clone(&files),
            ledger: Arc::clone(&ledger),
            quotas: host.quotas.watched_by(&watch),
            state: Arc::clone(&watch),
            is_kept,
            clock: Arc::clone(&clock),
            tally: Arc::clone(&tally),
            observer: options.observer.clone(),
            mask: Arc::clone(&mask),
        },
        prepared,
        key: &execution_key,
        files,
        clock,
        mask,
        observer: options.observer.take(),
        starter: options.starter.take(),
        scopes,
        tally: Arc::clone(&tally),
        has_input: options.standard_input,
        input_was_read: AtomicBool::new(false),
        message_rows: Mutex::new(message_rows),
        results_apart: options.results_apart && !is_watched,
        results: Mutex::default(),
    };
    let result = execution.work().await;
    let interrupted = execution.clock.was_interrupted();
    let results = execution.results.into_inner().unwrap_or_else(PoisonError::into_inner);
    drop(alarm);
    let ended = if ends_durably {
        ledger.hand_over()
    } else {
        ledger.close()
    };
    if let Err(reason) = ended.await {
        // What is missing in it reads as uncertain, never as not sent.
        tracing::error!(%reason, "the ledger could not be closed in order");
    }
    let (counts, tolerated) = tally.read();
    RunReport {
        execution: execution_key,
        result,
        results,
        counts,
        tolerated,
        interrupted,
        other_runs: tally.other_runs(),
        unrecorded: watch.has_failed(),
    }
}

/// A message as people may see it.
pub(crate) fn shown(prepared: &Prepared, message: &Value) -> Result<Value, Failure> {
    let accounts = scopes::accounts(prepared)?;
    let mask = Mask::new(prepared.pipeline.sensitive(), scopes::secrets(&accounts));
    Ok(mask.apply(message))
}

/// What the run is given nests no deeper than what its steps make.
fn check_depth(options: &mut RunOptions) -> Result<(), Failure> {
    let globals = Value::Object(std::mem::take(&mut options.globals));
    let checked =
        depth::check(&options.message, "The input").and_then(|()| depth::check(&globals, "A value of the globals"));
    match (checked, globals) {
        (Ok(()), Value::Object(globals)) => {
            options.globals = globals;
            Ok(())
        }
        (checked, globals) => {
            depth::dismantle(globals);
            depth::dismantle(std::mem::take(&mut options.message));
            checked
        }
    }
}

/// Where the run notes what it sends: in the state of a named execution, else in memory.
async fn ledger(
    host: &Host,
    execution: Option<String>,
    mask: &Arc<Mask>,
    watch: &Arc<StateWatch>,
) -> Result<Arc<dyn Ledger>, Failure> {
    let (Some(key), Some(state), None) = (execution, host.state.clone(), &host.dry_run) else {
        return Ok(Arc::new(MemoryLedger::default()));
    };
    let mask = Arc::clone(mask);
    let opened = state
        .open_ledger(&key, Redact::with(move |output| mask.json(output)))
        .await;
    let watched = |ledger| Arc::new(WatchedLedger::new(ledger, Arc::clone(watch))) as Arc<dyn Ledger>;
    opened.map(watched).map_err(|error| {
        // What is enough to wait for, and what somebody makes room for.
        if matches!(
            error,
            StateError::Unreachable { .. } | StateError::Taken { .. } | StateError::Unusable { .. }
        ) {
            watch.note();
        }
        // Another process that is at it will be done some time; the rest needs somebody.
        let (kind, advice) = match error {
            StateError::Taken { .. } | StateError::Served { .. } | StateError::InUse { .. } => (
                FailureKind::Transient,
                "Wait for its end, or give this run another execution key.",
            ),
            StateError::Unreachable { .. } => (
                FailureKind::Transient,
                "Try again when it is back; without it nothing is sent.",
            ),
            StateError::Newer { .. } => (
                FailureKind::Configuration,
                "Use that version, or another state directory.",
            ),
            StateError::Unusable { .. } | StateError::NotEmpty { .. } => {
                (FailureKind::Configuration, "Mend it, or use another state directory.")
            }
        };
        Failure::new(kind, error.to_string()).advise(advice)
    })
}

fn run_files(options: &mut RunOptions) -> Result<RunFiles, Failure> {
    let given = options.files.take();
    let made = match options.keep.take() {
        Some(own) => RunFiles::kept_in(own, given),
        None => RunFiles::temporary(given),
    };
    made.map_err(|error| {
        let message = format!("The run's directory cannot be made: {error}.");
        // Somebody makes room, and the run can be tried again.
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => FailureKind::Transient,
            _ => FailureKind::Configuration,
        };
        Failure::new(kind, message)
    })
}

fn time_limit(pipeline: &Pipeline, wanted: TimeLimit) -> Option<Duration> {
    match wanted {
        TimeLimit::Document => Some(pipeline.time_limit().unwrap_or(Pipeline::DEFAULT_TIME_LIMIT)),
        TimeLimit::After(limit) => Some(limit),
        TimeLimit::None => None,
    }
}

/// 128 random bits in hexadecimal digits.
fn random_key() -> String {
    let high = getrandom::u64().unwrap_or_default();
    let low = getrandom::u64().unwrap_or_default();
    format!("{high:016x}{low:016x}")
}
