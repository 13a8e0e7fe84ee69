//! Who runs an execution: one process at a time.
//!
//! Each run that opens the ledger holds a file of its own in `owners`, locked by the operating system, and the
//! execution's row names that file. The system lets go of a lock with its process, however that ended; so an execution
//! whose owner crashed is free at once, and no clock or process number is asked.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use crate::state::{self, StateError};

/// Within the state directory.
const FOLDER: &str = "owners";

/// An execution that this run owns. Dropped, it is free, as it is when the process is gone.
#[derive(Debug)]
pub(super) struct Owner {
    name: String,
    path: PathBuf,
    /// Locked.
    _file: File,
}

impl Owner {
    /// Makes `execution` this run's own.
    pub(super) fn of(connection: &mut Connection, directory: &Path, execution: &str) -> Result<Self, StateError> {
        let folder = directory.join(FOLDER);
        let unusable = |error: io::Error| StateError::unusable(&folder, error);
        state::make(&folder).map_err(unusable)?;
        let name = format!("{:016x}", getrandom::u64().unwrap_or_default());
        let path = folder.join(&name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(unusable)?;
        // Nobody knows the name yet.
        file.lock().map_err(unusable)?;
        let owner = Self {
            name,
            path,
            _file: file,
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
                params![execution, self.name, std::process::id(), state::now()],
            )
            .map_err(unusable)?;
        change.commit().map_err(unusable)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // What stays behind is found to be nobody's by its lock.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the run that holds this file is still there. A file that nobody holds is removed.
pub(super) fn is_alive(directory: &Path, owner: &str) -> bool {
    let path = directory.join(FOLDER).join(owner);
    let Ok(file) = OpenOptions::new().write(true).open(&path) else {
        return false;
    };
    match file.try_lock() {
        Ok(()) => {
            let _ = fs::remove_file(&path);
            false
        }
        Err(TryLockError::WouldBlock) => true,
        // A file system without locks: nobody can tell, and two at once would be worse than none.
        Err(TryLockError::Error(_)) => true,
    }
}
