//! The one thread that writes: whatever waits for it at a moment goes into one transaction.
//!
//! A transaction with a claim in it is synced before the claim is answered, and with it everything that was written
//! before. One that only settles is not synced for its own sake: it outlives the process at once, and a power cut that
//! takes it along turns what was settled into something uncertain, never into something sent twice.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tokio::sync::oneshot;

use super::books::Claim;
use super::owner::Owner;
use super::{ClaimError, Part, PartOutcome, Recorded};
use crate::state;

/// Most entries of one transaction.
const MOST: usize = 4096;

/// An entry that waits to be written.
pub(super) enum Note {
    Claim(Claim, oneshot::Sender<Result<(), ClaimError>>),
    Settle(Part, PartOutcome),
    Record(String, String, Recorded),
    /// The last one.
    Close(oneshot::Sender<Result<(), String>>),
}

impl Note {
    fn is_waited_for(&self) -> bool {
        matches!(self, Self::Claim(..) | Self::Close(_))
    }
}

/// Starts the thread. It ends with its last sender, or when it is told to close.
pub(super) fn start(connection: Connection, owner: Owner, execution: String) -> std::io::Result<Sender<Note>> {
    let (sender, receiver) = channel();
    let mut writer = Writer {
        connection,
        owner: Some(owner),
        execution,
        synced: true,
    };
    thread::Builder::new()
        .name("pipepost-ledger".into())
        .spawn(move || writer.work(&receiver))?;
    Ok(sender)
}

struct Writer {
    connection: Connection,
    /// Held until the ledger is closed, or the thread is gone.
    owner: Option<Owner>,
    execution: String,
    /// How the connection is set: whether each commit is synced.
    synced: bool,
}

impl Writer {
    fn work(&mut self, notes: &Receiver<Note>) {
        // What could not be written waits for the next transaction.
        let mut waiting: Vec<Note> = Vec::new();
        while let Ok(note) = notes.recv() {
            waiting.push(note);
            while waiting.len() < MOST {
                let Ok(note) = notes.try_recv() else { break };
                waiting.push(note);
            }
            let closes = waiting.iter().any(|note| matches!(note, Note::Close(_)));
            let result = self.write(&waiting);
            if closes {
                // Before anybody is told: whoever runs the execution next finds nothing of this run.
                self.owner = None;
            }
            if let Err(error) = &result {
                tracing::error!(%error, "the ledger could not be written");
            }
            let reason = result.as_ref().err().map(ToString::to_string);
            waiting = answer(waiting, &result.map_err(|_| ()), reason.as_deref());
            if closes {
                return;
            }
        }
    }

    /// Answers, by position, which claims are refused.
    fn write(&mut self, notes: &[Note]) -> rusqlite::Result<HashSet<usize>> {
        let synced = notes.iter().any(Note::is_waited_for);
        if synced != self.synced {
            let how = if synced { "full" } else { "normal" };
            self.connection.pragma_update(None, "synchronous", how)?;
            self.synced = synced;
        }
        let now = state::now();
        let change = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut refused = HashSet::new();
        for (position, note) in notes.iter().enumerate() {
            match note {
                Note::Claim(claim_of, _) => {
                    if !claim(&change, &self.execution, claim_of, now)? {
                        refused.insert(position);
                    }
                }
                Note::Settle(part, outcome) => settle(&change, &self.execution, part, outcome, now)?,
                Note::Record(key, digest, recorded) => record(&change, &self.execution, key, digest, recorded, now)?,
                Note::Close(_) => {
                    change.execute(
                        "UPDATE executions SET owner = NULL, changed = ?2 WHERE key = ?1",
                        params![self.execution, now],
                    )?;
                }
            }
        }
        change.commit()?;
        Ok(refused)
    }
}

/// Tells those who wait, and keeps what is still to be written.
fn answer(notes: Vec<Note>, result: &Result<HashSet<usize>, ()>, reason: Option<&str>) -> Vec<Note> {
    let reason = reason.unwrap_or("unknown");
    let mut kept = Vec::new();
    for (position, note) in notes.into_iter().enumerate() {
        // Whoever no longer listens need not be told.
        match (note, result) {
            (Note::Claim(_, done), Ok(refused)) if refused.contains(&position) => {
                let _ = done.send(Err(ClaimError::Claimed));
            }
            (Note::Claim(_, done), Ok(_)) => {
                let _ = done.send(Ok(()));
            }
            (Note::Claim(_, done), Err(())) => {
                let _ = done.send(Err(ClaimError::Unrecorded(reason.to_owned())));
            }
            (Note::Close(done), Ok(_)) => {
                let _ = done.send(Ok(()));
            }
            (Note::Close(done), Err(())) => {
                let _ = done.send(Err(reason.to_owned()));
            }
            (_, Ok(_)) => {}
            (note, Err(())) => kept.push(note),
        }
    }
    kept
}

