//! Facts about a template that are found without running it.

use std::collections::BTreeMap;

use crate::ast::{Block, Expr, ExprKind, Node, Operator, TextPart};
use crate::builtins::Builtin;
use crate::directives::{NOT_SUPPORTED, SUPPORTED};
use crate::error::Position;
use crate::source::{Source, Unit};

/// An interpolation or inserted value whose text reaches the output unescaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unescaped {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// The source text: `${customer.name}` or `{{ message.name }}`.
    pub text: String,
}

/// A path of the model that a template reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The path, with `[]` for "each element": `order.items[].name`.
    pub path: String,
    /// The position where it is read first.
    pub position: Position,
    /// Whether every use has a default or a test, so that the value may be missing.
    pub optional: bool,
}

/// Names of HTML elements, by which a tag is told from a `<placeholder>`.
const ELEMENTS: &[&str] = &[
    "a",
    "abbr",
    "address",
    "article",
    "aside",
    "b",
    "base",
    "big",
    "blockquote",
    "body",
    "br",
    "button",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "details",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "font",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hr",
    "html",
    "i",
    "img",
    "input",
    "ins",
    "label",
    "li",
    "link",
    "main",
    "mark",
    "meta",
    "nav",
    "ol",
    "option",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "script",
    "section",
    "select",
    "small",
    "span",
    "strike",
    "strong",
    "style",
    "sub",
    "summary",
    "sup",
    "svg",
    "table",
    "tbody",
    "td",
    "textarea",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "tt",
    "u",
    "ul",
    "video",
];

/// Whether the source holds a tag of HTML, a document type or an HTML comment.
pub(crate) fn is_html(source: &Source) -> bool {
    (0..source.len()).any(|at| {
        if source.char(at) != Some('<') {
            return false;
        }
        if source.starts_with(at, "<!--") {
            return true;
        }
        let mut name = String::new();
        let mut end = at + 1 + usize::from(source.char(at + 1) == Some('/'));
        while let Some(c) = source
            .char(end)
            .filter(|c| (c.is_ascii_alphanumeric() || *c == '!') && name.len() < 12)
        {
            name.push(c.to_ascii_lowercase());
            end += 1;
        }
        // What follows the name must be able to: `<b>`, `<p style=...>`, `<br/>`, `<td${x}>`.
        let ends = match source.unit(end) {
            Some(Unit::Char(c)) => c.is_whitespace() || matches!(c, '>' | '/' | '$'),
            Some(Unit::Value(_)) => true,
            None => false,
        };
        ends && (name == "!doctype" || ELEMENTS.contains(&name.as_str()))
    })
}

/// Finds the first directive that is written in square brackets.
pub(crate) fn square_bracket(source: &Source) -> Option<Position> {
    let at = (0..source.len()).find(|at| {
        let sign = ["[#", "[/#"].into_iter().find(|sign| source.starts_with(*at, sign));
        let Some(sign) = sign else { return false };
        let start = at + sign.len();
        let name: String = (start..source.len())
            .map_while(|at| source.char(at).filter(char::is_ascii_alphabetic))
            .take(12)
            .collect();
        let ends = matches!(
            source.char(start + name.len()),
            Some(' ' | '\t' | '\n' | '\r' | ']' | '/')
        );
        let name = crate::directives::canonical(&name);
        ends && (SUPPORTED.contains(&name.as_str()) || NOT_SUPPORTED.contains(&name.as_str()))
    })?;
    Some(source.position(at))
}

/// Collects what reaches the output unescaped.
pub(crate) fn unescaped(block: &Block) -> Vec<Unescaped> {
    let mut found = Vec::new();
    let mut numbers = Vec::new();
    walk_unescaped(block, &mut numbers, &mut found);
    found
}

fn walk_unescaped(block: &Block, loops: &mut Vec<(String, bool)>, found: &mut Vec<Unescaped>) {
    for node in block {
        match node {
            Node::Interpolation(interpolation) if !is_safe(&interpolation.value, loops) => {
                let Position { line, column } = interpolation.position;
                found.push(Unescaped {
                    line,
                    column,
                    text: interpolation.text.clone(),
                });
            }
            Node::Inserted(inserted) => {
                found.push(Unescaped {
                    line: inserted.position.line,
                    column: inserted.position.column,
                    text: inserted.text.clone(),
                });
            }
            Node::List(list) => {
                let known = loops.len();
                if let Some(names) = &list.names {
                    loops.push((names.first.clone(), matches!(list.source.kind, ExprKind::Range { .. })));
                    loops.extend(names.second.clone().map(|name| (name, false)));
                }
                walk_unescaped(&list.body, loops, found);
                loops.truncate(known);
                walk_unescaped(&list.otherwise, loops, found);
            }
            Node::Items { names, body, .. } => {
                let known = loops.len();
                loops.push((names.first.clone(), false));
                loops.extend(names.second.clone().map(|name| (name, false)));
                walk_unescaped(body, loops, found);
                loops.truncate(known);
            }
            other => blocks_of(other)
                .into_iter()
                .for_each(|block| walk_unescaped(block, loops, found)),
        }
    }
}

