//! The seam between a host and what it remembers.

use std::fmt;
use std::sync::Arc;

use crate::Answer;
use crate::error::StateError;
use crate::ledger::{Ledger, LedgerReader};
use crate::quota::QuotaStore;

/// Takes out of an output (JSON) what may not be written down.
#[derive(Clone)]
pub struct Redact(Arc<dyn Fn(&str) -> String + Send + Sync>);

impl Redact {
    /// Applies `redact` to each output before it is kept.
    pub fn with(redact: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(redact))
    }

    /// Keeps outputs as they are.
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

/// A book of what was sent, shared by all who hold it. Make one a process: the implementations write through one place, so
/// that many executions at once share a commit.
///
/// What an implementation has to keep:
///
/// - One owner runs an execution at a time. A [`Ledger`] is that ownership: it ends with [`Ledger::close`], with the drop
///   of the ledger, or with the process; what it left claimed then reads as uncertain to the next owner.
/// - A claim is durable before it is answered, and everything that was settled before it on the same ledger is written
///   with it or before it.
/// - A claim of several parts is one step. One whose answer was lost may be asked again by the same owner, and is granted
///   if the parts are its own.
/// - Where others may take an execution over while its owner still lives (a lease), each claim is fenced by the owner's
///   epoch, so that an owner that was overtaken claims nothing more.
/// - Time is the store's: its clock decides about windows, pauses and retention.
pub trait StateStore: Send + Sync + fmt::Debug {
    /// Opens the ledger of an execution, for this owner. Outputs are kept as `redact` returns them.
    ///
    /// The answer may fail with [`StateError::Taken`] while another owner runs the execution, and when the state cannot be
    /// used.
    fn open_ledger<'s>(&'s self, execution: &'s str, redact: Redact)
    -> Answer<'s, Result<Arc<dyn Ledger>, StateError>>;

    /// Returns the limits and pauses of accounts. Nothing is opened or made before it is needed.
    fn quotas(&self) -> Arc<dyn QuotaStore>;

    /// Returns the ledgers of all executions, for the person who looks into them. Nothing is opened before it is needed.
    fn reader(&self) -> Arc<dyn LedgerReader>;

    /// Makes or opens the state, and answers why it cannot be used.
    fn probe(&self) -> Answer<'_, Result<(), StateError>>;
}
