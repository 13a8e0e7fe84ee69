//! Moves what was committed from the log into the file, beside the one who writes.
//!
//! SQLite does so by itself after a commit, and that commit waits for two more syncs: whoever asked for it waits for all
//! that others committed. Here a thread with a connection of its own does it, and commits go on. Only when the log has grown
//! far, since commits never pause, does the writer do the rest itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rusqlite::Connection;

use crate::file;

/// The log's length in pages at which it is moved: SQLite's own number, 4 MB.
const LOG: i32 = 1000;

/// The length at which the writer moves it itself: 32 MB.
const LOG_MAX: i32 = 8000;

/// A passive one: it waits for nobody, and nobody for it.
const MOVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// The writer's side.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    /// The log's length after the last commit, in pages.
    pages: Arc<AtomicI32>,
    directory: PathBuf,
    /// Dropped, it ends the thread. None: nothing was long enough yet.
    asks: Option<SyncSender<()>>,
}

impl Checkpoints {
    /// Takes the place of what SQLite does by itself for this connection.
    pub(crate) fn of(connection: &mut Connection, directory: &Path) -> rusqlite::Result<Self> {
        let pages = Arc::new(AtomicI32::new(0));
        let told = Arc::clone(&pages);
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            told.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            pages,
            directory: directory.to_owned(),
            asks: None,
        })
    }

    /// Has the log moved if it is long. Called after a commit.
    pub(crate) fn committed(&mut self, connection: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < LOG {
            return;
        }
        if self.asks.is_none() {
            self.asks = start(self.directory.clone());
        }
        match &self.asks {
            // A full channel means that it is asked already.
            Some(asks) if pages < LOG_MAX => drop(asks.try_send(())),
            _ => move_log(connection),
        }
    }
}

/// Starts the thread; none where there can be no more, and then the writer moves the log.
fn start(directory: PathBuf) -> Option<SyncSender<()>> {
    // One that waits is enough.
    let (asks, asked) = sync_channel(1);
    let thread = thread::Builder::new()
        .name("pipepost-log".into())
        .spawn(move || work(directory, &asked));
    thread.is_ok().then_some(asks)
}

fn work(directory: PathBuf, asked: &Receiver<()>) {
    let mut connection = None;
    while asked.recv().is_ok() {
        // What cannot be opened now is tried at the next commit.
        let open = || file::open(&directory).ok();
        connection = connection.or_else(open);
        if let Some(connection) = &connection {
            move_log(connection);
        }
    }
}

fn move_log(connection: &Connection) {
    // It answers how far it came. The next commit asks again.
    if let Err(error) = connection.query_row(MOVE, [], |_| Ok(())) {
        tracing::debug!(%error, "the log of the state could not be moved into the file");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(directory: &Path) -> u64 {
        let path = directory.join(format!("{}-wal", file::FILE));
        std::fs::metadata(path).map_or(0, |about| about.len())
    }

    #[test]
    fn the_log_is_moved_and_does_not_grow_with_what_is_committed() {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let mut connection = file::open(folder.path()).expect("a new state");
        let mut checkpoints = Checkpoints::of(&mut connection, folder.path()).expect("a connection");
        connection
            .pragma_update(None, "synchronous", "off")
            .expect("a connection");
        let text = "x".repeat(20_000);
        for number in 0..10_000 {
            connection
                .execute(
                    "INSERT INTO objects (collection, id, document) VALUES ('a', ?1, ?2)",
                    (number, &text),
                )
                .expect("a writable state");
            checkpoints.committed(&connection);
        }
        // Two hundred megabytes were committed.
        let length = log(folder.path());
        assert!(length < 100_000_000, "{length}");
        let there: i64 = connection
            .query_row("SELECT count(*) FROM objects", [], |row| row.get(0))
            .expect("a state");
        assert_eq!(there, 10_000);
    }
}
