//! Reading JSON values. The form may vary, the content may not: documents hold numbers as text, and arrays and objects
//! as JSON text.

use std::borrow::Cow;

use serde_json::Value;

use super::json::Member;
use crate::address::{Address, AddressList, Mailbox, Note, tidy};
use crate::failure::Failure;
use crate::segments::{Segment, Segments, as_text};

/// The parameters that have not been read yet.
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, Member<'a>)>);

impl<'a> Fields<'a> {
    /// Of two members with one name the last one counts, as JSON's readers have it.
    pub(super) fn new(mut members: Vec<(Cow<'a, str>, Member<'a>)>) -> Self {
        let mut at = 0;
        while at < members.len() {
            if members[at + 1..].iter().any(|(key, _)| *key == members[at].0) {
                members.remove(at);
            } else {
                at += 1;
            }
        }
        Self(members)
    }

    /// The member under the key.
    fn member(&mut self, key: &str) -> Option<Member<'a>> {
        let at = self.0.iter().position(|(other, _)| other == key)?;
        Some(self.0.swap_remove(at).1)
    }

    /// The value under the key, or null.
    pub(super) fn take(&mut self, key: &str) -> Value {
        self.member(key).map(Member::into_value).unwrap_or_default()
    }

    /// The value under the key, or under its alias.
    pub(super) fn take_aliased(&mut self, key: &str, alias: &str) -> Value {
        match (self.take(key), self.take(alias)) {
            (Value::Null, value) | (value, _) => value,
        }
    }

    /// The text under the key; empty when absent.
    pub(super) fn text(&mut self, key: &str) -> Result<String, Failure> {
        self.own_text(key).map(Option::unwrap_or_default)
    }

    /// The text under the key, unless it is absent or blank.
    pub(super) fn some_text(&mut self, key: &str) -> Result<Option<String>, Failure> {
        Ok(self.own_text(key)?.filter(|text| !text.trim().is_empty()))
    }

    fn own_text(&mut self, key: &str) -> Result<Option<String>, Failure> {
        match self.member(key) {
            None => Ok(None),
            Some(Member::Text(text)) => Ok(Some(text.into_owned())),
            Some(other) => text(key, other.into_value()),
        }
    }

    /// How the member under the key is written, for [`Memo`]; none where it is absent or was read elsewhere.
    fn written(&self, key: &str) -> Option<&str> {
        let (_, member) = self.0.iter().find(|(other, _)| other == key)?;
        match member {
            Member::Text(text) => Some(text),
            Member::Written(written) => Some(written),
            Member::Read(_) => None,
        }
    }

    /// The addresses under the key, and how they were written. Read once for all calls of a batch that write them alike.
    pub(super) fn addresses(
        &mut self,
        key: &'static str,
        memo: &mut Memo,
        warnings: &mut Vec<String>,
    ) -> Result<(AddressList, String), Failure> {
        let is_text = |fields: &Self| {
            let found = fields.0.iter().find(|(other, _)| other == key);
            matches!(found, Some((_, Member::Text(_))))
        };
        let place = match self.written(key) {
            None => None,
            Some(written) => {
                let is_text = is_text(self);
                if let Some(known) = memo.find(key, is_text, written) {
                    let known = known.clone();
                    self.member(key);
                    return Ok(known);
                }
                Some((is_text, written.to_owned()))
            }
        };
        let value = self.take(key);
        let own = match &value {
            Value::Null => Some(String::new()),
            Value::String(text) => Some(text.clone()),
            _ => None,
        };
        let before = warnings.len();
        let list = addresses(key, value, warnings)?;
        // Text of its own stands as it is. What is an array or an object, or text with values in it, is shown as a person
        // would write the list.
        let shown = own.unwrap_or_else(|| list.to_string());
        let found = (list, shown);
        // Each message is warned of what is odd about it.
        if let Some((is_text, written)) = place.filter(|_| warnings.len() == before) {
            memo.keep(key, is_text, written, &found);
        }
        Ok(found)
    }

    /// The names of what nobody has read.
    pub(super) fn left(self) -> impl Iterator<Item = String> {
        let is_null = |member: &Member<'_>| matches!(member, Member::Written("null") | Member::Read(Value::Null));
        let mut left: Vec<String> = self
            .0
            .into_iter()
            .filter(|(_, member)| !is_null(member))
            .map(|(key, _)| key.into_owned())
            .collect();
        left.sort_unstable();
        left.into_iter()
    }
}

