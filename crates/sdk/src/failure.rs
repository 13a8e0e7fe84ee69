//! Failures in the contract's terms, with short constructors.

use std::error::Error;
use std::io;

use crate::{Failure, FailureKind, FileError};

impl Failure {
    /// Creates a failure of `kind` with a message and nothing else. Fill in the rest with the record's own fields.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            advice: None,
            link: None,
            retry_after_seconds: None,
            remainder: None,
            output: None,
        }
    }

    /// Creates a failure for a request that makes no sense, and will not make sense at the next try either.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Invalid, message)
    }

    /// Adds what the person who can repair the failure must do now.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// A file of the run that cannot be had.
    pub(crate) fn of_file(name: &str, error: FileError) -> Self {
        Self::new(kind(error), format!("The file `{name}`: {}.", error.reason()))
    }
}

/// So that `?` works on what reads and writes the run's files.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match file_error(&error) {
            Some(file) => Self::new(kind(file), format!("A file of the run: {}.", file.reason())),
            None => Self::invalid(format!("{error}.")),
        }
    }
}

/// The host's word, however deep a library has wrapped it.
fn file_error(error: &io::Error) -> Option<FileError> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(file) = error.downcast_ref::<FileError>() {
            return Some(*file);
        }
        // `source` of an `io::Error` is the source of what it holds, and not what it holds.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match held {
            Some(held) => Some(held),
            None => error.source(),
        };
    }
    None
}

fn kind(error: FileError) -> FailureKind {
    match error {
        FileError::NotFound | FileError::NotAllowed => FailureKind::Invalid,
        FileError::TooLarge => FailureKind::Limit,
        FileError::Changed | FileError::Io => FailureKind::Transient,
    }
}

impl FileError {
    /// Returns the reason as a clause about the file.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "there is no such file in the run's directory",
            Self::NotAllowed => "the name does not lead to a file within the run's directory",
            Self::Changed => "it changed while it was read",
            Self::TooLarge => "it is larger than the host allows",
            Self::Io => "the host could not read or write it",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_word_is_found_under_wrappers() {
        #[derive(Debug)]
        struct Wrapper(io::Error);
        impl std::fmt::Display for Wrapper {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("wrapped")
            }
        }
        impl Error for Wrapper {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let wrapped = io::Error::other(Wrapper(io::Error::other(FileError::TooLarge)));
        assert_eq!(Failure::from(wrapped).kind, FailureKind::Limit);
        assert_eq!(Failure::from(io::Error::other("else")).message, "else.");
    }
}
