//! The accounts inside the store, as documents: found, changed, shown without their secrets.

use std::path::Path;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::assemble::SECRET_FIELDS;
use crate::client_certificate;
use crate::document::Node;
use crate::error::{Error, ErrorKind, Place};
use crate::fields::{into_object, lay_over, normal};
use crate::presets::Preset;
use crate::reference::SecretSource;
use crate::secret::Secret;

/// The fields of one account, as written.
pub(super) type Document = Vec<(String, Node)>;

/// One change to an account.
#[derive(Debug)]
pub enum Change {
    /// Writes a field. Nested fields have dots: `limits.messages_per_day`, `properties.mail.smtp.timeout`,
    /// `environments.test.host`.
    Set {
        /// The field's name.
        field: String,
        /// Its value; it may be a secret or a reference.
        value: Secret,
    },
    /// Removes a field.
    Remove {
        /// The field's name.
        field: String,
    },
}

impl Change {
    /// Makes a change that writes a field.
    pub fn set(field: impl Into<String>, value: Secret) -> Self {
        Self::Set {
            field: field.into(),
            value,
        }
    }

    /// Makes a change that writes a field with a literal value: `${` in it does not begin a reference.
    pub fn set_literal(field: impl Into<String>, value: &Secret) -> Self {
        Self::set(field, Secret::new(value.expose().replace("${", "$${")))
    }

    /// Checks whether it writes a secret itself and not a reference to one. Such a value must not be in a command line.
    pub fn is_secret_in_clear(&self) -> bool {
        let Self::Set { field, value } = self else { return false };
        let last = path_of(field).and_then(|path| path.last().map(|name| normal(name)));
        let is_key = last.as_deref() == Some(client_certificate::KEY);
        let is_secret = last.is_some_and(|name| SECRET_FIELDS.contains(&name.as_str()));
        is_secret
            && SecretSource::parse(value.expose(), Path::new(""), Place::default()).map_or(true, |source| {
                source.has_literal() && !(is_key && client_certificate::is_path(value.expose()))
            })
    }

    /// Makes a change that removes a field.
    pub fn remove(field: impl Into<String>) -> Self {
        Self::Remove { field: field.into() }
    }
}

pub(super) fn label(document: &Document) -> Option<&str> {
    text(document, "label").map(str::trim)
}

pub(super) fn text<'a>(document: &'a Document, name: &str) -> Option<&'a str> {
    document.iter().find_map(|(key, value)| match value {
        Node::Text(text) if normal(key) == name => Some(text.as_str()),
        _ => None,
    })
}

pub(super) fn set_label(document: &mut Document, label: &str) {
    let value = Node::Text(Zeroizing::new(label.to_owned()));
    match document.iter_mut().find(|(key, _)| normal(key) == "label") {
        Some(entry) => entry.1 = value,
        None => document.insert(0, ("label".to_owned(), value)),
    }
}

/// The names of the environments.
pub(super) fn environments(document: &Document) -> Vec<String> {
    let entry = document.iter().find(|(key, _)| normal(key) == "environments");
    let sets = entry
        .and_then(|(_, value)| into_object(value.clone()).ok())
        .unwrap_or_default();
    sets.into_iter()
        .map(|(name, _)| name)
        .filter(|name| !matches!(normal(name).as_str(), "description" | "$schema"))
        .collect()
}

pub(super) fn change(document: &mut Document, change: &Change, place: &Place) -> Result<(), Error> {
    let (field, value) = match change {
        Change::Set { field, value } => (field, Some(Node::Text(Zeroizing::new(value.expose().to_owned())))),
        Change::Remove { field } => (field, None),
    };
    let fail = |message: &str| Error::new(ErrorKind::Invalid, place.with_field(field), message);
    let path =
        path_of(field).ok_or_else(|| fail("a part of the name is empty; write it as in limits.messages_per_day"))?;
    if path.len() == 1 && normal(path[0]) == "label" {
        return Err(fail("a label is changed by renaming the account"));
    }
    match value {
        Some(value) => {
            let (last, outer) = path
                .split_last()
                .ok_or_else(|| fail("the field has no name; write it before the value"))?;
            let nested = outer.iter().rev().fold((last.to_string(), value), |inner, name| {
                (name.to_string(), Node::Object(vec![inner]))
            });
            make_objects(document, outer);
            *document = lay_over(std::mem::take(document), vec![nested]);
        }
        None if remove(document, &path) => {}
        None => return Err(fail("the account has no such field; nothing was changed")),
    }
    Ok(())
}

