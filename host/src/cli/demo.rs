//! `pipepost demo`: the inbox and the example pipeline, end to end, and served, shown to a person.

mod served;

use std::path::{Path, PathBuf};

use pipepost::{FailureKind, Policy, RunOptions};
use pipepost_accounts::{Accounts, Environment};
use pipepost_inbox::{Inbox, Script, Security};
use serde_json::{Value, json};

use super::arguments::{DemoOptions, HostOptions};
use super::error::CliError;
use super::logging::answer;
use super::run::run_text;
use super::{inbox, setup};

/// The example pipeline, as it stands in the repository.
const PIPELINE: &str = include_str!("../../../examples/welcome.json");
/// Its message.
const INPUT: &str = include_str!("../../../examples/welcome.input.json");

/// Whom the inbox refuses, so that the demo shows an outcome for each recipient.
const REFUSED: &str = "nobody@example.com";

pub(super) async fn execute(options: DemoOptions) -> Result<u8, CliError> {
    let temporary = tempfile::tempdir().map_err(|error| CliError::io("a directory for the demo", &error))?;
    let folder = options.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&folder).map_err(|error| CliError::io("the demo's directory", &error))?;

    let caught = folder.join("caught");
    std::fs::create_dir_all(&caught).map_err(|error| CliError::io("the demo's directory", &error))?;
    let running = Inbox::builder()
        .listen(Security::StartTls, "127.0.0.1:0")
        .users([(inbox::USER, inbox::PASSWORD)])
        .directory(&caught)
        .script(Script::new().refuse_recipient(
            REFUSED,
            "550 5.1.1 The email account that you tried to reach does not exist.",
        ))
        .start()
        .await
        .map_err(|error| {
            CliError::new(
                FailureKind::Configuration,
                format!("The inbox does not start: {error}."),
            )
        })?;
    say("1. A mail server of its own, which speaks Gmail's dialect and forwards nothing:")?;
    say(&format!(
        "     {} with STARTTLS; it refuses <{REFUSED}>",
        running.address()
    ))?;

    let files = write_files(&folder, &running)?;
    let (accounts, policy) = (read_accounts(&files.accounts)?, read_policy(&files.policy)?);
    let bare = HostOptions {
        accounts: Vec::new(),
        store: super::store::StoreOptions::default(),
        environment: None,
        plugins: Vec::new(),
        policy: None,
    };
    let host = setup::builder(&bare)?.accounts(accounts).policy(policy).build().await?;
    let connector = host.connectors().get("email-v2").ok_or_else(|| {
        CliError::new(
            FailureKind::Configuration,
            "This binary was built without connectors; `cargo xtask demo` builds it with them.",
        )
    })?;
    say("2. The connector, a WebAssembly component. This is all that it can reach:")?;
    for import in connector.imports() {
        say(&format!("     {import}"))?;
    }

    say("3. The pipeline (examples/welcome.json) runs: a log step, a choice, an email step.")?;
    let message: Value = serde_json::from_str(INPUT).map_err(|error| {
        CliError::new(
            FailureKind::Invalid,
            format!("The example's input is not JSON: {error}."),
        )
    })?;
    let report = run_text(&host, PIPELINE, RunOptions::new(message)).await?;
    host.close().await;
    let output = match &report.result {
        Ok(output) => output.clone(),
        Err(error) => return Err(CliError::new(FailureKind::Limit, error.to_string())),
    };
    say("4. What the email step answers, for each recipient:")?;
    show_outcome(&output)?;

    say("5. What the server received:")?;
    let messages = running.messages();
    let Some(message) = messages.first() else {
        return Err(CliError::new(
            FailureKind::Limit,
            "The server received nothing, which must not happen.",
        ));
    };
    say(&format!(
        "     envelope: from <{}> to {}",
        message.envelope.from,
        message.envelope.to.join(", ")
    ))?;
    for line in String::from_utf8_lossy(&message.content).lines() {
        say(&format!("     | {line}"))?;
    }
    served::show(&folder).await?;
    running.shutdown().await;
    match options.keep {
        Some(folder) => say(&format!("The demo's files are in {}.", folder.display()))?,
        None => say(
            "Now yours: README.md has a first real send through Gmail in ten lines. (--keep DIR leaves the demo's files.)",
        )?,
    }
    Ok(report.exit_code())
}

fn say(line: &str) -> Result<(), CliError> {
    answer(line).map_err(|error| CliError::io("standard output", &error))
}

fn show_outcome(output: &Value) -> Result<(), CliError> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |name: &str| output.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    say(&format!(
        "     {}, {}",
        text(&output["outcome"]),
        text(&output["messageId"])
    ))?;
    for recipient in list("accepted") {
        say(&format!("     accepted   {}", text(&recipient)))?;
    }
    for rejection in list("rejected") {
        say(&format!(
            "     rejected   {} ({} {})",
            text(&rejection["recipient"]),
            rejection["code"],
            text(&rejection["text"])
        ))?;
    }
    say(&format!("     the server's last word: {}", text(&output["response"])))
}

struct Files {
    accounts: PathBuf,
    policy: PathBuf,
}

/// The demo's files are those of a real set-up: an accounts file, a certificate, a policy.
fn write_files(folder: &Path, running: &pipepost_inbox::Running) -> Result<Files, CliError> {
    let address = running.address();
    let policy = json!({
        "description": "The demo may talk to its own server and to nothing else.",
        "hosts": [address.to_string()],
    });
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text)
            .map(|()| path)
            .map_err(|error| CliError::io("the demo's directory", &error))
    };
    write("ca.pem", running.ca_pem())?;
    write("welcome.json", PIPELINE)?;
    write("welcome.input.json", INPUT)?;
    let accounts = write(
        "accounts.json",
        &format!("{:#}\n", inbox::account(running, "gmail", "ca.pem")),
    )?;
    setup::restrict(&accounts).map_err(|error| CliError::io("the demo's directory", &error))?;
    Ok(Files {
        accounts,
        policy: write("policy.json", &format!("{policy:#}\n"))?,
    })
}

fn read_accounts(path: &Path) -> Result<Accounts, CliError> {
    Accounts::load([path], &Environment::process())
        .map_err(|errors| CliError::many(FailureKind::Configuration, errors.iter().map(super::store::sentence)))
}

fn read_policy(path: &Path) -> Result<Policy, CliError> {
    Policy::from_file(path).map_err(|error| CliError::new(FailureKind::Configuration, error.to_string()))
}
