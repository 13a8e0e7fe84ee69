//! `pipepost:connector/files` and `pipepost:connector/new-files`.

use std::time::Instant;

use wasmtime::component::Resource;

use super::{StoreData, bad_handle, printable, unknown_call};
use crate::contract::latest::types::FileError;
use crate::contract::latest::{files, new_files};
use crate::files::{self as run_files, NewFile, OpenFile};

/// The most bytes that one read of a file gives.
const FILE_READ_BYTES_MAX: u32 = 1 << 20;

/// Bytes of a file's name that a log line shows.
const NAME_BYTES_MAX: usize = 300;

impl From<run_files::FileError> for FileError {
    fn from(error: run_files::FileError) -> Self {
        match error {
            run_files::FileError::NotFound => Self::NotFound,
            // The contract has no word of its own for what is not a file.
            run_files::FileError::NotAllowed | run_files::FileError::NotAFile => Self::NotAllowed,
            run_files::FileError::Changed => Self::Changed,
            run_files::FileError::TooLarge => Self::TooLarge,
            run_files::FileError::Io => Self::Io,
        }
    }
}

impl files::Host for StoreData {
    async fn open(&mut self, call: u32, name: String) -> wasmtime::Result<Result<Resource<OpenFile>, FileError>> {
        let batch = self.batch()?;
        if !batch.tracker.knows(call) {
            return Err(unknown_call(call));
        }
        let began = Instant::now();
        let opened = batch.files.open(&name);
        self.host_worked(began);
        match opened {
            Ok(file) => Ok(Ok(self.table.push(file).map_err(bad_handle)?)),
            Err(error) => {
                if error == run_files::FileError::NotAFile {
                    let name = printable(&name, NAME_BYTES_MAX);
                    tracing::warn!("the file `{name}` is not opened: {error}");
                }
                Ok(Err(error.into()))
            }
        }
    }
}

impl files::HostFile for StoreData {
    async fn size(&mut self, file: Resource<OpenFile>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&file).map_err(bad_handle)?.size())
    }

    async fn media_type(&mut self, file: Resource<OpenFile>) -> wasmtime::Result<Option<String>> {
        Ok(self
            .table
            .get(&file)
            .map_err(bad_handle)?
            .media_type()
            .map(str::to_owned))
    }

    async fn read(
        &mut self,
        file: Resource<OpenFile>,
        offset: u64,
        max_bytes: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, FileError>> {
        let file = self.table.get_mut(&file).map_err(bad_handle)?;
        let began = Instant::now();
        let bytes = file.read(offset, max_bytes.min(FILE_READ_BYTES_MAX));
        self.host_worked(began);
        Ok(bytes.map_err(Into::into))
    }

    async fn drop(&mut self, file: Resource<OpenFile>) -> wasmtime::Result<()> {
        self.table.delete(file).map(drop).map_err(bad_handle)
    }
}

impl new_files::Host for StoreData {
    async fn create(&mut self, call: u32, name: String) -> wasmtime::Result<Result<Resource<NewFile>, FileError>> {
        let batch = self.batch()?;
        if !batch.tracker.knows(call) {
            return Err(unknown_call(call));
        }
        match batch.files.create(&name) {
            Ok(file) => Ok(Ok(self.table.push(file).map_err(bad_handle)?)),
            Err(error) => Ok(Err(error.into())),
        }
    }
}

impl new_files::HostNewFile for StoreData {
    async fn append(&mut self, file: Resource<NewFile>, bytes: Vec<u8>) -> wasmtime::Result<Result<(), FileError>> {
        let most = self.limits.new_files;
        let batch = self.batch()?;
        batch.new_file_bytes += bytes.len() as u64;
        if batch.new_file_bytes > most {
            return Ok(Err(FileError::TooLarge));
        }
        let file = self.table.get_mut(&file).map_err(bad_handle)?;
        let began = Instant::now();
        let result = file.append(&bytes);
        self.host_worked(began);
        Ok(result.map_err(Into::into))
    }

    async fn finish(&mut self, file: Resource<NewFile>) -> wasmtime::Result<Result<(), FileError>> {
        let file = self.table.delete(file).map_err(bad_handle)?;
        Ok(file.finish().map_err(Into::into))
    }

    async fn drop(&mut self, file: Resource<NewFile>) -> wasmtime::Result<()> {
        self.table.delete(file).map(drop).map_err(bad_handle)
    }
}
