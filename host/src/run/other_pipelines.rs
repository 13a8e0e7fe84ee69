//! The steps that start other pipelines: they hand over to whoever serves these.
//!
//! What a step started is known by the step's place in the run, so the same place never starts a second run: not in a
//! retry, and not when the run is repeated after its process died.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use pipepost_core::{Failure, FailureKind};
use pipepost_flowspec::{EventPublisher, LogLevel, PipelineExecutor, Step};
use serde_json::{Map, Value, json};

use super::execute::{Execution, place};
use super::observe::{LogLine, Start};
use super::scopes::Frame;
use super::step_context::StepContext;
use super::{RunError, timestamp};

/// An answer that may take as long as another run.
pub type StarterAnswer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StartFailure>> + Send + 'a>>;

/// Starts other pipelines for one run: a server, for the pipelines that it serves.
pub trait Starter: fmt::Debug + Send + Sync {
    /// Runs a pipeline. Returns its last message if the order waits for it, `None` as soon as the run is recorded
    /// otherwise. Whoever stops to wait changes nothing about the run.
    ///
    /// The answer fails as the other run failed, or because it could not be started.
    fn execute(&self, order: ExecuteOrder) -> StarterAnswer<'_, Option<Value>>;

    /// Starts every pipeline that waits for an event. Returns their names.
    ///
    /// The answer fails when one of them could not be started.
    fn publish(&self, order: PublishOrder) -> StarterAnswer<'_, Vec<String>>;
}

/// An order to run a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecuteOrder {
    /// The step's place in the run. The same place gives the same run.
    pub place: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The major version that its document must have, if it says one.
    pub version_major: u64,
    /// Its message.
    pub message: Value,
    /// The message as people may see it.
    pub shown: Value,
    /// How long to wait for its answer; `None` to go on at once.
    pub wait: Option<Duration>,
    /// How long it may wait before it begins, if that is said.
    pub expiration: Option<Duration>,
}

/// An order to publish an event.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishOrder {
    /// The step's place in the run. The same place gives the same event.
    pub place: String,
    /// The event's name.
    pub event: String,
    /// The message of the pipelines that it starts.
    pub body: Value,
    /// The body as people may see it.
    pub shown: Value,
}

/// The reason why another run did not end as it should, or was not started.
#[derive(Debug, Clone, PartialEq)]
pub enum StartFailure {
    /// A failure with a kind.
    Failed(Failure),
    /// An error that the other pipeline itself threw.
    Thrown {
        /// What happened, in one sentence.
        message: String,
        /// The other pipeline's error object.
        error: Value,
    },
}

impl From<Failure> for StartFailure {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What the runs of other pipelines mean for the run that waited for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OtherRuns {
    /// The number of those that ended uncertain: some of their messages may or may not have been sent.
    pub uncertain: u64,
    /// The number of those whose answer was not there when the waiting run was ended.
    pub unanswered: u64,
}

impl Execution<'_> {
    pub(super) async fn execute_pipeline(
        &self,
        step: &Step,
        executor: &PipelineExecutor,
        frame: &Frame,
    ) -> Result<Value, RunError> {
        let context = self.at(step, frame);
        let order = match context.execute_order(executor) {
            Ok(order) => order,
            Err(error) => return context.end_in(executor.fail_on_error, error),
        };
        let mut output = Map::new();
        output.insert(
            "operation".to_owned(),
            if executor.waits { "SYNC" } else { "ASYNC" }.into(),
        );
        output.insert("pipelineName".to_owned(), order.pipeline.clone().into());
        output.insert("versionMajor".to_owned(), order.version_major.into());
        output.insert("success".to_owned(), true.into());
        output.insert("payload".to_owned(), order.message.clone());
        let started = match (&self.starter, &self.sender.host.dry_run) {
            (_, Some(_)) => {
                self.tell_start(&Start {
                    place: &place(step),
                    pipeline: Some(&order.pipeline),
                    event: None,
                    message: &order.shown,
                });
                Ok(executor.waits.then(|| json!({})))
            }
            (Some(starter), None) => self.until_over(step, starter.execute(order)).await,
            (None, None) => Err(self.no_server(step)),
        };
        match started {
            Ok(response) => {
                if let Some(response) = response {
                    output.insert("pipelineResponse".to_owned(), response);
                }
                Ok(Value::Object(output))
            }
            Err(error) => self.failed(&context, executor.fail_on_error, output, error),
        }
    }

