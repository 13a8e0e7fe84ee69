//! Why the state cannot be used.

use std::fmt;

/// Why the state cannot be used. What to do about it is worded by whoever shows it: a command line names its options, a
/// console its pages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A newer version wrote it. The cure: use that version, or another state.
    #[error(
        "The state in `{place}` was written by a newer Pipepost: its format is {found}, and this version knows up to {known}."
    )]
    Newer {
        /// The file or the database.
        place: String,
        /// Its format.
        found: i64,
        /// The newest format that is known here.
        known: i64,
    },
    /// It cannot be read or written. The cure: mend it, or use another state.
    #[error("The state in `{place}` cannot be used: {reason}.")]
    Unusable {
        /// The file, directory or database.
        place: String,
        /// What the system or the database says, without a full stop.
        reason: String,
    },
    /// Another owner runs this execution. The cure: wait for its end, or use another execution key.
    #[error("The execution `{execution}` is being run by another process ({holder}, since {since}).")]
    Taken {
        /// The execution's key.
        execution: String,
        /// Who runs it.
        holder: Holder,
        /// When it began.
        since: jiff::Timestamp,
    },
}

/// Who runs an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The machine, where a store serves several.
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
    /// The state at `place` cannot be used, for this reason.
    pub fn unusable(place: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self::Unusable {
            place: place.to_string(),
            reason: reason.to_string().trim_end_matches('.').to_owned(),
        }
    }

    /// Returns whether waiting helps, with nothing changed.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Taken { .. })
    }
}
