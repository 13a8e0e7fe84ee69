//! Messages as they stand in the ledger's tables.

use pipepost_state::ledger::{MessageEntry, PartState, Recorded};
use tokio_postgres::Row;

/// A message that was read.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) key: String,
    pub(crate) execution: String,
    pub(crate) entry: MessageEntry,
    /// Whether somebody alive runs its execution.
    pub(crate) is_running: bool,
}

/// Reads the rows of one of the statements for entries: one for each part, and one for a message without parts.
pub(crate) fn read(rows: &[Row]) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for row in rows {
        let key: &str = row.get(0);
        if found.last().is_none_or(|last| last.key != key) {
            found.push(message(key, row));
        }
        let Some(Found { entry, .. }) = found.last_mut() else {
            continue;
        };
        let number: Option<i32> = row.get(9);
        let Some(number) = number.and_then(|number| u32::try_from(number).ok()) else {
            continue;
        };
        let state: &str = row.get(10);
        let output: Option<String> = row.get(11);
        entry.parts.insert(number, PartState::from_name(state));
        entry.completed = output.or(entry.completed.take());
    }
    found
}

fn message(key: &str, row: &Row) -> Found {
    let outcome: Option<&str> = row.get(3);
    let remainder: Option<String> = row.get(5);
    let mut entry = MessageEntry {
        digest: row.get(2),
        in_doubt: row.get(6),
        decided: row.get(7),
        changed: row.get(8),
        ..MessageEntry::default()
    };
    match outcome {
        Some(outcome) => {
            let output: Option<String> = row.get(4);
            entry.ended = Some(Recorded {
                output: output.unwrap_or_else(|| "{}".to_owned()),
                uncertain: outcome != "sent",
                remainder,
            });
        }
        None => entry.left = remainder,
    }
    Found {
        key: key.to_owned(),
        execution: row.get(1),
        entry,
        is_running: row.get(12),
    }
}
