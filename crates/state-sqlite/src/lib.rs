//! The state in one SQLite file: what the processes of one machine share, and what outlives them.
//!
//! Make one [`SqliteStore`] per process. Everything is written by one thread over one connection, so that all that
//! waits at the same moment, from all executions, shares one commit. Readers have their own connection and wait for
//! nobody.
#![forbid(unsafe_code)]

mod copy;
mod file;
mod ledger;
mod objects;
mod owner;
mod quotas;
mod reader;
mod runs;
mod server_limits;
mod writer;

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

pub use file::FILE;
use ledger::{Loaded, SqliteLedger};
use objects::SqliteObjects;
use pipepost_state::clock::{Clock, SystemClock};
use pipepost_state::copy::{Copied, Piece, Pieces};
use pipepost_state::ledger::{Ledger, LedgerReader};
use pipepost_state::object::ObjectStore;
use pipepost_state::quota::QuotaStore;
use pipepost_state::runs::RunStore;
use pipepost_state::server_limits::ServerLimitStore;
use pipepost_state::{Answer, CommitObserver, Redact, StateError, StateStore};
use quotas::SqliteQuotas;
use reader::SqliteReader;
use runs::SqliteRuns;
use server_limits::SqliteServerLimits;
use tokio::sync::{mpsc, oneshot};
use writer::{Job, Writer};

/// A state in a directory. It is a handle: clones share the state.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    book: Arc<Book>,
    quotas: Arc<SqliteQuotas>,
    objects: Arc<SqliteObjects>,
    runs: Arc<SqliteRuns>,
}

/// What all handles share.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) directory: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    on_commit: Option<OnCommit>,
    observer: Option<Arc<dyn CommitObserver>>,
    writing: Mutex<Option<Writing>>,
    /// Executions that began together with their runs, and whose ledgers are not open yet.
    begun: Mutex<HashSet<String>>,
    /// Locked while this process serves the runs.
    pub(crate) serving: Mutex<Option<File>>,
}

/// The thread that writes, once there is something to write.
#[derive(Debug)]
struct Writing {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// Called before each commit.
#[derive(Clone)]
pub(crate) struct OnCommit(Arc<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for OnCommit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnCommit")
    }
}

impl SqliteStore {
    /// Makes a store for this directory. The directory is made, and the file in it opened, at the first use.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self::with_clock(directory, Arc::new(SystemClock))
    }

    /// Makes a store for this directory that uses this clock.
    pub fn with_clock(directory: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self::made(directory.into(), clock, None, None)
    }

    /// Calls `act` on the writing thread before each commit. `act` may observe the disk, or slow it down.
    #[must_use]
    pub fn before_commits(self, act: impl Fn() + Send + Sync + 'static) -> Self {
        let book = &self.book;
        Self::made(
            book.directory.clone(),
            Arc::clone(&book.clock),
            Some(OnCommit(Arc::new(act))),
            book.observer.clone(),
        )
    }

    /// Tells this observer of each commit.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn CommitObserver>) -> Self {
        let book = &self.book;
        let clock = Arc::clone(&book.clock);
        Self::made(book.directory.clone(), clock, book.on_commit.clone(), Some(observer))
    }

    fn made(
        directory: PathBuf,
        clock: Arc<dyn Clock>,
        on_commit: Option<OnCommit>,
        observer: Option<Arc<dyn CommitObserver>>,
    ) -> Self {
        let book = Arc::new(Book {
            directory,
            clock,
            on_commit,
            observer,
            writing: Mutex::default(),
            begun: Mutex::default(),
            serving: Mutex::default(),
        });
        Self {
            quotas: Arc::new(SqliteQuotas::new(Arc::clone(&book))),
            objects: Arc::new(SqliteObjects::new(&book.directory)),
            runs: Arc::new(SqliteRuns::new(Arc::clone(&book))),
            book,
        }
    }

    /// Returns the state directory.
    pub fn directory(&self) -> &Path {
        &self.book.directory
    }

    /// Ends the store as a killed process does: nothing more is written, and what was left open has no owner. For
    /// tests.
    pub fn crash(self) {
        let mut writing = self.book.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let none = Writing {
            jobs: None,
            thread: None,
        };
        writing.get_or_insert(none).end(Some(Job::Crash));
        *self.book.serving.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Book {
    /// Notes that an execution began together with its run: nothing is known of it, and its ledger can open at once.
    pub(crate) fn note_begun(&self, execution: &str) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.insert(execution.to_owned());
    }

    /// Returns whether an execution began together with its run, and its ledger was not opened before.
    pub(crate) fn take_begun(&self, execution: &str) -> bool {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.remove(execution)
    }

    /// Gives the thread that writes a job; starts it where there is none.
    pub(crate) fn give(self: &Arc<Self>, job: Job) -> Result<(), StateError> {
        let unusable = |reason: &dyn std::fmt::Display| StateError::unusable(self.directory.display(), reason);
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if writing.is_none() {
            let (jobs, receiver) = channel();
            let mut writer = Writer::new(
                &self.directory,
                Arc::clone(&self.clock),
                self.on_commit.clone(),
                self.observer.clone(),
            );
            let thread = thread::Builder::new()
                .name("pipepost-state".into())
                .spawn(move || writer.work(&receiver))
                .map_err(|error| unusable(&error))?;
            *writing = Some(Writing {
                jobs: Some(jobs),
                thread: Some(thread),
            });
        }
        let jobs = writing.as_ref().and_then(|writing| writing.jobs.as_ref());
        match jobs.map(|jobs| jobs.send(job)) {
            Some(Ok(())) => Ok(()),
            _ => Err(unusable(&"nothing is written any more")),
        }
    }
}

