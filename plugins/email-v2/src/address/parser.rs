//! The address list, read from left to right, each character once.

use std::borrow::Cow;

use super::{Address, AddressError, Entry, Mailbox, Note, checked_name, is_atext, is_padding, tidy};
use crate::segments::{Segment, Segments, as_text};

/// Comments within comments; more than anybody writes, and a bound on what an attacker can make us count.
const MAX_COMMENT_DEPTH: usize = 16;
/// Stands in the text where a value belongs. Unicode promises that no text ever holds it, and what does is refused.
const PLACE: char = '\u{fdd0}';

pub(super) fn parse(segments: &Segments, notes: &mut Vec<Note>) -> Result<Vec<Entry>, AddressError> {
    let mut text = Cow::Borrowed("");
    let mut values = Vec::new();
    for segment in segments.iter() {
        match segment {
            Segment::Text(own) => {
                refuse_place(own)?;
                if text.is_empty() {
                    text = Cow::Borrowed(own);
                } else {
                    text.to_mut().push_str(own);
                }
            }
            Segment::Value(value) => {
                let value = as_text(value);
                refuse_place(&value)?;
                text.to_mut().push(PLACE);
                values.push(value);
            }
        }
    }
    let values: Vec<Cow<'_, str>> = values.iter().map(|value| tidy(value)).collect();
    let text = tidy(&text);
    let is_refused = |c: char| c.is_control() && c != '\t';
    for text in values.iter().chain([&text]) {
        if let Some(at) = text.find(is_refused) {
            return Err(AddressError::control(around(text, at)));
        }
    }
    let mut parser = Parser {
        text: &text,
        at: 0,
        values: &values,
        comments: Vec::new(),
        notes,
    };
    let mut entries = Vec::new();
    loop {
        parser.skip_padding()?;
        match parser.peek() {
            None => return Ok(entries),
            Some(',' | ';') => parser.advance(),
            Some(_) => entries.extend(parser.element(false)?),
        }
    }
}

fn refuse_place(text: &str) -> Result<(), AddressError> {
    match text.find(PLACE) {
        None => Ok(()),
        Some(at) => Err(AddressError::invisible(around(text, at), PLACE)),
    }
}

/// The part of the text to show for a fault at `at`: from the separator before it, to a little after it.
fn around(text: &str, at: usize) -> &str {
    let start = text[..at].rfind(',').map_or(0, |comma| comma + 1);
    let end = text[at..].char_indices().nth(20).map_or(text.len(), |(i, _)| at + i);
    text[start..end].trim_start_matches(' ')
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// What belongs in the places of the text, in their order.
    values: &'a [Cow<'a, str>],
    /// The comments of the element that is read.
    comments: Vec<String>,
    notes: &'a mut Vec<Note>,
}

/// What has been read of an element before `<`, `@` or `:` says what it is.
#[derive(Default)]
struct Phrase<'a> {
    text: String,
    words: usize,
    /// The first word as it is written, places and all.
    first: &'a str,
}

