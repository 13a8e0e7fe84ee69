//! What servers have taught, in the file.
//!
//! It is read once for each server and process, and written when something was learned, so each question has a
//! connection of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipepost_state::clock::Clock;
use pipepost_state::server_limits::{
    KeptLimits, MessagesLimit, ServerKey, ServerLimitStore, ServerLimits, ServerLimitsEntry,
};
use pipepost_state::{Answer, StateError};
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use crate::{FILE, blocking, file};

const SELECT: &str = "SELECT messages, suspected, messages_learned, connections, connections_learned, label, server
                      FROM server_limits";

/// What servers have taught, in a state directory.
#[derive(Debug)]
pub(crate) struct SqliteServerLimits {
    directory: PathBuf,
    clock: Arc<dyn Clock>,
}

impl SqliteServerLimits {
    pub(crate) fn new(directory: &Path, clock: Arc<dyn Clock>) -> Self {
        Self {
            directory: directory.to_owned(),
            clock,
        }
    }

    /// Opens the file for one question.
    fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'static, Result<T, StateError>> {
        let directory = self.directory.clone();
        Box::pin(blocking(self.directory.clone(), move || {
            let mut connection = file::open(&directory)?;
            act(&mut connection).map_err(|error| StateError::unusable(directory.join(FILE).display(), error))
        }))
    }
}

impl ServerLimitStore for SqliteServerLimits {
    fn recall<'s>(&'s self, key: &'s ServerKey) -> Answer<'s, Result<ServerLimits, StateError>> {
        if !self.directory.join(FILE).exists() {
            return Box::pin(std::future::ready(Ok(ServerLimits::default())));
        }
        let (key, now) = (key.clone(), self.clock.now());
        self.with(move |connection| Ok(kept(connection, &key)?.fresh(now).limits()))
    }

    fn learn<'s>(&'s self, key: &'s ServerKey, limits: ServerLimits) -> Answer<'s, Result<(), StateError>> {
        let (key, now) = (key.clone(), self.clock.now());
        self.with(move |connection| {
            // Immediate: nobody else writes between the look and the change.
            let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let kept = kept(&change, &key)?.learn(limits, now);
            change.execute(
                "DELETE FROM server_limits WHERE account = ?1 AND server = ?2",
                [&key.account.account, &key.server],
            )?;
            if !kept.is_empty() {
                change.execute(
                    "INSERT INTO server_limits (account, label, server, messages, suspected, messages_learned,
                       connections, connections_learned) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    params![
                        key.account.account,
                        key.account.label,
                        key.server,
                        kept.messages.map(|(limit, _)| limit.most),
                        kept.messages.map(|(limit, _)| limit.is_suspected),
                        kept.messages.map(|(_, learned)| learned),
                        kept.connections.map(|(most, _)| most),
                        kept.connections.map(|(_, learned)| learned),
                    ],
                )?;
            }
            change.commit()
        })
    }

    fn list<'s>(&'s self, label: Option<&'s str>) -> Answer<'s, Result<Vec<ServerLimitsEntry>, StateError>> {
        let (label, now) = (label.map(str::to_owned), self.clock.now());
        self.with(move |connection| {
            let query = format!("{SELECT} WHERE ?1 IS NULL OR label = ?1 ORDER BY label, server, account");
            let mut select = connection.prepare(&query)?;
            let rows = select.query_map(params![label], |row| Ok((kept_of(row)?, row.get(5)?, row.get(6)?)))?;
            shown(rows, now)
        })
    }

    fn forget<'s>(&'s self, label: &'s str) -> Answer<'s, Result<Vec<ServerLimitsEntry>, StateError>> {
        let (label, now) = (label.to_owned(), self.clock.now());
        self.with(move |connection| {
            let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let known = {
                let query = format!("{SELECT} WHERE label = ?1 ORDER BY label, server, account");
                let mut select = change.prepare(&query)?;
                let rows = select.query_map([&label], |row| Ok((kept_of(row)?, row.get(5)?, row.get(6)?)))?;
                shown(rows, now)?
            };
            change.execute("DELETE FROM server_limits WHERE label = ?1", [&label])?;
            change.commit()?;
            Ok(known)
        })
    }
}

fn kept(connection: &Connection, key: &ServerKey) -> rusqlite::Result<KeptLimits> {
    let query = format!("{SELECT} WHERE account = ?1 AND server = ?2");
    let found = connection.query_row(&query, [&key.account.account, &key.server], kept_of);
    Ok(found.optional()?.unwrap_or_default())
}

fn kept_of(row: &Row<'_>) -> rusqlite::Result<KeptLimits> {
    let (most, suspected, learned): (Option<u32>, Option<bool>, Option<i64>) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let (connections, connections_learned): (Option<u32>, Option<i64>) = (row.get(3)?, row.get(4)?);
    let limit = most
        .zip(suspected)
        .map(|(most, is_suspected)| MessagesLimit { most, is_suspected });
    Ok(KeptLimits {
        messages: limit.zip(learned),
        connections: connections.zip(connections_learned),
    })
}

/// The rows that are not too old.
fn shown(
    rows: impl Iterator<Item = rusqlite::Result<(KeptLimits, String, String)>>,
    now: i64,
) -> rusqlite::Result<Vec<ServerLimitsEntry>> {
    let mut entries = Vec::new();
    for row in rows {
        let (kept, label, server) = row?;
        let kept = kept.fresh(now);
        if !kept.is_empty() {
            entries.push(kept.shown(&label, &server));
        }
    }
    Ok(entries)
}
