//! A parameter that holds several names.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// A list of names in one parameter: an array of texts, or one text with commas between the names. Names are trimmed,
/// and empty names are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Form")]
pub struct List(Vec<String>);

/// As documents write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Array(Vec<String>),
    Text(String),
}

impl From<Form> for List {
    fn from(form: Form) -> Self {
        let names = match form {
            Form::Array(names) => names,
            Form::Text(text) => text.split(',').map(str::to_owned).collect(),
        };
        let names = names.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
        Self(names.map(str::to_owned).collect())
    }
}

impl std::ops::Deref for List {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl JsonSchema for List {
    fn schema_name() -> Cow<'static, str> {
        "List".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "array", "items": { "type": "string" } }, { "type": "string" }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_and_a_text_with_commas_are_the_same() {
        for json in [r#"["a", " b", ""]"#, r#""a, b,""#] {
            let list: List = serde_json::from_str(json).expect(json);
            assert_eq!(*list, ["a", "b"], "{json}");
        }
        assert!(serde_json::from_str::<List>("7").is_err());
    }
}
