//! An inbox, an account for it, and runs of one step on a host.

use std::path::{Path, PathBuf};

use pipepost::{Failure, FailureKind, Host, HostBuilder, RunOptions, RunReport, TimeLimit};
use pipepost_accounts::{Accounts, Environment};
use pipepost_inbox::{Inbox, Running, Script, Security};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The name that the host says in EHLO.
pub(crate) const CLIENT_NAME: &str = "caller.example";

pub(crate) const USER: &str = "robot@example.com";
/// No stretch of it stands anywhere else, and its base64 uses both of the alphabet's odd characters.
pub(crate) const PASSWORD: &str = "Zr7~?>kQv2!mXw9_pLt";

/// A folder of the build's own, beside what cargo makes.
fn target(name: &str) -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    temporary.parent().unwrap_or(temporary).join(name)
}

/// An inbox with one user, and the folder with its authority's certificate.
pub(crate) struct Server {
    pub(crate) inbox: Running,
    folder: TempDir,
}

impl Server {
    /// One face of this security, and a script.
    pub(crate) async fn start(security: Security, script: Script) -> Self {
        Self::with(
            Inbox::builder()
                .listen(security, "127.0.0.1:0")
                .users([(USER, PASSWORD)])
                .script(script)
                .record_dialogue(),
        )
        .await
    }

    /// As it was set up.
    pub(crate) async fn with(builder: pipepost_inbox::Builder) -> Self {
        let inbox = builder.start().await.expect("an inbox at a free port");
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        std::fs::write(folder.path().join("ca.pem"), inbox.ca_pem()).expect("a writable folder");
        Self { inbox, folder }
    }

    /// The account `mail` of the inbox's user, with these fields otherwise; `null` is without it.
    pub(crate) fn account(&self, other: Value) -> Accounts {
        let (security, address) = self.inbox.addresses()[0];
        let mut account = json!({
            "label": "mail",
            "type": "smtp-auth-and-properties",
            "host": "127.0.0.1",
            "port": address.port(),
            "username": USER,
            "password": PASSWORD,
            "starttls_enable": security == Security::StartTls,
            "auth": true,
            "ca_file": "ca.pem",
            "properties": { "mail.smtp.localhost": CLIENT_NAME },
        });
        if security == Security::Implicit {
            account["properties"]["mail.smtp.ssl.enable"] = "true".into();
        }
        for (name, value) in other.as_object().into_iter().flatten() {
            account[name] = value.clone();
        }
        if let Value::Object(account) = &mut account {
            account.retain(|_, value| !value.is_null());
        }
        Accounts::from_json(&account.to_string(), self.folder.path(), &Environment::process()).expect("an account")
    }

    /// The commands that the server has received, without their arguments, in order.
    pub(crate) fn verbs(&self) -> Vec<String> {
        self.inbox
            .transcript()
            .into_iter()
            .filter(|(_, direction, _)| *direction == pipepost_inbox::Direction::Received)
            .map(|(_, _, line)| line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase())
            .collect()
    }
}

/// A host whose compiled code is kept for all tests.
pub(crate) fn host() -> HostBuilder {
    Host::builder().cache(target("test-cache"))
}

/// A connector that means harm, as `cargo xtask hostile` has built it.
pub(crate) fn component(name: &str) -> Vec<u8> {
    let path = target("hostile").join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("`cargo xtask hostile` makes `{}`: {error}", path.display()))
}

/// A folder with these and no others.
pub(crate) fn hostile(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    for name in names {
        std::fs::write(folder.path().join(format!("{name}.wasm")), component(name)).expect("a writable folder");
    }
    folder
}

/// A document of one step.
pub(crate) fn document(connector: &str, account: Option<&str>, params: Value) -> String {
    let mut step = json!({ "type": "connector", "name": connector, "stepName": "The step", "params": params });
    if let Some(label) = account {
        step["accountLabel"] = label.into();
    }
    json!({ "name": "test", "flowSpec": { "start": [step] } }).to_string()
}

/// Runs a pipeline of one step of the connector that does what it is told, with these acts in the run's message: it is the
/// same pipeline whatever they are.
pub(crate) async fn run_acts(host: &Host, acts: &[Value], fail: bool) -> RunReport {
    let params = json!({ "do": "{{ message.do }}", "failOnError": fail });
    let mut options = RunOptions::new(json!({ "do": acts }));
    options.time_limit = TimeLimit::None;
    run_with(host, &document("caller", Some("mail"), params), options).await
}

/// Runs one step that may take as long as it takes.
pub(crate) async fn run(host: &Host, document: &str) -> RunReport {
    let mut options = RunOptions::new(json!({}));
    options.time_limit = TimeLimit::None;
    run_with(host, document, options).await
}

pub(crate) async fn run_with(host: &Host, document: &str, options: RunOptions) -> RunReport {
    let pipeline = host.prepare(document).expect("a document that can run");
    host.run(&pipeline, options).await
}

/// The parameters of a message that can be sent.
pub(crate) fn email(other: Value) -> Value {
    let mut params = json!({
        "from": USER,
        "to": "ann@example.com",
        "subject": "Test",
        "text": "Hello.",
        "body": "",
        "failOnError": true,
        // What a wall does is seen at once.
        "retry": false,
    });
    for (name, value) in other.as_object().into_iter().flatten() {
        params[name] = value.clone();
    }
    params
}

/// How a run failed.
pub(crate) fn failure(report: &RunReport) -> Failure {
    match &report.result {
        Err(error) => error
            .failure
            .as_deref()
            .cloned()
            .expect("a failure of the host or a connector"),
        Ok(output) => panic!("the run ended well: {output}"),
    }
}

/// The run failed with this kind, and its sentence holds these words.
#[track_caller]
pub(crate) fn fails(report: &RunReport, kind: FailureKind, words: &str) {
    let failure = failure(report);
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.to_string().contains(words), "{words:?} is not in: {failure}");
}
