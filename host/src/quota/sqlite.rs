//! The shelf that processes share: the state's SQLite file.
//!
//! Each change is a transaction that begins by taking the file's one place for writers, so that no two processes look
//! and then admit at once. An admission under a limit of a day is synced before it is answered: after a power cut it
//! counts. One under a limit of a second is not, for no machine comes back within that second; nor is an end, for without
//! it the admission reads as one of a process that is gone, and ends when it is found.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use pipepost_core::FailureKind;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};

use super::clock::Moment;
use super::shelf::{Act, Key, Pause, Rows, Shelf};
use crate::state::owner::{Owner, is_alive};
use crate::state::{self, FILE, StateError};

const PAUSE: &str = "SELECT begun, until, kind, why FROM pauses WHERE account = ?1";

/// Windows and pauses in a state directory. Opened when it is first needed.
#[derive(Debug)]
pub(super) struct Shared {
    directory: PathBuf,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    /// Whose admissions are this process's. Made with the first change.
    owner: Option<Owner>,
}

impl Shared {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            open: Mutex::default(),
        }
    }

    fn opened<T>(&self, act: impl FnOnce(&mut Open) -> Result<T, StateError>) -> Result<T, StateError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_none() {
            *open = Some(Open {
                connection: state::open(&self.directory)?,
                owner: None,
            });
        }
        match open.as_mut() {
            Some(open) => act(open),
            None => Err(StateError::unusable(&self.directory, "it is not open")),
        }
    }

    fn unusable(&self, error: rusqlite::Error) -> StateError {
        StateError::unusable(&self.directory.join(FILE), error)
    }
}

impl Shelf for Shared {
    fn is_shared(&self) -> bool {
        true
    }

    fn change(&self, key: &Key, durable: bool, act: Act<'_>) -> Result<(), StateError> {
        self.opened(|open| {
            let owner = match &open.owner {
                Some(owner) => owner.name().to_owned(),
                None => open.owner.insert(Owner::new(&self.directory)?).name().to_owned(),
            };
            let how = if durable { "full" } else { "normal" };
            open.connection
                .pragma_update(None, "synchronous", how)
                .map_err(|error| self.unusable(error))?;
            let change = open
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(|error| self.unusable(error))?;
            act(&mut Within {
                shelf: self,
                change: &change,
                owner: &owner,
                key,
            })?;
            change.commit().map_err(|error| self.unusable(error))
        })
    }

    #[cfg(test)]
    fn abandon(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(owner) = open.and_then(|open| open.owner) {
            owner.crash();
        }
    }

    fn pause(&self, key: &Key) -> Result<Option<Pause>, StateError> {
        let is_open = self.open.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if !is_open && !self.directory.join(FILE).exists() {
            return Ok(None);
        }
        self.opened(|open| {
            let read = |connection: &Connection| {
                let mut select = connection.prepare_cached(PAUSE)?;
                select.query_row([&key.account], pause_of).optional()
            };
            read(&open.connection).map_err(|error| self.unusable(error))
        })
    }
}

fn pause_of(row: &Row<'_>) -> rusqlite::Result<Pause> {
    let kind: String = row.get(2)?;
    Ok(Pause {
        begun: row.get(0)?,
        until: row.get(1)?,
        kind: FailureKind::from_name(&kind).unwrap_or(FailureKind::Quota),
        why: row.get(3)?,
    })
}

/// One account's rows, within a transaction.
struct Within<'t> {
    shelf: &'t Shared,
    change: &'t Transaction<'t>,
    owner: &'t str,
    key: &'t Key,
}

impl Within<'_> {
    fn execute(&self, statement: &str, values: impl rusqlite::Params) -> Result<(), StateError> {
        let run = || self.change.prepare_cached(statement)?.execute(values);
        run().map(drop).map_err(|error| self.shelf.unusable(error))
    }

    fn one<T: rusqlite::types::FromSql>(
        &self,
        query: &str,
        values: impl rusqlite::Params,
    ) -> Result<Option<T>, StateError> {
        let run = || {
            let mut select = self.change.prepare_cached(query)?;
            select.query_row(values, |row| row.get(0)).optional()
        };
        run().map_err(|error| self.shelf.unusable(error))
    }

    fn count(&self, query: &str, values: impl rusqlite::Params) -> Result<usize, StateError> {
        let count: Option<i64> = self.one(query, values)?;
        Ok(count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0))
    }
}

