//! A connector step: one call, or one for each element of a mail merge.

use pipepost_flowspec::{CompiledConnector, Step};
use serde_json::Value;

use super::RunError;
use super::execute::{Execution, place};
use super::scopes::Frame;

impl Execution<'_> {
    /// Performs the step; the answer is its output.
    pub(super) async fn connector(
        &self,
        step: &Step,
        connector: &CompiledConnector,
        frame: &Frame,
    ) -> Result<Value, RunError> {
        let target = self.target(step, connector);
        // Where that itself cannot be told, a failure ends the run.
        let stops = self
            .setting(step, "failOnError", &connector.fail_on_error, frame)
            .unwrap_or(true);
        if let Some(items) = &connector.items {
            return self.merge(&target, frame, items, stops).await;
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
}
