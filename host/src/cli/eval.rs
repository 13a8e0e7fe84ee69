//! `pipepost eval`.

use pipepost::{FailureKind, evaluate};
use serde_json::Value;

use super::arguments::EvalOptions;
use super::complaint::Complaint;
use super::logging::{answer_json, answer_text};
use super::setup;

pub(super) fn eval(options: &EvalOptions) -> Result<u8, Complaint> {
    let message = setup::message("message", options.message.as_deref())?;
    let globals = setup::globals(&options.globals)?;
    let value = evaluate(&options.text, &message, globals)
        .map_err(|failure| Complaint::new(FailureKind::Invalid, failure.to_string()))?;
    let written = match value {
        Value::String(text) if !options.json => answer_text(&text),
        other => answer_json(&other),
    };
    written.map_err(|error| Complaint::io("standard output", &error))?;
    Ok(0)
}
