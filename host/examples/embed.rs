//! A host, a pipeline and a run in a program of your own: `cargo run -p pipepost --example embed`.
//!
//! The mail server is `pipepost-inbox` in the same process, so that nothing leaves this machine. The connectors have to be
//! built before (`cargo xtask plugins`).

#![allow(clippy::print_stdout, reason = "an example speaks to a person at a terminal")]

use pipepost::{Host, RunOptions};
use pipepost_accounts::{Accounts, Environment};
use pipepost_inbox::{Inbox, Running, Security};
use serde_json::{Value, json};

type Error = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let inbox = Inbox::builder()
        .listen(Security::StartTls, "127.0.0.1:0")
        .users([("ops@example.com", "abcd efgh ijkl mnop")])
        .start()
        .await?;
    println!("{:#}", send(&inbox).await?);
    for message in inbox.messages() {
        println!("the server has a message for {}", message.envelope.to.join(", "));
    }
    inbox.shutdown().await;
    Ok(())
}

/// Sends one message, and returns the output of the email step.
async fn send(inbox: &Running) -> Result<Value, Error> {
    // Usually `Accounts::load(["accounts.json"], ...)`; relative paths in an account start in its folder.
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("ca.pem"), inbox.ca_pem())?;
    let account = json!({
        "label": "mail",
        "type": "smtp-auth-and-properties",
        "host": "127.0.0.1",
        "port": inbox.address().port(),
        "username": "ops@example.com",
        "password": "abcd efgh ijkl mnop",
        "starttls_enable": true,
        "ca_file": "ca.pem",
    });
    let accounts = Accounts::from_json(&account.to_string(), folder.path(), &Environment::process())?;

    // One host for each operator: it compiles the connectors, and keeps connections warm between runs.
    let host = Host::builder().accounts(accounts).build().await?;
    let pipeline = json!({ "flowSpec": { "start": [{
        "type": "connector", "name": "email-connector-v2", "accountLabel": "mail",
        "params": { "from": "ops@example.com", "to": "{{ message.to }}", "subject": "Hello", "body": "<p>Hello</p>" },
    }] } });
    // Everything that can be wrong with a document is found here, with branch, step and parameter.
    let pipeline = host
        .prepare(&pipeline.to_string())
        .map_err(|problems| problems.to_string())?;
    let report = host
        .run(&pipeline, RunOptions::new(json!({ "to": "ada@example.com" })))
        .await;
    // Warm connections are closed in order.
    host.close().await;
    Ok(report.result?)
}

#[cfg(test)]
#[tokio::test(flavor = "multi_thread")]
async fn the_example_sends() {
    // A bare `cargo test` in a fresh clone has no connectors.
    if !pipepost_embedded_connectors::embedded().is_empty() {
        main_of_the_test().await;
    }
}

#[cfg(test)]
async fn main_of_the_test() {
    let inbox = Inbox::builder()
        .listen(Security::StartTls, "127.0.0.1:0")
        .users([("ops@example.com", "abcd efgh ijkl mnop")])
        .start()
        .await
        .expect("an inbox");
    assert_eq!(send(&inbox).await.expect("an output")["outcome"], "sent");
    assert_eq!(inbox.messages().len(), 1);
    inbox.shutdown().await;
}
