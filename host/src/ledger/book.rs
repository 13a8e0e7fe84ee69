//! The ledger for the person who must decide: what was sent, what nobody can tell, and how to settle it.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde_json::{Value, json};

use super::books::uncertain_output;
use super::owner::is_alive;
use crate::state::{self, StateError};

/// The ledgers of all executions in a state directory.
#[derive(Debug)]
pub struct Book {
    connection: Connection,
    directory: PathBuf,
}

/// What is known of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The server took it.
    Sent,
    /// It may have been sent and may not. It is not sent again before somebody settles it.
    Uncertain,
    /// A running process is sending it.
    UnderWay,
    /// Somebody decided that it was not sent; what is left of it goes out when its execution is run again.
    NotSent,
}

impl State {
    /// As reports write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Uncertain => "uncertain",
            Self::UnderWay => "under-way",
            Self::NotSent => "not-sent",
        }
    }
}

/// One message.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Names it.
    pub key: String,
    /// The execution that it belongs to.
    pub execution: String,
    /// What is known of it.
    pub state: State,
    /// A person said so.
    pub decided: bool,
    /// When it last changed.
    pub changed: jiff::Timestamp,
    /// Its transactions, where the ledger still has them.
    pub parts: Vec<PartEntry>,
    /// The step's output, or what there is of it.
    pub output: Option<Value>,
}

/// One transaction of a message.
#[derive(Debug, Clone, Serialize)]
pub struct PartEntry {
    /// Counted from 0.
    pub number: u32,
    /// `claimed` (never settled), `confirmed` or `uncertain`.
    pub state: String,
}

/// What a person decides of an uncertain message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It was: it is never sent again.
    Sent,
    /// It was not: it goes out when its execution is run again.
    NotSent,
}

/// Why a message was not settled.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// There is none of this key.
    #[error("There is no message `{0}` in the ledger: `pipepost ledger list` shows all.")]
    Unknown(String),
    /// It is not uncertain.
    #[error("The message `{key}` is not uncertain but {}: there is nothing to settle.", .state.as_str())]
    NotUncertain {
        /// Its key.
        key: String,
        /// What it is instead.
        state: State,
    },
    /// Its execution is being run.
    #[error("The execution of the message `{0}` is being run: wait for its end.")]
    Running(String),
    /// Some of its recipients have it, and nobody knows who is left.
    #[error(
        "Some transactions of the message `{0}` were confirmed, and its process ended before it wrote down who is left: it cannot be sent again without sending it to some twice. Settle it as sent, and send to the others in a pipeline of their own."
    )]
    InPart(String),
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Book {
    /// Opens it.
    ///
    /// # Errors
    /// When the state cannot be used or is of a newer version.
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        Ok(Self {
            connection: state::open(directory)?,
            directory: directory.to_owned(),
        })
    }

    /// All messages, or those of one execution, in the order of their keys' making.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn list(&self, execution: Option<&str>) -> Result<Vec<Entry>, StateError> {
        self.entries("?1 IS NULL OR execution = ?1", execution)
    }

    /// One message, with its transactions.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn show(&self, key: &str) -> Result<Option<Entry>, StateError> {
        Ok(self.entries("key = ?1", Some(key))?.pop())
    }

    /// Settles an uncertain message.
    ///
    /// # Errors
    /// A [`SettleError`]; nothing is changed then.
    pub fn settle(&mut self, key: &str, decision: Decision) -> Result<Entry, SettleError> {
        let directory = self.directory.clone();
        let unusable = |error: rusqlite::Error| SettleError::State(StateError::unusable(&directory, error));
        // Within one transaction no run can take the execution meanwhile.
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(unusable)?;
        let result = self.settle_within(key, decision);
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        self.connection.execute_batch(end).map_err(unusable)?;
        result?;
        self.show(key)?.ok_or_else(|| SettleError::Unknown(key.to_owned()))
    }

    fn settle_within(&self, key: &str, decision: Decision) -> Result<(), SettleError> {
        let unusable = |error: rusqlite::Error| SettleError::State(StateError::unusable(&self.directory, error));
        let entry = self.show(key)?.ok_or_else(|| SettleError::Unknown(key.to_owned()))?;
        if self.is_running(&entry.execution)? {
            return Err(SettleError::Running(key.to_owned()));
        }
        if entry.state != State::Uncertain {
            return Err(SettleError::NotUncertain {
                key: key.to_owned(),
                state: entry.state,
            });
        }
        let now = state::now();
        if decision == Decision::Sent {
            let output = as_sent(entry.output).to_string();
            self.connection
                .execute(
                    "UPDATE messages SET outcome = 'sent', output = ?2, remainder = NULL, in_doubt = NULL, decided = 1,
                       changed = ?3
                     WHERE key = ?1",
                    params![key, output, now],
                )
                .map_err(unusable)?;
            return Ok(());
        }
        let remainder: Option<String> = self
            .connection
            .query_row("SELECT remainder FROM messages WHERE key = ?1", [key], |row| row.get(0))
            .map_err(unusable)?;
        let in_part = entry.parts.iter().any(|part| part.state == "confirmed");
        if in_part && remainder.is_none() {
            return Err(SettleError::InPart(key.to_owned()));
        }
        self.connection
            .execute(
                "UPDATE messages SET outcome = NULL, output = NULL, in_doubt = NULL, decided = 1, changed = ?2
                 WHERE key = ?1",
                params![key, now],
            )
            .map_err(unusable)?;
        self.connection
            .execute("DELETE FROM parts WHERE message = ?1 AND state <> 'confirmed'", [key])
            .map_err(unusable)?;
        Ok(())
    }

    fn is_running(&self, execution: &str) -> Result<bool, StateError> {
        let owner: Option<Option<String>> = self
            .connection
            .query_row("SELECT owner FROM executions WHERE key = ?1", [execution], |row| {
                row.get(0)
            })
            .optional()
            .map_err(|error| StateError::unusable(&self.directory, error))?;
        Ok(owner.flatten().is_some_and(|owner| is_alive(&self.directory, &owner)))
    }

    fn entries(&self, which: &str, value: Option<&str>) -> Result<Vec<Entry>, StateError> {
        let unusable = |error: rusqlite::Error| StateError::unusable(&self.directory, error);
        let mut running = std::collections::HashMap::new();
        let mut parts = self
            .connection
            .prepare("SELECT number, state, output FROM parts WHERE message = ?1 ORDER BY number")
            .map_err(unusable)?;
        let mut messages = self
            .connection
            .prepare(&format!(
                "SELECT key, execution, outcome, output, decided, changed, in_doubt FROM messages WHERE {which} ORDER BY rowid"
            ))
            .map_err(unusable)?;
        let mut rows = messages.query([value]).map_err(unusable)?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next().map_err(unusable)? {
            let read = Read::of(row).map_err(unusable)?;
            let is_running = match running.get(&read.execution) {
                Some(known) => *known,
                None => {
                    let known = self.is_running(&read.execution)?;
                    running.insert(read.execution.clone(), known);
                    known
                }
            };
            let parts = parts
                .query_map([&read.key], |row| {
                    let part = PartEntry {
                        number: row.get(0)?,
                        state: row.get(1)?,
                    };
                    Ok((part, row.get(2)?))
                })
                .and_then(Iterator::collect::<rusqlite::Result<Vec<(PartEntry, Option<String>)>>>)
                .map_err(unusable)?;
            entries.push(read.entry(parts, is_running));
        }
        Ok(entries)
    }
}