/// The blocks directly inside a node.
fn blocks_of(node: &Node) -> Vec<&Block> {
    match node {
        Node::If { branches, otherwise } => branches
            .iter()
            .map(|(_, block)| block)
            .chain(std::iter::once(otherwise))
            .collect(),
        Node::List(list) => vec![&list.body, &list.otherwise],
        Node::Items { body, .. } | Node::Capture { body, .. } => vec![body],
        Node::Sep(block, _) | Node::Wrapped(block) => vec![block],
        Node::Switch { cases, .. } => cases.iter().map(|(_, block)| block).collect(),
        _ => Vec::new(),
    }
}

/// Whether an expression's text can hold nothing that HTML reads as markup. In doubt it can.
fn is_safe(expr: &Expr, loops: &[(String, bool)]) -> bool {
    match &expr.kind {
        // What the template's author wrote is meant as it stands.
        ExprKind::Text(parts) => parts.iter().all(|part| match part {
            TextPart::Text(_) => true,
            TextPart::Inserted(_) => false,
            TextPart::Interpolation(inner) => is_safe(inner, loops),
        }),
        ExprKind::Number(_)
        | ExprKind::Bool(_)
        | ExprKind::Negate(_)
        | ExprKind::Plus(_)
        | ExprKind::Not(_)
        | ExprKind::Exists(_) => true,
        ExprKind::Special(_) => true,
        ExprKind::Variable(name) => loops.iter().rev().any(|(variable, number)| {
            (*number && name == variable) || name.strip_prefix(variable.as_str()) == Some("_index")
        }),
        ExprKind::Parenthesis(inner) => is_safe(inner, loops),
        ExprKind::Default(target, fallback) => {
            is_safe(target, loops) && fallback.as_ref().is_none_or(|fallback| is_safe(fallback, loops))
        }
        ExprKind::Binary(Operator::Add, left, right) => is_safe(left, loops) && is_safe(right, loops),
        ExprKind::Binary(..) => true,
        ExprKind::Builtin {
            target,
            builtin,
            arguments,
        } => match builtin {
            builtin if builtin.is_safe_in_html() => true,
            // A format in the source gives digits, names of months, and what the author wrote.
            Builtin::String => {
                !arguments.is_empty() && arguments.iter().all(|argument| is_safe(argument, loops))
                    || arguments.is_empty() && is_safe(target, loops)
            }
            Builtin::Then | Builtin::ItemCycle => arguments.iter().all(|argument| is_safe(argument, loops)),
            Builtin::Switch => arguments
                .iter()
                .skip(1)
                .step_by(2)
                .chain((arguments.len() % 2 == 1).then(|| arguments.last()).flatten())
                .all(|argument| is_safe(argument, loops)),
            Builtin::Default => is_safe(target, loops) && arguments.iter().all(|argument| is_safe(argument, loops)),
            Builtin::Trim | Builtin::ChopLinebreak | Builtin::LowerCase | Builtin::UpperCase | Builtin::CapFirst => {
                is_safe(target, loops)
            }
            _ => false,
        },
        _ => false,
    }
}

/// Collects the paths of the model that a template reads.
pub(crate) fn references(block: &Block) -> Vec<Reference> {
    let mut collector = Collector {
        scopes: Vec::new(),
        found: BTreeMap::new(),
    };
    collector.block(block);
    let mut references: Vec<Reference> = collector.found.into_values().collect();
    references.sort_by(|left, right| {
        left.position
            .cmp(&right.position)
            .then_with(|| left.path.cmp(&right.path))
    });
    references
}

struct Collector {
    /// Names that stand for a path of the model, or for something else (`None`); the innermost is last.
    scopes: Vec<(String, Option<String>)>,
    found: BTreeMap<String, Reference>,
}

