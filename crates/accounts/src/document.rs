//! JSON with its keys in order and its texts overwritten when dropped: an accounts file may hold passwords in clear.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Place};

/// One JSON value. Objects keep every key as written, so that a field written twice can be refused.
pub(crate) enum Node {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(Zeroizing<String>),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Node {
    /// Parses a whole document.
    ///
    /// The error says what is wrong at which line and column; none of the document's text is in it.
    pub(crate) fn parse(text: &str) -> Result<Self, SyntaxError> {
        serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| SyntaxError {
            line: error.line(),
            column: error.column(),
            reason: match error.classify() {
                serde_json::error::Category::Eof => "the document ends too early".to_owned(),
                // The parser's words end in the position and never quote the document.
                _ => format!(
                    "this is not JSON, {}",
                    error.to_string().split(" at line ").next().unwrap_or_default()
                ),
            },
        })
    }

    /// The value as JSON.
    pub(crate) fn to_json(&self) -> Zeroizing<String> {
        let mut json = Zeroizing::new(String::with_capacity(self.room()));
        self.write(&mut json);
        json
    }

    fn write(&self, json: &mut String) {
        match self {
            Self::Null => json.push_str("null"),
            Self::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
            Self::Number(value) => json.push_str(&value.to_string()),
            Self::Text(text) => write_text(text, json),
            Self::List(items) => {
                json.push('[');
                for (position, item) in items.iter().enumerate() {
                    if position > 0 {
                        json.push(',');
                    }
                    item.write(json);
                }
                json.push(']');
            }
            Self::Object(entries) => {
                json.push('{');
                for (position, (key, value)) in entries.iter().enumerate() {
                    if position > 0 {
                        json.push(',');
                    }
                    write_text(key, json);
                    json.push(':');
                    value.write(json);
                }
                json.push('}');
            }
        }
    }

    /// The most that its JSON can take: a text that grows while it is written leaves copies of itself behind.
    fn room(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => 5,
            Self::Number(value) => value.to_string().len(),
            Self::Text(text) => 6 * text.len() + 2,
            Self::List(items) => 2 + items.iter().map(|item| item.room() + 1).sum::<usize>(),
            Self::Object(entries) => {
                2 + entries
                    .iter()
                    .map(|(key, value)| 6 * key.len() + 4 + value.room())
                    .sum::<usize>()
            }
        }
    }

    /// What it is, for a sentence that says what was expected instead.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// Feeds everything that the value says, unambiguously, to a digest.
    pub(crate) fn digest(&self, feed: &mut dyn FnMut(&[u8])) {
        match self {
            Self::Null => feed(b"n;"),
            Self::Bool(value) => feed(if *value { b"t;" } else { b"f;" }),
            Self::Number(value) => feed(format!("#{value};").as_bytes()),
            Self::Text(text) => {
                feed(format!("s{}:", text.len()).as_bytes());
                feed(text.as_bytes());
            }
            Self::List(items) => {
                feed(format!("l{}:", items.len()).as_bytes());
                items.iter().for_each(|item| item.digest(feed));
            }
            Self::Object(entries) => {
                feed(format!("o{}:", entries.len()).as_bytes());
                for (key, value) in entries {
                    feed(format!("{}:{key}", key.len()).as_bytes());
                    value.digest(feed);
                }
            }
        }
    }
}

/// One account or an array of them.
pub(crate) fn parse_objects(text: &str, place: &Place) -> Result<Vec<Vec<(String, Node)>>, Error> {
    let fail = |message: String| Error::new(ErrorKind::Syntax, place.clone(), message);
    let document = Node::parse(text).map_err(|error| fail(error.to_string()))?;
    let items = match document {
        Node::Object(_) => vec![document],
        Node::List(items) => items,
        other => {
            return Err(fail(format!(
                "the file holds {}; write one account {{ ... }} or an array of them",
                other.describe()
            )));
        }
    };
    items
        .into_iter()
        .enumerate()
        .map(|(position, item)| match item {
            Node::Object(object) => Ok(object),
            other => Err(fail(format!(
                "element {} of the array is {}; write an account {{ ... }}",
                position + 1,
                other.describe()
            ))),
        })
        .collect()
}

/// RFC 8259, section 7.
fn write_text(text: &str, json: &mut String) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            c if (c as u32) < 0x20 => json.push_str(&format!("\\u{:04x}", c as u32)),
            c => json.push(c),
        }
    }
    json.push('"');
}

impl Clone for Node {
    fn clone(&self) -> Self {
        match self {
            Self::Null => Self::Null,
            Self::Bool(value) => Self::Bool(*value),
            Self::Number(value) => Self::Number(value.clone()),
            Self::Text(text) => Self::Text(text.clone()),
            Self::List(items) => Self::List(items.clone()),
            Self::Object(entries) => Self::Object(entries.clone()),
        }
    }
}

/// Shows only the shape: any text may be a secret.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe())
    }
}

/// Where a document stops being JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) reason: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}; correct it there",
            self.line, self.column, self.reason
        )
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        serde_json::Number::from_f64(value)
            .map(Node::Number)
            .ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(Zeroizing::new(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(Zeroizing::new(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry::<String, Node>()? {
            entries.push(entry);
        }
        // Bounds what one object can cost; no account comes near it.
        if entries.len() > 10_000 {
            return Err(A::Error::custom("too many fields"));
        }
        Ok(Node::Object(entries))
    }
}
