//! Runs a template.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::ast::{Block, Expr, List, LoopNames, Node, Operator};
use crate::error::{Position, RenderError, RenderErrorKind};
use crate::settings::Settings;
use crate::value::Value;
use crate::{Limits, Model, strings};

/// Bytes of text that count as one step of work.
const TEXT_STEP: usize = 16;
/// Steps for each element of a sequence: it takes memory as well as time.
const ELEMENT_STEPS: usize = 4;

/// What happens after a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

/// One loop that is running.
pub(crate) struct Loop<'a> {
    names: Option<LoopNames>,
    /// What is listed, by keys for a hash.
    source: Value<'a>,
    keys: Option<Vec<Cow<'a, str>>>,
    pub(crate) index: usize,
    pub(crate) length: Option<usize>,
    key: Option<Value<'a>>,
    value: Option<Value<'a>>,
    /// Whether `<#items>` has run: it may only once.
    ran: bool,
}

/// A rendering under way.
pub(crate) struct Run<'a> {
    pub(crate) model: &'a Model<'a>,
    pub(crate) inserted: &'a [String],
    texts: &'a [String],
    escape_html: bool,
    pub(crate) limits: Limits,
    pub(crate) settings: Settings,
    pub(crate) now: Timestamp,
    pub(crate) variables: HashMap<&'a str, Value<'a>>,
    loops: Vec<Loop<'a>>,
    /// The variables of the lambdas that are being evaluated; the innermost is last.
    pub(crate) lambdas: Vec<(&'a str, Option<Value<'a>>)>,
    work: u64,
    out: String,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        model: &'a Model<'a>,
        inserted: &'a [String],
        texts: &'a [String],
        escape_html: bool,
        limits: Limits,
        settings: Settings,
        now: Timestamp,
    ) -> Self {
        Self {
            model,
            inserted,
            texts,
            escape_html,
            limits,
            settings,
            now,
            variables: HashMap::new(),
            loops: Vec::new(),
            lambdas: Vec::new(),
            work: 0,
            out: String::new(),
        }
    }

    pub(crate) fn run(mut self, block: &'a Block) -> Result<String, RenderError> {
        // A `<#break>` outside any loop ends the template, as it would a loop.
        self.block(block)?;
        Ok(self.out)
    }

    /// Counts work, and stops what does too much of it.
    pub(crate) fn work(&mut self, amount: usize, position: Position) -> Result<(), RenderError> {
        self.work = self.work.saturating_add(amount as u64);
        if self.work > self.limits.work {
            return Err(RenderError::limit(
                position,
                format!(
                    "the template did more than {} steps of work; is there a loop without an end?",
                    self.limits.work
                ),
            ));
        }
        Ok(())
    }

    /// Refuses a text longer than the output may be, before it is made, and counts the bytes that are added to it.
    pub(crate) fn grow(&mut self, length: usize, added: usize, position: Position) -> Result<(), RenderError> {
        if length > self.limits.output {
            return Err(RenderError::limit(
                position,
                format!("the text grows beyond {} bytes", self.limits.output),
            ));
        }
        self.work(added / TEXT_STEP + 1, position)
    }

    /// The same for a text that is made whole.
    pub(crate) fn check_length(&mut self, length: usize, position: Position) -> Result<(), RenderError> {
        self.grow(length, length, position)
    }

    /// Counts the elements of a sequence before it is made.
    pub(crate) fn elements(&mut self, count: usize, position: Position) -> Result<(), RenderError> {
        self.work(count.saturating_mul(ELEMENT_STEPS), position)
    }

    fn write(&mut self, text: &str, position: Position) -> Result<(), RenderError> {
        self.grow(self.out.len() + text.len(), text.len(), position)?;
        self.out.push_str(text);
        Ok(())
    }

    fn block(&mut self, block: &'a Block) -> Result<Flow, RenderError> {
        for node in block {
            let flow = self.node(node)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &'a Node) -> Result<Flow, RenderError> {
        match node {
            Node::Text(id) => {
                let texts = self.texts;
                self.write(&texts[*id], Position { line: 1, column: 1 })?;
            }
            Node::Inserted(inserted) => {
                let text = self.inserted_text(inserted.index, inserted.position)?;
                let shown = if self.escape_html {
                    strings::html(text)
                } else {
                    Cow::Borrowed(text)
                };
                self.write(&shown, inserted.position)?;
            }
            Node::Interpolation(interpolation) => {
                self.work(1, interpolation.position)?;
                let text = self.text(&interpolation.value)?;
                let shown = if self.escape_html && !interpolation.raw {
                    strings::html(&text)
                } else {
                    text
                };
                self.write(&shown, interpolation.position)?;
            }
            Node::If { branches, otherwise } => return self.branch(branches, otherwise),
            Node::List(list) => return self.list(list),
            Node::Items { names, body, position } => return self.items(names, body, *position),
            Node::Sep(block, position) => {
                let Some(current) = self.loops.last() else {
                    return Err(RenderError::invalid(*position, "<#sep> stands outside a list"));
                };
                if current.has_next() {
                    return self.block(block);
                }
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Assign(assignments) => {
                for assignment in assignments {
                    self.assign(assignment)?;
                }
            }
            Node::Capture { name, body } => {
                let outer = std::mem::take(&mut self.out);
                let flow = self.block(body)?;
                let captured = std::mem::replace(&mut self.out, outer);
                self.variables.insert(name, Value::text(captured));
                return Ok(flow);
            }
            Node::Setting { setting, value } => {
                let text = self.text(value)?;
                self.settings
                    .set(*setting, &text)
                    .map_err(|problem| RenderError::invalid(value.position, problem))?;
            }
            Node::Switch { value, cases } => return self.switch(value, cases),
            Node::Wrapped(block) => return self.block(block),
        }
        Ok(Flow::On)
    }

    pub(crate) fn inserted_text(&self, index: usize, position: Position) -> Result<&'a str, RenderError> {
        let inserted = self.inserted;
        inserted.get(index).map(String::as_str).ok_or_else(|| {
            RenderError::invalid(
                position,
                format!("the value {index} that stands here was not given to the rendering"),
            )
        })
    }

    fn branch(&mut self, branches: &'a [(Expr, Block)], otherwise: &'a Block) -> Result<Flow, RenderError> {
        for (condition, block) in branches {
            self.work(1, condition.position)?;
            if self.boolean(condition)? {
                return self.block(block);
            }
        }
        self.block(otherwise)
    }

    fn list(&mut self, list: &'a List) -> Result<Flow, RenderError> {
        let source = self.value(&list.source)?;
        let keys = match &source {
            Value::Json(Json::Object(entries)) => Some(
                entries
                    .keys()
                    .map(|key| Cow::Borrowed(key.as_str()))
                    .collect::<Vec<_>>(),
            ),
            Value::Hash(entries) => Some(entries.content.iter().map(|(key, _)| key.clone()).collect()),
            _ if source.is_sequence() => None,
            other => {
                let kind = other.kind();
                return Err(RenderError::invalid(
                    list.source.position,
                    format!(
                        "a list wants a sequence or a hash, but {} is {kind}",
                        describe(&list.source)
                    ),
                ));
            }
        };
        if let Some(keys) = &keys {
            self.work(keys.len(), list.position)?;
        }
        let length = keys.as_ref().map_or_else(|| source.len(), |keys| Some(keys.len()));
        if length == Some(0) {
            return self.block(&list.otherwise);
        }
        self.loops.push(Loop {
            names: list.names.clone(),
            source,
            keys,
            index: 0,
            length,
            key: None,
            value: None,
            ran: false,
        });
        let result = match &list.names {
            Some(_) => self.iterate(&list.body, list.position),
            None => self.block(&list.body),
        };
        self.loops.pop();
        // `break` and `continue` inside `<#items>` have been used up there.
        result.map(|flow| if list.names.is_some() { Flow::On } else { flow })
    }

    fn items(&mut self, names: &'a LoopNames, body: &'a Block, position: Position) -> Result<Flow, RenderError> {
        match self.loops.last_mut() {
            Some(current) if current.names.is_none() && !current.ran => {
                current.names = Some(names.clone());
                current.ran = true;
            }
            Some(current) if current.ran => {
                return Err(RenderError::invalid(position, "<#items> may run only once in its list"));
            }
            _ => {
                return Err(RenderError::invalid(
                    position,
                    "<#items> wants a <#list> without 'as' around it",
                ));
            }
        }
        self.iterate(body, position)?;
        if let Some(current) = self.loops.last_mut() {
            current.names = None;
        }
        Ok(Flow::On)
    }

    /// Runs a body for each element of the innermost loop.
    fn iterate(&mut self, body: &'a Block, position: Position) -> Result<Flow, RenderError> {
        let mut index = 0;
        loop {
            self.work(1, position)?;
            let Some(current) = self.loops.last_mut() else {
                return Ok(Flow::On);
            };
            if !current.step(index, position)? {
                return Ok(Flow::On);
            }
            if self.block(body)? == Flow::Break {
                return Ok(Flow::On);
            }
            index += 1;
        }
    }

    fn switch(&mut self, value: &'a Expr, cases: &'a [(Option<Expr>, Block)]) -> Result<Flow, RenderError> {
        let wanted = self.value(value)?;
        let mut start = None;
        for (index, (condition, _)) in cases.iter().enumerate() {
            let Some(condition) = condition else { continue };
            self.work(1, condition.position)?;
            let candidate = self.value(condition)?;
            if self.compare(Operator::Equal, &wanted, &candidate, condition.position)? {
                start = Some(index);
                break;
            }
        }
        let Some(start) = start else {
            // The default alone, whatever follows it.
            let default = cases.iter().find(|(condition, _)| condition.is_none());
            let flow = default.map_or(Ok(Flow::On), |(_, block)| self.block(block))?;
            return Ok(if flow == Flow::Continue { flow } else { Flow::On });
        };
        // Without a `<#break>` one case runs into the next.
        for (_, block) in cases.iter().skip(start) {
            match self.block(block)? {
                Flow::On => {}
                Flow::Break => return Ok(Flow::On),
                Flow::Continue => return Ok(Flow::Continue),
            }
        }
        Ok(Flow::On)
    }

    fn assign(&mut self, assignment: &'a crate::ast::Assignment) -> Result<(), RenderError> {
        self.work(1, assignment.position)?;
        let value = match assignment.operator {
            None => self.value(&assignment.value)?,
            Some(operator) => {
                let name = assignment.name.as_str();
                let Some(old) = self.variables.get(name).cloned() else {
                    return Err(missing(assignment.position, name));
                };
                let new = self.value(&assignment.value)?;
                self.arithmetic(operator, old, new, assignment.position)?
            }
        };
        self.variables.insert(&assignment.name, value);
        Ok(())
    }

    /// Finds a variable: lambdas and loops first, from the innermost, then assigned ones, then the model.
    pub(crate) fn lookup(&self, name: &str) -> Option<Value<'a>> {
        if let Some((_, value)) = self.lambdas.iter().rev().find(|(variable, _)| *variable == name) {
            return value.clone();
        }
        for current in self.loops.iter().rev() {
            let Some(names) = &current.names else { continue };
            if names.first == name {
                return if names.second.is_some() || current.keys.is_some() {
                    current.key.clone()
                } else {
                    current.value.clone()
                };
            }
            if names.second.as_deref() == Some(name) {
                return current.value.clone();
            }
            if let Some(rest) = name.strip_prefix(names.first.as_str()) {
                match rest {
                    "_index" => return Some(Value::integer(current.index)),
                    "_has_next" => return Some(Value::Bool(current.has_next())),
                    _ => {}
                }
            }
        }
        self.variables
            .get(name)
            .cloned()
            .or_else(|| self.model.get(name).and_then(Value::from_json))
    }

    /// The loop that a variable belongs to.
    pub(crate) fn loop_of(&self, name: &str) -> Option<&Loop<'a>> {
        self.loops.iter().rev().find(|current| {
            current
                .names
                .as_ref()
                .is_some_and(|names| names.first == name || names.second.as_deref() == Some(name))
        })
    }
}

