//! What of a message may be shown.

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

    /// A text without the secrets.
    pub(super) fn text(&self, text: &str) -> String {
        self.secrets
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_hidden_at_any_depth_and_secrets_in_any_text() {
        let mask = Mask::new(&["card".to_owned()], vec!["s3cret".to_owned(), String::new()]);
        let message = json!({"a": [{"card": {"number": 1}}], "b": "the s3cret is", "s3cret": 1});
        assert_eq!(
            mask.apply(&message),
            json!({"a": [{"card": "***"}], "b": "the *** is", "***": 1})
        );
    }
}
