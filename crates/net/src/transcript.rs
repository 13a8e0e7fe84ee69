//! The dialogue in writing, with times and without secrets.
//!
//! Secrets of a sign-in are never written: of a line of the sign-in, only the command and the mechanism are. What a
//! server says is written as connectors get it, without the secret in any form.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The longest line that is written whole.
const LINE_BYTES_MAX: usize = 1000;

/// The most lines of one write or read that are written down: a message's content can be anything.
const LINES_MAX: usize = 200;

/// A transcript of every connection of a process.
pub struct Transcript {
    to: Mutex<Box<dyn Write + Send>>,
    connections: AtomicU64,
}

impl std::fmt::Debug for Transcript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transcript")
    }
}

impl Transcript {
    /// Makes a transcript that is written to a file, in place of its old content. Only the file's owner can read it.
    ///
    /// # Errors
    /// Returns an error when the file cannot be written.
    pub fn to_file(path: &Path) -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self::new(options.open(path)?))
    }

    /// Makes a transcript that is written to `to`.
    pub fn new(to: impl Write + Send + 'static) -> Self {
        Self {
            to: Mutex::new(Box::new(to)),
            connections: AtomicU64::new(0),
        }
    }

    fn write(&self, number: u64, mark: &str, text: &str) {
        let now = jiff::Timestamp::now();
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        // A transcript that cannot go on must not stop what it describes.
        if let Err(error) = writeln!(to, "{now:.3} #{number} {mark} {text}").and_then(|()| to.flush()) {
            tracing::debug!(%error, "the transcript could not be written");
        }
    }
}

/// One connection's part.
pub(crate) struct Dialogue {
    transcript: Arc<Transcript>,
    number: u64,
    /// A line of the server's that is not whole yet.
    coming: Vec<u8>,
}

impl Dialogue {
    pub(crate) fn begin(transcript: &Arc<Transcript>) -> Self {
        Self {
            transcript: Arc::clone(transcript),
            number: transcript.connections.fetch_add(1, Ordering::Relaxed) + 1,
            coming: Vec::new(),
        }
    }

    /// Writes something that happened besides the dialogue.
    pub(crate) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.transcript.write(self.number, "*", &what.to_string());
    }

    /// Bytes of the connector.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        self.lines("C:", bytes);
    }

    /// A line of the sign-in: `AUTH PLAIN ***`, `***`; what holds nothing stays.
    pub(crate) fn sent_secret(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let mut words = text.split_whitespace();
        let shown = match (words.next(), words.next(), words.next()) {
            (None, ..) => String::new(),
            (Some("*"), None, _) => "*".to_owned(),
            (Some(_), None, _) => "***".to_owned(),
            (Some(verb), Some(mechanism), None) => format!("{verb} {mechanism}"),
            (Some(verb), Some(mechanism), Some(_)) => format!("{verb} {mechanism} ***"),
        };
        self.transcript.write(self.number, "C:", &shown);
    }

    /// Bytes of the server.
    pub(crate) fn received(&mut self, bytes: &[u8]) {
        self.coming.extend_from_slice(bytes);
        let whole = self
            .coming
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        // A server whose line has no end is written down in pieces.
        let whole = if whole == 0 && self.coming.len() > 64 * 1024 {
            self.coming.len()
        } else {
            whole
        };
        if whole > 0 {
            let rest = self.coming.split_off(whole);
            let lines = std::mem::replace(&mut self.coming, rest);
            self.lines("S:", &lines);
        }
    }

    fn lines(&self, mark: &str, bytes: &[u8]) {
        let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        if text.is_empty() {
            return;
        }
        let count = text.split(|byte| *byte == b'\n').count();
        for line in text.split(|byte| *byte == b'\n').take(LINES_MAX) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.transcript.write(self.number, mark, &printable(line));
        }
        if count > LINES_MAX {
            let more = count - LINES_MAX;
            self.transcript
                .write(self.number, mark, &format!("(and {more} lines more)"));
        }
    }
}

/// A line as text in which nothing is left that a terminal would obey.
fn printable(line: &[u8]) -> String {
    let shown = &line[..line.len().min(LINE_BYTES_MAX)];
    let mut text = String::new();
    for c in String::from_utf8_lossy(shown).chars() {
        if c.is_control() && c != '\t' {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
    if shown.len() < line.len() {
        text.push_str(&format!(" (and {} bytes more)", line.len() - shown.len()));
    }
    text
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        if !self.coming.is_empty() {
            let rest = std::mem::take(&mut self.coming);
            self.lines("S:", &rest);
        }
        self.transcript.write(self.number, "*", "the connection is closed");
    }
}
