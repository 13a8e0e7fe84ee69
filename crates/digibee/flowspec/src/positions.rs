//! The position of each value in a JSON text: serde_json does not report it, and every problem needs it.
//!
//! The scanner goes over a text that serde_json has accepted, so it may rely on valid syntax; it still never panics on
//! any other text. It scans once, and only on request: a document without errors is not scanned.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;

use crate::problem::Position;

/// Finds lines and columns of a document's keys and values by JSON pointer.
#[derive(Debug)]
pub(crate) struct Positions<'a> {
    text: &'a str,
    scan: OnceCell<Scan>,
    /// How far the last call of [`Positions::within`] came: problems of one text are found from its start to its end, and
    /// each would walk the text anew.
    reached: RefCell<Reached>,
    /// Places of the document that the text has elsewhere: the document's pointer, and the text's.
    moved: HashMap<String, String>,
}

/// A place within the text that a string of the document holds.
#[derive(Debug, Clone, Default)]
struct Reached {
    pointer: String,
    inner: Option<Position>,
    /// Bytes from the start of the literal.
    at: usize,
}

/// The byte offsets of a document's keys and values by JSON pointer.
#[derive(Debug)]
struct Scan {
    line_starts: Vec<usize>,
    /// The characters before each block of [`BLOCK`] bytes: a document may be one line of megabytes.
    characters: Vec<usize>,
    values: HashMap<String, usize>,
    keys: HashMap<String, usize>,
    duplicates: Vec<String>,
}

/// Bytes.
const BLOCK: usize = 1024;

impl Scan {
    fn of(text: &str) -> Self {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        let mut before = 0;
        let mut characters = vec![0];
        for block in text.as_bytes().chunks(BLOCK) {
            before += count_characters(block);
            characters.push(before);
        }
        let mut scanner = Scanner {
            text,
            at: 0,
            values: HashMap::new(),
            keys: HashMap::new(),
            duplicates: Vec::new(),
        };
        scanner.value(&mut String::new(), 0);
        let Scanner {
            values,
            keys,
            duplicates,
            ..
        } = scanner;
        Self {
            line_starts,
            characters,
            values,
            keys,
            duplicates,
        }
    }
}

/// The characters that begin in these bytes of a UTF-8 text.
fn count_characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| (**byte & 0xC0) != 0x80).count()
}

impl<'a> Positions<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Positions {
            text,
            scan: OnceCell::new(),
            reached: RefCell::default(),
            moved: HashMap::new(),
        }
    }

    /// Says where the text has what the document has under other pointers.
    pub(crate) fn move_to(&mut self, moved: Vec<(String, String)>) {
        self.moved = moved.into_iter().collect();
    }

    /// The pointer in the text.
    fn in_text<'p>(&self, pointer: &'p str) -> Cow<'p, str> {
        if self.moved.is_empty() {
            return Cow::Borrowed(pointer);
        }
        let mut prefix = pointer;
        loop {
            if let Some(place) = self.moved.get(prefix) {
                return Cow::Owned(format!("{place}{}", &pointer[prefix.len()..]));
            }
            match prefix.rfind('/') {
                Some(end) => prefix = &prefix[..end],
                None => return Cow::Borrowed(pointer),
            }
        }
    }

    fn scan(&self) -> &Scan {
        self.scan.get_or_init(|| Scan::of(self.text))
    }

    /// Whether somebody has asked.
    #[cfg(test)]
    fn is_scanned(&self) -> bool {
        self.scan.get().is_some()
    }

    /// The pointers of keys that their object holds more than once.
    pub(crate) fn duplicates(&self) -> &[String] {
        &self.scan().duplicates
    }

    /// Where the value begins, or the nearest value around it (a pointer may lead into JSON text within a string).
    pub(crate) fn value(&self, pointer: &str) -> Option<Position> {
        let pointer = self.in_text(pointer);
        nearest_around(&pointer, &self.scan().values).map(|(_, offset)| self.position(offset))
    }

    /// Where the key of this member begins.
    pub(crate) fn key(&self, pointer: &str) -> Option<Position> {
        match self.scan().keys.get(&*self.in_text(pointer)) {
            Some(offset) => Some(self.position(*offset)),
            None => self.value(pointer),
        }
    }

    /// The document's position of `inner`, a position within the text that the string at `pointer` holds.
    pub(crate) fn within(&self, pointer: &str, inner: Position) -> Option<Position> {
        let pointer = &*self.in_text(pointer);
        let (found, start) = nearest_around(pointer, &self.scan().values)?;
        if found != pointer || self.text.as_bytes().get(start) != Some(&b'"') {
            return Some(self.position(start));
        }
        let literal = self.text.get(start + 1..)?;
        let last = self.reached.borrow().clone();
        let (mut reached, mut at) = match last.inner {
            Some(position) if last.pointer == pointer && position <= inner => (position, last.at),
            _ => (Position { line: 1, column: 1 }, 0),
        };
        while reached < inner {
            let rest = literal.get(at..)?;
            if rest.starts_with('"') || rest.is_empty() {
                break;
            }
            let (length, decoded) = unit(rest);
            at += length;
            if decoded == '\n' {
                reached = Position {
                    line: reached.line + 1,
                    column: 1,
                };
            } else {
                reached.column += 1;
            }
        }
        self.reached.replace(Reached {
            pointer: pointer.to_owned(),
            inner: Some(reached),
            at,
        });
        Some(self.position(start + 1 + at))
    }

    fn position(&self, offset: usize) -> Position {
        let starts = &self.scan().line_starts;
        let line = starts.partition_point(|start| *start <= offset);
        let start = starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        Position {
            line,
            column: self.characters_before(offset) - self.characters_before(start) + 1,
        }
    }

    fn characters_before(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        let block = offset / BLOCK;
        let before = self.scan().characters.get(block).copied().unwrap_or(0);
        before + count_characters(&self.text.as_bytes()[block * BLOCK..offset])
    }
}

