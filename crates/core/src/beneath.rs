//! Opens a file below a directory in such a way that no name and no link leads out of it.
//!
//! The check and the opening are one step, so nothing is gained by exchanging a directory or a link in between. Linux
//! does it in one system call (`openat2`). Where that call is missing, the path is walked from one open directory to
//! the next, and each link is read and resolved here. Links that stay below the directory are followed; absolute links
//! are refused.

use std::fs::File;
use std::io;
use std::path::Path;

/// What the file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It has to exist.
    Read,
    /// What is written is added to its end; it is made if it does not exist.
    Append,
}

/// The reason why a file was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// There is no such file.
    NotFound,
    /// The path leads out of the directory.
    Outside,
    /// It is a pipe, a device or a socket.
    NotAFile,
    /// The operating system failed.
    Io(io::Error),
}

/// Opens a regular file at a relative path below `root`. It never waits: a pipe or a device is refused at once.
///
/// # Errors
/// Returns an [`OpenError`].
pub fn open(root: &Path, relative: &Path, access: Access) -> Result<File, OpenError> {
    regular(imp::open(root, relative, access)?)
}

fn regular(file: File) -> Result<File, OpenError> {
    let metadata = file.metadata().map_err(OpenError::Io)?;
    if metadata.is_file() {
        Ok(file)
    } else if metadata.is_dir() {
        Err(OpenError::NotFound)
    } else {
        Err(OpenError::NotAFile)
    }
}

#[cfg(unix)]
mod imp {
    use std::ffi::{OsStr, OsString};
    use std::fs::File;
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::ffi::OsStringExt as _;
    use std::path::{Component, Path};

    use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
    use rustix::io::Errno;

    use super::{Access, OpenError};

    /// Links on one path, as Linux counts them.
    const LINKS_MAX: usize = 40;

    const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

    pub(super) fn open(root: &Path, relative: &Path, access: Access) -> Result<File, OpenError> {
        let root = openat(CWD, root, DIRECTORY, Mode::empty()).map_err(told)?;
        #[cfg(target_os = "linux")]
        match in_one_step(&root, relative, access) {
            // An older kernel, a sandbox that does not know the call, or somebody who renames without end.
            Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => {}
            opened => return opened.map(File::from).map_err(told),
        }
        walk(&root, relative, access).map(File::from).map_err(told)
    }

    fn flags(access: Access) -> OFlags {
        // Without NONBLOCK a pipe is opened when its other end is, which may be never.
        let always = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match access {
            Access::Read => always | OFlags::RDONLY,
            Access::Append => always | OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE,
        }
    }

    fn mode(access: Access) -> Mode {
        match access {
            Access::Read => Mode::empty(),
            Access::Append => Mode::from_raw_mode(0o666),
        }
    }

    fn told(errno: Errno) -> OpenError {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::ISDIR => OpenError::NotFound,
            Errno::XDEV | Errno::LOOP => OpenError::Outside,
            // A pipe that nobody reads, or a socket.
            Errno::NXIO => OpenError::NotAFile,
            other => OpenError::Io(other.into()),
        }
    }

    #[cfg(target_os = "linux")]
    pub(super) fn in_one_step(root: &impl AsFd, relative: &Path, access: Access) -> Result<OwnedFd, Errno> {
        use rustix::fs::{ResolveFlags, openat2};

        const ATTEMPTS: usize = 8;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let mut attempt = 0;
        loop {
            attempt += 1;
            match openat2(root, relative, flags(access), mode(access), resolve) {
                // Something on the way was renamed meanwhile.
                Err(Errno::AGAIN) if attempt < ATTEMPTS => {}
                opened => return opened,
            }
        }
    }

    /// The same in steps. Each directory on the way is open, so `..` leads back to where the path came from, whatever was
    /// renamed since.
    pub(super) fn walk(root: &OwnedFd, relative: &Path, access: Access) -> Result<OwnedFd, Errno> {
        let mut pending: Vec<OsString> = Vec::new();
        push(&mut pending, relative)?;
        let mut entered: Vec<OwnedFd> = Vec::new();
        let mut links = 0;
        while let Some(part) = pending.pop() {
            if part == ".." {
                entered.pop().ok_or(Errno::XDEV)?;
                continue;
            }
            let directory = entered.last().unwrap_or(root);
            let is_last = pending.is_empty();
            let opened = if is_last {
                openat(directory, &part, flags(access) | OFlags::NOFOLLOW, mode(access))
            } else {
                openat(directory, &part, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
            };
            match opened {
                Ok(file) if is_last => return Ok(file),
                Ok(next) => entered.push(next),
                Err(errno) => {
                    let Some(target) = link(directory, &part) else {
                        return Err(errno);
                    };
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(Errno::LOOP);
                    }
                    push(&mut pending, Path::new(&target))?;
                }
            }
        }
        // The path ends in `..`.
        Err(Errno::ISDIR)
    }

    /// Where a link leads; none where it is not a link.
    fn link(directory: &OwnedFd, name: &OsStr) -> Option<OsString> {
        let target = readlinkat(directory, name, Vec::new()).ok()?;
        Some(OsString::from_vec(target.into_bytes()))
    }

    /// Puts a path's parts before what is still to be walked, the first on top.
    fn push(pending: &mut Vec<OsString>, path: &Path) -> Result<(), Errno> {
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => pending.push(name.to_owned()),
                Component::ParentDir => pending.push("..".into()),
                Component::CurDir => {}
                Component::RootDir | Component::Prefix(_) => return Err(Errno::XDEV),
            }
        }
        Ok(())
    }
}

