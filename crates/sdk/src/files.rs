//! The run's files as `std::io` readers and writers.

use std::io;

#[cfg(target_family = "wasm")]
use crate::bindings::pipepost::connector::{files, new_files};
#[cfg(not(target_family = "wasm"))]
use crate::testing::imports::{files, new_files};
use crate::{Call, Failure};

/// How many bytes cross the boundary at once: large enough that crossing costs nothing beside the copying.
const PIECE: u32 = 64 * 1024;

/// A reader of a file of the run, from its beginning. Using it imports `files`.
pub struct RunFileReader {
    file: files::File,
    offset: u64,
}

impl RunFileReader {
    /// Opens the file `name` of the run that `call` belongs to.
    ///
    /// # Errors
    /// A failure that names the file: it does not exist, is not allowed, or is too large.
    pub fn open(call: &Call, name: &str) -> Result<Self, Failure> {
        Ok(Self {
            file: files::open(call.id, name).map_err(|error| Failure::of_file(name, error))?,
            offset: 0,
        })
    }

    /// Returns the file's size in bytes, as it was when the file was opened.
    pub fn size(&self) -> u64 {
        self.file.size()
    }
}

impl io::Read for RunFileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = u32::try_from(buffer.len()).unwrap_or(PIECE).min(PIECE);
        let bytes = self.file.read(self.offset, want).map_err(io::Error::other)?;
        // A host gives no more than was asked for; one that does loses what is too much.
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        self.offset += length as u64;
        Ok(length)
    }
}

/// A writer of a new file of the run. The file appears as a whole with [`NewFileWriter::finish`], and not before. Using
/// it imports `new-files`.
pub struct NewFileWriter {
    file: new_files::NewFile,
    pending: Vec<u8>,
}

impl NewFileWriter {
    /// Begins the file `name` of the run that `call` belongs to.
    ///
    /// # Errors
    /// When the host refuses the name. The failure names the file.
    pub fn create(call: &Call, name: &str) -> Result<Self, Failure> {
        Ok(Self {
            file: new_files::create(call.id, name).map_err(|error| Failure::of_file(name, error))?,
            pending: Vec::with_capacity(PIECE as usize),
        })
    }

    /// Makes the file appear under its name.
    ///
    /// # Errors
    /// When the written content could not be stored.
    pub fn finish(mut self) -> io::Result<()> {
        self.hand_over()?;
        new_files::NewFile::finish(self.file).map_err(io::Error::other)
    }

    fn hand_over(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.file.append(&self.pending).map_err(io::Error::other)?;
            self.pending.clear();
        }
        Ok(())
    }
}

impl io::Write for NewFileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= PIECE as usize {
            self.hand_over()?;
        }
        Ok(bytes.len())
    }

    /// Nothing to do: nobody can see the file before it is finished.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::testing::{Run, call};

    #[test]
    fn what_is_written_in_pieces_is_read_in_pieces() {
        let mut run = Run::new();
        let text = "0123456789".repeat(20_000);
        run.within(|| {
            let mut file = NewFileWriter::create(&call("{}"), "a/numbers.txt").expect("allowed");
            for piece in text.as_bytes().chunks(777) {
                file.write_all(piece).expect("taken");
            }
            let early = RunFileReader::open(&call("{}"), "a/numbers.txt")
                .err()
                .expect("not finished");
            assert!(early.message.contains("no such file"), "{}", early.message);
            file.finish().expect("kept");
            let mut back = String::new();
            let mut file = RunFileReader::open(&call("{}"), "a/numbers.txt").expect("there");
            assert_eq!(file.size(), text.len() as u64);
            file.read_to_string(&mut back).expect("text");
            assert_eq!(back, text);
        });
        assert_eq!(run.file("a/numbers.txt"), Some(text.as_bytes()));
    }

    #[test]
    fn a_file_that_is_dropped_leaves_nothing() {
        let mut run = Run::new();
        run.within(|| {
            let mut file = NewFileWriter::create(&call("{}"), "half.txt").expect("allowed");
            file.write_all(b"half").expect("taken");
        });
        assert_eq!(run.file("half.txt"), None);
    }
}
