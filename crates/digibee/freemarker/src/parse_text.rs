//! String literals, which may hold interpolations and inserted values.

use crate::ast::{Expr, ExprKind, TextPart};
use crate::error::{ParseError, Position};
use crate::parser::Parser;
use crate::source::{Source, Unit};

impl Parser {
    /// A literal in single or double quotes, `raw` after an `r`, in which nothing but the closing quote has a meaning.
    pub(crate) fn text_literal(&mut self, raw: bool) -> Result<Expr, ParseError> {
        let start = self.at;
        self.at += usize::from(raw);
        let quote = self.source.char(self.at);
        self.at += 1;
        let mut units: Vec<(Unit, Position)> = Vec::new();
        let mut escaped = Vec::new();
        loop {
            let position = self.source.position(self.at);
            match self.source.unit(self.at) {
                None => {
                    return Err(ParseError::new(
                        self.source.position(start),
                        "the string literal is not closed",
                    ));
                }
                Some(Unit::Char(c)) if Some(c) == quote => {
                    self.at += 1;
                    break;
                }
                Some(Unit::Char('\\')) if !raw => {
                    self.at += 1;
                    let decoded = self.escape_sequence(position)?;
                    escaped.push(units.len());
                    units.push((Unit::Char(decoded), position));
                }
                Some(unit) => {
                    self.at += 1;
                    units.push((unit, position));
                }
            }
        }
        let end = self.source.position(self.at);
        let parts = if raw {
            plain_parts(&units)
        } else {
            self.parts(units, &escaped, end)?
        };
        self.node(ExprKind::Text(parts), start)
    }

    /// A literal made by the parser itself.
    pub(crate) fn text_node(&self, text: String, at: usize) -> Result<Expr, ParseError> {
        self.node(ExprKind::Text(vec![TextPart::Text(text)]), at)
    }

    fn escape_sequence(&mut self, position: Position) -> Result<char, ParseError> {
        let unknown = || ParseError::new(position, "the escape sequence in the string literal is unknown");
        let c = self.source.char(self.at).ok_or_else(unknown)?;
        self.at += 1;
        Ok(match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'f' => '\u{c}',
            'b' => '\u{8}',
            'g' => '>',
            'l' => '<',
            'a' => '&',
            '"' | '\'' | '\\' | '{' | '=' => c,
            'x' => {
                let mut code = 0;
                let mut digits = 0;
                while digits < 4
                    && let Some(digit) = self.source.char(self.at).and_then(|c| c.to_digit(16))
                {
                    code = code * 16 + digit;
                    digits += 1;
                    self.at += 1;
                }
                if digits == 0 {
                    return Err(unknown());
                }
                char::from_u32(code).ok_or_else(unknown)?
            }
            _ => return Err(unknown()),
        })
    }

    /// Splits a decoded literal at its interpolations. These are read from the decoded text, as FreeMarker does.
    /// A brace that was escaped (`$\{`) opens none.
    fn parts(
        &mut self,
        units: Vec<(Unit, Position)>,
        escaped: &[usize],
        end: Position,
    ) -> Result<Vec<TextPart>, ParseError> {
        let is = |at: usize, c: char| matches!(units.get(at), Some((Unit::Char(found), _)) if *found == c);
        let opens = |at: usize| escaped.binary_search(&(at + 1)).is_err();
        // FreeMarker looks into literals of more than three characters only: `"${"` is those two.
        let interpolated =
            units.len() > 3 && (0..units.len()).any(|at| (is(at, '$') || is(at, '#')) && is(at + 1, '{') && opens(at));
        if !interpolated {
            return Ok(plain_parts(&units));
        }
        let mut inner = self.within(Source::from_units(units, end, &self.source));
        let mut parts = Vec::new();
        let mut plain = Vec::new();
        while let Some(unit) = inner.source.unit(inner.at) {
            let opens = opens(inner.at);
            if opens && inner.source.starts_with(inner.at, "#{") {
                return Err(inner.numeric_interpolation());
            }
            if opens && inner.source.starts_with(inner.at, "${") {
                parts.append(&mut plain_parts(&std::mem::take(&mut plain)));
                inner.at += 2;
                parts.push(TextPart::Interpolation(inner.expression()?));
                inner.expect("}")?;
            } else {
                plain.push((unit, inner.source.position(inner.at)));
                inner.at += 1;
            }
        }
        parts.append(&mut plain_parts(&plain));
        Ok(parts)
    }
}

fn plain_parts(units: &[(Unit, Position)]) -> Vec<TextPart> {
    let mut parts = Vec::new();
    for (unit, _) in units {
        match (unit, parts.last_mut()) {
            (Unit::Char(c), Some(TextPart::Text(text))) => text.push(*c),
            (Unit::Char(c), _) => parts.push(TextPart::Text(c.to_string())),
            (Unit::Value(index), _) => parts.push(TextPart::Inserted(*index)),
        }
    }
    parts
}

impl Expr {
    /// The text of a literal without interpolations and inserted values.
    pub(crate) fn literal(&self) -> Option<&str> {
        match &self.kind {
            ExprKind::Parenthesis(inner) => inner.literal(),
            ExprKind::Text(parts) => match parts.as_slice() {
                [] => Some(""),
                [TextPart::Text(text)] => Some(text),
                _ => None,
            },
            _ => None,
        }
    }
}
