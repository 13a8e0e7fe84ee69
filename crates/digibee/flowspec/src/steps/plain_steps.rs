//! Steps that lead to no other branch.

use pipepost_freemarker::Escape;
use serde_json::{Value, json};

use super::{Builtin, Inactive, Level, fail_on_error, object};
use crate::parameters::is_dynamic;
use crate::problem::Problem;
use crate::reader::{BodySource, Reader, Reported};
use crate::step::{
    Assert, Delayer, FieldTransformer, FileExists, FileWriter, JsonGenerator, JsonPathTransformer, LineEnd, Log,
    LogLevel, Session, SessionOperation, StepKind, TemplateTransformer, ThrowError,
};

pub(super) static STEPS: &[Builtin] = &[
    Builtin {
        name: "json-generator-connector",
        level: Level::Params,
        summary: "Makes the message anew from a JSON template.",
        schema: || {
            object(
                &["json"],
                json!({
                    "json": {"description": "The new message: JSON text with expressions, or the JSON itself."},
                    "failOnError": fail_on_error(false),
                }),
            )
        },
        inactive: &[],
        read: |reader| {
            let (json, fail_on_error) = (reader.needed_json("json"), reader.bool("failOnError", false));
            Ok(StepKind::JsonGenerator(JsonGenerator {
                json: json?,
                fail_on_error: fail_on_error?,
            }))
        },
    },
    Builtin {
        name: "log-connector",
        level: Level::Params,
        summary: "Writes a log line; the message goes on unchanged.",
        schema: || {
            object(
                &[],
                json!({
                    "logLevel": {"enum": ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"], "default": "INFO", "description": "How the line is marked."},
                    "message": {"type": "string", "description": "The line; without it, the message."},
                }),
            )
        },
        inactive: &[],
        read: |reader| {
            let levels = [
                ("TRACE", LogLevel::Trace),
                ("DEBUG", LogLevel::Debug),
                ("INFO", LogLevel::Info),
                ("WARN", LogLevel::Warn),
                ("ERROR", LogLevel::Error),
            ];
            let (level, message) = (
                reader.choice("logLevel", &levels, LogLevel::Info),
                reader.template("message"),
            );
            Ok(StepKind::Log(Log {
                level: level?,
                message: message?,
            }))
        },
    },
    Builtin {
        name: "throw-error-connector",
        level: Level::Params,
        summary: "Ends the run, or the track, with an error.",
        schema: || {
            object(
                &[],
                json!({
                    "errorMessage": {"type": "string", "description": "The error's text."},
                    "errorCode": {"type": ["integer", "string"], "description": "The error's code."},
                    "customErrorEnabled": {"type": "boolean", "default": false, "description": "Whether the error is written as JSON of its own."},
                    "customError": {"description": "The error object, when `customErrorEnabled` is true."},
                }),
            )
        },
        // It is an error whatever these say.
        inactive: &[Inactive::Always("failOnError")],
        read: read_throw_error,
    },
    Builtin {
        name: "assert-connector-v2",
        level: Level::Params,
        summary: "Fails when a condition does not hold.",
        schema: || {
            object(
                &["condition"],
                json!({
                    "condition": {"type": "boolean", "description": "Usually an expression that gives true or false."},
                    "errorMessage": {"type": "string", "description": "The error's text."},
                    "internalErrorMessage": {"type": "string", "description": "What is logged beside."},
                    "errorCode": {"type": ["integer", "string"], "description": "The error's code."},
                    "failOnError": fail_on_error(false),
                }),
            )
        },
        inactive: &[],
        read: |reader| {
            let condition = reader.setting("condition", false);
            let message = reader.template("errorMessage");
            let internal_message = reader.template("internalErrorMessage");
            let code = reader.value_template("errorCode");
            let fail_on_error = reader.bool("failOnError", false);
            Ok(StepKind::Assert(Assert {
                condition: condition?,
                message: message?,
                internal_message: internal_message?,
                code: code?,
                fail_on_error: fail_on_error?,
            }))
        },
    },
    Builtin {
        name: "session-management",
        level: Level::Step,
        summary: "Keeps fields of the message for later steps of the run, or brings them back.",
        schema: || {
            object(
                &["operation", "fields"],
                json!({
                    "operation": {"enum": ["PUT", "GET", "DELETE"], "description": "PUT keeps fields of the message, GET adds them to it, DELETE forgets them."},
                    "sessionType": {"enum": ["LOCAL", "GLOBAL"], "default": "LOCAL", "description": "LOCAL and GLOBAL are one session here, that of the run."},
                    "fields": {"type": "array", "items": {"type": "string", "minLength": 1}, "description": "The names of the fields."},
                }),
            )
        },
        inactive: &[],
        read: read_session,
    },
    Builtin {
        name: "delayer",
        level: Level::Step,
        summary: "Waits.",
        schema: || {
            object(
                &[],
                json!({
                    "delayMilliseconds": {
                        "type": "integer", "minimum": 0, "default": 10, "description": "How long, in milliseconds.",
                        "x-pipepost-alias": ["delay", "delayTime", "milliseconds", "time"],
                    },
                }),
            )
        },
        inactive: &[],
        read: |reader| {
            Ok(StepKind::Delayer(Delayer {
                delay: reader.setting("delayMilliseconds", 10)?,
            }))
        },
    },
    Builtin {
        name: "template-transformer",
        level: Level::Step,
        summary: "Renders a FreeMarker template over a part of the message.",
        schema: || {
            object(
                &["template"],
                json!({
                    "modelPath": {"type": "string", "default": "body", "description": "The field of the message that the template reads, and that its text replaces."},
                    "template": {"type": "string", "x-pipepost-template": true, "description": "The FreeMarker template."},
                    "preserveOriginal": {"type": "boolean", "default": true, "description": "Whether the field as it was stays, with a _ before its name."},
                }),
            )
        },
        inactive: &[],
        read: |reader| {
            let model_path = reader.text("modelPath")?.unwrap_or_else(|| "body".to_owned());
            let text = reader.need_text("template");
            let preserve_original = reader.bool("preserveOriginal", true);
            let (parameter, text) = (reader.parameter("template"), text?);
            // The template's own paths begin at its model.
            let in_message = |path: String| match model_path.trim_matches(['$', '.']) {
                "" => Some(path),
                model => Some(format!("{model}.{path}")),
            };
            let template = reader.body(&parameter, &text, BodySource::Parameter, Escape::None, in_message)?;
            Ok(StepKind::TemplateTransformer(TemplateTransformer {
                model_path,
                template,
                preserve_original: preserve_original?,
            }))
        },
    },
    Builtin {
        name: "json-path-transformer",
        level: Level::Step,
        summary: "Replaces the message by what a JSONPath finds in it.",
        schema: || {
            object(
                &["jsonPath"],
                json!({
                    "jsonPath": {"type": "string", "description": "The path, in Jayway's dialect."},
                    "failOnError": fail_on_error(false),
                }),
            )
        },
        inactive: &[],
        read: |reader| {
            let (path, fail_on_error) = (reader.needed_json_path("jsonPath"), reader.bool("failOnError", false));
            Ok(StepKind::JsonPathTransformer(JsonPathTransformer {
                path: path?,
                fail_on_error: fail_on_error?,
            }))
        },
    },
    Builtin {
        name: "json-string-to-json-transformer",
        level: Level::Step,
        summary: "Turns a field of JSON text into JSON.",
        schema: field_transformer,
        inactive: &[],
        read: |reader| read_field_transformer(reader).map(StepKind::ParseJson),
    },
    Builtin {
        name: "json-to-json-string-transformer",
        level: Level::Step,
        summary: "Turns a field into JSON text.",
        schema: field_transformer,
        inactive: &[],
        read: |reader| read_field_transformer(reader).map(StepKind::PrintJson),
    },
    Builtin {
        name: "file-writer-connector",
        level: Level::Params,
        summary: "Writes a file into the run's directory.",
        schema: || {
            object(
                &["fileName", "inputData"],
                json!({
                    "fileName": {"type": "string", "minLength": 1, "description": "The name of the file, in the run's directory."},
                    "inputData": {"description": "What goes in: text, an array (a line an element), an object."},
                    "fileExistsPolicy": {"enum": ["append", "override", "fail"], "default": "append", "description": "What to do with a file that is there already."},
                    "charset": {"type": "string", "default": "UTF-8", "description": "The charset of the file."},
                    "isBinary": {"type": "boolean", "default": false, "description": "The input is base64."},
                    "endOfLinePolicy": {"enum": ["windows", "unix", "none"], "default": "windows", "description": "How each line ends."},
                    "coalesce": {"type": "boolean", "default": false, "description": "Whether an object is written as JSON."},
                    "failOnError": fail_on_error(false),
                }),
            )
        },
        inactive: &[Inactive::WhenOff("writeMetadataSidecar"), Inactive::WhenOff("metadata")],
        read: read_file_writer,
    },
];

fn read_throw_error(reader: &mut Reader<'_>) -> Result<StepKind, Reported> {
    let message = reader.template("errorMessage");
    let code = reader.value_template("errorCode");
    // The custom error stays in the document when it is switched off, often as an empty text.
    let custom = match reader.bool("customErrorEnabled", false) {
        Ok(true) => match reader.json("customError") {
            Ok(None) => {
                let problem = Problem::invalid("`customErrorEnabled` is true, and there is no `customError`");
                Err(reader.report(reader.base, problem))
            }
            read => read,
        },
        Ok(false) => Ok(None),
        Err(reported) => Err(reported),
    };
    Ok(StepKind::ThrowError(ThrowError {
        message: message?,
        code: code?,
        custom: custom?,
    }))
}

fn read_session(reader: &mut Reader<'_>) -> Result<StepKind, Reported> {
    let operations = [
        ("PUT", SessionOperation::Put),
        ("GET", SessionOperation::Get),
        ("DELETE", SessionOperation::Delete),
    ];
    reader.need_text("operation")?;
    let operation = reader.choice("operation", &operations, SessionOperation::Get);
    let is_global = reader.choice("sessionType", &[("LOCAL", false), ("GLOBAL", true)], false)?;
    if is_global {
        let problem = Problem::invalid("a session of type `GLOBAL` is not supported")
            .advise("use `LOCAL`, which lasts for the run");
        return Err(reader.report(&reader.parameter("sessionType"), problem));
    }
    let fields = reader.list("fields")?;
    if fields.iter().filter_map(Value::as_str).any(is_dynamic) {
        return Err(reader.no_expression("fields"));
    }
    let fields = fields.into_iter().filter_map(|field| match field {
        Value::String(field) => Some(field),
        _ => None,
    });
    Ok(StepKind::Session(Session {
        operation: operation?,
        fields: fields.collect(),
    }))
}

fn field_transformer() -> Value {
    object(
        &[],
        json!({
            "fieldPath": {
                "type": "string", "default": "payload", "description": "The field's place in the message, with dots.",
                "x-pipepost-alias": ["field", "jsonPath", "path"],
            },
            "preserveOriginal": {"type": "boolean", "default": true, "description": "Whether the field as it was stays, with a _ before its name."},
            "failOnError": fail_on_error(false),
        }),
    )
}

fn read_field_transformer(reader: &mut Reader<'_>) -> Result<FieldTransformer, Reported> {
    let field_path = reader.text("fieldPath");
    let preserve_original = reader.bool("preserveOriginal", true);
    let fail_on_error = reader.bool("failOnError", false);
    Ok(FieldTransformer {
        field_path: field_path?.unwrap_or_else(|| "payload".to_owned()),
        preserve_original: preserve_original?,
        fail_on_error: fail_on_error?,
    })
}

fn read_file_writer(reader: &mut Reader<'_>) -> Result<StepKind, Reported> {
    let policies = [
        ("append", FileExists::Append),
        ("override", FileExists::Override),
        ("fail", FileExists::Fail),
    ];
    let line_ends = [
        ("windows", LineEnd::Windows),
        ("unix", LineEnd::Unix),
        ("none", LineEnd::None),
    ];
    let file_name = reader.needed_template("fileName");
    let input = reader.needed_value_template("inputData");
    let file_exists = reader.choice("fileExistsPolicy", &policies, FileExists::Append);
    let charset = reader.template_or("charset", "UTF-8");
    let is_binary = reader.bool("isBinary", false);
    let line_end = reader.choice("endOfLinePolicy", &line_ends, LineEnd::Windows);
    let coalesce = reader.bool("coalesce", false);
    let fail_on_error = reader.bool("failOnError", false);
    Ok(StepKind::FileWriter(FileWriter {
        file_name: file_name?,
        input: input?,
        file_exists: file_exists?,
        charset: charset?,
        is_binary: is_binary?,
        line_end: line_end?,
        coalesce: coalesce?,
        fail_on_error: fail_on_error?,
    }))
}
