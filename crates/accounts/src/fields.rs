//! Reads the fields of one object: names in any case, `-` and `_` alike, values as text or native, references resolved.
//!
//! Problems are gathered, not returned, so that one look at an account finds all of them.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::document::Node;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Place, Warning, WarningKind};
use crate::reference::{References, SecretSource};
use crate::suggest::{advice, quoted};

/// Names accepted in every object, and ignored: they are for editors and people.
const FOR_PEOPLE: [&str; 2] = ["$schema", "description"];

/// A field's name as it is compared: lower case, `-` as `_`.
pub(crate) fn normal(name: &str) -> String {
    name.trim().to_lowercase().replace('-', "_")
}

/// What reading shares between the objects of one account.
pub(crate) struct Findings {
    pub(crate) errors: Vec<Error>,
    pub(crate) warnings: Vec<Warning>,
}

/// What values are read with.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) environment: Environment,
    /// The folder that relative paths start at.
    pub(crate) base: PathBuf,
    pub(crate) place: Place,
    pub(crate) references: References,
}

/// The fields of one object, each taken at most once.
pub(crate) struct Fields {
    entries: Vec<Entry>,
    context: Context,
    /// `limits.` and the like, before the names in messages.
    prefix: String,
}

struct Entry {
    written: String,
    name: String,
    value: Node,
    taken: bool,
}

impl Fields {
    pub(crate) fn new(object: Vec<(String, Node)>, context: Context, prefix: &str, found: &mut Findings) -> Self {
        Self::named_by(normal, object, context, prefix, found)
    }

    /// The same with another way to compare names.
    pub(crate) fn named_by(
        name_of: impl Fn(&str) -> String,
        object: Vec<(String, Node)>,
        context: Context,
        prefix: &str,
        found: &mut Findings,
    ) -> Self {
        let mut fields = Self {
            entries: Vec::with_capacity(object.len()),
            context,
            prefix: prefix.to_owned(),
        };
        for (written, value) in object {
            let name = name_of(&written);
            if let Some(first) = fields.entries.iter().find(|entry| entry.name == name) {
                let message = format!(
                    "it is written twice, as {} and {}; keep one",
                    quoted(&first.written),
                    quoted(&written)
                );
                fields.refuse(&name, ErrorKind::Contradiction, message, found);
                continue;
            }
            let taken = FOR_PEOPLE.contains(&name.as_str());
            fields.entries.push(Entry {
                written,
                name,
                value,
                taken,
            });
        }
        fields
    }

    /// The place of a field, by the name it was written with.
    pub(crate) fn place(&self, name: &str) -> Place {
        let written = self
            .entries
            .iter()
            .find(|entry| entry.name == name)
            .map_or(name, |entry| &entry.written);
        self.context.place.with_field(&format!("{}{written}", self.prefix))
    }

