//! The operations of built-ins on strings. Indices count UTF-16 units, as in Java.

use std::borrow::Cow;

/// Length in UTF-16 units.
pub(crate) fn length(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.encode_utf16().count()
    }
}

/// The part between two indices; half a surrogate pair becomes U+FFFD. `None` beyond the end.
pub(crate) fn slice(text: &str, from: usize, to: usize) -> Option<String> {
    if text.is_ascii() {
        return text.get(from..to).map(str::to_owned);
    }
    let units: Vec<u16> = text.encode_utf16().collect();
    units.get(from..to).map(String::from_utf16_lossy)
}

/// The index in UTF-16 units of a byte offset.
pub(crate) fn utf16_index(text: &str, offset: usize) -> usize {
    length(&text[..offset])
}

/// The byte offset of an index in UTF-16 units, at most the text's length.
pub(crate) fn byte_offset(text: &str, index: usize) -> usize {
    if text.is_ascii() {
        return index.min(text.len());
    }
    let mut units = 0;
    for (offset, c) in text.char_indices() {
        if units >= index {
            return offset;
        }
        units += c.len_utf16();
    }
    text.len()
}

/// Escapes for HTML: `< > & " '`.
pub(crate) fn html(text: &str) -> Cow<'_, str> {
    escape(text, "&#39;")
}

/// Escapes for XML, which has a name for the apostrophe.
pub(crate) fn xml(text: &str) -> Cow<'_, str> {
    escape(text, "&apos;")
}

fn escape<'a>(text: &'a str, apostrophe: &str) -> Cow<'a, str> {
    let special = ['<', '>', '&', '"', '\''];
    let Some(first) = text.find(special) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(&text[..first]);
    for c in text[first..].chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str(apostrophe),
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

/// Percent-encodes everything but what a URL takes anywhere, and slashes when they are to stay.
pub(crate) fn url(text: &str, keep_slashes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"_-.!~'()*".contains(&byte) || (keep_slashes && byte == b'/');
        if plain {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Escapes for a string literal of JavaScript, or of JSON. What could end a `<script>` element or open a comment in
/// HTML is escaped too.
pub(crate) fn script(text: &str, json: bool) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |index: Option<usize>| index.and_then(|index| chars.get(index)).copied();
    let mut out = String::with_capacity(text.len() + 8);
    for (index, c) in chars.iter().copied().enumerate() {
        let before = at(index.checked_sub(1));
        let backslash = match c {
            '"' | '\\' => Some(c),
            '\'' if !json => Some(c),
            '\n' => Some('n'),
            '\r' => Some('r'),
            '\t' => Some('t'),
            '\u{c}' => Some('f'),
            '\u{8}' => Some('b'),
            '/' if matches!(before, None | Some('<')) => Some('/'),
            '>' if !json && ends_markup(before, at(index.checked_sub(2)), index) => Some('>'),
            _ => None,
        };
        let code = match c {
            '>' => ends_markup(before, at(index.checked_sub(2)), index),
            '<' => matches!(at(Some(index + 1)), None | Some('!' | '?')),
            '\u{2028}' | '\u{2029}' => true,
            other => other < ' ' || ('\u{7f}'..='\u{9f}').contains(&other),
        };
        match backslash {
            Some(letter) => out.extend(['\\', letter]),
            None if code && !json && (c as u32) < 0x100 => out.push_str(&format!("\\x{:02X}", c as u32)),
            None if code => out.push_str(&format!("\\u{:04X}", c as u32)),
            None => out.push(c),
        }
    }
    out
}

/// Whether a `>` here could end a comment or a CDATA section, or might when something stands before the text.
fn ends_markup(before: Option<char>, second: Option<char>, index: usize) -> bool {
    match (index, before) {
        (0, _) => true,
        (1, Some(']' | '-')) => true,
        (_, Some(c @ (']' | '-'))) => second == Some(c),
        _ => false,
    }
}

/// The first word's first letter, changed.
pub(crate) fn first_letter(text: &str, change: impl Fn(char) -> String) -> String {
    let start = text.len() - text.trim_start().len();
    let mut rest = text[start..].chars();
    let first = rest.next().map(change).unwrap_or_default();
    format!("{}{first}{}", &text[..start], rest.as_str())
}

/// Each word with a capital and the rest in small letters.
pub(crate) fn capitalize(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        let blank = matches!(c, ' ' | '\t' | '\r' | '\n');
        match (blank, inside) {
            (true, _) => out.push(c),
            (false, false) => out.extend(c.to_uppercase()),
            (false, true) => out.extend(c.to_lowercase()),
        }
        inside = !blank;
    }
    out
}

/// Replaces each or the first occurrence. An empty needle stands before every character and at the end.
pub(crate) fn replace(text: &str, needle: &str, with: &str, ignore_case: bool, first_only: bool) -> String {
    if !ignore_case {
        return if first_only {
            text.replacen(needle, with, 1)
        } else {
            text.replace(needle, with)
        };
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((offset, length)) = find_ignoring_case(rest, needle) {
        out.push_str(&rest[..offset]);
        out.push_str(with);
        let mut end = offset + length;
        if length == 0 {
            // An empty needle would be found here forever: pass one character.
            match rest[end..].chars().next() {
                Some(c) => {
                    out.push(c);
                    end += c.len_utf8();
                }
                None => return out,
            }
        }
        rest = &rest[end..];
        if first_only {
            break;
        }
    }
    out + rest
}

/// The parts between occurrences of a separator.
pub(crate) fn split(text: &str, separator: &str, ignore_case: bool) -> Vec<String> {
    if separator.is_empty() {
        return text.chars().map(String::from).collect();
    }
    if !ignore_case {
        return text.split(separator).map(str::to_owned).collect();
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((offset, length)) = find_ignoring_case(rest, separator) {
        parts.push(rest[..offset].to_owned());
        rest = &rest[offset + length..];
    }
    parts.push(rest.to_owned());
    parts
}

/// Byte offset and length of the first occurrence, letter by letter without case.
fn find_ignoring_case(text: &str, needle: &str) -> Option<(usize, usize)> {
    let starts = text
        .char_indices()
        .map(|(offset, _)| offset)
        .chain(std::iter::once(text.len()));
    for offset in starts {
        let mut chars = text[offset..].chars();
        let mut length = 0;
        let fits = needle.chars().all(|wanted| {
            chars.next().is_some_and(|c| {
                length += c.len_utf8();
                c == wanted || c.to_lowercase().eq(wanted.to_lowercase())
            })
        });
        if fits {
            return Some((offset, length));
        }
    }
    None
}
