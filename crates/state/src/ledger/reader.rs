//! The ledger for the person who must decide: what was sent, what nobody can tell, and how to settle it.

use serde::Serialize;
use serde_json::Value;

use crate::Answer;
use crate::error::StateError;

/// The ledgers of all executions in a state.
pub trait LedgerReader: Send + Sync + std::fmt::Debug {
    /// Answers all messages, or those of one execution, in a stable order.
    ///
    /// The answer may fail when the state cannot be read.
    fn list<'r>(&'r self, execution: Option<&'r str>) -> Answer<'r, Result<Vec<Entry>, StateError>>;

    /// Answers one message, with its transactions.
    ///
    /// The answer may fail when the state cannot be read.
    fn show<'r>(&'r self, key: &'r str) -> Answer<'r, Result<Option<Entry>, StateError>>;

    /// Settles an uncertain message.
    ///
    /// The answer may fail with a [`SettleError`]; nothing is changed then.
    fn settle<'r>(&'r self, key: &'r str, decision: Decision) -> Answer<'r, Result<Entry, SettleError>>;
}

/// What is known of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The server took it.
    Sent,
    /// It may have been sent and may not. It is not sent again before somebody settles it.
    Uncertain,
    /// A running process is sending it.
    UnderWay,
    /// Somebody decided that it was not sent; what is left of it goes out when its execution is run again.
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

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Names it.
    pub key: String,
    /// The execution that it belongs to.
    pub execution: String,
    /// What is known of it.
    pub state: State,
    /// A person said so.
    pub decided: bool,
    /// When it last changed.
    pub changed: jiff::Timestamp,
    /// Its transactions, where the ledger still has them.
    pub parts: Vec<PartEntry>,
    /// The step's output, or what there is of it.
    pub output: Option<Value>,
}

/// One transaction of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartEntry {
    /// Counted from 0.
    pub number: u32,
    /// `claimed` (never settled), `confirmed` or `uncertain`.
    pub state: String,
}

/// What a person decides of an uncertain message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It was: it is never sent again.
    Sent,
    /// It was not: it goes out when its execution is run again.
    NotSent,
}

/// Why a message was not settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// There is none of this key.
    #[error("There is no message `{0}` in the ledger.")]
    Unknown(String),
    /// It is not uncertain.
    #[error("The message `{key}` is not uncertain but {}: there is nothing to settle.", .state.as_str())]
    NotUncertain {
        /// Its key.
        key: String,
        /// What it is instead.
        state: State,
    },
    /// Its execution is being run.
    #[error("The execution of the message `{0}` is being run: wait for its end.")]
    Running(String),
    /// Some of its recipients have it, and nobody knows who is left.
    #[error(
        "Some transactions of the message `{0}` were confirmed, and its process ended before it wrote down who is left: it cannot be sent again without sending it to some twice. Settle it as sent, and send to the others in a pipeline of their own."
    )]
    InPart(String),
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
}
