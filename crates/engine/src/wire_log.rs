//! Records what an instance's connections carried: how many bytes left, how many messages ended in them, and which
//! replies the connector has read since.
//!
//! A confirmation is a 2yz reply to the end of a message's content that left after the part was announced. A refusal is
//! a 4yz or 5yz reply that was read after bytes of the part left, on the connection on which the first of them left. A
//! reply is evidence only once: it proves one confirmation or one refusal. The exception is a 421, which closes the
//! session and so applies to everything in it that has no reply (RFC 5321, section 3.8).
//!
//! Whatever is evidence of what, no more messages are sent than parts are recorded as sent or uncertain: the end of a
//! message leaves only while a part is announced for it, and a refusal is believed only while enough other parts are
//! left for all the messages that the server has taken or may take.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pipepost_net::{Answers, Connection};
use pipepost_smtp::{Reply, ReplyParser};

/// Replies that are kept to look for evidence in; the oldest go first.
const REPLIES_MAX: usize = 16 * 1024;

/// Bytes of refusals that are kept; the oldest go first. One reply has at most 64 KiB.
pub(super) const REFUSAL_BYTES_MAX: usize = 256 * 1024;

/// A count that a connection keeps of itself, over all connections of an instance.
#[derive(Debug, Default)]
struct Counter {
    /// Of connections that are gone.
    gone: u64,
    /// Of the live connection.
    live: Option<Arc<AtomicU64>>,
    live_base: u64,
}

impl Counter {
    fn follow(&mut self, live: Arc<AtomicU64>) {
        self.gone = self.total();
        self.live_base = live.load(Ordering::Relaxed);
        self.live = Some(live);
    }

    /// What the live connection carries from here on is somebody else's.
    fn leave(&mut self) {
        self.gone = self.total();
        self.live = None;
    }

    fn total(&self) -> u64 {
        let live = self.live.as_ref();
        self.gone + live.map_or(0, |live| live.load(Ordering::Relaxed) - self.live_base)
    }
}

/// The bytes, messages and replies of an instance's connections.
#[derive(Debug, Default)]
pub(crate) struct WireLog {
    bytes: Counter,
    /// Messages whose content left to its end.
    messages: Counter,
    /// Bytes written when the live connection began.
    began: u64,
    /// Messages whose end is answered, or was on a connection that is gone: the next reply to the end of a message
    /// answers the one with this number.
    answered: u64,
    /// Messages that a server has refused.
    refused: u64,
    /// Messages that a part was confirmed by.
    confirmed: u64,
    /// Of what the live connection brings. After something that is not a reply, nothing more is evidence.
    parser: ReplyParser,
    /// Replies and what they answer did not agree: nothing more is evidence on this connection.
    is_lost: bool,
    /// Replies that were read and prove nothing yet.
    replies: VecDeque<Received>,
    refusal_bytes: usize,
}

/// A reply that was read.
#[derive(Debug)]
struct Received {
    /// A refusal as it came, to compare with; none for a 2yz.
    refusal: Option<String>,
    /// The number of the message whose end it answers; none for a reply to a command.
    message: Option<u64>,
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

    /// Whether it takes a message whose end left after a part was announced.
    fn may_confirm(&self, announced: Announced) -> bool {
        self.refusal.is_none() && self.message.is_some_and(|message| message >= announced.messages)
    }
}

impl WireLog {
    /// From here on this connection counts, which has just begun, in clear or under TLS.
    pub(crate) fn follow(&mut self, connection: &Connection) {
        self.follow_counters(connection.written_counter(), connection.messages_counter());
    }

    pub(super) fn follow_counters(&mut self, bytes: Arc<AtomicU64>, messages: Arc<AtomicU64>) {
        self.bytes.follow(bytes);
        self.messages.follow(messages);
        self.began = self.bytes.total();
        // Nobody will hear how those ended that have no answer yet.
        self.answered = self.messages.total();
        self.parser = ReplyParser::new();
        self.is_lost = false;
    }

    /// The connection is given back: whoever gets it next writes for messages of its own.
    pub(crate) fn leave(&mut self) {
        self.bytes.leave();
        self.messages.leave();
    }

    /// The connector has read these bytes, and with them the ends of replies that answer this.
    pub(crate) fn received(&mut self, bytes: &[u8], answers: &[Answers]) {
        self.parser.push(bytes);
        let mut answers = answers.iter();
        while let Ok(Some(reply)) = self.parser.next_reply() {
            match answers.next() {
                Some(answers) if !self.is_lost => self.keep(&reply, *answers),
                _ => self.is_lost = true,
            }
        }
        self.is_lost |= answers.next().is_some();
    }

    fn keep(&mut self, reply: &Reply, answers: Answers) {
        let ends_session = reply.code() == 421;
        let message = (answers == Answers::Content && self.answered < self.messages.total()).then(|| {
            self.answered += 1;
            self.answered - 1
        });
        let refusal = match reply.code() {
            200..300 => None,
            400..600 => Some(normal(&reply.verbatim())),
            _ => return,
        };
        self.refused += u64::from(message.is_some() && refusal.is_some());
        if ends_session {
            // The server has taken none of those that have no reply.
            self.refused += self.messages.total() - self.answered;
            self.answered = self.messages.total();
        }
        self.refusal_bytes += refusal.as_ref().map_or(0, String::len);
        self.replies.push_back(Received {
            refusal,
            message,
            began: self.began,
            written: self.bytes.total(),
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
        self.bytes.total() > announced.written
    }

    /// Returns what is known at this moment, for a part that is announced now.
    pub(super) fn now(&self) -> Announced {
        Announced {
            written: self.bytes.total(),
            messages: self.messages.total(),
        }
    }

    /// Returns how many messages a server has taken, or may have taken, that no part was confirmed by.
    pub(super) fn unclaimed(&self) -> u64 {
        let unclaimed = self.messages.total().checked_sub(self.refused + self.confirmed);
        debug_assert!(unclaimed.is_some(), "a message is refused or confirmed once");
        unclaimed.unwrap_or_default()
    }

    /// Looks for a reply that takes a message of a part, and takes the first: it confirms no other.
    pub(super) fn take_confirmation(&mut self, announced: Announced) -> bool {
        let found = self.replies.iter().position(|reply| reply.may_confirm(announced));
        if let Some(index) = found {
            self.take(index);
            self.confirmed += 1;
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
    messages: u64,
}
