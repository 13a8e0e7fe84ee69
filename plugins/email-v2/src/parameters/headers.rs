//! The parameters that become headers: `headers`, `priority`, `inReplyTo`, `references`, `messageId`,
//! `listUnsubscribe`; and `icalEvent`, which becomes a part.

use serde_json::{Map, Value};

use super::fields::{boolean, refuse_controls, shown, structured, text};
use crate::failure::Failure;

/// The longest header name; longer ones serve nobody and break folding.
const MAX_NAME: usize = 76;
/// All of a message's `headers` together, in octets.
const MAX_HEADERS: usize = 64 * 1024;

/// Headers that are made elsewhere, and where. A `-` at the end stands for every name that begins so.
const RESERVED: &[(&str, &str)] = &[
    ("from", "use the parameter `from`"),
    ("sender", "the server adds it where the sender is not the author"),
    ("to", "use the parameter `to`"),
    ("cc", "use the parameter `cc`"),
    ("bcc", "use the parameter `bcc`"),
    ("reply-to", "use the parameter `replyTo`"),
    ("subject", "use the parameter `subject`"),
    ("date", "it is the time at which the message is made"),
    ("message-id", "use the parameter `messageId`"),
    ("in-reply-to", "use the parameter `inReplyTo`"),
    ("references", "use the parameter `references`"),
    ("list-unsubscribe", "use the parameter `listUnsubscribe`"),
    ("list-unsubscribe-post", "use the parameter `listUnsubscribe`"),
    ("mime-version", "it follows from the message"),
    ("content-", "it follows from body, attachments and `charset`"),
    ("return-path", "use the parameter `envelopeFrom`"),
    ("received", "servers write it on the way"),
    ("received-spf", "servers write it on the way"),
    ("delivered-to", "servers write it on the way"),
    ("resent-", "only who passes a message on writes it"),
    ("dkim-signature", "the sending server signs"),
    ("arc-", "servers write it on the way"),
    ("authentication-results", "servers write it on the way"),
];

/// How urgent a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Shown as urgent.
    High,
    /// No header at all.
    #[default]
    Normal,
    /// Shown as of little weight.
    Low,
}

/// Where a recipient unsubscribes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListUnsubscribe {
    /// `https:`, `http:` and `mailto:` addresses, without angle brackets.
    pub targets: Vec<String>,
    /// A POST to the `https:` address is enough (RFC 8058).
    pub one_click: bool,
}

/// A calendar object (RFC 5545) and what to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarEvent {
    /// The iTIP method in capitals, e.g. `REQUEST` (RFC 5546).
    pub method: String,
    /// The name of its attachment.
    pub file_name: String,
    /// The object, from `BEGIN:VCALENDAR`.
    pub content: String,
}

/// An object of names and values (text, or an array for a name that stands several times), or an array of
/// `{name, value}`.
pub(super) fn custom(value: Value) -> Result<Vec<(String, String)>, Failure> {
    const KEY: &str = "headers";
    let mut headers = Vec::new();
    match structured(KEY, value)? {
        Value::Null => {}
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    Value::Array(values) => {
                        for value in values {
                            headers.push((name.clone(), value));
                        }
                    }
                    value => headers.push((name, value)),
                }
            }
        }
        Value::Array(elements) => {
            for element in elements {
                headers.push(name_and_value(KEY, element)?);
            }
        }
        _ => {
            return Err(Failure::invalid(
                KEY,
                "it is neither an object nor an array of `{name, value}`",
            ));
        }
    }
    let mut checked = Vec::with_capacity(headers.len());
    let mut total = 0;
    for (name, value) in headers {
        check_header_name(KEY, &name)?;
        let value = match value {
            Value::Null => continue,
            Value::Array(_) | Value::Object(_) => {
                return Err(Failure::invalid(KEY, format_args!("the value of `{name}` is not text")));
            }
            value => text(KEY, value)?.unwrap_or_default(),
        };
        refuse_controls(KEY, &format!("the value of `{name}`"), &value)?;
        total += name.len() + value.len();
        checked.push((name, value));
    }
    if total > MAX_HEADERS {
        return Err(Failure::invalid(KEY, "they are longer than 64 KiB"));
    }
    Ok(checked)
}

