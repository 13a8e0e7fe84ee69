//! The file writer: text, lines or bytes into a file of the run's own directory.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use encoding_rs::Encoding;
use pipepost_core::{Failure, FailureKind};
use pipepost_double_braces::to_text;
use pipepost_engine::files::{Existing, WriteError};
use pipepost_flowspec::{FileExists, FileWriter, LineEnd};
use serde_json::{Value, json};

use super::RunError;
use super::encoding::encode;
use super::step_context::StepContext;

impl StepContext<'_> {
    pub(super) fn write_file(&self, writer: &FileWriter) -> Result<Value, RunError> {
        match self.written(writer) {
            Ok(name) => Ok(json!({ "fileName": name, "success": true })),
            Err(error) => self.end_in(writer.fail_on_error, error),
        }
    }

    /// The name of the file that was written.
    fn written(&self, writer: &FileWriter) -> Result<String, RunError> {
        let fail = |kind: FailureKind, message: String| self.error(Failure::new(kind, message));
        let name = self.text("fileName", &writer.file_name)?;
        let input = self.value("inputData", &writer.input)?;
        let charset = self.text("charset", &writer.charset)?;
        let invalid = |reason: String| fail(FailureKind::Invalid, reason);
        let bytes = if writer.is_binary {
            decoded(&input).map_err(invalid)?
        } else {
            encoded(&lines(&input, writer).map_err(invalid)?, &charset).map_err(invalid)?
        };
        let existing = match writer.file_exists {
            FileExists::Append => Existing::Append,
            FileExists::Override => Existing::Replace,
            FileExists::Fail => Existing::Fail,
        };
        self.files.write(&name, &bytes, existing).map_err(|error| match error {
            WriteError::NotAllowed => fail(
                FailureKind::Invalid,
                format!("The file name `{name}` leads out of the run's directory; write a relative name."),
            ),
            WriteError::Exists => fail(FailureKind::Invalid, format!("The file `{name}` is there already.")),
            WriteError::NotAFile => fail(
                FailureKind::Invalid,
                format!("`{name}` is not a regular file; write another name."),
            ),
            WriteError::Io(error) => fail(
                FailureKind::Configuration,
                format!("The file `{name}` cannot be written: {error}."),
            ),
        })?;
        Ok(name)
    }
}

/// The input as text, with its line ends: an array is one line an element.
fn lines(input: &Value, writer: &FileWriter) -> Result<String, String> {
    let end = match writer.line_end {
        LineEnd::Windows => "\r\n",
        LineEnd::Unix => "\n",
        LineEnd::None => "",
    };
    match input {
        Value::Null => Ok(String::new()),
        Value::Array(elements) => Ok(elements.iter().map(|element| to_text(element) + end).collect()),
        Value::Object(_) if !writer.coalesce => {
            Err("The parameter `inputData` is an object; set `coalesce` to write it as one line of JSON.".to_owned())
        }
        other => Ok(to_text(other) + end),
    }
}

fn decoded(input: &Value) -> Result<Vec<u8>, String> {
    let Value::String(text) = input else {
        return Err("The parameter `inputData` must be base64 text while `isBinary` is true.".to_owned());
    };
    let digits: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD
        .decode(digits)
        .map_err(|error| format!("The parameter `inputData` is not base64: {error}."))
}

fn encoded(text: &str, charset: &str) -> Result<Vec<u8>, String> {
    let Some(encoding) = Encoding::for_label(charset.trim().as_bytes()) else {
        return Err(format!(
            "There is no charset `{charset}`; usual ones are UTF-8 and ISO-8859-1."
        ));
    };
    let (bytes, is_whole) = encode(text, encoding);
    if !is_whole {
        return Err(format!(
            "The text has characters that the charset `{charset}` lacks; use UTF-8."
        ));
    }
    Ok(bytes.into_owned())
}
