//! Going through the steps.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pipepost_double_braces::{Template, ValueTemplate};
use pipepost_flowspec::{BranchId, JsonSource, Step, StepKind};
use serde_json::{Value, json};

use super::scopes::{Frame, RunScopes, Scopes};
use super::{Counts, RunError, RunOptions, timestamp};
use crate::ending::Ending;
use crate::failure::{Failure, Kind};
use crate::files::RunFiles;
use crate::host::{Host, Prepared};
use crate::ledger::Ledger;

/// One run under way.
pub(super) struct Execution<'a> {
    pub(super) host: &'a Host,
    pub(super) prepared: &'a Prepared,
    pub(super) key: &'a str,
    pub(super) files: Arc<RunFiles>,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) ending: Ending,
    pub(super) options: RunOptions,
    scopes: Result<RunScopes, Failure>,
    time_limit: Option<Duration>,
    timed_out: AtomicBool,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    sent: AtomicU64,
    failed: AtomicU64,
    uncertain: AtomicU64,
    tolerated: Mutex<Vec<(String, Failure)>>,
}

/// Recursion through tracks needs a box.
pub(super) type Running<'f> = Pin<Box<dyn Future<Output = Result<(), RunError>> + Send + 'f>>;

impl<'a> Execution<'a> {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once, by the function that gathers them"
    )]
    pub(super) fn new(
        host: &'a Host,
        prepared: &'a Prepared,
        mut options: RunOptions,
        key: &'a str,
        time_limit: Option<Duration>,
        files: Arc<RunFiles>,
        ledger: Arc<dyn Ledger>,
        ending: Ending,
    ) -> Self {
        let scopes = run_scopes(host, prepared, &mut options, key, time_limit);
        Self {
            host,
            prepared,
            key,
            files,
            ledger,
            ending,
            options,
            scopes,
            time_limit,
            timed_out: AtomicBool::new(false),
            tally: Tally::default(),
        }
    }

    /// From the first branch to the end.
    pub(super) async fn work(&self) -> Result<Value, RunError> {
        if let Err(failure) = &self.scopes {
            return Err(RunError::new("", failure.clone()));
        }
        let mut frame = Frame::new(self.options.message.clone());
        self.branch(self.prepared.pipeline.first(), &mut frame).await?;
        Ok(frame.message)
    }

    pub(super) fn note_time_limit(&self) {
        self.timed_out.store(true, Ordering::Relaxed);
    }

    pub(super) fn tally(&self) -> (Counts, Vec<(String, Failure)>) {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = Counts {
            sent: get(&self.tally.sent),
            failed: get(&self.tally.failed),
            uncertain: get(&self.tally.uncertain),
        };
        let tolerated = self
            .tally
            .tolerated
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        (counts, tolerated)
    }

    /// Counts how a call ended.
    pub(super) fn count(&self, failure: Option<Kind>) {
        let count = match failure {
            None => &self.tally.sent,
            Some(Kind::Uncertain) => &self.tally.uncertain,
            Some(_) => &self.tally.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Remembers a failure that the pipeline goes on from.
    pub(super) fn tolerate(&self, step: &Step, failure: &Failure) {
        let mut tolerated = self.tally.tolerated.lock().unwrap_or_else(PoisonError::into_inner);
        tolerated.push((place(step), failure.clone()));
    }

    /// Runs a branch; the frame's message is then its output.
    pub(super) fn branch<'f>(&'f self, id: BranchId, frame: &'f mut Frame) -> Running<'f> {
        Box::pin(async move {
            for step in &self.prepared.pipeline.branch(id).steps {
                self.step(step, frame).await?;
                if let Some(alias) = &step.alias {
                    frame.keep(alias);
                }
            }
            Ok(())
        })
    }

    async fn step(&self, step: &Step, frame: &mut Frame) -> Result<(), RunError> {
        if self.ending.is_ending() {
            return Err(RunError::new(place(step), self.over()));
        }
        tracing::debug!(step = %place(step), "begins");
        match &step.kind {
            StepKind::Connector(connector) => frame.message = self.connector(step, connector, frame).await?,
            StepKind::JsonGenerator(generator) => frame.message = self.json_generator(step, generator, frame)?,
            StepKind::Log(log) => self.log(step, log, frame)?,
            StepKind::ThrowError(thrown) => return Err(self.throw(step, thrown, frame)?),
            StepKind::Choice(choice) => {
                if let Some(target) = self.choose(step, choice, frame)? {
                    self.branch(target, frame).await?;
                }
            }
            _ => {
                let message = format!("The step type `{}` cannot be run yet.", step.type_name);
                return Err(RunError::new(place(step), Failure::new(Kind::Invalid, message)));
            }
        }
        Ok(())
    }

    /// Why nothing starts any more.
    fn over(&self) -> Failure {
        match self.time_limit {
            Some(limit) if self.timed_out.load(Ordering::Relaxed) => Failure::new(
                Kind::Limit,
                format!(
                    "The run's time limit of {} s is over; this step did not start.",
                    limit.as_secs_f64()
                ),
            )
            .advise("Give it more with --timeout, or in the document's triggerSpec.timeout."),
            _ => Failure::new(Kind::Transient, "The run was interrupted; this step did not start."),
        }
    }

    /// What an expression of this step can see. The scopes are there as soon as the first step runs.
    pub(super) fn see<'s>(
        &'s self,
        frame: &'s Frame,
        own_account: Option<&'s str>,
        item: Option<&'s Value>,
    ) -> Result<Scopes<'s>, RunError> {
        match &self.scopes {
            Ok(run) => Ok(Scopes {
                run,
                frame,
                own_account,
                item,
            }),
            Err(failure) => Err(RunError::new("", failure.clone())),
        }
    }

    pub(super) fn text(&self, step: &Step, template: &Template, frame: &Frame) -> Result<String, RunError> {
        template
            .evaluate_text(&self.see(frame, None, None)?)
            .map_err(|error| unevaluated(step, &error))
    }

    pub(super) fn value(&self, step: &Step, template: &ValueTemplate, frame: &Frame) -> Result<Value, RunError> {
        template
            .evaluate(&self.see(frame, None, None)?)
            .map_err(|error| unevaluated(step, &error))
    }

    pub(super) fn json(&self, step: &Step, source: &JsonSource, frame: &Frame) -> Result<Value, RunError> {
        match source {
            JsonSource::Text(template) => template
                .evaluate(&self.see(frame, None, None)?)
                .map_err(|error| unevaluated(step, &error)),
            JsonSource::Native(template) => self.value(step, template, frame),
        }
    }
}

