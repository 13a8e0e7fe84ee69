//! What a part of a schema asks for, read once: each message's parameters are checked against all of it.

use serde_json::{Map, Value};

use super::check::same;
use super::coerce::Types;

/// The keywords of a schema that are followed. A schema that asks for nothing has none of them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Keywords<'s> {
    pub(super) reference: Option<&'s str>,
    any_of: Option<&'s Vec<Value>>,
    one_of: Option<&'s Vec<Value>>,
    pub(super) types: Types<'s>,
    pub(super) listed: Option<&'s Vec<Value>>,
    pub(super) constant: Option<&'s Value>,
    pub(super) minimum: Option<&'s Value>,
    pub(super) maximum: Option<&'s Value>,
    pub(super) min_length: Option<u64>,
    pub(super) min_items: Option<&'s Value>,
    pub(super) items: Option<&'s Value>,
    pub(super) properties: Option<&'s Map<String, Value>>,
    /// Members that have no property of their own may stand there.
    pub(super) takes_others: bool,
    pub(super) required: Option<&'s Vec<Value>>,
    /// `{"file": "name"}` may stand for the value.
    pub(super) is_file: bool,
}

/// What a property is without a value.
pub(super) fn default(property: &Value) -> Option<&Value> {
    let mut members = property.as_object()?.iter();
    members
        .find(|(keyword, _)| *keyword == "x-pipepost-default")
        .map(|(_, default)| default)
}

impl<'s> Keywords<'s> {
    /// Reads a schema's members one after the other, which takes a tenth of looking for each keyword by its name.
    pub(super) fn of(schema: &'s Value) -> Self {
        let mut found = Self::default();
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            match keyword.as_str() {
                "$ref" => found.reference = value.as_str(),
                "anyOf" => found.any_of = value.as_array(),
                "oneOf" => found.one_of = value.as_array(),
                "type" => found.types = Types::named(Some(value)),
                "enum" => found.listed = value.as_array(),
                "const" => found.constant = Some(value),
                "minimum" => found.minimum = Some(value),
                "maximum" => found.maximum = Some(value),
                "minLength" => found.min_length = value.as_u64(),
                "minItems" => found.min_items = Some(value),
                "items" => found.items = Some(value),
                "properties" => found.properties = value.as_object(),
                "additionalProperties" => found.takes_others = *value != Value::Bool(false),
                "required" => found.required = value.as_array(),
                "x-pipepost-file" => found.is_file = *value == Value::Bool(true),
                _ => {}
            }
        }
        found
    }

    /// The schemas of which one has to take the value.
    pub(super) fn options(&self) -> Option<&'s Vec<Value>> {
        self.any_of.or(self.one_of)
    }

    /// Null is absent, and so is the empty text that the platform stores for an unused setting of another type.
    pub(super) fn is_absent(&self, value: &Value) -> bool {
        let takes = |kind: &str| self.types.is_empty() || self.types.contains(&kind);
        match value {
            Value::Null => !self.types.contains(&"null"),
            Value::String(text) => text.is_empty() && !takes("string") && self.any_of.is_none(),
            _ => false,
        }
    }

    /// Whether the value names a file, and may.
    pub(super) fn takes_file(&self, value: &Value) -> bool {
        let names_file =
            |members: &Map<String, Value>| members.len() == 1 && members.get("file").is_some_and(Value::is_string);
        self.is_file && value.as_object().is_some_and(names_file)
    }

    /// A listed text in the schema's own spelling.
    pub(super) fn canonical(&self, value: Value) -> Value {
        let mut listed = self.listed.into_iter().flatten();
        let own = listed.find(|option| same(option, &value));
        own.cloned().unwrap_or(value)
    }
}
