//! The files of the run, as the host hands them out.
//!
//! It mirrors the contract's `files` interface, so that everything here is tested without one.

use std::fmt;

/// Why a file of the run cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileError {
    /// There is no file of that name.
    NotFound,
    /// The name leads out of the run's directory, or to something that is not a file.
    NotAllowed,
    /// The file is no longer what it was when it was opened.
    Changed,
    /// The file is larger than the host hands out.
    TooLarge,
    /// The host could not read it.
    Io,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "there is no such file in the run's directory",
            Self::NotAllowed => "the name does not lead to a file within the run's directory",
            Self::Changed => "the file changed while it was read",
            Self::TooLarge => "the file is larger than the host allows",
            Self::Io => "the file could not be read",
        })
    }
}

impl std::error::Error for FileError {}

/// One open file.
pub trait File {
    /// Its size in octets when it was opened.
    fn size(&self) -> u64;

    /// The media type that the host derives from the name, without parameters; none when it knows none.
    fn media_type(&self) -> Option<String>;

    /// At most `max` octets from `offset`; empty only at the end.
    ///
    /// # Errors
    ///
    /// [`FileError::Changed`] once the file is no longer what it was when it was opened.
    fn read(&mut self, offset: u64, max: u32) -> Result<Vec<u8>, FileError>;
}

/// The files that one call may read.
pub trait Files {
    /// Opens a file by its name within the run's directory.
    ///
    /// # Errors
    ///
    /// Whatever keeps the file from being had, by its [`FileError`].
    fn open(&mut self, name: &str) -> Result<Box<dyn File>, FileError>;
}
