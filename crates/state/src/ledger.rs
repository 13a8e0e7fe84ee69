//! What was committed, so that nothing is committed twice.
//!
//! Before bytes leave that commit a part of a message, the part is claimed here by the message's key; afterwards it is
//! settled, and once the whole message has ended, that is recorded. A key that was claimed before is never claimed again
//! by an attempt that does not know of it: the recorded outcome comes back instead.
//!
//! The order of calls, for one message: [`Ledger::look_up`], and when nothing is known, for each transaction
//! [`Ledger::claim`] and [`Ledger::settle`], then [`Ledger::record`]. [`MemoryLedger`] lives as long as its run; the
//! ledgers of a [`StateStore`](crate::StateStore) live as long as their store, and [`LedgerReader`] is for the person who
//! looks into them afterwards.

mod memory;
mod reader;
mod rules;

pub use memory::MemoryLedger;
pub(crate) use memory::Shared;
pub use reader::{Decision, Entry, LedgerReader, PartEntry, SettleError, State};
pub use rules::{BeforeReopening, Claim, LedgerState, MessageEntry, PartState};

use crate::Answer;

/// Settled messages are kept so long; uncertain ones until somebody settles them. In seconds: thirty days.
pub const RETENTION_SECONDS: i64 = 30 * 24 * 60 * 60;

/// How often a store forgets what is older than [`RETENTION_SECONDS`], in seconds.
pub const UPKEEP_SECONDS: i64 = 60 * 60;

/// One committing act: a message's key, and the number of the transaction within it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Part {
    /// Derived from execution, step path, loop indices and item; the same in every attempt.
    pub key: String,
    /// 0 for the first.
    pub number: u32,
}

/// How a part ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartOutcome {
    /// The other side confirmed it. With the message's output (JSON), where this part completed the message.
    Confirmed(Option<String>),
    /// The other side refused it, or nothing of it was ever written: it may be tried again.
    NotCommitted,
    /// Nobody can tell from here.
    Uncertain,
}

/// A message that is about to be handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// As in [`Part::key`].
    pub key: String,
    /// Over the resolved parameters: another content under the same key is refused.
    pub digest: String,
    /// The pipeline asks for it to be sent again if nobody can tell whether it was sent.
    pub resend: bool,
}

/// What is known of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing of it was committed: it is to be sent.
    Nothing,
    /// This much is left to do (JSON, the connector's own), and is to be sent.
    Left(String),
    /// It has ended before.
    Ended(Recorded),
    /// It was committed, or may have been, with another content.
    OtherContent,
}

/// How a message ended, for the attempt that comes upon its key again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// JSON: its output, or what there is of it.
    pub output: String,
    /// True: nobody can tell whether it was committed. False: it was.
    pub uncertain: bool,
    /// JSON: what is left to do should it be sent again.
    pub remainder: Option<String>,
}

/// Why a part may not be committed now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// It was committed before, or is being committed by another, or was named twice.
    #[error("it was committed before")]
    Claimed,
    /// The claim is not known to be written down, so nothing may be sent. It may be asked again: an implementation whose
    /// answer was lost then finds whose the parts are.
    #[error("the ledger could not be written: {0}")]
    Unrecorded(String),
}

/// Where the claims of one execution are kept.
pub trait Ledger: Send + Sync {
    /// Answers what is known of these messages, in their order. Their digests stand for what is claimed under their keys
    /// next.
    fn look_up<'l>(&'l self, messages: &'l [Message]) -> Answer<'l, Vec<Known>>;

    /// Notes what is to be told of a message that is claimed next, from its claim until its end is noted (JSON, the
    /// connector's own): after a crash it is all that a person has to look for the message by. A ledger that ends with its
    /// process has nobody to tell it to.
    fn in_doubt(&self, _key: &str, _output: &str) {}

    /// Claims all the parts or none of them, durably as far as this ledger is durable, in one step however many they are.
    ///
    /// The answer may fail with a [`ClaimError`], and then nothing is claimed.
    fn claim(&self, parts: Vec<Part>) -> Answer<'_, Result<(), ClaimError>>;

    /// Notes how a claimed part ended. One that was not committed may be claimed again. Does not wait: it is written with
    /// the next claim at the latest, and until then a crash leaves the part claimed, which reads as uncertain.
    fn settle(&self, part: &Part, outcome: PartOutcome);

    /// Notes how a whole message ended. Does not wait.
    fn record(&self, key: &str, recorded: Recorded);

    /// Makes everything that was noted durable, and frees the execution for another owner.
    ///
    /// The answer may fail with a sentence's end that says why not.
    fn close(&self) -> Answer<'_, Result<(), String>>;
}