fn name_and_value(key: &str, element: Value) -> Result<(String, Value), Failure> {
    let wrong = || Failure::invalid(key, "each element has `name` and `value`");
    let Value::Object(mut object) = element else {
        return Err(wrong());
    };
    let name = object.remove("name").or_else(|| object.remove("key"));
    match (name, object.remove("value"), object.is_empty()) {
        (Some(Value::String(name)), Some(value), true) => Ok((name, value)),
        _ => Err(wrong()),
    }
}

/// Printable ASCII less the colon (RFC 5322, section 2.2), and nobody else's to write.
fn check_header_name(key: &str, name: &str) -> Result<(), Failure> {
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
        return Err(Failure::invalid(
            key,
            format_args!(
                "`{}` is no header name; one has letters, digits and hyphens, at most 76",
                shown(name)
            ),
        ));
    }
    let lower = name.to_ascii_lowercase();
    let reserved = RESERVED.iter().find(|(reserved, _)| match reserved.strip_suffix('-') {
        Some(_) => lower.starts_with(reserved),
        None => lower == *reserved,
    });
    match reserved {
        None => Ok(()),
        Some((_, instead)) => {
            Err(Failure::invalid(key, format_args!("`{name}` cannot be set here")).with_advice(*instead))
        }
    }
}

/// `high`, `normal`, `low`, or 1 (highest) to 5.
pub(super) fn priority(value: Value) -> Result<Priority, Failure> {
    const KEY: &str = "priority";
    let written = text(KEY, value)?.unwrap_or_default();
    match written.trim().to_ascii_lowercase().as_str() {
        "" | "normal" | "3" => Ok(Priority::Normal),
        "high" | "highest" | "urgent" | "1" | "2" => Ok(Priority::High),
        "low" | "lowest" | "4" | "5" => Ok(Priority::Low),
        other => Err(Failure::invalid(
            KEY,
            format_args!("`{}` is none of high, normal and low", shown(other)),
        )),
    }
}

/// Message-IDs: text, several separated by blanks or commas, or an array.
pub(super) fn message_ids(key: &str, value: Value) -> Result<Vec<String>, Failure> {
    let texts = match structured(key, value)? {
        Value::Array(elements) => elements
            .into_iter()
            .filter_map(|element| text(key, element).transpose())
            .collect::<Result<_, _>>()?,
        other => Vec::from_iter(text(key, other)?),
    };
    let mut ids = Vec::new();
    for text in texts {
        refuse_controls(key, "a message id", &text)?;
        for id in text.split([' ', '\t', ',']).filter(|id| !id.is_empty()) {
            ids.push(checked_id(key, id)?);
        }
    }
    Ok(ids)
}

/// One Message-ID.
pub(super) fn message_id(value: Value) -> Result<Option<String>, Failure> {
    const KEY: &str = "messageId";
    let mut ids = message_ids(KEY, value)?;
    match (ids.pop(), ids.is_empty()) {
        (id, true) => Ok(id),
        _ => Err(Failure::invalid(KEY, "a message has one id")),
    }
}

/// `<left@right>` (RFC 5322, section 3.6.4); the angle brackets are added where they are missing.
fn checked_id(key: &str, written: &str) -> Result<String, Failure> {
    let bare = written
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap_or(written);
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b"<>@".contains(&b));
    match bare.split_once('@') {
        Some((left, right)) if is_part(left) && is_part(right) && bare.len() <= 900 => Ok(format!("<{bare}>")),
        _ => Err(Failure::invalid(
            key,
            format_args!(
                "`{}` is no message id; one looks like `<id@example.com>`",
                shown(written)
            ),
        )),
    }
}

