//! A parsed template.

use crate::builtins::Builtin;
use crate::error::Position;
use crate::number::Number;

pub(crate) type Block = Vec<Node>;

#[derive(Debug)]
pub(crate) enum Node {
    /// Index into the template's texts, which white-space stripping changes after parsing.
    Text(usize),
    /// An inserted value that stands in the text.
    Inserted(Inserted),
    Interpolation(Interpolation),
    If {
        branches: Vec<(Expr, Block)>,
        otherwise: Block,
    },
    List(List),
    Items {
        names: LoopNames,
        body: Block,
        position: Position,
    },
    Sep(Block, Position),
    Break,
    Continue,
    Assign(Vec<Assignment>),
    Capture {
        name: String,
        body: Block,
    },
    Setting {
        setting: Setting,
        value: Expr,
    },
    Switch {
        value: Expr,
        cases: Vec<(Option<Expr>, Block)>,
    },
    /// Directives that only wrap others (`escape`, `noescape`): their effect is in what they wrap.
    Wrapped(Block),
}

#[derive(Debug)]
pub(crate) struct Inserted {
    pub(crate) index: usize,
    pub(crate) position: Position,
    pub(crate) text: String,
}

#[derive(Debug)]
pub(crate) struct Interpolation {
    pub(crate) value: Expr,
    pub(crate) position: Position,
    /// As written, for warnings.
    pub(crate) text: String,
    /// Whether the template's escape option leaves this one alone.
    pub(crate) raw: bool,
}

#[derive(Debug)]
pub(crate) struct List {
    pub(crate) source: Expr,
    /// `None` for the form with `<#items>` inside.
    pub(crate) names: Option<LoopNames>,
    pub(crate) body: Block,
    pub(crate) otherwise: Block,
    pub(crate) position: Position,
}

#[derive(Debug, Clone)]
pub(crate) struct LoopNames {
    pub(crate) first: String,
    /// The value's name where the first names a key.
    pub(crate) second: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    /// `None` for a plain `=`.
    pub(crate) operator: Option<Operator>,
    pub(crate) value: Expr,
    pub(crate) position: Position,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    Locale,
    NumberFormat,
    BooleanFormat,
    DateFormat,
    TimeFormat,
    DateTimeFormat,
    TimeZone,
    /// Accepted and without effect: the text is not encoded here.
    Ignored,
}

#[derive(Debug, Clone)]
pub(crate) struct Expr {
    pub(crate) kind: ExprKind,
    pub(crate) position: Position,
    /// Levels of expressions below, for the bound on recursion.
    pub(crate) depth: usize,
}

