//! A parser from bytes to replies, with a limit on everything that a server could make long.
//!
//! A line ends with CRLF and with nothing else. RFC 5321, section 2.3.8, forbids recognising any other sequence. The
//! reason is safety: if a bare CR or LF ends a line for one reader and not for another, text that a server only echoes
//! (an address, a host name) can become a separate reply. So a bare CR or LF is an error, not a line end.

use std::fmt;

use memchr::memchr;

use super::Reply;

/// A buffer of received bytes from which complete replies are taken.
///
/// Add bytes with [`push`](Self::push), then take replies with [`next_reply`](Self::next_reply) until it returns none.
/// It makes no difference how the bytes are cut into pieces. After an error the parser returns the same error for ever,
/// because the start of the next reply cannot be found any more.
#[derive(Debug, Default)]
pub struct ReplyParser {
    buffer: Vec<u8>,
    /// Everything before it belongs to replies that were taken.
    start: usize,
    /// The start of the first line that is not parsed yet.
    line: usize,
    /// Everything from `line` up to here holds no LF.
    searched: usize,
    code: u16,
    lines: usize,
    failed: Option<ReplyErrorKind>,
}

impl ReplyParser {
    /// The maximum length of a line, in bytes without its CRLF. RFC 5321 promises 510. Real servers send longer lines,
    /// but none this long.
    pub const MAX_LINE: usize = 4 * 1024;
    /// The maximum number of lines in one reply.
    pub const MAX_LINES: usize = 128;
    /// The maximum number of bytes in one reply, including line ends.
    pub const MAX_REPLY: usize = 64 * 1024;

    /// Creates a parser at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the bytes that were received.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if self.start == self.buffer.len() {
            self.clear();
        } else if self.start > Self::MAX_REPLY {
            self.buffer.drain(..self.start);
            self.line -= self.start;
            self.searched -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next complete reply, or none while it is incomplete.
    ///
    /// # Errors
    /// When the bytes are not a reply, or the reply is beyond the limits.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, ReplyError> {
        match self.failed {
            Some(kind) => Err(ReplyError { kind }),
            None => self.advance().map_err(|kind| {
                self.clear();
                self.failed = Some(kind);
                ReplyError { kind }
            }),
        }
    }

    /// Checks whether every received byte belongs to a reply that was already taken.
    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    fn clear(&mut self) {
        self.buffer.clear();
        (self.start, self.line, self.searched, self.lines) = (0, 0, 0, 0);
    }

    fn advance(&mut self) -> Result<Option<Reply>, ReplyErrorKind> {
        loop {
            let Some(found) = memchr(b'\n', &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                // What cannot become a reply is refused as soon as that is sure, not at its line end.
                return check_start(&self.buffer[self.line..]).map(|()| None);
            };
            let end = self.searched + found;
            let last = self.take_line(end)?;
            (self.line, self.searched) = (end + 1, end + 1);
            if last {
                let reply = self.assemble();
                (self.start, self.lines) = (self.line, 0);
                return Ok(Some(reply));
            }
        }
    }

    /// Checks the line that ends with the LF at `end`; true when it is the last one of its reply.
    fn take_line(&mut self, end: usize) -> Result<bool, ReplyErrorKind> {
        let line = &self.buffer[self.line..end];
        check_start(line)?;
        let Some((b'\r', line)) = line.split_last() else {
            return Err(ReplyErrorKind::BareLineEnd);
        };
        if memchr(b'\r', line).is_some() {
            return Err(ReplyErrorKind::BareLineEnd);
        }
        let &[a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', ref rest @ ..] = line else {
            return Err(ReplyErrorKind::Malformed);
        };
        let last = match rest {
            [] | [b' ', ..] => true,
            [b'-', ..] => false,
            _ => return Err(ReplyErrorKind::Malformed),
        };
        let code = [a, b, c]
            .iter()
            .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        if self.lines > 0 && code != self.code {
            return Err(ReplyErrorKind::MixedCodes);
        }
        self.code = code;
        self.lines += 1;
        if self.lines > Self::MAX_LINES {
            return Err(ReplyErrorKind::TooManyLines);
        }
        if end + 1 - self.start > Self::MAX_REPLY {
            return Err(ReplyErrorKind::TooLong);
        }
        Ok(last)
    }

    /// The reply between `start` and `line`, whose lines were all checked.
    fn assemble(&self) -> Reply {
        let raw = &self.buffer[self.start..self.line];
        let mut text = String::with_capacity(raw.len());
        for (index, line) in raw.split(|&b| b == b'\n').take(self.lines).enumerate() {
            if index > 0 {
                text.push('\n');
            }
            // Without `250-` or `250 ` in front and the CR behind.
            push_text(&mut text, line.get(4..line.len().saturating_sub(1)).unwrap_or_default());
        }
        Reply::new(self.code, text)
    }
}

