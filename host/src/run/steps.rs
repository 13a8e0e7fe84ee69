//! The steps that the runtime performs itself.

use pipepost_core::{Failure, FailureKind};
use pipepost_double_braces::Masked;
use pipepost_flowspec::{BranchId, Choice, JsonGenerator, Log, LogLevel, ThrowError};
use serde_json::{Value, json};

use super::execute::{place, without_value};
use super::observe::{LogLine, Observer};
use super::step_context::StepContext;
use super::{RunError, timestamp};

impl StepContext<'_> {
    pub(super) fn json_generator(&self, generator: &JsonGenerator) -> Result<Value, RunError> {
        match self.json("json", &generator.json) {
            Err(error) if !generator.fail_on_error => {
                self.tolerate(error.tolerated());
                Ok(json!({ "success": false, "message": error.reason(), "error": FailureKind::Invalid.as_str() }))
            }
            result => result,
        }
    }

    pub(super) fn log(&self, log: &Log, observer: Option<&dyn Observer>) -> Result<(), RunError> {
        let scopes = self.see(None, None);
        let masked = Masked::new(&scopes, self.sensitive);
        let text = match &log.message {
            Some(template) => template
                .evaluate_text(&masked)
                .map_err(|error| without_value(self.step, "message", &error))?,
            None => self.mask.apply(&self.frame.message).to_string(),
        };
        let text = self.mask.text(&text);
        // One entry is one line, whatever the message holds.
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let step = self.step.label();
        match log.level {
            LogLevel::Trace => tracing::trace!(target: "pipepost::pipeline", step, "{line}"),
            LogLevel::Debug => tracing::debug!(target: "pipepost::pipeline", step, "{line}"),
            LogLevel::Info => tracing::info!(target: "pipepost::pipeline", step, "{line}"),
            LogLevel::Warn => tracing::warn!(target: "pipepost::pipeline", step, "{line}"),
            LogLevel::Error => tracing::error!(target: "pipepost::pipeline", step, "{line}"),
        }
        if let Some(observer) = observer {
            observer.line(&LogLine {
                level: log.level,
                source: step,
                text: &line,
            });
        }
        Ok(())
    }

    /// The error that the step throws.
    pub(super) fn throw(&self, thrown: &ThrowError) -> Result<RunError, RunError> {
        let object = match &thrown.custom {
            Some(custom) => self.json("customError", custom)?,
            None => {
                let message = match &thrown.message {
                    Some(template) => self.text("errorMessage", template)?,
                    None => String::new(),
                };
                let code = match &thrown.code {
                    Some(template) => self.value("errorCode", template)?,
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
        self.check_depth(&object)?;
        Ok(RunError {
            failure: None,
            place: place(self.step),
            object,
        })
    }

    /// Where a choice leads; none when nothing matches and there is no otherwise.
    pub(super) fn choose(&self, choice: &Choice) -> Result<Option<BranchId>, RunError> {
        for when in &choice.when {
            let holds = when.condition.matches(&self.frame.message);
            let holds = holds.map_err(|error| self.error(Failure::new(FailureKind::Invalid, format!("{error}."))))?;
            if holds {
                return Ok(Some(when.target));
            }
        }
        Ok(choice.otherwise)
    }
}