impl<'a> Loop<'a> {
    pub(crate) fn has_next(&self) -> bool {
        self.length.is_none_or(|length| self.index + 1 < length)
    }

    /// Goes to an element; false beyond the end.
    fn step(&mut self, index: usize, position: Position) -> Result<bool, RenderError> {
        self.index = index;
        match &self.keys {
            Some(keys) => {
                let Some(key) = keys.get(index) else { return Ok(false) };
                self.value = match &self.source {
                    Value::Json(Json::Object(entries)) => entries.get(key.as_ref()).and_then(Value::from_json),
                    Value::Hash(entries) => entries.content.get(index).map(|(_, value)| value.clone()),
                    _ => None,
                };
                self.key = Some(Value::Text(key.clone()));
                if self.names.as_ref().is_some_and(|names| names.second.is_none()) {
                    return Err(RenderError::invalid(
                        position,
                        "a hash is listed with two variables: <#list hash as key, value>",
                    ));
                }
            }
            None => {
                let Some(element) = self.source.element(index) else {
                    return Ok(false);
                };
                if self.names.as_ref().is_some_and(|names| names.second.is_some()) {
                    return Err(RenderError::invalid(
                        position,
                        "only a hash is listed with two variables; this is a sequence",
                    ));
                }
                self.value = element;
            }
        }
        Ok(true)
    }
}

/// The error for a value that is not there.
pub(crate) fn missing(position: Position, what: &str) -> RenderError {
    RenderError::new(
        RenderErrorKind::Missing,
        position,
        format!("{what} is missing or null; write {what}!\"\" for a default, or test it with {what}??"),
    )
}

/// An expression as a message names it.
pub(crate) fn describe(expr: &Expr) -> String {
    expr.path().unwrap_or_else(|| "this value".to_owned())
}
