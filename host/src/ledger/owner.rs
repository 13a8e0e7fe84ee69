//! Who runs an execution: one process at a time.
//!
//! Each run that opens the ledger gives a sign of life of its own, and the execution's row names it; so an execution
//! whose process crashed is free at once.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

pub(super) use crate::state::owner::is_alive;
use crate::state::{self, StateError, owner};

/// An execution that this run owns. Dropped, it is free, as it is when the process is gone.
#[derive(Debug)]
pub(super) struct Owner {
    life: owner::Owner,
}

impl Owner {
    /// Makes `execution` this run's own.
    pub(super) fn of(connection: &mut Connection, directory: &Path, execution: &str) -> Result<Self, StateError> {
        let owner = Self {
            life: owner::Owner::new(directory)?,
        };
        owner.take(connection, directory, execution)?;
        Ok(owner)
    }

    fn take(&self, connection: &mut Connection, directory: &Path, execution: &str) -> Result<(), StateError> {
        let unusable = |error: rusqlite::Error| StateError::unusable(directory, error);
        let change = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(unusable)?;
        let known: Option<(Option<String>, u32, i64)> = change
            .query_row(
                "SELECT owner, process, begun FROM executions WHERE key = ?1",
                [execution],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()
            .map_err(unusable)?;
        if let Some((Some(other), process, begun)) = known
            && is_alive(directory, &other)
        {
            return Err(StateError::Taken {
                execution: execution.to_owned(),
                process,
                since: jiff::Timestamp::from_second(begun).unwrap_or_default(),
            });
        }
        change
            .execute(
                "INSERT INTO executions (key, owner, process, begun, changed) VALUES (?1, ?2, ?3, ?4, ?4)
                 ON CONFLICT (key) DO UPDATE SET
                   owner = excluded.owner, process = excluded.process, begun = excluded.begun, changed = excluded.changed",
                params![execution, self.life.name(), std::process::id(), state::now()],
            )
            .map_err(unusable)?;
        change.commit().map_err(unusable)
    }
}
