//! Whether every command has its reply: how much each side has said, without its meaning.
//!
//! When a reply is still to come, the next user of the connection would read it as the reply to something else. So
//! lines that leave and replies that arrive are counted. After a `354` there is content up to its dot (RFC 5321,
//! section 4.1.1.4), and after BDAT as many octets as it states (RFC 3030). When a connector does not keep this order,
//! nothing is known about the connection, and it is closed.

/// The longest beginning of a line that is looked at: a verb and a length.
const LINE_BYTES_MAX: usize = 64;

/// The commands and replies of one connection.
#[derive(Debug)]
pub(crate) struct ReplyCount {
    /// Replies that are still to come.
    outstanding: u64,
    mode: Mode,
    /// The beginning of the line that is being written.
    line: Vec<u8>,
    /// DATA has left, and what it was answered with has not come.
    asked_for_content: bool,
    /// The end of what was written, to find the end of content by.
    tail: [u8; 5],
    /// A write that has not come to its end.
    is_writing: bool,
    is_lost: bool,
    reading: Reading,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Commands,
    /// Up to the dot.
    Content,
    /// So many octets more.
    Chunk(u64),
}

/// Where in a reply's line the next octet is.
#[derive(Debug, Default)]
struct Reading {
    column: usize,
    code: u16,
    is_last: bool,
}

impl ReplyCount {
    /// Of a connection whose server speaks first.
    pub(crate) fn new() -> Self {
        Self {
            outstanding: 1,
            mode: Mode::Commands,
            line: Vec::new(),
            asked_for_content: false,
            tail: [0; 5],
            is_writing: false,
            is_lost: false,
            reading: Reading::default(),
        }
    }

    /// Bytes are about to leave.
    pub(crate) fn writing(&mut self, bytes: &[u8]) {
        self.is_lost |= self.is_writing;
        self.is_writing = true;
        let mut rest = bytes;
        while let Some((first, after)) = rest.split_first() {
            match self.mode {
                Mode::Chunk(left) => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    rest = &rest[taken..];
                    let left = left - taken as u64;
                    self.mode = if left == 0 { Mode::Commands } else { Mode::Chunk(left) };
                }
                Mode::Content => rest = self.content(rest),
                Mode::Commands => {
                    // What is said before it is known whether content is asked for can be either.
                    self.is_lost |= self.asked_for_content;
                    if *first == b'\n' {
                        self.command();
                    } else if self.line.len() < LINE_BYTES_MAX {
                        self.line.push(*first);
                    }
                    rest = after;
                }
            }
        }
    }

    /// Content is about to leave. Returns what follows its end.
    fn content<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let end = memchr::memchr_iter(b'\n', bytes).find(|at| ends_content(self.tail, &bytes[..=*at]));
        let (content, rest) = bytes.split_at(end.map_or(bytes.len(), |at| at + 1));
        self.tail = last_octets(self.tail, content);
        if end.is_some() {
            self.mode = Mode::Commands;
            self.outstanding += 1;
        }
        rest
    }

    /// They have left.
    pub(crate) fn written(&mut self) {
        self.is_writing = false;
    }

    /// A command line has ended.
    fn command(&mut self) {
        self.outstanding += 1;
        let line = std::mem::take(&mut self.line);
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let verb = words.next().unwrap_or_default();
        if verb.eq_ignore_ascii_case(b"DATA") {
            self.asked_for_content = true;
        } else if verb.eq_ignore_ascii_case(b"BDAT") {
            let length = words
                .next()
                .and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
            match length {
                Some(0) => {}
                Some(length) => self.mode = Mode::Chunk(length),
                None => self.is_lost = true,
            }
        }
    }

    /// The connector has read these bytes.
    pub(crate) fn received(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let reading = &mut self.reading;
            match (reading.column, byte) {
                (_, b'\n') => {
                    let (code, is_reply) = (reading.code, reading.column >= 3);
                    let is_last = reading.is_last || reading.column == 3;
                    *reading = Reading::default();
                    self.is_lost |= !is_reply;
                    if is_reply && is_last {
                        self.reply(code);
                    }
                }
                (_, b'\r') => {}
                (0..3, b'0'..=b'9') => {
                    reading.code = reading.code * 10 + u16::from(byte - b'0');
                    reading.column += 1;
                }
                (0..3, _) => {
                    self.is_lost = true;
                    reading.column = 4;
                }
                (3, mark) => {
                    reading.is_last = *mark != b'-';
                    reading.column += 1;
                }
                _ => {}
            }
        }
    }

    fn reply(&mut self, code: u16) {
        match self.outstanding.checked_sub(1) {
            Some(left) => self.outstanding = left,
            None => self.is_lost = true,
        }
        // DATA is the last command of its group (RFC 2920, section 3.1), so its reply is the last one.
        if self.asked_for_content && self.outstanding == 0 {
            self.asked_for_content = false;
            if code == 354 {
                self.mode = Mode::Content;
                self.tail = *b"\0\0\0\r\n";
            }
        }
    }

    /// Returns whether every line was whole and has its reply.
    pub(crate) fn is_even(&self) -> bool {
        !self.is_lost
            && !self.is_writing
            && self.outstanding == 0
            && self.mode == Mode::Commands
            && self.line.is_empty()
            && self.reading.column == 0
    }
}

