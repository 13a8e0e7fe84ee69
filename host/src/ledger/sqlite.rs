//! The ledger of a named execution: what is known is in memory, and every change is written down.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::books::{Account, Books, State};
use super::owner::{self, Owner};
use super::writer::{self, Note};
use super::{Answer, ClaimError, Known, Ledger, Message, Part, PartOutcome, Recorded};
use crate::state::{self, StateError};

/// Settled messages are kept so long, in seconds: thirty days.
const KEPT: i64 = 30 * 24 * 60 * 60;

/// A ledger that outlives its process, in the state directory.
#[derive(Debug)]
pub struct SqliteLedger {
    books: Mutex<Books>,
    writer: Sender<Note>,
    hide: Hide,
}

/// Takes out of an output what may not be written down.
struct Hide(Box<dyn Fn(&str) -> String + Send + Sync>);

impl std::fmt::Debug for Hide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hide")
    }
}

impl SqliteLedger {
    /// Opens the ledger for one execution, which is this run's own from here on until [`Ledger::close`], or until the
    /// process is gone. May wait for the disk.
    ///
    /// # Errors
    /// When the state cannot be used, is of a newer version, or another process runs this execution.
    pub fn open(directory: &Path, execution: &str) -> Result<Self, StateError> {
        let mut connection = state::open(directory)?;
        let owner = Owner::of(&mut connection, directory, execution)?;
        let unusable = |error: rusqlite::Error| StateError::unusable(directory, error);
        forget(&connection, directory).map_err(unusable)?;
        // Claimed by a process that is gone, and never settled.
        connection
            .execute(
                "UPDATE parts SET state = 'uncertain' WHERE state = 'claimed'
                 AND message IN (SELECT key FROM messages WHERE execution = ?1)",
                [execution],
            )
            .map_err(unusable)?;
        let books = load(&connection, execution).map_err(unusable)?;
        let completed = books.completed();
        let writer = writer::start(connection, owner, execution.to_owned())
            .map_err(|error| StateError::unusable(directory, error))?;
        let ledger = Self {
            books: Mutex::new(books),
            writer,
            hide: Hide(Box::new(str::to_owned)),
        };
        // The process before was ended between the last word on a message and the record of it.
        for (key, recorded) in completed {
            ledger.record(&key, recorded);
        }
        Ok(ledger)
    }

    /// Lets `hide` take what may not be written down out of the outputs (JSON) that are kept with a claim.
    #[must_use]
    pub fn hiding(self, hide: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self {
            hide: Hide(Box::new(hide)),
            ..self
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, note: Note) {
        if self.writer.send(note).is_err() {
            // Only after `close`, or when the thread is gone: then every claim fails too.
            tracing::error!("the ledger is closed, and something was not written to it");
        }
    }
}

impl Ledger for SqliteLedger {
    fn look_up<'l>(&'l self, messages: &'l [Message]) -> Answer<'l, Vec<Known>> {
        let mut books = self.books();
        let known = messages.iter().map(|message| books.look_up(message)).collect();
        Box::pin(std::future::ready(known))
    }

    fn in_doubt(&self, key: &str, output: &str) {
        let shown = (self.hide.0)(output);
        self.books().in_doubt(key, shown);
    }

    fn claim(&self, parts: Vec<Part>) -> Answer<'_, Result<(), ClaimError>> {
        Box::pin(async move {
            let (done, answer) = oneshot::channel();
            let claim = self.books().claim(parts)?;
            let undo = claim.clone();
            self.note(Note::Claim(claim, done));
            let written = answer
                .await
                .unwrap_or_else(|_| Err(ClaimError::Unrecorded("it is closed".to_owned())));
            if written.is_err() {
                self.books().unclaim(&undo);
            }
            written
        })
    }

    fn settle(&self, part: &Part, outcome: PartOutcome) {
        let mut books = self.books();
        books.settle(part, outcome.clone());
        // Under the lock, so that the notes stand in the order of the books.
        self.note(Note::Settle(part.clone(), outcome));
    }

    fn record(&self, key: &str, recorded: Recorded) {
        let mut books = self.books();
        let digest = books.record(key, recorded.clone());
        self.note(Note::Record(key.to_owned(), digest, recorded));
    }

    fn close(&self) -> Answer<'_, Result<(), String>> {
        Box::pin(async move {
            let (done, answer) = oneshot::channel();
            self.note(Note::Close(done));
            answer.await.unwrap_or_else(|_| Err("it is closed".to_owned()))
        })
    }
}

/// Settled messages live thirty days, uncertain ones until somebody settles them. An execution is forgotten as a whole:
/// run again with half of it forgotten, it would send that half twice.
fn forget(connection: &Connection, directory: &Path) -> rusqlite::Result<()> {
    let before = state::now() - KEPT;
    let mut select =
        connection.prepare("SELECT key, owner FROM executions WHERE owner IS NOT NULL AND changed < ?1")?;
    let owned: Vec<(String, String)> = select
        .query_map([before], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (key, owner) in owned {
        if !owner::is_alive(directory, &owner) {
            connection.execute(
                "UPDATE executions SET owner = NULL WHERE key = ?1 AND owner = ?2",
                [key, owner],
            )?;
        }
    }
    connection.execute(
        "DELETE FROM executions WHERE owner IS NULL AND changed < ?1
         AND NOT EXISTS (
           SELECT 1 FROM messages WHERE execution = executions.key AND (outcome IS NOT 'sent' OR changed >= ?1))",
        [before],
    )?;
    Ok(())
}

fn load(connection: &Connection, execution: &str) -> rusqlite::Result<Books> {
    let mut messages: HashMap<String, Account> = HashMap::new();
    let mut select = connection
        .prepare("SELECT key, digest, outcome, output, remainder, in_doubt FROM messages WHERE execution = ?1")?;
    let mut rows = select.query([execution])?;
    while let Some(row) = rows.next()? {
        let outcome: Option<String> = row.get(2)?;
        let output: Option<String> = row.get(3)?;
        let remainder: Option<String> = row.get(4)?;
        let account = messages.entry(row.get(0)?).or_default();
        account.digest = row.get(1)?;
        account.in_doubt = row.get(5)?;
        match outcome {
            Some(outcome) => {
                account.ended = Some(Recorded {
                    output: output.unwrap_or_else(|| "{}".to_owned()),
                    uncertain: outcome != "sent",
                    remainder,
                });
            }
            None => account.left = remainder,
        }
    }
    let mut select = connection.prepare(
        "SELECT message, number, state, parts.output FROM parts JOIN messages ON messages.key = message
         WHERE execution = ?1 ORDER BY message, number",
    )?;
    let mut rows = select.query(params![execution])?;
    while let Some(row) = rows.next()? {
        let state: String = row.get(2)?;
        let output: Option<String> = row.get(3)?;
        let account = messages.entry(row.get(0)?).or_default();
        let state = match state.as_str() {
            "confirmed" => State::Confirmed,
            _ => State::Uncertain,
        };
        account.parts.insert(row.get(1)?, state);
        account.completed = output.or(account.completed.take());
    }
    Ok(Books::with(messages))
}

#[cfg(test)]
mod tests;