impl<'a> Phrase<'a> {
    fn push(&mut self, word: &str, written: &'a str) {
        if self.words == 0 {
            self.first = written;
        }
        self.words += 1;
        if !self.text.is_empty() && !word.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(word);
    }
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn advance(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    /// A part of the text with its values. `part` is a slice of the text.
    fn filled(&self, start: usize, part: &'a str) -> Cow<'a, str> {
        if self.values.is_empty() {
            return Cow::Borrowed(part);
        }
        let mut values = self.values[count_places(&self.text[..start])..].iter();
        let mut out = String::with_capacity(part.len());
        for c in part.chars() {
            match c {
                PLACE => out.push_str(values.next().map_or("", |value| value)),
                c => out.push(c),
            }
        }
        Cow::Owned(out)
    }

    /// The value of the place at this offset.
    fn value_at(&self, place: usize) -> &'a str {
        self.values
            .get(count_places(&self.text[..place]))
            .map_or("", |value| value)
    }

    /// A mailbox or, outside a group, a group; none for a value that is empty. Stands on its first character.
    fn element(&mut self, in_group: bool) -> Result<Option<Entry>, AddressError> {
        let start = self.at;
        self.comments.clear();
        let mut phrase = Phrase::default();
        loop {
            self.skip_blank()?;
            match self.peek() {
                Some('"') => {
                    let at = self.at;
                    let word = self.quoted_string(start)?;
                    phrase.push(&word, &self.text[at..self.at]);
                }
                Some('<') => return self.angle_address(start, &phrase).map(Entry::Mailbox).map(Some),
                Some('@') => return self.bare_address(start, &phrase).map(Entry::Mailbox).map(Some),
                Some(':') if !in_group && phrase.words > 0 => return self.group(start, &phrase).map(Some),
                None | Some(',' | ';') if phrase.words == 1 && phrase.first.contains(PLACE) => {
                    return self.value_alone(start, &phrase);
                }
                None | Some(',' | ';') => {
                    return Err(self.error(start, "is not an address; a name that holds a comma belongs in quotes"));
                }
                Some(c) if is_word(c) => {
                    let at = self.at;
                    let word = self.take_while(is_word);
                    phrase.push(self.filled(at, word).trim(), word);
                }
                Some(_) => {
                    return Err(self.error(
                        start,
                        "is not an address; a name with such characters belongs in quotes",
                    ));
                }
            }
        }
    }

    /// A value between two separators, or one with text beside it and no `@` in the text: one mailbox, or none at all.
    fn value_alone(&mut self, start: usize, phrase: &Phrase<'a>) -> Result<Option<Entry>, AddressError> {
        self.note_comments(None);
        let is_value = phrase.first.chars().eq([PLACE]);
        let filled = if is_value {
            Cow::Borrowed(self.value_at(start + self.text[start..].find(PLACE).unwrap_or_default()))
        } else {
            Cow::Owned(phrase.text.clone())
        };
        if filled.is_empty() {
            return Ok(None);
        }
        let several = |error: AddressError| {
            let is_several = super::AddressList::parse(&filled).is_ok_and(|list| list.mailboxes().count() > 1);
            if is_several {
                AddressError::new(
                    &filled,
                    "is a value that holds several addresses; it may do so where it is the whole parameter, and is one \
                     address beside others",
                )
            } else {
                error
            }
        };
        let text = Segments::from(&*filled);
        if is_value {
            let mailbox = Mailbox::read(&text, self.notes).map_err(several)?;
            return Ok(Some(Entry::Mailbox(mailbox)));
        }
        let address = Address::read(&text, self.notes).map_err(several)?;
        Ok(Some(Entry::Mailbox(Mailbox { name: None, address })))
    }

    fn angle_address(&mut self, start: usize, phrase: &Phrase<'a>) -> Result<Mailbox, AddressError> {
        self.advance();
        self.skip_padding()?;
        let at = self.at;
        let (local, written) = if self.peek() == Some('"') {
            let local = self.quoted_string(start)?;
            (Cow::Owned(local), "")
        } else {
            let written = self.take_while(|c| is_atext(c) || matches!(c, '.' | PLACE));
            (self.filled(at, written), written)
        };
        let end = self.at;
        self.skip_blank()?;
        let address = match self.peek() {
            // All of the address is in values, or in one.
            Some('>') if written.contains(PLACE) => {
                let whole = self.filled(at, &self.text[at..end]);
                self.advance();
                Address::read(&Segments::from(&*whole), self.notes)?
            }
            Some('@') => {
                self.check_local(start, &local, written)?;
                let domain = self.domain()?;
                self.skip_padding()?;
                if self.peek() != Some('>') {
                    return Err(self.error(start, "lacks the `>` after its address"));
                }
                self.advance();
                Address::from_parts(&local, &domain, &self.since(start))?
            }
            _ => return Err(self.error(start, "has no `@` between its angle brackets")),
        };
        self.end_of_element(start)?;
        self.note_comments(None);
        self.note_quoted(&local, written, &address);
        Ok(Mailbox {
            name: checked_name(&phrase.text)?,
            address,
        })
    }

    /// Stands on the `@`; what came before it is in `phrase`.
    fn bare_address(&mut self, start: usize, phrase: &Phrase<'a>) -> Result<Mailbox, AddressError> {
        if phrase.words != 1 {
            return Err(self.error(
                start,
                "is not an address; one with a name stands in angle brackets: `Name <a@b.example>`",
            ));
        }
        let written = if phrase.first.starts_with('"') {
            ""
        } else {
            phrase.first
        };
        let local = &phrase.text;
        self.check_local(start, local, written)?;
        let domain = self.domain()?;
        let before = self.comments.len();
        self.end_of_element(start)?;
        let address = Address::from_parts(local, &domain, &self.since(start))?;
        // `a@b.example (Name)` is how names were written before angle brackets.
        let trailing = (self.comments.len() > before).then(|| self.comments.len() - 1);
        let comment = trailing.map(|at| self.comments[at].clone()).unwrap_or_default();
        self.note_comments(trailing);
        self.note_quoted(local, written, &address);
        Ok(Mailbox {
            name: checked_name(&comment)?,
            address,
        })
    }

    /// Checks the part before an `@` of the document's own. `written` is empty where it stands in quotes, in which a
    /// value may hold anything; elsewhere it holds what an unquoted part may, and dots where they please.
    fn check_local(&self, start: usize, local: &str, written: &str) -> Result<(), AddressError> {
        match local.chars().find(|&c| !is_atext(c) && c != '.') {
            _ if written.is_empty() => Ok(()),
            None => Ok(()),
            Some(_) if written.contains(PLACE) => Err(AddressError::new(
                local,
                "is more than a part of an address, and stands before an `@`",
            )),
            Some(_) => Err(self.error(start, "has misplaced brackets before the `@`")),
        }
    }

    fn group(&mut self, start: usize, phrase: &Phrase<'a>) -> Result<Entry, AddressError> {
        self.advance();
        let name = checked_name(&phrase.text)?.unwrap_or_default();
        self.note_comments(None);
        let mut members = Vec::new();
        loop {
            self.skip_padding()?;
            match self.peek() {
                None => return Err(self.error(start, "begins a group and lacks the `;` that ends it")),
                Some(';') => {
                    self.advance();
                    return Ok(Entry::Group { name, members });
                }
                Some(',') => self.advance(),
                Some(_) => match self.element(true)? {
                    None => {}
                    Some(Entry::Mailbox(mailbox)) => members.push(mailbox),
                    Some(Entry::Group { .. }) => return Err(self.error(start, "holds a group within a group")),
                },
            }
        }
    }

    /// Stands on the `@`; answers the domain, white space and comments around it left out.
    fn domain(&mut self) -> Result<Cow<'a, str>, AddressError> {
        self.advance();
        self.skip_blank()?;
        let start = self.at;
        if self.peek() == Some('[') {
            self.take_while(|c| c != ']');
            self.advance();
            return Ok(self.filled(start, &self.text[start..self.at]));
        }
        let written = self.take_while(|c| !c.is_whitespace() && !"()<>,;:@\"\\[]".contains(c));
        Ok(self.filled(start, written.trim_end_matches(is_around)))
    }

