//! The state in PostgreSQL: one book of runs, claims, limits and grants that several machines share.
//!
//! Make one [`PostgresStore`] per process: a worker. Time is for liveness only: a worker that is silent for longer than its
//! lease counts as dead, and others take what it had. What keeps a message from being sent twice is the epoch: each take of
//! an execution raises it, each claim names it, and holds the execution's row while it is written. So a worker that was
//! paused for however long, and is woken, claims nothing any more.
//!
//! Claims are synced, and with synchronous standbys they are there too before anything is sent; settlements are not, since
//! a claim that was not settled reads as uncertain. When the database cannot be reached, nothing is claimed and so nothing
//! is sent; everything is tried again when it is back.
#![forbid(unsafe_code)]

mod address;
mod book;
mod copy;
mod database;
mod entries;
mod grants;
mod ledger;
mod listen;
mod migrate;
mod objects;
mod quotas;
mod reader;
mod runs;
mod server_limits;
#[doc(hidden)]
pub mod statements;
mod worker;
mod writer;

use std::sync::Arc;
use std::time::Instant;

pub use address::{Address, AddressError};
use book::Book;
pub use database::Trust;
use grants::PostgresGrants;
use ledger::PostgresLedger;
use objects::PostgresObjects;
use pipepost_state::clock::Clock;
use pipepost_state::copy::{Copied, Piece, Pieces};
use pipepost_state::grants::GrantStore;
use pipepost_state::ledger::{Ledger, LedgerReader};
use pipepost_state::object::ObjectStore;
use pipepost_state::quota::QuotaStore;
use pipepost_state::runs::RunStore;
use pipepost_state::server_limits::ServerLimitStore;
use pipepost_state::{Answer, CommitObserver, Redact, StateError, StateStore};
use quotas::PostgresQuotas;
use reader::PostgresReader;
use runs::PostgresRuns;
use server_limits::PostgresServerLimits;
use tokio::sync::{mpsc, oneshot};
use writer::{Job, Open};

/// A state in a database. It is a handle: clones share the connections, and are one worker.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    book: Arc<Book>,
}

impl PostgresStore {
    /// Makes a store for this database. It is connected to at the first use, and brought to this version's format.
    pub fn new(address: Address, trust: Trust) -> Self {
        Self {
            book: Arc::new(Book::new(address, trust, None, None)),
        }
    }

    /// Makes a store that uses this clock in place of the database's, except to tell who lives. For tests.
    pub fn with_clock(address: Address, trust: Trust, clock: Arc<dyn Clock>) -> Self {
        Self {
            book: Arc::new(Book::new(address, trust, Some(clock), None)),
        }
    }

    /// Tells this observer of each commit.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn CommitObserver>) -> Self {
        Self {
            book: Arc::new(self.book.observed_by(observer)),
        }
    }

    /// Returns the address as it may be shown: without user and password.
    pub fn place(&self) -> &str {
        self.book.place()
    }

    /// Ends the store as a killed process does: nothing more is written, and its lease is over at once. For tests.
    pub fn crash(self) {
        self.book.crash();
    }
}

impl StateStore for PostgresStore {
    fn open_ledger<'s>(
        &'s self,
        execution: &'s str,
        redact: Redact,
    ) -> Answer<'s, Result<Arc<dyn Ledger>, StateError>> {
        Box::pin(async move {
            let (done, answer) = oneshot::channel();
            let execution: Arc<str> = execution.into();
            self.book.give(Job::Open(Open {
                execution: Arc::clone(&execution),
                redact: redact.clone(),
                done,
                asked: Instant::now(),
            }))?;
            let opened = answer
                .await
                .unwrap_or_else(|_| Err(StateError::unusable(self.place(), "it is closed")))?;
            let ledger = PostgresLedger::new(Arc::clone(&self.book), execution, redact, opened);
            Ok(Arc::new(ledger) as Arc<dyn Ledger>)
        })
    }

    fn quotas(&self) -> Arc<dyn QuotaStore> {
        Arc::new(PostgresQuotas::new(Arc::clone(&self.book)))
    }

    fn server_limits(&self) -> Arc<dyn ServerLimitStore> {
        Arc::new(PostgresServerLimits::new(Arc::clone(&self.book)))
    }

    fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::new(PostgresObjects::new(Arc::clone(&self.book)))
    }

    fn runs(&self) -> Arc<dyn RunStore> {
        Arc::new(PostgresRuns::new(Arc::clone(&self.book)))
    }

    fn grants(&self) -> Option<Arc<dyn GrantStore>> {
        Some(Arc::new(PostgresGrants::new(Arc::clone(&self.book))))
    }

    fn reader(&self) -> Arc<dyn LedgerReader> {
        Arc::new(PostgresReader::new(Arc::clone(&self.book)))
    }

    fn end(&self) -> Answer<'_, ()> {
        let book = Arc::clone(&self.book);
        Box::pin(async move {
            // It ends in order or it does not: there is nobody to tell.
            drop(tokio::task::spawn_blocking(move || book.leave()).await);
        })
    }

    fn copy_out(&self, into: mpsc::Sender<Piece>) -> Answer<'_, Result<(), StateError>> {
        self.book.act(async move |desk| copy::out(&desk, into).await)
    }

    fn copy_in(&self, from: Pieces) -> Answer<'_, Result<Option<Copied>, StateError>> {
        self.book.act(async move |desk| copy::in_from(&desk, from).await)
    }

    fn probe(&self) -> Answer<'_, Result<(), StateError>> {
        self.book
            .act(async move |desk| desk.database.soon(async |_: &mut _| Ok(())).await)
    }
}

#[cfg(test)]
mod tests;
