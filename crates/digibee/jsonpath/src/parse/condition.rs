//! Conditions: the text inside `?(…)`.

use super::{Parser, is_name_char};
use crate::ParseError;
use crate::filter::{Condition, Operand, Operator};
use crate::java_regex::{Flags, JavaRegex};

impl Parser<'_> {
    /// `( condition )`.
    pub(super) fn parenthesised(&mut self) -> Result<Condition, ParseError> {
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

    pub(super) fn operand(&mut self) -> Result<Operand, ParseError> {
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
                'u' => flags.unicode_case = true,
                _ => return Err(self.unexpected("a flag: d, i, m, s, u, x or U")),
            }
            self.at += 1;
        }
        JavaRegex::whole(&pattern, flags)
            .map_err(|error| self.error(start, "a regular expression", &format!("another, because {error}")))
    }
}
