//! The members of a JSON object, without a tree: a text is read where it stands, and what is neither a text nor simple
//! stays as it is written until somebody asks for it. A mail merge reads a message's kilobytes this way once.

use std::borrow::Cow;

use serde_json::Value;

/// The value of one member.
#[derive(Clone, Debug)]
pub(super) enum Member<'a> {
    /// A text, its escapes undone.
    Text(Cow<'a, str>),
    /// Any other value, as it is written.
    Written(&'a str),
    /// A value that was read elsewhere.
    Read(Value),
}

impl Member<'_> {
    /// The value itself.
    pub(super) fn into_value(self) -> Value {
        match self {
            Self::Text(text) => Value::String(text.into_owned()),
            // It was read once when the members were told apart, so it is JSON.
            Self::Written(written) => serde_json::from_str(written).unwrap_or_default(),
            Self::Read(value) => value,
        }
    }
}

/// The members of the object that `json` is, in their order. None where it is anything else: whoever wants to say what
/// is wrong reads it by other means.
pub(super) fn members(json: &str) -> Option<Vec<(Cow<'_, str>, Member<'_>)>> {
    let mut reader = Reader { json, at: 0 };
    let mut members = Vec::with_capacity(16);
    reader.take(b'{')?;
    if reader.peek()? == b'}' {
        reader.at += 1;
    } else {
        loop {
            let key = reader.text()?;
            reader.take(b':')?;
            members.push((key, reader.value()?));
            match reader.peek()? {
                b',' => reader.at += 1,
                b'}' => {
                    reader.at += 1;
                    break;
                }
                _ => return None,
            }
        }
    }
    reader.peek().is_none().then_some(members)
}

struct Reader<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next octet that is no blank.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.json.as_bytes().get(self.at)? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                octet => return Some(*octet),
            }
        }
    }

    fn take(&mut self, octet: u8) -> Option<()> {
        (self.peek()? == octet).then(|| self.at += 1)
    }

    fn value(&mut self) -> Option<Member<'a>> {
        let rest = match self.peek()? {
            b'"' => return self.text().map(Member::Text),
            _ => &self.json[self.at..],
        };
        for word in ["true", "false", "null"] {
            let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
            if rest.strip_prefix(word).is_some_and(ends) {
                self.at += word.len();
                return Some(Member::Written(&rest[..word.len()]));
            }
        }
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<serde::de::IgnoredAny>();
        values.next()?.ok()?;
        let length = values.byte_offset();
        self.at += length;
        Some(Member::Written(&rest[..length]))
    }

    /// A text, from quote to quote.
    fn text(&mut self) -> Option<Cow<'a, str>> {
        self.take(b'"')?;
        let start = self.at;
        let bytes = self.json.as_bytes();
        let mut run = start;
        let mut text = String::new();
        loop {
            self.at += plain_length(&bytes[self.at..]);
            match bytes.get(self.at)? {
                b'"' => {
                    let last = &self.json[run..self.at];
                    self.at += 1;
                    if run == start {
                        return Some(Cow::Borrowed(last));
                    }
                    text.push_str(last);
                    return Some(Cow::Owned(text));
                }
                b'\\' => {
                    if text.capacity() == 0 {
                        // The text is not longer than what is left, and most of it is often this text.
                        text.reserve((bytes.len() - start).min(self.at - start + 2048));
                    }
                    text.push_str(&self.json[run..self.at]);
                    self.at += 1;
                    text.push(self.escaped()?);
                    run = self.at;
                }
                // A control character.
                _ => return None,
            }
        }
    }

    /// What an escape stands for (RFC 8259, section 7). Stands behind the backslash.
    fn escaped(&mut self) -> Option<char> {
        let octet = *self.json.as_bytes().get(self.at)?;
        self.at += 1;
        Some(match octet {
            b'"' | b'\\' | b'/' => char::from(octet),
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let first = self.four_digits()?;
                let code = match first {
                    0xD800..=0xDBFF => {
                        self.json[self.at..].starts_with("\\u").then(|| self.at += 2)?;
                        let second = self.four_digits().filter(|second| (0xDC00..=0xDFFF).contains(second))?;
                        0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
                    }
                    code => code,
                };
                char::from_u32(code)?
            }
            _ => return None,
        })
    }

    fn four_digits(&mut self) -> Option<u32> {
        let digits = self.json.get(self.at..self.at + 4)?;
        self.at += 4;
        let are_digits = digits.bytes().all(|octet| octet.is_ascii_hexdigit());
        are_digits.then(|| u32::from_str_radix(digits, 16).ok())?
    }
}

