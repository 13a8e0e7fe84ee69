//! The reasons why the state cannot be used.

use std::fmt;

/// The reason why the state cannot be used. The program that shows it says what to do: a command line names its
/// options, a console its pages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A newer version wrote the state. The remedy: use that version, or another state.
    #[error(
        "The state in `{place}` was written by a newer Pipepost: its format is {found}, and this version knows up to {known}."
    )]
    Newer {
        /// The file or the database.
        place: String,
        /// The format of the state.
        found: i64,
        /// The newest format that this version knows.
        known: i64,
    },
    /// The state cannot be read or written. The remedy: repair it, or use another state.
    #[error("The state in `{place}` cannot be used: {reason}.")]
    Unusable {
        /// The file, directory or database.
        place: String,
        /// The message of the system or the database, without a full stop.
        reason: String,
    },
    /// The database cannot be reached, or does not answer. Nothing is sent meanwhile. The remedy: wait until it is back.
    #[error("The state in `{place}` cannot be reached: {reason}.")]
    Unreachable {
        /// The database.
        place: String,
        /// The message of the network or the database, without a full stop.
        reason: String,
        /// What was asked for may have been done all the same: no answer came.
        may_be_done: bool,
    },
    /// Another owner runs this execution. The remedy: wait until it ends, or use another execution key.
    #[error("The execution `{execution}` is being run by another process ({holder}, since {since}).")]
    Taken {
        /// The execution's key.
        execution: String,
        /// The owner that runs it.
        holder: Holder,
        /// The time at which it began.
        since: jiff::Timestamp,
    },
    /// Another server serves the runs of this state. The remedy: end that server, or use another state.
    #[error("The state in `{place}` is being served by another process ({holder}).")]
    Served {
        /// The directory or the database.
        place: String,
        /// The server.
        holder: Holder,
    },
    /// Somebody works with the state, and it may not be copied meanwhile. The remedy: end them.
    #[error("The state in `{place}` is in use by {by}.")]
    InUse {
        /// The directory or the database.
        place: String,
        /// Who works with it.
        by: String,
    },
    /// The state has something already, and a book is copied only as a whole. The remedy: another state.
    #[error("The state in `{place}` is not empty.")]
    NotEmpty {
        /// The directory or the database.
        place: String,
    },
}

/// The owner of a running execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The machine, for a store that serves several.
    pub machine: Option<String>,
    /// The process's number on its machine.
    pub process: u32,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "number {}", self.process)?;
        match &self.machine {
            Some(machine) => write!(f, " on {machine}"),
            None => Ok(()),
        }
    }
}

impl StateError {
    /// Makes an error: the state at `place` cannot be used, for this reason.
    pub fn unusable(place: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self::Unusable {
            place: place.to_string(),
            reason: reason.to_string().trim_end_matches('.').to_owned(),
        }
    }

    /// Makes an error: the state at `place` cannot be reached, for this reason.
    pub fn unreachable(place: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self::Unreachable {
            place: place.to_string(),
            reason: reason.to_string().trim_end_matches('.').to_owned(),
            may_be_done: false,
        }
    }

    /// Makes an error: the state at `place` did not answer, and what it was asked for may have been done.
    pub fn unanswered(place: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self::Unreachable {
            place: place.to_string(),
            reason: reason.to_string().trim_end_matches('.').to_owned(),
            may_be_done: true,
        }
    }

    /// Returns whether it is enough to wait, without changing anything.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Taken { .. } | Self::Served { .. } | Self::Unreachable { .. } | Self::InUse { .. }
        )
    }
}
