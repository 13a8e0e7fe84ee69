//! A connector step: one call, or one for each element of a mail merge.

use pipepost_double_braces::Template;
use pipepost_flowspec::{Connector, SettingValue as _, Step};
use serde_json::Value;

use super::RunError;
use super::calls::Target;
use super::execute::{Execution, place};
use super::scopes::Frame;

impl Execution<'_> {
    /// Performs the step; the answer is its output.
    pub(super) async fn connector(&self, step: &Step, connector: &Connector, frame: &Frame) -> Result<Value, RunError> {
        let target = self.target(step, connector)?;
        let stops = self.stops(&target, frame);
        if let Some((name, items)) = &target.form.items {
            return self.merge(&target, frame, name, items, stops).await;
        }
        let outcome = match self.resolve(&target, frame, None) {
            Ok(ready) => self.deliver(&target, frame, ready).await,
            Err(failure) => Err(failure.into()),
        };
        match outcome {
            Ok(output) => Ok(output),
            Err(failed) if stops => Err(RunError::new(place(step), failed.failure.clone()).with(failed.output())),
            Err(failed) => {
                self.tolerate(place(step), failed.failure.clone());
                Ok(failed.output())
            }
        }
    }

    /// Whether a failure ends the run (`failOnError`). Where that itself cannot be told, it does.
    fn stops(&self, target: &Target<'_>, frame: &Frame) -> bool {
        const NAME: &str = "failOnError";
        let written = target.connector.written.get(NAME);
        let Some(written) = written.or_else(|| target.connector.annotations.defaults.get(NAME)) else {
            return false;
        };
        match written {
            Value::String(text) => {
                let template = Template::parse(text).ok();
                let value = template.and_then(|template| template.evaluate(&self.see(frame, None, None)).ok());
                value.and_then(|value| bool::from_value(&value)).unwrap_or(true)
            }
            other => bool::from_value(other).unwrap_or(true),
        }
    }
}
