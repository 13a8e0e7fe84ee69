//! The run's files as `std::io` readers and writers.

use std::io;

use crate::bindings::pipepost::connector::{files, new_files};
use crate::{Failure, FailureKind, FileError, failure};

/// How many bytes cross the boundary at once: large enough that crossing costs nothing beside the copying.
const PIECE: u32 = 64 * 1024;

/// Reads a file of the run from its beginning.
pub struct RunFileReader {
    file: files::File,
    offset: u64,
}

impl RunFileReader {
    /// Opens the file `name` of the run that `call` belongs to.
    ///
    /// # Errors
    /// As the host has it: not there, not allowed, too large.
    pub fn open(call: u32, name: &str) -> Result<Self, FileError> {
        Ok(Self {
            file: files::open(call, name)?,
            offset: 0,
        })
    }
}

impl io::Read for RunFileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = u32::try_from(buffer.len()).unwrap_or(PIECE).min(PIECE);
        let bytes = self
            .file
            .read(self.offset, want)
            .map_err(|error| io::Error::other(error.to_string()))?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }
}

/// Writes a new file of the run; it appears, whole, with [`NewFileWriter::finish`] and not before.
pub struct NewFileWriter {
    file: new_files::NewFile,
    pending: Vec<u8>,
}

impl NewFileWriter {
    /// Begins the file `name` of the run that `call` belongs to.
    ///
    /// # Errors
    /// A failure of kind `invalid` that names the file, when the host refuses the name.
    pub fn create(call: u32, name: &str) -> Result<Self, Failure> {
        let file = new_files::create(call, name).map_err(|error| {
            failure(
                FailureKind::Invalid,
                format!("The file `{name}` cannot be made: {error}."),
            )
        })?;
        Ok(Self {
            file,
            pending: Vec::with_capacity(PIECE as usize),
        })
    }

    /// Makes the file appear under its name.
    ///
    /// # Errors
    /// When what was written could not be kept.
    pub fn finish(mut self) -> io::Result<()> {
        io::Write::flush(&mut self)?;
        new_files::NewFile::finish(self.file).map_err(|error| io::Error::other(error.to_string()))
    }
}

impl io::Write for NewFileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= PIECE as usize {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.file
                .append(&self.pending)
                .map_err(|error| io::Error::other(error.to_string()))?;
            self.pending.clear();
        }
        Ok(())
    }
}