/// The addresses that the last call of the batch wrote under each parameter. Most parameters of a mail merge are the same
/// in every row, and what is the same is read once.
#[derive(Debug, Default)]
pub struct Memo(Vec<Remembered>);

#[derive(Debug)]
struct Remembered {
    key: &'static str,
    /// Whether it was a text; else `written` is JSON.
    is_text: bool,
    written: String,
    found: (AddressList, String),
}

impl Memo {
    fn find(&self, key: &str, is_text: bool, written: &str) -> Option<&(AddressList, String)> {
        let found = self.0.iter().find(|one| one.key == key)?;
        (found.is_text == is_text && found.written == written).then_some(&found.found)
    }

    fn keep(&mut self, key: &'static str, is_text: bool, written: String, found: &(AddressList, String)) {
        self.0.retain(|one| one.key != key);
        self.0.push(Remembered {
            key,
            is_text,
            written,
            found: found.clone(),
        });
    }
}

/// Text, or what an expression left in its place: numbers and booleans as they print, arrays and objects as JSON.
pub(super) fn text(key: &str, value: Value) -> Result<Option<String>, Failure> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Object(object) if object.len() == 1 && object.contains_key("file") => Err(Failure::invalid(
            key,
            "a `{\"file\": ...}` that was not replaced by the file's content",
        )),
        other => Ok(Some(other.to_string())),
    }
}

/// A boolean, or its text.
pub(super) fn boolean(key: &str, value: Value) -> Result<Option<bool>, Failure> {
    match &value {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(*flag)),
        Value::String(text) => match text.trim() {
            "" => Ok(None),
            text if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            text if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            _ => Err(Failure::invalid(
                key,
                format_args!("`{}` is neither true nor false", shown(text)),
            )),
        },
        other => Err(Failure::invalid(
            key,
            format_args!("`{}` is neither true nor false", shown(&other.to_string())),
        )),
    }
}

/// A TCP port, or its text.
pub(super) fn port(key: &str, value: Value) -> Result<Option<u16>, Failure> {
    let number = match &value {
        Value::Null => return Ok(None),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
        _ => None,
    };
    match number {
        Some(1..) => Ok(number),
        _ => {
            let found = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Err(Failure::invalid(
                key,
                format_args!("`{}` is no port; ports go from 1 to 65535", shown(&found)),
            ))
        }
    }
}

/// An array or an object, or the JSON text of one. Blank text is null, and so is `[]` as documents have it for none.
pub(super) fn structured(key: &str, value: Value) -> Result<Value, Failure> {
    let Value::String(text) = &value else {
        return Ok(value);
    };
    match text.trim() {
        "" => Ok(Value::Null),
        json if json.starts_with(['[', '{']) => {
            serde_json::from_str(json).map_err(|error| Failure::invalid(key, format_args!("it is not JSON: {error}")))
        }
        _ => Ok(value),
    }
}

/// Addresses as text, as `{name, address}`, or as an array of both. What is odd goes to `warnings`.
pub(super) fn addresses(key: &str, value: Value, warnings: &mut Vec<String>) -> Result<AddressList, Failure> {
    let mut list = AddressList::default();
    match structured_list(value) {
        Value::Null => {}
        Value::Array(elements) => {
            for element in elements {
                list.append(addresses_of_one(key, element, warnings)?);
            }
        }
        one => list = addresses_of_one(key, one, warnings)?,
    }
    Ok(list)
}

/// An array that arrives as JSON text is an array; any other text may be an address that begins with a bracket.
fn structured_list(value: Value) -> Value {
    match &value {
        Value::String(text) if text.trim_start().starts_with(['[', '{']) => serde_json::from_str(text).unwrap_or(value),
        _ => value,
    }
}

