//! What the server says after a sign-in, without the secret.
//!
//! The server knows the secret, and some servers echo: in an error, in a log line, in a reply to something else. What they
//! say goes to the connector, so the secret is taken out of it here, in every form. A line is looked at whole, however it
//! arrives.

use std::io;

use pipepost_accounts::sasl::Exchange;

use crate::buffered_stream::BufferedStream;

/// A line beyond this is looked at in pieces; no reply line comes near it (RFC 5321, section 4.5.3.1.5). With one read
/// more it stays below what an exchange looks at in one go.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// How much is read at once.
const READ_BYTES_MAX: usize = 16 * 1024;

/// The secrets of one connection, and the bytes on their way past them.
pub(crate) struct SecretRedactor {
    exchanges: Vec<Exchange>,
    /// The beginning of a line.
    coming: Vec<u8>,
    /// Looked at and not handed out, from `taken` on.
    ready: Vec<u8>,
    taken: usize,
}

impl SecretRedactor {
    pub(crate) fn over(exchanges: Vec<Exchange>) -> Self {
        Self {
            exchanges,
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
            let lines = match self.coming.iter().rposition(|byte| *byte == b'\n') {
                _ if ended || self.coming.len() > LINE_BYTES_MAX => self.coming.len(),
                Some(end) => end + 1,
                None => 0,
            };
            let rest = self.coming.split_off(lines);
            let lines = std::mem::replace(&mut self.coming, rest);
            self.ready = self.redacted(&lines);
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

    /// Whether something arrived that nobody has read.
    pub(crate) fn has_unread_input(&self) -> bool {
        !self.coming.is_empty() || !self.ready.is_empty()
    }

    /// These bytes without the secrets.
    pub(crate) fn redacted(&self, bytes: &[u8]) -> Vec<u8> {
        let mut exchanges = self.exchanges.iter();
        match exchanges.next() {
            None => bytes.to_vec(),
            Some(first) => exchanges.fold(first.scrub(bytes), |bytes, exchange| exchange.scrub(&bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use pipepost_accounts::Secret;
    use pipepost_accounts::sasl::{Credentials, Mechanism};
    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::buffered_stream::Stream;

    #[tokio::test]
    async fn a_secret_is_found_however_its_line_arrives() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let credentials = Credentials::password(secret("ann"), secret("open sesame"));
        let exchange = Exchange::start(Mechanism::Plain, &credentials, "h", 587).expect("good credentials");
        let mut redactor = SecretRedactor::over(vec![exchange]);
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
        assert_eq!(
            String::from_utf8_lossy(&heard),
            "250 You said ***.\r\n250 Next\r\n***U="
        );
        assert!(!redactor.has_unread_input());
    }
}
