//! The steps that the runtime itself performs: their names, where their settings are, and which values these may have.
//!
//! The keys are those that deployed pipelines use. If none was found, the key is our own: `fieldPath` of the JSON
//! string transformers.

mod data_steps;
mod flow_steps;
mod other_pipelines;
mod plain_steps;

use serde_json::{Value, json};

use crate::reader::{Reader, Reported};
use crate::step::StepKind;

/// Where a step keeps its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Beside `type`.
    Step,
    /// Under `params`, with `type` being `connector`.
    Params,
}

/// A key that the platform writes and that has no effect at these values.
pub(crate) enum Inactive {
    /// Whatever its value.
    Always(&'static str),
    /// While it is false, null or empty.
    WhenOff(&'static str),
}

/// A step type of the runtime.
pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    /// What it does, in a few words, for editors.
    pub(crate) summary: &'static str,
    pub(crate) schema: fn() -> Value,
    pub(crate) inactive: &'static [Inactive],
    pub(crate) read: fn(&mut Reader<'_>) -> Result<StepKind, Reported>,
}

/// All of them.
pub(crate) fn builtins() -> impl Iterator<Item = &'static Builtin> {
    plain_steps::STEPS
        .iter()
        .chain(data_steps::STEPS)
        .chain(flow_steps::STEPS)
        .chain(other_pipelines::STEPS)
}

/// The step type of this name.
pub(crate) fn builtin(name: &str) -> Option<&'static Builtin> {
    builtins().find(|builtin| builtin.name == name)
}

/// Returns whether the runtime itself performs a step of this name.
pub fn is_builtin(name: &str) -> bool {
    builtin(name).is_some()
}

/// Keys that the platform writes on any step.
pub(crate) const INACTIVE_ANYWHERE: &[Inactive] = &[
    Inactive::WhenOff("useDynamicAccount"),
    Inactive::WhenOff("scoped"),
    Inactive::WhenOff("accountName"),
    Inactive::WhenOff("accountLabels"),
    Inactive::WhenOff("advanced"),
];

/// Keys of the step level that are no settings. `key` and `position` belong to the platform's drawing.
pub(crate) const STEP_KEYS: &[&str] = &[
    "type",
    "name",
    "id",
    "stepName",
    "doubleBracesAlias",
    "__documentation__",
    "description",
    "accountLabel",
    "key",
    "position",
];

fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

pub(crate) fn fail_on_error(default: bool) -> Value {
    json!({ "type": "boolean", "default": default, "description": "Whether a failure ends the run." })
}
