//! Follows the dialogue as far as it shows which replies are still to come, what each of them answers, and where the
//! content of a message ends.
//!
//! When a reply is still to come, the next user of the connection would read it as the reply to something else. And a
//! message may be sent only by a part that was announced, and confirmed only by the reply to the end of its content. So
//! the host has to know which octets are commands and which are content. After a `354` there is content up to its dot
//! (RFC 5321, section 4.1.1.4), and after BDAT as many octets as it states (RFC 3030). What a server could read in
//! another way than the host does not leave: a line end that is not CRLF, a command that is not known here, anything
//! between DATA and its reply, and BDAT where the server did not offer it.

use std::collections::VecDeque;

/// The longest command line. One with the parameters of every extension that is used here has less than half of it.
const COMMAND_BYTES_MAX: usize = 2048;

/// How much of a command line is looked at: a verb and a length.
const COMMAND_BYTES_KEPT: usize = 64;

/// Replies that may be to come at one time. Nobody asks for so many before reading one.
const OUTSTANDING_MAX: usize = 64 * 1024;

const BARE_LINE_END: &str = "a line ends with CR and LF, and neither is used in another way";

/// What a reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// The end of a message's content: with this reply the server takes the message or refuses it (RFC 5321, section
    /// 4.2.5).
    Content,
    /// The greeting that was waited for, or a command.
    Command,
}

/// The reason why bytes may not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfOrder {
    /// The connector keeps to no order that the host can follow: a clause.
    Connector(&'static str),
    /// The server does not, so that its next reply may answer anything.
    Server,
}

/// The commands and replies of one connection.
#[derive(Debug)]
pub struct ReplyCount {
    /// What is not answered yet, in order.
    asked: VecDeque<Asked>,
    answers: Vec<Answers>,
    mode: Mode,
    /// The beginning of the line that is being written, and its length.
    line: Vec<u8>,
    line_bytes: usize,
    ends_in_cr: bool,
    /// DATA has left, and what it was answered with has not come.
    asked_for_content: bool,
    /// Recipients that the server has accepted for the transaction. Without one there is nobody to take a message.
    recipients: u32,
    offers_chunking: bool,
    /// A write that has not come to its end.
    is_writing: bool,
    /// The order is lost: nothing more is known.
    is_lost: bool,
    reading: Reading,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Greeting,
    Ehlo,
    Mail,
    Recipient,
    Reset,
    StartTls,
    Data,
    Content,
    /// The dot of a message that has no recipient.
    NoContent,
    Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Commands,
    /// Up to the dot.
    Content {
        at: At,
        has_recipients: bool,
    },
    /// So many octets more.
    Chunk {
        left: u64,
        is_last: bool,
    },
}

/// Where in content the next octet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    Dot,
    /// Behind the CR of the dot's line.
    DotCr,
    Line,
    Cr,
}

/// Where in a reply's line the next octet is.
#[derive(Debug, Default)]
struct Reading {
    column: usize,
    code: u16,
    is_last: bool,
    /// The beginning of its text.
    keyword: Vec<u8>,
    /// A line of this reply offers CHUNKING.
    offers_chunking: bool,
}

const CHUNKING: &[u8] = b"CHUNKING";

impl Default for ReplyCount {
    fn default() -> Self {
        Self::new()
    }
}

impl ReplyCount {
    /// Begins the count of a connection on which the server speaks first.
    pub fn new() -> Self {
        Self {
            asked: VecDeque::from([Asked::Greeting]),
            answers: Vec::new(),
            mode: Mode::Commands,
            line: Vec::new(),
            line_bytes: 0,
            ends_in_cr: false,
            asked_for_content: false,
            recipients: 0,
            offers_chunking: false,
            is_writing: false,
            is_lost: false,
            reading: Reading::default(),
        }
    }

    /// Notes that bytes are about to leave. Returns how many messages end in them.
    ///
    /// # Errors
    /// Fails when they may not leave: the connection is of no more use then.
    pub fn writing(&mut self, bytes: &[u8]) -> Result<u32, OutOfOrder> {
        if self.is_lost && !bytes.eq_ignore_ascii_case(b"QUIT\r\n") {
            return Err(OutOfOrder::Server);
        }
        let ended = if self.is_writing {
            Err("an earlier write did not come to its end")
        } else {
            self.follow(bytes)
        };
        self.is_writing = true;
        ended.map_err(|reason| {
            self.is_lost = true;
            OutOfOrder::Connector(reason)
        })
    }

    /// Notes that they have left.
    pub fn written(&mut self) {
        self.is_writing = false;
    }

