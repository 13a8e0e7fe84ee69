//! The files of the run, as the host hands them out.
//!
//! Traits over the contract's `files` interface, so that everything here is tested without a host.

pub use pipepost_sdk::FileError;

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
