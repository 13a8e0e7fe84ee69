//! The files of a run: its own directory, and a read-only directory that is searched after it.
//!
//! Names are relative and stay inside: an absolute name, `..`, and a link that leads out are refused. The run's own
//! directory is searched first, then the given one.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use pipepost_core::beneath::{self, Access, OpenError};

/// The reason why a file was not opened, read or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is no file of this name.
    #[error("there is no such file")]
    NotFound,
    /// The name leads out of the run's directories.
    #[error("the name leads out of the run's directory")]
    NotAllowed,
    /// The name is that of a pipe, a device or a socket.
    #[error("it is not a regular file")]
    NotAFile,
    /// The file has changed since it was opened.
    #[error("the file changed while it was read")]
    Changed,
    /// The file is larger than is allowed.
    #[error("the file is larger than it may be")]
    TooLarge,
    /// The operating system failed.
    #[error("the file cannot be read or written")]
    Io,
}

/// The directories that hold the files of one run.
#[derive(Debug)]
pub struct RunFiles {
    own: OwnDirectory,
    /// Read-only, behind the run's own.
    given: Option<PathBuf>,
}

/// The run's own directory.
#[derive(Debug)]
enum OwnDirectory {
    /// It stays after the run.
    Kept(PathBuf),
    /// It is removed with the run. Most runs write no file, so it is made with the first one.
    Temporary(OnceLock<tempfile::TempDir>),
}

impl OwnDirectory {
    /// The directory, if there is one yet.
    fn existing(&self) -> Option<&Path> {
        match self {
            Self::Kept(path) => Some(path),
            Self::Temporary(made) => made.get().map(tempfile::TempDir::path),
        }
    }

    /// The directory, which is made if there is none yet.
    fn made(&self) -> io::Result<&Path> {
        match self {
            Self::Kept(path) => Ok(path),
            Self::Temporary(made) => {
                if let Some(made) = made.get() {
                    return Ok(made.path());
                }
                let temporary = tempfile::Builder::new().prefix("pipepost-run-").tempdir()?;
                // Where two steps come at once, the second one's directory is removed again, empty.
                Ok(made.get_or_init(|| temporary).path())
            }
        }
    }
}

impl RunFiles {
    /// Makes a new directory for the run with its first file, among the system's temporary ones; it is removed with this
    /// value. Files in `given` are only read.
    ///
    /// # Errors
    /// Fails when there is no directory for temporary ones.
    pub fn temporary(given: Option<PathBuf>) -> io::Result<Self> {
        let parent = std::env::temp_dir();
        let about = |error: io::Error| io::Error::new(error.kind(), format!("{error} at path {parent:?}"));
        if !fs::metadata(&parent).map_err(about)?.is_dir() {
            return Err(about(io::ErrorKind::NotADirectory.into()));
        }
        Ok(Self {
            own: OwnDirectory::Temporary(OnceLock::new()),
            given,
        })
    }

