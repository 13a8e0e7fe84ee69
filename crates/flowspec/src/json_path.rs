use std::fmt;

/// A JSONPath as the document writes it. Only its beginning is looked at here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    source: String,
}

impl JsonPath {
    pub(crate) fn parse(text: &str) -> Result<Self, JsonPathError> {
        if text.starts_with('$') || text.starts_with('@') {
            Ok(JsonPath {
                source: text.to_owned(),
            })
        } else {
            Err(JsonPathError)
        }
    }

    /// The path's text.
    pub fn source(&self) -> &str {
        &self.source
    }
}

#[derive(Debug)]
pub(crate) struct JsonPathError;

impl JsonPathError {
    pub(crate) fn column(&self) -> usize {
        1
    }
}

impl fmt::Display for JsonPathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected `$`")
    }
}
