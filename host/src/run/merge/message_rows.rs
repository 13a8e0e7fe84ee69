//! A list of the run's message that stays in its file, and is read from there as it is sent.

use std::fs::File;
use std::io::{self, BufReader, Seek as _};

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{
    Deserialize as _, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

use super::text::of_whole;

/// The list, which is a member of the message in the file.
#[derive(Debug)]
pub(crate) struct MessageRows {
    pub(super) file: File,
    /// The file's length, in octets.
    pub(super) size: u64,
    pub(crate) member: String,
    /// How many elements the list has.
    pub(super) count: usize,
}

impl MessageRows {
    /// Reads a message of a file. If it has a list as `member`, the list stays in the file, and an empty one is in the
    /// message.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is not text, or is not JSON.
    pub(crate) fn find(mut file: File, member: Option<&str>) -> Result<(Value, Option<Self>), serde_json::Error> {
        file.rewind().map_err(serde_json::Error::io)?;
        let source = file.try_clone().map_err(serde_json::Error::io)?;
        let text = BufReader::with_capacity(256 * 1024, of_whole(source));
        let mut length = None;
        let mut reader = serde_json::Deserializer::from_reader(text);
        let message = Reading {
            place: Place::Message(member),
            length: &mut length,
        }
        .deserialize(&mut reader)?;
        reader.end()?;
        let rows = match (member, length) {
            (Some(member), Some(count)) => Some(Self {
                size: file.metadata().map_err(serde_json::Error::io)?.len(),
                file,
                member: member.to_owned(),
                count,
            }),
            _ => None,
        };
        Ok((message, rows))
    }

    /// The file from its beginning.
    ///
    /// # Errors
    /// Fails if the operating system does.
    pub(super) fn rewound(mut self) -> io::Result<Self> {
        self.file.rewind()?;
        Ok(self)
    }
}

/// Which value is read.
#[derive(Clone, Copy)]
enum Place<'m> {
    /// The message, whose member of this name may stay where it is.
    Message(Option<&'m str>),
    /// That member.
    Member,
}

/// Reads a value. A list that stays where it is, is counted and passed over.
struct Reading<'r> {
    place: Place<'r>,
    length: &'r mut Option<usize>,
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let Place::Message(Some(member)) = self.place else {
            return Value::deserialize(MapAccessDeserializer::new(entries));
        };
        let mut members = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let value = if name == member {
                // Of a name that is there twice, the last counts.
                *self.length = None;
                entries.next_value_seed(Reading {
                    place: Place::Member,
                    length: &mut *self.length,
                })?
            } else {
                entries.next_value()?
            };
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let Place::Member = self.place else {
            return Value::deserialize(SeqAccessDeserializer::new(elements));
        };
        let mut count = 0;
        while elements.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        *self.length = Some(count);
        Ok(Value::Array(Vec::new()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
}

/// Takes the elements of the list of that name, one after another, with what reads a list.
pub(super) struct OfMember<'m, S> {
    pub(super) member: &'m str,
    /// Used for the last list of that name.
    pub(super) elements: S,
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for OfMember<'_, S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the message as it was")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Option<S::Value>, A::Error> {
        let mut elements = Some(self.elements);
        let mut read = None;
        while let Some(name) = entries.next_key::<String>()? {
            if name != self.member {
                entries.next_value::<IgnoredAny>()?;
                continue;
            }
            let elements = elements
                .take()
                .ok_or_else(|| A::Error::custom(format!("the message has `{name}` twice")))?;
            read = Some(entries.next_value_seed(elements)?);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::json;

    use super::*;

    fn find(text: &[u8], member: Option<&str>) -> Result<(Value, Option<usize>), String> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(text).expect("written");
        let (message, rows) = MessageRows::find(file, member).map_err(|error| error.to_string())?;
        Ok((message, rows.map(|rows| rows.count)))
    }

    #[test]
    fn the_list_is_counted_and_the_rest_is_there() {
        let text = "\u{feff}{\"a\": [1, {\"rows\": [2]}], \"rows\": [1, \"é\", {\"rows\": []}], \"n\": -1.5}";
        let rest = json!({ "a": [1, { "rows": [2] }], "rows": [], "n": -1.5 });
        assert_eq!(find(text.as_bytes(), Some("rows")), Ok((rest, Some(3))));
        let whole = serde_json::from_str(text.trim_start_matches('\u{feff}')).expect("JSON");
        assert_eq!(find(text.as_bytes(), None), Ok((whole, None)));
    }

    #[test]
    fn what_is_no_list_is_in_the_message() {
        for (text, message) in [
            ("{\"rows\": {\"a\": [1]}}", json!({ "rows": { "a": [1] } })),
            ("{\"rows\": null, \"b\": true}", json!({ "rows": null, "b": true })),
            ("[[1], 2]", json!([[1], 2])),
            ("\"rows\"", json!("rows")),
            ("{}", json!({})),
        ] {
            assert_eq!(find(text.as_bytes(), Some("rows")), Ok((message, None)), "{text}");
        }
    }

    #[test]
    fn a_list_that_is_none_is_found_before_anything_is_sent() {
        for (text, words) in [
            (&b"{\"rows\": [1, 2"[..], "EOF"),
            (b"{\"rows\": [1, tru]}", "expected"),
            (b"{\"rows\": [1]} x", "trailing"),
            (b"{\"rows\": [\"\xe9\"]}", "not UTF-8"),
        ] {
            let error = find(text, Some("rows")).expect_err("no message");
            assert!(error.contains(words), "{error}");
        }
    }
}
