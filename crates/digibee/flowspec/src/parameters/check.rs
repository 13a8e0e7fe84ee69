use std::fmt;

use serde_json::{Map, Value};

use super::keywords::Keywords;
use super::{annotations, coerce, is_dynamic, keywords};
use crate::nearest;
use crate::positions::push_token;

/// Keys that the platform's canvas writes into any object, for its own use.
const PLATFORM_KEYS: [&str; 4] = ["__documentation__", "meta", "position", "positions"];

/// A problem with one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterProblem {
    /// The parameter: a JSON pointer (RFC 6901), relative to the parameters; empty for all of them.
    pub pointer: String,
    /// Whether the name is wrong, and not the value.
    pub in_key: bool,
    /// Whether it is only a warning, so that the document can still run.
    pub is_warning: bool,
    /// One sentence. It names types and names, never the value, which may be a secret.
    pub message: String,
    /// What to do now.
    pub advice: Option<String>,
}

impl fmt::Display for ParameterProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pointer.is_empty() {
            write!(f, "parameter {}: ", self.pointer.trim_start_matches('/'))?;
        }
        f.write_str(&self.message)?;
        match &self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ParameterProblem {}

/// Parameters as the document holds them, after the check.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The parameters under their own names (not their aliases), those without expressions in their native form.
    pub value: Value,
    /// The problems that were found.
    pub problems: Vec<ParameterProblem>,
}

/// Steps that every check may take: comparisons of a value with a part of the schema. A schema that refers to itself with
/// two options at each level asks for 2^64.
const STEPS: u64 = 200_000;

/// Steps more for each JSON value in the parameters, and for each [`STEP_BYTES`] of their texts. Few schemas have so many
/// options within one another.
const STEPS_PER_WEIGHT: u64 = 32;

/// Bytes of a text that are looked at in one step.
const STEP_BYTES: usize = 64;

/// Problems that are reported. Nobody reads more, and each can be as long as the names that it lists.
const PROBLEMS_MAX: usize = 1000;

/// Names that one problem lists.
const NAMES_MAX: usize = 50;

/// Checks parameters as the document holds them. A value with `{{ }}` in it is not checked: it may become anything.
pub fn check_written(schema: &Value, value: &Value) -> Written {
    let mut check = Check::new(schema, value, false);
    let value = check.value(schema, value.clone(), &mut String::new(), 0);
    Written {
        value,
        problems: check.finish(),
    }
}

/// Checks parameters whose expressions have been resolved, and converts them to the schema's types: `"587"` becomes
/// 587, JSON text becomes an array, and an absent parameter gets its `x-pipepost-default`.
///
/// # Errors
/// Returns every problem with the values. Names were already checked in the document.
pub fn check_resolved(schema: &Value, value: Value) -> Result<Value, Vec<ParameterProblem>> {
    let mut check = Check::new(schema, &value, true);
    let value = check.value(schema, value, &mut String::new(), 0);
    let mut problems = check.finish();
    problems.retain(|problem| !problem.is_warning);
    if problems.is_empty() { Ok(value) } else { Err(problems) }
}

/// A schema that refers to itself ends somewhere.
const DEPTH: usize = 64;

struct Check<'s> {
    root: &'s Value,
    resolved: bool,
    problems: Vec<ParameterProblem>,
    steps_left: u64,
}

impl<'s> Check<'s> {
    fn new(root: &'s Value, value: &Value, resolved: bool) -> Self {
        Check {
            root,
            resolved,
            problems: Vec::new(),
            steps_left: STEPS.saturating_add(weight(value).saturating_mul(STEPS_PER_WEIGHT)),
        }
    }

    /// Takes so many steps of the budget. Returns whether they were there; else the check ends with one more problem.
    fn spend(&mut self, steps: u64) -> bool {
        match self.steps_left.checked_sub(steps) {
            Some(left) => {
                self.steps_left = left;
                true
            }
            None => {
                self.steps_left = 0;
                false
            }
        }
    }

