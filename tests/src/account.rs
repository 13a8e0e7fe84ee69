//! Account files.

use std::path::Path;

use serde_json::{Value, json};

use crate::{PASSWORD, USER};

/// An account of the type `smtp-auth-and-properties`, as its file has it.
#[derive(Debug, Clone)]
pub struct AccountFile(Value);

impl AccountFile {
    /// The account `mail` of [`USER`] at a peer where TLS begins with STARTTLS.
    pub fn starttls((host, port): (&str, u16), authority: &Path) -> Self {
        Self(json!({
            "label": "mail",
            "type": "smtp-auth-and-properties",
            "host": host,
            "port": port,
            "username": USER,
            "password": PASSWORD,
            "starttls_enable": "true",
            "auth": "true",
            "ca_file": authority,
        }))
    }

    /// The account `mail` of [`USER`] at a peer where TLS begins with the first byte.
    pub fn tls(at: (&str, u16), authority: &Path) -> Self {
        Self::starttls(at, authority)
            .with("starttls_enable", "false")
            .with("properties", json!({ "mail.smtp.ssl.enable": "true" }))
    }

    /// The same with one field otherwise; `null` is without it.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        match value.into() {
            Value::Null => drop(self.0.as_object_mut().expect("an object").shift_remove(field)),
            value => self.0[field] = value,
        }
        self
    }

    /// For the file.
    pub fn json(&self) -> &Value {
        &self.0
    }
}
