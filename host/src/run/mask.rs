//! Hides what may not be shown of a message.

use std::sync::Arc;

use pipepost_core::json::read_back;
use serde_json::Value;

/// Stands for what may not.
const HIDDEN: &str = "***";

/// Hides the values of sensitive fields, and secrets wherever they stand.
#[derive(Debug, Default)]
pub(super) struct Mask {
    fields: Vec<String>,
    secrets: Vec<String>,
}

impl Mask {
    /// Hides these fields, at any depth, and these texts, within any text.
    pub(super) fn new(fields: &[String], secrets: Vec<String>) -> Self {
        let mut secrets: Vec<String> = secrets.into_iter().filter(|secret| !secret.is_empty()).collect();
        // The longest first: one may hold another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self {
            fields: fields.to_vec(),
            secrets,
        }
    }

    /// The value as it may be shown. It is copied only if there is anything to hide.
    pub(super) fn shared(&self, value: &Arc<Value>) -> Arc<Value> {
        if self.fields.is_empty() && self.secrets.is_empty() {
            return Arc::clone(value);
        }
        Arc::new(self.apply(value))
    }

    /// The value as it may be shown.
    pub(super) fn apply(&self, value: &Value) -> Value {
        match value {
            Value::Object(members) => members
                .iter()
                .map(|(name, member)| {
                    let shown = if self.fields.contains(name) {
                        Value::from(HIDDEN)
                    } else {
                        self.apply(member)
                    };
                    (self.text(name), shown)
                })
                .collect(),
            Value::Array(elements) => elements.iter().map(|element| self.apply(element)).collect(),
            Value::String(text) => Value::String(self.text(text)),
            other => other.clone(),
        }
    }

    /// JSON as it may be written down; what is no JSON is not.
    pub(super) fn json(&self, text: &str) -> String {
        // Nearly always nothing is to be hidden, and the text need not be read. Without a backslash nothing in it is escaped,
        // so that a secret would stand there letter by letter.
        let has_no_secret = || !text.contains('\\') && !self.secrets.iter().any(|secret| text.contains(secret));
        if self.fields.is_empty() && (self.secrets.is_empty() || has_no_secret()) {
            return text.to_owned();
        }
        let value = read_back(text).unwrap_or(Value::Null);
        self.apply(&value).to_string()
    }

    /// A text without the secrets.
    pub(super) fn text(&self, text: &str) -> String {
        self.secrets
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_hidden_at_any_depth_and_secrets_in_any_text() {
        let mask = Mask::new(&["card".to_owned()], vec!["s3cret".to_owned(), String::new()]);
        let message = json!({"a": [{"card": {"number": 1}}], "b": "the s3cret is", "s3cret": 1});
        assert_eq!(
            mask.apply(&message),
            json!({"a": [{"card": "***"}], "b": "the *** is", "***": 1})
        );
    }

    #[test]
    fn json_is_hidden_however_it_is_escaped_and_else_stays_as_it_is() {
        let mask = Mask::new(&["card".to_owned()], vec!["s\"t".to_owned()]);
        assert_eq!(mask.json(r#"{"a":"s\"t","card":1}"#), r#"{"a":"***","card":"***"}"#);
        let mask = Mask::new(&[], vec!["s3cret".to_owned()]);
        assert_eq!(mask.json(r#"{"a":"the s3cret"}"#), r#"{"a":"the ***"}"#);
        assert_eq!(mask.json(r#"{"a":"the \u0073\u0033cret"}"#), r#"{"a":"the ***"}"#);
        assert_eq!(mask.json(r#"{ "a": 1 }"#), r#"{ "a": 1 }"#);
        assert_eq!(mask.json("the s3cret"), "null");
    }
}
