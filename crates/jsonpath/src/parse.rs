//! The parser of paths and of the conditions in them: recursive descent with a bound on nesting.

use serde_json::{Map, Number, Value};

use crate::filter::{Condition, Operand, Operator};
use crate::functions::{Function, FunctionKind};
use crate::java_regex::{Flags, JavaRegex};
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
        Ok(Function { kind: *kind, arguments })
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

    /// `( condition )`.
    fn parenthesised(&mut self) -> Result<Condition, ParseError> {
        self.at += 1;
        let condition = self.any()?;
        self.blanks();
        if !self.take(')') {
            return Err(self.unexpected("), && or || after the condition"));
        }
        Ok(condition)
    }

    fn any(&mut self) -> Result<Condition, ParseError> {
        let mut conditions = vec![self.all()?];
        while self.take_all("||") {
            conditions.push(self.all()?);
        }
        Ok(if conditions.len() == 1 {
            conditions.remove(0)
        } else {
            Condition::Any(conditions)
        })
    }

    fn all(&mut self) -> Result<Condition, ParseError> {
        let mut conditions = vec![self.single()?];
        while self.take_all("&&") {
            conditions.push(self.single()?);
        }
        Ok(if conditions.len() == 1 {
            conditions.remove(0)
        } else {
            Condition::All(conditions)
        })
    }

    fn single(&mut self) -> Result<Condition, ParseError> {
        self.blanks();
        match self.peek() {
            Some('!') => {
                self.at += 1;
                Ok(Condition::Not(Box::new(self.nested(Parser::single)?)))
            }
            Some('(') => self.nested(Parser::parenthesised),
            _ => self.comparison(),
        }
    }

    fn comparison(&mut self) -> Result<Condition, ParseError> {
        self.blanks();
        if self.peek() == Some('/') {
            let regex = self.regex()?;
            if !self.take_all("=~") {
                return Err(self.unexpected("=~ after the regular expression"));
            }
            return Ok(Condition::Matches(self.operand()?, regex));
        }
        let left = self.operand()?;
        if self.take_all("=~") {
            self.blanks();
            if self.peek() != Some('/') {
                return Err(self.unexpected("a regular expression between slashes"));
            }
            return Ok(Condition::Matches(left, self.regex()?));
        }
        match self.operator() {
            Some(operator) => Ok(Condition::Compare(left, operator, self.operand()?)),
            None => Ok(Condition::Exists(left)),
        }
    }

    fn operator(&mut self) -> Option<Operator> {
        self.blanks();
        for (spelling, operator) in Operator::SPELLINGS {
            let word = spelling.starts_with(|c: char| c.is_ascii_alphabetic());
            let end = self.at + spelling.len();
            let there = self.chars.get(self.at..end).is_some_and(|found| {
                found
                    .iter()
                    .zip(spelling.chars())
                    .all(|(a, b)| a.to_ascii_lowercase() == b)
            });
            if there && !(word && self.chars.get(end).copied().is_some_and(is_name_char)) {
                self.at = end;
                return Some(operator);
            }
        }
        None
    }

    fn operand(&mut self) -> Result<Operand, ParseError> {
        self.blanks();
        match self.peek() {
            Some('@') => {
                self.at += 1;
                Ok(Operand::Current(self.nested(|parser| parser.steps(true))?))
            }
            Some('$') => {
                self.at += 1;
                Ok(Operand::Root(self.nested(|parser| parser.steps(true))?))
            }
            _ => Ok(Operand::Literal(self.literal()?)),
        }
    }

    fn literal(&mut self) -> Result<Value, ParseError> {
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

    fn regex(&mut self) -> Result<JavaRegex, ParseError> {
        let start = self.at;
        self.at += 1;
        let mut pattern = String::new();
        loop {
            match self.next() {
                None => return Err(self.unexpected("a slash to end the regular expression")),
                Some('/') => break,
                Some('\\') if self.peek() == Some('/') => {
                    self.at += 1;
                    pattern.push('/');
                }
                Some('\\') => {
                    pattern.push('\\');
                    pattern.extend(self.next());
                }
                Some(c) => pattern.push(c),
            }
        }
        let mut flags = Flags::default();
        while let Some(letter) = self.peek().filter(char::is_ascii_alphabetic) {
            match letter {
                'i' => flags.case_insensitive = true,
                'm' => flags.multiline = true,
                's' => flags.dotall = true,
                'x' => flags.comments = true,
                'd' => flags.unix_lines = true,
                'U' => flags.unicode = true,
                'u' => {}
                _ => return Err(self.unexpected("a flag: d, i, m, s, u, x or U")),
            }
            self.at += 1;
        }
        JavaRegex::whole(&pattern, flags)
            .map_err(|error| self.error(start, "a regular expression", &format!("another, because {error}")))
    }

    /// A text in quotes.
    fn text(&mut self) -> Result<String, ParseError> {
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
