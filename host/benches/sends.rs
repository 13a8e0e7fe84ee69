//! Whole sends through the sandbox, and nothing of a pipeline: what the same connector is measured against natively.
//!
//! `sends SETTINGS` does the task of that file, as the benchmark's other clients do, and prints the seconds that sending took.
//! Without a file (`cargo bench`) it does nothing.

#![allow(clippy::print_stdout, reason = "what it found goes to the benchmark that started it")]

use std::path::Path;
use std::time::Instant;

use pipepost::Host;
use pipepost_accounts::{Accounts, Environment};
use serde_json::{Value, json};

type Error = Box<dyn std::error::Error>;

/// Calls that are handed over together.
const BATCH: usize = 32;

fn main() -> Result<(), Error> {
    let settings = std::env::args().skip(1).find(|word| word.ends_with(".json"));
    let Some(settings) = settings else { return Ok(()) };
    let settings: Value = serde_json::from_str(&std::fs::read_to_string(&settings)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(send(&settings))
}

async fn send(settings: &Value) -> Result<(), Error> {
    let authority = settings["ca"].as_str();
    let mut account = json!({
        "label": "mail", "type": "smtp-auth-and-properties", "host": "localhost", "port": settings["port"],
        "auth": "false", "starttls_enable": "false",
    });
    if let Some(authority) = authority {
        account["ca_file"] = authority.into();
        account["properties"] = json!({ "mail.smtp.ssl.enable": "true" });
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("accounts.json");
    std::fs::write(&file, account.to_string())?;
    let accounts = Accounts::load([&file], &Environment::process())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<String>())?;
    let mut builder = Host::builder().accounts(accounts);
    if let Some(cache) = settings["cache"].as_str() {
        builder = builder.cache(Path::new(cache));
    }
    let host = builder.build().await?;

    let letter = &settings["letter"];
    let messages = settings["messages"]
        .as_u64()
        .and_then(|count| usize::try_from(count).ok());
    let messages = messages.unwrap_or_default();
    let began = Instant::now();
    let batches = (0..messages.div_ceil(BATCH)).map(|batch| {
        let numbers = batch * BATCH..messages.min((batch + 1) * BATCH);
        numbers
            .map(|number| (format!("bench/start/0/{number}"), parameters(letter, number)))
            .collect()
    });
    let done = pipepost::measuring::perform(&host, "email-v2", "mail", batches)
        .await
        .map_err(|failure| failure.to_string())?;
    assert_eq!(done, messages, "every message is sent");
    println!("sending {}", began.elapsed().as_secs_f64());
    Ok(())
}

/// One call, with the number where the letter's pieces leave room for it.
fn parameters(letter: &Value, number: usize) -> String {
    let filled = |name: &str| -> String {
        let pieces = letter[name].as_array().into_iter().flatten().filter_map(Value::as_str);
        pieces.collect::<Vec<_>>().join(&number.to_string())
    };
    json!({
        "from": letter["from"], "to": letter["to"], "subject": filled("subject"), "text": filled("text"),
        "body": filled("html"), "contentType": "text/html",
    })
    .to_string()
}
