//! What waits to go out, in its order: bytes, and the points at which the shell has something to do first.

use std::collections::VecDeque;
use std::time::Duration;

/// Something that the shell must do before the session goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Perform the TLS handshake, then call [`Session::handle_tls`](super::Session::handle_tls).
    StartTls,
    /// Wait, then call [`Session::handle_wait_over`](super::Session::handle_wait_over).
    Wait(Wait),
    /// Close the connection; nothing follows.
    Close {
        /// Whether it is dropped without a farewell, in TLS without `close_notify`.
        abrupt: bool,
    },
}

/// What the script wants to be waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// So much time.
    For(Duration),
    /// Until somebody says this name.
    Until(String),
}

/// The largest piece that is handed out at once, in bytes.
const PIECE: usize = 64 * 1024;

#[derive(Debug)]
enum Item {
    Bytes(Vec<u8>),
    /// A pattern, the place in it, and how much of it is left (`None`: no end).
    Flood {
        pattern: Vec<u8>,
        offset: usize,
        left: Option<u64>,
    },
    /// What follows leaves in a write of its own.
    Break,
    Signal(Signal),
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    /// Waits that are queued or running.
    waits: usize,
    /// A wait was handed out and is not over.
    waiting: bool,
    /// A close is queued, so nothing more is taken in.
    closing: bool,
    sent: u64,
    /// After how many bytes in all the connection is dropped.
    cut: Option<u64>,
}

impl Queue {
    pub(super) fn new(cut: Option<u64>) -> Self {
        let mut queue = Self { cut, ..Self::default() };
        queue.cut_if_due();
        queue
    }

    pub(super) fn bytes(&mut self, bytes: Vec<u8>) {
        if !self.closing && !bytes.is_empty() {
            self.items.push_back(Item::Bytes(bytes));
        }
    }

    pub(super) fn flood(&mut self, pattern: Vec<u8>, left: Option<u64>) {
        if !self.closing && !pattern.is_empty() {
            self.items.push_back(Item::Flood {
                pattern,
                offset: 0,
                left,
            });
        }
    }

    pub(super) fn separate(&mut self) {
        if !self.closing {
            self.items.push_back(Item::Break);
        }
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        if self.closing {
            return;
        }
        match signal {
            Signal::Wait(_) => self.waits += 1,
            Signal::Close { .. } => self.closing = true,
            Signal::StartTls => {}
        }
        self.items.push_back(Item::Signal(signal));
    }

    /// Whether the server has stopped reading commands: it waits, or it is about to close.
    pub(super) fn is_blocked(&self) -> bool {
        self.waits > 0 || self.closing
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    pub(super) fn wait_over(&mut self) {
        if std::mem::take(&mut self.waiting) {
            self.waits -= 1;
        }
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        if self.waiting {
            return None;
        }
        let mut out = Vec::new();
        while out.len() < PIECE {
            match self.items.front_mut() {
                Some(Item::Bytes(bytes)) => {
                    out.append(bytes);
                    self.items.pop_front();
                }
                Some(Item::Flood { pattern, offset, left }) => {
                    let room = PIECE - out.len();
                    let count = left.map_or(room, |left| usize::try_from(left).unwrap_or(room).min(room));
                    out.extend(pattern.iter().cycle().skip(*offset).take(count));
                    *offset = (*offset + count) % pattern.len();
                    if let Some(left) = left {
                        *left -= count as u64;
                        if *left == 0 {
                            self.items.pop_front();
                        }
                    }
                }
                Some(Item::Break) => {
                    self.items.pop_front();
                    if !out.is_empty() {
                        break;
                    }
                }
                Some(Item::Signal(_)) | None => break,
            }
        }
        if let Some(cut) = self.cut {
            let room = usize::try_from(cut - self.sent).unwrap_or(usize::MAX);
            out.truncate(room);
        }
        self.sent += out.len() as u64;
        self.cut_if_due();
        (!out.is_empty()).then_some(out)
    }

    pub(super) fn poll_signal(&mut self) -> Option<Signal> {
        if self.waiting {
            return None;
        }
        // A break separates writes; before a signal it has nothing to separate.
        while matches!(self.items.front(), Some(Item::Break)) {
            self.items.pop_front();
        }
        match self.items.pop_front() {
            Some(Item::Signal(signal)) => {
                self.waiting = matches!(signal, Signal::Wait(_));
                Some(signal)
            }
            Some(other) => {
                self.items.push_front(other);
                None
            }
            None => None,
        }
    }

    fn cut_if_due(&mut self) {
        if self.cut.is_some_and(|cut| self.sent >= cut) {
            self.cut = None;
            self.items.clear();
            self.items.push_back(Item::Signal(Signal::Close { abrupt: true }));
            self.closing = true;
        }
    }
}