/// Text (several separated by commas), an array, or `{url, mailto, oneClick}`. An `https:` address is one-click unless
/// `oneClick` says no.
pub(super) fn list_unsubscribe(value: Value) -> Result<Option<ListUnsubscribe>, Failure> {
    const KEY: &str = "listUnsubscribe";
    let mut one_click = None;
    let texts: Vec<Value> = match structured(KEY, value)? {
        Value::Null => return Ok(None),
        Value::Array(elements) => elements,
        Value::Object(mut object) => {
            one_click = boolean(KEY, object.remove("oneClick").unwrap_or_default())?;
            let targets = [object.remove("url"), object.remove("mailto")];
            if let Some(unknown) = object.keys().next() {
                return Err(Failure::invalid(
                    KEY,
                    format_args!("it has `url`, `mailto` and `oneClick`, and no `{}`", shown(unknown)),
                ));
            }
            targets.into_iter().flatten().collect()
        }
        other => vec![other],
    };
    let mut targets = Vec::new();
    for value in texts {
        let text = text(KEY, value)?.unwrap_or_default();
        refuse_controls(KEY, "an address to unsubscribe", &text)?;
        for target in text.split(',').map(str::trim).filter(|target| !target.is_empty()) {
            targets.push(unsubscribe_target(KEY, target)?);
        }
    }
    let has_https = targets.iter().any(|target| target.starts_with("https:"));
    match (targets.is_empty(), one_click, has_https) {
        (true, _, _) => Ok(None),
        (_, Some(true), false) => Err(Failure::invalid(KEY, "one click needs an `https:` address")),
        (_, wish, has_https) => Ok(Some(ListUnsubscribe {
            targets,
            one_click: wish.unwrap_or(true) && has_https,
        })),
    }
}

fn unsubscribe_target(key: &str, written: &str) -> Result<String, Failure> {
    let bare = written
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap_or(written);
    let is_address_alone = !bare.contains(':') && bare.contains('@');
    let target = if is_address_alone {
        format!("mailto:{bare}")
    } else {
        bare.to_owned()
    };
    let scheme = target.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let is_clean = target.bytes().all(|b| b.is_ascii_graphic() && !b"<>,".contains(&b));
    match scheme.as_str() {
        "https" | "http" | "mailto" if is_clean && target.len() <= 900 => {
            Ok(format!("{scheme}{}", &target[scheme.len()..]))
        }
        _ => Err(Failure::invalid(
            key,
            format_args!(
                "`{}` is no address to unsubscribe at; write an `https:` or `mailto:` one",
                shown(written)
            ),
        )),
    }
}

/// The calendar object's text, or `{content, method, filename}`.
pub(super) fn calendar_event(value: Value) -> Result<Option<CalendarEvent>, Failure> {
    const KEY: &str = "icalEvent";
    let mut object = match structured(KEY, value)? {
        Value::Null => return Ok(None),
        Value::Object(object) => object,
        Value::String(content) => Map::from_iter([("content".to_owned(), Value::String(content))]),
        _ => {
            return Err(Failure::invalid(
                KEY,
                "it is neither a calendar object nor `{content, method, filename}`",
            ));
        }
    };
    let mut field = |key: &str| text(KEY, object.remove(key).unwrap_or_default());
    let content = field("content")?.unwrap_or_default();
    let method = field("method")?;
    let file_name = field("filename")?
        .filter(|name| !name.trim().is_empty())
        .unwrap_or_else(|| "invite.ics".to_owned());
    if let Some(unknown) = object.keys().next() {
        return Err(Failure::invalid(
            KEY,
            format_args!("it has `content`, `method` and `filename`, and no `{}`", shown(unknown)),
        ));
    }
    refuse_controls(KEY, "the file name", &file_name)?;
    if file_name.len() > 255 || file_name.contains(['/', '\\']) {
        return Err(Failure::invalid(KEY, "its `filename` is no plain file name"));
    }
    let content = content.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    let begins = content
        .get(..15)
        .is_some_and(|start| start.eq_ignore_ascii_case("BEGIN:VCALENDAR"));
    if !begins {
        return Err(Failure::invalid(
            KEY,
            "its content does not begin with `BEGIN:VCALENDAR`",
        ));
    }
    let method = method
        .filter(|method| !method.trim().is_empty())
        .or_else(|| method_of(content));
    let method = method.map_or_else(|| "PUBLISH".to_owned(), |method| method.trim().to_ascii_uppercase());
    if method.len() > 32 || !method.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(Failure::invalid(
            KEY,
            format_args!("`{}` is no calendar method", shown(&method)),
        ));
    }
    Ok(Some(CalendarEvent {
        method,
        file_name,
        content: content.to_owned(),
    }))
}

/// The object's own METHOD property.
fn method_of(content: &str) -> Option<String> {
    content.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("METHOD")
            .then(|| value.trim().to_owned())
    })
}
