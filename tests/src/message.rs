//! A message as a peer received it.

use std::path::Path;

use serde_json::Value;

use crate::python;

/// What a peer kept of a transaction: the envelope and the content.
#[derive(Debug, Clone)]
pub struct Message {
    /// MAIL FROM.
    pub sender: String,
    /// RCPT TO, those accepted.
    pub recipients: Vec<String>,
    /// Who signed in, where the peer tells.
    pub user: Option<String>,
    /// The content, as the peer wrote it down; Postfix adds headers of its own above, and both may change line ends.
    pub eml: Vec<u8>,
}

impl Message {
    pub(crate) fn read(path: &Path) -> Vec<u8> {
        std::fs::read(path).unwrap_or_else(|error| panic!("`{}` was kept and cannot be read: {error}", path.display()))
    }

    /// As Python's `email` package understands it; see `peers/parse_message.py` for the fields.
    pub fn parsed(&self) -> Value {
        python::parse(&self.eml)
    }

    /// The content as text, to look for something in it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.eml).into_owned()
    }
}
