//! JSON Schemas that are made from types, in the form that the host reads.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// The schema of a step's parameters: closed, and with the switch that every connector has.
pub(crate) fn of_parameters<T: JsonSchema>(name: &str) -> Value {
    let mut schema = of::<T>(name);
    schema["additionalProperties"] = json!(false);
    schema["properties"]["failOnError"] = json!({
        "type": "boolean",
        "description": "On: the run stops when this step fails. Off: it goes on, with `success` false.",
        "default": false,
    });
    schema
}

/// The schema of a step's output.
pub(crate) fn of_output<T: JsonSchema>(name: &str) -> Value {
    of::<T>(&format!("{name} output"))
}

fn of<T: JsonSchema>(title: &str) -> Value {
    // Sub-schemas stand where they are used: whoever reads one parameter finds all about it there.
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    unwrap_lines(&mut schema);
    schema["title"] = json!(title);
    schema
}

/// A doc comment is broken at the source's margin, which means nothing to the reader of a schema.
fn unwrap_lines(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "description" => *text = text.replace('\n', " "),
                    value => unwrap_lines(value),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(unwrap_lines),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it takes.
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "its schema is all that is wanted of it")]
    struct Parameters {
        /// Whom to greet,
        /// by name.
        name: String,
        #[schemars(extend("x-pipepost-alias" = "volume"))]
        loudness: Option<Loudness>,
    }

    #[derive(JsonSchema)]
    #[schemars(rename_all = "lowercase")]
    #[expect(dead_code, reason = "its schema is all that is wanted of it")]
    enum Loudness {
        Quiet,
        Loud,
    }

    #[test]
    fn a_schema_is_closed_and_has_the_switch_that_the_host_obeys() {
        let schema = of_parameters::<Parameters>("hello");
        assert_eq!(schema["title"], "hello");
        assert_eq!(schema["description"], "What it takes.");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["required"], json!(["name"]));
        assert_eq!(schema["properties"]["failOnError"]["type"], "boolean");
        assert_eq!(schema["properties"]["name"]["description"], "Whom to greet, by name.");
        assert_eq!(schema["properties"]["loudness"]["x-pipepost-alias"], "volume");
    }

    #[test]
    fn nothing_stands_elsewhere_than_where_it_is_used() {
        let text = of_parameters::<Parameters>("hello").to_string();
        assert!(text.contains("loud") && !text.contains("$ref"), "{text}");
    }
}
