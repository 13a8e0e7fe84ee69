//! A connector step: one call, or one for each element of a mail merge.

use std::sync::atomic::Ordering;

use pipepost_core::{Failure, FailureKind};
use pipepost_flowspec::{CompiledConnector, Step};
use serde_json::Value;

use super::RunError;
use super::calls::Target;
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
            .at(step, frame)
            .setting("failOnError", &connector.fail_on_error)
            .unwrap_or(true);
        if let Some(items) = &connector.items {
            return self.merge(&target, frame, items, stops).await;
        }
        let outcome = match self.resolve(&target, frame, None) {
            Ok(ready) => self.sender.send_one(&target, frame, ready).await,
            Err(failure) => Err(failure.into()),
        };
        match outcome {
            Ok(output) => {
                self.note_refused(&target, frame, &output);
                Ok(output)
            }
            Err(failed) if stops => Err(RunError::new(place(step), failed.failure.clone()).with(failed.output())),
            Err(failed) => {
                self.tally.tolerate(place(step), failed.failure.clone());
                Ok(failed.output())
            }
        }
    }

    /// Tells of those whom the service refused though the call succeeded. Returns how many.
    pub(super) fn note_refused(&self, target: &Target<'_>, frame: &Frame, output: &Value) -> usize {
        let list = target.refused.and_then(|member| output.get(member)?.as_array());
        let refused: Vec<String> = list.into_iter().flatten().map(in_words).collect();
        if !refused.is_empty() {
            self.tally.count_refused(refused.len());
            frame.refused.fetch_add(refused.len() as u64, Ordering::Relaxed);
            let message = format!("It was sent, but not to {}.", refused.join("; "));
            self.tally
                .tolerate(place(target.step), Failure::new(FailureKind::Refused, message));
        }
        refused.len()
    }
}

/// Who was refused, and by which reply.
fn in_words(refusal: &Value) -> String {
    let text = |name: &str| match refusal.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let reply: Vec<String> = ["code", "enhanced", "text"].into_iter().filter_map(text).collect();
    let recipient = text("recipient").unwrap_or_else(|| "one recipient".to_owned());
    if reply.is_empty() {
        recipient
    } else {
        format!("{recipient} ({})", reply.join(" "))
    }
}
