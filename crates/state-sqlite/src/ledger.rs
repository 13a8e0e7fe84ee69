//! The ledger of a named execution: what the run works at is in memory, and every change is written down. What earlier
//! owners left is read when the run comes to it, so that the memory does not grow with the execution.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipepost_state::clock::Clock;
use pipepost_state::ledger::{
    ClaimError, Known, Ledger, LedgerState, Message, MessageEntry, Part, PartOutcome, PartState, Recorded,
};
use pipepost_state::{Answer, Redact, StateError};
use rusqlite::{Connection, Rows, Statement, params};
use tokio::sync::oneshot;

use crate::Book;
use crate::writer::{Job, Note};

/// A ledger that outlives its process. Dropped without [`Ledger::close`], it frees its execution, and what is claimed then
/// is uncertain.
#[derive(Debug)]
pub(crate) struct SqliteLedger {
    book: Arc<Book>,
    execution: Arc<str>,
    state: Mutex<LedgerState>,
    /// Earlier owners left messages that are not in memory.
    has_earlier: bool,
    redact: Redact,
    is_closed: AtomicBool,
}

impl SqliteLedger {
    pub(crate) fn new(book: Arc<Book>, execution: &str, redact: Redact, loaded: Loaded) -> Self {
        Self {
            book,
            execution: execution.into(),
            state: Mutex::new(loaded.open),
            has_earlier: loaded.has_earlier,
            redact,
            is_closed: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, LedgerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn in_memory(&self) -> usize {
        self.state().len()
    }

    /// Reads what earlier owners left of these messages, as far as it is not in memory.
    async fn read(&self, messages: &[Message]) -> Result<(), StateError> {
        if !self.has_earlier {
            return Ok(());
        }
        let keys: Vec<String> = {
            let state = self.state();
            let unknown = messages.iter().filter(|message| !state.knows(&message.key));
            unknown.map(|message| message.key.clone()).collect()
        };
        if keys.is_empty() {
            return Ok(());
        }
        let (done, answer) = oneshot::channel();
        self.book.give(Job::look(&self.execution, keys, done))?;
        let closed = |_| Err(StateError::unusable(self.book.directory.display(), "it is closed"));
        let found = answer.await.unwrap_or_else(closed)?;
        self.state().take_in(found);
        Ok(())
    }

    fn as_kept(&self, recorded: Recorded) -> Recorded {
        Recorded {
            output: self.redact.apply(&recorded.output),
            ..recorded
        }
    }

    fn note(&self, note: Note) {
        if self.book.give(Job::note(&self.execution, note)).is_err() {
            // Only when the thread is gone: then every claim fails too.
            tracing::error!("the ledger is closed, and something was not written to it");
        }
    }
}

impl Drop for SqliteLedger {
    fn drop(&mut self) {
        if !self.is_closed.load(Ordering::Acquire) {
            self.note(Note::Release);
        }
    }
}

impl Ledger for SqliteLedger {
    fn look_up<'l>(&'l self, messages: &'l [Message]) -> Answer<'l, Result<Vec<Known>, StateError>> {
        Box::pin(async move {
            self.read(messages).await?;
            let mut state = self.state();
            Ok(messages.iter().map(|message| state.look_up(message)).collect())
        })
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn in_doubt(&self, key: &str, output: &str) {
        self.state().in_doubt(key, output);
    }

    fn claim(&self, parts: Vec<Part>) -> Answer<'_, Result<(), ClaimError>> {
        Box::pin(async move {
            let (done, answer) = oneshot::channel();
            let undo = {
                // Under the lock, so that the notes stand in the order of what is known: what was settled before is
                // written with this claim or before it.
                let mut state = self.state();
                let claim = state.claim(parts)?;
                let undo = claim.clone();
                self.note(Note::Claim(claim, done));
                undo
            };
            let written = answer
                .await
                .unwrap_or_else(|_| Err(ClaimError::Unrecorded("it is closed".to_owned())));
            if written.is_err() {
                self.state().unclaim(&undo);
            }
            written
        })
    }

    fn settle(&self, part: &Part, outcome: PartOutcome) {
        let mut state = self.state();
        let may_complete = matches!(outcome, PartOutcome::Confirmed(Some(_)));
        state.settle(part, outcome.clone());
        let completion = may_complete.then(|| state.completion(&part.key)).flatten();
        let note = match (completion, outcome) {
            (Some((digest, recorded)), _) => Note::Complete(part.clone(), digest, self.as_kept(recorded)),
            (None, PartOutcome::Confirmed(Some(output))) => {
                Note::Settle(part.clone(), PartOutcome::Confirmed(Some(self.redact.apply(&output))))
            }
            (None, other) => Note::Settle(part.clone(), other),
        };
        self.note(note);
    }

    fn record(&self, key: &str, recorded: Recorded) {
        let mut state = self.state();
        let is_kept = state.is_kept(key, &recorded);
        let digest = state.record(key, recorded.clone());
        if !is_kept {
            self.note(Note::Record(key.to_owned(), digest, self.as_kept(recorded)));
        }
    }

    fn let_go(&self, keys: &[String]) {
        self.state().let_go(keys);
    }

    fn close(&self) -> Answer<'_, Result<(), String>> {
        Box::pin(async move {
            let (done, answer) = oneshot::channel();
            self.is_closed.store(true, Ordering::Release);
            self.note(Note::Close(done));
            answer.await.unwrap_or_else(|_| Err("it is closed".to_owned()))
        })
    }

    fn hand_over(&self) -> Answer<'_, Result<(), String>> {
        // Jobs are written in their order, so whatever is synced next has this with it.
        self.is_closed.store(true, Ordering::Release);
        self.note(Note::Release);
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What is in memory of an execution when it begins.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Messages whose end is not recorded: those that an earlier owner was at.
    pub(crate) open: LedgerState,
    /// There are others.
    pub(crate) has_earlier: bool,
}

impl Loaded {
    /// Of an execution that begins.
    pub(crate) fn nothing(clock: Arc<dyn Clock>, redact: Redact) -> Self {
        Self {
            open: LedgerState::with(HashMap::new(), clock, redact),
            has_earlier: false,
        }
    }
}

/// Reads what an earlier owner left open of an execution.
pub(crate) fn load(
    connection: &Connection,
    execution: &str,
    clock: Arc<dyn Clock>,
    redact: Redact,
) -> rusqlite::Result<Loaded> {
    let open = entries(
        connection,
        Which::all("execution = ?1 AND outcome IS NULL", Some(execution)),
    )?;
    let open = open.into_iter().map(|(key, _, entry)| (key, entry)).collect();
    let has_earlier = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM messages WHERE execution = ?1)",
        [execution],
        |row| row.get(0),
    )?;
    Ok(Loaded {
        open: LedgerState::with(open, clock, redact),
        has_earlier,
    })
}

