//! The parser: recursive descent over characters, in one pass, with a limit on nesting.
//!
//! Three languages share it. A template is text with `{{ expression }}` in it; an expression may hold text literals,
//! which are templates again; a JSON template is the sublanguage of expressions that has only JSON and `{{ }}`.

mod literal;

use std::ops::Range;

use pipepost_suggest::nearest;
use serde_json::{Map, Number, Value};

use self::literal::{Quotes, Read};
use crate::expression::{Call, Expression, Node};
use crate::functions::{self, Compiled};
use crate::reference::is_name_char;
use crate::text::cut;
use crate::{ParseError, Piece, Position, Reference, Scope, Segment};

/// Calls, arrays, objects and text literals within each other. Evaluation recurses as deep as this.
const MAX_NESTING: u32 = 64;

/// The pieces, and where each expression stands in the text with its braces, in bytes.
pub(crate) fn template(text: &str) -> Result<(Vec<Piece>, Vec<Range<usize>>), ParseError> {
    let mut parser = Parser::new(text);
    let pieces = parser.pieces(None)?;
    Ok((pieces, parser.spans))
}

pub(crate) fn expression(text: &str) -> Result<Expression, ParseError> {
    let mut parser = Parser::new(text);
    let expression = parser.spaced_expression(Language::Expression)?;
    parser.end(expression)
}

pub(crate) fn json_template(text: &str) -> Result<Expression, ParseError> {
    let mut parser = Parser::new(text);
    let expression = parser.spaced_expression(Language::Json)?;
    parser.end(expression)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Expression,
    /// Only JSON, save in `{{ }}`.
    Json,
}

impl Language {
    fn value(self) -> &'static str {
        match self {
            Self::Expression => "an expression: a path, a function call or a literal",
            Self::Json => "a JSON value or {{ }}",
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    position: Position,
    nesting: u32,
    /// How often the text here is escaped already: 0 outside of text literals.
    level: u32,
    /// The whole text's length in bytes.
    length: usize,
    /// Where each expression of the outermost text stands.
    spans: Vec<Range<usize>>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Parser {
            rest: text,
            position: Position { line: 1, column: 1 },
            nesting: 0,
            level: 0,
            length: text.len(),
            spans: Vec::new(),
        }
    }

    /// How many bytes of the text are behind the parser.
    fn offset(&self) -> usize {
        self.length - self.rest.len()
    }

    fn end(&mut self, expression: Expression) -> Result<Expression, ParseError> {
        self.blanks();
        if self.rest.is_empty() {
            Ok(expression)
        } else {
            Err(self.unexpected("the end"))
        }
    }

