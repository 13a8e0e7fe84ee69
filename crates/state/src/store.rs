//! The interface between a host and the state that it keeps.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::Answer;
use crate::copy::{Copied, Piece, Pieces};
use crate::error::StateError;
use crate::grants::GrantStore;
use crate::ledger::{Ledger, LedgerReader};
use crate::object::ObjectStore;
use crate::quota::QuotaStore;
use crate::runs::RunStore;
use crate::server_limits::ServerLimitStore;

/// A function that removes from an output (JSON) what may not be written down.
#[derive(Clone)]
pub struct Redact(Arc<dyn Fn(&str) -> String + Send + Sync>);

impl Redact {
    /// Makes one that applies `redact` to each output before it is kept.
    pub fn with(redact: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(redact))
    }

    /// Makes one that keeps outputs as they are.
    pub fn nothing() -> Self {
        Self::with(str::to_owned)
    }

    /// Returns the output as it may be written down.
    pub fn apply(&self, output: &str) -> String {
        (self.0)(output)
    }
}

impl fmt::Debug for Redact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redact")
    }
}

/// An observer of a store's commits. It is called on the thread that writes, so it should be quick.
pub trait CommitObserver: Send + Sync + fmt::Debug {
    /// Receives how long a commit took that was synced before it was answered, from its first statement to its end.
    fn committed(&self, took: Duration);
}

/// A record of what was sent, shared by all that hold it. Make one per process: the implementations write through one
/// place, so that many concurrent executions share a commit.
///
/// What an implementation has to guarantee:
///
/// - One owner runs an execution at a time. A [`Ledger`] is that ownership: it ends with [`Ledger::close`], when the
///   ledger is dropped, or with the process. What it left claimed then reads as uncertain to the next owner.
/// - A claim is durable before it is answered. Everything that was settled before it on the same ledger is written with
///   it or before it.
/// - A claim of several parts is one step. If its answer was lost, the same owner may ask again, and the claim is
///   granted if the parts are its own.
/// - Where others may take over an execution while its owner is still alive (a lease), each claim is fenced by the
///   owner's epoch, so that an owner that lost the execution claims nothing more.
/// - The store's own clock decides about windows, pauses and retention.
pub trait StateStore: Send + Sync + fmt::Debug {
    /// Opens the ledger of an execution, for this owner. Outputs are kept as `redact` returns them.
    ///
    /// The answer may fail with [`StateError::Taken`] while another owner runs the execution, or when the state cannot
    /// be used.
    fn open_ledger<'s>(&'s self, execution: &'s str, redact: Redact)
    -> Answer<'s, Result<Arc<dyn Ledger>, StateError>>;

    /// Returns the limits and pauses of accounts. Nothing is opened or made before it is needed.
    fn quotas(&self) -> Arc<dyn QuotaStore>;

    /// Returns what servers have taught of their limits. Nothing is opened or made before it is needed.
    fn server_limits(&self) -> Arc<dyn ServerLimitStore>;

    /// Returns the collections of objects. Nothing is opened or made before it is needed.
    fn objects(&self) -> Arc<dyn ObjectStore>;

    /// Returns the record of runs. Nothing is opened or made before it is needed.
    fn runs(&self) -> Arc<dyn RunStore>;

    /// Returns the refresh tokens that took the place of others, if this kind of state keeps them.
    fn grants(&self) -> Option<Arc<dyn GrantStore>> {
        None
    }

    /// Returns the ledgers of all executions, for the person who looks into them. Nothing is opened before it is needed.
    fn reader(&self) -> Arc<dyn LedgerReader>;

    /// Writes down what is left, and lets others know that this process is gone, so that nobody waits for it. Nothing can be
    /// done with the store afterwards. A store that is dropped does the same; this is for a process that ends while something
    /// still holds it.
    fn end(&self) -> Answer<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Reads the whole book for a copy, while nobody else may use it. It ends with [`Piece::End`], or as soon as nobody takes
    /// the pieces any more.
    ///
    /// The answer fails when somebody uses the state, and when it cannot be used.
    fn copy_out(&self, into: mpsc::Sender<Piece>) -> Answer<'_, Result<(), StateError>>;

    /// Writes a book that another state reads, as a whole. Returns how many rows of each table there were; none if the pieces
    /// ended without [`Piece::End`], and then nothing was written.
    ///
    /// The answer fails when there is something already, when somebody uses the state, and when it cannot be used; then
    /// nothing was written.
    fn copy_in(&self, from: Pieces) -> Answer<'_, Result<Option<Copied>, StateError>>;

    /// Makes or opens the state. The answer fails when the state cannot be used.
    fn probe(&self) -> Answer<'_, Result<(), StateError>>;
}
