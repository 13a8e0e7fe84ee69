//! Steps that start other pipelines of the same server.

use serde_json::{Value, json};

use super::{Builtin, Level, fail_on_error, object};
use crate::parameters::is_dynamic;
use crate::reader::{Reader, Reported};
use crate::step::{EventPublisher, JsonSource, PipelineExecutor, StepKind};

/// How long a step waits for the other pipeline's answer, in milliseconds.
const TIMEOUT: u64 = 20_000;

/// The event's name where the document says none.
const EVENT_NAME: &str = "{{ DEFAULT(message.eventName, \"new-event\") }}";

/// The event's body where the document says none.
const EVENT_BODY: &str = "{{ message.$ }}";

pub(super) static STEPS: &[Builtin] = &[
    Builtin {
        name: "pipeline-executor-connector",
        level: Level::Params,
        summary: "Runs another pipeline of the same server.",
        schema: || {
            object(
                &["pipelineName"],
                json!({
                    "operation": {"enum": ["SYNC", "ASYNC"], "default": "SYNC", "description": "SYNC waits for the other pipeline's answer; ASYNC goes on at once."},
                    "pipelineName": {"type": "string", "minLength": 1, "description": "The name of the other pipeline."},
                    "versionMajor": {"type": "integer", "minimum": 0, "default": 1, "description": "The major version that the other pipeline must have, if its document says one."},
                    "payload": {"description": "The other pipeline's message: JSON text with expressions, or the JSON itself; without it, an empty object."},
                    "timeout": {"type": "integer", "minimum": 1, "default": TIMEOUT, "description": "How long SYNC waits for the answer, in milliseconds."},
                    "expiration": {"type": "integer", "minimum": 1, "description": "How long the other run may wait before it begins, in milliseconds; without it, SYNC lets it wait as long as `timeout`, ASYNC as long as the other pipeline's own `expiration`."},
                    "failOnError": fail_on_error(false),
                }),
            )
        },
        inactive: &[],
        read: read_executor,
    },
    Builtin {
        name: "event-publisher-connector",
        level: Level::Params,
        summary: "Starts every pipeline of the same server that waits for an event.",
        schema: || {
            object(
                &[],
                json!({
                    "eventName": {"type": "string", "minLength": 1, "default": EVENT_NAME, "description": "The event's name: the `eventName` of the pipelines that it starts.", "x-pipepost-alias": ["event"]},
                    "body": {"default": EVENT_BODY, "description": "The message of the pipelines that it starts: JSON text with expressions, or the JSON itself."},
                    "logEachEvent": {"type": "boolean", "default": false, "description": "Whether each event is a line of the log.", "x-pipepost-alias": ["logEachEventSent", "logEvents"]},
                    "failOnError": fail_on_error(false),
                }),
            )
        },
        inactive: &[],
        read: read_publisher,
    },
];

fn read_executor(reader: &mut Reader<'_>) -> Result<StepKind, Reported> {
    let waits = reader.choice("operation", &[("SYNC", true), ("ASYNC", false)], true);
    let pipeline = reader.needed_template("pipelineName");
    let version_major = reader.setting("versionMajor", 1);
    let payload = json_or_none(reader, "payload");
    let timeout = reader.setting("timeout", TIMEOUT);
    let expiration = match reader.settings.contains_key("expiration") {
        true => reader.setting("expiration", 0).map(Some),
        false => Ok(None),
    };
    let fail_on_error = reader.bool("failOnError", false);
    if let Some(name) = literal(reader, "pipelineName") {
        reader.findings.wanted_pipelines.push((reader.branch, name));
    }
    Ok(StepKind::PipelineExecutor(Box::new(PipelineExecutor {
        waits: waits?,
        pipeline: pipeline?,
        version_major: version_major?,
        payload: payload?,
        timeout: timeout?,
        expiration: expiration?,
        fail_on_error: fail_on_error?,
    })))
}

fn read_publisher(reader: &mut Reader<'_>) -> Result<StepKind, Reported> {
    let event = reader.template_or("eventName", EVENT_NAME);
    if json_is_blank(reader, "body") {
        reader.settings.insert("body".to_owned(), EVENT_BODY.into());
    }
    let body = reader.needed_json("body");
    let logs = reader.bool("logEachEvent", false);
    let fail_on_error = reader.bool("failOnError", false);
    if let Some(name) = literal(reader, "eventName") {
        reader.findings.wanted_events.push((reader.branch, name));
    }
    Ok(StepKind::EventPublisher(Box::new(EventPublisher {
        event: event?,
        body: body?,
        logs: logs?,
        fail_on_error: fail_on_error?,
    })))
}

/// JSON, where the text is not blank.
fn json_or_none(reader: &mut Reader<'_>, name: &str) -> Result<Option<JsonSource>, Reported> {
    if json_is_blank(reader, name) {
        return Ok(None);
    }
    reader.json(name)
}

fn json_is_blank(reader: &Reader<'_>, name: &str) -> bool {
    match reader.settings.get(name) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(_) => false,
    }
}

/// A text in which no expression stands.
fn literal(reader: &Reader<'_>, name: &str) -> Option<String> {
    let text = reader.settings.get(name)?.as_str()?.trim();
    (!text.is_empty() && !is_dynamic(text)).then(|| text.to_owned())
}
