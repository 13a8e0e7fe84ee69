//! `pipepost run --dry-run`: everything but the sending. The server is the inbox, inside this process, without a socket.

use std::collections::BTreeSet;
use std::path::Path;

use pipepost::net::DryRun;
use pipepost::{FailureKind, Host, Preparation};
use pipepost_accounts::{Accounts, Environment};
use pipepost_flowspec::parameters::Grant;
use pipepost_flowspec::{CheckContext, CompiledConnector};
use pipepost_inbox::Store;
use serde_json::{Value, json};

use super::error::CliError;
use super::logging::{say, say_text};

/// Catches what would have been sent.
pub(super) struct Catcher {
    inner: pipepost::dry_run::Catcher,
    written: bool,
}

impl Catcher {
    /// Messages go to files of this directory; without one they are kept to be printed.
    pub(super) fn new(out: Option<&Path>) -> Result<Self, CliError> {
        let store = match out {
            Some(directory) => Store::in_directory(directory, 0).map_err(|error| {
                CliError::new(
                    FailureKind::Configuration,
                    format!("The messages cannot be written: {error}."),
                )
            })?,
            None => Store::new(),
        };
        Ok(Self {
            inner: pipepost::dry_run::Catcher::with_store(store),
            written: out.is_some(),
        })
    }

    /// Where the run's connections lead.
    pub(super) fn dry_run(&self) -> DryRun {
        self.inner.dry_run()
    }

    /// Tells what was caught, and prints it where it was not written.
    pub(super) fn tell(&self, out: Option<&Path>) {
        let count = self.inner.count();
        for message in self.inner.messages().iter().filter(|_| !self.written) {
            say(&format!(
                "-- envelope: from <{}> to {}",
                message.envelope.from,
                message.envelope.to.join(", ")
            ));
            say_text(&String::from_utf8_lossy(&message.content).replace("\r\n", "\n"));
        }
        let place = out.map_or_else(String::new, |out| format!(" They are in {}.", out.display()));
        say(&match count {
            0 => "pipepost: dry run: no message would have been sent.".to_owned(),
            1 => format!(
                "pipepost: dry run: 1 message would have been sent.{}",
                place.replace("They are", "It is")
            ),
            _ => format!("pipepost: dry run: {count} messages would have been sent.{place}"),
        });
    }
}

/// Whom a dry run without accounts signs in as.
const STAND_IN: &str = "you@example.com";

/// Accounts for a dry run that was given none: one for each label that the document names, with what its steps say of
/// the server. They hold no secret, and nothing but a dry run could use them.
pub(super) fn stand_ins(document: &str, preparation: &Preparation, host: &Host) -> Result<Accounts, CliError> {
    let pins: BTreeSet<String> = preparation.pins.keys().cloned().collect();
    let context = CheckContext {
        pins: &pins,
        document_dir: preparation.document_dir.as_deref(),
        ..CheckContext::new(host.connectors())
    };
    let report = pipepost_flowspec::check(document, &context);
    let steps: Vec<&CompiledConnector> = report
        .pipeline
        .iter()
        .flat_map(|pipeline| pipeline.connectors().map(|(_, connector)| connector))
        .collect();
    let labels: Vec<&str> = report.requirements.accounts.keys().map(String::as_str).collect();
    let accounts: Vec<Value> = labels.iter().map(|label| stand_in(label, &steps)).collect();
    if accounts.is_empty() {
        return Ok(Accounts::default());
    }
    say(&format!(
        "pipepost: dry run: there are no accounts; {} signs in as {STAND_IN}.",
        labels.join(", ")
    ));
    let json = Value::Array(accounts).to_string();
    Accounts::from_json(&json, Path::new("."), &Environment::process())
        .map_err(|errors| CliError::many(FailureKind::Configuration, errors.iter().map(super::store::sentence)))
}

fn stand_in(label: &str, steps: &[&CompiledConnector]) -> Value {
    let said = |find: &dyn Fn(&CompiledConnector) -> Option<Value>| {
        let mut own = steps.iter().filter(|step| step.account_label.as_deref() == Some(label));
        own.find_map(|step| {
            let value = find(step)?;
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Some(text).filter(|text| !text.trim().is_empty() && !text.contains("{{"))
        })
    };
    let endpoint = |grant: Grant| {
        said(&|step| {
            let mut named = step.endpoint.iter().filter(|parameter| parameter.grant == grant);
            named.find_map(|parameter| parameter.written.clone())
        })
    };
    let host = endpoint(Grant::Host).unwrap_or_else(|| "smtp.gmail.com".to_owned());
    let kind = said(&|step| step.params.literal("accountType").cloned());
    if kind.is_some_and(|kind| kind == "smtp-auth-and-properties") {
        let port = endpoint(Grant::Port).unwrap_or_else(|| "587".to_owned());
        return json!({
            "label": label, "type": "smtp-auth-and-properties", "host": host, "port": port,
            "username": STAND_IN, "password": "none", "starttls_enable": true,
        });
    }
    json!({
        "label": label, "type": "basic", "username": STAND_IN, "password": "none", "allowed_hosts": [host],
    })
}