impl Writing {
    /// Lets the thread write what it was given, and waits for it.
    fn end(&mut self, last: Option<Job>) {
        if let (Some(jobs), Some(job)) = (self.jobs.take(), last) {
            // A thread that is gone has nothing to end.
            drop(jobs.send(job));
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the state ended in a panic");
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl StateStore for SqliteStore {
    fn open_ledger<'s>(
        &'s self,
        execution: &'s str,
        redact: Redact,
    ) -> Answer<'s, Result<Arc<dyn Ledger>, StateError>> {
        Box::pin(async move {
            if self.book.take_begun(execution) {
                let loaded = Loaded::nothing(Arc::clone(&self.book.clock), redact.clone());
                let ledger = SqliteLedger::new(Arc::clone(&self.book), execution, redact, loaded);
                return Ok(Arc::new(ledger) as Arc<dyn Ledger>);
            }
            let (done, answer) = oneshot::channel();
            self.book.give(Job::open(execution, redact.clone(), done))?;
            let loaded = answer
                .await
                .unwrap_or_else(|_| Err(StateError::unusable(self.directory().display(), "it is closed")))?;
            let ledger = SqliteLedger::new(Arc::clone(&self.book), execution, redact, loaded);
            Ok(Arc::new(ledger) as Arc<dyn Ledger>)
        })
    }

    fn quotas(&self) -> Arc<dyn QuotaStore> {
        Arc::clone(&self.quotas) as Arc<dyn QuotaStore>
    }

    fn server_limits(&self) -> Arc<dyn ServerLimitStore> {
        Arc::new(SqliteServerLimits::new(
            &self.book.directory,
            Arc::clone(&self.book.clock),
        ))
    }

    fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects) as Arc<dyn ObjectStore>
    }

    fn runs(&self) -> Arc<dyn RunStore> {
        Arc::clone(&self.runs) as Arc<dyn RunStore>
    }

    fn reader(&self) -> Arc<dyn LedgerReader> {
        Arc::new(SqliteReader::new(&self.book.directory, Arc::clone(&self.book.clock)))
    }

    fn copy_out(&self, into: mpsc::Sender<Piece>) -> Answer<'_, Result<(), StateError>> {
        let directory = self.book.directory.clone();
        Box::pin(blocking(self.book.directory.clone(), move || {
            copy::out(&directory, &into)
        }))
    }

    fn copy_in(&self, from: Pieces) -> Answer<'_, Result<Option<Copied>, StateError>> {
        let directory = self.book.directory.clone();
        Box::pin(blocking(self.book.directory.clone(), move || {
            copy::in_from(&directory, from)
        }))
    }

    fn probe(&self) -> Answer<'_, Result<(), StateError>> {
        let directory = self.book.directory.clone();
        Box::pin(blocking(self.book.directory.clone(), move || {
            file::open(&directory).map(drop)
        }))
    }
}

/// Does what waits for a disk where nobody waits for the thread.
pub(crate) async fn blocking<T: Send + 'static, E: From<StateError> + Send + 'static>(
    directory: PathBuf,
    act: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let done = tokio::task::spawn_blocking(act).await;
    done.unwrap_or_else(|error| Err(StateError::unusable(directory.display(), error).into()))
}

#[cfg(test)]
mod tests;
