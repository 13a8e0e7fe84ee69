//! What the service knows of the pipelines that it runs: it hands documents and messages to a host, and gets reports.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use pipepost_core::Failure;
use pipepost_core::shutdown::{ShutdownHandle, ShutdownToken};
use pipepost_state::runs::{PinnedDocument, RunCounts, RunId, TraceContext};
use serde_json::{Map, Value, json};

use crate::dispatcher::Starter;
use crate::journal::StepSink;

/// An answer that may take as long as a run.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A document, and where the files are that it names.
#[derive(Debug, Clone)]
pub struct Source {
    /// The document.
    pub text: String,
    /// The files that it names.
    pub files: SourceFiles,
}

impl Source {
    /// Returns a document as it was pinned.
    pub(crate) fn pinned(document: &PinnedDocument) -> Self {
        Self {
            text: document.text.clone(),
            files: SourceFiles::Pinned(serde_json::from_str(&document.files).unwrap_or_default()),
        }
    }
}

/// Where a document's files are.
#[derive(Debug, Clone)]
pub enum SourceFiles {
    /// In this folder.
    Folder(PathBuf),
    /// As they were when the document was pinned: relative names and texts.
    Pinned(BTreeMap<String, String>),
}

/// What checks documents and performs runs.
pub trait PipelineHost: Send + Sync + Debug {
    /// Checks a document, and prepares it for runs.
    ///
    /// # Errors
    /// Returns every problem that keeps it from running, each as a sentence.
    fn prepare(&self, source: &Source) -> Result<Arc<dyn PreparedPipeline>, Vec<String>>;

    /// Returns the line and the column, both from 1, at which the value at this JSON pointer (RFC 6901) begins in a document's
    /// text, or the nearest value around it.
    fn position(&self, text: &str, pointer: &str) -> Option<(usize, usize)>;
}

/// A document that was checked and can run.
pub trait PreparedPipeline: Send + Sync + Debug {
    /// Returns the document as JSON.
    fn document(&self) -> &Value;

    /// Returns the files that the document names: relative names and texts.
    fn files(&self) -> &BTreeMap<String, String>;

    /// Returns the labels of the accounts that its steps use.
    fn accounts(&self) -> BTreeSet<String>;

    /// Returns warnings and notes about the document. They do not keep it from running.
    fn warnings(&self) -> Vec<String>;

    /// Returns the warnings without the notes: what is probably not what the document's author meant.
    fn doubts(&self) -> Vec<String>;

    /// Returns a message as people may see it.
    fn shown(&self, message: &Value) -> Value;

    /// Performs a run to its end.
    fn perform(&self, order: Order) -> Answer<'_, Performed>;
}

/// One run to perform.
#[derive(Debug)]
pub struct Order {
    /// The run.
    pub run: RunId,
    /// The pipeline's name, for logs and traces.
    pub pipeline: String,
    /// The trace in which the run was ordered.
    pub trace: Option<TraceContext>,
    /// The execution's key: what was sent under it before is not sent again.
    pub key: String,
    /// The first step's message.
    pub message: Value,
    /// The values of `{{ global.name }}`, laid over those of the service.
    pub globals: Map<String, Value>,
    /// The time limit.
    pub limit: Duration,
    /// Whether the run began before: what was sent then counts too.
    pub began_before: bool,
    /// Whether the run began before in a process that died.
    pub redelivery: bool,
    /// Ends the run early, and tells it so.
    pub ending: (ShutdownHandle, ShutdownToken),
    /// Takes each step that is over.
    pub steps: StepSink,
    /// Starts other pipelines for the run.
    pub starter: Starter,
}

/// The report on a run.
#[derive(Debug)]
pub struct Performed {
    /// The last message, if there is one.
    pub output: Option<Value>,
    /// The last message as people may see it.
    pub shown: Option<Value>,
    /// The reason, if the run did not end as it should.
    pub failure: Option<PerformFailure>,
    /// The numbers of messages, over all attempts; none if what earlier ones sent could not be read.
    pub counts: Option<RunCounts>,
    /// Whether it was ended early, by the order's handle.
    pub interrupted: bool,
    /// Whether a run of another pipeline that it waited for ended uncertain.
    pub waited_for_uncertain: bool,
    /// Whether it was ended while it waited for a run of another pipeline.
    pub is_unanswered: bool,
    /// Whether something was not sent because the state could not be used, or the ledger was another owner's.
    pub unrecorded: bool,
}

impl Performed {
    /// Returns the report on a run that could not begin.
    pub fn not_begun(failure: &Failure) -> Self {
        Self {
            output: None,
            shown: None,
            failure: Some(PerformFailure {
                kind: Some(failure.kind),
                wait: None,
                object: json!(failure),
            }),
            counts: Some(RunCounts::default()),
            interrupted: false,
            waited_for_uncertain: false,
            is_unanswered: false,
            unrecorded: false,
        }
    }
}

/// The reason why a run did not end as it should.
#[derive(Debug, Clone)]
pub struct PerformFailure {
    /// The failure's kind; none for an error that the pipeline itself threw.
    pub kind: Option<pipepost_core::FailureKind>,
    /// How long to wait before another try is useful, if that is known.
    pub wait: Option<Duration>,
    /// The failure as it is reported: `kind`, `message`, and where they are known `advice`, `link`, `wait`, `place`,
    /// `code`.
    pub object: Value,
}
