//! The ledger of a named execution: what is known is in memory, and every change is written down.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipepost_state::clock::Clock;
use pipepost_state::ledger::{
    ClaimError, Known, Ledger, LedgerState, Message, MessageEntry, Part, PartOutcome, PartState, Recorded,
};
use pipepost_state::{Answer, Redact};
use rusqlite::{Connection, params};
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
    redact: Redact,
    is_closed: AtomicBool,
}

impl SqliteLedger {
    pub(crate) fn new(book: Arc<Book>, execution: &str, redact: Redact, state: LedgerState) -> Self {
        Self {
            book,
            execution: execution.into(),
            state: Mutex::new(state),
            redact,
            is_closed: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, LedgerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn look_up<'l>(&'l self, messages: &'l [Message]) -> Answer<'l, Vec<Known>> {
        let mut state = self.state();
        let known = messages.iter().map(|message| state.look_up(message)).collect();
        Box::pin(std::future::ready(known))
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
        let kept = match &outcome {
            PartOutcome::Confirmed(Some(output)) => PartOutcome::Confirmed(Some(self.redact.apply(output))),
            other => other.clone(),
        };
        state.settle(part, outcome);
        self.note(Note::Settle(part.clone(), kept));
    }

    fn record(&self, key: &str, recorded: Recorded) {
        let mut state = self.state();
        let kept = Recorded {
            output: self.redact.apply(&recorded.output),
            ..recorded.clone()
        };
        let digest = state.record(key, recorded);
        self.note(Note::Record(key.to_owned(), digest, kept));
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

/// Reads what an earlier owner left of an execution.
pub(crate) fn load(
    connection: &Connection,
    execution: &str,
    clock: Arc<dyn Clock>,
    redact: Redact,
) -> rusqlite::Result<LedgerState> {
    let messages = entries(connection, "execution = ?1", Some(execution))?;
    let messages = messages.into_iter().map(|(key, _, entry)| (key, entry)).collect();
    Ok(LedgerState::with(messages, clock, redact))
}

/// Reads messages with their transactions, in the order of their keys' making: key, execution and what is known.
pub(crate) fn entries(
    connection: &Connection,
    which: &str,
    value: Option<&str>,
) -> rusqlite::Result<Vec<(String, String, MessageEntry)>> {
    let mut found: Vec<(String, String, MessageEntry)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut select = connection.prepare(&format!(
        "SELECT key, execution, digest, outcome, output, remainder, in_doubt, decided, changed FROM messages
         WHERE {which} ORDER BY rowid"
    ))?;
    let mut rows = select.query(params![value])?;
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
    let mut select = connection.prepare(&format!(
        "SELECT message, number, state, parts.output FROM parts
         WHERE message IN (SELECT key FROM messages WHERE {which}) ORDER BY message, number"
    ))?;
    let mut rows = select.query(params![value])?;
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