    pub(super) async fn publish_event(
        &self,
        step: &Step,
        publisher: &EventPublisher,
        frame: &Frame,
    ) -> Result<Value, RunError> {
        let context = self.at(step, frame);
        let order = match context.publish_order(publisher) {
            Ok(order) => order,
            Err(error) => return context.end_in(publisher.fail_on_error, error),
        };
        let (event, shown) = (order.event.clone(), order.shown.clone());
        let mut output = Map::new();
        output.insert("success".to_owned(), true.into());
        output.insert("eventName".to_owned(), event.clone().into());
        output.insert("body".to_owned(), order.body.clone());
        let published = match (&self.starter, &self.sender.host.dry_run) {
            (_, Some(_)) => {
                self.tell_start(&Start {
                    place: &place(step),
                    pipeline: None,
                    event: Some(&event),
                    message: &shown,
                });
                Ok(Vec::new())
            }
            (Some(starter), None) => self.until_over(step, starter.publish(order)).await,
            (None, None) => Err(self.no_server(step)),
        };
        match published {
            Ok(pipelines) => {
                if publisher.logs {
                    self.tell_line(LogLine {
                        level: LogLevel::Info,
                        source: step.label(),
                        text: &format!("published the event `{event}`: {shown}"),
                    });
                }
                output.insert("pipelines".to_owned(), json!(pipelines));
                Ok(Value::Object(output))
            }
            Err(error) => self.failed(&context, publisher.fail_on_error, output, error),
        }
    }

    /// Waits for another run, and no longer than this one lasts.
    async fn until_over<T>(&self, step: &Step, started: StarterAnswer<'_, T>) -> Result<T, RunError> {
        let failure = tokio::select! {
            biased;
            result = started => match result {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            },
            () = self.clock.token().requested() => {
                self.tally.count_unanswered();
                return Err(RunError::new(place(step), self.clock.over()));
            }
        };
        Err(match failure {
            StartFailure::Failed(failure) => {
                if failure.kind == FailureKind::Uncertain {
                    self.tally.count_uncertain_run();
                }
                RunError::new(place(step), failure)
            }
            StartFailure::Thrown { message, error } => RunError {
                failure: None,
                place: place(step),
                object: json!({
                    "timestamp": timestamp(),
                    "error": message,
                    "exception": "PipelineExecutorException",
                    "code": error.get("code").cloned().unwrap_or_default(),
                    "pipelineResponse": error,
                }),
            },
        })
    }

    /// A step that did not succeed: the run's error, or an output that the run goes on with.
    fn failed(
        &self,
        context: &StepContext<'_>,
        stops: bool,
        mut output: Map<String, Value>,
        error: RunError,
    ) -> Result<Value, RunError> {
        // At the run's end nothing goes on.
        if stops || self.clock.is_over() {
            return Err(error);
        }
        context.tolerate(error.tolerated());
        let response = error.object.get("pipelineResponse").cloned();
        if let Value::Object(members) = error.as_output() {
            output.extend(members);
        }
        if let Some(response) = response {
            output.insert("pipelineResponse".to_owned(), response);
        }
        Ok(Value::Object(output))
    }

    fn no_server(&self, step: &Step) -> RunError {
        RunError::new(place(step), no_server(step))
    }

    fn tell_start(&self, start: &Start<'_>) {
        if let Some(observer) = &self.observer {
            observer.would_start(start);
        }
    }

    fn tell_line(&self, line: LogLine<'_>) {
        tracing::info!(target: "pipepost::pipeline", step = line.source, "{}", line.text);
        if let Some(observer) = &self.observer {
            observer.line(&line);
        }
    }
}

/// The failure of a step that starts other pipelines in a run that no server performs.
pub(super) fn no_server(step: &Step) -> Failure {
    let message = format!(
        "The step {} starts other pipelines, and this run is not performed by the server that has them.",
        step.label()
    );
    Failure::new(FailureKind::Configuration, message).with_remedy(pipepost_core::Remedy::Serve)
}

impl StepContext<'_> {
    fn execute_order(&self, executor: &PipelineExecutor) -> Result<ExecuteOrder, RunError> {
        let message = match &executor.payload {
            Some(payload) => self.json("payload", payload)?,
            None => json!({}),
        };
        self.check_depth(&message)?;
        let milliseconds = |name: &str, setting| self.setting::<u64>(name, setting).map(Duration::from_millis);
        let timeout = milliseconds("timeout", &executor.timeout)?;
        let expiration = executor.expiration.as_ref();
        Ok(ExecuteOrder {
            place: self.frame.key(self.step),
            pipeline: self.text("pipelineName", &executor.pipeline)?.trim().to_owned(),
            version_major: self.setting("versionMajor", &executor.version_major)?,
            shown: self.mask.apply(&message),
            message,
            wait: executor.waits.then_some(timeout),
            expiration: expiration
                .map(|setting| milliseconds("expiration", setting))
                .transpose()?
                .filter(|time| !time.is_zero()),
        })
    }

    fn publish_order(&self, publisher: &EventPublisher) -> Result<PublishOrder, RunError> {
        let body = self.json("body", &publisher.body)?;
        self.check_depth(&body)?;
        Ok(PublishOrder {
            place: self.frame.key(self.step),
            event: self.text("eventName", &publisher.event)?.trim().to_owned(),
            shown: self.mask.apply(&body),
            body,
        })
    }
}
