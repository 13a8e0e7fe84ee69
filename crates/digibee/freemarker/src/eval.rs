//! The evaluation of expressions.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use serde_json::Value as Json;

use crate::ast::{Expr, ExprKind, Operator, RangeKind, Special, TextPart};
use crate::error::{Position, RenderError, RenderErrorKind};
use crate::number::Number;
use crate::render::{Run, describe, missing};
use crate::strings;
use crate::value::{DateKind, DateValue, Entries, MAX_VALUE_DEPTH, Range, Value};

type Evaluated<'a> = Result<Option<Value<'a>>, RenderError>;

impl<'a> Run<'a> {
    /// Evaluates; `None` is a missing value.
    pub(crate) fn eval(&mut self, expr: &'a Expr) -> Evaluated<'a> {
        match &expr.kind {
            ExprKind::Text(parts) => self.text_literal(parts, expr.position).map(Some),
            ExprKind::Number(number) => Ok(Some(Value::Number(*number))),
            ExprKind::Bool(value) => Ok(Some(Value::Bool(*value))),
            ExprKind::Sequence(items) => self.sequence(items, expr.position).map(Some),
            ExprKind::Hash(entries) => self.hash(entries, expr.position).map(Some),
            ExprKind::Variable(name) => Ok(self.lookup(name)),
            ExprKind::Special(special) => Ok(Some(self.special(*special))),
            ExprKind::Field(target, name) => self.field(target, name),
            ExprKind::Index(target, index) => self.index(target, index),
            ExprKind::Builtin {
                target,
                builtin,
                arguments,
            } => self.builtin(target, *builtin, arguments, expr.position),
            ExprKind::Default(target, fallback) => self.default(target, fallback.as_deref()),
            ExprKind::Exists(target) => Ok(Some(Value::Bool(self.lenient(target)?.is_some()))),
            ExprKind::Not(inner) => Ok(Some(Value::Bool(!self.boolean(inner)?))),
            ExprKind::Negate(inner) => Ok(Some(Value::Number(self.number(inner)?.negate()))),
            ExprKind::Plus(inner) => Ok(Some(Value::Number(self.number(inner)?))),
            ExprKind::Binary(operator, left, right) => self.binary(*operator, left, right, expr.position).map(Some),
            ExprKind::Range { start, end, kind } => self.range(start, end.as_deref(), *kind).map(Some),
            ExprKind::Parenthesis(inner) => self.eval(inner),
            // The parser lets a lambda stand where a built-in takes one, and that evaluates its body.
            ExprKind::Lambda(..) => Ok(None),
        }
    }

    /// Evaluates what must be there.
    pub(crate) fn value(&mut self, expr: &'a Expr) -> Result<Value<'a>, RenderError> {
        self.eval(expr)?.ok_or_else(|| missing(expr.position, &describe(expr)))
    }

    /// Evaluates where missing is allowed: the last step always, in parentheses any step.
    pub(crate) fn lenient(&mut self, expr: &'a Expr) -> Evaluated<'a> {
        match self.eval(expr) {
            Err(error) if error.kind() == RenderErrorKind::Missing && matches!(expr.kind, ExprKind::Parenthesis(_)) => {
                Ok(None)
            }
            other => other,
        }
    }

    pub(crate) fn boolean(&mut self, expr: &'a Expr) -> Result<bool, RenderError> {
        match self.value(expr)? {
            Value::Bool(value) => Ok(value),
            other => Err(unexpected(expr, "a boolean", &other)),
        }
    }

    pub(crate) fn number(&mut self, expr: &'a Expr) -> Result<Number, RenderError> {
        match self.value(expr)? {
            Value::Number(number) => Ok(number),
            other => Err(unexpected(expr, "a number", &other)),
        }
    }

    /// A value as text: strings, numbers and dates have one.
    pub(crate) fn text(&mut self, expr: &'a Expr) -> Result<Cow<'a, str>, RenderError> {
        let value = self.value(expr)?;
        self.printed(value, || describe(expr), expr.position)
    }

    pub(crate) fn printed(
        &mut self,
        value: Value<'a>,
        what: impl FnOnce() -> String,
        position: Position,
    ) -> Result<Cow<'a, str>, RenderError> {
        match value {
            Value::Text(text) => Ok(text),
            Value::Nothing => Ok(Cow::Borrowed("")),
            Value::Number(number) => Ok(Cow::Owned(self.settings.number(number))),
            Value::Date(date) => Ok(Cow::Owned(self.settings.date(&date))),
            Value::Bool(value) => match self.settings.booleans() {
                Some((yes, no)) => Ok(Cow::Owned(if value { yes } else { no }.to_owned())),
                None => Err(RenderError::invalid(
                    position,
                    format!(
                        "{} is a boolean, which has no text of its own; use ?c or ?string(\"yes\", \"no\")",
                        what()
                    ),
                )),
            },
            other => Err(RenderError::invalid(
                position,
                format!("{} is {}, which cannot be printed", what(), other.kind()),
            )),
        }
    }

    fn text_literal(&mut self, parts: &'a [TextPart], position: Position) -> Result<Value<'a>, RenderError> {
        if let [TextPart::Text(text)] = parts {
            return Ok(Value::Text(Cow::Borrowed(text)));
        }
        let mut out = String::new();
        for part in parts {
            let before = out.len();
            match part {
                TextPart::Text(text) => out.push_str(text),
                TextPart::Inserted(index) => out.push_str(self.inserted_text(*index, position)?),
                TextPart::Interpolation(expr) => out.push_str(&self.text(expr)?),
            }
            self.grow(out.len(), out.len() - before, position)?;
        }
        Ok(Value::text(out))
    }

    fn sequence(&mut self, items: &'a [Expr], position: Position) -> Result<Value<'a>, RenderError> {
        let values = items
            .iter()
            .map(|item| self.value(item).map(Some))
            .collect::<Result<Vec<_>, _>>()?;
        self.work(values.len(), position)?;
        bounded(Value::sequence(values), position)
    }

    fn hash(&mut self, entries: &'a [(Expr, Expr)], position: Position) -> Result<Value<'a>, RenderError> {
        let mut built: Entries<'a> = Vec::new();
        for (key, value) in entries {
            let Value::Text(key) = self.value(key)? else {
                return Err(RenderError::invalid(key.position, "the key of a hash must be a string"));
            };
            let value = self.value(value)?;
            match built.iter_mut().find(|(known, _)| *known == key) {
                Some(entry) => entry.1 = value,
                None => built.push((key, value)),
            }
        }
        self.work(built.len(), position)?;
        bounded(Value::hash(built), position)
    }

    fn special(&self, special: Special) -> Value<'a> {
        match special {
            Special::Now => Value::Date(Rc::new(DateValue {
                when: self.now.to_zoned(self.settings.zone.clone()),
                kind: DateKind::DateTime,
            })),
            Special::Locale => Value::Text(Cow::Borrowed(self.settings.locale.tag())),
            Special::Language => Value::Text(Cow::Borrowed(&self.settings.locale.tag()[..2])),
            Special::DataModel => Value::Model,
            Special::Variables => Value::Variables,
        }
    }

    fn field(&mut self, target: &'a Expr, name: &'a str) -> Evaluated<'a> {
        let owner = self.value(target)?;
        self.entry(&owner, name, target)
    }

    fn entry(&mut self, owner: &Value<'a>, name: &str, target: &'a Expr) -> Evaluated<'a> {
        match owner {
            Value::Json(Json::Object(entries)) => Ok(entries.get(name).and_then(Value::from_json)),
            Value::Hash(entries) => {
                self.work(entries.content.len() / 8, target.position)?;
                Ok(entries
                    .content
                    .iter()
                    .find(|(key, _)| key == name)
                    .map(|(_, value)| value.clone()))
            }
            Value::Model => Ok(self.model.get(name).and_then(Value::from_json)),
            Value::Variables => Ok(self.lookup(name)),
            Value::Nothing => Ok(None),
            other => Err(RenderError::invalid(
                target.position,
                format!("{} is {} and has no field '{name}'", describe(target), other.kind()),
            )),
        }
    }

    fn index(&mut self, target: &'a Expr, index: &'a Expr) -> Evaluated<'a> {
        let owner = self.value(target)?;
        let key = self.value(index)?;
        // Numbers and dates have characters too, but no fields.
        let owner = match owner {
            Value::Number(_) | Value::Date(_) if !matches!(key, Value::Text(_)) => {
                Value::Text(self.printed(owner, String::new, target.position)?)
            }
            other => other,
        };
        match key {
            Value::Text(name) => self.entry(&owner, &name, target),
            Value::Number(number) => {
                let at = number.truncate();
                match &owner {
                    Value::Text(text) => {
                        let found = usize::try_from(at).ok().and_then(|at| strings::slice(text, at, at + 1));
                        found.map(|text| Some(Value::text(text))).ok_or_else(|| {
                            RenderError::invalid(index.position, format!("the index {at} lies outside the string"))
                        })
                    }
                    _ if owner.is_sequence() => Ok(usize::try_from(at).ok().and_then(|at| owner.element(at)).flatten()),
                    other => Err(RenderError::invalid(
                        target.position,
                        format!(
                            "{} is {}, which has no elements by number",
                            describe(target),
                            other.kind()
                        ),
                    )),
                }
            }
            Value::Range(range) => self.slice(&owner, range, target, index.position).map(Some),
            other => Err(RenderError::invalid(
                index.position,
                format!("{} cannot be an index; a number, a range or a string can", other.kind()),
            )),
        }
    }

    fn default(&mut self, target: &'a Expr, fallback: Option<&'a Expr>) -> Evaluated<'a> {
        match (self.lenient(target)?, fallback) {
            (Some(value), _) => Ok(Some(value)),
            (None, Some(fallback)) => self.eval(fallback),
            (None, None) => Ok(Some(Value::Nothing)),
        }
    }

    fn range(&mut self, start: &'a Expr, end: Option<&'a Expr>, kind: RangeKind) -> Result<Value<'a>, RenderError> {
        let first = self.number(start)?.truncate();
        let Some(end) = end else {
            return Ok(Value::Range(Range {
                start: first,
                step: 1,
                length: None,
                adaptive: true,
                inclusive: false,
            }));
        };
        let second = self.number(end)?.truncate();
        let last = if kind == RangeKind::Length {
            first.saturating_add(second)
        } else {
            second
        };
        let step = if first <= last { 1 } else { -1 };
        let inclusive = kind == RangeKind::Inclusive;
        let length = last.abs_diff(first).saturating_add(u64::from(inclusive));
        Ok(Value::Range(Range {
            start: first,
            step,
            length: Some(length),
            adaptive: kind == RangeKind::Length,
            inclusive,
        }))
    }