/// Escapes one reference token (RFC 6901, section 3) and appends it.
pub(crate) fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    if token.contains(['~', '/']) {
        pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
    } else {
        pointer.push_str(token);
    }
}

fn nearest_around<'p>(mut pointer: &'p str, offsets: &HashMap<String, usize>) -> Option<(&'p str, usize)> {
    loop {
        if let Some(offset) = offsets.get(pointer) {
            return Some((pointer, *offset));
        }
        pointer = &pointer[..pointer.rfind('/')?];
    }
}

/// The length of a string literal's next unit in bytes, and the character it stands for.
fn unit(rest: &str) -> (usize, char) {
    let mut characters = rest.chars();
    match (characters.next(), characters.next()) {
        (Some('\\'), Some('u')) => {
            let hex = |from: usize| {
                rest.get(from..from + 4)
                    .and_then(|digits| u16::from_str_radix(digits, 16).ok())
            };
            match hex(2) {
                Some(0xD800..=0xDBFF) if rest.get(6..8) == Some("\\u") => (rest.len().min(12), '\u{FFFD}'),
                Some(0x0A) => (6, '\n'),
                _ => (rest.len().min(6), '\u{FFFD}'),
            }
        }
        (Some('\\'), Some('n')) => (2, '\n'),
        (Some('\\'), Some(escaped)) => (1 + escaped.len_utf8(), escaped),
        (Some(plain), _) => (plain.len_utf8(), plain),
        (None, _) => (0, '\0'),
    }
}