/// Other systems have no call for it: the path is checked after the file was opened.
#[cfg(not(unix))]
mod imp {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::path::Path;

    use super::{Access, OpenError};

    pub(super) fn open(root: &Path, relative: &Path, access: Access) -> Result<File, OpenError> {
        let path = root.join(relative);
        let mut options = OpenOptions::new();
        let options = match access {
            Access::Read => options.read(true),
            Access::Append => options.append(true).create(true),
        };
        let file = options.open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => OpenError::NotFound,
            _ => OpenError::Io(error),
        })?;
        match (root.canonicalize(), path.canonicalize()) {
            (Ok(root), Ok(path)) if path.starts_with(root) => Ok(file),
            _ => Err(OpenError::Outside),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{CWD, Mode, mkfifoat};
    use rustix::io::Errno;

    use super::*;

    type Way = fn(&OwnedFd, &Path, Access) -> Result<OwnedFd, Errno>;

    /// Each way to open that this system has.
    fn ways() -> Vec<Way> {
        let mut ways: Vec<Way> = vec![imp::walk];
        #[cfg(target_os = "linux")]
        ways.push(|root, path, access| match imp::in_one_step(root, path, access) {
            // Without the call it is the walk here too.
            Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => imp::walk(root, path, access),
            opened => opened,
        });
        ways
    }

    /// A directory `in` with a file and a folder, and a file `secret` outside of it.
    fn tree() -> tempfile::TempDir {
        let top = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(top.path().join("in/folder")).expect("a folder");
        fs::write(top.path().join("in/folder/file"), "inside").expect("a file");
        fs::write(top.path().join("file"), "secret").expect("a file");
        top
    }

    fn root(top: &tempfile::TempDir) -> OwnedFd {
        File::open(top.path().join("in")).expect("a folder").into()
    }

    fn text(opened: OwnedFd) -> String {
        let mut text = String::new();
        File::from(opened).read_to_string(&mut text).expect("text");
        text
    }

    #[test]
    fn links_are_followed_as_long_as_they_stay_inside() {
        let top = tree();
        let inside = top.path().join("in");
        let absolute = top.path().join("file");
        symlink("folder/../folder/file", inside.join("there")).expect("a link");
        symlink("../there", inside.join("folder/back")).expect("a link");
        symlink("../file", inside.join("out")).expect("a link");
        symlink("folder/../..", inside.join("above")).expect("a link");
        symlink(absolute, inside.join("absolute")).expect("a link");
        symlink("round", inside.join("round")).expect("a link");
        symlink("nothing", inside.join("dangling")).expect("a link");
        let root = root(&top);
        for way in ways() {
            let open = |path: &str| way(&root, Path::new(path), Access::Read);
            for path in ["folder/file", "there", "folder/back"] {
                assert_eq!(text(open(path).expect("it is inside")), "inside", "{path}");
            }
            for (path, errno) in [
                ("out", Errno::XDEV),
                ("above/file", Errno::XDEV),
                ("absolute", Errno::XDEV),
                ("round", Errno::LOOP),
                ("dangling", Errno::NOENT),
                ("folder/file/more", Errno::NOTDIR),
            ] {
                assert_eq!(open(path).expect_err("it is not inside"), errno, "{path}");
            }
        }
    }

    /// Somebody exchanges a folder for a link that leads out, again and again, until each way has met both.
    #[test]
    fn whoever_swaps_a_link_while_it_is_opened_gains_nothing() {
        const EACH: usize = 300;
        let top = tree();
        let inside = top.path().join("in");
        let (link, next) = (inside.join("link"), inside.join("next"));
        symlink("folder", &link).expect("a link");
        let root = root(&top);
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    for target in ["..", "folder"] {
                        symlink(target, &next).expect("a link");
                        fs::rename(&next, &link).expect("it takes the other's place");
                    }
                }
            });
            let met = ways().into_iter().map(|way| {
                let (mut read, mut refused) = (0, 0);
                let mut leaked = None;
                while leaked.is_none() && (read < EACH || refused < EACH) {
                    match way(&root, Path::new("link/file"), Access::Read) {
                        Ok(file) => {
                            read += 1;
                            leaked = Some(text(file)).filter(|text| text != "inside");
                        }
                        Err(errno) => {
                            refused += 1;
                            leaked = (errno != Errno::XDEV).then(|| errno.to_string());
                        }
                    }
                }
                leaked
            });
            let met: Vec<Option<String>> = met.collect();
            is_done.store(true, Ordering::Relaxed);
            assert!(met.iter().all(Option::is_none), "{met:?}");
        });
    }

    #[test]
    fn a_pipe_is_refused_at_once() {
        let top = tree();
        let inside = top.path().join("in");
        mkfifoat(CWD, inside.join("pipe"), Mode::from_raw_mode(0o600)).expect("a pipe");
        for access in [Access::Read, Access::Append] {
            let opened = open(&inside, Path::new("pipe"), access);
            assert!(matches!(opened, Err(OpenError::NotAFile)), "{opened:?}");
        }
        assert!(matches!(
            open(&inside, Path::new("folder"), Access::Read),
            Err(OpenError::NotFound)
        ));
    }
}
