//! The record of what was committed, so that nothing is committed twice.
//!
//! Before the bytes that commit a part of a message leave, the part is claimed here by the message's key. Afterwards it
//! is settled, and once the whole message has ended, that is recorded. An attempt that does not know of an earlier
//! claim never claims the same key again: it gets the recorded outcome instead.
//!
//! The order of calls for one message: [`Ledger::look_up`]; when nothing is known, [`Ledger::claim`] and
//! [`Ledger::settle`] for each transaction; then [`Ledger::record`]. A [`MemoryLedger`] lives as long as its run. The
//! ledgers of a [`StateStore`](crate::StateStore) live as long as their store. [`LedgerReader`] is for the person who
//! looks into them afterwards.

mod memory;
mod reader;
mod rules;

pub use memory::MemoryLedger;
pub(crate) use memory::Shared;
pub use reader::{Decision, Entry, LedgerReader, PartEntry, SettleError, State};
pub use rules::{BeforeReopening, Claim, LedgerState, MessageEntry, PartState};

use crate::{Answer, StateError};

/// How long settled messages are kept, in seconds: thirty days. Uncertain ones are kept until somebody settles them.
pub const RETENTION_SECONDS: i64 = 30 * 24 * 60 * 60;

/// How often a store forgets what is older than [`RETENTION_SECONDS`], in seconds.
pub const UPKEEP_SECONDS: i64 = 60 * 60;

/// One act of commit: a message's key, and the number of the transaction within the message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Part {
    /// The message's key, made from execution, step path, loop indices and item. It is the same in every attempt.
    pub key: String,
    /// The transaction's number, from 0.
    pub number: u32,
}

/// The way a part ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartOutcome {
    /// The other side confirmed it. If this part completed the message, the value is the message's output (JSON).
    Confirmed(Option<String>),
    /// The other side refused it, or nothing of it was ever written. It may be tried again.
    NotCommitted,
    /// It is not known whether the other side took it.
    Uncertain,
}

/// A message that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The message's key, as in [`Part::key`].
    pub key: String,
    /// The digest of the resolved parameters. Different content under the same key is refused.
    pub digest: String,
    /// Whether the pipeline asks to send the message again if nobody can tell whether it was sent.
    pub resend: bool,
}

/// The knowledge about a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing of the message was committed. It is to be sent.
    Nothing,
    /// The value says what is left to do (JSON in the connector's own format). It is to be sent.
    Left(String),
    /// The message ended before.
    Ended(Recorded),
    /// The message was committed, or may have been, with different content.
    OtherContent,
}

/// The way a message ended, for an attempt that finds its key again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The message's output, or as much of it as there is, as JSON.
    pub output: String,
    /// True: nobody can tell whether the message was committed. False: it was committed.
    pub uncertain: bool,
    /// What is left to do if the message is sent again, as JSON.
    pub remainder: Option<String>,
}

/// The reason why a part may not be committed now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The part was committed before, is being committed by another owner, or was named twice.
    #[error("it was committed before")]
    Claimed,
    /// It is not known whether the claim was written down, so nothing may be sent. The caller may ask again: an
    /// implementation whose answer was lost then finds out who owns the parts.
    #[error("the ledger could not be written: {0}")]
    Unrecorded(String),
}

/// A record of the claims of one execution.
pub trait Ledger: Send + Sync {
    /// Returns what is known of these messages, in their order. Their digests are used for the next claims under their
    /// keys.
    ///
    /// The answer may fail because the ledger cannot be read. Then nothing is known of any of them, and none may be sent:
    /// a claim would say of one that was sent before that it is taken, and not that it arrived.
    fn look_up<'l>(&'l self, messages: &'l [Message]) -> Answer<'l, Result<Vec<Known>, StateError>>;

    /// Returns whether a claim waits for a disk or for another machine. Then claims that are made together, and ahead, cost
    /// less.
    fn is_durable(&self) -> bool {
        false
    }

    /// Notes what to report about a message that is claimed next, from its claim until its end is noted (JSON in the
    /// connector's own format). After a crash this is all that a person has to look for the message by. A ledger that
    /// ends with its process has nobody to report it to.
    fn in_doubt(&self, _key: &str, _output: &str) {}

    /// Claims all the parts or none of them, in one step for any number of parts. The claim is as durable as this
    /// ledger is.
    ///
    /// The answer may fail with a [`ClaimError`], and then nothing is claimed.
    fn claim(&self, parts: Vec<Part>) -> Answer<'_, Result<(), ClaimError>>;

    /// Notes how a claimed part ended. A part that was not committed may be claimed again. The method does not wait:
    /// the note is written with the next claim at the latest. A crash before that leaves the part claimed, which reads
    /// as uncertain.
    fn settle(&self, part: &Part, outcome: PartOutcome);

    /// Notes how a whole message ended. The method does not wait.
    fn record(&self, key: &str, recorded: Recorded);

    /// Takes these messages out of memory, if they have ended: the run does not come back to them. What was written down
    /// stays, and the next owner finds it.
    fn let_go(&self, _keys: &[String]) {}

    /// Makes everything that was noted durable, and frees the execution for another owner.
    ///
    /// The answer may fail with the reason, worded as the end of a sentence.
    fn close(&self) -> Answer<'_, Result<(), String>>;

    /// Frees the execution for another owner, for a caller that makes something else durable next through the same
    /// store, such as the run's end ([`RunStore::finish`](crate::runs::RunStore::finish)): then everything that was noted
    /// here is durable too. It need not wait for the disk.
    ///
    /// The answer may fail with the reason, worded as the end of a sentence.
    fn hand_over(&self) -> Answer<'_, Result<(), String>> {
        self.close()
    }
}
