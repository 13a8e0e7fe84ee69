//! `pipepost eval`.

use pipepost::{FailureKind, evaluate};
use serde_json::Value;

use super::arguments::EvalOptions;
use super::error::CliError;
use super::logging::{answer_json, answer_text};
use super::{help, setup};

pub(super) fn execute(options: &EvalOptions) -> Result<u8, CliError> {
    // Without a text the list was asked for: the argument parser demands one of the two.
    let Some(text) = options.text.as_deref().filter(|_| !options.list) else {
        return help::print(help::Topic::Functions);
    };
    let message = setup::message("message", options.message.as_deref())?;
    let globals = setup::globals(&options.globals)?;
    let value = evaluate(text, &message, globals)
        .map_err(|failure| CliError::new(FailureKind::Invalid, failure.to_string()))?;
    let written = match value {
        Value::String(text) if !options.json => answer_text(&text),
        other => answer_json(&other),
    };
    written.map_err(|error| CliError::io("standard output", &error))?;
    Ok(0)
}