/// `environments` takes a name and a field, `properties` everything after it, since its names hold dots.
fn path_of(field: &str) -> Option<Vec<&str>> {
    let mut path = Vec::new();
    let mut rest = field.trim();
    while let Some((name, after)) = rest.split_once('.') {
        path.push(name);
        rest = after;
        if matches!(normal(name).as_str(), "properties" | "limits") {
            break;
        }
    }
    path.push(rest);
    path.iter().all(|name| !name.trim().is_empty()).then_some(path)
}

/// Objects that were written as JSON text become objects, so that a field can be laid into them.
fn make_objects(document: &mut Document, outer: &[&str]) {
    let Some((name, rest)) = outer.split_first() else {
        return;
    };
    let Some((_, value)) = document.iter_mut().find(|(key, _)| normal(key) == normal(name)) else {
        return;
    };
    if let Ok(mut object) = into_object(std::mem::replace(value, Node::Null)) {
        make_objects(&mut object, rest);
        *value = Node::Object(object);
    }
}

fn remove(document: &mut Document, path: &[&str]) -> bool {
    let Some((name, rest)) = path.split_first() else {
        return false;
    };
    let Some(at) = document.iter().position(|(key, _)| normal(key) == normal(name)) else {
        return false;
    };
    if rest.is_empty() {
        document.remove(at);
        return true;
    }
    let Ok(mut object) = into_object(document[at].1.clone()) else {
        return false;
    };
    let removed = remove(&mut object, rest);
    if removed {
        document[at].1 = Node::Object(object);
    }
    removed
}

/// Relative files named from the root: the store lies in another folder than the file that an account came from.
pub(super) fn root(document: &mut Document, base: &Path, place: &Place) -> Result<(), Error> {
    for (key, value) in document {
        root_value(names_file(key, value), value, base, &place.with_field(key))?;
    }
    Ok(())
}

/// Whether a field's value is the path of a file.
fn names_file(key: &str, value: &Node) -> bool {
    matches!(value, Node::Text(text) if is_path_in(key, text))
}

fn is_path_in(key: &str, text: &str) -> bool {
    match normal(key).as_str() {
        "ca_file" => true,
        client_certificate::CERTIFICATE | client_certificate::KEY => client_certificate::is_path(text),
        _ => false,
    }
}

fn root_value(is_path: bool, value: &mut Node, base: &Path, place: &Place) -> Result<(), Error> {
    match value {
        Node::Text(text) => {
            let source = SecretSource::parse(text, base, place.clone())?;
            let is_plain = source.as_literal().is_some();
            if is_path && is_plain && !text.is_empty() {
                *text = Zeroizing::new(base.join(text.as_str()).display().to_string());
            } else if !is_plain && !source.is_blank() {
                *text = source.rooted();
            }
        }
        Node::List(items) => items
            .iter_mut()
            .try_for_each(|item| root_value(false, item, base, place))?,
        Node::Object(entries) => {
            entries
                .iter_mut()
                .try_for_each(|(key, value)| root_value(names_file(key, value), value, base, place))?;
        }
        Node::Null | Node::Bool(_) | Node::Number(_) => {}
    }
    Ok(())
}

/// What a reference begins with, in any field and within a set of fields that is written as text.
const REFERENCES: [&str; 3] = ["${env:", "${file:", "${keyring:"];

/// Puts what is stored in the place of each text that only shows it, and refuses references that are not stored already.
pub(super) fn keep_hidden(document: &mut Document, stored: Option<&Document>, place: &Place) -> Result<(), Error> {
    let shown = stored.map(shown);
    for (key, value) in document {
        let old = stored.and_then(|stored| stored.iter().find(|(other, _)| normal(other) == normal(key)));
        let old_shown = old.and_then(|(other, _)| shown.as_ref()?.get(other));
        keep_hidden_value(value, old.map(|(_, old)| old), old_shown, &place.with_field(key))?;
    }
    Ok(())
}

