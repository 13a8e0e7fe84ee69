//! Built-ins on sequences and hashes.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::ast::{Expr, ExprKind, Operator};
use crate::builtins::Builtin;
use crate::error::{Position, RenderError};
use crate::eval::{entries_of, unexpected};
use crate::number::Number;
use crate::render::{Run, missing};
use crate::value::Value;

type Evaluated<'a> = Result<Option<Value<'a>>, RenderError>;

impl<'a> Run<'a> {
    pub(crate) fn collection(
        &mut self,
        value: Value<'a>,
        target: &'a Expr,
        builtin: Builtin,
        arguments: &'a [Expr],
        position: Position,
    ) -> Evaluated<'a> {
        use Builtin as B;
        if matches!(builtin, B::Keys | B::Values) || (builtin == B::Size && !value.is_sequence()) {
            let Some(entries) = entries_of(&value) else {
                return Err(unexpected(
                    target,
                    if builtin == B::Size {
                        "a sequence or a hash"
                    } else {
                        "a hash"
                    },
                    &value,
                ));
            };
            self.work(entries.len(), position)?;
            return Ok(Some(match builtin {
                B::Size => Value::integer(entries.len()),
                B::Keys => Value::sequence(entries.into_iter().map(|(key, _)| Some(Value::Text(key))).collect()),
                _ => Value::sequence(entries.into_iter().map(|(_, value)| Some(value)).collect()),
            }));
        }
        if !value.is_sequence() {
            return Err(unexpected(target, "a sequence", &value));
        }
        if builtin == B::Sequence {
            return Ok(Some(value));
        }
        if builtin == B::First {
            return Ok(value.element(0).flatten());
        }
        let Some(length) = value.len() else {
            return Err(RenderError::invalid(
                position,
                format!("?{} cannot work on a range without an end", builtin.name()),
            ));
        };
        match builtin {
            B::Size => return Ok(Some(Value::integer(length))),
            B::Last => return Ok(length.checked_sub(1).and_then(|last| value.element(last)).flatten()),
            _ => self.elements(length, position)?,
        }
        let items: Vec<Option<Value<'a>>> = (0..length).map(|index| value.element(index).flatten()).collect();
        match builtin {
            B::Reverse => Ok(Some(Value::sequence(items.into_iter().rev().collect()))),
            B::Join => self.join(items, arguments, position).map(Some),
            B::Chunk => self.chunk(items, arguments, position).map(Some),
            B::Sort => self.sort(items, &[], position).map(Some),
            B::SortBy => {
                let path = self.sort_path(arguments, position)?;
                self.sort(items, &path, position).map(Some)
            }
            B::Min | B::Max => self.extreme(items, builtin == B::Max, position),
            _ => self.find(items, builtin, arguments, position).map(Some),
        }
    }

    /// Built-ins that ask a lambda about each element, or make another of it.
    pub(crate) fn each(
        &mut self,
        value: Value<'a>,
        target: &'a Expr,
        builtin: Builtin,
        arguments: &'a [Expr],
        position: Position,
    ) -> Result<Value<'a>, RenderError> {
        let Some(ExprKind::Lambda(name, body)) = arguments.first().map(|argument| &argument.kind) else {
            return Err(missing(position, "the argument"));
        };
        if !value.is_sequence() {
            return Err(unexpected(target, "a sequence", &value));
        }
        let Some(length) = value.len() else {
            return Err(RenderError::invalid(
                position,
                format!("?{} cannot work on a range without an end", builtin.name()),
            ));
        };
        self.elements(length, position)?;
        let mut found = Vec::new();
        let mut dropping = builtin == Builtin::DropWhile;
        for index in 0..length {
            let element = value.element(index).flatten();
            self.lambdas.push((name, element.clone()));
            let answer = if builtin == Builtin::Map {
                self.value(body).map(Some)
            } else {
                self.boolean(body).map(|holds| Some(Value::Bool(holds)))
            };
            // Also after an error, which a default around it may catch.
            self.lambdas.pop();
            let answer = answer?;
            let holds = matches!(answer, Some(Value::Bool(true)));
            match builtin {
                Builtin::Map => found.push(answer),
                Builtin::Filter if !holds => {}
                Builtin::TakeWhile if !holds => break,
                Builtin::DropWhile if dropping && holds => {}
                _ => {
                    dropping = false;
                    found.push(element);
                }
            }
        }
        crate::eval::bounded(Value::sequence(found), position)
    }

    fn join(
        &mut self,
        items: Vec<Option<Value<'a>>>,
        arguments: &'a [Expr],
        position: Position,
    ) -> Result<Value<'a>, RenderError> {
        let separator = self.argument(arguments, 0)?.unwrap_or_default();
        let mut out = String::new();
        let mut any = false;
        for item in items.into_iter().flatten() {
            let before = out.len();
            if any {
                out.push_str(&separator);
            }
            any = true;
            out.push_str(&self.printed(item, || "an element of the sequence".to_owned(), position)?);
            self.grow(out.len(), out.len() - before, position)?;
        }
        match (any, arguments) {
            (false, [_, empty, ..]) => out.push_str(&self.text(empty)?),
            (true, [_, _, end]) => out.push_str(&self.text(end)?),
            _ => {}
        }
        Ok(Value::text(out))
    }

    fn chunk(
        &mut self,
        mut items: Vec<Option<Value<'a>>>,
        arguments: &'a [Expr],
        position: Position,
    ) -> Result<Value<'a>, RenderError> {
        let size = self
            .whole(arguments, 0)?
            .and_then(|size| usize::try_from(size).ok())
            .filter(|size| *size > 0);
        let Some(size) = size else {
            return Err(RenderError::invalid(position, "the size of a chunk must be at least 1"));
        };
        if let Some(filling) = arguments.get(1)
            && !items.is_empty()
        {
            let filling = self.value(filling)?;
            let wanted = items.len().div_ceil(size).saturating_mul(size);
            self.elements(wanted, position)?;
            items.resize(wanted, Some(filling));
        }
        let chunks = items
            .chunks(size)
            .map(|chunk| Some(Value::sequence(chunk.to_vec())))
            .collect();
        crate::eval::bounded(Value::sequence(chunks), position)
    }

    fn sort_path(&mut self, arguments: &'a [Expr], position: Position) -> Result<Vec<Cow<'a, str>>, RenderError> {
        let Some(argument) = arguments.first() else {
            return Err(missing(position, "the argument"));
        };
        match self.value(argument)? {
            Value::Text(name) => Ok(vec![name]),
            names if names.is_sequence() => (0..names.len().unwrap_or(0).min(32))
                .map(|index| match names.element(index).flatten() {
                    Some(Value::Text(name)) => Ok(name),
                    _ => Err(RenderError::invalid(
                        argument.position,
                        "?sort_by wants the name of a field, or a sequence of names",
                    )),
                })
                .collect(),
            other => Err(unexpected(argument, "a string", &other)),
        }
    }

    /// Sorts by the elements themselves, or by what a path of fields finds in them.
    fn sort(
        &mut self,
        items: Vec<Option<Value<'a>>>,
        path: &[Cow<'a, str>],
        position: Position,
    ) -> Result<Value<'a>, RenderError> {
        let rounds = usize::try_from(items.len().max(2).ilog2()).unwrap_or(1);
        self.work(items.len().saturating_mul(rounds), position)?;
        let mut keyed = Vec::with_capacity(items.len());
        for item in items {
            let mut key = item.clone();
            for name in path {
                key = match key {
                    Some(Value::Json(serde_json::Value::Object(entries))) => {
                        entries.get(name.as_ref()).and_then(Value::from_json)
                    }
                    Some(Value::Hash(entries)) => entries
                        .content
                        .iter()
                        .find(|(key, _)| key == name)
                        .map(|(_, value)| value.clone()),
                    _ => None,
                };
            }
            let Some(key) = key else {
                return Err(RenderError::invalid(
                    position,
                    format!(
                        "an element of the sequence has nothing to sort by{}",
                        path.last().map(|name| format!(" under '{name}'")).unwrap_or_default()
                    ),
                ));
            };
            keyed.push((sort_key(key, position)?, item));
        }
        if keyed
            .windows(2)
            .any(|pair| std::mem::discriminant(&pair[0].0) != std::mem::discriminant(&pair[1].0))
        {
            return Err(RenderError::invalid(
                position,
                "the elements to be sorted are of different types",
            ));
        }
        keyed.sort_by(|(left, _), (right, _)| left.compare(right));
        Ok(Value::sequence(keyed.into_iter().map(|(_, item)| item).collect()))
    }

    fn extreme(&mut self, items: Vec<Option<Value<'a>>>, greatest: bool, position: Position) -> Evaluated<'a> {
        let operator = if greatest { Operator::Greater } else { Operator::Less };
        let mut best: Option<Value<'a>> = None;
        for item in items.into_iter().flatten() {
            let better = match &best {
                Some(known) => self.compare(operator, &item, known, position)?,
                None => true,
            };
            if better {
                best = Some(item);
            }
        }
        Ok(best)
    }

    fn find(
        &mut self,
        items: Vec<Option<Value<'a>>>,
        builtin: Builtin,
        arguments: &'a [Expr],
        position: Position,
    ) -> Result<Value<'a>, RenderError> {
        let Some(argument) = arguments.first() else {
            return Err(missing(position, "the argument"));
        };
        // A missing value is in no sequence, and no error.
        let wanted = self.eval(argument)?;
        let from = self.whole(arguments, 1)?;
        let mut found = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let (Some(item), Some(wanted)) = (item, &wanted) else {
                continue;
            };
            // Values of different types are different here, and no error.
            let comparable = std::mem::discriminant(item) == std::mem::discriminant(wanted)
                && !item.is_sequence()
                && !item.is_hash();
            if comparable && self.compare(Operator::Equal, item, wanted, position)? {
                found.push(i64::try_from(index).unwrap_or(i64::MAX));
            }
        }
        let index = match builtin {
            Builtin::SeqContains => return Ok(Value::Bool(!found.is_empty())),
            Builtin::SeqIndexOf => found.into_iter().find(|index| from.is_none_or(|from| *index >= from)),
            _ => found
                .into_iter()
                .rev()
                .find(|index| from.is_none_or(|from| *index <= from)),
        };
        Ok(Value::Number(Number::Integer(index.unwrap_or(-1))))
    }
}

