//! The ledger for the person who must decide.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipepost_state::clock::{Clock, seconds};
use pipepost_state::ledger::{Decision, Entry, LedgerReader, SettleError, State};
use pipepost_state::{Answer, StateError};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use crate::ledger::Which;
use crate::owner::is_alive;
use crate::{blocking, file, ledger};

/// The messages that are not known to be sent, in the words of their index. The list's order would have the whole table read.
const OPEN: &str = "messages.rowid IN
    (SELECT rowid FROM messages INDEXED BY messages_open WHERE outcome IS NULL OR outcome <> 'sent')";

/// Reads the ledgers of a state directory, over a connection of its own for each question.
#[derive(Debug)]
pub(crate) struct SqliteReader {
    directory: PathBuf,
    clock: Arc<dyn Clock>,
}

impl SqliteReader {
    pub(crate) fn new(directory: &Path, clock: Arc<dyn Clock>) -> Self {
        Self {
            directory: directory.to_owned(),
            clock,
        }
    }

    fn entries(&self, which: Which<'_>) -> Answer<'static, Result<Vec<Entry>, StateError>> {
        let directory = self.directory.clone();
        let (value, after) = (which.value.map(str::to_owned), which.after.map(str::to_owned));
        let (condition, limit) = (which.condition, which.limit);
        Box::pin(blocking(self.directory.clone(), move || {
            let connection = file::open(&directory)?;
            let which = Which {
                condition,
                value: value.as_deref(),
                after: after.as_deref(),
                limit,
            };
            entries(&connection, &directory, which)
        }))
    }
}

fn unusable(directory: &Path, error: &rusqlite::Error) -> StateError {
    StateError::unusable(directory.display(), error)
}

/// The condition for the messages of one execution, or for all.
fn condition(execution: Option<&str>) -> &'static str {
    match execution {
        Some(_) => "execution = ?1",
        None => "TRUE",
    }
}

fn entries(connection: &Connection, directory: &Path, which: Which<'_>) -> Result<Vec<Entry>, StateError> {
    let found = ledger::entries(connection, which).map_err(|error| unusable(directory, &error))?;
    let mut running: HashMap<String, bool> = HashMap::new();
    let mut entries = Vec::with_capacity(found.len());
    for (key, execution, entry) in found {
        let is_running = match running.get(&execution) {
            Some(known) => *known,
            None => {
                let known = is_running(connection, directory, &execution)?;
                running.insert(execution.clone(), known);
                known
            }
        };
        entries.push(entry.shown(&key, &execution, is_running));
    }
    Ok(entries)
}

fn is_running(connection: &Connection, directory: &Path, execution: &str) -> Result<bool, StateError> {
    let owner: Option<Option<String>> = connection
        .query_row("SELECT owner FROM executions WHERE key = ?1", [execution], |row| {
            row.get(0)
        })
        .optional()
        .map_err(|error| unusable(directory, &error))?;
    Ok(owner.flatten().is_some_and(|owner| is_alive(directory, &owner)))
}

/// Settles within one transaction, so that no run can take the execution meanwhile.
fn settle(directory: &Path, key: &str, decision: Decision, now: i64) -> Result<Entry, SettleError> {
    let failed = |error: rusqlite::Error| SettleError::State(unusable(directory, &error));
    let mut connection = file::open(directory)?;
    let change = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let found = ledger::entries(&change, Which::all("key = ?1", Some(key)))
        .map_err(failed)?
        .pop();
    let (_, execution, mut entry) = found.ok_or_else(|| SettleError::Unknown(key.to_owned()))?;
    let is_running = is_running(&change, directory, &execution)?;
    entry.decide(key, decision, is_running)?;
    let write = || -> rusqlite::Result<()> {
        match &entry.ended {
            Some(ended) => change.execute(
                "UPDATE messages SET outcome = 'sent', output = ?2, remainder = NULL, in_doubt = NULL, decided = 1,
                   changed = ?3
                 WHERE key = ?1",
                params![key, ended.output, now],
            )?,
            None => {
                change.execute(
                    "UPDATE messages SET outcome = NULL, output = NULL, in_doubt = NULL, decided = 1, changed = ?2
                     WHERE key = ?1",
                    params![key, now],
                )?;
                change.execute("DELETE FROM parts WHERE message = ?1 AND state <> 'confirmed'", [key])?
            }
        };
        Ok(())
    };
    write().map_err(failed)?;
    change.commit().map_err(failed)?;
    entry.changed = now;
    Ok(entry.shown(key, &execution, false))
}

impl LedgerReader for SqliteReader {
    fn list<'r>(&'r self, execution: Option<&'r str>) -> Answer<'r, Result<Vec<Entry>, StateError>> {
        self.entries(Which::all(condition(execution), execution))
    }

    fn page<'r>(
        &'r self,
        execution: Option<&'r str>,
        after: Option<&'r str>,
        limit: usize,
    ) -> Answer<'r, Result<Vec<Entry>, StateError>> {
        self.entries(Which {
            condition: condition(execution),
            value: execution,
            after,
            limit: Some(limit),
        })
    }

    fn open(&self) -> Answer<'_, Result<Vec<Entry>, StateError>> {
        let open = self.entries(Which::all(OPEN, None));
        Box::pin(async move {
            let mut entries = open.await?;
            entries.retain(|entry| entry.state != State::Sent);
            Ok(entries)
        })
    }

    fn show<'r>(&'r self, key: &'r str) -> Answer<'r, Result<Option<Entry>, StateError>> {
        let entries = self.entries(Which::all("key = ?1", Some(key)));
        Box::pin(async move { Ok(entries.await?.pop()) })
    }

    fn settle<'r>(&'r self, key: &'r str, decision: Decision) -> Answer<'r, Result<Entry, SettleError>> {
        let (directory, key) = (self.directory.clone(), key.to_owned());
        let now = seconds(self.clock.now());
        Box::pin(blocking(self.directory.clone(), move || {
            settle(&directory, &key, decision, now)
        }))
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ToSql;

    use super::*;

    fn plan(which: Which<'_>) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a directory");
        let connection = file::open(folder.path()).expect("a state");
        let plan = format!("EXPLAIN QUERY PLAN SELECT key, output FROM messages {}", which.end());
        let mut plan = connection.prepare(&plan).expect("a query");
        // What a plan is made for, it need not be given.
        let values: Vec<&dyn ToSql> = vec![&None::<&str>; plan.parameter_count()];
        let steps = plan
            .query_map(values.as_slice(), |row| row.get::<_, String>(3))
            .expect("a plan");
        steps.map(|step| step.expect("a step")).collect()
    }

    #[test]
    fn what_is_open_is_found_without_reading_what_was_sent() {
        let steps = plan(Which::all(OPEN, None));
        let reads_all = |step: &String| step.starts_with("SCAN") && !step.contains("messages_open");
        assert!(!steps.iter().any(reads_all), "{steps:?}");
        assert!(steps.iter().any(|step| step.contains("messages_open")), "{steps:?}");
    }

    #[test]
    fn a_page_is_found_without_reading_what_is_before_it() {
        for execution in [None, Some("run")] {
            let steps = plan(Which {
                after: Some("key"),
                limit: Some(1),
                ..Which::all(condition(execution), execution)
            });
            assert!(
                !steps
                    .iter()
                    .any(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE")),
                "{steps:?}"
            );
        }
    }
}
