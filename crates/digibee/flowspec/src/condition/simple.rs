use std::cmp::Ordering;

use fancy_regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::{ConditionError, ConditionSyntaxError};
use crate::problem::Position;

/// A condition in the `simple` language: alternatives, each a list of comparisons that must all hold.
#[derive(Debug, Clone)]
pub struct Simple {
    alternatives: Vec<Vec<Comparison>>,
}

/// One comparison.
#[derive(Debug, Clone)]
pub struct Comparison {
    path: Vec<Segment>,
    operator: Operator,
    literal: Literal,
    pattern: Option<Regex>,
}

/// An operator: how two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`: equal, where upper and lower case are the same.
    EqualIgnoringCase,
    /// `!=~`: not equal, where upper and lower case are the same.
    NotEqualIgnoringCase,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `regex`: the whole text matches.
    Regex,
}

/// The literal that a value is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Text in quotes.
    Text(String),
    /// A number.
    Number(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// `null`
    Null,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Name(String),
    Index(usize),
}

/// Longest first, so that none hides another.
const OPERATORS: [(&str, Operator); 9] = [
    ("!=~", Operator::NotEqualIgnoringCase),
    ("==", Operator::Equal),
    ("=~", Operator::EqualIgnoringCase),
    ("!=", Operator::NotEqual),
    (">=", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("regex", Operator::Regex),
];

/// A pattern that backtracks more often than this is given up.
const BACKTRACK_LIMIT: usize = 100_000;

impl Simple {
    /// Parses a condition.
    ///
    /// # Errors
    /// Returns the first position that is not understood, and what is expected there.
    pub fn parse(text: &str) -> Result<Self, ConditionSyntaxError> {
        let mut parser = Parser { text, at: 0 };
        let mut alternatives = vec![vec![parser.comparison()?]];
        loop {
            parser.skip_blank();
            if parser.take("&&") {
                let next = parser.comparison()?;
                if let Some(all) = alternatives.last_mut() {
                    all.push(next);
                }
            } else if parser.take("||") {
                alternatives.push(vec![parser.comparison()?]);
            } else if parser.rest().is_empty() {
                return Ok(Self { alternatives });
            } else {
                return Err(parser.expected("`&&`, `||` or the end"));
            }
        }
    }

    /// Checks whether the condition holds for this message.
    ///
    /// # Errors
    /// Fails if a regular expression takes too long.
    pub fn matches(&self, message: &Value) -> Result<bool, ConditionError> {
        for all in &self.alternatives {
            let mut holds = true;
            for comparison in all {
                holds = holds && comparison.matches(message)?;
            }
            if holds {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the comparisons, in the order of the text.
    pub fn comparisons(&self) -> impl Iterator<Item = &Comparison> {
        self.alternatives.iter().flatten()
    }
}

impl Comparison {
    /// Returns the path with dots, without the `$`.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in &self.path {
            match segment {
                Segment::Name(name) if path.is_empty() => path.push_str(name),
                Segment::Name(name) => {
                    path.push('.');
                    path.push_str(name);
                }
                Segment::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }

    /// Returns the operator.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// Returns the literal that the value is compared with.
    pub fn literal(&self) -> &Literal {
        &self.literal
    }

    fn matches(&self, message: &Value) -> Result<bool, ConditionError> {
        let found = self.find(message);
        let order = || order(found, &self.literal);
        Ok(match self.operator {
            Operator::Equal => order() == Some(Ordering::Equal),
            Operator::NotEqual => order() != Some(Ordering::Equal),
            Operator::EqualIgnoringCase => equal_ignoring_case(found, &self.literal),
            Operator::NotEqualIgnoringCase => !equal_ignoring_case(found, &self.literal),
            Operator::Greater => order() == Some(Ordering::Greater),
            Operator::GreaterOrEqual => matches!(order(), Some(Ordering::Greater | Ordering::Equal)),
            Operator::Less => order() == Some(Ordering::Less),
            Operator::LessOrEqual => matches!(order(), Some(Ordering::Less | Ordering::Equal)),
            Operator::Regex => match (&self.pattern, text_of(found)) {
                (Some(pattern), Some(text)) => pattern.is_match(&text).map_err(|_| ConditionError {
                    reason: "the regular expression takes too long".to_owned(),
                })?,
                _ => false,
            },
        })
    }

    fn find<'m>(&self, message: &'m Value) -> &'m Value {
        let follow = |value: &'m Value, segment: &Segment| match segment {
            Segment::Name(name) => value.get(name),
            Segment::Index(index) => value.get(index),
        };
        self.path.iter().try_fold(message, follow).unwrap_or(&Value::Null)
    }
}

/// None where the two cannot be compared. Null equals nothing but null.
fn order(found: &Value, literal: &Literal) -> Option<Ordering> {
    match (found, literal) {
        (Value::Null, Literal::Null) => Some(Ordering::Equal),
        (Value::Null, _) | (_, Literal::Null) => None,
        _ => match (number_of(found), literal.number()) {
            (Some(found), Some(literal)) => found.partial_cmp(&literal),
            _ => Some(text_of(found)?.as_str().cmp(&literal.text())),
        },
    }
}

fn equal_ignoring_case(found: &Value, literal: &Literal) -> bool {
    match text_of(found) {
        Some(text) => text.to_lowercase() == literal.text().to_lowercase(),
        None => found.is_null() && *literal == Literal::Null,
    }
}

fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl Literal {
    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            Self::Boolean(_) | Self::Null => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Boolean(boolean) => boolean.to_string(),
            Self::Null => "null".to_owned(),
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_blank(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expected(&self, what: &str) -> ConditionSyntaxError {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        ConditionSyntaxError {
            position: Position { line, column },
            expected: what.to_owned(),
        }
    }

    fn comparison(&mut self) -> Result<Comparison, ConditionSyntaxError> {
        self.skip_blank();
        if !self.take("#{") {
            return Err(self.expected("`#{path}`"));
        }
        let path = self.path()?;
        self.skip_blank();
        let operator = OPERATORS
            .iter()
            .find(|(token, _)| self.take(token))
            .map(|(_, operator)| *operator);
        let operator =
            operator.ok_or_else(|| self.expected("one of `==`, `!=`, `=~`, `!=~`, `>`, `>=`, `<`, `<=`, `regex`"))?;
        self.skip_blank();
        let start = self.at;
        let literal = self.literal()?;
        let mut pattern = None;
        if operator == Operator::Regex {
            let source = format!(r"\A(?:{})\z", literal.text());
            let built = RegexBuilder::new(&source).backtrack_limit(BACKTRACK_LIMIT).build();
            pattern = Some(built.map_err(|_| {
                self.at = start;
                self.expected("a regular expression")
            })?);
        }
        Ok(Comparison {
            path,
            operator,
            literal,
            pattern,
        })
    }

    fn path(&mut self) -> Result<Vec<Segment>, ConditionSyntaxError> {
        let mut path = Vec::new();
        self.skip_blank();
        if self.take("$") && self.rest().trim_start().starts_with('}') {
            self.skip_blank();
            self.take("}");
            return Ok(path);
        }
        self.take(".");
        loop {
            if self.take("[") {
                path.push(self.bracket()?);
            } else {
                path.push(Segment::Name(self.name()?));
            }
            self.skip_blank();
            if self.take("}") {
                return Ok(path);
            }
            if !self.take(".") && !self.rest().starts_with('[') {
                return Err(self.expected("`.`, `[` or `}`"));
            }
        }
    }

    fn name(&mut self) -> Result<String, ConditionSyntaxError> {
        let rest = self.rest();
        let length = rest
            .find(|c: char| c.is_whitespace() || ".[]{}'\"".contains(c))
            .unwrap_or(rest.len());
        if length == 0 {
            return Err(self.expected("the name of a field"));
        }
        self.at += length;
        Ok(rest.get(..length).unwrap_or_default().to_owned())
    }

    fn bracket(&mut self) -> Result<Segment, ConditionSyntaxError> {
        let segment = if self.rest().starts_with(['\'', '"']) {
            Segment::Name(self.quoted()?)
        } else {
            let rest = self.rest();
            let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let index = rest.get(..length).and_then(|digits| digits.parse().ok());
            let index = index.ok_or_else(|| self.expected("an index or a quoted name"))?;
            self.at += length;
            Segment::Index(index)
        };
        if self.take("]") {
            Ok(segment)
        } else {
            Err(self.expected("`]`"))
        }
    }

    /// A text in quotes of either sort. A backslash protects a quote or a backslash, and is itself before all else, so
    /// that patterns need not double theirs.
    fn quoted(&mut self) -> Result<String, ConditionSyntaxError> {
        let mut characters = self.rest().char_indices().peekable();
        let quote = characters.next().map(|(_, quote)| quote);
        let mut text = String::new();
        while let Some((offset, character)) = characters.next() {
            if Some(character) == quote {
                self.at += offset + character.len_utf8();
                return Ok(text);
            }
            let escaped = characters.peek().map(|(_, next)| *next);
            if character == '\\' && (escaped == quote || escaped == Some('\\')) {
                characters.next();
                text.extend(escaped);
            } else {
                text.push(character);
            }
        }
        self.at = self.text.len();
        Err(self.expected("the closing quote"))
    }

    fn literal(&mut self) -> Result<Literal, ConditionSyntaxError> {
        if self.rest().starts_with(['\'', '"']) {
            return self.quoted().map(Literal::Text);
        }
        let rest = self.rest();
        let length = rest
            .find(|c: char| c.is_whitespace() || "&|".contains(c))
            .unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default();
        let literal = match word {
            "true" => Some(Literal::Boolean(true)),
            "false" => Some(Literal::Boolean(false)),
            "null" => Some(Literal::Null),
            _ => word
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite())
                .map(Literal::Number),
        };
        let literal = literal.ok_or_else(|| self.expected("a text in single quotes, a number, true, false or null"))?;
        self.at += length;
        Ok(literal)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn holds(condition: &str, message: Value) -> bool {
        Simple::parse(condition).unwrap().matches(&message).unwrap()
    }

    #[test]
    fn each_operator_compares() {
        let message = json!({"n": 5, "t": "5", "s": "Paid", "b": true, "o": {"a-b": [{"x:y": "z"}]}, "nil": null});
        for (condition, expected) in [
            ("#{n} == 5", true),
            ("#{t} == 5", true),
            ("#{n} == '5'", true),
            ("#{n} != 5", false),
            ("#{n} > 4.5", true),
            ("#{n} >= 5", true),
            ("#{n} < 5", false),
            ("#{n} <= 5", true),
            ("#{s} == 'paid'", false),
            ("#{s} =~ 'paid'", true),
            ("#{s} !=~ 'paid'", false),
            ("#{s} regex 'P.*d'", true),
            ("#{s} regex 'ai'", false),
            (r"#{t} regex '\d+'", true),
            ("#{b} == true", true),
            ("#{b} == 'true'", true),
            ("#{nil} == null", true),
            ("#{missing} == null", true),
            ("#{missing} != null", false),
            ("#{missing} > 1", false),
            ("#{$.o.a-b[0].x:y} == 'z'", true),
            ("#{o['a-b'][0]['x:y']} == 'z'", true),
            ("#{s} > 'Paic'", true),
        ] {
            assert_eq!(holds(condition, message.clone()), expected, "{condition}");
        }
    }

    #[test]
    fn and_binds_closer_than_or() {
        let message = json!({"a": 1, "b": 2});
        assert!(holds("#{a} == 1 || #{a} == 2 && #{b} == 9", message.clone()));
        assert!(!holds("#{a} == 2 && #{b} == 2 || #{b} == 9", message));
    }

    #[test]
    fn a_quote_is_protected_and_operators_within_text_are_text() {
        assert!(holds(r"#{a} == 'it\'s && so'", json!({"a": "it's && so"})));
    }

    #[test]
    fn what_makes_no_sense_is_pointed_at() {
        for (condition, column) in [
            ("", 1),
            ("a == 1", 1),
            ("#{a} = 1", 6),
            ("#{a} == x", 9),
            ("#{a} == 'x", 11),
            ("#{a} == 1 #{b}", 11),
            ("#{a} regex '('", 12),
        ] {
            let error = Simple::parse(condition).unwrap_err();
            assert_eq!(error.position.column, column, "{condition}: {error}");
        }
    }

    #[test]
    fn a_pattern_that_runs_away_is_stopped() {
        let condition = Simple::parse("#{a} regex '(a|b|ab)*(?=c)'").unwrap();
        assert!(condition.matches(&json!({"a": "ab".repeat(60)})).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[#{}$.\\[\\]'\\\\a-c0-9=!~<>&| é]{0,40}") {
            if let Ok(condition) = Simple::parse(&text) {
                let _ = condition.matches(&json!({"a": {"b": [1, "c"]}}));
            }
        }
    }
}