    /// Stands on the opening quote; answers the content.
    fn quoted_string(&mut self, start: usize) -> Result<String, AddressError> {
        self.advance();
        let mut content = String::new();
        loop {
            let (at, c) = (self.at, self.peek());
            self.advance();
            match c {
                None => return Err(self.error(start, "has a quote that is never closed")),
                Some('"') => return Ok(content),
                Some(PLACE) => content.extend(self.value_at(at).chars().map(blank_for_tab)),
                Some('\\') => match self.peek() {
                    Some(PLACE) => {}
                    Some(c) => {
                        self.advance();
                        content.push(blank_for_tab(c));
                    }
                    None => return Err(self.error(start, "has a quote that is never closed")),
                },
                Some(c) => content.push(blank_for_tab(c)),
            }
        }
    }

    fn end_of_element(&mut self, start: usize) -> Result<(), AddressError> {
        self.skip_padding()?;
        match self.peek() {
            None | Some(',' | ';') => Ok(()),
            Some(_) => {
                self.take_while(|c| !",;".contains(c));
                Err(self.error(start, "goes on after its address; addresses are separated by commas"))
            }
        }
    }

    /// White space and comments.
    fn skip_blank(&mut self) -> Result<(), AddressError> {
        self.skip(char::is_whitespace)
    }

    /// White space, comments, and what is invisible: at an address's ends it is what came along with a copy.
    fn skip_padding(&mut self) -> Result<(), AddressError> {
        self.skip(is_around)
    }

    fn skip(&mut self, belongs: impl Fn(char) -> bool) -> Result<(), AddressError> {
        loop {
            match self.peek() {
                Some(c) if belongs(c) => self.advance(),
                Some('(') => {
                    let text = self.comment()?;
                    self.comments.push(text);
                }
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self) -> Result<String, AddressError> {
        let start = self.at;
        let mut depth = 0;
        let mut text = String::new();
        loop {
            let (at, c) = (self.at, self.peek());
            self.advance();
            match c {
                None => return Err(self.error(start, "has a `(` that is never closed")),
                Some('(') => {
                    depth += 1;
                    if depth > MAX_COMMENT_DEPTH {
                        return Err(self.error(start, "has too many comments within comments"));
                    }
                }
                Some(')') => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(text);
                    }
                }
                Some(PLACE) => text.push_str(self.value_at(at)),
                Some('\\') => {
                    if let Some(c) = self.peek().filter(|&c| c != PLACE) {
                        text.push(c);
                        self.advance();
                    }
                }
                Some(c) => text.push(c),
            }
        }
    }

    /// Every comment of the element is noted, but the one that is its name.
    fn note_comments(&mut self, name: Option<usize>) {
        let comments = std::mem::take(&mut self.comments).into_iter().enumerate();
        let lost = comments.filter(|(i, comment)| Some(*i) != name && !comment.trim().is_empty());
        self.notes.extend(lost.map(|(_, comment)| Note::Comment(comment)));
    }

    fn note_quoted(&mut self, local: &str, written: &str, address: &Address) {
        let has_odd_dots = !written.is_empty() && local.split('.').any(str::is_empty);
        if has_odd_dots && address.local().starts_with('"') {
            self.notes.push(Note::Quoted(address.to_string()));
        }
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let taken = &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn since(&self, start: usize) -> Cow<'a, str> {
        self.filled(start, &self.text[start..self.at])
    }

    fn error(&self, start: usize, what: &'static str) -> AddressError {
        AddressError::new(&self.since(start), what)
    }
}

/// What surrounds an address, and is no place of a value.
fn is_around(c: char) -> bool {
    is_padding(c) && c != PLACE
}

fn count_places(text: &str) -> usize {
    text.matches(PLACE).count()
}

/// A tab within quotes is a blank, escaped or not: no server takes one, and a header may be folded there.
fn blank_for_tab(c: char) -> char {
    if c == '\t' { ' ' } else { c }
}

/// What an unquoted name is made of; people write `Acme Inc.` and `[Support]` without quotes.
fn is_word(c: char) -> bool {
    is_atext(c) || matches!(c, '.' | '[' | ']' | PLACE)
}
