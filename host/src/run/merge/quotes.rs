//! A quote of a CSV file that nothing closes. All that follows is in its field then: rows that nobody is told of.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// Where in a record the next octet is (RFC 4180, section 2, as the `csv` crate reads it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    FieldStart,
    Field,
    Quoted,
    /// Behind a quote in a quoted field: it ends the field, unless another one follows.
    Quote,
}

/// A quote that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open {
    /// The octet of the text at which it stands.
    pub(super) octet: u64,
    /// Its line, counted from one.
    pub(super) line: u64,
}

/// The quote that was open when the text ended; none before its end.
pub(super) type Unclosed = Rc<Cell<Option<Open>>>;

/// The text of a CSV file on its way to the parser.
pub(super) struct Quotes<R> {
    text: R,
    delimiter: u8,
    at: At,
    octets: u64,
    line: u64,
    open: Open,
    unclosed: Unclosed,
}

impl<R: Read> Quotes<R> {
    pub(super) fn of(text: R, delimiter: u8) -> (Self, Unclosed) {
        let unclosed = Unclosed::default();
        let quotes = Self {
            text,
            delimiter,
            at: At::FieldStart,
            octets: 0,
            line: 1,
            open: Open { octet: 0, line: 1 },
            unclosed: Rc::clone(&unclosed),
        };
        (quotes, unclosed)
    }

    fn follow(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            // Nothing between these means anything.
            let next = match self.at {
                At::Quoted => memchr::memchr2(b'"', b'\n', octets),
                At::Field => memchr::memchr3(self.delimiter, b'\n', b'\r', octets),
                At::FieldStart | At::Quote => Some(0),
            };
            let Some(next) = next else {
                self.octets += octets.len() as u64;
                return;
            };
            let octet = octets[next];
            self.octets += next as u64;
            self.at = match (self.at, octet) {
                (At::Quoted, b'"') => At::Quote,
                (At::Quoted, _) | (At::Quote, b'"') => At::Quoted,
                (At::FieldStart, b'"') => {
                    self.open = Open {
                        octet: self.octets,
                        line: self.line,
                    };
                    At::Quoted
                }
                (_, b'\n' | b'\r') => At::FieldStart,
                (_, other) if other == self.delimiter => At::FieldStart,
                _ => At::Field,
            };
            self.line += u64::from(octet == b'\n');
            self.octets += 1;
            octets = &octets[next + 1..];
        }
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.text.read(buffer)?;
        self.follow(&buffer[..count]);
        if count == 0 && !buffer.is_empty() {
            self.unclosed.set((self.at == At::Quoted).then_some(self.open));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unclosed(text: &str) -> Option<Open> {
        let (mut quotes, unclosed) = Quotes::of(text.as_bytes(), b',');
        let mut piece = [0; 3];
        while quotes.read(&mut piece).is_ok_and(|count| count > 0) {}
        unclosed.get()
    }

    #[test]
    fn only_a_quote_that_opens_a_field_opens() {
        for closed in [
            "",
            "a,b\n",
            "\"a\nb\",c\n",
            "a\"b,c\n",
            "\"a\"\"b\"\n",
            "\"a\"b\"\n",
            "a,\"\"",
            "\"a\"",
        ] {
            assert_eq!(unclosed(closed), None, "{closed}");
        }
        for (text, octet, line) in [
            ("\"", 0, 1),
            ("a,b\nc,\"d\ne\n", 6, 2),
            ("\"x\ny\",\"", 6, 2),
            ("a\r\n\"b\"\"\r\n", 3, 2),
        ] {
            assert_eq!(unclosed(text), Some(Open { octet, line }), "{text}");
        }
    }
}
