//! The store's file, which is replaced as a whole or not at all.
//!
//! New content is written to another file in the same folder, flushed to the disk, and renamed over the old file; then
//! the folder is flushed to the disk. A process that is killed in between leaves the old content or the new content.
//! Writers take turns by a lock on a separate file, since the store's file is replaced each time; the system releases
//! the lock when its holder dies.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Place, Remedy};

/// More than any number of accounts takes.
const MAX_FILE: u64 = 64 << 20;

/// The right to change the store, while it lives.
pub(super) struct Lock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl Lock {
    /// Waits until no other process changes the store. Makes the folder when it is not there.
    pub(super) fn take(store: &Path) -> Result<Self, Error> {
        let lock = || {
            make_folder(store)?;
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false);
            private(&mut options);
            let file = options.open(beside(store, ".lock"))?;
            file.lock()?;
            Ok(Self(file))
        };
        lock().map_err(|error: io::Error| failed(store, "cannot be locked", &error))
    }
}

/// Returns the content, or `None` when there is no store yet.
pub(super) fn read(store: &Path) -> Result<Option<Vec<u8>>, Error> {
    let file = match File::open(store) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(store, "cannot be read", &error)),
    };
    refuse_open_to_others(store)?;
    let mut content = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut content)
        .map_err(|error| failed(store, "cannot be read", &error))?;
    if content.len() as u64 > MAX_FILE {
        let message = "the store is larger than 64 MiB, and is none that was written here; name another";
        return Err(Error::new(ErrorKind::Store, Place::file(store), message).with_remedy(Remedy::NameStore));
    }
    Ok(Some(content))
}

/// Replaces the content.
pub(super) fn replace(store: &Path, content: &[u8], _lock: &Lock) -> Result<(), Error> {
    let new = beside(store, ".new");
    let write = || {
        // What a writer left that was killed; the lock says that it is nobody's.
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        private(&mut options);
        let mut file = options.open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&new, store)?;
        sync_folder(store)
    };
    write().map_err(|error: io::Error| {
        // It may be gone or renamed already; the error that matters is the first.
        drop(std::fs::remove_file(&new));
        failed(store, "cannot be written", &error)
    })
}

/// Refuses a file that others than its owner can read.
pub(super) fn refuse_open_to_others(path: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path)
            .map_err(|error| failed(path, "cannot be read", &error))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            let message = format!(
                "it can be read by others (mode {:04o}); run chmod 600 on it",
                mode & 0o7777
            );
            return Err(Error::new(ErrorKind::File, Place::file(path), message));
        }
    }
    Ok(())
}

fn make_folder(store: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder(store))
}

fn private(options: &mut OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

fn sync_folder(store: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder(store))?.sync_all()?;
    #[cfg(not(unix))]
    let _ = store;
    Ok(())
}

fn folder(store: &Path) -> &Path {
    store
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(store.file_name().unwrap_or_default());
    name.push(ending);
    store.with_file_name(name)
}

fn failed(path: &Path, what: &str, error: &io::Error) -> Error {
    let message = format!("the file {what} ({error}); correct the path or its mode");
    Error::new(ErrorKind::File, Place::file(path), message)
}
