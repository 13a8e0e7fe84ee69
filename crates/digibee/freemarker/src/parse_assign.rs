//! Directives that print nothing: assignments and settings.

use crate::ast::{Assignment, Expr, ExprKind, Node, Operator, Setting};
use crate::builtins::snake_case;
use crate::error::ParseError;
use crate::layout::Kind;
use crate::number::Number;
use crate::parser::Parser;
use crate::settings::Settings;

impl Parser {
    pub(crate) fn assign(&mut self, at: usize) -> Result<Node, ParseError> {
        let mut assignments = Vec::new();
        loop {
            self.skip_blanks();
            if !assignments.is_empty() && matches!(self.source.char(self.at), Some('>' | '/')) {
                break;
            }
            if !assignments.is_empty() && self.source.char(self.at) == Some(',') {
                self.at += 1;
                self.skip_blanks();
            }
            let place = self.at;
            let name = self.assigned_name()?;
            self.skip_blanks();
            if assignments.is_empty() && self.source.char(self.at) == Some('>') {
                return self.capture(name, at);
            }
            assignments.push(self.assignment(name, place)?);
        }
        self.tag_end()?;
        self.leaf(Kind::Silent, at);
        Ok(Node::Assign(assignments))
    }

    fn assigned_name(&mut self) -> Result<String, ParseError> {
        if matches!(self.source.char(self.at), Some('"' | '\'')) {
            let literal = self.text_literal(false)?;
            return literal.literal().map(str::to_owned).ok_or_else(|| {
                ParseError::new(
                    literal.position,
                    "the name of a variable must be a plain string literal",
                )
            });
        }
        self.name()
            .ok_or_else(|| self.error_here("the name of a variable is expected"))
    }

    fn assignment(&mut self, name: String, at: usize) -> Result<Assignment, ParseError> {
        let position = self.source.position(at);
        if self.word("in") {
            return Err(ParseError::unsupported(
                position,
                "assignments into namespaces are not supported",
            ));
        }
        for (sign, operator) in [("++", Operator::Add), ("--", Operator::Subtract)] {
            if self.source.starts_with(self.at, sign) {
                let one = self.node(ExprKind::Number(Number::Integer(1)), self.at)?;
                self.at += sign.len();
                return Ok(Assignment {
                    name,
                    operator: Some(operator),
                    value: one,
                    position,
                });
            }
        }
        let signs = [
            ("+=", Some(Operator::Add)),
            ("-=", Some(Operator::Subtract)),
            ("*=", Some(Operator::Multiply)),
            ("/=", Some(Operator::Divide)),
            ("%=", Some(Operator::Modulo)),
            ("=", None),
        ];
        let Some((sign, operator)) = signs
            .into_iter()
            .find(|(sign, _)| self.source.starts_with(self.at, sign))
        else {
            return Err(self.error_here(format!("'=' is expected after the variable {name}")));
        };
        self.at += sign.len();
        let value = self.expression()?;
        Ok(Assignment {
            name,
            operator,
            value,
            position,
        })
    }

    fn capture(&mut self, name: String, at: usize) -> Result<Node, ParseError> {
        self.tag_end()?;
        let (begin, end) = self.lines(at);
        self.layout.open(begin, end);
        self.layout.captures();
        let body = self.body("assign", at)?;
        let line = self.here(at);
        self.layout.close(line);
        Ok(Node::Capture { name, body })
    }

    pub(crate) fn setting(&mut self, at: usize) -> Result<Node, ParseError> {
        self.skip_blanks();
        let place = self.at;
        let name = self.name().map(|name| snake_case(&name)).unwrap_or_default();
        let setting = match name.as_str() {
            "locale" => Setting::Locale,
            "number_format" => Setting::NumberFormat,
            "boolean_format" => Setting::BooleanFormat,
            "date_format" => Setting::DateFormat,
            "time_format" => Setting::TimeFormat,
            "datetime_format" => Setting::DateTimeFormat,
            "time_zone" => Setting::TimeZone,
            "output_encoding" | "url_escaping_charset" => Setting::Ignored,
            _ => {
                return Err(ParseError::unsupported(
                    self.source.position(place),
                    format!("the setting '{name}' is not supported"),
                ));
            }
        };
        self.expect("=")?;
        let value = self.expression()?;
        self.check_setting(setting, &value)?;
        self.tag_end()?;
        self.leaf(Kind::Silent, at);
        Ok(Node::Setting { setting, value })
    }

    /// A setting that is plain text is checked here, so that a wrong one is found before anything runs.
    fn check_setting(&self, setting: Setting, value: &Expr) -> Result<(), ParseError> {
        match value.literal() {
            Some(text) => Settings::default()
                .set(setting, text)
                .map_err(|problem| ParseError::new(value.position, problem)),
            None => Ok(()),
        }
    }
}
