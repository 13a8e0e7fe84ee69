//! Makes a [`Step`] from a step's JSON: its type, where its settings are, and their values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::catalogue::CheckContext;
use crate::flow::Edge;
use crate::parameters::check_written;
use crate::positions::push_token;
use crate::problem::{Problem, StepPlace};
use crate::reader::{Findings, Reader, Reported, Shared};
use crate::step::{BranchId, Step, StepKind, StepPath};
use crate::steps::{self, Builtin, INACTIVE_ANYWHERE, Inactive, Level, STEP_KEYS};
use crate::{connector_reader, nearest, unsupported};

/// Reads a branch's steps. Each is read whatever the others hold.
pub(crate) fn steps(
    shared: &Shared<'_>,
    findings: &mut Findings,
    context: &CheckContext<'_>,
    branch: BranchId,
    pointer: &str,
    steps: &[Value],
) -> Vec<Result<Step, Reported>> {
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    let mut read = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        let place = StepPlace::of(index, step);
        let mut pointer = pointer.to_owned();
        push_token(&mut pointer, &index.to_string());
        let mut reader = Reader {
            shared,
            findings: &mut *findings,
            branch,
            step: place,
            pointer,
            base: "",
            settings: Map::new(),
            refused: BTreeSet::new(),
        };
        if let Some(id) = &reader.step.id
            && let Some(first) = ids.insert(id.clone(), index)
        {
            // Keys of messages are made of branch and id, so two steps would take each other's messages for their own.
            let message = format!("step {} of this branch has the same id, `{id}`", first + 1);
            reader.report(
                "/id",
                Problem::invalid(message).advise("give one of them another id, or none"),
            );
        }
        let is_last = index + 1 == steps.len();
        read.push(one(&mut reader, context, step, is_last));
    }
    read
}

fn one(reader: &mut Reader<'_>, context: &CheckContext<'_>, step: &Value, is_last: bool) -> Result<Step, Reported> {
    let Some(step) = step.as_object() else {
        return Err(reader.report("", Problem::invalid("the step is not an object")));
    };
    let alias = step
        .get("doubleBracesAlias")
        .and_then(Value::as_str)
        .filter(|alias| !alias.is_empty());
    let identity = [reader.step.id.as_deref(), reader.step.name.as_deref(), alias];
    let pin = identity
        .into_iter()
        .flatten()
        .find(|name| context.pins.contains(*name))
        .map(str::to_owned);
    let (type_name, kind) = match pin {
        Some(pin) => {
            reader.findings.used_pins.insert(pin.clone());
            (name_of(step).unwrap_or_default().to_owned(), StepKind::Pinned(pin))
        }
        None => kind(reader, context, step)?,
    };
    if matches!(kind, StepKind::Choice(_) | StepKind::ThrowError(_)) && !is_last {
        let message = format!("the steps behind this one never run, since `{type_name}` ends its branch");
        reader.report("", Problem::warning(message));
    }
    Ok(Step {
        id: reader.step.id.clone(),
        name: reader.step.name.clone(),
        alias: alias.map(str::to_owned),
        type_name,
        path: StepPath {
            branch: reader
                .shared
                .branch_names
                .get(reader.branch.0)
                .cloned()
                .unwrap_or_default(),
            index: reader.step.index,
        },
        kind,
    })
}

/// What a step is called: a connector by its name, any other by its type.
fn name_of(step: &Map<String, Value>) -> Option<&str> {
    let text = |key: &str| step.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    match text("type") {
        Some("connector") | None => text("name"),
        other => other,
    }
}

fn kind(
    reader: &mut Reader<'_>,
    context: &CheckContext<'_>,
    step: &Map<String, Value>,
) -> Result<(String, StepKind), Reported> {
    let written_type = step.get("type").and_then(Value::as_str);
    let Some(name) = name_of(step) else {
        let (at, problem) = match written_type {
            Some(_) => ("/name", Problem::invalid("the connector has no `name`")),
            None => ("", Problem::invalid("the step has no `type`")),
        };
        return Err(reader.report(
            at,
            problem.advise("a step is `{\"type\": \"connector\", \"name\": ..., \"params\": ...}`"),
        ));
    };
    let level = if written_type == Some("connector") {
        Level::Params
    } else {
        Level::Step
    };
    let found_connector = context.catalogue.find(name);
    let found_level = steps::builtin(name)
        .map(|builtin| builtin.level)
        .or(found_connector.map(|_| Level::Params));
    match found_level {
        Some(expected) if expected != level => Err(wrong_level(reader, name, expected)),
        None => Err(unsupported(reader, context, step, name, level)),
        Some(_) => {
            let kind = match (steps::builtin(name), found_connector) {
                (Some(builtin), _) => read_builtin(reader, step, builtin),
                (None, Some(connector)) => connector_reader::read(reader, context, step, connector),
                (None, None) => Err(unsupported(reader, context, step, name, level)),
            };
            Ok((name.to_owned(), kind?))
        }
    }
}

