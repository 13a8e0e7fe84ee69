//! The parameters `headers` and `priority`.

use serde_json::Value;

use super::fields::{line, shown, structured, text};
use crate::address::AddressList;
use crate::failure::Failure;
use crate::message::LONGEST_WORD;
use crate::segments::Segments;

/// The longest header name; longer ones serve nobody and break folding.
const MAX_NAME: usize = 76;
/// All of a message's `headers` together, in octets.
const MAX_HEADERS: usize = 64 * 1024;

/// Headers that are made elsewhere, and where. A `-` at the end stands for every name that begins so.
const RESERVED: &[(&str, &str)] = &[
    ("from", "use the parameter `from`"),
    ("sender", "use the parameter `sender`"),
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

/// Headers of others' making whose value is an address list: names are decoded and encoded again, domains go as
/// A-labels. An encoded word within an address would be none (RFC 2047, section 5).
const OF_ADDRESSES: &[&str] = &[
    "apparently-to",
    "disposition-notification-to",
    "errors-to",
    "mail-followup-to",
    "mail-reply-to",
    "read-receipt-to",
    "registered-mail-reply-requested-by",
    "return-receipt-to",
    "x-confirm-reading-to",
    "x-errors-to",
];

/// A custom header of the step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomHeader {
    /// Its name, as written.
    pub name: String,
    /// Its value.
    pub value: HeaderValue,
}

/// The value of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    /// Text (RFC 5322, section 2.2.1).
    Text(String),
    /// Addresses.
    Addresses(AddressList),
}

/// How urgent a message is, in the five steps of `X-Priority`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// 1: shown as urgent.
    Highest,
    /// 2: shown as urgent.
    High,
    /// 3: no header is written.
    #[default]
    Normal,
    /// 4: shown as of low importance.
    Low,
    /// 5: shown as of low importance.
    Lowest,
}

impl Priority {
    /// The headers' values: `X-Priority`, and the word of `Importance` (RFC 2156) and `X-MSMail-Priority`.
    pub(crate) const fn words(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Highest => Some(("1 (Highest)", "High")),
            Self::High => Some(("2 (High)", "High")),
            Self::Normal => None,
            Self::Low => Some(("4 (Low)", "Low")),
            Self::Lowest => Some(("5 (Lowest)", "Low")),
        }
    }

    /// Before, at or behind what is normal.
    const fn urgency(self) -> i8 {
        match self {
            Self::Highest | Self::High => 1,
            Self::Normal => 0,
            Self::Low | Self::Lowest => -1,
        }
    }
}

