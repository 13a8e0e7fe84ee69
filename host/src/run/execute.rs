//! Goes through the steps of a pipeline.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use pipepost_core::{Failure, FailureKind};
use pipepost_engine::files::RunFiles;
use pipepost_flowspec::{BranchId, Step, StepKind};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::apart::MergeResults;
use super::clock::{RunClock, give_way};
use super::dispatch::Sender;
use super::mask::Mask;
use super::merge::MessageRows;
use super::observe::{Counter, Observer, StepRecord};
use super::other_pipelines::Starter;
use super::scopes::{Frame, RunScopes};
use super::step_context::StepContext;
use super::tally::Tally;
use super::{RunError, spans, transform};
use crate::host::Prepared;

/// One run under way.
pub(super) struct Execution<'a> {
    pub(super) sender: Sender<'a>,
    pub(super) prepared: &'a Prepared,
    pub(super) key: &'a str,
    pub(super) files: Arc<RunFiles>,
    pub(super) clock: Arc<RunClock>,
    pub(super) mask: Arc<Mask>,
    pub(super) observer: Option<Arc<dyn Observer>>,
    /// Starts other pipelines; none where nothing serves them.
    pub(super) starter: Option<Arc<dyn Starter>>,
    pub(super) scopes: RunScopes,
    pub(super) tally: Arc<Tally>,
    /// The rows of a merge may come from the process's standard input.
    pub(super) has_input: bool,
    /// A merge has begun to read it.
    pub(super) input_was_read: AtomicBool,
    /// The list of the message that stayed in its file. The one merge of the pipeline takes it.
    pub(super) message_rows: Mutex<Option<MessageRows>>,
    /// Results are returned apart from the output that ends the run.
    pub(super) results_apart: bool,
    /// Those that are apart.
    pub(super) results: Mutex<Option<MergeResults>>,
}

/// Recursion through tracks needs a box.
pub(super) type Running<'f> = Pin<Box<dyn Future<Output = Result<(), RunError>> + Send + 'f>>;

/// Where a branch goes on after a step.
enum Next {
    Step,
    /// A choice ends its branch.
    Branch(Option<BranchId>),
}

