//! Going through the steps.

use std::pin::Pin;
use std::sync::Arc;

use pipepost_core::{Failure, FailureKind};
use pipepost_double_braces::{Template, ValueTemplate};
use pipepost_flowspec::{BranchId, JsonSource, Setting, SettingError, SettingValue, Step, StepKind};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::clock::{RunClock, give_way};
use super::dispatch::Sender;
use super::mask::Mask;
use super::observe::{Counter, Observer, StepRecord};
use super::scopes::{Frame, RunScopes, Scopes};
use super::tally::Tally;
use super::{RunError, depth};
use crate::files::RunFiles;
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
    pub(super) scopes: RunScopes,
    pub(super) tally: Arc<Tally>,
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
        self.branch(self.prepared.pipeline.first(), &mut frame).await?;
        Ok(Arc::unwrap_or_clone(frame.message))
    }

    /// Remembers a failure that the pipeline goes on from.
    pub(super) fn tolerate(&self, place: String, failure: Failure) {
        self.tally.tolerate(place, failure);
    }

    /// Counts the elements that a step works through.
    pub(super) fn counter(&self, step: &Step, total: usize) -> Arc<Counter> {
        Counter::new(self.observer.clone(), place(step), total)
    }

    /// Runs a branch, and the branches that its choices lead to; the frame's message is then the last output.
    pub(super) fn branch<'f>(&'f self, id: BranchId, frame: &'f mut Frame) -> Running<'f> {
        Box::pin(async move {
            let mut next = Some(id);
            while let Some(id) = next.take() {
                for step in &self.prepared.pipeline.branch(id).steps {
                    let follows = self.watched(step, frame).await?;
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

    /// Runs a step, and tells whoever wants to know.
    async fn watched(&self, step: &Step, frame: &mut Frame) -> Result<Next, RunError> {
        let Some(observer) = self.observer.as_ref().filter(|observer| observer.wants_steps()) else {
            return self.step(step, frame).await;
        };
        let input = self.mask.apply(&frame.message);
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
            output: result.is_ok().then(|| self.mask.apply(&frame.message)),
            error: result.as_ref().err().map(|error| self.mask.apply(&error.object)),
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
                "The time of the retry around it is over; this step did not start.",
            )
            .advise("Give the retry a longer `timeout`.");
            return Err(RunError::new(place(step), failure));
        }
        tracing::debug!(step = %place(step), "begins");
        let output = match &step.kind {
            StepKind::Connector(connector) => self.connector(step, connector, frame).await?,
            StepKind::JsonGenerator(generator) => self.json_generator(step, generator, frame)?,
            StepKind::Log(log) => return self.log(step, log, frame).map(|()| Next::Step),
            StepKind::ThrowError(thrown) => return Err(self.throw(step, thrown, frame)?),
            StepKind::Choice(choice) => return self.choose(step, choice, frame).map(Next::Branch),
            StepKind::Session(session) => {
                self.session(session, frame);
                return self.check_depth(step, &frame.message).map(|()| Next::Step);
            }
            StepKind::Delayer(delayer) => return self.delay(step, delayer, frame).await.map(|()| Next::Step),
            StepKind::TemplateTransformer(transformer) => self.template(step, transformer, frame),
            StepKind::JsonPathTransformer(transformer) => self.json_path(step, transformer, frame)?,
            StepKind::ParseJson(transformer) => self.parse_json(step, transformer, frame)?,
            StepKind::PrintJson(transformer) => self.print_json(step, transformer, frame)?,
            StepKind::Assert(assert) => self.assert(step, assert, frame)?,
            StepKind::ForEach(each) => self.for_each(step, each, frame).await?,
            StepKind::Block(tracks) => return self.block(step, tracks, frame).await.map(|()| Next::Step),
            StepKind::Retry(retry) => self.retry(step, retry, frame).await?,
            StepKind::Parallel(parallel) => self.parallel(step, parallel, frame).await?,
            StepKind::FileWriter(writer) => self.write_file(step, writer, frame)?,
            StepKind::Pinned(pin) => self.prepared.pins.get(pin).cloned().unwrap_or_default(),
            _ => {
                let message = format!("The step type `{}` cannot be run.", step.type_name);
                return Err(RunError::new(place(step), Failure::new(FailureKind::Invalid, message)));
            }
        };
        self.check_depth(step, &output)?;
        frame.message = Arc::new(output);
        Ok(Next::Step)
    }

    /// Ends the run at a value that nests too deeply: whatever copies, prints or drops it would go down level by level.
    pub(super) fn check_depth(&self, step: &Step, value: &Value) -> Result<(), RunError> {
        depth::check(value, "What the step leaves").map_err(|failure| {
            self.clock.end_for_depth();
            RunError::new(place(step), failure)
        })
    }

    /// What an expression of this step can see.
    pub(super) fn see<'s>(
        &'s self,
        frame: &'s Frame,
        own_account: Option<&'s str>,
        item: Option<&'s Value>,
    ) -> Scopes<'s> {
        Scopes {
            run: &self.scopes,
            frame,
            files: &self.files,
            own_account,
            item,
        }
    }

    /// A parameter as text; `name` is what messages call it.
    pub(super) fn text(&self, step: &Step, name: &str, template: &Template, frame: &Frame) -> Result<String, RunError> {
        template
            .evaluate_text(&self.see(frame, None, None))
            .map_err(|error| without_value(step, name, &error))
    }

    /// A parameter's value.
    pub(super) fn value(
        &self,
        step: &Step,
        name: &str,
        template: &ValueTemplate,
        frame: &Frame,
    ) -> Result<Value, RunError> {
        template
            .evaluate(&self.see(frame, None, None))
            .map_err(|error| without_value(step, &format!("{name}{}", error.pointer), &error.error))
    }

    /// A parameter that is JSON.
    pub(super) fn json(&self, step: &Step, name: &str, source: &JsonSource, frame: &Frame) -> Result<Value, RunError> {
        match source {
            JsonSource::Text(template) => template
                .evaluate(&self.see(frame, None, None))
                .map_err(|error| without_value(step, name, &error)),
            JsonSource::Native(template) => self.value(step, name, template, frame),
        }
    }

    /// A setting that may be an expression, under the name by which messages call it.
    pub(super) fn setting<T: SettingValue>(
        &self,
        step: &Step,
        name: &str,
        setting: &Setting<T>,
        frame: &Frame,
    ) -> Result<T, RunError> {
        /// What reading a setting can end in.
        struct Wrong(String);
        impl From<SettingError> for Wrong {
            fn from(error: SettingError) -> Self {
                Self(error.to_string())
            }
        }
        let scopes = self.see(frame, None, None);
        let evaluate = |template: &Template| template.evaluate(&scopes).map_err(|error| Wrong(error.to_string()));
        setting
            .read(evaluate)
            .map_err(|Wrong(reason)| without_value(step, name, &reason))
    }

    /// A step's failure: the run's error when the step says so, else an output that the run goes on with.
    pub(super) fn end_in(&self, step: &Step, fails: bool, error: RunError) -> Result<Value, RunError> {
        if fails {
            return Err(error);
        }
        self.tolerate(place(step), error.tolerated());
        Ok(error.as_output())
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
