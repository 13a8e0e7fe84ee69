//! Escaping for JSON, XML, HTML, CSV and iCalendar (RFC 5545).
//!
//! Only characters that need it are escaped: letters beyond ASCII stay as they are. Quotes of both kinds are escaped in
//! HTML and XML, so that the result is safe within attributes as well.

use serde_json::Value;

use super::{Answer, Arguments, Function, Outcome};
use crate::error::Failure;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("ESCAPE", "value, escapeType?", 1, 2, |arguments| {
        convert(&arguments, escape)
    }),
    Function::new("UNESCAPE", "value, escapeType?", 1, 2, |arguments| {
        convert(&arguments, unescape)
    }),
];

#[derive(Clone, Copy)]
enum Escapes {
    Json,
    Xml,
    Html,
    Csv,
    ICalendar,
}

fn convert<'a>(arguments: &Arguments<'a>, convert: fn(&str, Escapes) -> String) -> Outcome<'a> {
    let kind = match arguments.text(1).map(|kind| kind.to_ascii_uppercase()).as_deref() {
        None | Some("JSON") => Escapes::Json,
        Some("XML") => Escapes::Xml,
        Some("HTML") => Escapes::Html,
        Some("CSV") => Escapes::Csv,
        Some("ICAL" | "ICALENDAR") => Escapes::ICalendar,
        Some(_) => {
            return Err(Failure::argument(format!(
                "{} must be JSON, XML, CSV, HTML or ICAL",
                arguments.describe(1)
            )));
        }
    };
    match arguments.text(0) {
        Some(text) => convert(&text, kind).answer(),
        None => Value::Null.answer(),
    }
}

fn escape(text: &str, kind: Escapes) -> String {
    match kind {
        Escapes::Json => {
            let quoted = Value::from(text).to_string();
            quoted
                .get(1..quoted.len().saturating_sub(1))
                .unwrap_or_default()
                .to_owned()
        }
        Escapes::Xml => markup(text, "&apos;"),
        Escapes::Html => markup(text, "&#39;"),
        Escapes::Csv if text.contains([',', '"', '\n', '\r']) => format!("\"{}\"", text.replace('"', "\"\"")),
        Escapes::Csv => text.to_owned(),
        Escapes::ICalendar => escape_calendar(text),
    }
}

fn markup(text: &str, apostrophe: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str(apostrophe),
            c => escaped.push(c),
        }
    }
    escaped
}

fn unescape(text: &str, kind: Escapes) -> String {
    match kind {
        Escapes::Json => unescape_json(text),
        // XML's five entities are HTML's as well.
        Escapes::Xml | Escapes::Html => html_escape::decode_html_entities(text).into_owned(),
        Escapes::Csv => match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(inner) if inner.contains([',', '"', '\n', '\r']) => inner.replace("\"\"", "\""),
            _ => text.to_owned(),
        },
        Escapes::ICalendar => unescape_calendar(text),
    }
}

/// TEXT of RFC 5545, section 3.3.11: no character can end the property or begin another one. Control characters other
/// than the tab cannot be written and are left out.
fn escape_calendar(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' | ';' | ',' => escaped.extend(['\\', c]),
            '\r' => {
                rest.next_if_eq(&'\n');
                escaped.push_str("\\n");
            }
            '\n' | '\u{85}' | '\u{2028}' | '\u{2029}' => escaped.push_str("\\n"),
            '\t' => escaped.push(c),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

fn unescape_calendar(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('\\', Some('n' | 'N')) => {
                rest.next();
                result.push('\n');
            }
            ('\\', Some('\\' | ';' | ',')) => result.extend(rest.next()),
            _ => result.push(c),
        }
    }
    result
}

/// Resolves JSON's escapes; what is no escape stays as it is.
pub(super) fn unescape_json(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        result.push_str(&rest[..at]);
        rest = &rest[at..];
        let mut escape = rest.chars().skip(1);
        let plain = match escape.next() {
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some(c @ ('"' | '\\' | '/' | '\'')) => Some(c),
            _ => None,
        };
        let (c, length) = match (plain, code_units(rest)) {
            (Some(c), _) => (c, 2),
            (None, Some(found)) => found,
            (None, None) => ('\\', 1),
        };
        result.push(c);
        rest = &rest[length..];
    }
    result.push_str(rest);
    result
}

/// `\uXXXX` at the start, or two that are a surrogate pair: the character and how long it is written.
fn code_units(text: &str) -> Option<(char, usize)> {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        // A sign would pass as part of a number.
        if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            u16::from_str_radix(digits, 16).ok()
        } else {
            None
        }
    };
    let high = unit(text)?;
    let low = text.get(6..).and_then(unit);
    match char::decode_utf16([high].into_iter().chain(low)).next()? {
        Ok(c) => Some((c, c.len_utf16() * 6)),
        Err(_) => None,
    }
}
