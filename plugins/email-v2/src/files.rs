//! The files of the run, as the host gives access to them.
//!
//! These are traits over the contract's `files` interface, so that everything here is tested without a host.

pub use pipepost_sdk::FileError;

/// An open file.
pub trait File {
    /// Returns the size in octets that the file had when it was opened.
    fn size(&self) -> u64;

    /// Returns the media type that the host derives from the name, without parameters; none when it knows none.
    fn media_type(&self) -> Option<String>;

    /// Reads at most `max` octets from `offset`. The result is empty only at the end.
    ///
    /// # Errors
    /// [`FileError::Changed`] when the file is no longer what it was when it was opened.
    fn read(&mut self, offset: u64, max: u32) -> Result<Vec<u8>, FileError>;
}

/// The files that one call may read.
pub trait Files {
    /// Opens a file by its name within the run's directory.
    ///
    /// # Errors
    /// The [`FileError`] that says why the file is not available.
    fn open(&mut self, name: &str) -> Result<Box<dyn File>, FileError>;
}
