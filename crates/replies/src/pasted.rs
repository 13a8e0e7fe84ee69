//! A reply as people paste it: from a log, an exception or a bounce.

use std::fmt;

use crate::explain::{Explanation, explain_parts};
use crate::normal::{LONGEST, enhanced_code, head, is_repeated_code, normal_text};
use crate::{EnhancedCode, Provider, Stage};

/// A reply found in pasted text.
///
/// The text before the reply may be anything that a program wrote (`Error:`, `smtp;`, `said:`, quotes, time stamps).
/// The reply may be on several lines or on one, with real line breaks or written ones (`\r\n`), and with the enhanced
/// code once or on every line. A text with only an enhanced code (`5.7.139 Authentication unsuccessful`) is accepted
/// too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastedReply {
    code: Option<u16>,
    enhanced: Option<EnhancedCode>,
    text: String,
}

/// The reason why a pasted text is not recognised as a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    kind: ParseErrorKind,
}

/// What is wrong with a pasted text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseErrorKind {
    /// The text is empty.
    Empty,
    /// The text holds no reply code and no enhanced code.
    NoCode,
}

impl PastedReply {
    /// Finds the reply in the first 64 KiB of the text.
    ///
    /// # Errors
    /// When the text is empty or holds no code.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let text = head(text, LONGEST).replace("\\r", "\n").replace("\\n", "\n");
        if text.trim().is_empty() {
            return Err(ParseError {
                kind: ParseErrorKind::Empty,
            });
        }
        let found = find_code(&text).ok_or(ParseError {
            kind: ParseErrorKind::NoCode,
        })?;
        let Found {
            at,
            code,
            enhanced,
            rest,
        } = found;
        let before = text[..at].rsplit('\n').next().unwrap_or("");
        Ok(Self {
            code,
            enhanced,
            text: without_codes(&text[rest..], code, before),
        })
    }

    /// Returns the reply code, or none if the text has lost it.
    pub fn code(&self) -> Option<u16> {
        self.code
    }

    /// Checks whether the server refused, temporarily or permanently.
    pub fn is_failure(&self) -> bool {
        match (self.code, self.enhanced) {
            (Some(code), _) => code >= 400,
            (None, enhanced) => enhanced.is_some_and(|(class, ..)| class >= 4),
        }
    }

    /// Returns the enhanced code, if there is one.
    pub fn enhanced(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// Returns what the server said, without codes and control characters, with each of its lines on a separate line.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the provider of the reply, as far as its text reveals it.
    pub fn provider(&self) -> Provider {
        Provider::of_reply(&self.text)
    }

    /// Returns the point of the dialogue where the reply came, as far as code and text reveal it.
    pub fn stage(&self) -> Option<Stage> {
        Stage::guess(self.code, &normal_text(&self.text))
    }

    /// Returns the meaning of the reply. Give `stage` if it is known better than the text reveals it.
    pub fn explain(&self, stage: Option<Stage>) -> Explanation {
        explain_parts(self.code, self.enhanced, &self.text, stage, None)
    }
}

impl ParseError {
    /// Returns what is wrong.
    pub fn kind(&self) -> ParseErrorKind {
        self.kind
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ParseErrorKind::Empty => {
                "There is no text to explain: give a server's reply, such as '535-5.7.8 Username and Password not accepted'."
            }
            ParseErrorKind::NoCode => {
                "There is no SMTP reply in this text: give one that begins with three digits, such as \
                 '535-5.7.8 Username and Password not accepted'."
            }
        })
    }
}

impl std::error::Error for ParseError {}

/// The first codes of a reply, and where its text begins.
struct Found {
    at: usize,
    code: Option<u16>,
    enhanced: Option<EnhancedCode>,
    rest: usize,
}

/// Three digits in a log may be anything: a code with an enhanced code of its class behind it is believed first, then
/// one that stands at a line's start or behind a colon or quote, then any, then an enhanced code alone.
fn find_code(text: &str) -> Option<Found> {
    let candidates = || (0..text.len()).filter_map(|at| code_at(text, at));
    let with_enhanced = candidates().find(|found| found.enhanced.is_some());
    let at_start = || candidates().find(|found| follows_opening(text, found.at));
    with_enhanced
        .or_else(at_start)
        .or_else(|| candidates().next())
        .or_else(|| enhanced_alone(text))
        .map(|found| Found {
            rest: found.rest + usize::from(text[found.rest..].starts_with('-')),
            ..found
        })
}