    fn follow(&mut self, bytes: &[u8]) -> Result<u32, &'static str> {
        let mut ended = 0;
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.mode {
                Mode::Chunk { left, is_last } => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    rest = &rest[taken..];
                    let left = left - taken as u64;
                    self.mode = Mode::Chunk { left, is_last };
                    if left == 0 {
                        ended += self.chunk_ended(is_last)?;
                    }
                }
                Mode::Content { at, has_recipients } => {
                    let (at, after) = next_in_content(at, rest)?;
                    rest = after;
                    self.mode = match at {
                        Some(at) => Mode::Content { at, has_recipients },
                        None => Mode::Commands,
                    };
                    if at.is_none() {
                        ended += u32::from(has_recipients);
                        self.ask(if has_recipients {
                            Asked::Content
                        } else {
                            Asked::NoContent
                        })?;
                    }
                }
                Mode::Commands => {
                    // It can be content or a command, as the server likes.
                    if self.asked_for_content {
                        return Err("nothing may leave between DATA and its reply");
                    }
                    let text = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                    let (text, after) = rest.split_at(text);
                    self.command_text(text)?;
                    rest = after;
                    if let Some((end, after)) = after.split_first() {
                        rest = after;
                        ended += self.command_end(*end)?;
                    }
                }
            }
        }
        Ok(ended)
    }

    /// Octets of a command line that end none.
    fn command_text(&mut self, text: &[u8]) -> Result<(), &'static str> {
        if text.is_empty() {
            return Ok(());
        }
        if self.ends_in_cr {
            return Err(BARE_LINE_END);
        }
        self.line_bytes += text.len();
        if self.line_bytes > COMMAND_BYTES_MAX {
            return Err("a command line is longer than a server has to read");
        }
        let kept = COMMAND_BYTES_KEPT.saturating_sub(self.line.len()).min(text.len());
        self.line.extend_from_slice(&text[..kept]);
        Ok(())
    }

    /// CR or LF of a command line.
    fn command_end(&mut self, octet: u8) -> Result<u32, &'static str> {
        match (octet, std::mem::replace(&mut self.ends_in_cr, octet == b'\r')) {
            (b'\n', true) => self.command(),
            (b'\r', false) => Ok(0),
            _ => Err(BARE_LINE_END),
        }
    }

    /// A command line has ended. Returns whether a message has: with BDAT and without octets.
    fn command(&mut self) -> Result<u32, &'static str> {
        let is_long = std::mem::take(&mut self.line_bytes) > COMMAND_BYTES_KEPT;
        let line = std::mem::take(&mut self.line);
        let mut words = line.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
        let verb = words.next().unwrap_or_default().to_ascii_uppercase();
        let asked = match verb.as_slice() {
            b"DATA" => Asked::Data,
            b"BDAT" => {
                let length = words.next().and_then(octets);
                let is_last = match words.next() {
                    None => Some(false),
                    Some(word) => word.eq_ignore_ascii_case(b"LAST").then_some(true),
                };
                let (Some(left), Some(is_last), None, false) = (length, is_last, words.next(), is_long) else {
                    return Err("BDAT is followed by a number of octets, and by LAST or nothing");
                };
                if !self.offers_chunking {
                    return Err("the server did not offer CHUNKING in its last reply to EHLO");
                }
                self.mode = Mode::Chunk { left, is_last };
                return if left == 0 { self.chunk_ended(is_last) } else { Ok(0) };
            }
            b"EHLO" | b"HELO" => Asked::Ehlo,
            b"RSET" => Asked::Reset,
            b"STARTTLS" => Asked::StartTls,
            b"MAIL" => Asked::Mail,
            b"RCPT" => Asked::Recipient,
            b"NOOP" | b"QUIT" | b"VRFY" | b"EXPN" | b"HELP" => Asked::Command,
            _ => return Err("only the commands of RFC 5321, STARTTLS and BDAT may leave"),
        };
        self.asked_for_content = asked == Asked::Data;
        self.ask(asked)?;
        Ok(0)
    }

    fn chunk_ended(&mut self, is_last: bool) -> Result<u32, &'static str> {
        self.mode = Mode::Commands;
        self.ask(if is_last { Asked::Content } else { Asked::Command })?;
        Ok(u32::from(is_last))
    }

    fn ask(&mut self, asked: Asked) -> Result<(), &'static str> {
        if self.asked.len() >= OUTSTANDING_MAX {
            return Err("too many commands wait for their replies");
        }
        self.asked.push_back(asked);
        Ok(())
    }

    /// Notes that these bytes were read.
    pub fn received(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let reading = &mut self.reading;
            match (reading.column, byte) {
                (_, b'\n') => self.line_was_read(),
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
                (_, byte) => {
                    if reading.keyword.len() <= CHUNKING.len() {
                        reading.keyword.push(*byte);
                    }
                }
            }
        }
    }

    fn line_was_read(&mut self) {
        let reading = std::mem::take(&mut self.reading);
        let is_last = reading.is_last || reading.column == 3;
        let offers_chunking = reading.offers_chunking || reading.keyword.eq_ignore_ascii_case(CHUNKING);
        self.is_lost |= reading.column < 3;
        if reading.column >= 3 && is_last {
            self.reply(reading.code, offers_chunking);
        } else {
            self.reading.offers_chunking = offers_chunking;
        }
    }

    fn reply(&mut self, code: u16, offers_chunking: bool) {
        let Some(asked) = self.asked.pop_front() else {
            self.is_lost = true;
            return;
        };
        let is_positive = (200..300).contains(&code);
        self.answers.push(match asked {
            Asked::Content => Answers::Content,
            _ => Answers::Command,
        });
        match asked {
            Asked::Ehlo => self.offers_chunking = is_positive && offers_chunking,
            // What was offered before TLS is forgotten (RFC 3207, section 4.2).
            Asked::StartTls if is_positive => self.offers_chunking = false,
            Asked::Recipient if is_positive => self.recipients = self.recipients.saturating_add(1),
            _ => {}
        }
        // What was refused may have left the transaction as it was.
        if is_positive
            && matches!(
                asked,
                Asked::Ehlo | Asked::Reset | Asked::StartTls | Asked::Mail | Asked::Content
            )
        {
            self.recipients = 0;
        }
        // DATA is the last command of its group (RFC 2920, section 3.1), so its reply is the last one.
        if asked == Asked::Data {
            self.asked_for_content = false;
            if code == 354 {
                self.mode = Mode::Content {
                    at: At::LineStart,
                    has_recipients: self.recipients > 0,
                };
            }
        }
    }

    /// Returns what the replies answer that were read since this was called, in their order.
    pub fn take_answers(&mut self) -> Vec<Answers> {
        std::mem::take(&mut self.answers)
    }

    /// Returns whether every line was whole and has its reply.
    pub fn is_even(&self) -> bool {
        !self.is_lost
            && !self.is_writing
            && self.asked.is_empty()
            && self.mode == Mode::Commands
            && self.line_bytes == 0
            && !self.ends_in_cr
            && self.reading.column == 0
    }
}

