//! Selection: a list of values goes through the segments, one after the other.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::functions::Function;
use crate::path::{Segment, Selector, check_size};
use crate::{FindError, Found, JsonPath};

/// How many steps one search may take: each value that is looked at is one.
const MAX_STEPS: u64 = 10_000_000;

/// The steps that a search may still take.
pub(crate) struct Budget {
    left: u64,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self { left: MAX_STEPS }
    }

    pub(crate) fn spend(&mut self, steps: usize) -> Result<(), FindError> {
        self.left = self.left.checked_sub(steps as u64).ok_or(FindError::TOO_MUCH_WORK)?;
        Ok(())
    }
}

/// Where paths begin: `$` and `@`.
#[derive(Clone, Copy)]
pub(crate) struct Start<'a> {
    pub(crate) root: &'a Value,
    pub(crate) current: &'a Value,
}

impl Start<'_> {
    /// Where a path that begins with `$` begins.
    pub(crate) fn at_root(self) -> Self {
        Self {
            current: self.root,
            ..self
        }
    }
}

impl JsonPath {
    /// What the path selects, starting from the current value.
    pub(crate) fn select<'a>(&self, start: Start<'a>, budget: &mut Budget) -> Result<Found<'a>, FindError> {
        let found = self.select_plain(start, budget)?;
        let Some((first, others)) = self.functions.split_first() else {
            return Ok(found);
        };
        let values = match found {
            Found::Many(values) if !self.works_on_the_list(first, &values) => values,
            found => {
                let found = match found {
                    Found::Many(values) if first.counts_children() => Found::One(Some(children(values))),
                    found => found,
                };
                let value = first.apply(found, start, budget)?;
                let result = others.iter().try_fold(value, |value, function| {
                    function.apply(Found::One(value), start, budget)
                })?;
                return Ok(Found::One(result));
            }
        };
        // A path that selects several values: the functions work on each of them.
        let mut results = Vec::with_capacity(values.len());
        for value in values {
            let result = self.functions.iter().try_fold(Some(value), |value, function| {
                function.apply_to_each(value, start, budget)
            })?;
            results.push(result.unwrap_or(Cow::Owned(Value::Null)));
        }
        Ok(Found::Many(results))
    }

    /// Whether a function works on all that an indefinite path selects at once, and not on each value. It does so when
    /// the path begins with `..`, as in Jayway, which turns `$..price.max()` into `$.max($..price)`. Beside that, what
    /// calculates without arguments takes a list of plain numbers as one list, where Jayway knows only an error.
    fn works_on_the_list(&self, function: &Function, values: &[Cow<'_, Value>]) -> bool {
        let begins_with_scan = self.segments.first().is_some_and(|segment| segment.scan);
        begins_with_scan
            || (function.calculates()
                && function.arguments.is_empty()
                && !values.is_empty()
                && !values.iter().any(|value| value.is_array()))
    }

    fn select_plain<'a>(&self, start: Start<'a>, budget: &mut Budget) -> Result<Found<'a>, FindError> {
        let (merged, segments) = match self.segments.split_last() {
            Some((
                Segment {
                    scan,
                    selector: Selector::Names(names),
                },
                before,
            )) => (Some((*scan, names)), before),
            _ => (None, self.segments.as_slice()),
        };
        let mut values = vec![start.current];
        for segment in segments {
            let mut selected = Vec::new();
            for value in values {
                budget.spend(1)?;
                segment.apply(value, start.root, budget, &mut selected)?;
            }
            values = selected;
        }
        let values: Vec<Cow<'a, Value>> = match merged {
            Some((scan, names)) => merge_members(values, scan, names, budget)?,
            None => values.into_iter().map(Cow::Borrowed).collect(),
        };
        Ok(if self.selects_one() {
            Found::One(values.into_iter().next())
        } else {
            Found::Many(values)
        })
    }
}

impl Segment {
    /// Whether it selects one value at most.
    pub(crate) fn is_definite(&self, last: bool) -> bool {
        !self.scan
            && match &self.selector {
                Selector::Name(_) => true,
                Selector::Names(_) => last,
                Selector::Indices(indices) => indices.len() == 1,
                Selector::Wildcard | Selector::Slice(..) | Selector::Filter(_) => false,
            }
    }

