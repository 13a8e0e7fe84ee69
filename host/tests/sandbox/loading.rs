//! Connectors that are not loaded, and what is said of them.

use std::time::Duration;

use pipepost::connectors::digest;
use pipepost::{HostBuilder, Limits, Policy};
use serde_json::json;
use tempfile::TempDir;

use crate::common::{component, host, hostile};

/// There is no host with these connectors, and these words say why.
pub(crate) async fn is_not_loaded(builder: HostBuilder, connectors: &TempDir, words: &[&str]) {
    let error = builder
        .connectors_from(connectors.path())
        .build()
        .await
        .expect_err("this must not load")
        .to_string();
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
    assert!(!error.contains('\n'), "one sentence, and no trace: {error}");
}

fn policy(json: &serde_json::Value) -> Policy {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), json.to_string()).expect("a writable file");
    Policy::from_file(file.path()).expect("a policy")
}

#[tokio::test]
async fn an_import_that_nobody_grants_is_named() {
    let words = ["grasping.wasm", "wasi:filesystem/preopens@0.2.0", "is not granted"];
    is_not_loaded(host(), &hostile(&["grasping"]), &words).await;
}

#[tokio::test]
async fn an_import_that_the_operator_does_not_grant_is_named() {
    let transport = "pipepost:mail/transport@0.2.0";
    let others = ["pipepost:connector/types@0.2.0", "pipepost:connector/outcomes@0.2.0"];
    let built_in = pipepost_embedded_connectors::embedded()
        .iter()
        .map(|built_in| json!({ "digest": digest(built_in.bytes) }));
    let with = |grants: &[&str]| {
        let mut connectors: Vec<_> = built_in.clone().collect();
        connectors.push(json!({ "digest": digest(&component("caller")), "grants": grants }));
        policy(&json!({ "connectors": connectors }))
    };
    let connectors = hostile(&["caller"]);
    is_not_loaded(
        host().policy(with(&others)),
        &connectors,
        &["caller.wasm", transport, "is not granted"],
    )
    .await;

    let granted = [&others[..], &[transport]].concat();
    let builder = host().policy(with(&granted)).connectors_from(connectors.path());
    let host = builder.build().await.expect("a connector that has all it asks for");
    assert!(host.connectors().get("caller").is_some());
}

#[tokio::test]
async fn a_connector_that_the_operator_does_not_list_is_refused() {
    let built_in = pipepost_embedded_connectors::embedded()
        .iter()
        .map(|built_in| json!({ "digest": digest(built_in.bytes) }));
    let policy = policy(&json!({ "connectors": built_in.collect::<Vec<_>>() }));
    let words = [
        "alone.wasm",
        "the policy lists the connectors it allows",
        &digest(&component("alone")),
    ];
    is_not_loaded(host().policy(policy), &hostile(&["alone"]), &words).await;
}

#[tokio::test]
async fn a_grant_that_no_host_can_give_is_named() {
    let grant = "wasi:sockets/tcp@0.2.0";
    let policy = policy(&json!({ "connectors": [{ "digest": digest(b"any"), "grants": [grant] }] }));
    let words = ["The policy grants", grant, "cannot be granted"];
    is_not_loaded(host().policy(policy), &hostile(&[]), &words).await;
}

#[tokio::test]
async fn a_false_alias_does_not_take_another_connectors_messages() {
    let words = [
        "claim the name `email-connector-v2`",
        "`email-v2`",
        "`impostor`",
        "impostor.wasm",
    ];
    is_not_loaded(host(), &hostile(&["impostor"]), &words).await;
}

#[tokio::test]
async fn a_step_of_the_runtime_is_nobodys_to_claim() {
    // The same connector with another alias of the same length, so that its bytes stay a component.
    let mut bytes = component("impostor");
    let (claimed, wanted) = (b"email-connector-v2", b"session-management");
    let at = bytes.windows(claimed.len()).position(|window| window == claimed);
    let at = at.expect("its alias");
    bytes[at..at + wanted.len()].copy_from_slice(wanted);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("impostor.wasm"), bytes).expect("a file");
    let words = ["impostor.wasm", "`session-management`", "a step of the runtime's own"];
    is_not_loaded(host(), &folder, &words).await;
}

#[tokio::test]
async fn a_description_without_end() {
    let limits = Limits {
        cpu: Duration::from_millis(100),
        ..Limits::default()
    };
    let words = ["endless.wasm", "did not describe itself", "more CPU time than it may"];
    is_not_loaded(host().limits(limits), &hostile(&["endless"]), &words).await;
}

#[tokio::test]
async fn a_description_of_more_than_anybody_reads() {
    let words = [
        "verbose.wasm",
        "its schema of the parameters holds 10000",
        "JSON values",
    ];
    is_not_loaded(host(), &hostile(&["verbose"]), &words).await;
}

#[tokio::test]
async fn bytes_that_are_no_component() {
    let whole = component("alone");
    let half = &whole[..whole.len() / 2];
    let core_module = b"\0asm\x01\0\0\0";
    for bytes in [&b""[..], b"\0asm", b"MZ nonsense", core_module, half] {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("broken.wasm"), bytes).expect("a file");
        is_not_loaded(host(), &folder, &["broken.wasm"]).await;
    }
}
