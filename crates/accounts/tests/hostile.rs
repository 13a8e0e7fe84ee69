//! Whatever stands in an accounts file, loading ends with sentences: no panic, no secret, one line each.

use std::collections::HashMap;
use std::path::Path;

use pipepost_accounts::{Accounts, Environment};
use proptest::prelude::*;
use serde_json::{Value, json};

const FIELDS: [&str; 31] = [
    "label",
    "type",
    "description",
    "environments",
    "username",
    "properties",
    "ca_file",
    "from",
    "from_name",
    "limits",
    "pipelining",
    "allow_plaintext_auth",
    "allowed_hosts",
    "allowed_networks",
    "exposed_fields",
    "auth",
    "host",
    "PORT",
    "starttls-enable",
    "preset",
    "region",
    "password",
    "provider",
    "client_id",
    "client_secret",
    "refresh_token",
    "scopes",
    "token_endpoint",
    "key",
    "subject",
    "$schema",
];

const PROPERTIES: [&str; 12] = [
    "mail.smtp.host",
    "mail.smtp.port",
    "user",
    "mail.smtp.auth",
    "auth.mechanisms",
    "timeout",
    "ssl.enable",
    "ssl.protocols",
    "starttls.enable",
    "dsn.notify",
    "from",
    "localhost",
];

fn environment() -> Environment {
    let variables = HashMap::from([("SECRET".to_owned(), "PLANTED-secret".to_owned())]);
    Environment::process().with_variables(variables).named("test")
}

/// Values that fit somewhere, and values that fit nowhere.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("${env:SECRET}"),
        Just("${env:UNSET}"),
        Just("x${"),
        Just("true"),
        Just("587"),
        Just("465"),
        Just("gmail"),
        Just("smtp.gmail.com"),
        Just("me@gmail.com"),
        Just("smtp-auth-and-properties"),
        Just("basic"),
        Just("oauth-2"),
        Just("google-key"),
        Just("google"),
        Just("PLAIN"),
        Just("XOAUTH2"),
        Just(""),
        Just("a\r\nb\u{0}"),
        Just("{\"a\":1}"),
        Just("10.0.0.0/8"),
        Just("https://login.example/token"),
    ]
    .prop_map(|text| json!(text));
    let leaf = prop_oneof![8 => text, 1 => Just(json!(null)), 1 => any::<bool>().prop_map(|v| json!(v)), 1 => any::<i64>().prop_map(|v| json!(v)), 1 => any::<f64>().prop_map(|v| json!(v)), 1 => ".{0,20}".prop_map(|v| json!(v))];
    let properties = prop::collection::vec((prop::sample::select(&PROPERTIES[..]), leaf.clone()), 0..6);
    let fields = prop::collection::vec((prop::sample::select(&FIELDS[..]), leaf.clone()), 0..6);
    prop_oneof![
        8 => leaf.clone(),
        1 => prop::collection::vec(leaf, 0..3).prop_map(Value::Array),
        2 => properties.prop_map(object),
        1 => fields.prop_map(|fields| json!({"test": object(fields)})),
    ]
}

fn object(fields: Vec<(&str, Value)>) -> Value {
    Value::Object(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_fields_end_in_clauses(
        kind in prop::sample::select(&["smtp-auth-and-properties", "basic", "oauth-2", "google-key"][..]),
        fields in prop::collection::vec((prop::sample::select(&FIELDS[2..]), value()), 0..12),
    ) {
        let mut document = object(fields);
        document["label"] = "one".into();
        document["type"] = kind.into();
        match Accounts::from_json(&document.to_string(), Path::new("."), &environment()) {
            Err(errors) => {
                for error in errors {
                    let text = error.to_string();
                    prop_assert!(!text.contains("PLANTED"), "{}", text);
                    prop_assert!(!text.ends_with('.') && !text.chars().any(char::is_control), "{:?}", text);
                }
            }
            Ok(accounts) => {
                for warning in accounts.warnings() {
                    let text = warning.to_string();
                    prop_assert!(!text.contains("PLANTED") && !text.ends_with('.'), "{}", text);
                }
                for account in accounts.iter() {
                    // What they answer depends on the fields; that they answer does not.
                    drop((account.public_view(), account.expression_view(), account.endpoint(), account.credentials("h")));
                    let debug = format!("{:?}", account.sign_in());
                    prop_assert!(!debug.contains("PLANTED"), "{}", debug);
                }
            }
        }
    }

    #[test]
    fn any_text_ends_in_clauses(text in ".{0,200}") {
        if let Err(errors) = Accounts::from_json(&text, Path::new("."), &environment()) {
            prop_assert!(errors.iter().all(|error| !error.to_string().chars().any(char::is_control)));
        }
    }

    #[test]
    fn a_host_that_a_step_names_is_the_accounts_or_refused(host in ".{0,40}", port in any::<Option<u16>>()) {
        let document = json!({"label": "g", "type": "basic", "username": "me@gmail.com", "password": "x"});
        let accounts = Accounts::from_json(&document.to_string(), Path::new("."), &environment()).expect("good");
        match accounts.get("g").expect("there").endpoint_for(Some(&host), port) {
            Ok(endpoint) => prop_assert_eq!(endpoint.host, "smtp.gmail.com"),
            Err(denied) => prop_assert!(!denied.to_string().chars().any(char::is_control), "{:?}", denied),
        }
    }
}

#[test]
fn depth_is_bounded() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Accounts::from_json(&deep, Path::new("."), &environment()).is_err());
}