/// A reply code of RFC 5321, or one such as 571 that many servers send, that stands at `at` as a word of its own. `rest` lies behind it and its enhanced code.
fn code_at(text: &str, at: usize) -> Option<Found> {
    let bytes = text.as_bytes();
    let [b'2'..=b'5', b'0'..=b'5' | b'7', b'0'..=b'9'] = bytes.get(at..at + 3)? else {
        return None;
    };
    let before = at.checked_sub(1).map(|index| bytes[index]);
    if before.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/' | b'+')) {
        return None;
    }
    let rest = at + 3;
    if bytes
        .get(rest)
        .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/'))
    {
        return None;
    }
    let code = text[at..rest].parse().ok()?;
    // Between the two: a blank, a hyphen, or the punctuation of a tuple or of quotes, as in `(535, b'5.7.8 ...')`.
    let separators = |c: char| c == ' ' || "-,'\"#(b".contains(c);
    let word_at = rest + text[rest..].find(|c| !separators(c)).unwrap_or(0);
    let word = text[word_at..]
        .split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .next()
        .unwrap_or("");
    let enhanced = enhanced_code(word.trim_end_matches('.')).filter(|(class, ..)| plausible(code, *class));
    let rest = if enhanced.is_some() { word_at + word.len() } else { rest };
    Some(Found {
        at,
        code: Some(code),
        enhanced,
        rest,
    })
}

/// The classes agree, but for what Gmail says to a second STARTTLS: `454 5.5.1`.
fn plausible(code: u16, class: u8) -> bool {
    u16::from(class) == code / 100 || (code >= 400 && class >= 4)
}

fn follows_opening(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end_matches([' ', '\t']);
    before.is_empty() || before.ends_with(['\n', ':', ';', '"', '\'', '(', '<', '['])
}

fn enhanced_alone(text: &str) -> Option<Found> {
    let mut at = 0;
    text.split_inclusive(|c: char| c.is_whitespace() || "()'\"[],;#".contains(c))
        .find_map(|piece| {
            let begin = at;
            at += piece.len();
            let word = piece.trim_end_matches(|c: char| !c.is_ascii_digit());
            let enhanced = enhanced_code(word)?;
            Some(Found {
                at: begin,
                code: None,
                enhanced: Some(enhanced),
                rest: begin + word.len(),
            })
        })
}

/// The text without the codes that stand before each of its lines, also where a log has folded the lines into one, and
/// without what the log put before each line (`S:`), known by the last word that it put before the first.
fn without_codes(text: &str, code: Option<u16>, before: &str) -> String {
    let code = code.map(|code| code.to_string()).unwrap_or_default();
    let mark = before.split_whitespace().next_back();
    let mut clean = String::with_capacity(text.len());
    for (index, line) in text.lines().enumerate() {
        let line = if index == 0 {
            line
        } else {
            without_mark(line, mark, &code)
        };
        let words: Vec<&str> = said_words(line, &code).collect();
        if !words.is_empty() && !clean.is_empty() {
            clean.push('\n');
        }
        clean.push_str(&words.join(" "));
    }
    trim_closing(&clean).to_owned()
}

/// The line behind the log's mark, if the code follows the mark.
fn without_mark<'a>(line: &'a str, mark: Option<&str>, code: &str) -> &'a str {
    let behind = mark
        .and_then(|mark| line.split_once(mark))
        .map(|(_, behind)| behind.trim_start());
    behind
        .filter(|behind| !code.is_empty() && behind.starts_with(code))
        .unwrap_or(line)
}

/// The words of a line that are not codes repeated.
fn said_words<'a>(line: &'a str, code: &'a str) -> impl Iterator<Item = &'a str> {
    let words = || {
        line.split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| !word.is_empty())
    };
    let next = words().skip(1).map(Some).chain([None]);
    words().zip(next).enumerate().filter_map(move |(index, (word, next))| {
        let is_code = !code.is_empty() && word.trim_end_matches('-') == code;
        if is_repeated_code(word) || is_code && (index == 0 || next.is_some_and(is_repeated_code)) {
            return None;
        }
        // `535-Please` continues a reply without enhanced codes.
        let continued = word.strip_prefix(code).and_then(|word| word.strip_prefix('-'));
        Some(continued.filter(|_| !code.is_empty()).unwrap_or(word))
    })
}

/// Without the quotes and the bracket that a program put around the reply; a bracket that was opened within it stays.
fn trim_closing(text: &str) -> &str {
    let text = text.trim_end_matches(['\'', '"', ' ']);
    match text.strip_suffix(')') {
        Some(rest) if text.matches('(').count() < text.matches(')').count() => rest.trim_end_matches(['\'', '"', ' ']),
        _ => text,
    }
}
