//! Each reply of the table, played by the inbox at its real place in the dialogue, through the whole host: the step's output
//! has its kind, its advice and its retry decision.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use pipepost::{Host, RunOptions};
use pipepost_accounts::{Accounts, Environment};
use pipepost_inbox::script::{At, Rule};
use pipepost_inbox::{Inbox, Running, Script, Security};
use serde_json::{Value, json};

/// One block of the table's file.
#[derive(Debug, Default)]
struct Case {
    fields: BTreeMap<String, String>,
    reply: Vec<String>,
}

fn cases() -> Vec<Case> {
    let text = include_str!("../../../crates/replies/tests/replies.txt");
    let mut cases = vec![Case::default()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let case = cases.last_mut().expect("one is always there");
        if line.is_empty() {
            cases.push(Case::default());
        } else if let Some(reply) = line.strip_prefix("> ") {
            case.reply.push(reply.to_owned());
        } else if let Some((name, value)) = line.split_once(": ") {
            case.fields.insert(name.to_owned(), value.to_owned());
        }
    }
    cases.retain(|case| !case.reply.is_empty());
    cases
}

impl Case {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Where the inbox says it. Not played: replies to commands that no message needs, and those of providers that are
    /// known by their hosts, which this server has not.
    fn place(&self) -> Option<At> {
        if self.fields.contains_key("host") {
            return None;
        }
        match self.field("stage") {
            "greeting" => Some(At::Greeting),
            "ehlo" => Some(At::Ehlo),
            "starttls" => Some(At::Starttls),
            "auth" => Some(At::SignIn),
            "mail" => Some(At::Mail),
            "rcpt" => Some(At::Rcpt),
            "data" => Some(At::Data),
            "content" => Some(At::Content),
            // Where a server can say it to a client that says nothing it does not know.
            _ => Some(At::Ehlo),
        }
    }

    /// What is wrong with the step's output, if anything.
    fn judge(&self, output: &Value) -> Result<(), String> {
        let failure = match &output["rejected"][0] {
            Value::Null => &output["failure"],
            rejected if rejected["kind"].is_string() => rejected,
            _ => &output["failure"],
        };
        let kind = failure["kind"].as_str().unwrap_or("none");
        if kind != self.field("kind") {
            return Err(format!("the kind is {kind} and not {}", self.field("kind")));
        }
        let told = format!("{} {}", output["failure"], failure);
        for words in self.field("advice").split(", ") {
            let quoted = json!(words).to_string();
            if !told.contains(quoted.trim_matches('"')) {
                return Err(format!("`{words}` is not told"));
            }
        }
        let wait = self
            .field("retry")
            .strip_prefix("after ")
            .and_then(|rest| rest.split(' ').next());
        let told_wait = output["failure"]["wait"].as_u64().map(|seconds| seconds.to_string());
        if self.field("stage") != "rcpt" && wait != told_wait.as_deref() {
            return Err(format!("the wait is {told_wait:?} and not {wait:?}"));
        }
        Ok(())
    }
}

/// An account for each case, since some replies stop an account for a while.
fn accounts(server: &Running, count: usize) -> Accounts {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    std::fs::write(folder.path().join("ca.pem"), server.ca_pem()).expect("a writable folder");
    let all: Vec<Value> = (0..count)
        .map(|number| {
            json!({
                "label": format!("mail{number}"),
                "type": "smtp-auth-and-properties",
                "host": "127.0.0.1",
                "port": server.address().port(),
                "username": "me@gmail.example",
                "password": "abcd efgh ijkl mnop",
                "starttls_enable": true,
                "ca_file": "ca.pem",
            })
        })
        .collect();
    Accounts::from_json(&json!(all).to_string(), folder.path(), &Environment::process()).expect("good accounts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_row_of_the_table_reaches_the_step_with_its_kind_and_its_advice() {
    if pipepost_embedded_connectors::embedded().is_empty() {
        // `cargo xtask test` builds the connectors first; a bare `cargo test` in a fresh clone has none.
        return;
    }
    let server = Inbox::builder()
        .listen(Security::StartTls, "127.0.0.1:0")
        .users([("me@gmail.example", "abcd efgh ijkl mnop")])
        // So that there is a DATA to answer.
        .without("CHUNKING")
        .start()
        .await
        .expect("the inbox starts");
    let cases = cases();
    let host = Host::builder()
        .accounts(accounts(&server, cases.len()))
        .build()
        .await
        .expect("a host");
    let mut played = BTreeSet::new();
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let Some(place) = case.place() else { continue };
        server.set_script(Script::new().rule(Rule::at(place).reply(case.reply.join("\n"))));
        let document = json!({ "flowSpec": { "start": [{
            "type": "connector", "name": "email-connector-v2", "accountLabel": format!("mail{number}"),
            "params": { "from": "me@gmail.example", "to": "ann@example.test", "subject": "Hello", "body": "Hello", "retry": false },
        }] } });
        let pipeline = host.prepare(&document.to_string()).expect("a good document");
        let report = host.run(&pipeline, RunOptions::new(json!({}))).await;
        let output = report.result.unwrap_or_else(|error| error.object);
        if let Err(problem) = case.judge(&output) {
            wrong.push(format!("{} at {place:?}: {problem}\n{output:#}", case.field("row")));
        }
        played.insert(case.field("row"));
    }
    host.close().await;
    server.shutdown().await;
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n\n"));
    // Gmail's, and those of the other providers with a name: each by the reply's own text, from a server of any host.
    let named = pipepost_replies::rows().filter(|row| row.provider != pipepost_replies::Provider::Other);
    let missing: Vec<&str> = named.map(|row| row.id).filter(|id| !played.contains(id)).collect();
    // Their texts say nothing of their providers, so they are known by the host alone; the table's own tests ask for them
    // so.
    assert_eq!(
        missing,
        ["ses-bad-credentials", "zoho-bad-credentials"],
        "these rows were not played"
    );
}
