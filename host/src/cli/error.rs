//! What keeps a command from being done, told to the person who typed it.

use std::io;

use pipepost::FailureKind;

/// `EX_NOINPUT` of `sysexits.h`.
const NO_INPUT: u8 = 66;

/// One or more sentences, and the exit code that goes with them.
#[derive(Debug)]
pub(super) struct CliError {
    sentences: Vec<String>,
    code: u8,
}

impl CliError {
    pub(super) fn new(kind: FailureKind, sentence: impl Into<String>) -> Self {
        Self {
            sentences: vec![sentence.into()],
            code: pipepost::exit_code(kind),
        }
    }

    pub(super) fn usage(sentence: impl Into<String>) -> Self {
        Self {
            sentences: vec![sentence.into()],
            code: super::USAGE,
        }
    }

    /// A file that cannot be read.
    pub(super) fn no_input(what: &str, path: &std::path::Path, error: &io::Error) -> Self {
        let is_link = path.is_symlink();
        let path = path.display();
        let why = match error.kind() {
            io::ErrorKind::NotFound if is_link => {
                format!("The {what} `{path}` is a link to something that is not there.")
            }
            io::ErrorKind::NotFound => format!("The {what} `{path}` is not there."),
            io::ErrorKind::IsADirectory => format!("The {what} `{path}` is a directory; name a file."),
            _ => format!("The {what} `{path}` cannot be read: {error}."),
        };
        Self {
            sentences: vec![why],
            code: NO_INPUT,
        }
    }

    /// A path that is there and is no directory, in this sentence.
    pub(super) fn no_directory(sentence: String) -> Self {
        Self {
            sentences: vec![sentence],
            code: NO_INPUT,
        }
    }

    pub(super) fn io(what: &str, error: &io::Error) -> Self {
        Self::new(FailureKind::Transient, format!("The work with {what} failed: {error}."))
    }

    pub(super) fn many(kind: FailureKind, sentences: impl IntoIterator<Item = String>) -> Self {
        Self {
            sentences: sentences.into_iter().collect(),
            code: pipepost::exit_code(kind),
        }
    }

    /// The same of a run that has sent messages: nobody is to start it again by himself.
    pub(super) fn after_sending(mut self) -> Self {
        self.code = pipepost::exit_code(FailureKind::Uncertain);
        self.sentences
            .push("Messages were sent before that, and would be sent again by another run.".to_owned());
        self
    }

    pub(super) fn exit_code(&self) -> u8 {
        self.code
    }

    pub(super) fn sentences(&self) -> &[String] {
        &self.sentences
    }

    pub(super) fn print(&self) {
        for sentence in &self.sentences {
            super::logging::say(&format!("pipepost: {sentence}"));
        }
    }
}

impl From<pipepost::HostError> for CliError {
    fn from(error: pipepost::HostError) -> Self {
        Self::new(FailureKind::Configuration, error.to_string())
    }
}
