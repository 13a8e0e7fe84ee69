use std::fmt;

use serde_json::Value;

use crate::{Context, Position};

/// A scope: a root that a path can start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Scope {
    /// The current message: the previous step's output.
    Message,
    /// The globals of the environment.
    Global,
    /// The fields of accounts that are not secret.
    Account,
    /// The outputs of earlier steps, by their alias.
    Step,
    /// The pipeline, its runtime and this execution.
    Metadata,
    /// The data that triggered the run.
    Trigger,
    /// The session of the run.
    Session,
    /// The loops around the step.
    Iterators,
    /// The instance that runs the pipeline.
    Replica,
    /// The capsule around the step.
    Capsule,
    /// The element of a mail merge.
    Item,
}

impl Scope {
    /// All scopes, in the order in which messages list them.
    pub const ALL: [Self; 11] = [
        Self::Message,
        Self::Global,
        Self::Account,
        Self::Step,
        Self::Metadata,
        Self::Trigger,
        Self::Session,
        Self::Iterators,
        Self::Replica,
        Self::Capsule,
        Self::Item,
    ];

    /// Returns the name as it is written in expressions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Global => "global",
            Self::Account => "account",
            Self::Step => "step",
            Self::Metadata => "metadata",
            Self::Trigger => "trigger",
            Self::Session => "session",
            Self::Iterators => "iterators",
            Self::Replica => "replica",
            Self::Capsule => "capsule",
            Self::Item => "item",
        }
    }

    /// Returns the scope with this name, or `None` if there is no such scope.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// `.name` or `['name']`.
    Name(String),
    /// `[0]`; negative numbers count from the end.
    Index(i64),
}

/// A path into a scope: `message.items[0].name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    scope: Scope,
    segments: Vec<Segment>,
    position: Position,
}

impl Reference {
    pub(crate) fn new(scope: Scope, segments: Vec<Segment>, position: Position) -> Self {
        Self {
            scope,
            segments,
            position,
        }
    }

    /// Returns the scope where the path starts.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Returns the segments after the scope; none for the whole scope (`message.$`).
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Returns the position of the path in the text that was parsed.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Returns the label in a path into an account by its label; `None` for the step's own account and for other
    /// scopes.
    pub fn account_label(&self) -> Option<&str> {
        match (self.scope, self.segments.as_slice()) {
            (Scope::Account, [Segment::Name(label), _, ..]) => Some(label),
            _ => None,
        }
    }

    /// Returns the field in a path into an account; `None` for other paths.
    pub fn account_field(&self) -> Option<&str> {
        match (self.scope, self.segments.as_slice()) {
            (Scope::Account, [Segment::Name(field)] | [_, Segment::Name(field), ..]) => Some(field),
            _ => None,
        }
    }

    /// Returns the value at the path, if there is one.
    pub fn resolve<'a>(&self, context: &'a dyn Context) -> Option<&'a Value> {
        if self.scope != Scope::Account {
            return self.segments.iter().try_fold(context.root(self.scope)?, follow);
        }
        let (account, path) = match self.segments.as_slice() {
            [field] => (context.account(None)?, std::slice::from_ref(field)),
            [Segment::Name(label), path @ ..] => (context.account(Some(label))?, path),
            _ => return None,
        };
        let (field, rest) = path.split_first()?;
        rest.iter().try_fold(follow_field(account, field)?, follow)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scope.name())?;
        if !matches!(self.segments.first(), Some(Segment::Name(name)) if is_plain_name(name) && name != "$") {
            f.write_str(".$")?;
        }
        for segment in &self.segments {
            match segment {
                Segment::Name(name) if is_plain_name(name) => write!(f, ".{name}")?,
                Segment::Name(name) => {
                    f.write_str("[")?;
                    write_quoted(f, name, '\'')?;
                    f.write_str("]")?;
                }
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

fn follow<'a>(value: &'a Value, segment: &Segment) -> Option<&'a Value> {
    match segment {
        Segment::Name(name) => value.as_object()?.get(name),
        Segment::Index(index) => {
            let array = value.as_array()?;
            let length = i64::try_from(array.len()).ok()?;
            let index = if *index < 0 {
                length.checked_add(*index)?
            } else {
                *index
            };
            array.get(usize::try_from(index).ok()?)
        }
    }
}

fn follow_field<'a>(account: &'a Value, segment: &Segment) -> Option<&'a Value> {
    let Segment::Name(name) = segment else { return None };
    let fields = account.as_object()?;
    let fold = |c: char| if c == '-' { '_' } else { c.to_ascii_lowercase() };
    fields.get(name).or_else(|| {
        fields
            .iter()
            .find(|(key, _)| key.chars().map(fold).eq(name.chars().map(fold)))
            .map(|(_, v)| v)
    })
}

/// Whether a name can stand in a path without quotes. `-` and `:` belong to names: the language has no operators.
pub(crate) fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | ':' | '@' | '#' | '$') || is_mark(c)
}

/// Accents that stand for themselves, as in names typed in decomposed form.
fn is_mark(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name != "$" && name.chars().all(is_name_char)
}

/// Writes a text literal so that parsing it again gives the same text.
pub(crate) fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str, quote: char) -> fmt::Result {
    use fmt::Write as _;
    f.write_char(quote)?;
    write_escaped(f, text, quote)?;
    f.write_char(quote)
}

pub(crate) fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str, quote: char) -> fmt::Result {
    use fmt::Write as _;
    for c in text.chars() {
        match c {
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            // A brace could open an expression inside the literal.
            '{' => f.write_str("\\u007b")?,
            c if c == quote => write!(f, "\\{quote}")?,
            c if (c as u32) < 0x20 => write!(f, "\\u{:04x}", c as u32)?,
            c => f.write_char(c)?,
        }
    }
    Ok(())
}
