//! The context that the documents of these tests are written for.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use pipepost_flowspec::{Accounts, CheckContext, ConnectorDescription, Connectors, FieldAccess};
use serde_json::{Value, json};

/// The parameters of an email connector, as one would describe them.
pub(crate) fn email_schema() -> Value {
    let addresses = || json!({"type": ["string", "array"], "items": {"type": "string"}, "x-pipepost-default": ""});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "accountType": {"type": "string", "x-pipepost-default": "basic"},
            "smtpHost": {"type": "string", "x-pipepost-grant": "host"},
            "smtpPort": {"type": "integer", "minimum": 1, "maximum": 65535, "x-pipepost-grant": "port"},
            "socketPort": {"type": "integer", "minimum": 1, "maximum": 65535, "x-pipepost-grant": "port"},
            "from": {"type": "string"},
            "to": addresses(),
            "cc": addresses(),
            "bcc": addresses(),
            "subject": {"type": "string", "x-pipepost-default": ""},
            "body": {"type": "string", "x-pipepost-template": true, "x-pipepost-file": true},
            "charset": {"type": "string", "x-pipepost-default": "UTF-8"},
            "isAuth": {
                "type": "boolean", "x-pipepost-default": true, "x-pipepost-account": true,
                "x-pipepost-alias": "authenticated", "x-pipepost-grant": "sign-in"
            },
            "isOverTLS": {
                "type": "boolean", "x-pipepost-default": true, "x-pipepost-alias": "isOverTls", "x-pipepost-grant": "tls"
            },
            "isOverSSL": {"type": "boolean", "x-pipepost-alias": ["isOverSsl"], "x-pipepost-grant": "tls"},
            "forceTLS1_2": {"type": "boolean", "x-pipepost-alias": "forceTlsv12"},
            "attachmentRawMode": {"type": "boolean"},
            "attachments": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["attachment"],
                    "properties": {
                        "attachment": {"type": "string"},
                        "type": {"enum": ["ATTACHMENT", "INLINE"]}
                    }
                }
            },
            "failOnError": {"type": "boolean", "x-pipepost-default": false}
        }
    })
}

/// An email connector and one without account.
pub(crate) fn connectors() -> Connectors {
    Connectors::new([
        ConnectorDescription {
            name: "email-v2".to_owned(),
            aliases: vec!["email-connector-v2".to_owned()],
            parameters: email_schema(),
            account_types: ["smtp-auth-and-properties", "basic", "oauth-2"]
                .map(str::to_owned)
                .to_vec(),
        },
        ConnectorDescription {
            name: "json-to-csv".to_owned(),
            aliases: Vec::new(),
            parameters: json!({"type": "object", "properties": {"fileName": {"type": "string"}}}),
            account_types: Vec::new(),
        },
    ])
    .unwrap()
}

/// `gmail-orders` (smtp-auth-and-properties), `mailer` (basic) and `sheet` (google-key).
pub(crate) struct TestAccounts;

impl Accounts for TestAccounts {
    fn account_type(&self, label: &str) -> Option<&str> {
        match label {
            "gmail-orders" => Some("smtp-auth-and-properties"),
            "mailer" => Some("basic"),
            "sheet" => Some("google-key"),
            _ => None,
        }
    }

    fn field(&self, _: &str, field: &str) -> FieldAccess {
        match field.to_lowercase().as_str() {
            "username" | "host" | "from" => FieldAccess::Readable,
            "password" => FieldAccess::Secret,
            _ => FieldAccess::Unknown,
        }
    }

    fn labels(&self) -> Vec<&str> {
        vec!["gmail-orders", "mailer", "sheet"]
    }
}

/// Calls with the context above, and a folder of sidecar files.
pub(crate) fn with_context<T>(pins: &[&str], call: impl FnOnce(&CheckContext<'_>) -> T) -> T {
    let pins: BTreeSet<String> = pins.iter().map(|pin| (*pin).to_owned()).collect();
    let catalogue = connectors();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sidecars");
    call(&CheckContext {
        catalogue: &catalogue,
        accounts: Some(&TestAccounts),
        pins: &pins,
        document_dir: Some(&folder),
    })
}