    /// Text with expressions, up to the end, or up to the quote that ends a literal.
    fn pieces(&mut self, quotes: Option<Quotes>) -> Result<Vec<Piece>, ParseError> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let start = self.position;
        loop {
            if self.rest.starts_with("{{") {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                let begins = self.offset();
                pieces.push(Piece::Expression(self.braces()?));
                if quotes.is_none() {
                    self.spans.push(begins..self.offset());
                }
                continue;
            }
            let Some(quotes) = quotes else {
                let Some(c) = self.bump() else { break };
                text.push(c);
                continue;
            };
            let here = self.position;
            match self.read(quotes.level, quotes.language)? {
                None => {
                    return Err(ParseError::new(
                        here,
                        "the end",
                        format!("{} to end the text that starts at {start}", quotes.quote),
                    ));
                }
                Some(Read { c, escaped: false }) if c == quotes.quote => break,
                Some(Read { c, escaped: false }) if (c as u32) < 0x20 && quotes.language == Language::Json => {
                    return Err(ParseError::new(
                        here,
                        describe(c),
                        "an escape such as \\n in a JSON text",
                    ));
                }
                Some(Read { c, .. }) => text.push(c),
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(pieces)
    }

    /// `{{ expression }}`, the parser standing at the braces.
    fn braces(&mut self) -> Result<Expression, ParseError> {
        let start = self.position;
        self.bump();
        self.bump();
        self.blanks();
        if self.rest.starts_with("}}") {
            return Err(self.unexpected(Language::Expression.value()));
        }
        let expression = self.nested(|parser| parser.spaced_expression(Language::Expression))?;
        self.blanks();
        if !self.rest.starts_with("}}") {
            let expected = match self.rest.chars().next() {
                None => format!("}}}} to end the {{{{ at {start}"),
                Some(_) => "}} after the expression".to_owned(),
            };
            return Err(self.unexpected(&expected));
        }
        self.bump();
        self.bump();
        Ok(expression)
    }

    fn spaced_expression(&mut self, language: Language) -> Result<Expression, ParseError> {
        self.blanks();
        let position = self.position;
        let node = match self.rest.chars().next() {
            Some('{') if self.rest.starts_with("{{") => return self.braces(),
            Some('{') => self.nested(|parser| parser.object(language))?,
            Some('[') => self.nested(|parser| parser.array(language))?,
            Some('(') if language == Language::Expression => return self.nested(Self::parenthesised),
            Some('-' | '0'..='9') => self.number()?,
            Some('"' | '\'' | '\\') if self.quotes(language).is_some() => self.text(language)?,
            Some(c) if c.is_alphabetic() || c == '_' => self.word(language)?,
            _ => return Err(self.unexpected(language.value())),
        };
        Ok(Expression { node, position })
    }

    /// Parentheses around an expression change nothing: the language has no operators.
    fn parenthesised(&mut self) -> Result<Expression, ParseError> {
        let start = self.position;
        self.bump();
        let expression = self.spaced_expression(Language::Expression)?;
        self.blanks();
        if !self.take(')') {
            return Err(self.unexpected(&format!(") to end the ( at {start}")));
        }
        Ok(expression)
    }

    fn array(&mut self, language: Language) -> Result<Node, ParseError> {
        self.bump();
        let elements = self.list(']', "element", |parser| parser.spaced_expression(language))?;
        Ok(match literals(&elements) {
            Some(values) => Node::Literal(Value::Array(values)),
            None => Node::Array(elements),
        })
    }

    fn object(&mut self, language: Language) -> Result<Node, ParseError> {
        self.bump();
        let members = self.list('}', "member", |parser| parser.member(language))?;
        let constant: Option<Map<String, Value>> = members
            .iter()
            .map(|(key, value)| match (&key.node, &value.node) {
                (Node::Literal(Value::String(key)), Node::Literal(value)) => Some((key.clone(), value.clone())),
                _ => None,
            })
            .collect();
        Ok(match constant {
            Some(constant) => Node::Literal(Value::Object(constant)),
            None => Node::Object(members),
        })
    }

    fn member(&mut self, language: Language) -> Result<(Expression, Expression), ParseError> {
        let position = self.position;
        if self.quotes(language).is_none() {
            return Err(self.unexpected("a key in quotes"));
        }
        let key = Expression {
            node: self.text(language)?,
            position,
        };
        self.blanks();
        if !self.take(':') {
            return Err(self.unexpected("a colon after the key"));
        }
        Ok((key, self.spaced_expression(language)?))
    }

    /// Items separated by commas, up to and with the closing character.
    fn list<T>(
        &mut self,
        close: char,
        what: &str,
        mut item: impl FnMut(&mut Self) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        let mut items = Vec::new();
        self.blanks();
        if self.take(close) {
            return Ok(items);
        }
        loop {
            self.blanks();
            items.push(item(self)?);
            self.blanks();
            if self.take(close) {
                return Ok(items);
            }
            if !self.take(',') {
                return Err(self.unexpected(&format!("a comma or {close} after the {what}")));
            }
        }
    }

    /// A number as in JSON.
    fn number(&mut self) -> Result<Node, ParseError> {
        let position = self.position;
        let length = self
            .rest
            .find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'));
        let text = &self.rest[..length.unwrap_or(self.rest.len())];
        let Ok(number) = serde_json::from_str::<Number>(text) else {
            return Err(ParseError::new(
                position,
                format!("`{text}`"),
                "a number as in JSON, such as 10, -2.5 or 1e3",
            ));
        };
        self.skip(text.chars().count());
        Ok(Node::Literal(Value::Number(number)))
    }

    /// A constant, a path or a call.
    fn word(&mut self, language: Language) -> Result<Node, ParseError> {
        let position = self.position;
        let length = self
            .rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(self.rest.len());
        let word = &self.rest[..length];
        let constant = match word.to_ascii_lowercase().as_str() {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" => Some(Value::Null),
            _ => None,
        };
        if language == Language::Json && (constant.is_none() || word.contains(|c: char| c.is_ascii_uppercase())) {
            return Err(self.unexpected(language.value()));
        }
        self.skip(word.chars().count());
        if let Some(constant) = constant {
            return Ok(Node::Literal(constant));
        }
        match self.rest.trim_start().chars().next() {
            Some('(') => {
                self.blanks();
                self.call(word, position)
            }
            _ => self.path(word, position),
        }
    }

    fn call(&mut self, name: &str, position: Position) -> Result<Node, ParseError> {
        let function = functions::find(name)
            .map_err(|expected| ParseError::new(position, format!("the function {name}"), expected))?;
        self.bump();
        let arguments = self
            .nested(|parser| parser.list(')', "argument", |parser| parser.spaced_expression(Language::Expression)))?;
        function.check_count(arguments.len()).map_err(|expected| {
            let found = match arguments.len() {
                1 => format!("1 argument of {}", function.name),
                count => format!("{count} arguments of {}", function.name),
            };
            ParseError::new(position, found, expected)
        })?;
        let compiled = Compiled::all(function, &arguments)?;
        Ok(Node::Call(Call {
            function,
            arguments,
            compiled,
        }))
    }

    fn path(&mut self, name: &str, position: Position) -> Result<Node, ParseError> {
        let Some(scope) = Scope::from_name(name) else {
            return Err(ParseError::new(
                position,
                format!("`{}`", cut(name)),
                expected_scope(name),
            ));
        };
        let mut segments = Vec::new();
        loop {
            match self.rest.chars().next() {
                Some('.') => {
                    self.bump();
                    self.blanks();
                    // `message.$`, `step.alias.$` and `message.['a b']` are spellings of JSONPath that documents use: a
                    // `$` after a point is the value before it. A member of this name is `['$']`.
                    if self.rest.starts_with('[') {
                        segments.push(self.bracket()?);
                    } else {
                        let name = self.segment_name()?;
                        if name != "$" {
                            segments.push(Segment::Name(name));
                        }
                    }
                }
                Some('[') => segments.push(self.bracket()?),
                _ => break,
            }
        }
        if scope == Scope::Account && !matches!(segments.first(), Some(Segment::Name(_))) {
            let expected = "the label of an account and a field, as in account.label.username";
            return Err(ParseError::new(position, "`account` alone", expected));
        }
        Ok(Node::Reference(Reference::new(scope, segments, position)))
    }

    fn segment_name(&mut self) -> Result<String, ParseError> {
        let length = self.rest.find(|c: char| !is_name_char(c)).unwrap_or(self.rest.len());
        let name = &self.rest[..length];
        if name.is_empty() {
            return Err(self.unexpected("a name after the point (names with other characters stand in ['...'])"));
        }
        self.skip(name.chars().count());
        Ok(name.to_owned())
    }

    fn bracket(&mut self) -> Result<Segment, ParseError> {
        const EXPECTED: &str = "an index or a name in quotes (JSONPATH takes other selections)";
        self.bump();
        self.blanks();
        let position = self.position;
        let node = match self.rest.chars().next() {
            Some('-' | '0'..='9') => self.number()?,
            _ if self.quotes(Language::Expression).is_some() => self.text(Language::Expression)?,
            _ => return Err(self.unexpected(EXPECTED)),
        };
        let segment = match node {
            Node::Literal(Value::String(name)) => Segment::Name(name),
            Node::Literal(Value::Number(number)) if number.is_i64() => {
                Segment::Index(number.as_i64().unwrap_or_default())
            }
            _ => return Err(ParseError::new(position, "something else", EXPECTED)),
        };
        self.blanks();
        if !self.take(']') {
            return Err(self.unexpected("] after it"));
        }
        Ok(segment)
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

    fn blanks(&mut self) {
        while self.rest.starts_with(|c: char| c.is_whitespace() || c == '\u{feff}') {
            self.bump();
        }
    }

    fn take(&mut self, c: char) -> bool {
        let there = self.rest.starts_with(c);
        if there {
            self.bump();
        }
        there
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.bump();
        }
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.position = Position {
                line: self.position.line.saturating_add(1),
                column: 1,
            };
        } else {
            self.position.column = self.position.column.saturating_add(1);
        }
        Some(c)
    }

