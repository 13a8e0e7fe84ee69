//! The template's text as the parser sees it: characters, and places where the caller inserted a value.

use crate::error::{ParseError, Position};

/// A part of the template as the caller found it in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text of the template.
    Source(&'a str),
    /// A value that the caller computes: its index in the list of values given to each rendering, and the text that it
    /// replaces (such as `{{ message.name }}`), by which lines and columns are counted.
    Value {
        /// Index into the values given to each rendering.
        index: usize,
        /// The text that the value replaces.
        source: &'a str,
    },
}

/// Largest template, in characters.
const MAX_CHARACTERS: usize = 16 * 1024 * 1024;

/// A character of the template, or a whole inserted value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Char(char),
    Value(usize),
}

/// The units with their places, read one after the other.
pub(crate) struct Source {
    units: Vec<Unit>,
    positions: Vec<Position>,
    /// The original text of the inserted values, by their index.
    labels: Vec<(usize, String)>,
}

impl Source {
    pub(crate) fn new(pieces: &[Piece<'_>]) -> Result<Self, ParseError> {
        let mut source = Self {
            units: Vec::new(),
            positions: Vec::new(),
            labels: Vec::new(),
        };
        let mut at = Position { line: 1, column: 1 };
        for piece in pieces {
            match piece {
                Piece::Source(text) => {
                    for c in text.chars() {
                        source.units.push(Unit::Char(c));
                        source.positions.push(at);
                        advance(&mut at, c);
                    }
                }
                Piece::Value { index, source: text } => {
                    source.units.push(Unit::Value(*index));
                    source.positions.push(at);
                    source.labels.push((*index, (*text).to_owned()));
                    text.chars().for_each(|c| advance(&mut at, c));
                }
            }
            if source.units.len() > MAX_CHARACTERS {
                return Err(ParseError::new(
                    at,
                    format!("the template is longer than {MAX_CHARACTERS} characters"),
                ));
            }
        }
        // One past the end has a place too: errors point there.
        source.positions.push(at);
        Ok(source)
    }

    /// A text made of parts of another one, such as a decoded string literal.
    pub(crate) fn from_units(units: Vec<(Unit, Position)>, end: Position, origin: &Self) -> Self {
        let (units, mut positions): (Vec<_>, Vec<_>) = units.into_iter().unzip();
        positions.push(end);
        Self {
            units,
            positions,
            labels: origin.labels.clone(),
        }
    }

    pub(crate) fn unit(&self, at: usize) -> Option<Unit> {
        self.units.get(at).copied()
    }

    pub(crate) fn char(&self, at: usize) -> Option<char> {
        match self.units.get(at) {
            Some(Unit::Char(c)) => Some(*c),
            _ => None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.units.len()
    }

    pub(crate) fn position(&self, at: usize) -> Position {
        self.positions[at.min(self.units.len())]
    }

    pub(crate) fn starts_with(&self, at: usize, text: &str) -> bool {
        text.chars()
            .enumerate()
            .all(|(offset, c)| self.char(at + offset) == Some(c))
    }

    pub(crate) fn label(&self, index: usize) -> &str {
        self.labels
            .iter()
            .find(|(label, _)| *label == index)
            .map_or("", |(_, text)| text)
    }

    /// The original text of a stretch, with the inserted values as they were written.
    pub(crate) fn text(&self, from: usize, to: usize) -> String {
        let mut out = String::new();
        for unit in &self.units[from.min(self.units.len())..to.min(self.units.len())] {
            match unit {
                Unit::Char(c) => out.push(*c),
                Unit::Value(index) => out.push_str(self.label(*index)),
            }
        }
        out
    }
}

fn advance(at: &mut Position, c: char) {
    if c == '\n' {
        at.line = at.line.saturating_add(1);
        at.column = 1;
    } else {
        at.column = at.column.saturating_add(1);
    }
}
