//! Replies of a server (RFC 5321, section 4.2) with their enhanced status codes (RFC 2034, RFC 3463).

mod parser;
#[cfg(test)]
mod tests;

use std::fmt;

pub use parser::{ReplyError, ReplyErrorKind, ReplyParser, parse_reply};

/// An enhanced status code such as `5.1.1` (RFC 3463). It says what went wrong in more detail than the three digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnhancedCode {
    /// 2 for success, 4 for a failure that may pass, 5 for a failure that is permanent. Always equal to the first digit
    /// of the reply's code.
    pub class: u8,
    /// The subject: 1 addressing, 2 mailbox, 3 mail system, 4 network, 5 protocol, 6 content, 7 policy.
    pub subject: u16,
    /// The detail, which has a meaning only together with the subject.
    pub detail: u16,
}

impl EnhancedCode {
    /// The enhanced code at the start of a reply line's text and what follows it, where there is one.
    fn split(text: &str) -> Option<(Self, &str)> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut parts = word.split('.');
        let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || class.len() != 1 {
            return None;
        }
        let code = Self {
            class: number(class)?.try_into().ok()?,
            subject: number(subject)?,
            detail: number(detail)?,
        };
        matches!(code.class, 2 | 4 | 5).then_some((code, rest))
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// One to three digits, as RFC 2034 allows them.
fn number(digits: &str) -> Option<u16> {
    ((1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The meaning of a code's first digit. For an unknown code, only this digit decides what to do (RFC 5321, section
/// 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 2yz: the command was done.
    Positive,
    /// 3yz: the server waits for more.
    Intermediate,
    /// 4yz: the command was not done, but the same command may work later.
    Transient,
    /// 5yz: the command was not done, and the same command will not work later.
    Permanent,
}

/// A complete reply, of one line or of several.
///
/// The server chose its text. The text holds no line ends and no control characters; nothing else may be assumed about
/// it.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<EnhancedCode>,
    /// The text of each line without its code, joined by `\n`. One allocation for a reply, however many lines.
    text: String,
}

impl Reply {
    /// Takes the text of all lines, joined by `\n`.
    fn new(code: u16, text: String) -> Self {
        let first = text.split('\n').next().unwrap_or_default();
        let enhanced = enhanced(code, first).map(|(code, _)| code);
        Self { code, enhanced, text }
    }

    /// Returns the three digits: 200 to 599.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Returns the enhanced code of the first line, if its class agrees with the code.
    pub fn enhanced(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// Returns the meaning of the first digit.
    pub fn class(&self) -> Class {
        match self.code / 100 {
            2 => Class::Positive,
            3 => Class::Intermediate,
            4 => Class::Transient,
            _ => Class::Permanent,
        }
    }

    /// Checks whether the code is 2yz.
    pub fn is_positive(&self) -> bool {
        self.class() == Class::Positive
    }

    /// Returns the text of each line, without the code and without the enhanced code that servers repeat on each line.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text
            .split('\n')
            .map(|line| enhanced(self.code, line).map_or(line, |(_, rest)| rest))
    }

    /// Returns the text as one line, without codes.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.text.len());
        for line in self.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(line);
        }
        text
    }

    /// Returns all lines as the server wrote them, including codes, each without its line end, separated by `\n`.
    pub fn verbatim(&self) -> String {
        let mut out = String::with_capacity(self.text.len() + 16);
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let (separator, end) = if lines.peek().is_some() { ('-', "\n") } else { (' ', "") };
            out.push_str(&self.code.to_string());
            out.push(separator);
            out.push_str(line);
            out.push_str(end);
        }
        out
    }

    /// The text of each line as it came, enhanced codes included.
    pub(crate) fn raw_lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }
}

/// One line: the code, the enhanced code, the text.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        let text = self.text();
        if text.is_empty() { Ok(()) } else { write!(f, " {text}") }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({self})")
    }
}

/// The enhanced code at the start of `line`, ignored where its class contradicts `code` (RFC 2034, section 4).
fn enhanced(code: u16, line: &str) -> Option<(EnhancedCode, &str)> {
    EnhancedCode::split(line).filter(|(enhanced, _)| u16::from(enhanced.class) == code / 100)
}
