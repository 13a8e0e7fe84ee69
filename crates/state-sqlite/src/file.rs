//! The SQLite file in the state directory, which outlives a run. It is versioned and migrated.
//!
//! The file is in write-ahead mode, so that readers and the one writer do not wait for each other. A commit is one
//! write and, with `synchronous = FULL`, one sync. The process that opens the file brings it to this version's format.
//! A file of a newer version is refused, because an older program cannot know what it would break.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use pipepost_state::StateError;
use rusqlite::{Connection, TransactionBehavior};

/// The name of the file within the state directory.
pub const FILE: &str = "pipepost.sqlite";

/// How long one process waits for another's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// How many statements a connection keeps prepared: all that are used again and again.
const STATEMENTS_MAX: usize = 64;

/// How much of the file the connection that writes keeps in memory at most. With SQLite's own 2 MB a request costs a fifth more of
/// the processor when thousands of runs are in the file, and more than this was no better.
const CACHE_KIB: i64 = 8 * 1024;

/// The same for one that looks things up now and then: over months it fills what it may have.
const LOOK_CACHE_KIB: i64 = 1024;

/// Each brings the file from the version of its index to the next. Never edited once released.
const MIGRATIONS: [&str; 10] = [
    include_str!("migrations/1.sql"),
    include_str!("migrations/2.sql"),
    include_str!("migrations/3.sql"),
    include_str!("migrations/4.sql"),
    include_str!("migrations/5.sql"),
    include_str!("migrations/6.sql"),
    include_str!("migrations/7.sql"),
    include_str!("migrations/8.sql"),
    include_str!("migrations/9.sql"),
    include_str!("migrations/10.sql"),
];

/// Opens the state, which is made where it is not there.
pub(crate) fn open(directory: &Path) -> Result<Connection, StateError> {
    make(directory).map_err(|error| StateError::unusable(directory.display(), error))?;
    let path = directory.join(FILE);
    keep_private(&path).map_err(|error| StateError::unusable(path.display(), error))?;
    let unusable = |error: rusqlite::Error| StateError::unusable(path.display(), error);
    let mut connection = Connection::open(&path).map_err(unusable)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(unusable)?;
    keep_a_log(&connection).map_err(unusable)?;
    connection
        .pragma_update(None, "synchronous", "full")
        .map_err(unusable)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(unusable)?;
    // In kibibytes where it is negative, and in pages where it is not.
    connection
        .pragma_update(None, "cache_size", -CACHE_KIB)
        .map_err(unusable)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    migrate(&mut connection, &path)?;
    Ok(connection)
}

/// Opens the state for a connection that stays, and looks things up.
pub(crate) fn open_to_look(directory: &Path) -> Result<Connection, StateError> {
    let connection = open(directory)?;
    let unusable = |error: rusqlite::Error| StateError::unusable(directory.display(), error);
    connection
        .pragma_update(None, "cache_size", -LOOK_CACHE_KIB)
        .map_err(unusable)?;
    Ok(connection)
}

/// A file, whatever it is called. One that was removed goes on to be written by whoever has it open, and nobody else ever reads that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    number: u64,
}

impl Identity {
    /// That of the state in this directory.
    pub(crate) fn of(directory: &Path) -> io::Result<Self> {
        let about = fs::metadata(directory.join(FILE))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            Ok(Self {
                device: about.dev(),
                number: about.ino(),
            })
        }
        #[cfg(not(unix))]
        {
            // There a file that is open cannot be removed.
            let _ = about;
            Ok(Self {})
        }
    }
}

/// Has changes written to a log first. Where two processes come upon a new file at once, SQLite does not wait for the other
/// one here, whatever the connection's patience is.
fn keep_a_log(connection: &Connection) -> rusqlite::Result<()> {
    const PAUSE: Duration = Duration::from_millis(5);
    let until = Instant::now() + BUSY_TIMEOUT;
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) && Instant::now() < until =>
            {
                std::thread::sleep(PAUSE);
            }
            done => return done,
        }
    }
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StateError> {
    let unusable = |error: rusqlite::Error| StateError::unusable(path.display(), error);
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
            place: path.display().to_string(),
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

/// Makes a directory that only its owner looks into: recipients and subjects stand in its files. One that exists stays as
/// it is, since others may have a right to it; what is made in it is its owner's in any case.
pub(crate) fn make(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(directory).map_err(|error| {
        if directory.exists() && !directory.is_dir() {
            let reason = "it is a file, and a state is a directory: name one, in which its files are made";
            return io::Error::new(error.kind(), reason);
        }
        error
    })
}

/// Makes the file its owner's alone, also in a directory that others may look into, before anything is in it. SQLite gives
/// the files that it makes next to it the same mode; those that an older version left are set right.
fn keep_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
        options.mode(0o600);
        drop(options.open(path)?);
        for suffix in ["", "-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            let Ok(found) = fs::metadata(&name) else { continue };
            if found.permissions().mode() & 0o077 != 0 {
                fs::set_permissions(&name, fs::Permissions::from_mode(0o600))?;
            }
        }
    }
    #[cfg(not(unix))]
    drop(options.open(path)?);
    Ok(())
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
        assert_eq!(version, 10);
        connection
            .pragma_update(None, "user_version", 7000)
            .expect("a version of the future");
        drop(connection);
        let error = open(directory.path()).expect_err("it is newer").to_string();
        assert!(
            error.contains("newer Pipepost") && error.contains("format is 7000"),
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

    #[cfg(unix)]
    #[test]
    fn nobody_else_reads_the_files_of_a_state_in_a_directory_that_others_may_look_into() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a folder for temporary files");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let modes = || -> Vec<(String, u32)> {
            let files = fs::read_dir(directory.path()).expect("it is there");
            files
                .map(|file| {
                    let file = file.expect("a file");
                    let mode = file.metadata().expect("it is there").permissions().mode();
                    (file.file_name().to_string_lossy().into_owned(), mode & 0o777)
                })
                .collect()
        };
        let connection = open(directory.path()).expect("a new state");
        assert_eq!(modes().len(), 3, "the file, and two that SQLite makes: {:?}", modes());
        assert!(modes().iter().all(|(_, mode)| *mode == 0o600), "{:?}", modes());
        // As an older version left them.
        for (name, _) in modes() {
            let path = directory.path().join(name);
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("it is ours");
        }
        drop(open(directory.path()).expect("the state"));
        assert!(modes().iter().all(|(_, mode)| *mode == 0o600), "{:?}", modes());
        drop(connection);
    }
}
