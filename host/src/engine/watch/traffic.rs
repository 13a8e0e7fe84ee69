//! The bytes of an instance's connection: how many left and were read, and what the server said lately.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much of what was received is kept to look for evidence in.
pub(super) const RECEIVED: usize = 64 * 1024;

/// The bytes of an instance's connection, as the host counted them.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Bytes written on connections that are gone.
    settled_written: u64,
    /// Of the live connection.
    live: Option<Arc<AtomicU64>>,
    live_base: u64,
    /// Bytes that the connector has read.
    read: u64,
    /// What was received lately, less its line ends.
    received: String,
    /// How much stood before that and is forgotten.
    forgotten: usize,
}

impl Traffic {
    /// From here on the counter of a live connection counts.
    pub(crate) fn follow(&mut self, counter: Arc<AtomicU64>) {
        self.settled_written = self.written();
        self.live_base = counter.load(Ordering::Relaxed);
        self.live = Some(counter);
    }

    /// Bytes that left so far.
    pub(crate) fn written(&self) -> u64 {
        let live = self
            .live
            .as_ref()
            .map_or(0, |live| live.load(Ordering::Relaxed) - self.live_base);
        self.settled_written + live
    }

    /// The connector has read these bytes.
    pub(crate) fn received(&mut self, bytes: &[u8]) {
        self.read += bytes.len() as u64;
        let text = String::from_utf8_lossy(bytes);
        self.received.extend(text.chars().filter(|c| !matches!(c, '\r' | '\n')));
        if self.received.len() > 2 * RECEIVED {
            let mut cut = self.received.len() - RECEIVED;
            while !self.received.is_char_boundary(cut) {
                cut += 1;
            }
            self.received.drain(..cut);
            self.forgotten += cut;
        }
    }

    /// Whether bytes have left since a part was announced.
    pub(super) fn wrote_since(&self, announced: Announced) -> bool {
        self.written() > announced.written
    }

    /// Whether the connector has read anything since a part was announced.
    pub(super) fn read_since(&self, announced: Announced) -> bool {
        self.read > announced.read
    }

    /// What is known at this moment, for a part that is announced now.
    pub(super) fn now(&self) -> Announced {
        Announced {
            written: self.written(),
            read: self.read,
            mark: self.forgotten + self.received.len(),
        }
    }

    /// Looks for a reply among what was received since a part was announced, and takes it: one reply proves one refusal,
    /// unless it closes the session.
    pub(super) fn take_evidence(&mut self, evidence: &str, since: Announced) -> bool {
        let wanted: String = evidence.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        let is_refusal = wanted.len() >= 3
            && matches!(wanted.as_bytes()[0], b'4' | b'5')
            && wanted.as_bytes()[1..3].iter().all(u8::is_ascii_digit);
        if !is_refusal {
            return false;
        }
        let start = since.mark.saturating_sub(self.forgotten);
        let Some(at) = self.received.get(start..).and_then(|since| since.find(&wanted)) else {
            return false;
        };
        // A 421 closes the session and so speaks for all that it leaves unanswered (RFC 5321, section 3.8).
        if !wanted.starts_with("421") {
            // Blotted out and not cut out, so that every mark stays where it is.
            let (from, to) = (start + at, start + at + wanted.len());
            self.received.replace_range(from..to, &"\0".repeat(wanted.len()));
        }
        true
    }
}

/// The traffic as it was when a part was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Announced {
    written: u64,
    read: u64,
    /// Where the next byte stood in what was received.
    mark: usize,
}
