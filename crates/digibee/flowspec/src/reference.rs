//! What every step type does with the message: the source of the reference documentation. The parameters come from the
//! same schemas that documents are checked by.

use std::fmt::Write as _;

use serde_json::Value;

use crate::steps::{self, Level};

/// What the message is in a step's branches, and after the step.
const MESSAGES: &[(&str, &str)] = &[
    (
        "json-generator-connector",
        "After it the message is the value of `json`.",
    ),
    ("log-connector", "The message stays as it is."),
    (
        "throw-error-connector",
        "Nothing follows in this branch. An `onException` branch around it gets the error as its message.",
    ),
    (
        "assert-connector-v2",
        "The message stays as it is when the assertion holds.",
    ),
    (
        "session-management",
        "The message stays as it is; after GET it has the fields as well.",
    ),
    ("delayer", "The message stays as it is."),
    (
        "template-transformer",
        "The template reads the field of the message that `modelPath` names, `body` when it is left out: `${name}` is `message.body.name`. After the step the message is `{\"body\": the text, \"_body\": the field as it was}`; after an error `{\"body\": null, \"_error\": ..., \"_body\": ...}`.",
    ),
    (
        "json-path-transformer",
        "After it the message is what the path selects.",
    ),
    (
        "json-string-to-json-transformer",
        "The text in the field becomes JSON; the text stays beside it with a `_` before its name.",
    ),
    (
        "json-to-json-string-transformer",
        "The value in the field becomes JSON text; the value stays beside it with a `_` before its name.",
    ),
    (
        "file-writer-connector",
        "After it the message is `{\"fileName\": ..., \"success\": true}`.",
    ),
    (
        "object-store-connector",
        "After it the message is `{\"data\": [...], \"rowCount\": ...}` with the objects that were found, each with its id as `_oId`; after a change `{\"data\": [], \"updateCount\": ...}` with the number of objects that were changed. Queries have `$eq`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte`, `$in`, `$nin`, `$exists`, `$and`, `$or`; updates `$set`, `$setOnInsert`, `$unset`, `$inc`, `$push`. Any other operator is refused by its name.",
    ),
    (
        "validator",
        "After it the message is the value that was checked. A value that does not conform gives `{\"success\": false, \"validation\": [{\"type\": ..., \"path\": ..., \"schemaPath\": ..., \"message\": ...}]}`, or ends the run.",
    ),
    (
        "validator-connector-v2",
        "After it the message is the value that was checked. A value that does not conform gives `{\"success\": false, \"validation\": [{\"type\": ..., \"path\": ..., \"schemaPath\": ..., \"message\": ...}]}`, or ends the run.",
    ),
    (
        "do-while-connector",
        "The first run begins with the message as it is, each further one with what the run before left. A run that leaves `\"loopBreak\": true` is the last one. An error ends the loop and goes up, unless `onException` is there to leave the loop's output instead. With `interruptLoopOnError` off, the next run begins with what `onException` left, or with the error. After the step the message is what the last run left.",
    ),
    (
        "choice",
        "The branch that is chosen begins with the message as it is; nothing follows the step in its own branch.",
    ),
    (
        "for-each-connector",
        "In `onProcess` the message is the element. After the step it is `{\"total\": ..., \"success\": ..., \"failed\": ...}`; an element counts as a success when its track ends with `{\"success\": true}`.",
    ),
    (
        "block-execution-connector",
        "`onProcess` begins with the message as it is; `onException` gets the error. After the step the message is what the last of them left.",
    ),
    (
        "retry-connector",
        "The first try begins with the message as it is, each further one with what the try before left; `onException` gets the error, and `{\"success\": true}` at its end stops the retry. After the step the message is what the last try left.",
    ),
    (
        "pipeline-executor-connector",
        "The other pipeline begins with `payload` as its message. After the step the message is `{\"operation\": ..., \"pipelineName\": ..., \"versionMajor\": ..., \"success\": ..., \"payload\": ...}`, with SYNC also `\"pipelineResponse\"`, the last message of the other pipeline. Where the other run failed, `success` is false, with `message`, `exception` and `failure`. The step runs under `pipepost serve` only; the same run never starts a second one at the same place.",
    ),
    (
        "event-publisher-connector",
        "Each pipeline that the event starts begins with `body` as its message. After the step the message is `{\"success\": true, \"eventName\": ..., \"body\": ..., \"pipelines\": [...]}` with the names of these pipelines. The step runs under `pipepost serve` only; the same run never publishes a second event at the same place.",
    ),
    (
        "parallel-execution-connector",
        "Each branch begins with the message as it is. After the step the message is `[{\"executionId\": ..., \"result\": ...}]` with COLLATE, `{\"total\": ..., \"success\": ..., \"failed\": ...}` with SUMMARY.",
    ),
];

