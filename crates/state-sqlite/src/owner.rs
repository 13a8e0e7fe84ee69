//! Tells which processes are still alive.
//!
//! A process that leaves something open in the state holds its own file in `owners`, locked by the operating system,
//! and writes that file's name next to it. The system releases a lock when its process ends, in whatever way. So what a
//! crash left open is recognised at once, without a look at clocks or process numbers.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use pipepost_state::StateError;

use crate::file::make;

/// Within the state directory.
const FOLDER: &str = "owners";

/// A sign of life. Dropped, it is gone, as it is when the process is gone.
#[derive(Debug)]
pub(crate) struct Owner {
    name: String,
    path: PathBuf,
    /// Locked.
    _file: File,
}

impl Owner {
    /// A new one, with a name that nobody else has.
    pub(crate) fn new(directory: &Path) -> Result<Self, StateError> {
        let folder = directory.join(FOLDER);
        let unusable = |error: io::Error| StateError::unusable(folder.display(), error);
        make(&folder).map_err(unusable)?;
        let name = format!("{:016x}", getrandom::u64().unwrap_or_default());
        let path = folder.join(&name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let file = options.open(&path).map_err(unusable)?;
        // Nobody knows the name yet.
        file.lock().map_err(unusable)?;
        Ok(Self {
            name,
            path,
            _file: file,
        })
    }

    /// Goes as a crash does: the file stays, and nobody holds it.
    pub(crate) fn crash(mut self) {
        self.path = PathBuf::new();
    }

    /// What it writes beside what it leaves open.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // What stays behind is found to be nobody's by its lock.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the one of this name is still there. A file that nobody holds is removed.
pub(crate) fn is_alive(directory: &Path, owner: &str) -> bool {
    let path = directory.join(FOLDER).join(owner);
    let Ok(file) = OpenOptions::new().write(true).open(&path) else {
        return false;
    };
    match file.try_lock() {
        Ok(()) => {
            let _ = fs::remove_file(&path);
            false
        }
        Err(TryLockError::WouldBlock) => true,
        // A file system without locks: nobody can tell, and two at once would be worse than none.
        Err(TryLockError::Error(_)) => true,
    }
}

/// Counts those that are there.
pub(crate) fn alive(directory: &Path) -> usize {
    let Ok(files) = fs::read_dir(directory.join(FOLDER)) else {
        return 0;
    };
    let names = files.flatten().filter_map(|file| file.file_name().into_string().ok());
    names.filter(|name| is_alive(directory, name)).count()
}

/// Removes the files that nobody holds: a process that was killed cannot.
pub(crate) fn sweep(directory: &Path) {
    let Ok(files) = fs::read_dir(directory.join(FOLDER)) else {
        return;
    };
    for file in files.flatten() {
        if let Some(name) = file.file_name().to_str() {
            is_alive(directory, name);
        }
    }
}