/// An expression that gave an error.
pub(super) fn unevaluated(step: &Step, error: &dyn std::fmt::Display) -> RunError {
    RunError::new(place(step), Failure::new(Kind::Invalid, format!("{error}.")))
}

/// Branch and step in the words a person knows them by.
pub(super) fn place(step: &Step) -> String {
    let name = step.name.as_deref().or(step.id.as_deref()).unwrap_or(&step.type_name);
    format!("branch {}, step {} ({name})", step.path.branch, step.path.index + 1)
}

fn run_scopes(
    host: &Host,
    prepared: &Prepared,
    options: &mut RunOptions,
    key: &str,
    time_limit: Option<Duration>,
) -> Result<RunScopes, Failure> {
    let about = prepared.pipeline.metadata();
    let metadata = json!({
        "pipeline": {
            "name": about.name,
            "id": about.id,
            "versionMajor": about.version_major,
            "versionMinor": about.version_minor,
            "description": about.description,
            "realm": about.realm,
            "project": about.project,
        },
        "runtime": { "consumers": 1, "actualConsumers": 1, "environment": host.environment },
        "execution": {
            "key": key,
            "timeout": time_limit.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
            "startTimestamp": timestamp(),
            "redelivery": false,
        },
    });
    let mut accounts = std::collections::HashMap::new();
    let named = prepared.pipeline.steps().filter_map(|step| match &step.kind {
        StepKind::Connector(connector) => connector.account_label.as_deref(),
        _ => None,
    });
    for label in prepared.wants.accounts.keys().map(String::as_str).chain(named) {
        let configuration = |error: pipepost_accounts::Error| Failure::new(Kind::Configuration, format!("{error}"));
        let account = host.accounts.get(label).map_err(configuration)?;
        accounts.insert(label.to_owned(), account.expression_view().map_err(configuration)?);
    }
    Ok(RunScopes {
        globals: Value::Object(std::mem::take(&mut options.globals)),
        metadata,
        trigger: options.message.clone(),
        replica: json!({}),
        accounts,
        sensitive: prepared.pipeline.sensitive().to_vec(),
    })
}
