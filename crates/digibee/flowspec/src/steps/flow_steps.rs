//! Steps that lead to other branches.

use serde_json::{Map, Value, json};

use super::{Builtin, Inactive, Level, fail_on_error, object};
use crate::condition::{Condition, Simple};
use crate::parameters::is_dynamic;
use crate::problem::Problem;
use crate::reader::{Reader, Reported};
use crate::step::{
    Aggregation, BranchId, Choice, DoWhile, Elements, Execution, ForEach, Parallel, Retry, StepKind, Tracks, When,
};

/// The platform writes the tracks of its editor on some steps, as null.
const TRACKS: &[Inactive] = &[
    Inactive::WhenOff("onProcessTrack"),
    Inactive::WhenOff("onExceptionTrack"),
];

pub(super) static STEPS: &[Builtin] = &[
    Builtin {
        name: "choice",
        level: Level::Step,
        summary: "Goes on in the first branch whose condition holds.",
        schema: || {
            let condition = object(
                &["target"],
                json!({
                    "target": {"type": "string", "description": "The branch to go on in."},
                    "jsonPath": {"type": "string", "description": "Holds when its result is not empty."},
                    "simple": {"type": "string", "description": "#{path} == 'value', joined by && and ||."},
                    "description": {"type": "string", "description": "A note for people."},
                    "type": {"type": "string", "description": "Written by the platform; without effect."},
                }),
            );
            object(
                &["when"],
                json!({
                    "when": {"type": "array", "items": condition, "description": "The conditions, in their order."},
                    "otherwise": {"type": "string", "description": "The branch to go on in when none holds."},
                }),
            )
        },
        inactive: TRACKS,
        read: read_choice,
    },
    Builtin {
        name: "for-each-connector",
        level: Level::Params,
        summary: "Runs a track for each element of an array.",
        schema: || {
            with_tracks(json!({
                "expression": {"type": "string", "description": "An expression that gives the array."},
                "jsonPath": {"type": "string", "default": "$", "description": "Where the array is in the message."},
                "itemIdentifier": {"type": "string", "description": "Written by the platform; without effect."},
                "parallel": {"type": "boolean", "default": false, "description": "Whether up to ten elements are worked on at a time."},
                "failOnError": fail_on_error(false),
            }))
        },
        // A bound on digits that `advanced` would switch on.
        inactive: &[
            Inactive::Always("maxNumberLength"),
            Inactive::WhenOff("onProcessTrack"),
            Inactive::WhenOff("onExceptionTrack"),
        ],
        read: read_for_each,
    },
    Builtin {
        name: "block-execution-connector",
        level: Level::Params,
        summary: "Runs a track, and another one after an error in it.",
        schema: || with_tracks(json!({ "failOnError": fail_on_error(false) })),
        inactive: TRACKS,
        read: |reader| tracks(reader).map(StepKind::Block),
    },
    Builtin {
        name: "retry-connector",
        level: Level::Params,
        summary: "Runs a track until it ends in success.",
        schema: || {
            with_tracks(json!({
                "maxRetry": {"type": "integer", "minimum": 1, "default": 3, "description": "With the first run."},
                "timeout": {"type": "integer", "minimum": 0, "default": 30000, "description": "Milliseconds."},
                "failOnError": fail_on_error(false),
            }))
        },
        inactive: TRACKS,
        read: |reader| {
            let max_retry = reader.setting("maxRetry", 3);
            let timeout = reader.setting("timeout", 30_000);
            let fail_on_error = reader.bool("failOnError", false);
            let tracks = tracks(reader);
            Ok(StepKind::Retry(Retry {
                max_retry: max_retry?,
                timeout: timeout?,
                fail_on_error: fail_on_error?,
                tracks: tracks?,
            }))
        },
    },
    Builtin {
        name: "do-while-connector",
        level: Level::Params,
        summary: "Runs a track again and again, until it says that it is enough.",
        schema: || {
            with_tracks(json!({
                "iteration": {"type": "integer", "minimum": 0, "default": 10, "description": "How often the track runs at most."},
                "timeout": {"type": "integer", "minimum": 0, "default": 300_000, "description": "How long all runs together may take, in milliseconds."},
                "showLoopIndex": {"type": "boolean", "default": false, "description": "Whether the message of each run gets its number as `loopIndex`, from 1."},
                "interruptLoopOnError": {"type": "boolean", "default": true, "description": "Whether an error in a run ends the loop."},
                "failOnError": fail_on_error(false),
            }))
        },
        inactive: TRACKS,
        read: read_do_while,
    },
    Builtin {
        name: "parallel-execution-connector",
        level: Level::Params,
        summary: "Runs branches side by side and joins their results.",
        schema: || {
            let execution = object(
                &["target"],
                json!({
                    "target": {"type": "string", "description": "The branch."},
                    "executionId": {"type": "string", "description": "The name of its result."},
                    "description": {"type": "string", "description": "A note for people."},
                }),
            );
            object(
                &["parallelExecutions"],
                json!({
                    "parallelExecutions": {"type": "array", "minItems": 1, "items": execution, "description": "The branches."},
                    "aggregationType": {"enum": ["COLLATE", "SUMMARY"], "default": "COLLATE", "description": "COLLATE gives each result, SUMMARY counts them."},
                    "showExecutionIds": {"type": "boolean", "default": true, "description": "Whether each result stands with its executionId."},
                    "reportExceptions": {"type": "boolean", "default": true, "description": "Whether an error stands in the result; null stands there otherwise."},
                    "failOnError": fail_on_error(false),
                }),
            )
        },
        inactive: TRACKS,
        read: read_parallel,
    },
];

