//! Where caught messages are kept: in memory, and on request each in a file of its own.

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, fs, io};

use tokio::sync::watch;

use crate::message::Message;
use crate::session::{NotStored, Session};

/// The longest part of a file name that comes from a Message-ID, in characters.
const NAME_LENGTH: usize = 80;

/// Keeps messages in the order of their arrival. Clones share one store.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    kept: Mutex<Kept>,
    /// How many messages have arrived in all.
    count: watch::Sender<u64>,
    directory: Option<PathBuf>,
    keep: usize,
}

struct Kept {
    messages: VecDeque<Arc<Message>>,
    /// The number of the next file, which goes on where an earlier run ended.
    next_file: u64,
}

impl Store {
    /// A store in memory that keeps everything.
    pub fn new() -> Self {
        Self::build(None, usize::MAX, 1)
    }

    /// A store in memory that keeps the latest `keep` messages and counts all.
    pub fn keeping(keep: usize) -> Self {
        Self::build(None, keep, 1)
    }

    /// A store that also writes each message to `directory`, which is created if it is missing: `000001-<Message-ID>.eml`, and
    /// beside it a `.json` with the envelope. Names sort in the order of arrival and go on from those already there. A file
    /// appears under its name only when it is complete.
    pub fn in_directory(directory: impl Into<PathBuf>, keep: usize) -> Result<Self, StoreError> {
        let directory = directory.into();
        let failed = |source| StoreError {
            path: directory.clone(),
            source,
        };
        fs::create_dir_all(&directory).map_err(failed)?;
        let mut last = 0;
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.split_once('-'))
                .and_then(|(number, _)| number.parse().ok());
            last = last.max(number.unwrap_or(0));
        }
        Ok(Self::build(Some(directory), keep, last + 1))
    }

    fn build(directory: Option<PathBuf>, keep: usize, next_file: u64) -> Self {
        let kept = Mutex::new(Kept {
            messages: VecDeque::new(),
            next_file,
        });
        Self(Arc::new(Shared {
            kept,
            count: watch::Sender::new(0),
            directory,
            keep,
        }))
    }

    /// Takes a message, numbers it and writes it to the directory, if there is one.
    pub fn add(&self, mut message: Message) -> Result<Arc<Message>, StoreError> {
        let mut kept = self.lock();
        message.sequence = *self.0.count.borrow() + 1;
        if let Some(directory) = &self.0.directory {
            write_message(directory, kept.next_file, &message)?;
            kept.next_file += 1;
        }
        let message = Arc::new(message);
        kept.messages.push_back(message.clone());
        while kept.messages.len() > self.0.keep {
            kept.messages.pop_front();
        }
        self.0.count.send_replace(message.sequence);
        Ok(message)
    }

    /// Takes every message that the session has complete, and lets it reply.
    pub fn collect(&self, session: &mut Session) -> Result<(), StoreError> {
        while let Some(message) = session.poll_message() {
            match self.add(message) {
                Ok(_) => session.handle_stored(Ok(())),
                Err(error) => {
                    session.handle_stored(Err(NotStored));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The messages that are still kept, oldest first.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.lock().messages.iter().cloned().collect()
    }

    /// How many messages have arrived in all, whether kept or not.
    pub fn count(&self) -> u64 {
        *self.0.count.borrow()
    }

    /// Waits until `count` messages have arrived in all, and gives those that are kept.
    pub async fn wait_for(&self, count: u64) -> Vec<Arc<Message>> {
        let mut arrivals = self.0.count.subscribe();
        // An error would mean that the sender is gone, and it lives in `self`.
        let _ = arrivals.wait_for(|&arrived| arrived >= count).await;
        self.messages()
    }

    /// Forgets the messages kept in memory; the count and the files stay.
    pub fn clear(&self) {
        self.lock().messages.clear();
    }

    /// Whether [`add`](Self::add) touches the disk.
    pub(crate) fn writes_files(&self) -> bool {
        self.0.directory.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("count", &self.count())
            .field("directory", &self.0.directory)
            .finish_non_exhaustive()
    }
}

/// A message or the directory for messages could not be written.
#[derive(Debug)]
pub struct StoreError {
    path: PathBuf,
    source: io::Error,
}

impl StoreError {
    /// The task that wrote did not come to its end.
    pub(crate) fn unfinished(source: io::Error) -> Self {
        Self {
            path: PathBuf::new(),
            source,
        }
    }

    /// The file or directory that was the matter.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the caught message could not be written to {} ({}): make the directory writable, or choose another",
            self.path.display(),
            self.source
        )
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

fn write_message(directory: &Path, number: u64, message: &Message) -> Result<(), StoreError> {
    let id = message
        .message_id()
        .map_or_else(|| "no-message-id".to_owned(), |id| file_name_part(&id));
    let stem = format!("{number:06}-{id}");
    let envelope = serde_json::to_vec_pretty(message).map_err(|error| StoreError {
        path: directory.join(format!("{stem}.json")),
        source: error.into(),
    })?;
    // The envelope first: whoever sees the message finds its envelope beside it.
    write_whole(directory, &format!("{stem}.json"), &envelope)?;
    write_whole(directory, &format!("{stem}.eml"), &message.content)
}

/// Writes under a name that nobody looks for, and gives it the right one when it is complete.
fn write_whole(directory: &Path, name: &str, content: &[u8]) -> Result<(), StoreError> {
    let path = directory.join(name);
    let unfinished = directory.join(format!(".{name}.part"));
    let written = fs::File::create(&unfinished)
        .and_then(|mut file| file.write_all(content))
        .and_then(|()| fs::rename(&unfinished, &path));
    written.map_err(|source| {
        let _ = fs::remove_file(&unfinished);
        StoreError { path, source }
    })
}

/// A Message-ID comes from a stranger: of its characters only those stay that mean nothing to a file system.
fn file_name_part(id: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '@' | '-' | '_' | '.' | '+') {
            c
        } else {
            '_'
        }
    };
    id.chars().map(safe).take(NAME_LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Envelope, Parameters, Transfer};

    fn message(content: &str) -> Message {
        Message {
            sequence: 0,
            connection: 1,
            transaction: 1,
            id: "pipepost-1-1".into(),
            received_at: 1_700_000_000,
            envelope: Envelope {
                from: "a@example.com".into(),
                to: vec!["b@example.com".into()],
            },
            parameters: Parameters::default(),
            transfer: Transfer::Data,
            user: None,
            tls: None,
            helo: "client.example".into(),
            content: content.as_bytes().to_vec(),
        }
    }

    #[test]
    fn files_are_named_by_arrival_and_go_on_from_an_earlier_run() {
        let directory = tempfile::tempdir().unwrap();
        for round in 0..2 {
            let store = Store::in_directory(directory.path(), 1).unwrap();
            store.add(message("Message-ID: <one@x>\r\n\r\nHello\r\n")).unwrap();
            store.add(message("Subject: none\r\n\r\n")).unwrap();
            assert_eq!(store.count(), 2, "round {round}");
            assert_eq!(store.messages().len(), 1);
        }
        let mut names: Vec<String> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let stems = [
            "000001-one@x",
            "000002-no-message-id",
            "000003-one@x",
            "000004-no-message-id",
        ];
        let expected: Vec<String> = stems
            .iter()
            .flat_map(|stem| [format!("{stem}.eml"), format!("{stem}.json")])
            .collect();
        assert_eq!(names, expected);
        assert_eq!(
            fs::read(directory.path().join("000001-one@x.eml")).unwrap(),
            b"Message-ID: <one@x>\r\n\r\nHello\r\n"
        );
        let envelope: serde_json::Value =
            serde_json::from_slice(&fs::read(directory.path().join("000003-one@x.json")).unwrap()).unwrap();
        assert_eq!(envelope["envelope"]["to"][0], "b@example.com");
        assert_eq!(envelope["transfer"], "data");
    }

    #[test]
    fn a_message_id_cannot_leave_the_directory() {
        assert_eq!(file_name_part("../../etc/passwd\0\u{e9}"), ".._.._etc_passwd__");
        assert_eq!(file_name_part(&"x".repeat(500)).len(), NAME_LENGTH);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::in_directory(directory.path().join("in"), usize::MAX).unwrap();
        fs::remove_dir(directory.path().join("in")).unwrap();
        let error = store.add(message("\r\n")).unwrap_err();
        assert!(error.to_string().contains("000001-no-message-id.json"), "{error}");
        assert_eq!(store.count(), 0);
    }
}
