//! What outlives a step, and where wanted a process: which messages were committed, what accounts have sent of late, and
//! which of them pause.
//!
//! [`StateStore`] is the seam: a host is handed one as a trait object and opens ledgers, limits and pauses through it.
//! [`MemoryStore`] lives as long as its process; `pipepost-state-sqlite` keeps a file that processes of one machine share.
//! An implementation over a network fits behind the same traits: every method that may have to wait answers a future, the
//! store's own clock decides about time, and a ledger stands for the ownership of its execution, with whatever epoch an
//! implementation fences it by.
//!
//! The rules are here, once: [`ledger::LedgerState`] for messages, [`quota::windows`] for limits. Two small stores share
//! them (this crate's and SQLite's) rather than one SQLite in memory, so that a run without a state needs no database, and
//! the suite of tests (feature `suite`) has two implementations to hold to the same rules before a third one comes.
//!
//! Nothing here dials, runs WebAssembly, or knows what a server's reply means.
#![forbid(unsafe_code)]

pub mod clock;
mod error;
pub mod ledger;
mod memory;
pub mod quota;
mod store;
#[cfg(feature = "suite")]
pub mod suite;

use std::pin::Pin;

pub use error::{Holder, StateError};
pub use memory::MemoryStore;
pub use store::{Redact, StateStore};

/// An answer that may have to wait for a disk or a network.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
