//! Small readers of what HTTP encodes.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};

/// Returns a header's value as text. Octets that are not UTF-8 are letters of ISO-8859-1 (RFC 9110, section 5.5).
pub(crate) fn header_text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().map(|&octet| char::from(octet)).collect(),
    }
}

/// Returns the content type that the headers name, or an empty text.
pub(crate) fn content_type(headers: &HeaderMap) -> String {
    headers.get(CONTENT_TYPE).map(header_text).unwrap_or_default()
}

/// Returns a content type without its parameters, in lower case.
pub(crate) fn media_type(content_type: &str) -> String {
    let bare = content_type.split(';').next().unwrap_or_default();
    bare.trim().to_ascii_lowercase()
}

/// Returns a parameter of a content type (RFC 9110, section 5.6.6), without the quotes that it may have.
pub(crate) fn parameter(content_type: &str, wanted: &str) -> Option<String> {
    let (_, mut rest) = content_type.split_once(';')?;
    loop {
        let (name, after) = rest.split_once(['=', ';'])?;
        if rest.as_bytes().get(name.len()) == Some(&b';') {
            rest = after;
            continue;
        }
        let (value, next) = parameter_value(after);
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = next;
    }
}

/// The value at the beginning, and what follows the semicolon after it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.trim_start().strip_prefix('"') else {
        let (value, rest) = text.split_once(';').unwrap_or((text, ""));
        return (value.trim().to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => value.extend(characters.next()),
            other => value.push(other),
        }
    }
    let rest = characters.as_str().split_once(';').map_or("", |(_, rest)| rest);
    (value, rest)
}

/// Reads a name or a value of a form or a query: a plus sign is a space, and `%xx` an octet. What only looks like `%xx`
/// stays as it is (URL Standard, section 5.1).
pub(crate) fn form_octets(encoded: &[u8]) -> Vec<u8> {
    let digit = |octet: Option<&u8>| octet.and_then(|&octet| char::from(octet).to_digit(16));
    let mut octets = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, digit(after.first()), digit(after.get(1))) {
            (b'+', ..) => octets.push(b' '),
            (b'%', Some(high), Some(low)) => {
                octets.push((high * 16 + low) as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => octets.push(*first),
        }
    }
    octets
}

/// Reads `%xx` (RFC 3986, section 2.1); returns `None` if the digits are wrong or the result is not UTF-8.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digits = std::str::from_utf8(&digits)
            .ok()
            .filter(|digits| !digits.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_utf_8_or_letters_of_iso_8859_1() {
        for (octets, text) in [
            (&b"J\xfcrgen"[..], "J\u{fc}rgen"),
            ("J\u{fc}rgen".as_bytes(), "J\u{fc}rgen"),
            (b"plain", "plain"),
        ] {
            let value = HeaderValue::from_bytes(octets).expect("a value");
            assert_eq!(header_text(&value), text);
        }
    }

    #[test]
    fn a_parameter_is_found_among_others_and_not_within_them() {
        for (content_type, charset) in [
            ("text/plain", None),
            ("text/plain; format=flowed", None),
            ("text/plain;charset=utf-8", Some("utf-8")),
            ("text/plain; format=flowed ; CharSet = \"utf-8\" ; x", Some("utf-8")),
            ("text/plain; flag; charset=a\\b", Some("a\\b")),
            ("text/plain; charset=\"a\\\"b\"", Some("a\"b")),
            ("multipart/form-data; boundary=\"; charset=x; \"; charset=y", Some("y")),
            ("multipart/form-data; boundary=\"; charset=x", None),
            ("text/plain; charset=", Some("")),
        ] {
            assert_eq!(parameter(content_type, "charset").as_deref(), charset, "{content_type}");
        }
    }

    #[test]
    fn plus_and_percent_are_octets_and_what_only_looks_so_stays() {
        for (encoded, octets) in [
            (&b"a+b%20c"[..], &b"a b c"[..]),
            (b"J%FCrgen%fc", b"J\xfcrgen\xfc"),
            (b"%", b"%"),
            (b"%4", b"%4"),
            (b"100%zz%+1", b"100%zz% 1"),
            (b"%%41", b"%A"),
        ] {
            assert_eq!(form_octets(encoded), octets);
        }
    }

    #[test]
    fn percent_signs_are_read_or_refused() {
        assert_eq!(percent_decoded("S%C3%A3o%2f1").as_deref(), Some("São/1"));
        for wrong in ["%", "%4", "%zz", "%+1", "%C3"] {
            assert_eq!(percent_decoded(wrong), None, "{wrong}");
        }
    }
}