    /// Keeps the run's files in the directory `own`, which is not removed. Files in `given` are only read.
    ///
    /// # Errors
    /// Fails when the directory cannot be made.
    pub fn kept_in(own: PathBuf, given: Option<PathBuf>) -> io::Result<Self> {
        fs::create_dir_all(&own)?;
        Ok(Self {
            own: OwnDirectory::Kept(own),
            given,
        })
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// Fails with [`FileError::NotFound`], [`FileError::NotAllowed`] when the name leads out, [`FileError::NotAFile`],
    /// or [`FileError::Io`].
    pub fn open(&self, name: &str) -> Result<OpenFile, FileError> {
        let relative = relative(name)?;
        for root in self.own.existing().into_iter().chain(self.given.as_deref()) {
            match open_within(root, &relative) {
                Err(FileError::NotFound) => {}
                other => return other,
            }
        }
        Err(FileError::NotFound)
    }

    /// Begins a new file in the run's own directory. Missing sub-directories are made.
    ///
    /// # Errors
    /// Fails with [`FileError::NotAllowed`] when the name leads out, or [`FileError::Io`].
    pub fn create(&self, name: &str) -> Result<NewFile, FileError> {
        self.begin(name).map_err(|error| match error {
            WriteError::NotAllowed => FileError::NotAllowed,
            WriteError::NotAFile => FileError::NotAFile,
            WriteError::Exists | WriteError::Io(_) => FileError::Io,
        })
    }

    fn begin(&self, name: &str) -> Result<NewFile, WriteError> {
        let target = self.own_path(name)?;
        let parent = target.parent().unwrap_or(Path::new("."));
        let temporary = tempfile::NamedTempFile::new_in(parent)?;
        Ok(NewFile { temporary, target })
    }

    /// Where a file of the run's own stands, its sub-directories made.
    fn own_path(&self, name: &str) -> Result<PathBuf, WriteError> {
        let relative = relative(name).map_err(|_| WriteError::NotAllowed)?;
        let own = self.own.made()?;
        let target = own.join(relative);
        let parent = target.parent().unwrap_or(own);
        fs::create_dir_all(parent)?;
        if !is_within(own, parent) || (target.exists() && !is_within(own, &target)) {
            return Err(WriteError::NotAllowed);
        }
        Ok(target)
    }

    /// Opens a file of the run's own directory to append to it; it is made if it does not exist, and so are missing
    /// sub-directories.
    ///
    /// # Errors
    /// Returns a [`WriteError`].
    pub fn open_to_append(&self, name: &str) -> Result<impl io::Write + Send + std::fmt::Debug + use<>, WriteError> {
        self.append_to(name)
    }

    fn append_to(&self, name: &str) -> Result<File, WriteError> {
        self.own_path(name)?;
        let relative = relative(name).map_err(|_| WriteError::NotAllowed)?;
        Ok(beneath::open(self.own.made()?, &relative, Access::Append)?)
    }

    /// Writes a whole file into the run's own directory, or appends to it. Missing sub-directories are made.
    ///
    /// # Errors
    /// Returns a [`WriteError`]; the file is then as it was before.
    pub fn write(&self, name: &str, bytes: &[u8], existing: Existing) -> Result<(), WriteError> {
        if existing == Existing::Append {
            let mut file = self.append_to(name)?;
            // In one piece, so that steps that run side by side do not write into each other's lines.
            return Ok(file.write_all(bytes)?);
        }
        let mut file = self.begin(name)?;
        file.temporary.write_all(bytes)?;
        let persisted = match existing {
            Existing::Fail => file.temporary.persist_noclobber(&file.target),
            _ => file.temporary.persist(&file.target),
        };
        persisted.map(drop).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => WriteError::Exists,
            _ => WriteError::Io(error.error),
        })
    }
}

/// What to do when the file exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Appends to the file.
    Append,
    /// Replaces the file.
    Replace,
    /// Leaves the file as it is, and writes nothing.
    Fail,
}

/// The reason why a file was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The name leads out of the run's directory.
    #[error("the name leads out of the run's directory")]
    NotAllowed,
    /// The file exists, but a new one was asked for.
    #[error("the file is there already")]
    Exists,
    /// The name is that of a pipe, a device or a socket.
    #[error("it is not a regular file")]
    NotAFile,
    /// The operating system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<OpenError> for WriteError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Outside => Self::NotAllowed,
            OpenError::NotFound => Self::Io(io::ErrorKind::NotFound.into()),
            OpenError::NotAFile => Self::NotAFile,
            OpenError::Io(error) => Self::Io(error),
        }
    }
}

/// A file of the run, open for reading.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    size: u64,
    modified: Option<SystemTime>,
    media_type: Option<&'static str>,
}

impl OpenFile {
    /// Returns the file's size in bytes, as it was when the file was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the media type by the ending of the file's name; none for an unknown ending.
    pub fn media_type(&self) -> Option<&'static str> {
        self.media_type
    }

    /// Returns the file's content from its beginning, to be read once.
    pub fn into_reader(self) -> impl io::Read + Send {
        self.file
    }

    /// Reads at most `max` bytes from `offset`. The result is empty at the end of the file.
    ///
    /// # Errors
    /// Fails with [`FileError::Changed`] when the file has changed since it was opened, or [`FileError::Io`].
    pub fn read(&mut self, offset: u64, max: u32) -> Result<Vec<u8>, FileError> {
        let now = self.file.metadata().map_err(|_| FileError::Io)?;
        if now.len() != self.size || now.modified().ok() != self.modified {
            return Err(FileError::Changed);
        }
        let left = self.size.saturating_sub(offset).min(u64::from(max));
        let mut bytes = vec![0; usize::try_from(left).map_err(|_| FileError::TooLarge)?];
        self.file.seek(io::SeekFrom::Start(offset)).map_err(|_| FileError::Io)?;
        self.file.read_exact(&mut bytes).map_err(|_| FileError::Changed)?;
        Ok(bytes)
    }
}

/// A file of the run that is being written. It appears under its name when [`NewFile::finish`] is called.
#[derive(Debug)]
pub struct NewFile {
    temporary: tempfile::NamedTempFile,
    target: PathBuf,
}

impl NewFile {
    /// Appends bytes to the file.
    ///
    /// # Errors
    /// Fails with [`FileError::Io`].
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.temporary.write_all(bytes).map_err(|_| FileError::Io)
    }

    /// Makes the complete file appear under its name.
    ///
    /// # Errors
    /// Fails with [`FileError::Io`].
    pub fn finish(self) -> Result<(), FileError> {
        self.temporary
            .persist(&self.target)
            .map(drop)
            .map_err(|_| FileError::Io)
    }
}