impl Rows for Within<'_> {
    fn under_way(&mut self) -> Result<usize, StateError> {
        let query = "SELECT count(*) FROM admissions WHERE account = ?1 AND ended IS NULL";
        self.count(query, [&self.key.account])
    }

    fn ended_after(&mut self, moment: Moment) -> Result<usize, StateError> {
        let query = "SELECT count(*) FROM admissions WHERE account = ?1 AND ended > ?2";
        self.count(query, params![self.key.account, moment])
    }

    fn end_before_latest(&mut self, count: usize) -> Result<Option<Moment>, StateError> {
        let query = "SELECT ended FROM admissions WHERE account = ?1 AND ended IS NOT NULL
                     ORDER BY ended DESC LIMIT 1 OFFSET ?2";
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.one(query, params![self.key.account, count])
    }

    fn first_end_after(&mut self, moment: Moment) -> Result<Option<Moment>, StateError> {
        let query = "SELECT ended FROM admissions WHERE account = ?1 AND ended > ?2 ORDER BY ended LIMIT 1";
        self.one(query, params![self.key.account, moment])
    }

    fn bring_back_to(&mut self, moment: Moment) -> Result<(), StateError> {
        let statement = "UPDATE admissions SET ended = ?2 WHERE account = ?1 AND ended > ?2";
        self.execute(statement, params![self.key.account, moment])
    }

    fn end_the_dead(&mut self, moment: Moment) -> Result<(), StateError> {
        let owners = || {
            let mut select = self.change.prepare_cached(
                "SELECT DISTINCT owner FROM admissions WHERE account = ?1 AND ended IS NULL AND owner <> ?2",
            )?;
            let rows = select.query_map([self.key.account.as_str(), self.owner], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        };
        let owners = owners().map_err(|error| self.shelf.unusable(error))?;
        for owner in owners {
            if !is_alive(&self.shelf.directory, &owner) {
                let statement = "UPDATE admissions SET ended = ?2 WHERE owner = ?1 AND ended IS NULL";
                self.execute(statement, params![owner, moment])?;
            }
        }
        Ok(())
    }

    fn forget(&mut self, moment: Moment) -> Result<(), StateError> {
        let statement = "DELETE FROM admissions WHERE account = ?1 AND ended <= ?2";
        self.execute(statement, params![self.key.account, moment])
    }

    fn add(&mut self) -> Result<i64, StateError> {
        let statement = "INSERT INTO admissions (account, owner) VALUES (?1, ?2)";
        self.execute(statement, [self.key.account.as_str(), self.owner])?;
        Ok(self.change.last_insert_rowid())
    }

    fn end(&mut self, admission: i64, at: Moment) -> Result<(), StateError> {
        // A process that took this one for dead has ended it before; then a number may stand for another admission.
        let statement = "UPDATE admissions SET ended = ?3 WHERE id = ?1 AND owner = ?2";
        self.execute(statement, params![admission, self.owner, at])
    }

    fn pause(&mut self) -> Result<Option<Pause>, StateError> {
        let run = || {
            let mut select = self.change.prepare_cached(PAUSE)?;
            select.query_row([&self.key.account], pause_of).optional()
        };
        run().map_err(|error| self.shelf.unusable(error))
    }

    fn set_pause(&mut self, pause: Option<&Pause>) -> Result<(), StateError> {
        match pause {
            None => self.execute("DELETE FROM pauses WHERE account = ?1", [&self.key.account]),
            Some(pause) => self.execute(
                "INSERT OR REPLACE INTO pauses (account, label, begun, until, kind, why) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    self.key.account,
                    self.key.label,
                    pause.begun,
                    pause.until,
                    pause.kind.as_str(),
                    pause.why
                ],
            ),
        }
    }
}