/// serde_json refuses documents nested deeper than this.
const DEPTH: usize = 128;

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    values: HashMap<String, usize>,
    keys: HashMap<String, usize>,
    duplicates: Vec<String>,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, pointer: &mut String, depth: usize) {
        self.skip_blank();
        self.values.insert(pointer.clone(), self.at);
        match self.peek() {
            Some(b'{') if depth < DEPTH => self.object(pointer, depth),
            Some(b'[') if depth < DEPTH => self.array(pointer, depth),
            Some(b'"') => {
                self.string();
            }
            _ => {
                while !matches!(
                    self.peek(),
                    None | Some(b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r')
                ) {
                    self.at += 1;
                }
            }
        }
    }

    fn object(&mut self, pointer: &mut String, depth: usize) {
        self.at += 1;
        loop {
            self.skip_blank();
            if self.peek() != Some(b'"') {
                break;
            }
            let start = self.at;
            let literal = self.string();
            let key: String = serde_json::from_str(literal).unwrap_or_default();
            let length = pointer.len();
            push_token(pointer, &key);
            if self.keys.insert(pointer.clone(), start).is_some() {
                self.duplicates.push(pointer.clone());
            }
            self.skip_blank();
            self.at += usize::from(self.peek() == Some(b':'));
            self.value(pointer, depth + 1);
            pointer.truncate(length);
            self.skip_blank();
            if self.peek() != Some(b',') {
                break;
            }
            self.at += 1;
        }
        self.at += usize::from(self.peek() == Some(b'}'));
    }

    fn array(&mut self, pointer: &mut String, depth: usize) {
        self.at += 1;
        for index in 0.. {
            self.skip_blank();
            if matches!(self.peek(), None | Some(b']')) {
                break;
            }
            let length = pointer.len();
            push_token(pointer, &index.to_string());
            self.value(pointer, depth + 1);
            pointer.truncate(length);
            self.skip_blank();
            if self.peek() != Some(b',') {
                break;
            }
            self.at += 1;
        }
        self.at += usize::from(self.peek() == Some(b']'));
    }

    /// The literal with its quotes.
    fn string(&mut self) -> &str {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
        self.at = self.at.min(self.text.len());
        self.text.get(start..self.at).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "{\n  \"a\": [1, {\"b/c\": \"x\"}],\n  \"é\": 2, \"t\": \"one\\ntwo \\u00e9 {{\", \"a\": 3 }";

    fn at(line: usize, column: usize) -> Option<Position> {
        Some(Position { line, column })
    }

    #[test]
    fn places_within_a_text_are_the_same_in_any_order() {
        let text = r#"{"a": "x\n\u00e9y {{ b }}\nlast", "b": "other"}"#;
        let places = [(1, 1), (1, 2), (2, 1), (2, 3), (2, 8), (3, 1), (3, 4), (9, 9)];
        let at = |(line, column)| Position { line, column };
        let fresh = |place| Positions::of(text).within("/a", at(place));
        let kept = Positions::of(text);
        for place in places.iter().chain(places.iter().rev()).copied() {
            assert_eq!(kept.within("/a", at(place)), fresh(place), "{place:?}");
            assert_eq!(
                kept.within("/b", at((1, 3))),
                Positions::of(text).within("/b", at((1, 3)))
            );
            assert_eq!(kept.within("/a", at(place)), fresh(place), "{place:?}");
        }
    }

    #[test]
    fn keys_and_values_are_found_by_pointer() {
        let positions = Positions::of(TEXT);
        assert_eq!(positions.value(""), at(1, 1));
        assert_eq!(positions.value("/a/1/b~1c"), at(2, 20));
        assert_eq!(positions.key("/a/1/b~1c"), at(2, 13));
        assert_eq!(positions.value("/é"), at(3, 8));
    }

    #[test]
    fn a_pointer_into_nothing_falls_back_to_what_is_around_it() {
        assert_eq!(Positions::of(TEXT).value("/a/1/b~1c/0/type"), at(2, 20));
    }

    #[test]
    fn a_place_within_a_string_is_found_behind_its_escapes() {
        // In the decoded text, `{{` begins in line 2 at column 7.
        let found = Positions::of(TEXT).within("/t", Position { line: 2, column: 7 });
        let line = TEXT.lines().nth(2).unwrap();
        assert_eq!(
            found,
            at(3, line.find("{{").map(|at| line[..at].chars().count() + 1).unwrap())
        );
    }

    #[test]
    fn columns_count_characters_however_long_the_line_is() {
        let text = format!(
            "{{\"é\": \"{}\",\n \"b\": \"{}\", \"c\": 1}}",
            "é".repeat(3000),
            "ü".repeat(5000)
        );
        let positions = Positions::of(&text);
        assert!(!positions.is_scanned());
        assert_eq!(positions.value("/c"), at(2, 7 + 5002 + 7));
        assert!(positions.is_scanned());
    }

    #[test]
    fn a_key_written_twice_is_seen() {
        assert_eq!(Positions::of(TEXT).duplicates(), ["/a"]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}\",:\\\\u0-9a-zé\n ]{0,60}", line in 0usize..4, column in 0usize..9) {
            let positions = Positions::of(&text);
            positions.within("/a", Position { line, column });
            positions.within("", Position { line, column });
        }
    }
}