/// Goes on in content: to the next octet that means something, or over one. Without a place the content has ended.
fn next_in_content(at: At, rest: &[u8]) -> Result<(Option<At>, &[u8]), &'static str> {
    if at == At::Line {
        let end = end_of_plain_lines(rest);
        if end > 0 {
            return Ok((Some(At::Line), &rest[end..]));
        }
    }
    let (first, after) = rest.split_at(1);
    let next = match (at, first[0]) {
        (At::DotCr, b'\n') => None,
        (At::Cr, b'\n') => Some(At::LineStart),
        (At::DotCr | At::Cr, _) | (_, b'\n') => {
            return Err("in content a line ends with CR and LF, and neither is used in another way");
        }
        (At::Dot, b'\r') => Some(At::DotCr),
        (_, b'\r') => Some(At::Cr),
        (At::LineStart, b'.') => Some(At::Dot),
        _ => Some(At::Line),
    };
    Ok((next, after))
}

/// Where in content, from the midst of a line, something comes that is not the text of lines that end with CRLF and begin with
/// another octet than a dot.
fn end_of_plain_lines(rest: &[u8]) -> usize {
    let mut from = 0;
    while let Some(end) = memchr::memchr2(b'\r', b'\n', &rest[from..]) {
        let end = from + end;
        match &rest[end..] {
            [b'\r', b'\n', first, ..] if !matches!(first, b'.' | b'\r' | b'\n') => from = end + 2,
            _ => return end,
        }
    }
    rest.len()
}

