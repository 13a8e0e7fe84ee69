//! What outlives a run: one SQLite file in the state directory, versioned and migrated.
//!
//! The file is in write-ahead mode, so that readers and the one writer do not wait for each other, and a commit is one
//! write and, with `synchronous = FULL`, one sync. Whoever opens it brings it to this version's format; a file of a newer
//! version is refused, because an older program cannot know what it would break.

pub(crate) mod owner;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, TransactionBehavior};

/// The file within the state directory.
pub const FILE: &str = "pipepost.sqlite";

/// How long one process waits for another's transaction.
const BUSY: Duration = Duration::from_secs(30);

/// Each brings the file from the version of its index to the next. Never edited once released.
const MIGRATIONS: [&str; 3] = [
    include_str!("state/1.sql"),
    include_str!("state/2.sql"),
    include_str!("state/3.sql"),
];

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A newer version wrote it.
    #[error(
        "The state in `{}` was written by a newer Pipepost (its format is {found}, and this one knows up to {known}): use that version, or name another directory with --state.",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that is known here.
        known: i64,
    },
    /// It cannot be read or written.
    #[error("The state in `{}` cannot be used: {reason}.", .path.display())]
    Unusable {
        /// The file or directory.
        path: PathBuf,
        /// What the system or the database says.
        reason: String,
    },
    /// Another process runs this execution.
    #[error(
        "The execution `{execution}` is being run by another process (number {process}, since {since}): wait for its end, or give this run another --execution key."
    )]
    Taken {
        /// The execution's key.
        execution: String,
        /// The other process's number on its machine.
        process: u32,
        /// When it began.
        since: jiff::Timestamp,
    },
}

impl StateError {
    pub(crate) fn unusable(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::Unusable {
            path: path.to_owned(),
            reason: reason.to_string().trim_end_matches('.').to_owned(),
        }
    }
}

/// Opens the state, which is made where it is not there.
pub(crate) fn open(directory: &Path) -> Result<Connection, StateError> {
    make(directory).map_err(|error| StateError::unusable(directory, error))?;
    let path = directory.join(FILE);
    let unusable = |error: rusqlite::Error| StateError::unusable(&path, error);
    let mut connection = Connection::open(&path).map_err(unusable)?;
    connection.busy_timeout(BUSY).map_err(unusable)?;
    connection
        .pragma_update(None, "journal_mode", "wal")
        .map_err(unusable)?;
    connection
        .pragma_update(None, "synchronous", "full")
        .map_err(unusable)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(unusable)?;
    migrate(&mut connection, &path)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StateError> {
    let unusable = |error: rusqlite::Error| StateError::unusable(path, error);
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let version = |connection: &Connection| connection.pragma_query_value(None, "user_version", |row| row.get(0));
    if version(connection).map_err(unusable)? == known {
        return Ok(());
    }
    // Two processes may come upon an old file at once: the second one finds the work done.
    let change = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(unusable)?;
    let found: i64 = version(&change).map_err(unusable)?;
    if found > known {
        return Err(StateError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        change.execute_batch(migration).map_err(unusable)?;
    }
    change.pragma_update(None, "user_version", known).map_err(unusable)?;
    change.commit().map_err(unusable)
}

/// Makes a directory that only its owner looks into: recipients and subjects stand in its files.
pub(crate) fn make(directory: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(directory)
}

/// Seconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_state_has_this_versions_format_and_a_newer_one_is_refused_by_name() {
        let directory = tempfile::tempdir().expect("a folder for temporary files");
        let connection = open(directory.path()).expect("a new state");
        let version: i64 = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .expect("a version");
        assert_eq!(version, 3);
        connection
            .pragma_update(None, "user_version", 7)
            .expect("a version of the future");
        drop(connection);
        let error = open(directory.path()).expect_err("it is newer").to_string();
        assert!(
            error.contains("newer Pipepost") && error.contains("format is 7"),
            "{error}"
        );
        assert!(error.contains(FILE), "{error}");
    }

    #[test]
    fn what_is_no_database_is_refused_and_left_as_it_is() {
        let directory = tempfile::tempdir().expect("a folder for temporary files");
        let path = directory.path().join(FILE);
        let text = "a letter to somebody, and no database at all ".repeat(30);
        fs::write(&path, &text).expect("a writable folder");
        assert!(matches!(open(directory.path()), Err(StateError::Unusable { .. })));
        assert_eq!(fs::read_to_string(&path).expect("it is there"), text);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_looks_into_a_new_state() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a folder for temporary files");
        let state = directory.path().join("a/state");
        drop(open(&state).expect("a new state"));
        let mode = fs::metadata(&state).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