/// How many octets come before the first quote, backslash or control character: those that a JSON text holds as they
/// are. Eight are looked at in one word: each test sets the highest bit of an octet that it is for, and may set those
/// of octets behind it, so the lowest one is right.
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    let mut rest = bytes;
    while let Some((eight, tail)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        let control = word.wrapping_sub(ONES * b' ' as u64);
        let quote = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
        let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
        // An octet of 0x80 and more is none of them, as its own highest bit says.
        let found = (control | quote | backslash) & !word & HIGHS;
        if found != 0 {
            return bytes.len() - rest.len() + (found.trailing_zeros() / 8) as usize;
        }
        rest = tail;
    }
    let tail = rest
        .iter()
        .position(|octet| matches!(octet, 0..=0x1F | b'"' | b'\\'))
        .unwrap_or(rest.len());
    bytes.len() - rest.len() + tail
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Map;

    use super::*;

    fn read(json: &str) -> Option<Map<String, Value>> {
        let members = members(json)?;
        Some(
            members
                .into_iter()
                .map(|(key, member)| (key.into_owned(), member.into_value()))
                .collect(),
        )
    }

    #[test]
    fn members_are_read_as_serde_json_reads_them() {
        for json in [
            r#"{}"#,
            " { } ",
            r#"{"a":"b","c":1.5e3,"d":[1,{"e":"}"}],"f":null,"g":true , "h" : false}"#,
            r#"{"a\n\"\\\/\b\f\r\t":"\u00e9\ud83d\ude00 é 😀"}"#,
            r#"{"a":{"segments":[{"text":"x\"y"}]},"a":"twice"}"#,
        ] {
            let expected: Map<String, Value> = serde_json::from_str(json).expect("an object");
            assert_eq!(read(json), Some(expected), "{json}");
        }
    }

    #[test]
    fn what_is_no_object_of_json_is_left_to_others() {
        for json in [
            "",
            "[]",
            "null",
            "{",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1}x"#,
            r#"{"a":tru}"#,
            r#"{"a":truely}"#,
            r#"{"a":"b}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":"\x"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\ud800\u0041"}"#,
            r#"{"a":"\u+123"}"#,
            r#"{"a":01}"#,
            r#"{"a":[1}"#,
        ] {
            assert!(read(json).is_none(), "{json}");
            assert!(serde_json::from_str::<Map<String, Value>>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn each_octet_is_plain_or_not_wherever_it_stands() {
        for octet in 0..=255 {
            for place in 0..11 {
                let mut text = *b"abc defgh \xC3";
                text[place] = octet;
                let special = octet < b' ' || octet == b'"' || octet == b'\\';
                assert_eq!(
                    plain_length(&text),
                    if special { place } else { text.len() },
                    "{octet} at {place}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_object_reads_as_serde_json_reads_it(texts: Vec<(String, String)>) {
            let object: Map<String, Value> = texts.into_iter().map(|(key, text)| (key, text.into())).collect();
            prop_assert_eq!(read(&Value::from(object.clone()).to_string()), Some(object));
        }

        #[test]
        fn no_text_is_read_that_serde_json_refuses(text in r#"\{("[a\\un0-9"\n]{0,8}":?[0-9eE"tru\[\]\\.-]{0,8},?){0,3}\}"#) {
            if let Some(object) = read(&text) {
                prop_assert_eq!(serde_json::from_str::<Map<String, Value>>(&text).ok(), Some(object));
            }
        }
    }
}