impl Collector {
    fn block(&mut self, block: &Block) {
        for node in block {
            self.node(node);
        }
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Interpolation(interpolation) => self.expr(&interpolation.value, false),
            Node::If { branches, .. } => {
                for (condition, _) in branches {
                    self.expr(condition, false);
                }
            }
            Node::List(list) => return self.list(list),
            Node::Items { names, body, .. } => {
                // The list around it has put what it lists last.
                let element = self
                    .scopes
                    .iter()
                    .rev()
                    .find(|(name, _)| name.is_empty())
                    .and_then(|(_, path)| path.clone());
                return self.inside(&names.first, names.second.as_deref(), element, body);
            }
            Node::Assign(assignments) => {
                for assignment in assignments {
                    self.expr(&assignment.value, false);
                    let path = if assignment.operator.is_none() {
                        self.path(&assignment.value)
                    } else {
                        None
                    };
                    self.scopes.insert(0, (assignment.name.clone(), path));
                }
            }
            Node::Capture { name, body } => {
                self.block(body);
                return self.scopes.insert(0, (name.clone(), None));
            }
            Node::Setting { value, .. } => self.expr(value, false),
            Node::Switch { value, cases } => {
                self.expr(value, false);
                for condition in cases.iter().filter_map(|(condition, _)| condition.as_ref()) {
                    self.expr(condition, false);
                }
            }
            _ => {}
        }
        for block in blocks_of(node) {
            self.block(block);
        }
    }

    fn list(&mut self, list: &crate::ast::List) {
        self.expr(&list.source, false);
        let element = self.path(&list.source).map(|path| format!("{path}[]"));
        match &list.names {
            Some(names) => self.inside(&names.first, names.second.as_deref(), element, &list.body),
            None => self.inside("", None, element, &list.body),
        }
        self.block(&list.otherwise);
    }

    fn inside(&mut self, first: &str, second: Option<&str>, element: Option<String>, body: &Block) {
        match second {
            None => self.scopes.push((first.to_owned(), element)),
            Some(second) => self
                .scopes
                .extend([(first.to_owned(), None), (second.to_owned(), element)]),
        }
        self.block(body);
        // Assignments inside have been put at the front, and outlive the loop.
        let added = if second.is_some() { 2 } else { 1 };
        self.scopes.truncate(self.scopes.len().saturating_sub(added));
    }

    fn expr(&mut self, expr: &Expr, optional: bool) {
        if self.note(expr, optional) {
            return;
        }
        match &expr.kind {
            ExprKind::Default(target, fallback) => {
                self.expr(target, true);
                if let Some(fallback) = fallback {
                    self.expr(fallback, optional);
                }
            }
            ExprKind::Exists(target) => self.expr(target, true),
            ExprKind::Builtin { target, arguments, .. }
                if let [
                    Expr {
                        kind: ExprKind::Lambda(name, body),
                        ..
                    },
                ] = arguments.as_slice() =>
            {
                self.expr(target, false);
                let element = self.path(target).map(|path| format!("{path}[]"));
                self.scopes.push((name.clone(), element));
                self.expr(body, false);
                self.scopes.pop();
            }
            ExprKind::Builtin {
                target,
                builtin,
                arguments,
            } => {
                self.expr(target, builtin.takes_missing());
                arguments.iter().for_each(|argument| self.expr(argument, false));
            }
            // In parentheses a default covers each step.
            ExprKind::Parenthesis(inner) if optional => self.covered(inner),
            ExprKind::Parenthesis(inner) => self.expr(inner, false),
            _ => expr.children().into_iter().for_each(|child| self.expr(child, false)),
        }
    }

    /// Notes everything below a default in parentheses.
    fn covered(&mut self, expr: &Expr) {
        if !self.note(expr, true) {
            expr.children().into_iter().for_each(|child| self.covered(child));
        }
    }

    /// Notes an expression that is a path, and says whether it is one.
    fn note(&mut self, expr: &Expr, optional: bool) -> bool {
        let Some(path) = self.path(expr) else { return false };
        let position = expr.position;
        let known = self.found.entry(path.clone()).or_insert(Reference {
            path,
            position,
            optional,
        });
        known.optional &= optional;
        known.position = known.position.min(position);
        true
    }

    /// The path of the model that an expression reads, when it can be told.
    fn path(&self, expr: &Expr) -> Option<String> {
        match &expr.kind {
            ExprKind::Variable(name) => {
                let loop_name = |suffix: &str| {
                    name.strip_suffix(suffix)
                        .is_some_and(|stem| self.scopes.iter().any(|(known, _)| known == stem))
                };
                if loop_name("_index") || loop_name("_has_next") {
                    return None;
                }
                match self.scopes.iter().rev().find(|(known, _)| known == name) {
                    Some((_, path)) => path.clone(),
                    None => Some(name.clone()),
                }
            }
            ExprKind::Parenthesis(inner) => self.path(inner),
            ExprKind::Field(target, name) => match &target.kind {
                ExprKind::Special(crate::ast::Special::DataModel) => Some(name.clone()),
                _ => Some(format!("{}.{name}", self.path(target)?)),
            },
            ExprKind::Index(target, index) => match (&index.kind, index.literal(), &target.kind) {
                (_, Some(name), ExprKind::Special(crate::ast::Special::DataModel)) => Some(name.to_owned()),
                (_, Some(name), _) => Some(format!("{}.{name}", self.path(target)?)),
                (ExprKind::Number(number), ..) => Some(format!("{}[{}]", self.path(target)?, number.plain())),
                _ => None,
            },
            _ => None,
        }
    }
}
