//! Literals: JSON, with texts in single or double quotes.

use serde_json::{Map, Number, Value};

use super::Parser;
use crate::ParseError;

impl Parser<'_> {
    pub(super) fn literal(&mut self) -> Result<Value, ParseError> {
        self.blanks();
        match self.peek() {
            Some('\'' | '"') => Ok(Value::String(self.text()?)),
            Some('[') => {
                self.at += 1;
                Ok(Value::Array(self.nested(|parser| parser.list(']', Parser::literal))?))
            }
            Some('{') => {
                self.at += 1;
                let members = self.nested(|parser| {
                    parser.list('}', |parser| {
                        let key = parser.text()?;
                        if !parser.take_all(":") {
                            return Err(parser.unexpected("a colon after the key"));
                        }
                        Ok((key, parser.literal()?))
                    })
                })?;
                Ok(Value::Object(Map::from_iter(members)))
            }
            _ => self.plain_literal(),
        }
    }

    fn plain_literal(&mut self) -> Result<Value, ParseError> {
        let start = self.at;
        while self
            .peek()
            .is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        {
            self.at += 1;
        }
        let word: String = self.chars[start..self.at].iter().collect();
        let value = match word.as_str() {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" => Some(Value::Null),
            _ => serde_json::from_str::<Number>(&word).ok().map(Value::Number),
        };
        value.ok_or_else(|| {
            self.at = start;
            self.unexpected("a path from @ or $, a number, a text in quotes, true, false, null, [...] or {...}")
        })
    }

    /// A text in quotes.
    pub(super) fn text(&mut self) -> Result<String, ParseError> {
        self.blanks();
        let start = self.at;
        let Some(quote) = self.next().filter(|c| matches!(c, '\'' | '"')) else {
            self.at = start;
            return Err(self.unexpected("a text in quotes"));
        };
        let mut text = String::new();
        loop {
            match self.next() {
                None => {
                    return Err(self.unexpected(&format!("{quote} to end the text from column {}", start + 1)));
                }
                Some(c) if c == quote => return Ok(text),
                Some('\\') => {
                    let here = self.at - 1;
                    match self.next() {
                        Some('n') => text.push('\n'),
                        Some('r') => text.push('\r'),
                        Some('t') => text.push('\t'),
                        Some('b') => text.push('\u{8}'),
                        Some('f') => text.push('\u{c}'),
                        Some('u') => text.push(self.code_units(here)?),
                        Some(c) => text.push(c),
                        None => {}
                    }
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn code_units(&mut self, start: usize) -> Result<char, ParseError> {
        let mut units = Vec::new();
        loop {
            let digits: String = self.chars.iter().skip(self.at).take(4).collect();
            let unit = if digits.len() == 4 {
                u16::from_str_radix(&digits, 16).ok()
            } else {
                None
            };
            units.extend(unit);
            self.at = (self.at + 4).min(self.chars.len());
            match char::decode_utf16(units.iter().copied()).next() {
                Some(Ok(c)) => return Ok(c),
                Some(Err(_)) if units.len() == 1 && self.take_all("\\u") => {}
                _ => {
                    let expected = "\\u and four hexadecimal digits of a character";
                    return Err(self.error(start, "an escape", expected));
                }
            }
        }
    }
}
