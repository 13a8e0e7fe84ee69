//! Text literals and their escapes, including those of a literal within a literal.

use serde_json::Value;

use super::{Language, Parser};
use crate::expression::Node;
use crate::{ParseError, Piece, Position};

/// A text literal: the quote that ends it, and how often its characters are escaped (once more for each escaped quote
/// that opened a literal within a literal).
#[derive(Clone, Copy)]
pub(super) struct Quotes {
    pub(super) quote: char,
    pub(super) level: u32,
    pub(super) language: Language,
}

/// A character as it is read at some level of escaping.
#[derive(Clone, Copy)]
pub(super) struct Read {
    pub(super) c: char,
    /// Whether an escape sequence made it at this level: such a quote does not end a literal, such a brace opens no
    /// expression.
    pub(super) escaped: bool,
}

impl Parser<'_> {
    /// The quotes that open a text literal here, if any.
    pub(super) fn quotes(&self, language: Language) -> Option<Quotes> {
        let mut chars = self.rest.chars();
        match chars.next()? {
            '"' => Some(Quotes {
                quote: '"',
                level: self.level,
                language,
            }),
            '\'' if language == Language::Expression => Some(Quotes {
                quote: '\'',
                level: self.level,
                language,
            }),
            // Inside a literal, its own escaped quotes may serve the expressions within it.
            '\\' if self.level > 0 => {
                let quote = chars.next().filter(|c| matches!(c, '"' | '\''))?;
                Some(Quotes {
                    quote,
                    level: self.level,
                    language,
                })
            }
            _ => None,
        }
    }

    pub(super) fn text(&mut self, language: Language) -> Result<Node, ParseError> {
        let Some(mut quotes) = self.quotes(language) else {
            return Err(self.unexpected("a text in quotes"));
        };
        // Opened by an escaped quote, the literal is written one level deeper than what surrounds it.
        if self.take('\\') {
            self.bump();
        } else {
            self.bump();
            quotes.level = 0;
        }
        let outer = std::mem::replace(&mut self.level, quotes.level + 1);
        let pieces = self.nested(|parser| parser.pieces(Some(quotes)));
        self.level = outer;
        let mut pieces = pieces?;
        Ok(match pieces.as_mut_slice() {
            [] => Node::Literal(Value::String(String::new())),
            [Piece::Text(text)] => Node::Literal(Value::String(std::mem::take(text))),
            _ => Node::Text(pieces),
        })
    }

    /// The next character of a text literal, with its escapes resolved; `level` counts the literals around it whose
    /// escapes come first.
    pub(super) fn read(&mut self, level: u32, language: Language) -> Result<Option<Read>, ParseError> {
        let here = self.position;
        let Some(c) = self.read_below(level, language)? else {
            return Ok(None);
        };
        if c != '\\' {
            return Ok(Some(Read { c, escaped: false }));
        }
        let saved = (self.rest, self.position);
        let Some(letter) = self.read_below(level, language)? else {
            return Ok(None);
        };
        let c = match letter {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => self.code_unit_pair(level, language, here)?,
            '"' | '\'' | '\\' | '/' => letter,
            _ if language == Language::Json => {
                return Err(ParseError::new(
                    here,
                    format!("the escape \\{letter}"),
                    "one of JSON's escapes, or \\\\",
                ));
            }
            // Regular expressions are often written without doubling: `\d` stays what it is.
            _ => {
                (self.rest, self.position) = saved;
                return Ok(Some(Read { c: '\\', escaped: true }));
            }
        };
        Ok(Some(Read { c, escaped: true }))
    }

    fn read_below(&mut self, level: u32, language: Language) -> Result<Option<char>, ParseError> {
        if level == 0 {
            Ok(self.bump())
        } else {
            Ok(self.read(level - 1, language)?.map(|read| read.c))
        }
    }

    /// What follows `\u`: four hexadecimal digits, or two such escapes that are a surrogate pair.
    fn code_unit_pair(&mut self, level: u32, language: Language, here: Position) -> Result<char, ParseError> {
        let wrong = |found: &str| ParseError::new(here, found, "\\u and four hexadecimal digits of a character");
        let high = self
            .code_unit(level, language)?
            .ok_or_else(|| wrong("an incomplete \\u escape"))?;
        if let Some(c) = char::from_u32(high) {
            return Ok(c);
        }
        let next = (self.read_below(level, language)?, self.read_below(level, language)?);
        let low = match next {
            (Some('\\'), Some('u')) => self.code_unit(level, language)?,
            _ => None,
        };
        let pair = [high, low.unwrap_or_default()].map(|unit| u16::try_from(unit).unwrap_or_default());
        match char::decode_utf16(pair).next() {
            Some(Ok(c)) => Ok(c),
            _ => Err(wrong("half of a surrogate pair")),
        }
    }

    fn code_unit(&mut self, level: u32, language: Language) -> Result<Option<u32>, ParseError> {
        let mut unit = 0;
        for _ in 0..4 {
            match self.read_below(level, language)?.and_then(|c| c.to_digit(16)) {
                Some(digit) => unit = unit * 16 + digit,
                None => return Ok(None),
            }
        }
        Ok(Some(unit))
    }
}
