//! What the public view of an account says about the sender.

use serde_json::Value;

/// The fields of the account's public view that a message is made with. The view never holds a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Who signs in.
    pub username: Option<String>,
    /// The sender where the step names none.
    pub from: Option<String>,
    /// The name shown with it.
    pub from_name: Option<String>,
    /// MAIL FROM where the step names none: the account's `mail.smtp.from`.
    pub envelope_from: Option<String>,
}

impl Account {
    /// Reads the fields from the account's public view, a JSON object; what is not there, or not text, is none.
    pub fn from_view(view: &Value) -> Self {
        let text = |value: Option<&Value>| {
            value
                .and_then(Value::as_str)
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        Self {
            username: text(view.get("username")),
            from: text(view.get("from")),
            from_name: text(view.get("from_name")),
            envelope_from: text(view.get("envelope_from")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_view_holds_and_takes_the_rest_for_absent() {
        let view = serde_json::json!({
            "label": "mail", "username": " ops@example.com ", "from": "", "from_name": "Operations",
            "envelope_from": "bounces@example.com", "port": 587,
        });
        assert_eq!(
            Account::from_view(&view),
            Account {
                username: Some("ops@example.com".into()),
                from: None,
                from_name: Some("Operations".into()),
                envelope_from: Some("bounces@example.com".into()),
            }
        );
        assert_eq!(Account::from_view(&Value::Null), Account::default());
    }
}
