//! Records what an instance's connections carried: how many bytes left, and which replies the connector has read since.
//!
//! A reply is evidence for a part when it was read after bytes of the part left, on the connection on which the first
//! of them left. It is evidence only once: it proves one confirmation or one refusal. The exception is a 421, which
//! closes the session and so applies to everything in it that has no reply (RFC 5321, section 3.8).
//!
//! The host cannot tell which command a reply belongs to, because it does not follow the dialogue.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pipepost_smtp::{Reply, ReplyParser};

/// Replies that are kept to look for evidence in; the oldest go first.
const REPLIES_MAX: usize = 16 * 1024;

/// Bytes of refusals that are kept; the oldest go first. One reply has at most 64 KiB.
pub(super) const REFUSAL_BYTES_MAX: usize = 256 * 1024;

/// The bytes and replies of an instance's connections.
#[derive(Debug, Default)]
pub(crate) struct WireLog {
    /// Bytes written on connections that are gone.
    settled_written: u64,
    /// Of the live connection.
    live: Option<Arc<AtomicU64>>,
    live_base: u64,
    /// Bytes written when the live connection began.
    began: u64,
    /// Of what the live connection brings. After something that is not a reply, nothing more is evidence.
    parser: ReplyParser,
    /// Replies that were read and prove nothing yet.
    replies: VecDeque<Received>,
    refusal_bytes: usize,
}

/// A reply that was read.
#[derive(Debug)]
struct Received {
    /// A refusal as it came, to compare with; none for a 2yz.
    refusal: Option<String>,
    /// Bytes written when its connection began.
    began: u64,
    /// Bytes written when it was read.
    written: u64,
}

impl Received {
    /// Whether it was read after bytes of a part left, on the connection on which the first of them left.
    fn may_answer(&self, announced: Announced) -> bool {
        self.began <= announced.written && announced.written < self.written
    }
}

impl WireLog {
    /// From here on the counter of a connection counts, which has just begun.
    pub(crate) fn follow(&mut self, counter: Arc<AtomicU64>) {
        self.settled_written = self.written();
        self.live_base = counter.load(Ordering::Relaxed);
        self.live = Some(counter);
        self.began = self.settled_written;
        self.parser = ReplyParser::new();
    }

    /// Returns the bytes that left so far.
    pub(crate) fn written(&self) -> u64 {
        let live = self
            .live
            .as_ref()
            .map_or(0, |live| live.load(Ordering::Relaxed) - self.live_base);
        self.settled_written + live
    }

    /// The connector has read these bytes.
    pub(crate) fn received(&mut self, bytes: &[u8]) {
        self.parser.push(bytes);
        while let Ok(Some(reply)) = self.parser.next_reply() {
            self.keep(&reply);
        }
    }

    fn keep(&mut self, reply: &Reply) {
        let refusal = match reply.code() {
            200..300 => None,
            400..600 => Some(normal(&reply.verbatim())),
            _ => return,
        };
        self.refusal_bytes += refusal.as_ref().map_or(0, String::len);
        self.replies.push_back(Received {
            refusal,
            began: self.began,
            written: self.written(),
        });
        while self.replies.len() > REPLIES_MAX || self.refusal_bytes > REFUSAL_BYTES_MAX {
            self.take(0);
        }
    }

    fn take(&mut self, index: usize) {
        let taken = self.replies.remove(index);
        self.refusal_bytes -= taken.and_then(|reply| reply.refusal).map_or(0, |text| text.len());
        debug_assert_eq!(
            self.refusal_bytes,
            self.replies
                .iter()
                .filter_map(|reply| reply.refusal.as_ref())
                .map(String::len)
                .sum::<usize>(),
            "the bytes of refusals are counted"
        );
    }

    /// Returns whether bytes have left since a part was announced.
    pub(super) fn wrote_since(&self, announced: Announced) -> bool {
        self.written() > announced.written
    }

    /// Returns what is known at this moment, for a part that is announced now.
    pub(super) fn now(&self) -> Announced {
        Announced {
            written: self.written(),
        }
    }

    /// Looks for a 2yz that may confirm a part, and takes the first: it confirms no other.
    pub(super) fn take_confirmation(&mut self, announced: Announced) -> bool {
        let found = self
            .replies
            .iter()
            .position(|reply| reply.refusal.is_none() && reply.may_answer(announced));
        if let Some(index) = found {
            self.take(index);
        }
        found.is_some()
    }

    /// Looks for exactly this refusal among the replies that may answer a part, and takes it unless it is a 421.
    pub(super) fn take_refusal(&mut self, evidence: &str, announced: Announced) -> bool {
        let wanted = normal(evidence);
        let found = self
            .replies
            .iter()
            .position(|reply| reply.refusal.as_ref() == Some(&wanted) && reply.may_answer(announced));
        if let Some(index) = found
            && !wanted.starts_with("421")
        {
            self.take(index);
        }
        found.is_some()
    }
}

/// A reply's text in the one form in which it is compared: without line ends, and with what a [`Reply`] shows in place of
/// control characters.
fn normal(text: &str) -> String {
    let text = text.trim_end().chars().filter(|c| !matches!(c, '\r' | '\n'));
    text.map(|c| match c {
        '\t' => ' ',
        c if c.is_control() || c == char::REPLACEMENT_CHARACTER => '?',
        c => c,
    })
    .collect()
}

/// What had left when a part was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Announced {
    written: u64,
}