    fn unexpected(&self, expected: &str) -> ParseError {
        let found = match self.rest.chars().next() {
            None => "the end".to_owned(),
            Some(_) if self.rest.starts_with("}}") => "`}}`".to_owned(),
            Some(c) if c.is_alphanumeric() => {
                let length = self.rest.find(|c: char| !is_name_char(c)).unwrap_or(self.rest.len());
                format!("`{}`", cut(&self.rest[..length]))
            }
            Some(c) => describe(c),
        };
        ParseError::new(self.position, found, expected)
    }
}

fn literals(elements: &[Expression]) -> Option<Vec<Value>> {
    elements
        .iter()
        .map(|element| match &element.node {
            Node::Literal(value) => Some(value.clone()),
            _ => None,
        })
        .collect()
}

fn expected_scope(name: &str) -> String {
    if functions::find(name).is_ok() {
        return format!("( after the function {}", name.to_ascii_uppercase());
    }
    match nearest(name, Scope::ALL.map(Scope::name)) {
        Some(scope) => format!("the scope {scope}, the nearest known"),
        None => format!(
            "a function or one of the scopes {}",
            Scope::ALL.map(Scope::name).join(", ")
        ),
    }
}

fn describe(c: char) -> String {
    if c.is_control() {
        format!("the character U+{:04X}", c as u32)
    } else {
        format!("`{c}`")
    }
}
