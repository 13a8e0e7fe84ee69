//! The pauses for the person who knows better.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::clock::{Clock as _, SystemClock};
use crate::state::{self, FILE, StateError};

/// The pauses of all accounts in a state directory.
#[derive(Debug)]
pub struct Pauses {
    connection: Connection,
    path: PathBuf,
}

/// A pause that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseEntry {
    /// The account's label.
    pub label: String,
    /// Nothing is sent until then.
    pub until: jiff::Timestamp,
    /// What the server said, as a sentence.
    pub why: String,
}

impl Pauses {
    /// Opens the state, which is made where it is not there.
    ///
    /// # Errors
    /// When the state cannot be used or is of a newer version.
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        Ok(Self {
            connection: state::open(directory)?,
            path: directory.join(FILE),
        })
    }

    /// Ends the pauses of the accounts with this label, whoever they sign in as. Answers those that stood.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn end(&self, label: &str) -> Result<Vec<PauseEntry>, StateError> {
        let run = || {
            let mut delete = self
                .connection
                .prepare("DELETE FROM pauses WHERE label = ?1 RETURNING label, until, why")?;
            let ended = delete.query_map(params![label], |row| {
                Ok((
                    row.get::<_, i64>(1)?,
                    PauseEntry {
                        label: row.get(0)?,
                        until: jiff::Timestamp::from_microsecond(row.get(1)?).unwrap_or_default(),
                        why: row.get(2)?,
                    },
                ))
            })?;
            ended.collect::<rusqlite::Result<Vec<_>>>()
        };
        let ended = run().map_err(|error| StateError::unusable(&self.path, error))?;
        let now = SystemClock.now();
        let standing = ended.into_iter().filter(|(until, _)| now < *until);
        Ok(standing.map(|(_, entry)| entry).collect())
    }
}