/// A message's row.
struct Read {
    key: String,
    execution: String,
    outcome: Option<String>,
    output: Option<String>,
    decided: bool,
    changed: i64,
    in_doubt: Option<String>,
}

impl Read {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get(0)?,
            execution: row.get(1)?,
            outcome: row.get(2)?,
            output: row.get(3)?,
            decided: row.get(4)?,
            changed: row.get(5)?,
            in_doubt: row.get(6)?,
        })
    }

    fn entry(self, parts: Vec<(PartEntry, Option<String>)>, is_running: bool) -> Entry {
        let confirmed = parts.iter().all(|(part, _)| part.state == "confirmed");
        let completed = parts.iter().rev().find_map(|(_, output)| output.clone());
        let state = match self.outcome.as_deref() {
            Some("sent") => State::Sent,
            Some(_) => State::Uncertain,
            None if is_running => State::UnderWay,
            None if confirmed && completed.is_some() => State::Sent,
            None if confirmed && self.decided => State::NotSent,
            None => State::Uncertain,
        };
        let known = self.output.or(completed);
        let known = known.and_then(|output| serde_json::from_str(&output).ok());
        let in_doubt = self.in_doubt.as_deref();
        let output = known.or_else(|| in_doubt.map(|output| uncertain_output(Some(output))));
        Entry {
            state,
            decided: self.decided,
            changed: jiff::Timestamp::from_second(self.changed).unwrap_or_default(),
            parts: parts.into_iter().map(|(part, _)| part).collect(),
            output,
            key: self.key,
            execution: self.execution,
        }
    }
}

/// The output of a message that a person says was sent.
fn as_sent(output: Option<Value>) -> Value {
    let mut output = match output {
        Some(Value::Object(output)) => output,
        _ => serde_json::Map::new(),
    };
    for name in ["message", "exception", "failure"] {
        output.remove(name);
    }
    output.insert("success".to_owned(), json!(true));
    output.insert("outcome".to_owned(), json!("sent"));
    output.insert("decided".to_owned(), json!(true));
    Value::Object(output)
}