/// A number as RFC 3030 writes it: digits.
fn octets(word: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(word).ok()?;
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use Answers::{Command, Content};

    use super::*;

    /// The greeting, and an EHLO whose reply offers CHUNKING.
    fn begun() -> ReplyCount {
        let mut count = ReplyCount::new();
        count.received(b"220 hello\r\n");
        assert_eq!(count.writing(b"EHLO x\r\n"), Ok(0));
        count.written();
        count.received(b"250-mail.example.com\r\n250-chunking\r\n250 SIZE 9\r\n");
        assert_eq!(count.take_answers(), [Command, Command]);
        count
    }

    /// The count after this dialogue, and the messages that ended in it: `C` writes, `S` is read.
    fn after(dialogue: &[(char, &str)]) -> (ReplyCount, u32) {
        let mut count = begun();
        let mut messages = 0;
        for (side, bytes) in dialogue {
            match side {
                'C' => {
                    messages += count.writing(bytes.as_bytes()).expect("it may leave");
                    count.written();
                }
                _ => count.received(bytes.as_bytes()),
            }
        }
        (count, messages)
    }

    fn is_even_after(dialogue: &[(char, &str)]) -> bool {
        after(dialogue).0.is_even()
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
    fn each_reply_answers_what_was_asked_first() {
        let (mut count, messages) = after(&SENT);
        assert_eq!(messages, 1);
        assert_eq!(count.take_answers(), [Command, Command, Command, Content, Command]);

        // A NOOP behind the content is answered behind it, and a chunk is no message until the last.
        let (mut count, messages) = after(&[
            ('C', "BDAT 1\r\nxbdat 1 last\r\nyNOOP\r\nBDAT 0 LAST\r\n"),
            ('S', "250 chunk\r\n550 message\r\n250 noop\r\n250 message\r\n"),
        ]);
        assert_eq!(messages, 2);
        assert_eq!(count.take_answers(), [Command, Content, Command, Content]);
    }

    /// Lines are passed over together; where what is written is cut must make no difference.
    #[test]
    fn content_is_followed_however_it_is_cut() {
        let follow = |pieces: &[&[u8]]| {
            let mut count = after(&[
                ('C', "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"),
                ('S', "250 x\r\n250 y\r\n354 go\r\n"),
            ])
            .0;
            let mut ended = 0;
            for piece in pieces {
                ended += count.writing(piece).map_err(|_| count.is_lost)?;
                count.written();
            }
            Ok::<u32, bool>(ended)
        };
        for (content, ends) in [
            ("a\r\nb\r\n\r\n..c\r\n.d\r\n.\r\n", Ok(1)),
            ("a\r\n.\r\nNOOP\r\n", Ok(1)),
            ("a\r\nb\r\n", Ok(0)),
            ("a\r\nb\rc\r\n.\r\n", Err(true)),
            ("a\r\nb\nc\r\n.\r\n", Err(true)),
            ("a\r\n\nb\r\n.\r\n", Err(true)),
            ("a\r\n\r\r\n.\r\n", Err(true)),
        ] {
            for cut in 0..=content.len() {
                let (before, after) = content.as_bytes().split_at(cut);
                assert_eq!(follow(&[before, after]), ends, "{content:?} at {cut}");
            }
        }
    }

    #[test]
    fn content_that_nobody_gets_is_no_message() {
        let doomed = |recipient: &'static str| {
            [
                ('C', "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"),
                ('S', "250 x\r\n"),
                ('S', recipient),
                ('S', "354 go\r\n"),
                ('C', ".\r\n"),
                ('S', "554 nobody\r\n"),
            ]
        };
        for (recipient, messages, answer) in [("550 no\r\n", 0, Command), ("250 yes\r\n", 1, Content)] {
            let (mut count, ended) = after(&doomed(recipient));
            assert_eq!((ended, count.take_answers().last()), (messages, Some(&answer)));
        }
        // A MAIL that is refused leaves the recipients of the transaction before it.
        let (_, ended) = after(&[
            ('C', "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nMAIL FROM:<a@b>\r\nDATA\r\n"),
            ('S', "250 x\r\n250 y\r\n503 nested\r\n354 go\r\n"),
            ('C', ".\r\n"),
        ]);
        assert_eq!(ended, 1);
    }

    #[test]
    fn what_a_server_could_read_in_another_way_does_not_leave() {
        let flood = "NOOP\r\n".repeat(OUTSTANDING_MAX + 1);
        let long = format!("NOOP {}\r\n", "x".repeat(COMMAND_BYTES_MAX));
        let hidden = format!("BDAT 5{}LAST\r\n", " ".repeat(COMMAND_BYTES_KEPT));
        for (first, then) in [
            (flood.as_str(), ""),
            (long.as_str(), ""),
            (hidden.as_str(), ""),
            ("NOOP\n", ""),
            ("NOOP\rRSET\r\n", ""),
            ("NOOP\r", "NOOP\r\n"),
            ("NOOP\r\r\n", ""),
            ("BDAT five\r\n", ""),
            ("BDAT +5\r\n", ""),
            ("BDAT 5 FIRST\r\n", ""),
            ("BDAT 5 LAST LAST\r\n", ""),
            ("BDAT 5\tLAST\r\n", ""),
            ("BDAT 99999999999999999999999\r\n", ""),
            ("BURL imap://x LAST\r\n", ""),
            ("XEXCH50 9 2\r\n", ""),
            ("AUTH PLAIN x\r\n", ""),
            ("DATA\tx\r\n", ""),
            ("\r\n", ""),
            // What is content here, and what a command, hangs on a reply that has not come.
            ("DATA\r\nNOOP\r\n", ""),
            ("DATA\r\n", "NOOP\r\n"),
        ] {
            let mut count = begun();
            let ended = count.writing(first.as_bytes()).and_then(|_| {
                count.written();
                count.writing(then.as_bytes())
            });
            assert!(matches!(ended, Err(OutOfOrder::Connector(_))), "{first:?}");
            assert_eq!(count.writing(b"NOOP\r\n"), Err(OutOfOrder::Server), "{first:?}");
            assert!(!count.is_even());
        }
        for content in ["x\n", "x\rx", "\n.\r\n", ".\n", ".\r.", "\r\r\n", ".\r\r\n"] {
            let (mut count, _) = after(&SENT[..2]);
            let ended = count.writing(content.as_bytes());
            assert!(matches!(ended, Err(OutOfOrder::Connector(_))), "{content:?}");
        }
    }

    #[test]
    fn chunks_leave_only_where_the_server_offers_them_now() {
        let chunk = b"BDAT 1 LAST\r\nx";
        assert_eq!(begun().writing(chunk), Ok(1));
        for dialogue in [
            [
                ('C', "EHLO x\r\n"),
                ('S', "250-x\r\n250-CHUNKINGS\r\n250 XCHUNKING\r\n"),
            ],
            [('C', "EHLO x\r\n"), ('S', "550-CHUNKING\r\n550 CHUNKING\r\n")],
            [('C', "HELO x\r\n"), ('S', "250 x\r\n")],
            [('C', "STARTTLS\r\n"), ('S', "220 go\r\n")],
        ] {
            let (mut count, _) = after(&dialogue);
            assert!(count.writing(chunk).is_err(), "{dialogue:?}");
        }
        let (mut count, _) = after(&[('C', "RSET\r\n"), ('S', "250 x\r\n")]);
        assert_eq!(count.writing(chunk), Ok(1));
    }

    #[test]
    fn content_ends_at_its_dot_however_it_is_cut() {
        let content = b".x\r\n..\r\n \r\n.\r\n";
        for cut in 0..content.len() {
            let (mut count, _) = after(&SENT[..2]);
            assert_eq!(count.writing(&content[..cut]), Ok(0), "{cut}");
            count.written();
            assert_eq!(count.writing(&content[cut..]), Ok(1), "{cut}");
        }
    }

    #[test]
    fn whatever_is_open_is_not() {
        let flood = "NOOP\r\n".repeat(200);
        for dialogue in [
            vec![('C', "NOOP\r\n")],
            vec![('C', "NOOP")],
            vec![('C', "NOOP\r")],
            vec![('C', flood.as_str()), ('S', "250 x\r\n")],
            vec![('C', "NOOP\r\n"), ('S', "250-x\r\n")],
            vec![('C', "NOOP\r\n"), ('S', "250 x")],
            vec![('S', "421 going\r\n")],
            vec![('C', "NOOP\r\n"), ('S', "hello\r\n")],
            vec![('C', "DATA\r\n"), ('S', "354 go\r\n")],
            vec![('C', "DATA\r\n"), ('S', "354 go\r\n"), ('C', "x.\r\n")],
            vec![('C', "BDAT 5\r\nab"), ('S', "250 x\r\n")],
        ] {
            assert!(!is_even_after(&dialogue), "{dialogue:?}");
        }
        let mut count = ReplyCount::new();
        assert!(!count.is_even(), "the greeting is to come");
        count.received(b"220 x\r\n");
        assert_eq!(count.writing(b"NOOP\r\n"), Ok(0));
        // The write was given up.
        count.received(b"250 x\r\n");
        assert!(!count.is_even());
    }

    #[test]
    fn after_a_reply_that_nobody_asked_for_only_a_farewell_leaves() {
        let (mut count, _) = after(&[('S', "421 going\r\n")]);
        assert_eq!(count.writing(b"MAIL FROM:<a@b>\r\n"), Err(OutOfOrder::Server));
        assert_eq!(count.writing(b"quit\r\n"), Ok(0));
    }
}
