//! The headers of a part: its type, how it is shown, and the name of its file.

use super::headers::{LINE, Line};
use crate::address::quoted;
use crate::parameters::is_token;

/// The longest file name that stands as it is (RFC 2183, section 2).
const LONGEST_FILE_NAME: usize = 78;

/// The Content-Type of a file, whose name old clients look for here.
pub(super) fn file_type(media_type: &str, parameters: &[(&str, &str)], file_name: &str) -> String {
    let mut line = ParameterLine::new("Content-Type", media_type);
    for (name, value) in parameters {
        line.push(name, value);
    }
    line.push_old_name(file_name);
    line.out
}

/// The Content-Type of a part of parts. `root` is the media type of a related message's first part (RFC 2387, section
/// 3.1).
pub(super) fn multipart_type(media_type: &str, boundary: &str, root: Option<&str>) -> String {
    let mut line = ParameterLine::new("Content-Type", media_type);
    line.put(&["boundary=\"", boundary, "\""].concat());
    if let Some(root) = root {
        line.put(&["type=\"", root, "\""].concat());
    }
    line.out
}

/// The Content-Disposition, with the file's name (RFC 2183).
pub(super) fn disposition(is_inline: bool, file_name: &str) -> String {
    let kind = if is_inline { "inline" } else { "attachment" };
    let mut line = ParameterLine::new("Content-Disposition", kind);
    line.push_file_name(file_name);
    line.out
}

/// A value with parameters (RFC 2045, section 5.1), a line folded before each that has no room.
struct ParameterLine {
    out: String,
    column: usize,
}

impl ParameterLine {
    fn new(header: &str, value: &str) -> Self {
        Self {
            out: value.to_owned(),
            column: header.len() + 2 + value.len(),
        }
    }

    fn put(&mut self, parameter: &str) {
        if self.column + 2 + parameter.len() > LINE {
            self.out.push_str(";\r\n ");
            self.column = 1;
        } else {
            self.out.push_str("; ");
            self.column += 2;
        }
        self.out.push_str(parameter);
        // A parameter of several lines ends in its last one.
        let last = parameter.rsplit("\r\n").next().unwrap_or_default();
        self.column = if last.len() < parameter.len() {
            last.len()
        } else {
            self.column + last.len()
        };
    }

    fn push(&mut self, name: &str, value: &str) {
        if is_token(value) {
            self.put(&format!("{name}={value}"));
        } else if is_printable(value) {
            self.put(&format!("{name}={}", quoted(value)));
        } else {
            self.push_extended(name, value);
        }
    }

    /// Up to 78 characters of ASCII stand as they are (RFC 2183, section 2).
    fn push_file_name(&mut self, file_name: &str) {
        if is_short(file_name) {
            self.put(&format!("filename={}", quoted(file_name)));
        } else {
            self.push_extended("filename", file_name);
        }
    }

    /// The name for clients that do not know RFC 2231: no standard has encoded words here, and all clients do.
    fn push_old_name(&mut self, file_name: &str) {
        if is_short(file_name) {
            self.put(&format!("name={}", quoted(file_name)));
            return;
        }
        let mut line = Line::at(" name=\"\";".len());
        line.encoded(file_name, false);
        self.put(&format!("name=\"{}\"", line.into_text()));
    }

    /// RFC 2231: in one piece where a line has room for it, else in several.
    fn push_extended(&mut self, name: &str, value: &str) {
        let mut rest: Vec<String> = value.chars().map(extended).collect();
        let whole = rest.concat();
        if name.len() + "*=utf-8''".len() + whole.len() < LINE - 1 {
            self.put(&format!("{name}*=utf-8''{whole}"));
            return;
        }
        let mut number = 0;
        while !rest.is_empty() {
            let mut piece = format!("{name}*{number}*={}", if number == 0 { "utf-8''" } else { "" });
            let fitting = rest.iter().scan(piece.len(), |length, c| {
                *length += c.len();
                (*length < LINE - 1).then_some(())
            });
            let count = fitting.count().max(1);
            piece.extend(rest.drain(..count));
            self.put(&piece);
            number += 1;
        }
    }
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
}

fn is_short(file_name: &str) -> bool {
    is_printable(file_name) && file_name.len() <= LONGEST_FILE_NAME && !file_name.contains("=?")
}

/// A character of an extended value (RFC 5987, section 3.2.1: what every reader takes).
fn extended(c: char) -> String {
    if c.is_ascii_alphanumeric() || "!#$&+-.^_`|~".contains(c) {
        return c.to_string();
    }
    c.encode_utf8(&mut [0; 4])
        .bytes()
        .map(|octet| format!("%{octet:02X}"))
        .collect()
}
