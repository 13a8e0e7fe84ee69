//! This process among the workers: its name, and its signs of life.
//!
//! Time is for liveness only. Whoever is silent for longer than its lease counts as dead, and another worker takes what it
//! had. If it was only slow, it finds that everything it wants to claim has a later epoch.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use pipepost_state::clock::length;
use tokio_postgres::types::Type;

use crate::book::Desk;
use crate::database::{Database, Fault};
use crate::statements::SIGN;

/// How many signs of life a lease has room for.
const SIGNS_OF_A_LEASE: u32 = 6;

/// How long to wait after a sign that could not be given.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// How often a sign of life is given for a lease.
pub(crate) fn sign_interval(lease: Duration) -> Duration {
    lease / SIGNS_OF_A_LEASE
}

/// This process, as a worker.
#[derive(Debug)]
pub(crate) struct Worker {
    id: String,
    host: String,
    lease: Duration,
    /// When the unbroken series of signs of life began, and when the last one was given.
    signs: Cell<Option<(Instant, Instant)>>,
    /// Held while the first sign is given.
    first: tokio::sync::Mutex<()>,
    told: RefCell<Option<String>>,
}

impl Worker {
    pub(crate) fn new(lease: Duration) -> Self {
        Self {
            id: format!(
                "{:032x}",
                u128::from(getrandom_u64()) << 64 | u128::from(getrandom_u64())
            ),
            host: host(),
            lease,
            signs: Cell::new(None),
            first: tokio::sync::Mutex::default(),
            told: RefCell::default(),
        }
    }

    /// Returns its name, which no other worker has.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Makes the worker known before it takes something.
    pub(crate) async fn known(&self, database: &Database) -> Result<&str, Fault> {
        if self.signs.get().is_none() {
            let _first = self.first.lock().await;
            if self.signs.get().is_none() {
                self.sign(database, false).await?;
            }
        }
        Ok(&self.id)
    }

    /// Returns whether the worker was made known.
    pub(crate) fn is_known(&self) -> bool {
        self.signs.get().is_some()
    }

    /// Returns whether this worker has seen the database without a gap for a whole lease. Before that it cannot tell a dead
    /// worker from one that comes back after the database was away, as it did itself.
    pub(crate) fn is_steady(&self) -> bool {
        self.signs
            .get()
            .is_some_and(|(begun, last)| begun.elapsed() >= self.lease && last.elapsed() < self.lease)
    }

    /// Gives a sign of life, synced if wanted. Returns the server's incarnation.
    async fn sign(&self, database: &Database, is_synced: bool) -> Result<Option<String>, Fault> {
        let synced = if is_synced { "on" } else { "off" };
        let (process, lease) = (i64::from(std::process::id()), length(self.lease));
        let asked = Instant::now();
        let sign = async |client: &mut deadpool_postgres::Object| {
            let values: &[(&(dyn tokio_postgres::types::ToSql + Sync), Type)] = &[
                (&self.id, Type::TEXT),
                (&self.host, Type::TEXT),
                (&process, Type::INT8),
                (&lease, Type::INT8),
                (&synced, Type::TEXT),
            ];
            Ok(client.query_typed_one(SIGN, values).await?.get(1))
        };
        let incarnation = database.soon(sign).await?;
        let begun = match self.signs.get() {
            Some((begun, last)) if last.elapsed() < self.lease => begun,
            _ => asked,
        };
        self.signs.set(Some((begun, asked)));
        Ok(incarnation)
    }

    /// Says that this worker is gone, so that nobody waits for it.
    pub(crate) async fn leave(&self, database: &Database) -> Result<(), Fault> {
        if self.signs.get().is_none() {
            return Ok(());
        }
        let gone = "DELETE FROM pipepost.workers WHERE id = $1::text";
        self.write(database, gone).await
    }

    /// Leaves everything as a kill does, and lets the lease be over.
    pub(crate) async fn die(&self, database: &Database) -> Result<(), Fault> {
        if self.signs.get().is_none() {
            return Ok(());
        }
        let over = "UPDATE pipepost.workers SET seen = '-infinity' WHERE id = $1::text";
        self.write(database, over).await
    }

    async fn write(&self, database: &Database, statement: &str) -> Result<(), Fault> {
        let write = async |client: &mut deadpool_postgres::Object| {
            client.execute_typed(statement, &[(&self.id, Type::TEXT)]).await?;
            Ok(())
        };
        database.soon(write).await
    }
}

/// Gives a sign of life, with which all is synced that was noted before. Finds out whether some of it was lost.
pub(crate) async fn sign(desk: &Desk) -> Result<(), Fault> {
    let last = desk.unsynced.borrow().last();
    let incarnation = desk.worker.sign(&desk.database, last.is_some()).await?;
    if let Some(last) = last
        && desk.unsynced.borrow_mut().synced(last, incarnation)
    {
        desk.has_lost_notes.notify_one();
    }
    Ok(())
}

/// Gives signs of life, once something was taken.
pub(crate) async fn give_signs(desk: Rc<Desk>) {
    let worker = &desk.worker;
    loop {
        let interval = sign_interval(worker.lease);
        if worker.signs.get().is_none() {
            tokio::time::sleep(RETRY_INTERVAL.min(interval)).await;
            continue;
        }
        tokio::time::sleep(interval).await;
        while let Err(fault) = sign(&desk).await {
            let error = desk.database.told(fault).to_string();
            let is_news = worker.told.replace(Some(error.clone())).as_ref() != Some(&error);
            if is_news {
                tracing::warn!("{error} Nothing is sent until it can be used again.");
            }
            tokio::time::sleep(RETRY_INTERVAL.min(interval)).await;
        }
        if worker.told.take().is_some() {
            tracing::info!(place = desk.database.address.place(), "the state can be used again");
        }
    }
}

fn getrandom_u64() -> u64 {
    // Without random numbers no connection could be encrypted either; the process's number keeps names apart.
    getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()))
}

/// The machine's name, as the system tells it.
fn host() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let named = told.or_else(|| std::env::var("HOSTNAME").ok());
    named.map_or_else(|| "unknown".to_owned(), |name| name.trim().to_owned())
}