    /// What is left after the check, with a word about one that could not be ended.
    fn finish(mut self) -> Vec<ParameterProblem> {
        if self.steps_left == 0 {
            self.problems.truncate(PROBLEMS_MAX - 1);
            let message = "the connector's schema takes more work to check them against than is done for one step";
            self.report("", message.to_owned(), None);
        }
        self.problems
    }

    fn push(&mut self, problem: ParameterProblem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }

    fn report(&mut self, pointer: &str, message: String, advice: Option<String>) {
        let pointer = pointer.to_owned();
        self.push(ParameterProblem {
            pointer,
            in_key: false,
            is_warning: false,
            message,
            advice,
        });
    }

    fn value(&mut self, schema: &'s Value, value: Value, pointer: &mut String, depth: usize) -> Value {
        let schema = self.follow(schema);
        self.followed(&schema, value, pointer, depth)
    }

    fn followed(&mut self, schema: &Keywords<'s>, value: Value, pointer: &mut String, depth: usize) -> Value {
        if depth > DEPTH || schema.takes_file(&value) || !self.spend(value.as_str().map_or(1, text_weight)) {
            return value;
        }
        if !self.resolved && value.as_str().is_some_and(is_dynamic) {
            // JSON text is read before its expressions are, so that no value can break out of its place in it.
            let types = schema.types;
            return match coerce::coerce(value, &types) {
                Ok(parsed) if !types.is_empty() && !parsed.is_string() => {
                    self.followed(schema, parsed, pointer, depth + 1)
                }
                Ok(value) | Err(value) => value,
            };
        }
        if let Some(options) = schema.options() {
            return self.one_of(options, value, pointer, depth);
        }
        let types = schema.types;
        let value = match coerce::coerce(value, &types) {
            Ok(value) => value,
            Err(value) => {
                let message = format!(
                    "it must be {}, and is {}",
                    coerce::describe(types, schema.is_file),
                    coerce::describe_value(&value)
                );
                self.report(pointer, message, json_error(&value, &types));
                return value;
            }
        };
        self.listed(schema, &value, pointer);
        self.bounds(schema, &value, pointer);
        match value {
            Value::Object(members) => self.object(schema, members, pointer, depth),
            Value::Array(elements) => self.array(schema, elements, pointer, depth),
            Value::String(_) => schema.canonical(value),
            other => other,
        }
    }