fn wrong_level(reader: &mut Reader<'_>, name: &str, expected: Level) -> Reported {
    let advice = match expected {
        Level::Params => format!("write `\"type\": \"connector\", \"name\": \"{name}\"`, its settings under `params`"),
        Level::Step => format!("write `\"type\": \"{name}\"`, its settings beside it"),
    };
    let at = if expected == Level::Params { "/type" } else { "/name" };
    reader.report(
        at,
        Problem::invalid(format!("`{name}` is written as the wrong sort of step")).advise(advice),
    )
}

fn unsupported(
    reader: &mut Reader<'_>,
    context: &CheckContext<'_>,
    step: &Map<String, Value>,
    name: &str,
    level: Level,
) -> Reported {
    // Its tracks are not loose ends, whatever it does with them.
    let mut targets = BTreeSet::new();
    branch_names(&Value::Object(step.clone()), reader.shared.branch_ids, &mut targets);
    for to in targets {
        let edge = Edge {
            from: reader.branch,
            to,
            step: reader.step.clone(),
            pointer: reader.pointer.clone(),
        };
        reader.findings.edges.push(edge);
    }
    let mut known: Vec<&str> = steps::builtins().map(|builtin| builtin.name).collect();
    for connector in context.catalogue.all() {
        known.push(&connector.name);
        known.extend(connector.aliases.iter().map(String::as_str));
    }
    let at = if level == Level::Params { "/name" } else { "/type" };
    if let Some(reason) = unsupported::reason(name) {
        let message = format!("steps of type `{name}` are not supported: {reason}");
        return reader.report(at, Problem::invalid(message).advise(unsupported::advice(name)));
    }
    let advice = nearest::advise(name, known).unwrap_or_else(|| match level {
        Level::Params => "install a connector of this name, or pin the step to an output to try the rest".to_owned(),
        Level::Step => "pin the step to an output to try the rest".to_owned(),
    });
    reader.report(
        at,
        Problem::invalid(format!("steps of type `{name}` are not supported")).advise(advice),
    )
}

