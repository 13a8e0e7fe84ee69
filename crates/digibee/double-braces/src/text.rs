//! The text form of values, as Java prints them.

use std::io;

use pipepost_java_format::java_double;
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::Formatter;

/// Returns the text form of a value: text as it is, null as nothing, numbers as Java prints them (`3`, `3.0`,
/// `1.0E10`), objects and arrays as compact JSON.
pub fn to_text(value: &Value) -> String {
    let mut text = String::new();
    push_text(&mut text, value);
    text
}

pub(crate) fn push_text(target: &mut String, value: &Value) {
    match value {
        Value::Null => {}
        Value::String(text) => target.push_str(text),
        Value::Bool(truth) => target.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => match number.as_f64() {
            Some(double) if number.is_f64() => target.push_str(&java_double(double)),
            _ => target.push_str(&number.to_string()),
        },
        Value::Array(_) | Value::Object(_) => target.push_str(&compact_json(value)),
    }
}

/// JSON without blanks, its doubles printed as Java prints them.
pub(crate) fn compact_json(value: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, JavaNumbers);
    // Writing a `Value` into memory cannot fail, and JSON is UTF-8; the fallback only spares a panic.
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8(bytes).unwrap_or_default(),
        Err(_) => value.to_string(),
    }
}

struct JavaNumbers;

impl Formatter for JavaNumbers {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(java_double(value).as_bytes())
    }
}

/// How many characters of a document's text a sentence quotes.
const SHOWN: usize = 60;

/// Enough of a text to recognise it.
pub(crate) fn cut(word: &str) -> String {
    if word.chars().count() <= SHOWN {
        word.to_owned()
    } else {
        word.chars().take(SHOWN).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_print_as_text() {
        assert_eq!(to_text(&json!(null)), "");
        assert_eq!(to_text(&json!("a\"b")), "a\"b");
        assert_eq!(
            to_text(&json!({"a": [1, 2.0, null, "x\"", 1e10]})),
            r#"{"a":[1,2.0,null,"x\"",1.0E10]}"#
        );
        assert_eq!(to_text(&json!(true)), "true");
        assert_eq!(to_text(&json!(u64::MAX)), "18446744073709551615");
    }
}