#[derive(Debug, Clone)]
pub(crate) enum ExprKind {
    Text(Vec<TextPart>),
    Number(Number),
    Bool(bool),
    Sequence(Vec<Expr>),
    Hash(Vec<(Expr, Expr)>),
    Variable(String),
    Special(Special),
    Field(Box<Expr>, String),
    Index(Box<Expr>, Box<Expr>),
    Builtin {
        target: Box<Expr>,
        builtin: Builtin,
        arguments: Vec<Expr>,
    },
    Default(Box<Expr>, Option<Box<Expr>>),
    Exists(Box<Expr>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Plus(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    Range {
        start: Box<Expr>,
        end: Option<Box<Expr>>,
        kind: RangeKind,
    },
    /// Kept, because a default after it covers everything inside.
    Parenthesis(Box<Expr>),
    /// `x -> expression`, the argument of a built-in that works element by element.
    Lambda(String, Box<Expr>),
}

#[derive(Debug, Clone)]
pub(crate) enum TextPart {
    Text(String),
    Inserted(usize),
    Interpolation(Expr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    Now,
    Locale,
    Language,
    DataModel,
    Variables,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RangeKind {
    Inclusive,
    Exclusive,
    Length,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Expr {
    /// The expressions directly below this one.
    pub(crate) fn children(&self) -> Vec<&Self> {
        match &self.kind {
            ExprKind::Text(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    TextPart::Interpolation(expr) => Some(expr),
                    TextPart::Text(_) | TextPart::Inserted(_) => None,
                })
                .collect(),
            ExprKind::Number(_) | ExprKind::Bool(_) | ExprKind::Variable(_) | ExprKind::Special(_) => Vec::new(),
            ExprKind::Sequence(items) => items.iter().collect(),
            ExprKind::Hash(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            ExprKind::Field(target, _)
            | ExprKind::Exists(target)
            | ExprKind::Not(target)
            | ExprKind::Negate(target)
            | ExprKind::Plus(target)
            | ExprKind::Parenthesis(target)
            | ExprKind::Lambda(_, target) => vec![target],
            ExprKind::Index(left, right) | ExprKind::Binary(_, left, right) => vec![left, right],
            ExprKind::Builtin { target, arguments, .. } => std::iter::once(&**target).chain(arguments).collect(),
            ExprKind::Default(target, fallback) => {
                std::iter::once(target).chain(fallback).map(|expr| &**expr).collect()
            }
            ExprKind::Range { start, end, .. } => std::iter::once(start).chain(end).map(|expr| &**expr).collect(),
        }
    }

    fn children_mut(&mut self) -> Vec<&mut Self> {
        match &mut self.kind {
            ExprKind::Text(parts) => parts
                .iter_mut()
                .filter_map(|part| match part {
                    TextPart::Interpolation(expr) => Some(expr),
                    TextPart::Text(_) | TextPart::Inserted(_) => None,
                })
                .collect(),
            ExprKind::Number(_) | ExprKind::Bool(_) | ExprKind::Variable(_) | ExprKind::Special(_) => Vec::new(),
            ExprKind::Sequence(items) => items.iter_mut().collect(),
            ExprKind::Hash(entries) => entries.iter_mut().flat_map(|(key, value)| [key, value]).collect(),
            ExprKind::Field(target, _)
            | ExprKind::Exists(target)
            | ExprKind::Not(target)
            | ExprKind::Negate(target)
            | ExprKind::Plus(target)
            | ExprKind::Parenthesis(target)
            | ExprKind::Lambda(_, target) => vec![target],
            ExprKind::Index(left, right) | ExprKind::Binary(_, left, right) => vec![left, right],
            ExprKind::Builtin { target, arguments, .. } => std::iter::once(&mut **target).chain(arguments).collect(),
            ExprKind::Default(target, fallback) => std::iter::once(target)
                .chain(fallback)
                .map(|expr| &mut **expr)
                .collect(),
            ExprKind::Range { start, end, .. } => std::iter::once(start).chain(end).map(|expr| &mut **expr).collect(),
        }
    }

    /// How often a variable is used.
    pub(crate) fn uses(&self, name: &str) -> usize {
        if self.binds(name) {
            return 0;
        }
        let own = matches!(&self.kind, ExprKind::Variable(variable) if variable == name);
        usize::from(own) + self.children().into_iter().map(|child| child.uses(name)).sum::<usize>()
    }

    /// Whether it is a lambda with a variable of this name, which hides others.
    fn binds(&self, name: &str) -> bool {
        matches!(&self.kind, ExprKind::Lambda(variable, _) if variable == name)
    }

    /// Puts an expression in the place of each use of a variable. The caller sees to the depth.
    pub(crate) fn replace_variable(&mut self, name: &str, value: &Self) {
        if matches!(&self.kind, ExprKind::Variable(variable) if variable == name) {
            self.kind = ExprKind::Parenthesis(Box::new(value.clone()));
            return;
        }
        if self.binds(name) {
            return;
        }
        for child in self.children_mut() {
            child.replace_variable(name, value);
        }
    }

    /// The path that this expression reads (`order.items[0].name`), for messages; `None` when it is not one.
    pub(crate) fn path(&self) -> Option<String> {
        Some(match &self.kind {
            ExprKind::Variable(name) => name.clone(),
            ExprKind::Parenthesis(inner) => inner.path()?,
            ExprKind::Field(target, name) => format!("{}.{name}", target.path()?),
            ExprKind::Index(target, index) => match &index.kind {
                ExprKind::Number(number) => format!("{}[{}]", target.path()?, number.plain()),
                ExprKind::Text(parts) => match parts.as_slice() {
                    [TextPart::Text(name)] => format!("{}.{name}", target.path()?),
                    _ => return None,
                },
                _ => return None,
            },
            _ => return None,
        })
    }
}