fn with_tracks(mut properties: Value) -> Value {
    if let Some(properties) = properties.as_object_mut() {
        let described = |text: &str| json!({"type": "string", "description": text});
        properties.insert("onProcess".to_owned(), described("The branch that does the work."));
        properties.insert(
            "onException".to_owned(),
            described("The branch that runs after an error."),
        );
    }
    object(&[], properties)
}

fn read_choice(reader: &mut Reader<'_>) -> Result<StepKind, Reported> {
    let written = reader.list("when")?;
    let ways: Vec<_> = written
        .iter()
        .enumerate()
        .filter_map(|(index, way)| way.as_object().map(|way| read_when(reader, index, way)))
        .collect();
    let otherwise = match reader.text("otherwise")? {
        Some(name) => reader.branch(&reader.parameter("otherwise"), &name).map(Some),
        None => Ok(None),
    };
    if written.is_empty() && matches!(otherwise, Ok(None)) {
        let problem = Problem::invalid("the choice leads nowhere").advise("give `when` at least one condition");
        return Err(reader.report(reader.base, problem));
    }
    Ok(StepKind::Choice(Choice {
        when: ways.into_iter().collect::<Result<_, _>>()?,
        otherwise: otherwise?,
    }))
}

fn read_when(reader: &mut Reader<'_>, index: usize, way: &Map<String, Value>) -> Result<When, Reported> {
    let at = format!("{}/{index}", reader.parameter("when"));
    let text = |key: &str| {
        way.get(key)
            .and_then(Value::as_str)
            .filter(|text| !text.trim().is_empty())
    };
    let condition = match (text("jsonPath"), text("simple")) {
        (Some(path), None) => reader
            .json_path(&format!("{at}/jsonPath"), path)
            .map(Condition::JsonPath),
        (None, Some(simple)) => read_simple(reader, &format!("{at}/simple"), simple),
        (None, None) => Err(reader.report(
            &at,
            Problem::invalid("the condition is missing").advise("give it a `jsonPath` or a `simple` comparison"),
        )),
        (Some(_), Some(_)) => Err(reader.report(
            &at,
            Problem::invalid("there are two conditions, `jsonPath` and `simple`").advise("leave one out"),
        )),
    };
    let target = read_target(reader, &at, way);
    Ok(When {
        condition: condition?,
        target: target?,
    })
}

/// One without a target was refused by the check against the schema.
fn read_target(reader: &mut Reader<'_>, at: &str, way: &Map<String, Value>) -> Result<BranchId, Reported> {
    match way.get("target") {
        Some(Value::String(name)) => reader.branch(&format!("{at}/target"), name),
        _ => Err(Reported::already()),
    }
}

fn read_simple(reader: &mut Reader<'_>, parameter: &str, text: &str) -> Result<Condition, Reported> {
    match Simple::parse(text) {
        Ok(simple) => {
            for comparison in simple.comparisons() {
                reader.findings.wanted_paths.insert(comparison.path());
            }
            Ok(Condition::Simple(simple))
        }
        Err(_) if is_dynamic(text) => {
            let problem = Problem::invalid("an expression in double braces cannot stand in a `simple` condition");
            Err(reader.report(parameter, problem.advise("write the path as `#{path}`")))
        }
        Err(error) => {
            let message = format!("it is not understood: expected {}", error.expected);
            Err(reader.report_within(parameter, error.position, Problem::invalid(message)))
        }
    }
}