fn keep_hidden_value(
    value: &mut Node,
    stored: Option<&Node>,
    shown: Option<&Value>,
    place: &Place,
) -> Result<(), Error> {
    match value {
        // Fields written as text are fields all the same; a service account's key is such a text, and has none.
        Node::Text(text)
            if text.trim_start().starts_with('{')
                && !place
                    .field()
                    .is_some_and(|field| SECRET_FIELDS.contains(&normal(field).as_str()))
                && matches!(Node::parse(text), Ok(Node::Object(_))) =>
        {
            if let Ok(object) = Node::parse(text) {
                *value = object;
            }
            keep_hidden_value(value, stored, shown, place)?;
        }
        Node::Text(text) => {
            let is_shown = shown.and_then(Value::as_str) == Some(text.as_str());
            if let (true, Some(stored)) = (is_shown, stored) {
                *value = stored.clone();
                return Ok(());
            }
            if text.as_str() == "***" {
                let message = "\"***\" stands for a stored secret, and none is stored here; write the secret itself";
                return Err(Error::new(ErrorKind::Invalid, place.clone(), message));
            }
            if REFERENCES.iter().any(|reference| text.contains(reference)) {
                let message =
                    "a reference cannot be written here; write the value itself, or let the operator add the account";
                return Err(Error::new(ErrorKind::Invalid, place.clone(), message));
            }
            let is_file = place.field().is_some_and(|field| is_path_in(field, text));
            if is_file && !text.is_empty() {
                let message = "a file of this machine cannot be named here; let the operator add the account";
                return Err(Error::new(ErrorKind::Invalid, place.clone(), message));
            }
            // A password may hold it.
            *text = Zeroizing::new(text.replace("${", "$${"));
        }
        Node::List(items) => {
            for item in items {
                keep_hidden_value(item, None, None, place)?;
            }
        }
        Node::Object(entries) => {
            let old = match stored {
                Some(Node::Object(old)) => Some(old),
                _ => None,
            };
            for (key, value) in entries {
                let old = old.and_then(|old| old.iter().find(|(other, _)| normal(other) == normal(key)));
                let old_shown = old.and_then(|(other, _)| shown?.get(other));
                keep_hidden_value(value, old.map(|(_, old)| old), old_shown, &place.with_field(key))?;
            }
        }
        Node::Null | Node::Bool(_) | Node::Number(_) => {}
    }
    Ok(())
}

/// The account without its secrets: literal ones are `***`, references stay.
pub(super) fn shown(document: &Document) -> Value {
    let user_is_secret = text(document, "preset")
        .and_then(Preset::named)
        .is_some_and(|preset| preset.username_is_password);
    let mut secrets = Vec::new();
    collect_secrets(document, &mut secrets);
    let hide = |name: &str, text: &str| {
        SECRET_FIELDS.contains(&name)
            || (name == "username" && user_is_secret)
            || secrets.iter().any(|secret| secret.as_str() == text)
    };
    Value::Object(shown_object(document, &hide))
}

fn collect_secrets(document: &Document, secrets: &mut Vec<Zeroizing<String>>) {
    for (key, value) in document {
        match value {
            Node::Text(text) if SECRET_FIELDS.contains(&normal(key).as_str()) && !text.is_empty() => {
                secrets.push(text.clone())
            }
            Node::Object(inner) => collect_secrets(inner, secrets),
            _ => {}
        }
    }
}

fn shown_object(document: &Document, hide: &dyn Fn(&str, &str) -> bool) -> Map<String, Value> {
    document
        .iter()
        .map(|(key, value)| (key.clone(), shown_value(&normal(key), value, hide)))
        .collect()
}

fn shown_value(name: &str, value: &Node, hide: &dyn Fn(&str, &str) -> bool) -> Value {
    let is_secret = SECRET_FIELDS.contains(&name);
    match value {
        Node::Null => Value::Null,
        Node::Text(text) if hide(name, text) => match SecretSource::parse(text, Path::new(""), Place::default()) {
            Ok(source) => source.redacted().into(),
            Err(_) => "***".into(),
        },
        // An environment's set, written as text, may hold anything.
        Node::Text(text) if text.trim_start().starts_with('{') => match Node::parse(text) {
            Ok(Node::Object(entries)) => Value::Object(shown_object(&entries, hide)),
            _ => "***".into(),
        },
        _ if is_secret => "***".into(),
        Node::Text(text) => text.as_str().into(),
        Node::Bool(value) => (*value).into(),
        Node::Number(value) => Value::Number(value.clone()),
        Node::List(items) => items.iter().map(|item| shown_value(name, item, hide)).collect(),
        Node::Object(entries) => Value::Object(shown_object(entries, hide)),
    }
}