fn branch_names(value: &Value, ids: &BTreeMap<String, BranchId>, found: &mut BTreeSet<BranchId>) {
    match value {
        Value::String(text) => {
            found.extend(ids.get(text));
            // Lists of branches stand as JSON text.
            if text.starts_with('[')
                && let Ok(list @ Value::Array(_)) = serde_json::from_str(text)
            {
                branch_names(&list, ids, found);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| branch_names(element, ids, found)),
        Value::Object(members) => members.values().for_each(|member| branch_names(member, ids, found)),
        _ => {}
    }
}

fn read_builtin(reader: &mut Reader<'_>, step: &Map<String, Value>, builtin: &Builtin) -> Result<StepKind, Reported> {
    let schema = (builtin.schema)();
    let written = settings(reader, step, builtin.level, &schema, builtin.inactive);
    let is_written_by_the_canvas = builtin
        .inactive
        .iter()
        .any(|rule| matches!(rule, Inactive::Always("accountLabel")));
    if !is_written_by_the_canvas
        && step
            .get("accountLabel")
            .is_some_and(|label| label.as_str() != Some("") && !label.is_null())
    {
        reader.report_key(
            "/accountLabel",
            Problem::warning(format!("`{}` uses no account", builtin.name)),
        );
    }
    take(reader, &schema, written?)?;
    (builtin.read)(reader)
}

/// Checks the settings and hands them to the reader.
pub(crate) fn take(reader: &mut Reader<'_>, schema: &Value, written: Map<String, Value>) -> Result<(), Reported> {
    let checked = check_written(schema, &Value::Object(written));
    reader.report_parameters(checked.problems);
    match checked.value {
        Value::Object(settings) => {
            reader.settings = settings;
            Ok(())
        }
        _ => Err(Reported::already()),
    }
}

/// The step's settings without the keys that have no effect. What stands at the wrong level is unknown there.
pub(crate) fn settings(
    reader: &mut Reader<'_>,
    step: &Map<String, Value>,
    level: Level,
    schema: &Value,
    inactive: &[Inactive],
) -> Result<Map<String, Value>, Reported> {
    let beside: Map<String, Value> = step
        .iter()
        .filter(|(key, _)| !STEP_KEYS.contains(&key.as_str()) && (level == Level::Step || *key != "params"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let mut beside = without_inactive(reader, beside, schema, inactive);
    let is_parameter = |name: &str| {
        schema
            .get("properties")
            .is_some_and(|properties| properties.get(name).is_some())
    };
    // The platform writes it on any step, also on those that end the run whenever they fail.
    let own = if level == Level::Params || !is_parameter(FAIL_ON_ERROR) {
        beside.shift_remove(FAIL_ON_ERROR)
    } else {
        None
    };
    if level == Level::Step {
        return Ok(without_params(reader, beside));
    }
    for key in beside.keys() {
        let advice = if is_parameter(key) {
            Some(format!("`{key}` belongs under `params`"))
        } else {
            nearest::advise(key, STEP_KEYS.iter().copied().chain(["params"]))
        };
        let problem = Problem::invalid(format!("a step has no `{key}`")).advise_some(advice);
        let mut parameter = String::new();
        push_token(&mut parameter, key);
        reader.report_key(&parameter, problem);
    }
    reader.base = "/params";
    let text = step.get("params").and_then(Value::as_str);
    let parsed = text.and_then(|text| serde_json::from_str(text).ok());
    let mut params = match parsed.as_ref().or(step.get("params")) {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(params)) => without_inactive(reader, params.clone(), schema, inactive),
        Some(_) => return Err(reader.report("/params", Problem::invalid("`params` is not an object"))),
    };
    match (params.get(FAIL_ON_ERROR), own) {
        // Where both are written, the parameter counts.
        (Some(written), Some(own)) if *written != own && !written.is_null() => {
            let problem = Problem::warning("`failOnError` is written on the step and under `params`, with two values")
                .advise("remove one of them: the one under `params` counts");
            reader.report_key(&format!("/{FAIL_ON_ERROR}"), problem);
        }
        (None | Some(Value::Null), Some(own)) if is_parameter(FAIL_ON_ERROR) => {
            params.insert(FAIL_ON_ERROR.to_owned(), own);
        }
        _ => {}
    }
    Ok(params)
}

/// The key that says whether a step's failure ends the run.
const FAIL_ON_ERROR: &str = "failOnError";

fn without_params(reader: &mut Reader<'_>, mut beside: Map<String, Value>) -> Map<String, Value> {
    if beside.remove("params").is_some_and(|params| !is_off(&params)) {
        let problem = Problem::invalid("a step of this type has no `params`").advise("put its settings beside `type`");
        reader.report_key("/params", problem);
    }
    beside
}

fn without_inactive(
    reader: &mut Reader<'_>,
    settings: Map<String, Value>,
    schema: &Value,
    inactive: &[Inactive],
) -> Map<String, Value> {
    let mut kept = Map::new();
    for (key, value) in settings {
        let is_known = schema
            .get("properties")
            .is_some_and(|properties| properties.get(&key).is_some());
        let rule = inactive.iter().chain(INACTIVE_ANYWHERE).find(|rule| match rule {
            Inactive::Always(name) | Inactive::WhenOff(name) => *name == key,
        });
        match rule {
            Some(Inactive::Always(_)) if !is_known => {}
            Some(Inactive::WhenOff(_)) if !is_known => {
                if !is_off(&value) {
                    let parameter = reader.parameter(&key);
                    let problem = Problem::invalid(format!("`{key}` is not supported"));
                    reader.report(&parameter, problem.advise("switch it off or remove it"));
                }
            }
            _ => {
                kept.insert(key, value);
            }
        }
    }
    kept
}

fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty() || text.eq_ignore_ascii_case("false"),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Bool(true) => false,
    }
}
