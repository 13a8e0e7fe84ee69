//! `pipepost ledger`.

use std::path::PathBuf;
use std::sync::Arc;

use pipepost::FailureKind;
use pipepost::state::StateError;
use pipepost::state::ledger::{Decision, Entry, LedgerReader, SettleError, State};
use serde_json::json;

use super::arguments::{LedgerCommand, SettleAs};
use super::error::CliError;
use super::logging::{answer, answer_json};
use super::state;

pub(super) async fn execute(command: LedgerCommand) -> Result<u8, CliError> {
    match command {
        LedgerCommand::List {
            execution,
            uncertain,
            state,
            json,
        } => {
            let reader = reader(state)?;
            let mut list = List::new(uncertain, json);
            match &execution {
                None if uncertain => list.add(reader.open().await?)?,
                _ => {
                    let mut after: Option<String> = None;
                    loop {
                        let page = reader.page(execution.as_deref(), after.as_deref(), PAGE).await?;
                        let Some(last) = page.last() else { break };
                        after = Some(last.key.clone());
                        list.add(page)?;
                    }
                }
            }
            let doubtful = list.doubtful;
            if json {
                answer_json(&json!(list.kept)).map_err(|error| CliError::io("standard output", &error))?;
                return Ok(0);
            }
            if doubtful > 0 {
                super::logging::say(&format!(
                    "pipepost: {doubtful} uncertain: look for each in the sender's Sent folder or the server's log, then `pipepost ledger settle KEY --as sent|not-sent`."
                ));
            }
            Ok(0)
        }
        LedgerCommand::Show { key, state, json } => {
            let entry = reader(state)?.show(&key).await?;
            let entry = entry.ok_or(SettleError::Unknown(key))?;
            if json {
                answer_json(&json!(entry)).map_err(|error| CliError::io("standard output", &error))?;
                return Ok(0);
            }
            show(&entry)
        }
        LedgerCommand::Settle { key, decision, state } => {
            let decision = match decision {
                SettleAs::Sent => Decision::Sent,
                SettleAs::NotSent => Decision::NotSent,
            };
            let entry = reader(state)?.settle(&key, decision).await?;
            out(&line(&entry))
        }
    }
}

/// How many messages are read at once.
const PAGE: usize = 1000;

/// A list that is written as it is read. JSON is one document, and waits for its end.
#[derive(Debug)]
struct List {
    uncertain: bool,
    json: bool,
    kept: Vec<Entry>,
    doubtful: usize,
}

impl List {
    fn new(uncertain: bool, json: bool) -> Self {
        Self {
            uncertain,
            json,
            kept: Vec::new(),
            doubtful: 0,
        }
    }

    fn add(&mut self, mut page: Vec<Entry>) -> Result<(), CliError> {
        page.retain(|entry| !self.uncertain || entry.state == State::Uncertain);
        self.doubtful += page.iter().filter(|entry| entry.state == State::Uncertain).count();
        if self.json {
            self.kept.append(&mut page);
        }
        for entry in &page {
            out(&listed(entry))?;
        }
        Ok(())
    }
}

fn reader(state: Option<PathBuf>) -> Result<Arc<dyn LedgerReader>, CliError> {
    let named = state.clone();
    let state = state::open(state)?;
    // A name that was mistyped is not a ledger without anything in doubt.
    match named {
        Some(named) if !state.is_there() => Err(CliError::no_input(
            "state",
            &named,
            &std::io::ErrorKind::NotFound.into(),
        )),
        _ => Ok(state.store.reader()),
    }
}

fn line(entry: &Entry) -> String {
    let who = if entry.decided { " (settled by hand)" } else { "" };
    format!(
        "{:<10} {}  {}{who}",
        entry.state.as_str(),
        entry.changed.strftime("%Y-%m-%dT%H:%M:%SZ"),
        entry.key
    )
}

/// A line of a list: with what a person knows the message by.
fn listed(entry: &Entry) -> String {
    let text = |name: &str| {
        entry
            .output
            .as_ref()?
            .get(name)?
            .as_str()
            .filter(|text| !text.is_empty())
    };
    let mut listed = line(entry);
    for name in ["to", "subject"] {
        if let Some(text) = text(name) {
            listed.push_str(&format!("  {name}: {}", printable(text)));
        }
    }
    listed
}

/// Without what a terminal would obey.
fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

fn show(entry: &Entry) -> Result<u8, CliError> {
    out(&line(entry))?;
    out(&format!("execution  {}", entry.execution))?;
    for part in &entry.parts {
        out(&format!("part {:<5} {}", part.number, part.state))?;
    }
    let Some(output) = &entry.output else { return Ok(0) };
    for name in [
        "messageId",
        "to",
        "cc",
        "bcc",
        "subject",
        "accepted",
        "rejected",
        "uncertain",
        "response",
        "message",
    ] {
        match output.get(name) {
            None | Some(serde_json::Value::Null) => {}
            Some(serde_json::Value::String(text)) if text.is_empty() => {}
            Some(serde_json::Value::String(text)) => drop(out(&format!("{name:<10} {}", printable(text)))?),
            Some(value) => drop(out(&format!("{name:<10} {value}"))?),
        }
    }
    Ok(0)
}

fn out(text: &str) -> Result<u8, CliError> {
    answer(text).map_err(|error| CliError::io("standard output", &error))?;
    Ok(0)
}

impl From<StateError> for CliError {
    fn from(error: StateError) -> Self {
        let (kind, cure) = match error {
            StateError::Taken { .. } => (
                FailureKind::Transient,
                " Wait for its end, or give this run another --execution key.",
            ),
            StateError::Served { .. } => (
                FailureKind::Configuration,
                " End that one first, or name another directory with --state.",
            ),
            StateError::InUse { .. } => (
                FailureKind::Transient,
                " End what works with it first (a run, a service), and try again.",
            ),
            StateError::NotEmpty { .. } => (
                FailureKind::Invalid,
                " Name a new directory, or a database without Pipepost's tables.",
            ),
            StateError::Newer { .. } => (
                FailureKind::Configuration,
                " Use that version, or name another directory with --state.",
            ),
            StateError::Unusable { .. } => (FailureKind::Configuration, ""),
            StateError::Unreachable { .. } => (FailureKind::Transient, " Try again when it is back."),
        };
        Self::new(kind, format!("{error}{cure}"))
    }
}

impl From<SettleError> for CliError {
    fn from(error: SettleError) -> Self {
        let (kind, cure) = match error {
            SettleError::Running(_) => (FailureKind::Transient, ""),
            SettleError::State(error) => return error.into(),
            SettleError::Unknown(_) => (FailureKind::Invalid, " `pipepost ledger list` shows all."),
            SettleError::NotUncertain { .. } | SettleError::InPart(_) => (FailureKind::Invalid, ""),
        };
        Self::new(kind, format!("{error}{cure}"))
    }
}
