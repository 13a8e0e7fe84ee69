//! The smallest expressions: literals, names, parentheses.

use crate::ast::{Expr, ExprKind, Special};
use crate::builtins;
use crate::error::ParseError;
use crate::number::Number;
use crate::parse_expr::{RESERVED, is_name_part, is_name_start};
use crate::parser::Parser;
use crate::source::Unit;

type Parsed = Result<Expr, ParseError>;

impl Parser {
    pub(crate) fn primary(&mut self) -> Parsed {
        self.skip_blanks();
        let at = self.at;
        let raw = self.source.char(at) == Some('r') && matches!(self.source.char(at + 1), Some('"' | '\''));
        match self.source.unit(at) {
            Some(Unit::Char('"' | '\'')) => self.text_literal(false),
            Some(Unit::Char(_)) if raw => self.text_literal(true),
            Some(Unit::Char(c)) if c.is_ascii_digit() => self.number_literal(),
            Some(Unit::Char('(')) => {
                self.at += 1;
                self.parentheses += 1;
                let inner = self.expression();
                self.parentheses -= 1;
                let inner = inner?;
                self.expect(")")?;
                self.node(ExprKind::Parenthesis(Box::new(inner)), at)
            }
            Some(Unit::Char('[')) => {
                self.at += 1;
                let items = self.list_until(']')?;
                self.node(ExprKind::Sequence(items), at)
            }
            Some(Unit::Char('{')) => self.hash_literal(),
            Some(Unit::Char('.')) => self.special(),
            Some(Unit::Char(c)) if is_name_start(c) || c == '\\' => {
                let Some(name) = self.name() else {
                    return Err(self.error_here("a value is expected"));
                };
                let kind = match name.as_str() {
                    "true" => ExprKind::Bool(true),
                    "false" => ExprKind::Bool(false),
                    word if RESERVED.contains(&word) => {
                        return Err(ParseError::new(
                            self.source.position(at),
                            format!("'{word}' is a reserved word; a value is expected here"),
                        ));
                    }
                    _ => ExprKind::Variable(name),
                };
                self.node(kind, at)
            }
            Some(Unit::Value(_)) => Err(self.misplaced_value()),
            Some(Unit::Char(c)) => Err(self.error_here(format!("a value is expected before '{c}'"))),
            None => Err(self.error_here("the template ends inside an expression")),
        }
    }

    fn number_literal(&mut self) -> Parsed {
        let at = self.at;
        let mut text = String::new();
        while let Some(c) = self.source.char(self.at) {
            let fraction = c == '.'
                && !text.contains('.')
                && self.source.char(self.at + 1).is_some_and(|next| next.is_ascii_digit());
            if !c.is_ascii_digit() && !fraction {
                break;
            }
            text.push(c);
            self.at += 1;
        }
        let number = Number::parse(&text)
            .ok_or_else(|| ParseError::new(self.source.position(at), "the number cannot be read"))?;
        self.node(ExprKind::Number(number), at)
    }

    fn hash_literal(&mut self) -> Parsed {
        let at = self.at;
        self.at += 1;
        let mut entries = Vec::new();
        loop {
            self.skip_blanks();
            if self.source.char(self.at) == Some('}') {
                self.at += 1;
                return self.node(ExprKind::Hash(entries), at);
            }
            if !entries.is_empty() {
                self.expect(",")?;
            }
            let key = self.expression()?;
            self.skip_blanks();
            if self.source.char(self.at) == Some(',') {
                self.at += 1;
            } else {
                self.expect(":")?;
            }
            entries.push((key, self.expression()?));
        }
    }

    fn special(&mut self) -> Parsed {
        let at = self.at;
        self.at += 1;
        let name = self.name().unwrap_or_default();
        let special = match builtins::snake_case(&name).as_str() {
            "now" => Special::Now,
            "locale" => Special::Locale,
            "lang" => Special::Language,
            "data_model" => Special::DataModel,
            "vars" => Special::Variables,
            _ => {
                return Err(ParseError::unsupported(
                    self.source.position(at),
                    format!("the special variable .{name} is not supported"),
                ));
            }
        };
        self.node(ExprKind::Special(special), at)
    }

    /// A name at this place, with `\-`, `\.`, `\:` and `\#` as escapes; nothing is consumed without one.
    pub(crate) fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        while let Some(c) = self.source.char(self.at) {
            let escaped = c == '\\' && matches!(self.source.char(self.at + 1), Some('-' | '.' | ':' | '#'));
            if escaped {
                name.extend(self.source.char(self.at + 1));
                self.at += 2;
            } else if is_name_start(c) || (!name.is_empty() && is_name_part(c)) {
                name.push(c);
                self.at += 1;
            } else {
                break;
            }
        }
        if name.is_empty() { None } else { Some(name) }
    }
}