fn addresses_of_one(key: &str, value: Value, warnings: &mut Vec<String>) -> Result<AddressList, Failure> {
    let value = match Segments::from_value(value) {
        Ok(segments) => match segments.into_single_value() {
            // An expression that is an element of its own: one address, in whatever form.
            Ok(Value::Object(object)) => Value::Object(object),
            Ok(value) => return read_list(key, &Segments::from_iter([Segment::Value(value)]), warnings),
            Err(segments) => return read_list(key, &segments, warnings),
        },
        Err(value) => value,
    };
    match value {
        Value::Null => Ok(AddressList::default()),
        Value::String(text) => read_list(key, &Segments::from(text.as_str()), warnings),
        Value::Object(mut object) => {
            let name = object.remove("name").unwrap_or_default();
            let address = object.remove("address").unwrap_or_default();
            if let Some(unknown) = object.keys().next() {
                return Err(Failure::invalid(
                    key,
                    format_args!("an address has `name` and `address`, and no `{}`", shown(unknown)),
                ));
            }
            let (Some(name), Some(address)) = (simple_text(name), simple_text(address)) else {
                return Err(Failure::invalid(
                    key,
                    "an address given as an object has its `address`, and maybe a `name`, as text",
                ));
            };
            let mut list = AddressList::default();
            list.push(mailbox(key, &name.joined(), &address, warnings)?);
            Ok(list)
        }
        other => Err(Failure::invalid(
            key,
            format_args!(
                "`{}` is not an address; addresses are text or objects with `name` and `address`",
                shown(&other.to_string())
            ),
        )),
    }
}

fn read_list(key: &str, text: &Segments, warnings: &mut Vec<String>) -> Result<AddressList, Failure> {
    let mut notes = Vec::new();
    let list = AddressList::read(text, &mut notes).map_err(|error| Failure::invalid(key, error))?;
    note(key, notes, warnings);
    Ok(list)
}

fn mailbox(key: &str, name: &str, address: &Segments, warnings: &mut Vec<String>) -> Result<Mailbox, Failure> {
    let fault = |error| Failure::invalid(key, error);
    let mut notes = Vec::new();
    let address = Address::read(address, &mut notes).map_err(fault)?;
    note(key, notes, warnings);
    Mailbox::of(name, address).map_err(fault)
}

fn note(key: &str, notes: Vec<Note>, warnings: &mut Vec<String>) {
    warnings.extend(notes.into_iter().map(|note| format!("parameter `{key}`: {note}")));
}

/// Text, or a number or boolean as it prints; the host's form of a text with values. Null is the empty text.
fn simple_text(value: Value) -> Option<Segments> {
    match Segments::from_value(value) {
        Ok(segments) => Some(segments),
        Err(Value::Array(_) | Value::Object(_)) => None,
        Err(value) => Some(Segments::from(&*as_text(&value))),
    }
}

/// One address, or a name and one: a parameter that holds no list.
pub(super) fn one_address(key: &str, value: Value, warnings: &mut Vec<String>) -> Result<Option<Mailbox>, Failure> {
    let list = addresses(key, value, warnings)?;
    let mut mailboxes = list.mailboxes();
    match (mailboxes.next(), mailboxes.next()) {
        (_, Some(_)) => Err(Failure::invalid(
            key,
            "it holds more than one address where one belongs",
        )),
        (mailbox, None) => Ok(mailbox.cloned()),
    }
}

/// A text for one line, or none where a control character is left in it.
pub(super) fn tidy_or_controls(text: &str) -> Option<Cow<'_, str>> {
    let text = tidy(text);
    let is_clean = !text.chars().any(|c| c.is_control() && c != '\t');
    is_clean.then_some(text)
}

/// A text that becomes part of one line: what surrounds it is taken off, folds are undone, and what is left may not end
/// a header line, or hide in one. `what` names the thing within the parameter.
pub(super) fn line(key: &str, what: &str, text: &str) -> Result<String, Failure> {
    let text = tidy(text);
    match text.chars().find(|&c| c.is_control() && c != '\t') {
        None => Ok(text.into_owned()),
        Some(c) => Err(Failure::invalid(
            key,
            format_args!(
                "{what} holds the control character U+{:04X}, and no header may hold one",
                u32::from(c)
            ),
        )
        .with_advice("line breaks are refused, not removed: they would let a value write headers of its own")),
    }
}

/// A foreign text for use in a message: short, on one line.
pub(super) fn shown(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(60)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(60).is_some() {
        out.push_str("...");
    }
    out
}