/// An object of names and values (text, or an array for a name that stands several times), or an array of
/// `{name, value}`.
pub(super) fn custom(value: Value, warnings: &mut Vec<String>) -> Result<Vec<CustomHeader>, Failure> {
    const KEY: &str = "headers";
    let mut headers = Vec::new();
    let mut push = |name: String, value: Value| match value_alone(value) {
        // A name that stands several times.
        Value::Array(values) => headers.extend(values.into_iter().map(|value| (name.clone(), value_alone(value)))),
        value => headers.push((name, value)),
    };
    match structured(KEY, value_alone(value))? {
        Value::Null => {}
        Value::Object(object) => object.into_iter().for_each(|(name, value)| push(name, value)),
        Value::Array(elements) => {
            for element in elements {
                let (name, value) = name_and_value(KEY, value_alone(element))?;
                push(name, value);
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
        let segments = match Segments::from_value(value) {
            Ok(segments) => segments,
            Err(Value::Null) => continue,
            Err(Value::Array(_) | Value::Object(_)) => {
                return Err(Failure::invalid(KEY, format_args!("the value of `{name}` is not text")));
            }
            Err(value) => Segments::from(text(KEY, value)?.unwrap_or_default().as_str()),
        };
        let value = line(KEY, &format!("the value of `{name}`"), &segments.joined())?;
        total += name.len() + value.len();
        let value = if OF_ADDRESSES.contains(&name.to_ascii_lowercase().as_str()) {
            let list = address_header(&name, &segments, warnings)?;
            if list.is_empty() {
                continue;
            }
            HeaderValue::Addresses(list)
        } else {
            let words = value.split(' ').filter(|word| word.is_ascii());
            if let Some(word) = words.into_iter().find(|word| word.len() > LONGEST_WORD) {
                warnings.push(format!(
                    "parameter `headers`: `{name}` holds {} characters without a blank and is sent in encoded words, \
                     which programs that read such headers may not decode; blanks between its parts avoid that",
                    word.len()
                ));
            }
            HeaderValue::Text(value)
        };
        checked.push(CustomHeader { name, value });
    }
    if total > MAX_HEADERS {
        return Err(Failure::invalid(KEY, "they are longer than 64 KiB"));
    }
    Ok(checked)
}

fn address_header(name: &str, text: &Segments, warnings: &mut Vec<String>) -> Result<AddressList, Failure> {
    let mut notes = Vec::new();
    let list = AddressList::read(text, &mut notes)
        .map_err(|error| Failure::invalid("headers", format_args!("the value of `{name}`: {error}")))?;
    warnings.extend(
        notes
            .into_iter()
            .map(|note| format!("parameter `headers`, `{name}`: {note}")),
    );
    Ok(list)
}

/// Warns where a header of the step's own says another urgency than `priority`: it is sent as it is written, and readers
/// disagree about which of the two counts.
pub(super) fn compare_urgency(priority: Priority, headers: &[CustomHeader], warnings: &mut Vec<String>) {
    if priority == Priority::Normal {
        return;
    }
    for header in headers {
        let HeaderValue::Text(value) = &header.value else {
            continue;
        };
        let word = value.trim().to_ascii_lowercase();
        let urgency = match (header.name.to_ascii_lowercase().as_str(), word.as_str()) {
            ("importance" | "x-msmail-priority", "high") | ("priority", "urgent") => 1,
            ("importance" | "x-msmail-priority" | "priority", "normal") => 0,
            ("importance" | "x-msmail-priority", "low") | ("priority", "non-urgent") => -1,
            ("x-priority", word) => match word.bytes().next() {
                Some(b'1' | b'2') => 1,
                Some(b'4' | b'5') => -1,
                _ => 0,
            },
            _ => continue,
        };
        if urgency != priority.urgency() {
            warnings.push(format!(
                "parameter `headers`: `{}: {}` says another urgency than the parameter `priority`",
                header.name,
                shown(value)
            ));
        }
    }
}

/// A value that is all of its text is what it would be without the host's form.
fn value_alone(value: Value) -> Value {
    match Segments::from_value(value) {
        Ok(segments) => segments.into_single_value().unwrap_or_else(Segments::into_value),
        Err(value) => value,
    }
}

fn name_and_value(key: &str, element: Value) -> Result<(String, Value), Failure> {
    let wrong = || Failure::invalid(key, "each element has `name` and `value`");
    let Value::Object(mut object) = element else {
        return Err(wrong());
    };
    let name = object.remove("name").or_else(|| object.remove("key"));
    let name = name.map(Segments::plain);
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

/// `high` (1), `normal` (3), `low` (5), or 1 (highest) to 5 (lowest).
pub(super) fn priority(value: Value) -> Result<Priority, Failure> {
    const KEY: &str = "priority";
    let written = text(KEY, value)?.unwrap_or_default();
    match written.trim().to_ascii_lowercase().as_str() {
        "" | "normal" | "3" => Ok(Priority::Normal),
        "high" | "highest" | "urgent" | "1" | "1 (highest)" => Ok(Priority::Highest),
        "2" | "2 (high)" => Ok(Priority::High),
        "4" | "4 (low)" => Ok(Priority::Low),
        "low" | "lowest" | "5" | "5 (lowest)" => Ok(Priority::Lowest),
        other => Err(Failure::invalid(
            KEY,
            format_args!("`{}` is none of high, normal and low, nor of 1 to 5", shown(other)),
        )),
    }
}
