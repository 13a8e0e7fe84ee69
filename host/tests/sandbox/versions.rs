//! Components of an older contract, kept as files, beside those of the newest.

use std::path::{Path, PathBuf};

use pipepost::Host;
use pipepost::engine::ContractVersion;
use pipepost_inbox::{Script, Security};
use serde_json::json;

use crate::common::{Server, component, email, host, hostile, run};
use crate::loading::is_not_loaded;

/// A connector as it was when this contract was the newest.
fn kept(version: &str, name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    fixtures
        .join(format!("contract-{version}"))
        .join(format!("{name}.wasm"))
}

fn contract(host: &Host, name: &str) -> ContractVersion {
    host.connectors().get(name).expect("a connector").contract()
}

/// A run in which the connector `old` is the kept one, and the other is today's: a file of one is the attachment of the
/// other's message.
async fn runs_beside_todays(old: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(kept("0.1.0", old), folder.path().join(format!("{old}.wasm"))).expect("a kept component");
    let server = Server::start(Security::StartTls, Script::new()).await;
    let host = host()
        .accounts(server.account(json!({})))
        .connectors_from(folder.path())
        .build()
        .await
        .expect("a host with connectors of two contracts");
    for name in ["email-v2", "json-to-csv"] {
        let expected = if name == old {
            ContractVersion::V0_1_0
        } else {
            ContractVersion::LATEST
        };
        assert_eq!(contract(&host, name), expected, "{name}");
    }

    let list = json!({
        "body": [{ "order": 7, "email": "ann@example.com" }],
        "fileName": "orders.csv",
        "failOnError": true,
    });
    let message = email(json!({
        "to": ["ann@example.com", "bob@example.com"],
        "attachments": [{ "attachment": "orders.csv", "type": "ATTACHMENT" }],
    }));
    let document = json!({ "name": "test", "flowSpec": { "start": [
        { "type": "connector", "name": "json-to-csv", "stepName": "List", "params": list },
        { "type": "connector", "name": "email-v2", "stepName": "Send", "accountLabel": "mail", "params": message },
    ] } });
    let report = run(&host, &document.to_string()).await;
    let output = report.result.expect("the message is sent");
    assert_eq!(output["success"], true, "{output}");
    assert_eq!(output["accepted"], json!(["ann@example.com", "bob@example.com"]));
    assert_eq!((report.counts.sent, report.counts.failed), (1, 0));
    let messages = server.inbox.messages();
    assert_eq!(messages.len(), 1);
    let text = String::from_utf8_lossy(&messages[0].content).into_owned();
    assert!(text.contains("orders.csv"), "{text}");
}

#[tokio::test]
async fn email_v2_of_contract_0_1_0_sends_what_todays_json_to_csv_makes() {
    runs_beside_todays("email-v2").await;
}

#[tokio::test]
async fn email_v2_of_today_sends_what_json_to_csv_of_contract_0_1_0_makes() {
    runs_beside_todays("json-to-csv").await;
}

#[tokio::test]
async fn a_component_of_a_contract_to_come_is_told_from_others() {
    let mut bytes = component("alone");
    let (known, wanted) = (b"pipepost:connector/step@0.2.0", b"pipepost:connector/step@0.9.0");
    while let Some(at) = bytes.windows(known.len()).position(|window| window == known) {
        bytes[at..at + wanted.len()].copy_from_slice(wanted);
    }
    let folder = hostile(&[]);
    std::fs::write(folder.path().join("alone.wasm"), bytes).expect("a file");
    let words = ["`pipepost:connector/step@0.9.0`", "in the versions 0.1.0 and 0.2.0"];
    is_not_loaded(host(), &folder, &words).await;
}
