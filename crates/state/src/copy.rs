//! A whole book, as it goes from one state to another: table by table, a few rows at a time.
//!
//! The tables are those that every state with a database has, with the columns that mean the same in each. What a state has
//! for itself (who owns what, when it was tidied up) stays behind: nobody may use a book while it is copied, so nobody owns
//! anything, and what was claimed and never settled reads as uncertain on the other side too.
//!
//! [`copy`] lets one state read and the other write, both in one transaction: the other has all of it, or nothing.

use tokio::sync::mpsc;

use crate::error::StateError;
use crate::store::StateStore;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text, or nothing.
    Text,
    /// A whole number, or nothing.
    Integer,
    /// 0 or 1, or nothing.
    Bool,
}

use Kind::{Bool, Integer, Text};

/// A table of which every row is copied.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The name. A state may keep the rows under another one.
    pub name: &'static str,
    /// The columns, in the order of a row's values.
    pub columns: &'static [(&'static str, Kind)],
    /// The columns by which its rows are read. Numbers that a state gives rows of itself follow them.
    pub order: &'static str,
    /// What a row is called, once and many times.
    pub called: (&'static str, &'static str),
}

/// The tables, in the order in which they are copied: what others refer to is first.
pub const TABLES: [Table; 10] = [
    Table {
        name: "executions",
        columns: &[("key", Text), ("begun", Integer), ("changed", Integer)],
        order: "key",
        called: ("execution", "executions"),
    },
    Table {
        name: "messages",
        columns: &[
            ("key", Text),
            ("execution", Text),
            ("digest", Text),
            ("outcome", Text),
            ("output", Text),
            ("remainder", Text),
            ("in_doubt", Text),
            ("decided", Bool),
            ("changed", Integer),
        ],
        order: "execution, number",
        called: ("message", "messages"),
    },
    Table {
        name: "parts",
        columns: &[
            ("message", Text),
            ("number", Integer),
            ("state", Text),
            ("output", Text),
        ],
        order: "message, number",
        called: ("transaction", "transactions"),
    },
    Table {
        name: "documents",
        columns: &[("digest", Text), ("pipeline", Text), ("text", Text), ("files", Text)],
        order: "digest",
        called: ("document", "documents"),
    },
    Table {
        name: "runs",
        columns: &[
            ("id", Text),
            ("pipeline", Text),
            ("document", Text),
            ("key", Text),
            ("digest", Text),
            ("origin", Text),
            ("message", Text),
            ("shown", Text),
            ("globals", Text),
            ("state", Text),
            ("due", Integer),
            ("expires", Integer),
            ("retries", Integer),
            ("attempt", Integer),
            ("deaths", Integer),
            ("allow_redelivery", Bool),
            ("redelivery", Bool),
            ("epoch", Integer),
            ("accepted", Integer),
            ("begun", Integer),
            ("ended", Integer),
            ("output", Text),
            ("kind", Text),
            ("failure", Text),
            ("sent", Integer),
            ("failed", Integer),
            ("uncertain", Integer),
            ("trace_parent", Text),
            ("trace_state", Text),
        ],
        order: "id",
        called: ("run", "runs"),
    },
    Table {
        name: "schedules",
        columns: &[
            ("pipeline", Text),
            ("last", Integer),
            ("paused", Bool),
            ("missed", Integer),
            ("skipped", Integer),
        ],
        order: "pipeline",
        called: ("schedule", "schedules"),
    },
    Table {
        name: "pauses",
        columns: &[
            ("account", Text),
            ("label", Text),
            ("begun", Integer),
            ("until", Integer),
            ("kind", Text),
            ("why", Text),
        ],
        order: "account",
        called: ("pause of an account", "pauses of accounts"),
    },
    Table {
        name: "admissions",
        columns: &[("account", Text), ("ended", Integer)],
        order: "id",
        called: (
            "transaction that counts for a limit",
            "transactions that count for limits",
        ),
    },
    Table {
        name: "server_limits",
        columns: &[
            ("account", Text),
            ("label", Text),
            ("server", Text),
            ("messages", Integer),
            ("suspected", Bool),
            ("messages_learned", Integer),
            ("connections", Integer),
            ("connections_learned", Integer),
        ],
        order: "account, server",
        called: ("limit of a server", "limits of servers"),
    },
    Table {
        name: "objects",
        columns: &[
            ("number", Integer),
            ("collection", Text),
            ("id", Text),
            ("document", Text),
        ],
        order: "number",
        called: ("object", "objects"),
    },
];

/// The most rows of a [`Piece`].
pub const PIECE_ROWS: usize = 500;

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number; 0 or 1 in a column of [`Kind::Bool`].
    Integer(i64),
    /// A text.
    Text(String),
}

/// A piece of a book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Rows of the table at this place of [`TABLES`].
    Rows(usize, Vec<Vec<Value>>),
    /// Everything was read. Without it the other side takes nothing.
    End {
        /// The largest number that was ever given to an object; none is given twice.
        last_object: i64,
    },
}

/// The pieces, as they are read.
pub type Pieces = mpsc::Receiver<Piece>;

/// How many rows of each of [`TABLES`] were copied.
pub type Copied = [u64; TABLES.len()];

/// Why a book was not copied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// It could not be read, or somebody uses it. Nothing was written.
    #[error(transparent)]
    From(StateError),
    /// It could not be written, or there is something already. Nothing was written.
    #[error(transparent)]
    To(StateError),
}

/// Copies a whole book into a state that has nothing yet. Returns how many rows of each table there were.
///
/// # Errors
/// Fails when somebody uses either of them, when the other one is not empty, and when either cannot be used; then nothing was
/// written.
pub async fn copy(from: &dyn StateStore, to: &dyn StateStore) -> Result<Copied, CopyError> {
    let (pieces, read) = mpsc::channel(2);
    let (read, written) = tokio::join!(from.copy_out(pieces), to.copy_in(read));
    // Each ends without a complaint when the other one has ended: the one that failed says why.
    let written = written.map_err(CopyError::To)?;
    read.map_err(CopyError::From)?;
    written.ok_or_else(|| CopyError::From(StateError::unusable("the old state", "it was not read to its end")))
}
