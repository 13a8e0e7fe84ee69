//! Checks whether compiled code may be taken from a directory.
//!
//! An entry of the cache is native code that runs outside the sandbox. So the directory must belong to this user, be
//! closed to all others, and be reached through directories in which nobody else can replace it (as OpenSSH's
//! `StrictModes` requires for its files). If others may read our directory but not write to it, it is closed to them
//! and used. If others could have written to it, it is not used, because its content may be theirs.

use std::path::Path;

/// Makes the directory if it is missing, and closes it to others.
///
/// # Errors
/// A clause that says why compiled code must not come from it.
#[cfg(unix)]
pub(super) fn secure(directory: &Path) -> Result<(), String> {
    use std::fs::{self, DirBuilder, Permissions};
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};

    const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
    const STICKY: u32 = 0o1000;

    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| format!("it cannot be made: {error}"))?;
    let real = directory
        .canonicalize()
        .map_err(|error| format!("it cannot be looked at: {error}"))?;
    let about =
        |path: &Path| fs::metadata(path).map_err(|error| format!("{} cannot be looked at: {error}", path.display()));
    let us = rustix::process::geteuid().as_raw();
    let own = about(&real)?;
    if own.uid() != us {
        return Err("it belongs to another user".to_owned());
    }
    if own.mode() & GROUP_OR_OTHERS_WRITE != 0 {
        return Err(
            "others may write to it, so what it holds may be theirs; remove it, and it is made anew".to_owned(),
        );
    }
    for above in real.ancestors().skip(1) {
        let metadata = about(above)?;
        let is_trusted = metadata.uid() == us || metadata.uid() == 0;
        let is_closed = metadata.mode() & GROUP_OR_OTHERS_WRITE == 0 || metadata.mode() & STICKY != 0;
        if !is_trusted || !is_closed {
            return Err(format!("others may put another in its place, in {}", above.display()));
        }
    }
    if own.mode() & 0o077 != 0 {
        fs::set_permissions(&real, Permissions::from_mode(0o700))
            .map_err(|error| format!("it cannot be closed to others: {error}"))?;
    }
    Ok(())
}

/// Other systems keep a user's cache in the user's own profile.
#[cfg(not(unix))]
pub(super) fn secure(directory: &Path) -> Result<(), String> {
    std::fs::create_dir_all(directory).map_err(|error| format!("it cannot be made: {error}"))
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
    }

    #[test]
    fn a_new_directory_is_closed_to_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = folder.path().join("a/cache");
        secure(&cache).expect("nobody else is near it");
        assert_eq!(mode(&cache), 0o700);
    }

    #[test]
    fn one_that_others_may_only_read_is_closed_and_used() {
        let folder = tempfile::tempdir().expect("a folder");
        set(folder.path(), 0o755);
        secure(folder.path()).expect("nobody else could write to it");
        assert_eq!(mode(folder.path()), 0o700);
    }

    #[test]
    fn one_that_others_may_write_to_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        for open in [0o777, 0o770, 0o702, 0o1777] {
            set(folder.path(), open);
            let why = secure(folder.path()).expect_err("it may hold what others wrote");
            assert!(why.contains("others may write to it"), "{why}");
        }
    }

    #[test]
    fn one_that_others_could_exchange_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = folder.path().join("cache");
        secure(&cache).expect("nobody else is near it");
        set(folder.path(), 0o777);
        secure(&cache).expect_err("another could be put in its place");
        set(folder.path(), 0o1777);
        secure(&cache).expect("nobody but its owner moves it");
    }
}