/// A message's row, where there is none.
const MESSAGE: &str = "INSERT INTO messages (key, execution, digest, changed) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (key) DO NOTHING";

/// Answers whether it could be claimed. The memory has asked the same before; this asks for all executions.
fn claim(change: &Transaction<'_>, execution: &str, claim: &Claim, now: i64) -> rusqlite::Result<bool> {
    let mut taken = change.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM parts WHERE message = ?1 AND number = ?2 AND NOT ?4)
            OR EXISTS (SELECT 1 FROM messages WHERE key = ?1 AND execution <> ?3)",
    )?;
    for part in &claim.parts {
        let reopened = claim.reopened.contains(&part.key);
        if taken.query_row(params![part.key, part.number, execution, reopened], |row| row.get(0))? {
            return Ok(false);
        }
    }
    let mut reopen = change.prepare_cached("DELETE FROM parts WHERE message = ?1 AND state <> 'confirmed'")?;
    for key in &claim.reopened {
        reopen.execute([key])?;
    }
    let mut message = change.prepare_cached(
        "INSERT INTO messages (key, execution, digest, changed, in_doubt) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (key) DO UPDATE SET
           digest = excluded.digest, changed = excluded.changed, outcome = NULL, output = NULL, remainder = NULL,
           decided = 0, in_doubt = COALESCE(excluded.in_doubt, in_doubt)",
    )?;
    let mut insert =
        change.prepare_cached("INSERT INTO parts (message, number, state, changed) VALUES (?1, ?2, 'claimed', ?3)")?;
    for ((part, digest), in_doubt) in claim.parts.iter().zip(&claim.digests).zip(&claim.in_doubt) {
        message.execute(params![part.key, execution, digest, now, in_doubt])?;
        insert.execute(params![part.key, part.number, now])?;
    }
    Ok(true)
}

fn settle(
    change: &Transaction<'_>,
    execution: &str,
    part: &Part,
    outcome: &PartOutcome,
    now: i64,
) -> rusqlite::Result<()> {
    let (state, output) = match outcome {
        PartOutcome::Confirmed(output) => ("confirmed", output.as_deref()),
        PartOutcome::Uncertain => ("uncertain", None),
        PartOutcome::NotCommitted => {
            change
                .prepare_cached("DELETE FROM parts WHERE message = ?1 AND number = ?2")?
                .execute(params![part.key, part.number])?;
            // A message of which nothing was committed may have another content next time.
            change
                .prepare_cached(
                    "DELETE FROM messages WHERE key = ?1 AND outcome IS NULL
                     AND NOT EXISTS (SELECT 1 FROM parts WHERE message = ?1)",
                )?
                .execute([&part.key])?;
            return Ok(());
        }
    };
    // A part that was never announced has no row yet.
    change
        .prepare_cached(MESSAGE)?
        .execute(params![part.key, execution, "", now])?;
    change
        .prepare_cached(
            "INSERT INTO parts (message, number, state, output, changed) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (message, number) DO UPDATE SET
               state = excluded.state, output = excluded.output, changed = excluded.changed",
        )?
        .execute(params![part.key, part.number, state, output, now])?;
    Ok(())
}

fn record(
    change: &Transaction<'_>,
    execution: &str,
    key: &str,
    digest: &str,
    recorded: &Recorded,
    now: i64,
) -> rusqlite::Result<()> {
    let outcome = if recorded.uncertain { "uncertain" } else { "sent" };
    change
        .prepare_cached(
            "INSERT INTO messages (key, execution, digest, outcome, output, remainder, changed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (key) DO UPDATE SET
               digest = excluded.digest, outcome = excluded.outcome, output = excluded.output,
               remainder = excluded.remainder, changed = excluded.changed, in_doubt = NULL",
        )?
        .execute(params![
            key,
            execution,
            digest,
            outcome,
            recorded.output,
            recorded.remainder,
            now
        ])?;
    // It stands in the message's row now.
    change
        .prepare_cached("UPDATE parts SET output = NULL WHERE message = ?1 AND output IS NOT NULL")?
        .execute([key])?;
    Ok(())
}
