//! `pipepost inbox`.

use std::path::Path;

use pipepost::FailureKind;
use pipepost_inbox::{Event, Inbox, Running, Script, Security};
use serde_json::json;

use super::arguments::InboxOptions;
use super::error::CliError;
use super::logging::{answer, say};
use super::setup;
use super::signals::{Signals, reader_gone};

/// Who signs in to a local inbox. It protects nothing: the server keeps what it is sent, and listens to this machine.
pub(super) const USER: &str = "you@gmail.example";
/// As an app password looks.
pub(super) const PASSWORD: &str = "abcd efgh ijkl mnop";

pub(super) async fn execute(options: InboxOptions) -> Result<u8, CliError> {
    let mut builder = Inbox::builder()
        .listen(Security::StartTls, options.listen.to_string())
        .users([(USER, PASSWORD)]);
    if let Some(address) = options.listen_tls {
        builder = builder.listen(Security::Implicit, address.to_string());
    }
    if let Some(directory) = &options.dir {
        std::fs::create_dir_all(directory).map_err(|error| CliError::io("the directory for messages", &error))?;
        builder = builder.directory(directory).keep_identity(directory);
    }
    if let Some(name) = &options.name {
        builder = builder.certificate_names([name]);
    }
    if let Some(path) = &options.script {
        let text = setup::read("script", path)?;
        let script = Script::from_json(&text).map_err(|error| {
            CliError::new(
                FailureKind::Invalid,
                format!("The script `{}` cannot be used: {error}.", path.display()),
            )
        })?;
        builder = builder.script(script);
    }
    // Before it says that it is there: whoever reads so may end it at once.
    let mut signals = Signals::listen().map_err(|error| CliError::io("signals", &error))?;
    let running = builder.observer(tell).start().await;
    let running = running.map_err(|error| {
        CliError::new(
            FailureKind::Configuration,
            format!("The inbox does not start: {error}."),
        )
    })?;
    introduce(&running, options.name.as_deref(), options.dir.as_deref())?;
    tokio::select! {
        () = signals.next() => {}
        // Whoever started it for what it prints is gone, and nobody else may know that it runs.
        () = reader_gone() => {}
    }
    let caught = running.store().count();
    running.shutdown().await;
    say(&format!("inbox: {caught} messages caught."));
    Ok(0)
}

/// Where it listens, and the account to send to it with.
fn introduce(running: &Running, name: Option<&str>, directory: Option<&Path>) -> Result<(), CliError> {
    let address = running.address();
    let out = |line: &str| answer(line).map_err(|error| CliError::io("standard output", &error));
    out(&format!("listening on {address} (STARTTLS)"))?;
    if let Some(address) = running.address_of(Security::Implicit) {
        out(&format!("listening on {address} (TLS from the first byte)"))?;
    }
    if let Some(directory) = directory {
        let write = |name: &str, text: &str| {
            std::fs::write(directory.join(name), text)
                .map_err(|error| CliError::io("the directory for messages", &error))
        };
        write("ca.pem", running.ca_pem())?;
        let file = directory.join("account.json");
        let mut account = account(running, "inbox", "ca.pem");
        if let Some(name) = name {
            account["host"] = json!(name);
        }
        write("account.json", &format!("{account:#}\n"))?;
        setup::restrict(&file).map_err(|error| CliError::io("the directory for messages", &error))?;
        out(&format!(
            "send to it with --accounts {} (the account's label is `inbox`)",
            file.display()
        ))?;
        out(&format!("messages go to {}", directory.display()))?;
    } else {
        out(
            "messages are kept in memory and told here; name a directory with --dir to keep them, and to get an account file",
        )?;
    }
    tracing::info!(%address, "the inbox listens");
    Ok(())
}

/// An account that sends to a running inbox.
pub(super) fn account(running: &Running, label: &str, ca_file: &str) -> serde_json::Value {
    let address = running.address();
    json!({
        "label": label,
        "type": "smtp-auth-and-properties",
        "description": "The local inbox: nothing leaves this machine.",
        "host": address.ip().to_string(),
        "port": address.port(),
        "username": USER,
        "password": PASSWORD,
        "starttls_enable": true,
        "ca_file": ca_file,
    })
}

fn tell(event: &Event) {
    match event {
        Event::Caught { message, .. } => {
            let subject = message.header("Subject").unwrap_or_default();
            say(&format!(
                "inbox: caught a message from <{}> to {} ({} bytes): {}",
                message.envelope.from,
                message.envelope.to.join(", "),
                message.content.len(),
                subject.escape_debug(),
            ));
        }
        Event::SignInRefused { user, .. } => say(&format!("inbox: refused the sign-in of {user:?}")),
        other => tracing::debug!(?other, "inbox"),
    }
}