fn read_for_each(reader: &mut Reader<'_>) -> Result<StepKind, Reported> {
    let elements = read_elements(reader);
    let item_identifier = reader.text("itemIdentifier");
    let parallel = reader.bool("parallel", false);
    let fail_on_error = reader.bool("failOnError", false);
    let tracks = tracks(reader);
    Ok(StepKind::ForEach(ForEach {
        elements: elements?,
        item_identifier: item_identifier?,
        parallel: parallel?,
        fail_on_error: fail_on_error?,
        tracks: tracks?,
    }))
}

/// `expression` wins, since the platform keeps the older `jsonPath` beside it. Without braces it is a path, too.
fn read_elements(reader: &mut Reader<'_>) -> Result<Elements, Reported> {
    match reader.template("expression")? {
        Some(template) if !template.is_literal() => return Ok(Elements::Expression(template)),
        Some(_) => {
            let text = reader.need_text("expression")?;
            if !text.trim().is_empty() {
                return reader
                    .json_path(&reader.parameter("expression"), &text)
                    .map(Elements::JsonPath);
            }
        }
        None => {}
    }
    let path = reader.text("jsonPath")?.unwrap_or_else(|| "$".to_owned());
    reader
        .json_path(&reader.parameter("jsonPath"), &path)
        .map(Elements::JsonPath)
}

fn read_do_while(reader: &mut Reader<'_>) -> Result<StepKind, Reported> {
    let iterations = reader.setting("iteration", 10);
    let timeout = reader.setting("timeout", 300_000);
    let shows_index = reader.bool("showLoopIndex", false);
    let interrupt_on_error = reader.bool("interruptLoopOnError", true);
    let tracks = tracks(reader);
    Ok(StepKind::DoWhile(DoWhile {
        iterations: iterations?,
        timeout: timeout?,
        shows_index: shows_index?,
        interrupt_on_error: interrupt_on_error?,
        tracks: tracks?,
    }))
}

fn read_parallel(reader: &mut Reader<'_>) -> Result<StepKind, Reported> {
    let executions: Vec<_> = reader
        .list("parallelExecutions")?
        .iter()
        .enumerate()
        .filter_map(|(index, execution)| execution.as_object().map(|execution| (index, execution)))
        .map(|(index, execution)| {
            let at = format!("{}/{index}", reader.parameter("parallelExecutions"));
            let target = read_target(reader, &at, execution)?;
            let text = |key: &str| {
                execution
                    .get(key)
                    .and_then(Value::as_str)
                    .filter(|text| !text.is_empty())
            };
            let owned = |key: &str| text(key).map(str::to_owned);
            Ok(Execution {
                execution_id: owned("executionId"),
                description: owned("description"),
                target,
            })
        })
        .collect();
    let aggregations = [("COLLATE", Aggregation::Collate), ("SUMMARY", Aggregation::Summary)];
    let aggregation = reader.choice("aggregationType", &aggregations, Aggregation::Collate);
    let show_execution_ids = reader.bool("showExecutionIds", true);
    let report_exceptions = reader.bool("reportExceptions", true);
    Ok(StepKind::Parallel(Parallel {
        executions: executions.into_iter().collect::<Result<_, _>>()?,
        aggregation: aggregation?,
        show_execution_ids: show_execution_ids?,
        report_exceptions: report_exceptions?,
    }))
}

/// An onException branch that is named and not there is common, and means that there is none. The work must be there.
fn tracks(reader: &mut Reader<'_>) -> Result<Tracks, Reported> {
    let on_process = on_process(reader);
    let on_exception = match reader
        .text("onException")?
        .or_else(|| conventional(reader, "onExceptionTrack"))
    {
        Some(name) if reader.shared.branch_ids.contains_key(&name) => {
            Some(reader.branch(&reader.parameter("onException"), &name)?)
        }
        _ => None,
    };
    Ok(Tracks {
        on_process: on_process?,
        on_exception,
    })
}

fn on_process(reader: &mut Reader<'_>) -> Result<BranchId, Reported> {
    match reader
        .text("onProcess")?
        .or_else(|| conventional(reader, "onProcessTrack"))
    {
        Some(name) => reader.branch(&reader.parameter("onProcess"), &name),
        None => {
            let problem = Problem::invalid("the branch that does the work is missing");
            Err(reader.report(reader.base, problem.advise("name it under `onProcess`")))
        }
    }
}

/// The name that the platform gives a track, when a branch has it.
fn conventional(reader: &Reader<'_>, track: &str) -> Option<String> {
    let name = format!("{}-{track}", reader.step.id.as_ref()?);
    reader.shared.branch_ids.contains_key(&name).then_some(name)
}
