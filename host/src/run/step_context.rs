//! What one step works on.

use pipepost_core::Failure;
use pipepost_double_braces::{Template, ValueTemplate};
use pipepost_engine::files::RunFiles;
use pipepost_flowspec::{JsonSource, Setting, SettingError, SettingValue, Step};
use serde_json::Value;

use super::clock::RunClock;
use super::execute::{place, without_value};
use super::mask::Mask;
use super::scopes::{Frame, RunScopes, Scopes};
use super::tally::Tally;
use super::{RunError, depth};

/// A step at its place in the run. It evaluates, counts and ends; it can neither send nor run other steps.
#[derive(Clone, Copy)]
pub(super) struct StepContext<'s> {
    pub(super) step: &'s Step,
    pub(super) frame: &'s Frame,
    pub(super) scopes: &'s RunScopes,
    pub(super) files: &'s RunFiles,
    pub(super) mask: &'s Mask,
    pub(super) clock: &'s RunClock,
    pub(super) tally: &'s Tally,
    /// The fields whose values are not shown.
    pub(super) sensitive: &'s [String],
}

impl<'s> StepContext<'s> {
    /// What an expression of this step can see.
    pub(super) fn see(&self, own_account: Option<&'s str>, item: Option<&'s Value>) -> Scopes<'s> {
        Scopes {
            run: self.scopes,
            frame: self.frame,
            files: self.files,
            clock: self.clock,
            own_account,
            item,
        }
    }

    /// A parameter as text; `name` is what messages call it.
    pub(super) fn text(&self, name: &str, template: &Template) -> Result<String, RunError> {
        template
            .evaluate_text(&self.see(None, None))
            .map_err(|error| without_value(self.step, name, &error))
    }

    /// A parameter's value.
    pub(super) fn value(&self, name: &str, template: &ValueTemplate) -> Result<Value, RunError> {
        template
            .evaluate(&self.see(None, None))
            .map_err(|error| without_value(self.step, &format!("{name}{}", error.pointer), &error.error))
    }

    /// A parameter that is JSON.
    pub(super) fn json(&self, name: &str, source: &JsonSource) -> Result<Value, RunError> {
        match source {
            JsonSource::Text(template) => template
                .evaluate(&self.see(None, None))
                .map_err(|error| without_value(self.step, name, &error)),
            JsonSource::Native(template) => self.value(name, template),
        }
    }

    /// A setting that may be an expression, under the name by which messages call it.
    pub(super) fn setting<T: SettingValue>(&self, name: &str, setting: &Setting<T>) -> Result<T, RunError> {
        /// What reading a setting can end in.
        struct Wrong(String);
        impl From<SettingError> for Wrong {
            fn from(error: SettingError) -> Self {
                Self(error.to_string())
            }
        }
        let scopes = self.see(None, None);
        let evaluate = |template: &Template| template.evaluate(&scopes).map_err(|error| Wrong(error.to_string()));
        setting
            .read(evaluate)
            .map_err(|Wrong(reason)| without_value(self.step, name, &reason))
    }

    /// The run's error for a failure of this step.
    pub(super) fn error(&self, failure: Failure) -> RunError {
        RunError::new(place(self.step), failure)
    }

    /// Remembers a failure that the pipeline goes on from.
    pub(super) fn tolerate(&self, failure: Failure) {
        self.tally.tolerate(place(self.step), failure);
    }

    /// A step's failure: the run's error when the step says so, else an output that the run goes on with.
    pub(super) fn end_in(&self, fails: bool, error: RunError) -> Result<Value, RunError> {
        if fails {
            return Err(error);
        }
        self.tolerate(error.tolerated());
        Ok(error.as_output())
    }

    /// Ends the run at a value that nests too deeply: whatever copies, prints or drops it would go down level by level.
    pub(super) fn check_depth(&self, value: &Value) -> Result<(), RunError> {
        depth::check(value, "What the step leaves").map_err(|failure| {
            self.clock.end_for_depth();
            self.error(failure)
        })
    }
}
