//! The steps that the run performs itself.

use pipepost_core::{Failure, FailureKind};
use pipepost_double_braces::Masked;
use pipepost_flowspec::{BranchId, Choice, JsonGenerator, Log, LogLevel, Step, ThrowError};
use serde_json::{Value, json};

use super::execute::{Execution, place, without_value};
use super::scopes::Frame;
use super::{RunError, timestamp};

impl Execution<'_> {
    pub(super) fn json_generator(
        &self,
        step: &Step,
        generator: &JsonGenerator,
        frame: &Frame,
    ) -> Result<Value, RunError> {
        match self.json(step, "json", &generator.json, frame) {
            Err(error) if !generator.fail_on_error => {
                self.tolerate(place(step), error.tolerated());
                Ok(json!({ "success": false, "message": error.reason(), "error": FailureKind::Invalid.as_str() }))
            }
            result => result,
        }
    }

    pub(super) fn log(&self, step: &Step, log: &Log, frame: &Frame) -> Result<(), RunError> {
        let scopes = self.see(frame, None, None);
        let masked = Masked::new(&scopes, self.prepared.pipeline.sensitive());
        let text = match &log.message {
            Some(template) => template
                .evaluate_text(&masked)
                .map_err(|error| without_value(step, "message", &error))?,
            None => self.mask.apply(&frame.message).to_string(),
        };
        let text = self.mask.text(&text);
        // One entry is one line, whatever the message holds.
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let step = step.label();
        match log.level {
            LogLevel::Trace => tracing::trace!(target: "pipepost::pipeline", step, "{line}"),
            LogLevel::Debug => tracing::debug!(target: "pipepost::pipeline", step, "{line}"),
            LogLevel::Info => tracing::info!(target: "pipepost::pipeline", step, "{line}"),
            LogLevel::Warn => tracing::warn!(target: "pipepost::pipeline", step, "{line}"),
            LogLevel::Error => tracing::error!(target: "pipepost::pipeline", step, "{line}"),
        }
        Ok(())
    }

    /// The error that the step throws.
    pub(super) fn throw(&self, step: &Step, thrown: &ThrowError, frame: &Frame) -> Result<RunError, RunError> {
        let object = match &thrown.custom {
            Some(custom) => self.json(step, "customError", custom, frame)?,
            None => {
                let message = match &thrown.message {
                    Some(template) => self.text(step, "errorMessage", template, frame)?,
                    None => String::new(),
                };
                let code = match &thrown.code {
                    Some(template) => self.value(step, "errorCode", template, frame)?,
                    None => Value::Null,
                };
                json!({
                    "timestamp": timestamp(),
                    "error": message,
                    "exception": "ThrowErrorException",
                    "code": code,
                })
            }
        };
        self.check_depth(step, &object)?;
        Ok(RunError {
            failure: None,
            place: place(step),
            object,
        })
    }

    /// Where a choice leads; none when nothing matches and there is no otherwise.
    pub(super) fn choose(&self, step: &Step, choice: &Choice, frame: &Frame) -> Result<Option<BranchId>, RunError> {
        for when in &choice.when {
            let holds = when.condition.matches(&frame.message);
            let holds = holds
                .map_err(|error| RunError::new(place(step), Failure::new(FailureKind::Invalid, format!("{error}."))))?;
            if holds {
                return Ok(Some(when.target));
            }
        }
        Ok(choice.otherwise)
    }
}