impl Execution<'_> {
    /// From the first branch to the end.
    pub(super) async fn work(&self) -> Result<Value, RunError> {
        let mut frame = Frame::new(Arc::clone(&self.scopes.trigger));
        frame.is_outermost = true;
        self.branch(self.prepared.pipeline.first(), &mut frame).await?;
        Ok(Arc::unwrap_or_clone(frame.message))
    }

    /// Counts the elements that a step works through.
    pub(super) fn counter(&self, step: &Step, total: usize) -> Arc<Counter> {
        let counter = self.counter_of_rows(step, None);
        counter.set_total(total);
        counter
    }

    /// Counts elements whose number is not known yet. `read`: how much of their file was read, and its length.
    pub(super) fn counter_of_rows(&self, step: &Step, read: Option<(Arc<AtomicU64>, u64)>) -> Arc<Counter> {
        Counter::new(self.observer.clone(), place(step), read)
    }

    /// Runs a branch, and the branches that its choices lead to; the frame's message is then the last output.
    pub(super) fn branch<'f>(&'f self, id: BranchId, frame: &'f mut Frame) -> Running<'f> {
        Box::pin(async move {
            // A branch within a step is not.
            let is_outermost = std::mem::take(&mut frame.is_outermost);
            let mut next = Some(id);
            while let Some(id) = next.take() {
                let steps = &self.prepared.pipeline.branch(id).steps;
                for (index, step) in steps.iter().enumerate() {
                    frame.ends_run = is_outermost && index + 1 == steps.len();
                    let span = spans::step(step);
                    let follows = self
                        .watched(step, frame)
                        .instrument(span.clone())
                        .await
                        .map_err(|error| self.or_over(step, error));
                    spans::ended(&span, &follows);
                    let follows = follows?;
                    if let Some(alias) = &step.alias {
                        frame.keep(alias);
                    }
                    if let Next::Branch(target) = follows {
                        next = target;
                        break;
                    }
                }
            }
            Ok(())
        })
    }

    /// An evaluation that the run's end has cut short is no fault of the document.
    fn or_over(&self, step: &Step, error: RunError) -> RunError {
        let is_invalid = error
            .failure
            .as_ref()
            .is_some_and(|failure| failure.kind == FailureKind::Invalid);
        if is_invalid && self.clock.is_over() {
            RunError::new(place(step), self.clock.over())
        } else {
            error
        }
    }

    /// Runs a step, and tells whoever wants to know.
    async fn watched(&self, step: &Step, frame: &mut Frame) -> Result<Next, RunError> {
        let Some(observer) = self.observer.as_ref().filter(|observer| observer.wants_steps()) else {
            return self.step(step, frame).await;
        };
        let input = self.mask.shared(&frame.message);
        let begun = Instant::now();
        let result = self.step(step, frame).await;
        observer.step(&StepRecord {
            execution: self.key,
            path: &frame.key(step),
            branch: &step.path.branch,
            number: step.path.index + 1,
            step: step.label(),
            kind: &step.type_name,
            input,
            output: result.is_ok().then(|| self.mask.shared(&frame.message)),
            error: result
                .as_ref()
                .err()
                .map(|error| Arc::new(self.mask.apply(&error.object))),
            milliseconds: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        result
    }

    async fn step(&self, step: &Step, frame: &mut Frame) -> Result<Next, RunError> {
        give_way().await;
        if self.clock.is_over() {
            return Err(RunError::new(place(step), self.clock.over()));
        }
        if frame.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let failure = Failure::new(
                FailureKind::Limit,
                "The time of the retry around it, or of the loop, is over; this step did not start.",
            )
            .advise("Give the step around it a longer `timeout`.");
            return Err(RunError::new(place(step), failure));
        }
        tracing::debug!(step = %place(step), "begins");
        let output = match &step.kind {
            StepKind::Connector(connector) => self.connector(step, connector, frame).await?,
            StepKind::JsonGenerator(generator) => self.at(step, frame).json_generator(generator)?,
            StepKind::Log(log) => {
                let observer = self.observer.as_deref();
                return self.at(step, frame).log(log, observer).map(|()| Next::Step);
            }
            StepKind::ThrowError(thrown) => return Err(self.at(step, frame).throw(thrown)?),
            StepKind::Choice(choice) => return self.at(step, frame).choose(choice).map(Next::Branch),
            StepKind::Session(session) => {
                transform::session(session, frame);
                let context = self.at(step, frame);
                return context.check_depth(&frame.message).map(|()| Next::Step);
            }
            StepKind::Delayer(delayer) => return self.at(step, frame).delay(delayer).await.map(|()| Next::Step),
            StepKind::TemplateTransformer(transformer) => self.at(step, frame).template(transformer),
            StepKind::JsonPathTransformer(transformer) => self.at(step, frame).json_path(transformer)?,
            StepKind::ParseJson(transformer) => self.at(step, frame).parse_json(transformer)?,
            StepKind::PrintJson(transformer) => self.at(step, frame).print_json(transformer)?,
            StepKind::Assert(assert) => self.at(step, frame).assert(assert)?,
            StepKind::ForEach(each) => self.for_each(step, each, frame).await?,
            StepKind::Block(tracks) => return self.block(step, tracks, frame).await.map(|()| Next::Step),
            StepKind::Retry(retry) => self.retry(step, retry, frame).await?,
            StepKind::DoWhile(repeat) => return self.do_while(step, repeat, frame).await.map(|()| Next::Step),
            StepKind::Parallel(parallel) => self.parallel(step, parallel, frame).await?,
            StepKind::ObjectStore(store) => self.object_store(step, store, frame).await?,
            StepKind::Validator(validator) => self.at(step, frame).validate(validator)?,
            StepKind::FileWriter(writer) => self.at(step, frame).write_file(writer)?,
            StepKind::PipelineExecutor(executor) => self.execute_pipeline(step, executor, frame).await?,
            StepKind::EventPublisher(publisher) => self.publish_event(step, publisher, frame).await?,
            StepKind::Pinned(pin) => self.prepared.pins.get(pin).cloned().unwrap_or_default(),
            _ => {
                let message = format!("The step type `{}` cannot be run.", step.type_name);
                return Err(RunError::new(place(step), Failure::new(FailureKind::Invalid, message)));
            }
        };
        self.at(step, frame).check_depth(&output)?;
        frame.message = Arc::new(output);
        Ok(Next::Step)
    }

    /// What a step works on.
    pub(super) fn at<'s>(&'s self, step: &'s Step, frame: &'s Frame) -> StepContext<'s> {
        StepContext {
            step,
            frame,
            scopes: &self.scopes,
            files: &self.files,
            mask: &self.mask,
            clock: &self.clock,
            tally: &self.tally,
            sensitive: self.prepared.pipeline.sensitive(),
        }
    }
}

/// A parameter whose expression gave an error.
pub(super) fn without_value(step: &Step, name: &str, error: &dyn std::fmt::Display) -> RunError {
    let message = format!("The parameter `{name}`: {error}.");
    RunError::new(place(step), Failure::new(FailureKind::Invalid, message))
}

/// Branch and step in the words a person knows them by.
pub(super) fn place(step: &Step) -> String {
    format!(
        "branch {}, step {} ({})",
        step.path.branch,
        step.path.index + 1,
        step.label()
    )
}

/// Whether an output says of itself that it is a success.
pub(super) fn succeeded(output: &Value) -> bool {
    output.get("success") == Some(&json!(true))
}
