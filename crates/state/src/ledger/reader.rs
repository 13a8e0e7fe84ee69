//! The ledger for the person who must decide: which messages were sent, which are uncertain, and how to settle them.

use serde::Serialize;
use serde_json::Value;

use crate::Answer;
use crate::error::StateError;

/// A reader of the ledgers of all executions in a state.
pub trait LedgerReader: Send + Sync + std::fmt::Debug {
    /// Returns all messages, or those of one execution, in a stable order.
    ///
    /// The answer may fail when the state cannot be read.
    fn list<'r>(&'r self, execution: Option<&'r str>) -> Answer<'r, Result<Vec<Entry>, StateError>>;

    /// Returns the messages that come after the message with the key `after` in that order, at most `limit` of them; the
    /// first ones without `after`, and none if there is no such message. What is before them is not read: an execution may
    /// have millions.
    ///
    /// The answer may fail when the state cannot be read.
    fn page<'r>(
        &'r self,
        execution: Option<&'r str>,
        after: Option<&'r str>,
        limit: usize,
    ) -> Answer<'r, Result<Vec<Entry>, StateError>>;

    /// Returns the messages of all executions that are not known to be sent, in a stable order: what is uncertain, under way
    /// or settled as not sent. What was sent is not read for it: there may be millions, and whoever watches asks again and
    /// again.
    ///
    /// The answer may fail when the state cannot be read.
    fn open(&self) -> Answer<'_, Result<Vec<Entry>, StateError>>;

    /// Returns one message, with its transactions.
    ///
    /// The answer may fail when the state cannot be read.
    fn show<'r>(&'r self, key: &'r str) -> Answer<'r, Result<Option<Entry>, StateError>>;

    /// Settles an uncertain message.
    ///
    /// The answer may fail with a [`SettleError`]; nothing is changed then.
    fn settle<'r>(&'r self, key: &'r str, decision: Decision) -> Answer<'r, Result<Entry, SettleError>>;
}

/// The knowledge about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The server accepted it.
    Sent,
    /// It may or may not have been sent. It is not sent again before somebody settles it.
    Uncertain,
    /// A running process is sending it.
    UnderWay,
    /// Somebody decided that it was not sent. What is left of it is sent when its execution is run again.
    NotSent,
}

impl State {
    /// Returns the name that reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Uncertain => "uncertain",
            Self::UnderWay => "under-way",
            Self::NotSent => "not-sent",
        }
    }
}

/// One message in a ledger.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The message's key.
    pub key: String,
    /// The execution that the message belongs to.
    pub execution: String,
    /// The knowledge about the message.
    pub state: State,
    /// Whether a person decided it.
    pub decided: bool,
    /// The time of its last change.
    pub changed: jiff::Timestamp,
    /// Its transactions, as far as the ledger still has them.
    pub parts: Vec<PartEntry>,
    /// The step's output, or as much of it as there is.
    pub output: Option<Value>,
}

/// One transaction of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartEntry {
    /// The transaction's number, from 0.
    pub number: u32,
    /// `claimed` (never settled), `confirmed` or `uncertain`.
    pub state: String,
}

/// A person's decision about an uncertain message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The message was sent. It is never sent again.
    Sent,
    /// The message was not sent. It is sent when its execution is run again.
    NotSent,
}

/// The reason why a message was not settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// There is no message with this key.
    #[error("There is no message `{0}` in the ledger.")]
    Unknown(String),
    /// The message is not uncertain.
    #[error("The message `{key}` is not uncertain but {}: there is nothing to settle.", .state.as_str())]
    NotUncertain {
        /// The message's key.
        key: String,
        /// The state that it has instead.
        state: State,
    },
    /// The message's execution is being run.
    #[error("The execution of the message `{0}` is being run: wait for its end.")]
    Running(String),
    /// Some of its recipients have the message, and it is not known which are left.
    #[error(
        "Some transactions of the message `{0}` were confirmed, and its process ended before it wrote down who is left: it cannot be sent again without sending it to some twice. Settle it as sent, and send to the others in a pipeline of their own."
    )]
    InPart(String),
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
}
