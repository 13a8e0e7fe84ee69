//! Expressions.

use crate::ast::{Expr, ExprKind, Operator, RangeKind};
use crate::builtins::{self, Builtin};
use crate::error::ParseError;
use crate::parser::{MAX_DEPTH, MAX_NESTING, Parser};
use crate::source::Unit;

/// Words that are operators or separators where a name could stand.
pub(crate) const RESERVED: &[&str] = &["gt", "gte", "lt", "lte", "as", "in", "using", "true", "false"];

type Parsed = Result<Expr, ParseError>;

impl Parser {
    /// Reads a whole expression.
    pub(crate) fn expression(&mut self) -> Parsed {
        self.nested(Self::or)
    }

    fn nested(&mut self, parse: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(self.error_here(format!("the expression is nested more than {MAX_NESTING} levels deep")));
        }
        let result = parse(self);
        self.nesting -= 1;
        result
    }

    pub(crate) fn node(&self, kind: ExprKind, at: usize) -> Parsed {
        let mut expr = Expr {
            kind,
            position: self.source.position(at),
            depth: 0,
        };
        expr.depth = expr.children().iter().map(|child| child.depth).max().unwrap_or(0) + 1;
        if expr.depth > MAX_DEPTH {
            return Err(ParseError::new(
                expr.position,
                format!("the expression has more than {MAX_DEPTH} levels; assign a part of it to a variable"),
            ));
        }
        Ok(expr)
    }

    fn binary(&self, operator: Operator, left: Expr, right: Expr, at: usize) -> Parsed {
        self.node(ExprKind::Binary(operator, Box::new(left), Box::new(right)), at)
    }

    fn or(&mut self) -> Parsed {
        let mut left = self.and()?;
        while let Some(at) = self.operator_of(&["||", "|"]) {
            let right = self.and()?;
            self.wants_boolean(&left)?;
            self.wants_boolean(&right)?;
            left = self.binary(Operator::Or, left, right, at)?;
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed {
        let mut left = self.equality()?;
        loop {
            self.skip_blanks();
            let entity = ["&lt;", "&gt;"]
                .iter()
                .any(|entity| self.source.starts_with(self.at, entity));
            let found = if entity {
                None
            } else {
                self.operator_of(&["&amp;&amp;", "&&", "&", "\\and"])
            };
            let Some(at) = found else { return Ok(left) };
            let right = self.equality()?;
            self.wants_boolean(&left)?;
            self.wants_boolean(&right)?;
            left = self.binary(Operator::And, left, right, at)?;
        }
    }

    fn equality(&mut self) -> Parsed {
        let left = self.relation()?;
        let operator = match self.operator_of(&["!=", "==", "="]) {
            Some(at) if self.source.char(at) == Some('!') => (Operator::NotEqual, at),
            Some(at) => (Operator::Equal, at),
            None => return Ok(left),
        };
        let right = self.relation()?;
        for side in [&left, &right] {
            if matches!(side.kind, ExprKind::Sequence(_) | ExprKind::Hash(_)) {
                return Err(ParseError::new(
                    side.position,
                    "sequences and hashes cannot be compared",
                ));
            }
        }
        self.binary(operator.0, left, right, operator.1)
    }

    fn relation(&mut self) -> Parsed {
        let left = self.range()?;
        let Some((operator, length)) = self.comparison() else {
            return Ok(left);
        };
        let at = self.at;
        self.at += length;
        let right = self.range()?;
        self.wants_number(&left)?;
        self.wants_number(&right)?;
        self.binary(operator, left, right, at)
    }

    /// The comparison that stands here, with its length. `>` ends a tag, so there it counts within parentheses only.
    fn comparison(&mut self) -> Option<(Operator, usize)> {
        use Operator::{Greater, GreaterOrEqual, Less, LessOrEqual};
        self.skip_blanks();
        for (word, operator) in [
            ("gte", GreaterOrEqual),
            ("gt", Greater),
            ("lte", LessOrEqual),
            ("lt", Less),
        ] {
            let escaped = usize::from(self.source.char(self.at) == Some('\\'));
            let end = self.at + escaped + word.len();
            if self.source.starts_with(self.at + escaped, word) && !self.source.char(end).is_some_and(is_name_part) {
                return Some((operator, escaped + word.len()));
            }
        }
        let signs = [
            ("&gt;=", GreaterOrEqual),
            ("&gt;", Greater),
            ("&lt;=", LessOrEqual),
            ("&lt;", Less),
            ("<=", LessOrEqual),
            ("<", Less),
            (">=", GreaterOrEqual),
            (">", Greater),
        ];
        let (sign, operator) = signs
            .into_iter()
            .find(|(sign, _)| self.source.starts_with(self.at, sign))?;
        let tag = ["<#", "</#", "<@", "</@"]
            .iter()
            .any(|tag| self.source.starts_with(self.at, tag));
        let ends = sign.starts_with('>') && self.in_tag && self.parentheses == 0;
        if tag || ends {
            None
        } else {
            Some((operator, sign.len()))
        }
    }

    /// A literal that is no number has no order and no arithmetic, which shows before anything runs.
    fn wants_number(&self, expr: &Expr) -> Result<(), ParseError> {
        match expr.kind {
            ExprKind::Text(_) | ExprKind::Bool(_) | ExprKind::Sequence(_) | ExprKind::Hash(_) => {
                Err(ParseError::new(expr.position, "a number is expected here"))
            }
            _ => Ok(()),
        }
    }

    /// The same for conditions.
    fn wants_boolean(&self, expr: &Expr) -> Result<(), ParseError> {
        match expr.kind {
            ExprKind::Text(_) | ExprKind::Number(_) | ExprKind::Sequence(_) | ExprKind::Hash(_) => {
                Err(ParseError::new(expr.position, "a boolean is expected here"))
            }
            _ => Ok(()),
        }
    }

    fn range(&mut self) -> Parsed {
        let start = self.sum()?;
        self.skip_blanks();
        let at = self.at;
        if !self.source.starts_with(at, "..") {
            return Ok(start);
        }
        self.at += 2;
        let kind = match self.source.char(self.at) {
            Some('<' | '!') => RangeKind::Exclusive,
            Some('*') => RangeKind::Length,
            _ => RangeKind::Inclusive,
        };
        if kind != RangeKind::Inclusive {
            self.at += 1;
        }
        let end = if kind != RangeKind::Inclusive || self.starts_expression() {
            Some(Box::new(self.sum()?))
        } else {
            None
        };
        self.wants_number(&start)?;
        if let Some(end) = &end {
            self.wants_number(end)?;
        }
        self.node(
            ExprKind::Range {
                start: Box::new(start),
                end,
                kind,
            },
            at,
        )
    }

    fn sum(&mut self) -> Parsed {
        let mut left = self.product()?;
        loop {
            self.skip_blanks();
            let at = self.at;
            let operator = match self.source.char(at) {
                Some('+') if self.source.char(at + 1) != Some('+') => Operator::Add,
                Some('-') if self.source.char(at + 1) != Some('-') => Operator::Subtract,
                _ => return Ok(left),
            };
            self.at += 1;
            let right = self.product()?;
            if operator == Operator::Subtract {
                self.wants_number(&left)?;
                self.wants_number(&right)?;
            }
            left = self.binary(operator, left, right, at)?;
        }
    }

    fn product(&mut self) -> Parsed {
        let mut left = self.unary()?;
        loop {
            self.skip_blanks();
            let at = self.at;
            let operator = match self.source.char(at) {
                Some('*') => Operator::Multiply,
                Some('/') if !(self.in_tag && self.source.char(at + 1) == Some('>')) => Operator::Divide,
                Some('%') => Operator::Modulo,
                _ => return Ok(left),
            };
            self.at += 1;
            let right = self.unary()?;
            self.wants_number(&left)?;
            self.wants_number(&right)?;
            left = self.binary(operator, left, right, at)?;
        }
    }

    fn unary(&mut self) -> Parsed {
        self.skip_blanks();
        let at = self.at;
        let wrap: fn(Box<Expr>) -> ExprKind = match self.source.char(at) {
            Some('!') => ExprKind::Not,
            Some('-') => ExprKind::Negate,
            Some('+') => ExprKind::Plus,
            _ => return self.postfix(),
        };
        self.at += 1;
        // A sign stands before a value, `!` also before another `!`.
        self.skip_blanks();
        let again = self.source.char(at) == Some('!') && self.source.char(self.at) == Some('!');
        let inner = if again {
            self.nested(Self::unary)?
        } else {
            self.postfix()?
        };
        self.node(wrap(Box::new(inner)), at)
    }

    fn postfix(&mut self) -> Parsed {
        let mut expr = self.primary()?;
        loop {
            self.skip_blanks();
            let at = self.at;
            let next = self.source.char(at + 1);
            expr = match self.source.char(at) {
                Some('.') if next != Some('.') => {
                    self.at += 1;
                    self.skip_blanks();
                    let Some(name) = self.name() else {
                        return Err(self.error_here("a name is expected after '.'"));
                    };
                    self.node(ExprKind::Field(Box::new(expr), name), at)?
                }
                Some('[') => {
                    let index = self.bracketed()?;
                    self.node(ExprKind::Index(Box::new(expr), Box::new(index)), at)?
                }
                Some('(') => {
                    return Err(ParseError::unsupported(
                        self.source.position(at),
                        "calls of functions and methods are not supported; only built-ins (?name) take arguments",
                    ));
                }
                Some('?') if next == Some('?') => {
                    self.at += 2;
                    self.node(ExprKind::Exists(Box::new(expr)), at)?
                }
                Some('?') => self.builtin(expr)?,
                Some('!') if next != Some('=') => {
                    self.at += 1;
                    let fallback = if self.starts_expression() {
                        Some(Box::new(self.expression()?))
                    } else {
                        None
                    };
                    self.node(ExprKind::Default(Box::new(expr), fallback), at)?
                }
                _ => return Ok(expr),
            };
        }
    }

    fn bracketed(&mut self) -> Parsed {
        self.at += 1;
        let index = self.expression()?;
        self.expect("]")?;
        Ok(index)
    }

    fn builtin(&mut self, target: Expr) -> Parsed {
        self.at += 1;
        self.skip_blanks();
        let at = self.at;
        let Some(written) = self.name() else {
            return Err(self.error_here("the name of a built-in is expected after '?'"));
        };
        let name = builtins::snake_case(&written);
        let iso = builtins::iso_family(&name);
        let Some(builtin) = iso.as_ref().map(|(builtin, _)| *builtin).or(Builtin::from_name(&name)) else {
            return Err(self.unknown_builtin(at, &name));
        };
        if builtin.is_loop() && !matches!(&target.kind, ExprKind::Variable(name) if self.scope.contains(name)) {
            return Err(ParseError::new(
                self.source.position(at),
                format!("?{name} wants the variable of a surrounding <#list> on its left side"),
            ));
        }
        if builtin == Builtin::NoEsc && !self.escaping {
            return Err(ParseError::new(
                self.source.position(at),
                "?no_esc has a meaning only where escaping is on; set the escape option to html, or remove it",
            ));
        }
        self.skip_blanks();
        let with_format = matches!(
            builtin,
            Builtin::String | Builtin::Date | Builtin::DateTime | Builtin::Time
        );
        let mut arguments = match self.source.char(self.at) {
            Some('(') if builtin.takes_lambda() => vec![self.lambda(&name)?],
            Some('(') => self.arguments()?,
            Some('[') if with_format => vec![self.bracketed()?],
            Some('.') if with_format && self.source.char(self.at + 1) != Some('.') => {
                let dot = self.at;
                self.at += 1;
                let Some(format) = self.name() else {
                    return Err(self.error_here("the name of a format is expected after '.'"));
                };
                vec![self.text_node(format, dot)?]
            }
            _ => Vec::new(),
        };
        let (least, most) = builtin.arity();
        if arguments.len() < least || arguments.len() > most {
            let wanted = if least == most {
                format!("{least}")
            } else {
                format!("{least} to {most}")
            };
            return Err(ParseError::new(
                self.source.position(at),
                format!("?{name} takes {wanted} arguments, not {}", arguments.len()),
            ));
        }
        self.check_flags(builtin, &arguments)?;
        if let Some((_, form)) = iso {
            // What the name says besides goes in front of what is written.
            arguments.insert(0, self.text_node(form, at)?);
        }
        self.node(
            ExprKind::Builtin {
                target: Box::new(target),
                builtin,
                arguments,
            },
            at,
        )
    }

    /// `(x -> expression)`, or with the variable in parentheses of its own.
    fn lambda(&mut self, builtin: &str) -> Parsed {
        self.expect("(")?;
        self.parentheses += 1;
        self.skip_blanks();
        let at = self.at;
        let in_parentheses = self.source.char(self.at) == Some('(');
        self.at += usize::from(in_parentheses);
        self.skip_blanks();
        let name = self.name();
        self.skip_blanks();
        let closed = !in_parentheses || self.source.char(self.at) == Some(')');
        self.at += usize::from(in_parentheses && closed);
        self.skip_blanks();
        let Some(name) = name.filter(|_| closed && self.source.starts_with(self.at, "->")) else {
            return Err(ParseError::unsupported(
                self.source.position(at),
                format!("?{builtin} takes a lambda with one variable here, such as {builtin}(x -> x.name)"),
            ));
        };
        self.at += 2;
        let body = self.expression()?;
        self.expect(")")?;
        self.parentheses -= 1;
        self.node(ExprKind::Lambda(name, Box::new(body)), at)
    }

    /// Flags say how a text is looked for, which has to be known when the template is checked.
    fn check_flags(&self, builtin: Builtin, arguments: &[Expr]) -> Result<(), ParseError> {
        let Some(flags) = builtin.flags_at().and_then(|at| arguments.get(at)) else {
            return Ok(());
        };
        match flags.literal() {
            Some(text) if text.chars().all(|flag| "irfmsc".contains(flag)) => Ok(()),
            Some(_) => Err(ParseError::unsupported(
                flags.position,
                "of the flags only i (ignore case), r (regular expression), f (first only), m, s and c are supported",
            )),
            None => Err(ParseError::unsupported(
                flags.position,
                "flags must be a string literal",
            )),
        }
    }

    fn unknown_builtin(&self, at: usize, name: &str) -> ParseError {
        let position = self.source.position(at);
        if builtins::NOT_SUPPORTED.contains(&name) || name.starts_with("iso_") {
            return ParseError::unsupported(position, format!("the built-in ?{name} is not supported"));
        }
        let hint = pipepost_suggest::nearest(name, builtins::NAMES.iter().copied())
            .map(|near| format!("; did you mean ?{near}?"))
            .unwrap_or_default();
        ParseError::new(position, format!("there is no built-in ?{name}{hint}"))
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, ParseError> {
        self.at += 1;
        self.parentheses += 1;
        let result = self.list_until(')');
        self.parentheses -= 1;
        result
    }

    /// Expressions separated by commas up to a closing sign, which is consumed.
    pub(crate) fn list_until(&mut self, close: char) -> Result<Vec<Expr>, ParseError> {
        let mut items = Vec::new();
        loop {
            self.skip_blanks();
            if self.source.char(self.at) == Some(close) {
                self.at += 1;
                return Ok(items);
            }
            if !items.is_empty() && self.source.char(self.at) == Some(',') {
                self.at += 1;
            } else if !items.is_empty() {
                return Err(self.error_here(format!("',' or '{close}' is expected")));
            }
            items.push(self.expression()?);
        }
    }

    /// Whether an expression starts here: it decides if a default or a range has a right side.
    fn starts_expression(&mut self) -> bool {
        self.skip_blanks();
        match self.source.unit(self.at) {
            Some(Unit::Char('"' | '\'' | '(' | '[' | '{' | '+' | '-')) => true,
            Some(Unit::Char('.')) => self.source.char(self.at + 1) != Some('.'),
            Some(Unit::Char(c)) if c.is_ascii_digit() => true,
            Some(Unit::Char(_)) => {
                let at = self.at;
                let name = self.name();
                self.at = at;
                name.is_some_and(|name| matches!(name.as_str(), "true" | "false") || !RESERVED.contains(&name.as_str()))
            }
            // Let the expression's parser say what is wrong with it.
            Some(Unit::Value(_)) => true,
            None => false,
        }
    }

    fn operator_of(&mut self, signs: &[&str]) -> Option<usize> {
        self.skip_blanks();
        let sign = signs.iter().find(|sign| self.source.starts_with(self.at, sign))?;
        let at = self.at;
        self.at += sign.len();
        Some(at)
    }
}

pub(crate) fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '$' | '@')
}

pub(crate) fn is_name_part(c: char) -> bool {
    is_name_start(c) || c.is_numeric()
}