/// Reads what is known of some messages of an execution.
pub(crate) fn look(
    connection: &Connection,
    execution: &str,
    keys: &[String],
) -> rusqlite::Result<Vec<(String, MessageEntry)>> {
    let mut all = Vec::new();
    for key in keys {
        let found = entries(connection, Which::all("key = ?1", Some(key)))?;
        let of_execution = found.into_iter().filter(|(_, of, _)| of == execution);
        all.extend(of_execution.map(|(key, _, entry)| (key, entry)));
    }
    Ok(all)
}

/// Which messages are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Which<'w> {
    /// The condition, over `?1`.
    pub(crate) condition: &'static str,
    /// `?1`.
    pub(crate) value: Option<&'w str>,
    /// The key that the first message comes after.
    pub(crate) after: Option<&'w str>,
    /// How many messages are read at most.
    pub(crate) limit: Option<usize>,
}

impl<'w> Which<'w> {
    pub(crate) fn all(condition: &'static str, value: Option<&'w str>) -> Self {
        Self {
            condition,
            value,
            after: None,
            limit: None,
        }
    }

    fn is_page(self) -> bool {
        self.after.is_some() || self.limit.is_some()
    }

    /// The query's end. A page begins at a place of the table, so that what is before it is not read.
    pub(crate) fn end(self) -> String {
        let condition = self.condition;
        if !self.is_page() {
            return format!("WHERE {condition} ORDER BY messages.rowid");
        }
        format!(
            "WHERE {condition}
               AND messages.rowid > CASE WHEN ?2 IS NULL THEN -1 ELSE (SELECT rowid FROM messages WHERE key = ?2) END
             ORDER BY messages.rowid LIMIT ?3"
        )
    }

    fn query<'s>(self, select: &'s mut Statement<'_>) -> rusqlite::Result<Rows<'s>> {
        match (self.is_page(), self.value) {
            (false, Some(value)) => select.query([value]),
            (false, None) => select.query([]),
            (true, value) => {
                // A negative limit is none.
                let limit = self.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
                select.query(params![value, self.after, limit])
            }
        }
    }
}

/// Reads messages with their transactions, in the order of their keys' making: key, execution and what is known.
pub(crate) fn entries(
    connection: &Connection,
    which: Which<'_>,
) -> rusqlite::Result<Vec<(String, String, MessageEntry)>> {
    let mut found: Vec<(String, String, MessageEntry)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let end = which.end();
    let mut select = connection.prepare_cached(&format!(
        "SELECT key, execution, digest, outcome, output, remainder, in_doubt, decided, changed FROM messages {end}"
    ))?;
    let mut rows = which.query(&mut select)?;
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        let outcome: Option<String> = row.get(3)?;
        let output: Option<String> = row.get(4)?;
        let remainder: Option<String> = row.get(5)?;
        let mut entry = MessageEntry {
            digest: row.get(2)?,
            in_doubt: row.get(6)?,
            decided: row.get(7)?,
            changed: row.get(8)?,
            ..MessageEntry::default()
        };
        match outcome {
            Some(outcome) => {
                entry.ended = Some(Recorded {
                    output: output.unwrap_or_else(|| "{}".to_owned()),
                    uncertain: outcome != "sent",
                    remainder,
                });
            }
            None => entry.left = remainder,
        }
        places.insert(key.clone(), found.len());
        found.push((key, row.get(1)?, entry));
    }
    let mut select = connection.prepare_cached(&format!(
        "SELECT message, number, state, parts.output FROM parts
         WHERE message IN (SELECT key FROM messages {end}) ORDER BY message, number"
    ))?;
    let mut rows = which.query(&mut select)?;
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        let Some((_, _, entry)) = places.get(&key).and_then(|place| found.get_mut(*place)) else {
            continue;
        };
        let state: String = row.get(2)?;
        let output: Option<String> = row.get(3)?;
        entry.parts.insert(row.get(1)?, PartState::from_name(&state));
        entry.completed = output.or(entry.completed.take());
    }
    Ok(found)
}
