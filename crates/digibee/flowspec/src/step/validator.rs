//! The step that checks a value against a JSON Schema.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::JsonSource;

/// The version of the JSON Schema specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaDraft {
    /// Draft 4.
    V4,
    /// Draft 6.
    V6,
    /// Draft 7.
    V7,
    /// 2019-09.
    V2019,
    /// 2020-12.
    V2020,
}

/// A step that checks a value against a JSON Schema.
#[derive(Debug, Clone)]
pub struct Validator {
    /// The value; `None` for the message itself.
    pub payload: Option<JsonSource>,
    /// The schema.
    pub schema: SchemaSource,
    /// The version of the specification; `None` to read it from the schema's `$schema`.
    pub draft: Option<SchemaDraft>,
    /// Whether each error is shown by its message alone.
    pub simple: bool,
    /// Whether a value that does not conform ends the run.
    pub fail_on_error: bool,
}

/// The schema of a [`Validator`].
#[derive(Debug, Clone)]
pub enum SchemaSource {
    /// A schema without expressions.
    Compiled(CompiledSchema),
    /// A schema with expressions: it must be evaluated, and then compiled with [`CompiledSchema::new`].
    Expressions(JsonSource),
}

/// A JSON Schema that values can be checked against. It refers to nothing outside of itself.
#[derive(Clone)]
pub struct CompiledSchema(Arc<jsonschema::Validator>);

impl fmt::Debug for CompiledSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CompiledSchema")
    }
}

/// One way in which a value does not conform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaViolation {
    /// The place in the value, as a JSON pointer (RFC 6901).
    pub instance: String,
    /// The place in the schema, as a JSON pointer.
    pub schema: String,
    /// The keyword of the schema that is not met, such as `required`.
    pub keyword: String,
    /// A clause that says what is wrong. It may quote the value.
    pub message: String,
}

/// The largest number of violations that are reported.
const VIOLATIONS_MAX: usize = 100;

impl CompiledSchema {
    /// Compiles a schema. Formats such as `email` are checked. `None` as a draft means the one that `$schema` names, and
    /// 2020-12 where there is none.
    ///
    /// # Errors
    /// Returns a clause that says why it is no schema; a reference to another document is one reason.
    pub fn new(schema: &Value, draft: Option<SchemaDraft>) -> Result<Self, String> {
        let mut options = jsonschema::options();
        options = options.should_validate_formats(true);
        // The draft that is asked for holds, whatever the schema calls itself.
        let mut named = None;
        if let Some(draft) = draft {
            options = options.with_draft(match draft {
                SchemaDraft::V4 => jsonschema::Draft::Draft4,
                SchemaDraft::V6 => jsonschema::Draft::Draft6,
                SchemaDraft::V7 => jsonschema::Draft::Draft7,
                SchemaDraft::V2019 => jsonschema::Draft::Draft201909,
                SchemaDraft::V2020 => jsonschema::Draft::Draft202012,
            });
            named = schema.as_object().filter(|members| members.contains_key("$schema"));
        }
        let built = match named {
            Some(members) => {
                let mut members = members.clone();
                members.shift_remove("$schema");
                options.build(&Value::Object(members))
            }
            None => options.build(schema),
        };
        built.map(|validator| Self(Arc::new(validator))).map_err(|error| {
            match (outer_reference(schema), error.instance_path().as_str()) {
                (Some(target), _) => {
                    format!("it refers to `{target}`, and a schema here refers to nothing outside of itself")
                }
                (None, "") => error.to_string(),
                (None, place) => format!("at `{place}`, {error}"),
            }
        })
    }

    /// Returns the ways in which a value does not conform, at most a hundred of them; none for one that does.
    pub fn violations(&self, value: &Value) -> Vec<SchemaViolation> {
        let errors = self.0.iter_errors(value).take(VIOLATIONS_MAX);
        let violation = |error: jsonschema::ValidationError<'_>| SchemaViolation {
            instance: error.instance_path().to_string(),
            schema: error.schema_path().to_string(),
            keyword: error
                .schema_path()
                .to_string()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned(),
            message: error.to_string(),
        };
        errors.map(violation).collect()
    }
}

/// The first reference that leads out of the schema.
fn outer_reference(schema: &Value) -> Option<&str> {
    match schema {
        Value::Array(elements) => elements.iter().find_map(outer_reference),
        Value::Object(members) => members.iter().find_map(|(name, value)| match value {
            Value::String(target) if name == "$ref" && !target.starts_with('#') => Some(target.as_str()),
            below => outer_reference(below),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_told_each_way_in_which_it_does_not_conform() {
        let schema = json!({"type": "object", "required": ["id"], "properties": {"mail": {"type": "string", "format": "email"}}});
        let compiled = CompiledSchema::new(&schema, Some(SchemaDraft::V7)).unwrap();
        assert_eq!(compiled.violations(&json!({"id": 1, "mail": "a@b.example"})), []);
        let found = compiled.violations(&json!({"mail": 5}));
        let keywords: Vec<(&str, &str)> = found
            .iter()
            .map(|violation| (violation.keyword.as_str(), violation.instance.as_str()))
            .collect();
        assert!(
            keywords.contains(&("required", "")) && keywords.contains(&("type", "/mail")),
            "{found:?}"
        );
        assert_eq!(
            compiled.violations(&json!({"id": 1, "mail": "nobody"}))[0].keyword,
            "format"
        );
    }

    #[test]
    fn the_draft_that_is_asked_for_holds() {
        // Draft 4 writes the bound's exclusion beside the bound.
        let schema =
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "minimum": 1, "exclusiveMinimum": true});
        let compiled = CompiledSchema::new(&schema, Some(SchemaDraft::V4)).unwrap();
        assert_eq!(compiled.violations(&json!(1)).len(), 1);
        assert!(CompiledSchema::new(&schema, None).is_err());
    }

    #[test]
    fn a_schema_refers_to_nothing_outside_of_itself() {
        for schema in [
            json!({"$ref": "https://example.com/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"type": "nothing"}),
        ] {
            let reason = CompiledSchema::new(&schema, None).unwrap_err();
            let is_reference = schema.get("$ref").is_some();
            assert_eq!(reason.contains("outside of itself"), is_reference, "{reason}");
        }
    }
}
