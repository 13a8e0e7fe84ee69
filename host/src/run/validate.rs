//! The step that checks a value against a JSON Schema.

use pipepost_core::{Failure, FailureKind};
use pipepost_flowspec::{CompiledSchema, SchemaSource, SchemaViolation, Validator};
use serde_json::{Value, json};

use super::RunError;
use super::step_context::StepContext;

impl StepContext<'_> {
    /// The value itself; where it does not conform, the run's error or an output that says in which ways.
    pub(super) fn validate(&self, validator: &Validator) -> Result<Value, RunError> {
        let (value, violations) = match self.checked(validator) {
            Ok(checked) => checked,
            Err(error) => return self.end_in(validator.fail_on_error, error),
        };
        let Some(first) = violations.first() else {
            return Ok(value);
        };
        // The value's own content stands in the output, and in no sentence that is logged.
        let message = format!(
            "The value does not conform to the JSON Schema ({} {}); first at `{}`, which does not meet `{}`.",
            violations.len(),
            if violations.len() == 1 { "error" } else { "errors" },
            json_path(&first.instance),
            first.keyword
        );
        let failure = Failure::new(FailureKind::Invalid, message);
        let shown: Vec<Value> = violations.iter().map(|found| shown(found, validator.simple)).collect();
        if validator.fail_on_error {
            return Err(self.error(failure).with(json!({ "validation": shown })));
        }
        self.tolerate(failure);
        Ok(json!({ "success": false, "validation": shown }))
    }

    fn checked(&self, validator: &Validator) -> Result<(Value, Vec<SchemaViolation>), RunError> {
        let invalid = |message: String| self.error(Failure::new(FailureKind::Invalid, message));
        let value = match &validator.payload {
            None => Value::clone(&self.frame.message),
            Some(source) => match self.json("payload", source)? {
                // JSON text is the JSON that it holds.
                Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
                value => value,
            },
        };
        let violations = match &validator.schema {
            SchemaSource::Compiled(schema) => schema.violations(&value),
            SchemaSource::Expressions(source) => {
                let schema = match self.json("jsonSchema", source)? {
                    Value::String(text) => serde_json::from_str(&text)
                        .map_err(|_| invalid("The parameter `jsonSchema` is a text and no JSON.".to_owned()))?,
                    schema => schema,
                };
                CompiledSchema::new(&schema, validator.draft)
                    .map_err(|reason| invalid(format!("The parameter `jsonSchema` is not understood: {reason}.")))?
                    .violations(&value)
            }
        };
        Ok((value, violations))
    }
}

fn shown(violation: &SchemaViolation, simple: bool) -> Value {
    if simple {
        return json!(violation.message);
    }
    json!({
        "type": violation.keyword,
        "path": json_path(&violation.instance),
        "schemaPath": format!("#{}", violation.schema),
        "message": violation.message,
    })
}

/// A place in the form that the platform writes, `$.items[0].id`.
fn json_path(pointer: &str) -> String {
    let mut path = "$".to_owned();
    for token in pointer.split('/').skip(1) {
        let name = token.replace("~1", "/").replace("~0", "~");
        match name.parse::<usize>() {
            Ok(index) => path.push_str(&format!("[{index}]")),
            Err(_) => path.push_str(&format!(".{name}")),
        }
    }
    path
}
