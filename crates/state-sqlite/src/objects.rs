//! The collections of objects in the file, over a connection of their own: a large one must not hold up claims.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use pipepost_state::object::{Decide, Object, ObjectChange, ObjectStore, Selection};
use pipepost_state::{Answer, StateError};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::{blocking, file};

/// The collections of a state directory.
#[derive(Debug)]
pub(crate) struct SqliteObjects {
    directory: PathBuf,
    /// Opened at the first use.
    connection: Arc<Mutex<Option<Connection>>>,
}

impl SqliteObjects {
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            connection: Arc::default(),
        }
    }

    fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'static, Result<T, StateError>> {
        let (directory, connection) = (self.directory.clone(), Arc::clone(&self.connection));
        Box::pin(blocking(self.directory.clone(), move || {
            let mut kept = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let open = match kept.as_mut() {
                Some(open) => open,
                None => kept.insert(file::open(&directory)?),
            };
            act(open).map_err(|error| StateError::unusable(directory.display(), error))
        }))
    }
}

impl ObjectStore for SqliteObjects {
    fn find<'s>(&'s self, collection: &'s str, selection: Selection) -> Answer<'s, Result<Vec<Object>, StateError>> {
        let collection = collection.to_owned();
        self.with(move |connection| selected(connection, &collection, &selection))
    }

    fn change<'s>(
        &'s self,
        collection: &'s str,
        selection: Selection,
        mut decide: Decide,
    ) -> Answer<'s, Result<(), StateError>> {
        let collection = collection.to_owned();
        self.with(move |connection| {
            // Immediate: nobody else writes between the look and the changes.
            let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let found = selected(&change, &collection, &selection)?;
            for wanted in decide(&found) {
                make(&change, &collection, &wanted)?;
            }
            change.commit()
        })
    }
}

fn selected(connection: &Connection, collection: &str, selection: &Selection) -> rusqlite::Result<Vec<Object>> {
    let id = match selection {
        Selection::All => None,
        Selection::Id(id) => Some(id),
    };
    let mut select = connection.prepare_cached(
        "SELECT number, id, document FROM objects WHERE collection = ?1 AND (?2 IS NULL OR id = ?2) ORDER BY number",
    )?;
    let objects = select.query_map(params![collection, id], |row| {
        Ok(Object {
            number: row.get(0)?,
            id: row.get(1)?,
            document: row.get(2)?,
        })
    })?;
    objects.collect()
}

fn make(change: &Transaction<'_>, collection: &str, wanted: &ObjectChange) -> rusqlite::Result<()> {
    let (statement, values): (_, &[&dyn rusqlite::ToSql]) = match wanted {
        ObjectChange::Add { id, document } => (
            "INSERT INTO objects (collection, id, document) VALUES (?1, ?2, ?3)",
            &[&collection, id, document],
        ),
        ObjectChange::Replace { number, document } => (
            "UPDATE objects SET document = ?3 WHERE collection = ?1 AND number = ?2",
            &[&collection, number, document],
        ),
        ObjectChange::Remove { number } => (
            "DELETE FROM objects WHERE collection = ?1 AND number = ?2",
            &[&collection, number],
        ),
    };
    change.prepare_cached(statement)?.execute(values).map(drop)
}