    /// Resolves a local reference; any other stands for a schema that takes everything.
    fn follow(&mut self, schema: &'s Value) -> Keywords<'s> {
        let mut schema = Some(schema);
        for _ in 0..DEPTH {
            let keywords = schema.map(Keywords::of).unwrap_or_default();
            match keywords.reference {
                None => return keywords,
                Some(reference) if self.spend(text_weight(reference)) => {
                    schema = reference.strip_prefix('#').and_then(|path| self.root.pointer(path));
                }
                Some(_) => break,
            }
        }
        Keywords::default()
    }

    fn one_of(&mut self, options: &'s [Value], value: Value, pointer: &mut String, depth: usize) -> Value {
        let mut fewest: Option<Vec<ParameterProblem>> = None;
        let before = std::mem::take(&mut self.problems);
        let size = weight(&value);
        for option in options {
            // Each option is tried with a value of its own.
            if !self.spend(size) {
                break;
            }
            let checked = self.value(option, value.clone(), pointer, depth + 1);
            let problems = std::mem::take(&mut self.problems);
            if problems.iter().all(|problem| problem.is_warning) {
                self.problems = before;
                self.problems.extend(problems);
                return checked;
            }
            // The option whose own type was right is the one that was meant.
            let is_nearer = |best: &Vec<ParameterProblem>| deepest(&problems) > deepest(best);
            if fewest.as_ref().is_none_or(is_nearer) {
                fewest = Some(problems);
            }
        }
        self.problems = before;
        self.problems.extend(fewest.into_iter().flatten());
        value
    }

    fn listed(&mut self, schema: &Keywords<'_>, value: &Value, pointer: &str) {
        let constant = schema.constant.map(std::slice::from_ref);
        let Some(allowed) = schema.listed.map(Vec::as_slice).or(constant) else {
            return;
        };
        if !self.spend(allowed.len() as u64) || allowed.iter().any(|option| same(option, value)) {
            return;
        }
        let names: Vec<String> = allowed
            .iter()
            .take(NAMES_MAX)
            .map(|option| format!("`{}`", plain(option)))
            .collect();
        let more = match allowed.len().saturating_sub(NAMES_MAX) {
            0 => String::new(),
            more => format!(" or one of {more} more"),
        };
        let message = format!("it must be {}{more}", names.join(", "));
        // At run time the value may come from anywhere: it is not repeated, not even to find its neighbour.
        let advice = (!self.resolved)
            .then(|| nearest::advise(value.as_str()?, allowed.iter().filter_map(Value::as_str)))
            .flatten();
        self.report(pointer, message, advice);
    }

    fn bounds(&mut self, schema: &Keywords<'_>, value: &Value, pointer: &str) {
        let shown = |bound: Option<&Value>| bound.map(Value::to_string).unwrap_or_default();
        if let Some(found) = value.as_f64() {
            if schema
                .minimum
                .and_then(Value::as_f64)
                .is_some_and(|least| found < least)
            {
                self.report(pointer, format!("it must be at least {}", shown(schema.minimum)), None);
            }
            if schema.maximum.and_then(Value::as_f64).is_some_and(|most| found > most) {
                self.report(pointer, format!("it must be at most {}", shown(schema.maximum)), None);
            }
        }
        if let Some(text) = value.as_str()
            && schema
                .min_length
                .is_some_and(|least| (text.chars().count() as u64) < least)
        {
            self.report(pointer, "it must not be empty".to_owned(), None);
        }
        if let Some(elements) = value.as_array()
            && schema
                .min_items
                .and_then(Value::as_u64)
                .is_some_and(|least| (elements.len() as u64) < least)
        {
            let message = match shown(schema.min_items).as_str() {
                "1" => "it must not be empty".to_owned(),
                least => format!("it needs at least {least} elements"),
            };
            self.report(pointer, message, None);
        }
    }

    fn array(&mut self, schema: &Keywords<'s>, elements: Vec<Value>, pointer: &mut String, depth: usize) -> Value {
        let Some(items) = schema.items else {
            return Value::Array(elements);
        };
        let mut checked = Vec::with_capacity(elements.len());
        for (index, element) in elements.into_iter().enumerate() {
            let length = pointer.len();
            push_token(pointer, &index.to_string());
            checked.push(self.value(items, element, pointer, depth + 1));
            pointer.truncate(length);
        }
        Value::Array(checked)
    }

    fn object(
        &mut self,
        schema: &Keywords<'s>,
        members: Map<String, Value>,
        pointer: &mut String,
        depth: usize,
    ) -> Value {
        let Some(properties) = schema.properties else {
            return Value::Object(members);
        };
        // Asked only of a spelling that is not a parameter's own.
        let given: Vec<String> = if members.keys().all(|written| properties.contains_key(written)) {
            Vec::new()
        } else {
            members.keys().cloned().collect()
        };
        let mut checked = Map::with_capacity(members.len());
        for (written, value) in members {
            let length = pointer.len();
            push_token(pointer, &written);
            match self.property(properties, &given, &written, pointer) {
                Some((name, property)) => {
                    let property = self.follow(property);
                    if !property.is_absent(&value) {
                        let value = self.followed(&property, value, pointer, depth + 1);
                        let name = if *name == written { written } else { name.clone() };
                        checked.insert(name, value);
                    }
                }
                None if !schema.takes_others => self.unknown(properties, &written, pointer),
                None => {
                    checked.insert(written, value);
                }
            }
            pointer.truncate(length);
        }
        self.missing(schema, properties, &mut checked, pointer);
        Value::Object(checked)
    }

    /// The property that a key stands for, itself or by an alias.
    fn property(
        &mut self,
        properties: &'s Map<String, Value>,
        given: &[String],
        written: &str,
        pointer: &str,
    ) -> Option<(&'s String, &'s Value)> {
        if let Some(property) = properties.get_key_value(written) {
            return Some(property);
        }
        let has_alias = |property: &Value| annotations::aliases(property).contains(&written);
        if self.steps_left == 0 {
            return None;
        }
        let aliases = properties
            .values()
            .map(|property| 1 + annotations::aliases(property).len());
        if !self.spend((aliases.sum::<usize>() + given.len()) as u64) {
            return None;
        }
        let (name, property) = properties.iter().find(|(_, property)| has_alias(property))?;
        let both = given.contains(name);
        let message = if both {
            format!("`{written}` is another spelling of `{name}`, and both are given")
        } else {
            format!("`{written}` is taken for `{name}`")
        };
        let advice = Some(if both {
            "leave one out".to_owned()
        } else {
            format!("write `{name}`")
        });
        let pointer = pointer.to_owned();
        self.push(ParameterProblem {
            pointer,
            in_key: true,
            is_warning: !both,
            message,
            advice,
        });
        Some((name, property))
    }

    fn unknown(&mut self, properties: &Map<String, Value>, written: &str, pointer: &str) {
        if PLATFORM_KEYS.contains(&written) {
            return;
        }
        // A comparison of two names is much more than one step.
        let advice = self
            .spend(100 * properties.len() as u64)
            .then(|| nearest::advise(written, properties.keys().map(String::as_str)))
            .flatten();
        let message = format!("there is no parameter `{written}`");
        self.push(ParameterProblem {
            pointer: pointer.to_owned(),
            in_key: true,
            is_warning: false,
            message,
            advice,
        });
    }

    fn missing(
        &mut self,
        schema: &Keywords<'_>,
        properties: &Map<String, Value>,
        checked: &mut Map<String, Value>,
        pointer: &str,
    ) {
        if self.resolved && self.spend(properties.len() as u64) {
            for (name, property) in properties {
                if let Some(default) = keywords::default(property)
                    && !checked.contains_key(name)
                    && self.spend(weight(default))
                {
                    checked.insert(name.clone(), default.clone());
                }
            }
        }
        let required = schema.required.into_iter().flatten();
        for name in required
            .filter_map(Value::as_str)
            .filter(|name| !checked.contains_key(*name))
        {
            if !self.spend(1 + self.problems.len() as u64) {
                return;
            }
            // It could not be read under its own name, and that was said where it stands.
            let stands_there = self
                .problems
                .iter()
                .any(|problem| problem.pointer == format!("{pointer}/{name}"));
            if !stands_there {
                self.report(pointer, format!("the parameter `{name}` is missing"), None);
            }
        }
    }
}

/// The steps that it takes to look at each value in a value, itself included.
pub(crate) fn weight(value: &Value) -> u64 {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(weight).sum::<u64>(),
        Value::Object(members) => 1 + members.values().map(weight).sum::<u64>(),
        Value::String(text) => text_weight(text),
        _ => 1,
    }
}

fn text_weight(text: &str) -> u64 {
    1 + (text.len() / STEP_BYTES) as u64
}

fn deepest(problems: &[ParameterProblem]) -> usize {
    problems.iter().map(|problem| problem.pointer.len()).max().unwrap_or(0)
}

/// Listed texts are compared without case: documents hold `append` and `APPEND`.
pub(super) fn same(option: &Value, value: &Value) -> bool {
    match (option, value) {
        (Value::String(option), Value::String(value)) => option.eq_ignore_ascii_case(value),
        _ => option == value,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Why a text that should be JSON is none.
fn json_error(value: &Value, types: &[&str]) -> Option<String> {
    let text = value
        .as_str()
        .filter(|_| types.contains(&"array") || types.contains(&"object"))?;
    let error = serde_json::from_str::<Value>(text).err()?;
    Some(format!(
        "as JSON text it breaks off at line {}, column {}",
        error.line(),
        error.column()
    ))
}