/// Returns the reference of the step types that the runtime itself performs, as Markdown. The reference of a connector
/// is its schema.
pub fn steps_markdown() -> String {
    let mut text = String::from(
        "# Steps\n\n\
         The step types that the runtime performs itself. A connector's parameters are in its schema\n\
         (`pipepost schema email-connector-v2`).\n\n\
         A step's output is the message of the next step. `{{ step.alias }}` is the output of an earlier step that has the key\n\
         `doubleBracesAlias`. Every parameter may be an expression, unless its type says otherwise.\n",
    );
    for builtin in steps::builtins() {
        let at = match builtin.level {
            Level::Step => format!("`\"type\": \"{}\"`; its settings stand beside `type`.", builtin.name),
            Level::Params => format!(
                "`\"type\": \"connector\", \"name\": \"{}\"`; its settings stand under `params`.",
                builtin.name
            ),
        };
        let _ = write!(text, "\n## {}\n\n{} {at}\n", builtin.name, builtin.summary);
        if let Some((_, message)) = MESSAGES.iter().find(|(name, _)| *name == builtin.name) {
            let _ = write!(text, "\n{message}\n");
        }
        write_parameters(&mut text, &(builtin.schema)());
    }
    text
}

fn write_parameters(text: &mut String, schema: &Value) {
    let Some(properties) = schema["properties"]
        .as_object()
        .filter(|properties| !properties.is_empty())
    else {
        return;
    };
    let required = |name: &str| {
        schema["required"]
            .as_array()
            .is_some_and(|required| required.iter().any(|required| required == name))
    };
    text.push_str("\n| parameter | type | default | meaning |\n| --- | --- | --- | --- |\n");
    for (name, property) in properties {
        let default = match &property["default"] {
            Value::Null if required(name) => "needed".to_owned(),
            Value::Null => String::new(),
            Value::String(word) => format!("`{word}`"),
            other => format!("`{other}`"),
        };
        let meaning = property["description"].as_str().unwrap_or_default();
        let _ = writeln!(
            text,
            "| `{name}` | {} | {default} | {} |",
            type_of(property),
            meaning.replace('|', "\\|")
        );
    }
}

fn type_of(property: &Value) -> String {
    if let Some(words) = property["enum"].as_array() {
        let words: Vec<String> = words
            .iter()
            .filter_map(Value::as_str)
            .map(|word| format!("`{word}`"))
            .collect();
        return words.join(", ");
    }
    match &property["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_step_says_what_the_message_is_and_every_parameter_what_it_means() {
        let mut missing = Vec::new();
        for builtin in steps::builtins() {
            if !MESSAGES.iter().any(|(name, _)| *name == builtin.name) {
                missing.push(builtin.name.to_owned());
            }
            undescribed(&(builtin.schema)(), builtin.name, &mut missing);
        }
        assert!(missing.is_empty(), "{missing:?}");
        for (name, _) in MESSAGES {
            assert!(steps::is_builtin(name), "{name}");
        }
    }

    fn undescribed(schema: &Value, at: &str, missing: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let at = format!("{at}.{name}");
            undescribed(&property["items"], &at, missing);
            if property["description"].as_str().is_none_or(str::is_empty) {
                missing.push(at);
            }
        }
    }

    #[test]
    fn the_document_is_what_the_program_prints() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/reference/steps.md");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, steps_markdown()).expect("written");
        }
        let written = std::fs::read_to_string(&path).expect("the document");
        assert!(
            written == steps_markdown(),
            "docs/reference/steps.md is out of date: run this test with BLESS=1"
        );
    }
}
