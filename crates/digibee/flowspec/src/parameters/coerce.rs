//! The two forms of a value: native, and as text.

use serde_json::{Number, Value};

/// The types that JSON Schema knows.
const TYPES: usize = 7;

/// The types that a schema names, each once; empty when it names none and takes any.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Types<'s> {
    names: [&'s str; TYPES],
    count: usize,
}

impl<'s> Types<'s> {
    /// Those that a schema's `type` names.
    pub(super) fn named(kind: Option<&'s Value>) -> Self {
        let mut types = Self::default();
        match kind {
            Some(Value::String(one)) => types.add(one),
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).for_each(|one| types.add(one)),
            _ => {}
        }
        types
    }

    fn add(&mut self, kind: &'s str) {
        // Each is tried with the whole of a text.
        if self.count < TYPES && !self.contains(&kind) {
            self.names[self.count] = kind;
            self.count += 1;
        }
    }
}

impl<'s> std::ops::Deref for Types<'s> {
    type Target = [&'s str];

    fn deref(&self) -> &Self::Target {
        &self.names[..self.count]
    }
}

/// The types that a schema names.
pub(crate) fn types(schema: &Value) -> Types<'_> {
    Types::named(schema.get("type"))
}

pub(super) fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_i64().is_some() || value.as_u64().is_some(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

/// The value in one of these types, if it is or can be read as one; else the value as it was.
pub(super) fn coerce(value: Value, types: &[&str]) -> Result<Value, Value> {
    if types.is_empty() || types.iter().any(|kind| is_of(&value, kind)) {
        return Ok(value);
    }
    types.iter().find_map(|kind| into(&value, kind)).ok_or(value)
}

fn into(value: &Value, kind: &str) -> Option<Value> {
    match (value, kind) {
        (Value::String(text), "boolean") => match text.trim().to_ascii_lowercase().as_str() {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
        (Value::String(text), "integer") => text.trim().parse::<i64>().ok().map(Value::from),
        (Value::String(text), "number") => text.trim().parse().ok().and_then(Number::from_f64).map(Value::Number),
        (Value::String(text), "array" | "object") => serde_json::from_str(text)
            .ok()
            .filter(|parsed: &Value| is_of(parsed, kind)),
        // What a sheet or an expression gives as 587.0 is 587.
        (Value::Number(number), "integer") => {
            let float = number.as_f64()?;
            let whole = float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0;
            whole.then(|| Value::from(float as i64))
        }
        (Value::Number(_) | Value::Bool(_), "string") => Some(Value::String(value.to_string())),
        _ => None,
    }
}

/// `a whole number`, `text or an array`.
pub(super) fn describe(types: Types<'_>, takes_file: bool) -> String {
    let words = types.iter().map(|kind| match *kind {
        "null" => "null",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "text",
        "array" => "an array",
        "object" => "an object",
        other => other,
    });
    let words: Vec<&str> = words.chain(takes_file.then_some("`{\"file\": \"name\"}`")).collect();
    words.join(" or ")
}

/// What a value is, without what it holds: it may be a secret.
pub(super) fn describe_value(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "an empty text",
        Value::String(_) => "other text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
