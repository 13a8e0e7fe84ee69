//! The address list, read from left to right, each character once.

use super::{Address, AddressError, Entry, Mailbox, is_atext};

/// Comments within comments; more than anybody writes, and a bound on what an attacker can make us count.
const MAX_COMMENT_DEPTH: usize = 16;

pub(super) fn parse(text: &str) -> Result<Vec<Entry>, AddressError> {
    if let Some(at) = text.find(|c: char| c.is_control() && c != '\t') {
        return Err(AddressError::control(around(text, at)));
    }
    let mut parser = Parser { text, at: 0 };
    let mut entries = Vec::new();
    loop {
        parser.skip_blank(None)?;
        match parser.peek() {
            None => return Ok(entries),
            Some(',' | ';') => parser.advance(),
            Some(_) => entries.push(parser.element(false)?),
        }
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
}

/// What has been read of an element before `<`, `@` or `:` says what it is.
#[derive(Default)]
struct Phrase {
    text: String,
    words: usize,
    comment: String,
}

impl Phrase {
    fn push(&mut self, word: &str) {
        if self.words > 0 {
            self.text.push(' ');
        }
        self.text.push_str(word);
        self.words += 1;
    }

    fn name(self) -> Option<String> {
        let text = self.text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn advance(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    /// A mailbox or, outside a group, a group. Stands on its first character.
    fn element(&mut self, in_group: bool) -> Result<Entry, AddressError> {
        let start = self.at;
        let mut phrase = Phrase::default();
        loop {
            self.skip_blank(Some(&mut phrase.comment))?;
            match self.peek() {
                Some('"') => {
                    let word = self.quoted_string(start)?;
                    phrase.push(&word);
                }
                Some('<') => return self.angle_address(start, phrase).map(Entry::Mailbox),
                Some('@') => return self.bare_address(start, phrase).map(Entry::Mailbox),
                Some(':') if !in_group && phrase.words > 0 => return self.group(start, phrase),
                None | Some(',' | ';') => {
                    return Err(self.error(start, "is not an address; a name that holds a comma belongs in quotes"));
                }
                Some(c) if is_word(c) => {
                    let word = self.take_while(is_word);
                    phrase.push(word);
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

    fn angle_address(&mut self, start: usize, phrase: Phrase) -> Result<Mailbox, AddressError> {
        self.advance();
        self.skip_blank(None)?;
        let local = if self.peek() == Some('"') {
            self.quoted_string(start)?
        } else {
            self.dot_atom(start)?.to_owned()
        };
        self.skip_blank(None)?;
        if self.peek() != Some('@') {
            return Err(self.error(start, "has no `@` between its angle brackets"));
        }
        let domain = self.domain()?;
        self.skip_blank(None)?;
        if self.peek() != Some('>') {
            return Err(self.error(start, "lacks the `>` after its address"));
        }
        self.advance();
        self.end_of_element(start, None)?;
        let address = Address::from_parts(&local, domain, self.since(start))?;
        Ok(Mailbox {
            name: phrase.name(),
            address,
        })
    }

    /// Stands on the `@`; what came before it is in `phrase`.
    fn bare_address(&mut self, start: usize, mut phrase: Phrase) -> Result<Mailbox, AddressError> {
        let quoted = self.text[start..].starts_with('"');
        if phrase.words != 1 {
            return Err(self.error(
                start,
                "is not an address; one with a name stands in angle brackets: `Name <a@b.example>`",
            ));
        }
        if !quoted && !is_dot_atom(&phrase.text) {
            return Err(self.error(start, "has misplaced dots or brackets before the `@`"));
        }
        let domain = self.domain()?;
        self.end_of_element(start, Some(&mut phrase.comment))?;
        let address = Address::from_parts(&phrase.text, domain, self.since(start))?;
        // `a@b.example (Name)` is how names were written before angle brackets.
        let name = phrase.comment.trim();
        Ok(Mailbox {
            name: (!name.is_empty()).then(|| name.to_owned()),
            address,
        })
    }

    fn group(&mut self, start: usize, phrase: Phrase) -> Result<Entry, AddressError> {
        self.advance();
        let mut members = Vec::new();
        loop {
            self.skip_blank(None)?;
            match self.peek() {
                None => return Err(self.error(start, "begins a group and lacks the `;` that ends it")),
                Some(';') => {
                    self.advance();
                    return Ok(Entry::Group {
                        name: phrase.text,
                        members,
                    });
                }
                Some(',') => self.advance(),
                Some(_) => match self.element(true)? {
                    Entry::Mailbox(mailbox) => members.push(mailbox),
                    Entry::Group { .. } => return Err(self.error(start, "holds a group within a group")),
                },
            }
        }
    }

    /// Stands on the `@`; answers the domain, white space and comments around it left out.
    fn domain(&mut self) -> Result<&'a str, AddressError> {
        self.advance();
        self.skip_blank(None)?;
        if self.peek() == Some('[') {
            let start = self.at;
            self.take_while(|c| c != ']');
            self.advance();
            return Ok(&self.text[start..self.at]);
        }
        Ok(self.take_while(|c| !c.is_whitespace() && !"()<>,;:@\"\\[]".contains(c)))
    }

    fn dot_atom(&mut self, start: usize) -> Result<&'a str, AddressError> {
        let atom = self.take_while(|c| is_atext(c) || c == '.');
        if atom.is_empty() || is_dot_atom(atom) {
            Ok(atom)
        } else {
            Err(self.error(start, "has misplaced dots before the `@`"))
        }
    }

    /// Stands on the opening quote; answers the content.
    fn quoted_string(&mut self, start: usize) -> Result<String, AddressError> {
        self.advance();
        let mut content = String::new();
        loop {
            let c = self.peek();
            self.advance();
            match c {
                None => return Err(self.error(start, "has a quote that is never closed")),
                Some('"') => return Ok(content),
                Some('\\') => match self.peek() {
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

    fn end_of_element(&mut self, start: usize, comment: Option<&mut String>) -> Result<(), AddressError> {
        self.skip_blank(comment)?;
        match self.peek() {
            None | Some(',' | ';') => Ok(()),
            Some(_) => {
                self.take_while(|c| !",;".contains(c));
                Err(self.error(start, "goes on after its address; addresses are separated by commas"))
            }
        }
    }

    /// White space and comments; the text of the last comment goes to `comment`.
    fn skip_blank(&mut self, mut comment: Option<&mut String>) -> Result<(), AddressError> {
        loop {
            match self.peek() {
                Some(c) if c.is_whitespace() => self.advance(),
                Some('(') => {
                    let text = self.comment()?;
                    if let Some(comment) = comment.as_deref_mut() {
                        *comment = text;
                    }
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
            let c = self.peek();
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
                Some('\\') => {
                    text.extend(self.peek());
                    self.advance();
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let taken = &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    fn error(&self, start: usize, what: &'static str) -> AddressError {
        AddressError::new(self.since(start), what)
    }
}

/// A tab within quotes is a blank, escaped or not: no server takes one, and a header may be folded there.
fn blank_for_tab(c: char) -> char {
    if c == '\t' { ' ' } else { c }
}

/// What an unquoted name is made of; people write `Acme Inc.` and `[Support]` without quotes.
fn is_word(c: char) -> bool {
    is_atext(c) || matches!(c, '.' | '[' | ']')
}

fn is_dot_atom(text: &str) -> bool {
    text.split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}
