//! `pipepost eval`.

use pipepost::{FailureKind, evaluate};
use serde_json::Value;

use super::arguments::EvalOptions;
use super::complaint::Complaint;
use super::logging::answer;
use super::setup;

pub(super) fn eval(options: &EvalOptions) -> Result<u8, Complaint> {
    let message = setup::message("message", options.message.as_deref())?;
    let globals = setup::globals(&options.globals)?;
    let value = evaluate(&options.text, &message, globals)
        .map_err(|failure| Complaint::new(FailureKind::Invalid, failure.to_string()))?;
    let shown = match value {
        Value::String(text) if !options.json => text,
        other => format!("{other:#}"),
    };
    answer(&shown).map_err(|error| Complaint::io("standard output", &error))?;
    Ok(0)
}