/// What an element is sorted by. Strings are sorted without case first, as a dictionary does.
enum SortKey {
    Text(String, String),
    Number(Number),
    Date(jiff::Timestamp),
    Bool(bool),
}

impl SortKey {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            // Then accents decide, and small letters go before capitals when nothing else differs.
            (Self::Text(folded, text), Self::Text(other_folded, other_text)) => folded
                .cmp(other_folded)
                .then_with(|| text.to_lowercase().cmp(&other_text.to_lowercase()))
                .then_with(|| other_text.cmp(text)),
            (Self::Number(left), Self::Number(right)) => left.compare(*right).unwrap_or(Ordering::Equal),
            (Self::Date(left), Self::Date(right)) => left.cmp(right),
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            _ => Ordering::Equal,
        }
    }
}

fn sort_key(value: Value<'_>, position: Position) -> Result<SortKey, RenderError> {
    Ok(match value {
        Value::Text(text) => SortKey::Text(
            text.to_lowercase().chars().map(without_accent).collect(),
            text.into_owned(),
        ),
        Value::Number(number) => SortKey::Number(number),
        Value::Date(date) => SortKey::Date(date.when.timestamp()),
        Value::Bool(value) => SortKey::Bool(value),
        other => {
            return Err(RenderError::invalid(
                position,
                format!("{} cannot be sorted; use ?sort_by(\"field\")", other.kind()),
            ));
        }
    })
}

/// The letter under an accent of the languages that we have locales for, so that names sort as in a dictionary.
fn without_accent(c: char) -> char {
    match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' => 'a',
        'ç' => 'c',
        'è' | 'é' | 'ê' | 'ë' => 'e',
        'ì' | 'í' | 'î' | 'ï' => 'i',
        'ñ' => 'n',
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' => 'o',
        'ù' | 'ú' | 'û' | 'ü' => 'u',
        'ý' | 'ÿ' => 'y',
        other => other,
    }
}
