//! What a rule does.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One thing that a [`Rule`](super::Rule) does. In JSON: `"close"`, `{"reply": "451 4.3.0 Later"}`, `{"delay_ms": 50}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Sends the reply that the server would have given.
    Regular,
    /// Sends these lines, separated by `\n`, each with CRLF. Nothing is checked: any code, mixed codes, several replies.
    Reply(String),
    /// Sends these bytes exactly.
    Raw(Raw),
    /// Sends a pattern again and again, `bytes` bytes in all, or for ever without a number.
    Flood {
        /// What is repeated.
        pattern: Raw,
        /// How many bytes are sent in all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
    },
    /// Sends back every line that the client has sent on this connection (the last 256 KiB), as one reply of this code, and on
    /// request each of its words decoded from base64 as well.
    Echo {
        /// The reply code, with an enhanced code if there is to be one, such as `535 5.7.8`.
        code: String,
        /// Whether words that are base64 are also sent decoded.
        #[serde(default)]
        decoded: bool,
    },
    /// Sends nothing. The connection stays open.
    Silence,
    /// Closes the connection in good order.
    Close,
    /// Drops the connection without a farewell, in TLS without `close_notify`.
    Abort,
    /// Waits. Commands that arrive meanwhile are read afterwards.
    #[serde(rename = "delay_ms", with = "milliseconds")]
    Delay(Duration),
    /// Waits until told to go on under this name.
    Hold(String),
    /// Takes a capability out of the regular reply to EHLO. `AUTH X` takes out one mechanism.
    Strip(String),
    /// Adds a line to the regular reply to EHLO.
    Offer(String),
    /// What the actions after this one send goes out in pieces of so many bytes, with a pause after each.
    Pace {
        /// The size of a piece, at least 1.
        bytes: usize,
        /// The pause in milliseconds.
        #[serde(default)]
        pause_ms: u64,
    },
    /// What the actions after this one send ends after so many bytes, and the connection is dropped there.
    CutAfter(usize),
}

impl Action {
    /// Whether the action settles what goes out, so that the regular reply does not follow by itself.
    pub(crate) fn decides_what_is_sent(&self) -> bool {
        match self {
            Self::Regular
            | Self::Reply(_)
            | Self::Raw(_)
            | Self::Flood { .. }
            | Self::Echo { .. }
            | Self::Silence
            | Self::Close
            | Self::Abort => true,
            Self::Delay(_)
            | Self::Hold(_)
            | Self::Strip(_)
            | Self::Offer(_)
            | Self::Pace { .. }
            | Self::CutAfter(_) => false,
        }
    }
}

/// Bytes that JSON writes as a text in which each character from U+0000 to U+00FF stands for one byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw(pub Vec<u8>);

impl<T: AsRef<[u8]>> From<T> for Raw {
    fn from(bytes: T) -> Self {
        Self(bytes.as_ref().to_vec())
    }
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.iter().map(|&byte| char::from(byte)).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
        bytes
            .map(Raw)
            .map_err(|_| D::Error::custom("raw bytes are written with the characters U+0000 to U+00FF alone"))
    }
}

mod milliseconds {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
