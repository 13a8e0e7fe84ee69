//! The part of the connector's manifest about its parameters and its output: JSON Schema, draft 2020-12.
//!
//! Besides the standard keywords the parameters have annotations that the host obeys:
//!
//! | keyword | meaning |
//! | --- | --- |
//! | `x-pipepost-grant` | the parameter asks for a grant: `host`, `port`, `tls-port`, `sign-in`, `start-tls`, `tls` or `tls-1.2` |
//! | `x-pipepost-alias` | other keys for it, used in older documents |
//! | `x-pipepost-template` | its text is a body template; `"text"`: the template of a plain text, which is never escaped |
//! | `x-pipepost-segments` | text with values in it comes in segments ([`crate::segments`]); a text here says what a value that is the whole parameter may be a list of |
//! | `x-pipepost-escape` | how `ESCAPE` makes a value safe for its text |
//! | `x-pipepost-warn-empty` | the run warns when a value leaves it empty |
//! | `x-pipepost-items` | mail merge: an array of elements, each of which becomes a separate call |
//! | `x-pipepost-results` | mail merge: where the results go |
//! | `x-pipepost-group-by` | mail merge: an expression by whose values the elements are grouped |
//! | `x-pipepost-body` | what it says about the body template: `escape`, `media-type` or `plain-alternative` |
//! | `x-pipepost-file` | it may be `{"file": name}`, the content of a file next to the document |

/// JSON Schema of the step's parameters.
pub const PARAMETERS: &str = include_str!("schema/parameters.json");

/// JSON Schema of the step's output.
pub const OUTPUT: &str = include_str!("schema/output.json");

/// The account types that the connector accepts.
pub const ACCOUNT_TYPES: &[&str] = &["smtp-auth-and-properties", "basic", "oauth-2", "google-key"];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::output;

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).expect("the schema is JSON")
    }

    #[test]
    fn every_parameter_is_described_and_typed() {
        let schema = parsed(PARAMETERS);
        assert_eq!(schema["additionalProperties"], Value::Bool(false));
        let properties = schema["properties"].as_object().expect("the schema has properties");
        for (name, property) in properties {
            assert!(
                property["description"].as_str().is_some_and(|text| text.len() > 10),
                "{name}"
            );
            let types: Vec<&str> = match &property["type"] {
                Value::String(one) => vec![one],
                Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
                other => panic!("{name} has the type {other}"),
            };
            let known = ["string", "integer", "number", "boolean", "array", "object"];
            assert!(types.iter().all(|name| known.contains(name)), "{name} has {types:?}");
        }
    }

    #[test]
    fn every_member_of_the_output_is_described() {
        fn check(schema: &Value, at: &str) {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                let at = format!("{at}.{name}");
                assert!(
                    property["description"].as_str().is_some_and(|text| text.len() > 10),
                    "{at}"
                );
                check(property, &at);
                check(&property["items"], &at);
            }
        }
        check(&parsed(OUTPUT), "output");
    }

    #[test]
    fn the_parser_reads_exactly_what_the_schema_names() {
        let schema = parsed(PARAMETERS);
        let mut object = serde_json::Map::new();
        for name in schema["properties"]
            .as_object()
            .expect("the schema has properties")
            .keys()
        {
            object.insert(name.clone(), Value::String(String::new()));
        }
        object.insert("from".into(), "a@example.com".into());
        object.insert("to".into(), "b@example.com".into());
        let parameters = crate::parameters::Parameters::from_value(Value::Object(object), None).expect("all are empty");
        assert_eq!(parameters.warnings, Vec::<String>::new());
    }

    #[test]
    fn the_output_has_the_members_that_the_schema_requires() {
        let schema = parsed(OUTPUT);
        let names = |value: &Value| -> BTreeSet<String> {
            value
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect()
        };
        let properties: BTreeSet<String> = schema["properties"]
            .as_object()
            .expect("the schema has properties")
            .keys()
            .cloned()
            .collect();
        assert_eq!(names(&schema["required"]), properties);
        let output = parsed(&output::OutputPrefix::unknown().render(&output::Report::new(output::Outcome::Failed)));
        let rendered: BTreeSet<String> = output
            .as_object()
            .expect("the output is an object")
            .keys()
            .cloned()
            .collect();
        assert_eq!(rendered, properties);
    }
}