/// A name that stays inside: plain components only.
fn relative(name: &str) -> Result<PathBuf, FileError> {
    let path = Path::new(name);
    let plain = !name.is_empty()
        && !name.contains(['\0', '\\'])
        && path
            .components()
            .all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
    if plain {
        Ok(path.to_owned())
    } else {
        Err(FileError::NotAllowed)
    }
}

fn open_within(root: &Path, relative: &Path) -> Result<OpenFile, FileError> {
    let file = beneath::open(root, relative, Access::Read).map_err(|error| match error {
        OpenError::NotFound => FileError::NotFound,
        OpenError::Outside => FileError::NotAllowed,
        OpenError::NotAFile => FileError::NotAFile,
        OpenError::Io(_) => FileError::Io,
    })?;
    let metadata = file.metadata().map_err(|_| FileError::Io)?;
    let media_type = mime_guess::from_path(relative).first_raw();
    Ok(OpenFile {
        file,
        size: metadata.len(),
        modified: metadata.modified().ok(),
        media_type,
    })
}

/// Whether a path, with every link followed, is still inside.
fn is_within(root: &Path, path: &Path) -> bool {
    match (root.canonicalize(), path.canonicalize()) {
        (Ok(root), Ok(path)) => path.starts_with(root),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> (tempfile::TempDir, RunFiles) {
        let given = tempfile::tempdir().expect("a directory");
        fs::write(given.path().join("given.txt"), "given").expect("a file");
        let files = RunFiles::temporary(Some(given.path().to_owned())).expect("a run directory");
        (given, files)
    }

    fn write(files: &RunFiles, name: &str, text: &str) {
        let mut file = files.create(name).expect("allowed");
        file.append(text.as_bytes()).expect("written");
        file.finish().expect("kept");
    }

    fn text(files: &RunFiles, name: &str) -> Result<String, FileError> {
        let mut file = files.open(name)?;
        Ok(String::from_utf8(file.read(0, 100)?).expect("text"))
    }

    #[test]
    fn the_runs_own_files_come_before_the_given_ones() {
        let (_given, files) = files();
        assert_eq!(text(&files, "given.txt").as_deref(), Ok("given"));
        write(&files, "given.txt", "own");
        assert_eq!(text(&files, "given.txt").as_deref(), Ok("own"));
        write(&files, "a/b.txt", "deep");
        assert_eq!(text(&files, "./a/b.txt").as_deref(), Ok("deep"));
    }

    #[test]
    fn no_name_leads_out() {
        let (given, files) = files();
        for name in ["/etc/passwd", "../x", "a/../../x", "", "a\0b", "..\\x"] {
            assert_eq!(files.open(name).err(), Some(FileError::NotAllowed), "{name:?}");
            assert_eq!(files.create(name).err(), Some(FileError::NotAllowed), "{name:?}");
        }
        #[cfg(unix)]
        {
            let outside = tempfile::tempdir().expect("a directory");
            fs::write(outside.path().join("secret"), "secret").expect("a file");
            std::os::unix::fs::symlink(outside.path(), given.path().join("link")).expect("a link");
            assert_eq!(files.open("link/secret").err(), Some(FileError::NotAllowed));
        }
        assert_eq!(files.open("absent").err(), Some(FileError::NotFound));
    }

    #[test]
    fn what_is_there_is_added_to_replaced_or_left() {
        let (_given, files) = files();
        let write = |bytes: &str, existing| files.write("d/a.txt", bytes.as_bytes(), existing);
        write("one", Existing::Append).expect("new");
        write("two", Existing::Append).expect("added to");
        assert_eq!(text(&files, "d/a.txt").as_deref(), Ok("onetwo"));
        assert!(matches!(write("three", Existing::Fail), Err(WriteError::Exists)));
        write("four", Existing::Replace).expect("replaced");
        assert_eq!(text(&files, "d/a.txt").as_deref(), Ok("four"));
        for existing in [Existing::Append, Existing::Replace, Existing::Fail] {
            let outside = files.write("../a.txt", b"", existing);
            assert!(matches!(outside, Err(WriteError::NotAllowed)));
        }
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let (_given, files) = files();
        let mut file = files.create("half.txt").expect("allowed");
        file.append(b"half").expect("written");
        assert_eq!(files.open("half.txt").err(), Some(FileError::NotFound));
        drop(file);
        assert_eq!(files.open("half.txt").err(), Some(FileError::NotFound));
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_says_so() {
        let (given, files) = files();
        let mut file = files.open("given.txt").expect("there");
        fs::write(given.path().join("given.txt"), "given, and changed").expect("changed");
        assert_eq!(file.read(0, 5), Err(FileError::Changed));
    }
}