    pub(crate) fn error(&self, name: &str, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, self.place(name), message)
    }

    /// Notes an error about a field.
    pub(crate) fn refuse(&self, name: &str, kind: ErrorKind, message: impl Into<String>, found: &mut Findings) {
        found.errors.push(self.error(name, kind, message));
    }

    /// Notes a warning about a field.
    pub(crate) fn warn(&self, name: &str, kind: WarningKind, message: impl Into<String>, found: &mut Findings) {
        found.warnings.push(self.warning(name, kind, message));
    }

    pub(crate) fn warning(&self, name: &str, kind: WarningKind, message: impl Into<String>) -> Warning {
        Warning::new(kind, self.place(name), message)
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Whether a field was written with a value; `null` and `""` count as not written.
    pub(crate) fn is_written(&self, name: &str) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.name == name && !is_blank(&entry.value))
    }

    /// The names written and not blank, in order, each with whether it was taken.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries
            .iter()
            .filter(|entry| !is_blank(&entry.value))
            .map(|entry| entry.name.as_str())
    }

    /// A text for people, as it stands.
    pub(crate) fn peek_text(&self, name: &str) -> Option<String> {
        self.entries
            .iter()
            .find(|entry| entry.name == name)
            .and_then(|entry| match &entry.value {
                Node::Text(text) => Some(text.to_string()),
                _ => None,
            })
    }

    /// A public text, references resolved.
    pub(crate) fn text(&mut self, name: &str, found: &mut Findings) -> Option<String> {
        let value = self.take(name)?;
        match self.resolved(name, &value) {
            Ok(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Err(error) => {
                found.errors.push(error);
                None
            }
        }
    }

    /// A text that may be a secret, references unread.
    pub(crate) fn secret(&mut self, name: &str, found: &mut Findings) -> Option<SecretSource> {
        let entry = self.entries.iter_mut().find(|entry| entry.name == name)?;
        entry.taken = true;
        let text = match &entry.value {
            Node::Null => return None,
            Node::Text(text) => text.clone(),
            Node::Number(number) => zeroize::Zeroizing::new(number.to_string()),
            Node::Object(_) => entry.value.to_json(),
            other => {
                let message = format!("it takes text, not {}; put it into quotes", other.describe());
                self.refuse(name, ErrorKind::Invalid, message, found);
                return None;
            }
        };
        let is_object = matches!(
            self.entries.iter().find(|entry| entry.name == name)?.value,
            Node::Object(_)
        );
        let text = if is_object {
            zeroize::Zeroizing::new(text.replace("${", "$${"))
        } else {
            text
        };
        SecretSource::parse(&text, &self.context.base, self.place(name))
            .and_then(|source| source.within(&self.context.references))
            .map_err(|error| found.errors.push(error))
            .ok()
    }

    /// A value that `read` understands from its text; `expected` ends the sentence when it does not.
    pub(crate) fn parsed<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
        found: &mut Findings,
    ) -> Option<T> {
        let text = self.text(name, found)?;
        let value = read(&text);
        if value.is_none() {
            let shown = self.quoted(name, &text);
            let message = format!("{shown} is not {expected}; correct it");
            self.refuse(name, ErrorKind::Invalid, message, found);
        }
        value
    }

    /// `true` or `false`, as text or native.
    pub(crate) fn boolean(&mut self, name: &str, found: &mut Findings) -> Option<bool> {
        self.parsed(name, "true or false", read_boolean, found)
    }

    /// A whole number within a range, as text or native.
    pub(crate) fn integer<T>(&mut self, name: &str, range: RangeInclusive<T>, found: &mut Findings) -> Option<T>
    where
        T: std::str::FromStr + PartialOrd + Display,
    {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.parsed(
            name,
            &expected,
            |text| text.parse().ok().filter(|number| range.contains(number)),
            found,
        )
    }

    /// An array of texts, or one text with commas or blanks between.
    pub(crate) fn list(&mut self, name: &str, found: &mut Findings) -> Vec<String> {
        let Some(value) = self.take(name) else {
            return Vec::new();
        };
        let items = match value {
            Node::List(items) => items,
            other => vec![other],
        };
        let mut texts = Vec::new();
        for item in items {
            match self.resolved(name, &item) {
                Ok(text) => texts.extend(
                    text.split([',', ';', ' ', '\n', '\t'])
                        .map(str::trim)
                        .filter(|t| !t.is_empty())
                        .map(str::to_owned),
                ),
                Err(error) => found.errors.push(error),
            }
        }
        texts
    }

    /// An object, native or as JSON text.
    pub(crate) fn object(&mut self, name: &str, found: &mut Findings) -> Option<Vec<(String, Node)>> {
        let value = self.take(name)?;
        match into_object(value) {
            Ok(object) => Some(object),
            Err(reason) => {
                let message = format!("it takes an object, {reason}; write {{ ... }}");
                self.refuse(name, ErrorKind::Invalid, message, found);
                None
            }
        }
    }

    /// Marks a field as seen without reading it.
    pub(crate) fn skip(&mut self, name: &str) {
        self.take(name);
    }

    /// Refuses what nobody took. `known` are all names that this object may have.
    pub(crate) fn finish(&self, what: &str, known: &[&str], found: &mut Findings) {
        for entry in self.entries.iter().filter(|entry| !entry.taken) {
            let message = format!(
                "{what} has no such field; {}",
                advice(&entry.name, known.iter().copied())
            );
            self.refuse(&entry.name, ErrorKind::Unknown, message, found);
        }
    }

    /// A field's value for a message. What a reference stood for may be a secret in the wrong place: it is not shown.
    pub(crate) fn quoted(&self, name: &str, text: &str) -> String {
        if self.is_reference(name) {
            "its value".to_owned()
        } else {
            quoted(text)
        }
    }

    /// Whether a field holds a reference.
    pub(crate) fn is_reference(&self, name: &str) -> bool {
        fn holds(value: &Node) -> bool {
            match value {
                // What cannot be read may be a reference that was mistyped.
                Node::Text(text) => SecretSource::parse(text, Path::new(""), Place::default())
                    .map_or(true, |source| source.has_reference()),
                Node::List(items) => items.iter().any(holds),
                _ => false,
            }
        }
        self.entries
            .iter()
            .any(|entry| entry.name == name && holds(&entry.value))
    }

    fn take(&mut self, name: &str) -> Option<Node> {
        let entry = self.entries.iter_mut().find(|entry| entry.name == name)?;
        entry.taken = true;
        if is_blank(&entry.value) {
            None
        } else {
            Some(entry.value.clone())
        }
    }

    fn resolved(&self, name: &str, value: &Node) -> Result<String, Error> {
        match value {
            Node::Text(text) => {
                let source = SecretSource::parse(text, &self.context.base, self.place(name))?
                    .within(&self.context.references)?;
                Ok(source.resolve(&self.context.environment)?.expose().to_owned())
            }
            Node::Number(number) => Ok(number.to_string()),
            Node::Bool(value) => Ok(value.to_string()),
            other => {
                let message = format!("it takes text, not {}; write one value", other.describe());
                Err(self.error(name, ErrorKind::Invalid, message))
            }
        }
    }
}

/// `true` and `false` in any case.
pub(crate) fn read_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// An object, or why it is none.
pub(crate) fn into_object(value: Node) -> Result<Vec<(String, Node)>, String> {
    match value {
        Node::Object(entries) => Ok(entries),
        Node::Text(text) => match Node::parse(&text) {
            Ok(Node::Object(entries)) => Ok(entries),
            _ => Err("and this text is not the JSON of one".to_owned()),
        },
        other => Err(format!("not {}", other.describe())),
    }
}

/// Lays one object over another: a field replaces its namesake, objects are laid over field by field.
pub(crate) fn lay_over(under: Vec<(String, Node)>, over: Vec<(String, Node)>) -> Vec<(String, Node)> {
    let mut result = under;
    for (written, value) in over {
        let name = normal(&written);
        match result.iter_mut().find(|(key, _)| normal(key) == name) {
            Some((_, Node::Object(below))) if matches!(value, Node::Object(_)) => {
                let Node::Object(above) = value else { continue };
                *below = lay_over(std::mem::take(below), above);
            }
            Some(entry) => entry.1 = value,
            None => result.push((written, value)),
        }
    }
    result
}

fn is_blank(value: &Node) -> bool {
    match value {
        Node::Null => true,
        Node::Text(text) => text.is_empty(),
        _ => false,
    }
}
