//! Connectors that are built into the binary with their machine code: what is loaded, and when.

use pipepost::engine::FuelMeter;
use pipepost::{Host, Policy};
use pipepost_accounts::{Accounts, Environment};
use pipepost_embedded_connectors::embedded;
use serde_json::{Value, json};

use crate::common::{document, host};

fn accounts() -> Accounts {
    let account = json!({
        "label": "mail", "type": "smtp-auth-and-properties", "host": "127.0.0.1", "port": 25, "auth": false,
        "starttls_enable": false,
    });
    let here = std::path::Path::new(".");
    Accounts::from_json(&account.to_string(), here, &Environment::process()).expect("an account")
}

fn email() -> String {
    document(
        "email-connector-v2",
        Some("mail"),
        json!({ "from": "a@example.com", "to": "b@example.com", "subject": "s", "body": "b" }),
    )
}

fn loaded(host: &Host) -> Vec<&str> {
    let loaded = host.connectors().iter().filter(|connector| connector.is_loaded());
    loaded.map(|connector| connector.name.as_str()).collect()
}

fn policy(connectors: &Value) -> Policy {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), json!({ "connectors": connectors }).to_string()).expect("a writable file");
    Policy::from_file(file.path()).expect("a policy")
}

#[test]
fn every_built_in_connector_comes_with_its_machine_code() {
    assert!(!embedded().is_empty(), "`cargo xtask test` builds the connectors first");
    for connector in embedded() {
        assert!(
            connector.precompiled.is_some(),
            "{} has none: `cargo xtask test` makes it, and so does `pipepost-precompile target/connectors`",
            connector.name
        );
    }
}

#[tokio::test]
async fn a_connector_is_loaded_when_a_document_that_uses_it_is_prepared() {
    let host = host().accounts(accounts()).build().await.expect("a host");
    assert!(host.connectors().iter().count() >= 2);
    assert_eq!(loaded(&host), [""; 0], "a host that has nothing to do");
    assert!(host.check(&email()).pipeline.is_some());
    assert_eq!(loaded(&host), [""; 0], "a document that is only checked");
    host.prepare(&email()).expect("a good document");
    assert_eq!(loaded(&host), ["email-v2"]);
    let csv = document("json-to-csv", None, json!({ "body": [] }));
    host.prepare(&csv).expect("a good document");
    assert_eq!(loaded(&host), ["email-v2", "json-to-csv"]);
}

#[tokio::test]
async fn an_engine_that_the_machine_code_does_not_fit_compiles() {
    // The code of an engine that counts fuel counts it, too.
    let counting = host().fuel_meter(FuelMeter::new(|_, _| ())).accounts(accounts());
    let host = counting.build().await.expect("a host");
    host.prepare(&email()).expect("a good document");
    assert_eq!(loaded(&host), ["email-v2"]);
}

#[tokio::test]
async fn what_is_known_before_loading_is_what_the_component_says_and_imports() {
    let host = host().build().await.expect("a host");
    let folder = tempfile::tempdir().expect("a folder");
    for built_in in embedded() {
        let path = folder.path().join(format!("{}.wasm", built_in.name));
        std::fs::write(path, built_in.bytes).expect("a writable folder");
    }
    // The same components as files: those describe themselves when they are loaded.
    let from_files = crate::common::host().connectors_from(folder.path()).build().await;
    let from_files = from_files.expect("a host");
    for connector in host.connectors().iter() {
        let other = from_files.connectors().get(&connector.name).expect("the same one");
        let mut report = json!(connector.report());
        report["origin"] = json!(other.origin.to_string());
        assert_eq!(report, json!(other.report()));
        assert!(other.is_loaded() && !connector.is_loaded());
    }
}

#[tokio::test]
async fn the_policy_holds_for_what_is_not_loaded_yet() {
    let another = json!([{ "digest": format!("sha256:{}", "0".repeat(64)) }]);
    let refused = host().policy(policy(&another)).build().await;
    let said = refused.expect_err("it lists another one").to_string();
    assert!(said.contains("lists the connectors it allows by digest"), "{said}");
    let grants = ["pipepost:connector/types@0.2.0"];
    let rows: Vec<Value> = embedded()
        .iter()
        .map(|built_in| json!({ "digest": built_in.digest, "grants": grants }))
        .collect();
    let refused = host().policy(policy(&json!(rows))).build().await;
    let said = refused.expect_err("it imports more").to_string();
    assert!(said.contains("which is not granted to connectors"), "{said}");
}