/// What can be said of a line, CR included, before its LF has come.
fn check_start(line: &[u8]) -> Result<(), ReplyErrorKind> {
    match line {
        [first, ..] if !(b'2'..=b'5').contains(first) => Err(ReplyErrorKind::Malformed),
        _ if line.len() > ReplyParser::MAX_LINE + 1 => Err(ReplyErrorKind::LineTooLong),
        _ => Ok(()),
    }
}

/// Reads a reply that a person pasted or that another program handed over: line ends of any kind, blank lines and
/// blanks around lines do not matter, and the last line end may be missing.
///
/// # Errors
/// When the text is not exactly one reply, or one beyond the bounds of [`ReplyParser`].
pub fn parse_reply(text: &str) -> Result<Reply, ReplyError> {
    let mut parser = ReplyParser::new();
    for line in text.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty()) {
        if line.len() > ReplyParser::MAX_LINE {
            return Err(ReplyError {
                kind: ReplyErrorKind::LineTooLong,
            });
        }
        parser.push(line.as_bytes());
        parser.push(b"\r\n");
    }
    match parser.next_reply()? {
        Some(reply) if parser.is_empty() => Ok(reply),
        _ => Err(ReplyError {
            kind: ReplyErrorKind::Malformed,
        }),
    }
}

/// Appends text as UTF-8 and without control characters, so that no reply can write to a terminal or forge a line.
///
/// What stands for them is one octet long. Unicode's own replacement character takes three, and a reply within the
/// bounds would come out of here as one beyond them, which [`parse_reply`] on the other side of the sandbox refuses.
fn push_text(out: &mut String, bytes: &[u8]) {
    // Most replies are printable ASCII.
    if bytes.iter().fold(true, |all, octet| all & matches!(octet, b' '..=b'~'))
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return out.push_str(text);
    }
    let text = String::from_utf8_lossy(bytes);
    out.extend(text.chars().map(|c| match c {
        '\t' => ' ',
        c if c.is_control() || c == char::REPLACEMENT_CHARACTER => '?',
        c => c,
    }));
}

/// Why bytes are not a reply. The connection that brought them cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyError {
    kind: ReplyErrorKind,
}

impl ReplyError {
    /// Returns what is wrong, for programs.
    pub fn kind(self) -> ReplyErrorKind {
        self.kind
    }
}

/// What is wrong with bytes that should be a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyErrorKind {
    /// No code of three digits from 200 to 599, or something other than a blank or a hyphen after it.
    Malformed,
    /// A CR without LF, or an LF without CR.
    BareLineEnd,
    /// Lines of one reply with different codes.
    MixedCodes,
    /// A line beyond [`ReplyParser::MAX_LINE`].
    LineTooLong,
    /// More than [`ReplyParser::MAX_LINES`] lines.
    TooManyLines,
    /// More than [`ReplyParser::MAX_REPLY`] bytes.
    TooLong,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ReplyErrorKind::Malformed => f.write_str("the server sent something that is not an SMTP reply"),
            ReplyErrorKind::BareLineEnd => f.write_str("the server sent a reply line that does not end with CR LF"),
            ReplyErrorKind::MixedCodes => f.write_str("the server sent one reply with several codes"),
            ReplyErrorKind::LineTooLong => {
                write!(
                    f,
                    "the server sent a reply line of more than {} bytes",
                    ReplyParser::MAX_LINE
                )
            }
            ReplyErrorKind::TooManyLines => {
                write!(
                    f,
                    "the server sent a reply of more than {} lines",
                    ReplyParser::MAX_LINES
                )
            }
            ReplyErrorKind::TooLong => {
                write!(
                    f,
                    "the server sent a reply of more than {} bytes",
                    ReplyParser::MAX_REPLY
                )
            }
        }
    }
}

impl std::error::Error for ReplyError {}
