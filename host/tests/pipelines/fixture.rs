//! A host with the built connectors, and an inbox that it has an account for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipepost::{Host, HostBuilder, Preparation, RunError, RunOptions, RunReport};
use pipepost_accounts::{Accounts, Environment};
use pipepost_inbox::{Inbox, Running, Script, Security};
use pipepost_state_sqlite::SqliteStore;
use serde_json::{Value, json};
use tempfile::TempDir;

/// One compilation cache for all tests.
fn cache() -> &'static Path {
    Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/compiled"))
}

/// A host without accounts.
pub(crate) async fn host() -> Host {
    Host::builder().cache(cache()).build().await.expect("a host")
}

/// A host, an inbox, and the account `mail` between them.
pub(crate) struct Fixture {
    pub(crate) host: Host,
    pub(crate) inbox: Running,
    /// With the accounts, and the state.
    folder: TempDir,
}

impl Fixture {
    pub(crate) async fn new(script: Script) -> Self {
        Self::with(script, json!({})).await
    }

    /// With further fields of the account.
    pub(crate) async fn with(script: Script, further: Value) -> Self {
        Self::built(script, further, |builder| builder).await
    }

    /// With a host that is set up otherwise.
    pub(crate) async fn built(script: Script, further: Value, set_up: impl FnOnce(HostBuilder) -> HostBuilder) -> Self {
        let inbox = Inbox::builder()
            .listen(Security::StartTls, "127.0.0.1:0")
            .users([("ops@example.com", "abcd efgh ijkl mnop")])
            .record_dialogue()
            .script(script)
            .start()
            .await
            .expect("an inbox");
        let folder = tempfile::tempdir().expect("a directory");
        std::fs::write(folder.path().join("ca.pem"), inbox.ca_pem()).expect("a certificate");
        let mut account = json!({
            "label": "mail",
            "type": "smtp-auth-and-properties",
            "host": "127.0.0.1",
            "port": inbox.address().port(),
            "username": "ops@example.com",
            "password": "abcd efgh ijkl mnop",
            "starttls_enable": true,
            "ca_file": "ca.pem",
        });
        for (name, value) in further.as_object().expect("fields") {
            account[name] = value.clone();
        }
        let file = folder.path().join("accounts.json");
        std::fs::write(&file, account.to_string()).expect("an accounts file");
        let host = set_up(builder(&folder)).build().await.expect("a host");
        assert!(
            host.connectors().get("email-v2").is_some(),
            "the connectors are not built: `cargo xtask plugins` makes them"
        );
        Self { host, inbox, folder }
    }

    /// Where named executions are written down.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Runs a named execution as a process of its own does.
    pub(crate) async fn named(&self, execution: &str, document: &Value, message: Value) -> RunReport {
        let store = Arc::new(SqliteStore::new(self.state()));
        let host = builder(&self.folder).state(store).build().await.expect("a host");
        let mut options = RunOptions::new(message);
        options.execution = Some(execution.to_owned());
        let report = report(&host, document, options).await;
        host.close().await;
        report
    }

    pub(crate) async fn report(&self, document: &Value, message: Value) -> RunReport {
        report(&self.host, document, RunOptions::new(message)).await
    }

    pub(crate) async fn run(&self, document: &Value, message: Value) -> Result<Value, RunError> {
        self.report(document, message).await.result
    }

    /// The subjects of what arrived, sorted.
    pub(crate) fn subjects(&self) -> Vec<String> {
        let messages = self.inbox.messages();
        let mut subjects: Vec<String> = messages
            .iter()
            .map(|message| message.header("Subject").unwrap_or_default())
            .collect();
        subjects.sort();
        subjects
    }

    /// The whole text of the message that arrived with this subject.
    pub(crate) fn text(&self, subject: &str) -> String {
        let messages = self.inbox.messages();
        let found = messages
            .iter()
            .find(|message| message.header("Subject").as_deref() == Some(subject));
        let found = found.unwrap_or_else(|| panic!("no message {subject:?} among {:?}", self.subjects()));
        String::from_utf8_lossy(&found.content).into_owned()
    }

    /// How often a line of the dialogue begins so, of those that the client sent.
    pub(crate) fn said(&self, beginning: &str) -> usize {
        let transcript = self.inbox.transcript();
        transcript
            .iter()
            .filter(|(_, direction, line)| {
                *direction == pipepost_inbox::Direction::Received && line.starts_with(beginning)
            })
            .count()
    }
}

fn builder(folder: &TempDir) -> HostBuilder {
    let file = folder.path().join("accounts.json");
    let accounts = Accounts::load([&file], &Environment::process()).expect("accounts");
    Host::builder().accounts(accounts).cache(cache())
}

pub(crate) async fn report(host: &Host, document: &Value, options: RunOptions) -> RunReport {
    report_with(host, document, Preparation::default(), options).await
}

pub(crate) async fn report_with(
    host: &Host,
    document: &Value,
    preparation: Preparation,
    options: RunOptions,
) -> RunReport {
    let prepared = host.prepare_with(&document.to_string(), preparation);
    let prepared = prepared.unwrap_or_else(|problems| panic!("{problems}"));
    host.run(&prepared, options).await
}

/// Runs a document that needs no account.
pub(crate) async fn run(document: &Value, message: Value) -> Result<Value, RunError> {
    report(&host().await, document, RunOptions::new(message)).await.result
}

/// A document of these branches.
pub(crate) fn document(branches: Value) -> Value {
    json!({ "flowSpec": branches })
}

/// A document of one branch.
pub(crate) fn steps(steps: Value) -> Value {
    document(json!({ "start": steps }))
}

/// A connector step, or a step of the runtime that is written as one.
pub(crate) fn step(name: &str, params: Value) -> Value {
    json!({ "type": "connector", "name": name, "stepName": name, "params": params })
}

/// An email step with the account.
pub(crate) fn email(params: Value) -> Value {
    let mut step = step("email-connector-v2", params);
    step["accountLabel"] = "mail".into();
    step
}

/// A step that makes the message anew.
pub(crate) fn generate(json: Value) -> Value {
    step("json-generator-connector", json!({ "json": json, "failOnError": true }))
}

/// A step that throws.
pub(crate) fn throw(message: &str) -> Value {
    step(
        "throw-error-connector",
        json!({ "errorMessage": message, "errorCode": 409 }),
    )
}
