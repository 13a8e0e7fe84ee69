//! What a server says, without the secrets of this process.
//!
//! A server knows the secret of its own account, and secrets that another server told it. Some servers echo them: in an
//! error, in a log line, in the next connection's greeting. What servers say goes to connectors, results and
//! transcripts. So every secret that was used in this process is removed here, from a connection's first byte to its
//! last. A line is examined as a whole, even when it arrives in pieces, together with the text before it.

use std::io;
use std::sync::Arc;

use pipepost_accounts::sasl::SecretPatterns;

use crate::buffered_stream::BufferedStream;

/// A line beyond this is looked at in pieces; no reply line comes near it (RFC 5321, section 4.5.3.1.5). With the bytes
/// before it and one read more it stays below what is looked at in one go.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// How much is read at once.
const READ_BYTES_MAX: usize = 16 * 1024;

/// How much of what was handed out is looked at again, for a secret that began in it; and how much of a line without an end
/// is kept back, for one that goes on.
const OVERLAP_BYTES: usize = 512;

/// The bytes of one connection on their way past the secrets of the process.
pub(crate) struct SecretRedactor {
    secrets: Arc<SecretPatterns>,
    /// The end of what was handed out, as it came.
    before: Vec<u8>,
    /// The beginning of a line.
    coming: Vec<u8>,
    /// Looked at and not handed out, from `taken` on.
    ready: Vec<u8>,
    taken: usize,
}

impl SecretRedactor {
    pub(crate) fn new(secrets: Arc<SecretPatterns>) -> Self {
        Self {
            secrets,
            before: Vec::new(),
            coming: Vec::new(),
            ready: Vec::new(),
            taken: 0,
        }
    }

    /// At least one byte and at most `max`; none at the end of the stream. What arrived stays when this is cancelled.
    pub(crate) async fn read(&mut self, socket: &mut BufferedStream, max: usize) -> io::Result<Vec<u8>> {
        while self.ready.is_empty() {
            let bytes = socket.read(READ_BYTES_MAX).await?;
            let ended = bytes.is_empty();
            self.coming.extend_from_slice(&bytes);
            let whole = match self.coming.iter().rposition(|byte| *byte == b'\n') {
                _ if ended => self.coming.len(),
                _ if self.coming.len() > LINE_BYTES_MAX => self.coming.len() - OVERLAP_BYTES,
                Some(end) => end + 1,
                None => 0,
            };
            if whole > 0 {
                self.ready = self.pass(whole);
            }
            if ended {
                break;
            }
        }
        let waiting = &self.ready[self.taken..];
        let bytes = waiting[..waiting.len().min(max.max(1))].to_vec();
        self.taken += bytes.len();
        if self.taken == self.ready.len() {
            self.ready.clear();
            self.taken = 0;
        }
        Ok(bytes)
    }

    /// Takes the first `count` of the bytes that came, without the secrets.
    fn pass(&mut self, count: usize) -> Vec<u8> {
        let shown = self.secrets.scrub_within(&self.before, &self.coming, count);
        let rest = self.coming.split_off(count);
        let passed = std::mem::replace(&mut self.coming, rest);
        self.remember(&passed);
        shown
    }

    /// Takes a reply of a sign-in, which is read past [`SecretRedactor::read`], and returns it without the secrets.
    pub(crate) fn reply(&mut self, reply: &[u8]) -> Vec<u8> {
        let shown = self.secrets.scrub_within(&self.before, reply, reply.len());
        self.remember(reply);
        shown
    }

    fn remember(&mut self, passed: &[u8]) {
        self.before.extend_from_slice(passed);
        let surplus = self.before.len().saturating_sub(OVERLAP_BYTES);
        self.before.drain(..surplus);
    }

    /// Whether something arrived that nobody has read.
    pub(crate) fn has_unread_input(&self) -> bool {
        !self.coming.is_empty() || !self.ready.is_empty()
    }

    /// These bytes without the secrets.
    pub(crate) fn redacted(&self, bytes: &[u8]) -> Vec<u8> {
        self.secrets.scrub(bytes)
    }

    /// This text without the secrets.
    pub(crate) fn redacted_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.redacted(text.as_bytes())).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::buffered_stream::Stream;

    #[tokio::test]
    async fn a_secret_is_found_however_its_line_arrives() {
        let secrets = Arc::new(SecretPatterns::new());
        secrets.insert(b"open sesame");
        let mut redactor = SecretRedactor::new(secrets);
        let (ours, mut theirs) = tokio::io::duplex(3);
        let mut socket = BufferedStream::new(Stream::Memory(ours));
        let server = tokio::spawn(async move {
            let said = b"250 You said open sesame.\r\n250 Next\r\nb3BlbiBzZXNhbWU=";
            theirs.write_all(said).await.expect("somebody reads");
        });
        let mut heard = Vec::new();
        loop {
            let bytes = redactor.read(&mut socket, 4).await.expect("no error");
            if bytes.is_empty() {
                break;
            }
            heard.extend(bytes);
        }
        server.await.expect("the server");
        assert_eq!(String::from_utf8_lossy(&heard), "250 You said ***.\r\n250 Next\r\n***=");
        assert!(!redactor.has_unread_input());
    }

    #[tokio::test]
    async fn a_secret_is_found_where_a_line_without_an_end_is_cut() {
        let secrets = Arc::new(SecretPatterns::new());
        secrets.insert(b"open sesame");
        for padding in LINE_BYTES_MAX - OVERLAP_BYTES - 12..LINE_BYTES_MAX - OVERLAP_BYTES + 2 {
            let mut redactor = SecretRedactor::new(Arc::clone(&secrets));
            let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
            let mut socket = BufferedStream::new(Stream::Memory(ours));
            let said = format!("{}open sesame{}", "x".repeat(padding), "y".repeat(LINE_BYTES_MAX));
            theirs.write_all(said.as_bytes()).await.expect("room for it");
            drop(theirs);
            let mut heard = Vec::new();
            loop {
                let bytes = redactor.read(&mut socket, READ_BYTES_MAX).await.expect("no error");
                if bytes.is_empty() {
                    break;
                }
                heard.extend(bytes);
            }
            let shown = String::from_utf8(heard).expect("a text");
            assert_eq!(
                shown.trim_matches(['x', 'y']).replace("******", "***"),
                "***",
                "{padding}"
            );
        }
    }
}