    fn binary(
        &mut self,
        operator: Operator,
        left: &'a Expr,
        right: &'a Expr,
        position: Position,
    ) -> Result<Value<'a>, RenderError> {
        match operator {
            Operator::Or => Ok(Value::Bool(self.boolean(left)? || self.boolean(right)?)),
            Operator::And => Ok(Value::Bool(self.boolean(left)? && self.boolean(right)?)),
            Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Modulo => {
                let value = self.value(left)?;
                if operator != Operator::Add && !matches!(value, Value::Number(_)) {
                    return Err(unexpected(left, "a number", &value));
                }
                let more = self.value(right)?;
                self.arithmetic(operator, value, more, position)
            }
            _ => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.compare(operator, &left, &right, position).map(Value::Bool)
            }
        }
    }

    pub(crate) fn arithmetic(
        &mut self,
        operator: Operator,
        left: Value<'a>,
        right: Value<'a>,
        position: Position,
    ) -> Result<Value<'a>, RenderError> {
        if let (Value::Number(left), Value::Number(right)) = (&left, &right) {
            let result = match operator {
                Operator::Add => Some(left.add(*right)),
                Operator::Subtract => Some(left.subtract(*right)),
                Operator::Multiply => Some(left.multiply(*right)),
                Operator::Divide => left.divide(*right),
                _ => left.modulo(*right),
            };
            return match result {
                Some(result) if result.is_finite() => Ok(Value::Number(result)),
                Some(_) => Err(RenderError::invalid(position, "the result is too large for a number")),
                None => Err(RenderError::invalid(position, "a division by zero has no result")),
            };
        }
        if operator != Operator::Add {
            return Err(RenderError::invalid(
                position,
                format!("arithmetic wants two numbers, not {} and {}", left.kind(), right.kind()),
            ));
        }
        if matches!((&left, &right), (Value::Nothing, Value::Nothing)) {
            return Ok(Value::Nothing);
        }
        if left.is_sequence() && right.is_sequence() {
            return self.join_sequences(&left, &right, position);
        }
        if let (Some(mut entries), Some(more)) = (entries_of(&left), entries_of(&right)) {
            self.work((entries.len() + 1).saturating_mul(more.len() + 1), position)?;
            for (key, value) in more {
                match entries.iter_mut().find(|(known, _)| *known == key) {
                    Some(entry) => entry.1 = value,
                    None => entries.push((key, value)),
                }
            }
            return bounded(Value::hash(entries), position);
        }
        let what = || "a side of '+'".to_owned();
        let mut text = self.printed(left, what, position)?.into_owned();
        let more = self.printed(right, what, position)?;
        self.check_length(text.len() + more.len(), position)?;
        text.push_str(&more);
        Ok(Value::text(text))
    }

    fn join_sequences(
        &mut self,
        left: &Value<'a>,
        right: &Value<'a>,
        position: Position,
    ) -> Result<Value<'a>, RenderError> {
        let (Some(first), Some(second)) = (left.len(), right.len()) else {
            return Err(RenderError::invalid(
                position,
                "a range without an end cannot be joined",
            ));
        };
        self.elements(first.saturating_add(second), position)?;
        let items = (0..first)
            .map(|at| left.element(at).flatten())
            .chain((0..second).map(|at| right.element(at).flatten()));
        bounded(Value::sequence(items.collect()), position)
    }

    pub(crate) fn compare(
        &mut self,
        operator: Operator,
        left: &Value<'a>,
        right: &Value<'a>,
        position: Position,
    ) -> Result<bool, RenderError> {
        let equality = matches!(operator, Operator::Equal | Operator::NotEqual);
        let ordering = match (left, right) {
            (Value::Number(left), Value::Number(right)) => left.compare(*right),
            (Value::Date(left), Value::Date(right)) if left.kind == right.kind => {
                Some(left.when.timestamp().cmp(&right.when.timestamp()))
            }
            _ if equality && left.as_text().is_some() && right.as_text().is_some() => {
                left.as_text().partial_cmp(&right.as_text())
            }
            (Value::Bool(left), Value::Bool(right)) if equality => Some(left.cmp(right)),
            _ => {
                let why = if equality {
                    "only two numbers, strings, booleans or dates can be"
                } else {
                    "only two numbers or dates have an order"
                };
                return Err(RenderError::invalid(
                    position,
                    format!("{} and {} cannot be compared here: {why}", left.kind(), right.kind()),
                ));
            }
        };
        Ok(match (operator, ordering) {
            (Operator::NotEqual, ordering) => ordering != Some(Ordering::Equal),
            (_, None) => false,
            (Operator::Equal, Some(ordering)) => ordering.is_eq(),
            (Operator::Less, Some(ordering)) => ordering.is_lt(),
            (Operator::LessOrEqual, Some(ordering)) => ordering.is_le(),
            (Operator::Greater, Some(ordering)) => ordering.is_gt(),
            (_, Some(ordering)) => ordering.is_ge(),
        })
    }
}

/// The entries of a hash, nulls left out.
pub(crate) fn entries_of<'a>(value: &Value<'a>) -> Option<Entries<'a>> {
    match value {
        Value::Json(Json::Object(entries)) => Some(
            entries
                .iter()
                .filter_map(|(key, value)| Some((Cow::Borrowed(key.as_str()), Value::from_json(value)?)))
                .collect(),
        ),
        Value::Hash(hash) => Some(hash.content.clone()),
        Value::Nothing => Some(Vec::new()),
        _ => None,
    }
}

/// Refuses values that are nested too deep to be walked safely.
pub(crate) fn bounded(value: Value<'_>, position: Position) -> Result<Value<'_>, RenderError> {
    if value.depth() > MAX_VALUE_DEPTH {
        return Err(RenderError::limit(
            position,
            format!("sequences and hashes are nested more than {MAX_VALUE_DEPTH} levels deep"),
        ));
    }
    Ok(value)
}

/// The error for a value of another type than its place wants.
pub(crate) fn unexpected(expr: &Expr, wanted: &str, found: &Value<'_>) -> RenderError {
    RenderError::invalid(
        expr.position,
        format!("{} is {}, where {wanted} is expected", describe(expr), found.kind()),
    )
}
