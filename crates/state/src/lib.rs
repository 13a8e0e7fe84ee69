//! What outlives a step, and if wanted a process: which messages were committed, what accounts have sent recently,
//! which accounts pause, the objects that pipelines keep, and which runs were accepted and how they ended.
//!
//! [`StateStore`] is the interface: a host is given one as a trait object, and opens ledgers, limits, pauses,
//! collections of objects and runs through it. [`MemoryStore`] lives as long as its process; `pipepost-state-sqlite`
//! keeps a file that the processes of one machine share, and `pipepost-state-postgres` a database that machines share. For
//! its sake every method that may have to wait returns a future, the store's own clock decides about time, and a ledger
//! represents the ownership of its execution, with the epoch by which it is fenced.
//!
//! The rules are written once, here: [`ledger::LedgerState`] for messages, [`quota::windows`] for limits,
//! [`runs::Run`] for runs. One suite of tests (feature `suite`) holds the three stores to them. The one in memory is small,
//! so that a run without a state needs no database.
//!
//! Nothing here dials, runs WebAssembly, or interprets a server's reply.
#![forbid(unsafe_code)]

pub mod clock;
pub mod copy;
mod error;
pub mod grants;
pub mod ledger;
mod memory;
pub mod object;
pub mod quota;
pub mod runs;
pub mod server_limits;
mod store;
#[cfg(feature = "suite")]
pub mod suite;

use std::pin::Pin;

pub use error::{Holder, StateError};
pub use memory::MemoryStore;
pub use store::{CommitObserver, Redact, StateStore};

/// An answer that may have to wait for a disk or a network.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
