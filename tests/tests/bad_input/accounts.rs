//! Accounts, and steps that do not fit theirs.

use pipepost_tests::email;
use serde_json::json;

use super::case::{Case, RUN, fails, parameters, pipeline};

#[test]
fn accounts() {
    fails(&[
        Case {
            name: "accounts that are not JSON",
            spoil: |scratch, account| {
                let text = account.json().to_string();
                scratch.write("accounts.json", &text[..text.len() - 1]);
            },
            arguments: RUN,
            code: 78,
            says: &["accounts.json", "line 1"],
        },
        Case {
            name: "an unknown label",
            spoil: |scratch, account| {
                drop(scratch.write(
                    "accounts.json",
                    account.clone().with("label", "mial").json().to_string(),
                ))
            },
            arguments: RUN,
            code: 78,
            says: &["step 1 (Send)", "account labelled `mail`", "mial"],
        },
        Case {
            name: "an unknown account type",
            spoil: |scratch, account| {
                let account = account.clone().with("type", "smtp-auth-and-propertys");
                scratch.write("accounts.json", account.json().to_string());
            },
            arguments: RUN,
            code: 78,
            says: &["accounts.json", "smtp-auth-and-propertys", "smtp-auth-and-properties"],
        },
        Case {
            name: "an unknown field",
            spoil: |scratch, account| {
                drop(scratch.write(
                    "accounts.json",
                    account.clone().with("pasword", "n0t-shown").json().to_string(),
                ))
            },
            arguments: RUN,
            code: 78,
            says: &["accounts.json", "account \"mail\"", "pasword", "password"],
        },
        Case {
            name: "no accounts at all",
            spoil: |_, _| (),
            arguments: &["run", "pipeline.json"],
            code: 78,
            says: &["step 1 (Send)", "account", "mail"],
        },
        Case {
            name: "a step that signs in without an account",
            spoil: |scratch, _| {
                let mut send = email(json!({}));
                send.as_object_mut()
                    .expect("a step is an object")
                    .shift_remove("accountLabel");
                pipeline(scratch, &[send]);
            },
            arguments: RUN,
            code: 78,
            says: &["step 1 (Send)", "names no account"],
        },
        Case {
            name: "another host than the account's",
            spoil: |scratch, _| parameters(scratch, json!({ "smtpHost": "smtp.example.com" })),
            arguments: RUN,
            code: 78,
            says: &["smtp.example.com", "127.0.0.1", "account \"mail\""],
        },
        Case {
            name: "another port than the account's",
            spoil: |scratch, _| parameters(scratch, json!({ "smtpPort": "2" })),
            arguments: RUN,
            code: 78,
            says: &["port 2", "account \"mail\""],
        },
        Case {
            name: "a host that an expression makes",
            spoil: |scratch, _| {
                scratch.write("order.json", r#"{"host": "smtp.example.com"}"#);
                parameters(scratch, json!({ "smtpHost": "{{ message.host }}" }));
            },
            arguments: &[
                "run",
                "pipeline.json",
                "--accounts",
                "accounts.json",
                "--input",
                "order.json",
            ],
            code: 78,
            says: &["smtp.example.com", "account \"mail\""],
        },
    ]);
}
