//! Slices of strings and sequences by ranges.

use crate::ast::Expr;
use crate::error::{Position, RenderError};
use crate::render::{Run, describe};
use crate::strings;
use crate::value::{Range, Value};

impl<'a> Run<'a> {
    /// The part of a string or sequence that a range names. Ranges beyond the end are errors, but for those that
    /// adapt (`a..`, `a..*n`).
    pub(crate) fn slice(
        &mut self,
        owner: &Value<'a>,
        range: Range,
        target: &Expr,
        position: Position,
    ) -> Result<Value<'a>, RenderError> {
        let out_of_bounds = |what: &str, index: i64, size: i64| {
            RenderError::invalid(
                position,
                format!("the range {what} at {index}, but there are only {size}"),
            )
        };
        let text = match owner {
            Value::Text(text) => Some(text),
            _ if owner.is_sequence() => None,
            other => {
                return Err(RenderError::invalid(
                    target.position,
                    format!("{} is {}, which cannot be sliced", describe(target), other.kind()),
                ));
            }
        };
        let empty = || {
            if text.is_some() {
                Value::text("")
            } else {
                Value::sequence(Vec::new())
            }
        };
        if range.length == Some(0) {
            return Ok(empty());
        }
        let size = match text {
            Some(text) => strings::length(text),
            None => owner.len().unwrap_or(usize::MAX),
        };
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let first = range.start;
        if first < 0
            || (if range.adaptive && range.step == 1 {
                first > size
            } else {
                first >= size
            })
        {
            return Err(out_of_bounds("starts", first, size));
        }
        let count = match range.length {
            None => size - first,
            Some(length) => {
                let length = i64::try_from(length).unwrap_or(i64::MAX);
                let last = first.saturating_add((length - 1).saturating_mul(range.step));
                match (last < 0, last >= size, range.adaptive) {
                    (true, _, true) => first + 1,
                    (_, true, true) => (size - first).abs(),
                    (true, _, false) | (_, true, false) => return Err(out_of_bounds("ends", last, size)),
                    _ => length,
                }
            }
        };
        if count == 0 {
            return Ok(empty());
        }
        let (from, count) = (usize::try_from(first).unwrap_or(0), usize::try_from(count).unwrap_or(0));
        self.elements(count, position)?;
        if let Some(text) = text {
            if range.step < 0 && count > 1 {
                // FreeMarker gives nothing for [n..n-1], and refuses longer ones.
                return if range.inclusive && count == 2 {
                    Ok(empty())
                } else {
                    Err(RenderError::invalid(position, "a string cannot be sliced backwards"))
                };
            }
            return Ok(Value::text(
                strings::slice(text, from, from + count).unwrap_or_default(),
            ));
        }
        let indices = (0..count).filter_map(|step| {
            if range.step < 0 {
                from.checked_sub(step)
            } else {
                from.checked_add(step)
            }
        });
        Ok(Value::sequence(indices.map(|at| owner.element(at).flatten()).collect()))
    }
}
