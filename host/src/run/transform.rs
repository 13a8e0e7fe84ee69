//! Steps that only change the message (templates, paths, JSON texts, the session), and the step that waits.

use std::sync::Arc;
use std::time::Duration;

use pipepost_core::sentence::capitalised;
use pipepost_core::{Failure, FailureKind};
use pipepost_flowspec::{
    Assert, Delayer, FieldTransformer, JsonPathTransformer, Session, SessionOperation, TemplateTransformer,
};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::execute::{place, without_value};
use super::scopes::Frame;
use super::step_context::StepContext;
use super::{RunError, paths, timestamp};

impl StepContext<'_> {
    /// The output is `{body, _body}`; an error does not end anything, it stands in `_error`.
    pub(super) fn template(&self, transformer: &TemplateTransformer) -> Value {
        let model = paths::at(&self.frame.message, &transformer.model_path).unwrap_or(&Value::Null);
        let rendered = transformer.template.render(&self.see(None, None), model, None);
        let mut output = Map::new();
        match rendered {
            Ok(text) => {
                output.insert("body".to_owned(), Value::String(text));
            }
            Err(reason) => {
                output.insert("body".to_owned(), Value::Null);
                output.insert("_error".to_owned(), Value::String(reason.clone()));
                self.tolerate(Failure::new(FailureKind::Invalid, format!("{}.", capitalised(&reason))));
            }
        }
        if transformer.preserve_original {
            output.insert("_body".to_owned(), model.clone());
        }
        Value::Object(output)
    }

    pub(super) fn json_path(&self, transformer: &JsonPathTransformer) -> Result<Value, RunError> {
        match transformer.path.find(&self.frame.message) {
            Ok(found) => Ok(found.into_value()),
            Err(error) => self.end_in(transformer.fail_on_error, without_value(self.step, "jsonPath", &error)),
        }
    }

    /// Text in a field becomes the JSON that it is.
    pub(super) fn parse_json(&self, field: &FieldTransformer) -> Result<Value, RunError> {
        self.replace(field, |value| match value {
            Value::String(text) => serde_json::from_str(text)
                .map_err(|error| format!("it is not JSON (line {}, column {})", error.line(), error.column())),
            _ => Err("it is no text".to_owned()),
        })
    }

    /// A field becomes JSON text.
    pub(super) fn print_json(&self, field: &FieldTransformer) -> Result<Value, RunError> {
        self.replace(field, |value| Ok(Value::String(value.to_string())))
    }

    /// Replaces a field's value. What was there is kept beside it under the field's name with `_` before it, and an
    /// error stands beside it as `error`.
    fn replace(
        &self,
        field: &FieldTransformer,
        change: impl Fn(&Value) -> Result<Value, String>,
    ) -> Result<Value, RunError> {
        let path = &field.field_path;
        let original = paths::at(&self.frame.message, path);
        let changed = original.map_or_else(|| Err("it is not there".to_owned()), change);
        let mut message = Value::clone(&self.frame.message);
        match (changed, paths::split(path)) {
            (Ok(value), None) => Ok(value),
            (Ok(value), Some((holder, name))) => {
                let original = original.cloned().unwrap_or_default();
                match paths::at_mut(&mut message, &holder) {
                    Some(Value::Object(members)) => {
                        members.insert(name.to_owned(), value);
                        if field.preserve_original {
                            members.insert(format!("_{name}"), original);
                        }
                    }
                    _ => {
                        if let Some(place) = paths::at_mut(&mut message, path) {
                            *place = value;
                        }
                    }
                }
                Ok(message)
            }
            (Err(reason), split) => {
                let failure = Failure::new(FailureKind::Invalid, format!("The field `{path}`: {reason}."));
                let error = self.error(failure.clone());
                if field.fail_on_error {
                    return Err(error);
                }
                self.tolerate(failure);
                let holder = split.map(|(holder, _)| holder).unwrap_or_default();
                match paths::at_mut(&mut message, &holder) {
                    Some(Value::Object(members)) => {
                        members.insert("error".to_owned(), error.reason().into());
                        Ok(message)
                    }
                    _ => Ok(error.as_output()),
                }
            }
        }
    }

    /// An assertion that does not hold: the run's error, or an output that says so.
    pub(super) fn assert(&self, assert: &Assert) -> Result<Value, RunError> {
        let holds = match self.setting("condition", &assert.condition) {
            Ok(holds) => holds,
            Err(error) => return self.end_in(assert.fail_on_error, error),
        };
        if holds {
            return Ok(Value::clone(&self.frame.message));
        }
        if let Some(template) = &assert.internal_message {
            let text = self.text("internalErrorMessage", template)?;
            tracing::warn!(target: "pipepost::pipeline", step = self.step.label(), "{}", self.mask.text(&text).escape_debug());
        }
        let message = match &assert.message {
            Some(template) => self.text("errorMessage", template)?,
            None => "The assertion does not hold.".to_owned(),
        };
        let code = match &assert.code {
            Some(template) => self.value("errorCode", template)?,
            None => Value::Null,
        };
        if assert.fail_on_error {
            return Err(RunError {
                failure: None,
                place: place(self.step),
                object: json!({
                    "timestamp": timestamp(),
                    "error": message,
                    "exception": "AssertException",
                    "code": code,
                }),
            });
        }
        self.tolerate(Failure::new(FailureKind::Invalid, message.clone()));
        Ok(json!({ "success": false, "message": message, "exception": "AssertException", "code": code }))
    }

    /// Waits, no longer than the run or the retry around it goes on.
    pub(super) async fn delay(&self, delayer: &Delayer) -> Result<(), RunError> {
        let milliseconds = self.setting("delay", &delayer.delay)?;
        let mut wait = Duration::from_millis(milliseconds);
        if let Some(deadline) = self.frame.deadline {
            wait = wait.min(deadline.saturating_duration_since(Instant::now()));
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.clock.token().requested() => Err(self.error(self.clock.over())),
        }
    }
}

/// The message goes on unchanged, save that GET adds fields to it.
pub(super) fn session(session: &Session, frame: &mut Frame) {
    for field in &session.fields {
        match session.operation {
            SessionOperation::Put => {
                let value = paths::at(&frame.message, field).cloned();
                if let (Some(value), Value::Object(kept)) = (value, Arc::make_mut(&mut frame.session)) {
                    kept.insert(field.clone(), value);
                }
            }
            SessionOperation::Delete => {
                if let Value::Object(kept) = Arc::make_mut(&mut frame.session) {
                    kept.shift_remove(field);
                }
            }
            SessionOperation::Get => {
                let message = Arc::make_mut(&mut frame.message);
                if message.is_null() {
                    *message = Value::Object(Map::new());
                }
                if let (Some(value), Value::Object(message)) = (frame.session.get(field), message) {
                    message.insert(field.clone(), value.clone());
                }
            }
        }
    }
}