    fn apply<'a>(
        &self,
        value: &'a Value,
        root: &'a Value,
        budget: &mut Budget,
        selected: &mut Vec<&'a Value>,
    ) -> Result<(), FindError> {
        if !self.scan {
            return self.selector.apply(value, root, budget, selected);
        }
        let filter = match &self.selector {
            Selector::Filter(condition) => Some(condition),
            _ => None,
        };
        for value in descendants(value, budget)? {
            match filter {
                // As in Jayway: an object is tested itself, an array first and then each of its elements. What is neither
                // is tested as an element only.
                Some(condition) => {
                    let is_container = value.is_object() || value.is_array();
                    if !is_container || !condition.holds(Start { root, current: value }, budget)? {
                        continue;
                    }
                    if value.is_object() {
                        selected.push(value);
                    } else {
                        self.selector.apply(value, root, budget, selected)?;
                    }
                }
                None => self.selector.apply(value, root, budget, selected)?,
            }
        }
        Ok(())
    }
}

impl Selector {
    fn apply<'a>(
        &self,
        value: &'a Value,
        root: &'a Value,
        budget: &mut Budget,
        selected: &mut Vec<&'a Value>,
    ) -> Result<(), FindError> {
        match (self, value) {
            (Self::Name(name), Value::Object(members)) => selected.extend(members.get(name)),
            (Self::Names(names), Value::Object(members)) => {
                budget.spend(names.len())?;
                selected.extend(names.iter().filter_map(|name| members.get(name)));
            }
            (Self::Wildcard, Value::Object(members)) => {
                budget.spend(members.len())?;
                selected.extend(members.values());
            }
            (Self::Wildcard, Value::Array(elements)) => {
                budget.spend(elements.len())?;
                selected.extend(elements);
            }
            (Self::Indices(indices), Value::Array(elements)) => {
                budget.spend(indices.len())?;
                let resolve = |index: &i64| match usize::try_from(index.unsigned_abs()).ok()? {
                    back if *index < 0 => elements.get(elements.len().checked_sub(back)?),
                    index => elements.get(index),
                };
                selected.extend(indices.iter().filter_map(resolve));
            }
            (Self::Slice(from, to), Value::Array(elements)) => {
                let from = from.map_or(0, |from| clamp(from, elements.len()));
                let to = to.map_or(elements.len(), |to| clamp(to, elements.len()));
                if let Some(slice) = elements.get(from..to) {
                    budget.spend(slice.len())?;
                    selected.extend(slice);
                }
            }
            (Self::Filter(condition), Value::Array(elements)) => {
                for element in elements {
                    if condition.holds(Start { root, current: element }, budget)? {
                        selected.push(element);
                    }
                }
            }
            (Self::Filter(condition), Value::Object(_))
                if condition.holds(Start { root, current: value }, budget)? =>
            {
                selected.push(value);
            }
            _ => {}
        }
        Ok(())
    }
}

/// What the values hold, as one list: for `length()` of a path that begins with `..`.
fn children<'a>(values: Vec<Cow<'a, Value>>) -> Cow<'a, Value> {
    let mut children = 0;
    for value in &values {
        children += match &**value {
            Value::Array(elements) => elements.len(),
            Value::Object(members) => members.len(),
            _ => 0,
        };
    }
    // Only the length is asked for.
    Cow::Owned(Value::Array(vec![Value::Null; children]))
}

/// A slice's bound as an index; negative ones count from the end.
fn clamp(bound: i64, length: usize) -> usize {
    let distance = usize::try_from(bound.unsigned_abs()).unwrap_or(usize::MAX);
    if bound < 0 {
        length.saturating_sub(distance)
    } else {
        distance.min(length)
    }
}

/// The value and everything below it, each before what it holds. It does not recurse, because documents may be deep.
fn descendants<'a>(value: &'a Value, budget: &mut Budget) -> Result<Vec<&'a Value>, FindError> {
    let mut found = Vec::new();
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        budget.spend(1)?;
        found.push(value);
        match value {
            Value::Array(elements) => waiting.extend(elements.iter().rev()),
            Value::Object(members) => waiting.extend(members.values().rev()),
            _ => {}
        }
    }
    Ok(found)
}

/// `['a','b']` at the end of a path: one object a value, with those of the members that are there. Below `..` only
/// objects that have them all count.
fn merge_members<'a>(
    values: Vec<&'a Value>,
    scan: bool,
    names: &[String],
    budget: &mut Budget,
) -> Result<Vec<Cow<'a, Value>>, FindError> {
    let mut objects = Vec::new();
    for value in values {
        let candidates = if scan { descendants(value, budget)? } else { vec![value] };
        for members in candidates.into_iter().filter_map(Value::as_object) {
            budget.spend(names.len() + 1)?;
            if scan && !names.iter().all(|name| members.contains_key(name)) {
                continue;
            }
            budget.spend(check_size(names.iter().filter_map(|name| members.get(name)))?)?;
            let merged: Map<_, _> = names
                .iter()
                .filter_map(|name| Some((name.clone(), members.get(name)?.clone())))
                .collect();
            objects.push(Cow::Owned(Value::Object(merged)));
        }
    }
    Ok(objects)
}
