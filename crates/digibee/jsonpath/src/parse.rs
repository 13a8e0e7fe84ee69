//! The parser of paths and of the conditions in them: recursive descent with a limit on nesting.

mod condition;
mod literal;

use crate::functions::{Function, FunctionKind};
use crate::path::{Segment, Selector};
use crate::{JsonPath, ParseError};

/// Parentheses, filters and JSON literals within each other.
const MAX_NESTING: u32 = 32;

pub(crate) fn path(text: &str) -> Result<JsonPath, ParseError> {
    let chars: Vec<char> = text.trim_end().chars().collect();
    let mut parser = Parser {
        chars: &chars,
        at: 0,
        nesting: 0,
    };
    parser.blanks();
    if parser.at == chars.len() {
        return Err(parser.unexpected("a path, such as $.name"));
    }
    // A name alone starts at the root.
    let path = if parser.take('$') || parser.take('@') {
        parser.steps(true)?
    } else {
        parser.steps_without_root()?
    };
    if parser.at < chars.len() {
        return Err(parser.unexpected("., [ or the end of the path"));
    }
    Ok(path)
}

struct Parser<'a> {
    chars: &'a [char],
    at: usize,
    nesting: u32,
}

impl Parser<'_> {
    fn steps_without_root(&mut self) -> Result<JsonPath, ParseError> {
        let start = self.at;
        let mut segments = Vec::new();
        let mut functions = Vec::new();
        if self.peek() != Some('[') {
            self.dotted(false, true, &mut segments, &mut functions)?;
        }
        self.more_steps(true, start, segments, functions)
    }

    fn steps(&mut self, functions_allowed: bool) -> Result<JsonPath, ParseError> {
        let start = self.at.saturating_sub(1);
        self.more_steps(functions_allowed, start, Vec::new(), Vec::new())
    }

    fn more_steps(
        &mut self,
        functions_allowed: bool,
        start: usize,
        mut segments: Vec<Segment>,
        mut functions: Vec<Function>,
    ) -> Result<JsonPath, ParseError> {
        loop {
            match self.peek() {
                Some('.') => {
                    self.at += 1;
                    let scan = self.take('.');
                    if self.peek() == Some('[') {
                        self.selection(scan, &mut segments, &functions)?;
                    } else {
                        self.dotted(scan, functions_allowed, &mut segments, &mut functions)?;
                    }
                }
                Some('[') => self.selection(false, &mut segments, &functions)?,
                _ => break,
            }
        }
        let source = self.chars[start..self.at].iter().collect();
        Ok(JsonPath::new(segments, functions, source))
    }

    /// After a point: a name, `*`, or a function at the end.
    fn dotted(
        &mut self,
        scan: bool,
        functions_allowed: bool,
        segments: &mut Vec<Segment>,
        functions: &mut Vec<Function>,
    ) -> Result<(), ParseError> {
        let start = self.at;
        if self.take('*') {
            return self.push(scan, Selector::Wildcard, segments, functions, start);
        }
        while self.peek().is_some_and(is_name_char) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.unexpected("a name after the point (['...'] takes any)"));
        }
        let name: String = self.chars[start..self.at].iter().collect();
        if functions_allowed && !scan && self.peek() == Some('(') {
            let function = self.function(&name, start)?;
            functions.push(function);
            return Ok(());
        }
        self.push(scan, Selector::Name(name), segments, functions, start)
    }

    fn push(
        &self,
        scan: bool,
        selector: Selector,
        segments: &mut Vec<Segment>,
        functions: &[Function],
        start: usize,
    ) -> Result<(), ParseError> {
        if !functions.is_empty() {
            return Err(self.error(
                start,
                "a selection",
                "a function or the end: functions stand at the end of a path",
            ));
        }
        segments.push(Segment { scan, selector });
        Ok(())
    }

    fn function(&mut self, name: &str, start: usize) -> Result<Function, ParseError> {
        let known = FunctionKind::NAMES.iter().find(|(known, _)| *known == name);
        let Some((_, kind)) = known else {
            let names: Vec<_> = FunctionKind::NAMES.iter().map(|(name, _)| *name).collect();
            return Err(self.error(
                start,
                &format!("the function {name}"),
                &format!("one of {}", names.join(", ")),
            ));
        };
        self.at += 1;
        let arguments = self.nested(|parser| parser.list(')', |parser| parser.operand()))?;
        let (least, most) = kind.arity();
        if !(least..=most).contains(&arguments.len()) {
            let expected = match (least, most) {
                (0, 0) => "none".to_owned(),
                (least, usize::MAX) => format!("at least {least}"),
                (_, most) => format!("{most}"),
            };
            return Err(self.error(start, &format!("{} arguments of {name}", arguments.len()), &expected));
        }
        Ok(Function {
            kind: *kind,
            arguments,
            column: start + 1,
        })
    }

    /// `[...]`.
    fn selection(&mut self, scan: bool, segments: &mut Vec<Segment>, functions: &[Function]) -> Result<(), ParseError> {
        let start = self.at;
        self.at += 1;
        self.blanks();
        let selector = match self.peek() {
            Some('*') => {
                self.at += 1;
                Selector::Wildcard
            }
            Some('?') => {
                self.at += 1;
                self.blanks();
                if self.peek() != Some('(') {
                    return Err(self.unexpected("( after the question mark"));
                }
                Selector::Filter(self.nested(Parser::parenthesised)?)
            }
            Some('\'' | '"') => {
                let mut names = vec![self.text()?];
                while self.comma() {
                    names.push(self.text()?);
                }
                match names.len() {
                    1 => Selector::Name(names.remove(0)),
                    _ => Selector::Names(names),
                }
            }
            Some('-' | ':' | '0'..='9') => self.indices()?,
            _ => return Err(self.unexpected("*, an index, a slice, a name in quotes or ?( after the bracket")),
        };
        self.blanks();
        if !self.take(']') {
            return Err(self.unexpected("] to end the selection"));
        }
        self.push(scan, selector, segments, functions, start)
    }

    fn indices(&mut self) -> Result<Selector, ParseError> {
        let first = if self.peek() == Some(':') {
            None
        } else {
            Some(self.integer()?)
        };
        self.blanks();
        if self.take(':') {
            self.blanks();
            let last = if self.peek() == Some(']') {
                None
            } else {
                Some(self.integer()?)
            };
            return Ok(Selector::Slice(first, last));
        }
        let mut indices: Vec<i64> = first.into_iter().collect();
        while self.comma() {
            indices.push(self.integer()?);
        }
        Ok(Selector::Indices(indices))
    }

    fn integer(&mut self) -> Result<i64, ParseError> {
        let start = self.at;
        self.take('-');
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        let text: String = self.chars[start..self.at].iter().collect();
        text.parse().map_err(|_| {
            self.at = start;
            self.unexpected("an index")
        })
    }

    fn list<T>(
        &mut self,
        close: char,
        mut item: impl FnMut(&mut Self) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        let mut items = Vec::new();
        self.blanks();
        if self.take(close) {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            self.blanks();
            if self.take(close) {
                return Ok(items);
            }
            if !self.take(',') {
                return Err(self.unexpected(&format!("a comma or {close}")));
            }
        }
    }

    fn comma(&mut self) -> bool {
        let comma = self.take_all(",");
        if comma {
            self.blanks();
        }
        comma
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, ParseError>) -> Result<T, ParseError> {
        if self.nesting == MAX_NESTING {
            return Err(self.unexpected(&format!("at most {MAX_NESTING} levels of nesting")));
        }
        self.nesting += 1;
        let result = parse(self);
        self.nesting -= 1;
        result
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn take(&mut self, c: char) -> bool {
        let there = self.peek() == Some(c);
        self.at += usize::from(there);
        there
    }

    /// Takes these characters, after blanks.
    fn take_all(&mut self, expected: &str) -> bool {
        self.blanks();
        let there = expected
            .chars()
            .enumerate()
            .all(|(i, c)| self.chars.get(self.at + i) == Some(&c));
        if there {
            self.at += expected.chars().count();
        }
        there
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn unexpected(&self, expected: &str) -> ParseError {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some(c) if c.is_control() => format!("the character U+{:04X}", c as u32),
            Some(c) => format!("`{c}`"),
        };
        self.error(self.at, &found, expected)
    }

    fn error(&self, at: usize, found: &str, expected: &str) -> ParseError {
        ParseError::new(at + 1, found, expected)
    }
}

/// What a name after a point is made of: everything that means nothing else.
fn is_name_char(c: char) -> bool {
    !c.is_whitespace()
        && !c.is_control()
        && !matches!(c, '.' | '[' | ']' | '(' | ')' | '{' | '}' | ',' | '\'' | '"')
        && !matches!(c, '=' | '<' | '>' | '!' | '&' | '|' | '~' | '?' | '*')
}
