//! The steps that start other pipelines.

use pipepost_double_braces::Template;

use super::{JsonSource, Setting};

/// A step that runs another pipeline, and waits for its answer or not.
#[derive(Debug, Clone)]
pub struct PipelineExecutor {
    /// Whether the step waits for the other pipeline's answer: `SYNC`.
    pub waits: bool,
    /// The name of the other pipeline.
    pub pipeline: Template,
    /// The major version that the other pipeline must have, if its document says one.
    pub version_major: Setting<u64>,
    /// The other pipeline's message; `None` for an empty object.
    pub payload: Option<JsonSource>,
    /// How long the step waits for the answer, in milliseconds.
    pub timeout: Setting<u64>,
    /// How long the other run may wait before it begins, in milliseconds, if the document says it.
    pub expiration: Option<Setting<u64>>,
    /// Whether a failure ends the run.
    pub fail_on_error: bool,
}

/// A step that starts the pipelines that wait for an event.
#[derive(Debug, Clone)]
pub struct EventPublisher {
    /// The name of the event.
    pub event: Template,
    /// The message of the pipelines that the event starts.
    pub body: JsonSource,
    /// Whether each event is a line of the log.
    pub logs: bool,
    /// Whether a failure ends the run.
    pub fail_on_error: bool,
}