/// Returns the last octets of what was written, `tail` before `bytes`.
fn last_octets(mut tail: [u8; 5], bytes: &[u8]) -> [u8; 5] {
    let new = &bytes[bytes.len().saturating_sub(tail.len())..];
    tail.rotate_left(new.len());
    let old = tail.len() - new.len();
    tail[old..].copy_from_slice(new);
    tail
}

/// Returns whether content ends with these bytes, `tail` being what was written before.
fn ends_content(tail: [u8; 5], bytes: &[u8]) -> bool {
    last_octets(tail, bytes) == *b"\r\n.\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left after this dialogue: `C` writes, `S` is read.
    fn is_even_after(dialogue: &[(char, &str)]) -> bool {
        let mut count = ReplyCount::new();
        count.received(b"220 hello\r\n");
        for (side, bytes) in dialogue {
            match side {
                'C' => {
                    count.writing(bytes.as_bytes());
                    count.written();
                }
                _ => count.received(bytes.as_bytes()),
            }
        }
        count.is_even()
    }

    const SENT: [(char, &str); 4] = [
        ('C', "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"),
        ('S', "250 x\r\n250-y\r\n250 y\r\n354 go\r\n"),
        ('C', "Subject: x\r\n\r\n..\r\n.\r\nMAIL FROM:<a@b>\r\n"),
        ('S', "250 taken\r\n250 x\r\n"),
    ];

    #[test]
    fn what_is_answered_is_even() {
        assert!(is_even_after(&[]));
        assert!(is_even_after(&SENT));
        assert!(is_even_after(&[
            ('C', "BDAT 5\r\nMAIL\nBDAT 2 LAST\r\n\r\n"),
            ('S', "250 x\r\n250 y\r\n")
        ]));
        assert!(is_even_after(&[
            ('C', "BDAT 0 LAST\r\nNOOP\r\n"),
            ('S', "250 x\r\n250\r\n")
        ]));
        assert!(is_even_after(&[
            ('C', "DATA\r\n"),
            ('S', "503 no\r\n"),
            ('C', "RSET\r\n"),
            ('S', "250 x\r\n")
        ]));
        assert!(is_even_after(&[
            ('C', "DATA\r\n"),
            ('S', "354 go\r\n"),
            ('C', ".\r\n"),
            ('S', "250 x\r\n")
        ]));
    }

    #[test]
    fn the_end_of_content_is_found_however_it_is_cut() {
        let content = "a\r\n..\r\n.b\r\n\n.\r\n.\n.\r\n\r\n.\r\nNOOP\r\n";
        for first in 0..=content.len() {
            for second in first..=content.len() {
                let pieces = [&content[..first], &content[first..second], &content[second..]];
                let mut dialogue = vec![('C', "DATA\r\n"), ('S', "354 go\r\n")];
                dialogue.extend(pieces.map(|piece| ('C', piece)));
                dialogue.push(('S', "250 taken\r\n250 x\r\n"));
                assert!(is_even_after(&dialogue), "{pieces:?}");
            }
        }
    }

    #[test]
    fn whatever_is_open_is_not() {
        let flood = "NOOP\r\n".repeat(200);
        for dialogue in [
            vec![('C', "NOOP\r\n")],
            vec![('C', "NOOP")],
            vec![('C', flood.as_str()), ('S', "250 x\r\n")],
            vec![('C', "NOOP\r\n"), ('S', "250-x\r\n")],
            vec![('C', "NOOP\r\n"), ('S', "250 x")],
            vec![('S', "421 going\r\n")],
            vec![('C', "NOOP\r\n"), ('S', "hello\r\n")],
            vec![('C', "DATA\r\n"), ('S', "354 go\r\n")],
            vec![('C', "DATA\r\n"), ('S', "354 go\r\n"), ('C', "x.\r\n")],
            // What is content here, and what a command, hangs on a reply that has not come.
            vec![('C', "DATA\r\nNOOP\r\n"), ('S', "354 go\r\n250 x\r\n")],
            vec![('C', "BDAT 5\r\nab"), ('S', "250 x\r\n")],
            vec![('C', "BDAT five\r\n"), ('S', "501 x\r\n")],
        ] {
            assert!(!is_even_after(&dialogue), "{dialogue:?}");
        }
        let mut count = ReplyCount::new();
        assert!(!count.is_even(), "the greeting is to come");
        count.received(b"220 x\r\n");
        count.writing(b"NOOP\r\n");
        // The write was given up.
        count.received(b"250 x\r\n");
        assert!(!count.is_even());
    }
}
