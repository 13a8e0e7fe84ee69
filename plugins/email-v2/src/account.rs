//! The part of an account's public view that concerns the sender.

use pipepost_sdk::AccountView;

/// The fields of the account's public view that are used to make a message. The view never holds a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The user name that signs in.
    pub username: Option<String>,
    /// The sender, used if the step names none.
    pub from: Option<String>,
    /// The name shown with the sender.
    pub from_name: Option<String>,
    /// The address for MAIL FROM, used if the step names none: the account's `mail.smtp.from`.
    pub envelope_from: Option<String>,
    /// Whether texts go in 8 bits where the server offers 8BITMIME: the account's `mail.smtp.allow8bitmime`.
    pub eight_bit_texts: bool,
}

impl Account {
    /// Takes the fields from the account's public view. A blank text counts as absent.
    pub fn from_view(view: &AccountView) -> Self {
        let text = |value: &Option<String>| {
            let text = value.as_deref().map(str::trim).filter(|text| !text.is_empty());
            text.map(str::to_owned)
        };
        Self {
            username: text(&view.username),
            from: text(&view.mail.from),
            from_name: text(&view.mail.from_name),
            envelope_from: text(&view.mail.envelope_from),
            eight_bit_texts: view.mail.allow_eight_bit,
        }
    }
}
