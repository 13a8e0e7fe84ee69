//! The parameter `icalEvent`: a calendar object (RFC 5545), and what its message asks for (RFC 5546, RFC 6047).

use serde_json::{Map, Value};

use super::attachments::decode_base64;
use super::fields::{line, shown, structured, text};
use crate::failure::Failure;

const KEY: &str = "icalEvent";
const BEGIN: &str = "BEGIN:VCALENDAR";
/// The largest object that is read from a file, in octets.
pub(crate) const MAX_FILE: u64 = 1 << 20;

/// A calendar object, its method and its file name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarEvent {
    /// The iTIP method in capitals, e.g. `REQUEST` (RFC 5546). It is the object's own METHOD.
    pub method: String,
    /// The file name of the object's attachment.
    pub file_name: String,
    /// The object's text, from `BEGIN:VCALENDAR`.
    pub content: String,
}

/// An invitation, in the form that the parameter gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invitation {
    /// The object itself.
    Event(CalendarEvent),
    /// The object in a file of the run.
    File(CalendarFile),
}

/// An invitation whose object is in a file of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarFile {
    /// The file's path within the run's directory.
    pub path: String,
    file_name: String,
    method: Option<String>,
}

impl CalendarFile {
    /// The event, from the file's octets; what is odd goes to `warnings`.
    ///
    /// # Errors
    /// When the content is no calendar object in UTF-8, or its METHOD is another one.
    pub(crate) fn event(&self, octets: Vec<u8>, warnings: &mut Vec<String>) -> Result<CalendarEvent, Failure> {
        let content = String::from_utf8(octets).map_err(|_| {
            Failure::invalid(
                KEY,
                format_args!("the file `{}` is not text in UTF-8", shown(&self.path)),
            )
        })?;
        event(&content, self.method.as_deref(), self.file_name.clone(), warnings)
    }
}

/// The calendar object's text, or `{content, encoding, attachment, method, filename}`.
pub(super) fn invitation(value: Value, warnings: &mut Vec<String>) -> Result<Option<Invitation>, Failure> {
    let mut object = match structured(KEY, value)? {
        Value::Null => return Ok(None),
        Value::Object(object) => object,
        Value::String(content) => Map::from_iter([("content".to_owned(), Value::String(content))]),
        _ => {
            return Err(Failure::invalid(
                KEY,
                "it is neither a calendar object nor `{content, method, filename}`",
            ));
        }
    };
    let mut field = |key: &str| text(KEY, object.remove(key).unwrap_or_default());
    let (content, encoding, path) = (field("content")?, field("encoding")?, field("attachment")?);
    let method = field("method")?.filter(|method| !method.trim().is_empty());
    let file_name = field("filename")?.filter(|name| !name.trim().is_empty());
    if let Some(unknown) = object.keys().next() {
        return Err(Failure::invalid(
            KEY,
            format_args!(
                "it has `content`, `encoding`, `attachment`, `method` and `filename`, and no `{}`",
                shown(unknown)
            ),
        ));
    }
    let file_name = match file_name {
        Some(name) => line(KEY, "the file name", &name)?,
        None => "invite.ics".to_owned(),
    };
    if file_name.len() > 255 || file_name.contains(['/', '\\']) {
        return Err(Failure::invalid(KEY, "its `filename` is no plain file name"));
    }
    let method = method.as_deref().map(checked_method).transpose()?;
    if let Some(path) = path.filter(|path| !path.trim().is_empty()) {
        if content.is_some() || encoding.is_some() {
            return Err(Failure::invalid(KEY, "it has both a `content` and an `attachment`"));
        }
        let path = line(KEY, "the file's name", &path)?;
        return Ok(Some(Invitation::File(CalendarFile {
            path,
            file_name,
            method,
        })));
    }
    let content = content.unwrap_or_default();
    let content = match encoding.as_deref().map(str::trim) {
        None | Some("") => content,
        Some(encoding) if encoding.eq_ignore_ascii_case("text") => content,
        Some(encoding) if encoding.eq_ignore_ascii_case("base64") => decode_base64(content)
            .and_then(|octets| String::from_utf8(octets).ok())
            .ok_or_else(|| Failure::invalid(KEY, "its `content` is not base64 of a text in UTF-8"))?,
        Some(other) => {
            return Err(Failure::invalid(
                KEY,
                format_args!("encoding `{}` is neither base64 nor text", shown(other)),
            ));
        }
    };
    event(&content, method.as_deref(), file_name, warnings).map(|event| Some(Invitation::Event(event)))
}

/// The method that is asked for and the object's own have to be one (RFC 6047, section 2.4): clients refuse the rest.
fn event(
    content: &str,
    wanted: Option<&str>,
    file_name: String,
    warnings: &mut Vec<String>,
) -> Result<CalendarEvent, Failure> {
    let content = content.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    let begins = content
        .get(..BEGIN.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(BEGIN));
    if !begins {
        return Err(Failure::invalid(
            KEY,
            "its content does not begin with `BEGIN:VCALENDAR`",
        ));
    }
    let mut own = None;
    for written in methods_of(content) {
        let method = checked_method(&written)?;
        if let Some(other) = own.as_deref().or(wanted).filter(|other| *other != method) {
            return Err(Failure::invalid(
                KEY,
                format_args!("the object says `METHOD:{method}`, and {other} is asked for"),
            )
            .with_advice("leave `method` out: the object's own METHOD is taken"));
        }
        own = Some(method);
    }
    let (method, content) = match own {
        Some(method) => (method, content.to_owned()),
        None => {
            let method = wanted.unwrap_or("PUBLISH");
            warnings.push(format!(
                "parameter `{KEY}`: the object has no METHOD, and is sent with `METHOD:{method}`"
            ));
            (method.to_owned(), with_method(content, method))
        }
    };
    Ok(CalendarEvent {
        method,
        file_name,
        content,
    })
}

fn checked_method(written: &str) -> Result<String, Failure> {
    let method = written.trim().to_ascii_uppercase();
    if method.is_empty() || method.len() > 32 || !method.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(Failure::invalid(
            KEY,
            format_args!("`{}` is no calendar method", shown(&method)),
        ));
    }
    Ok(method)
}

/// The METHOD properties of the object itself, and not of what stands in it (RFC 5545, section 3.7.2): lines are
/// unfolded first (section 3.1), and a property may have parameters (section 3.2).
pub(crate) fn methods_of(content: &str) -> Vec<String> {
    let mut methods = Vec::new();
    let mut depth = 0_usize;
    for line in unfolded(content) {
        let name = line.split([':', ';']).next().unwrap_or_default().trim();
        match name.to_ascii_uppercase().as_str() {
            "BEGIN" => depth += 1,
            "END" => depth = depth.saturating_sub(1),
            "METHOD" if depth == 1 => methods.extend(value_of(&line).map(|value| value.trim().to_owned())),
            _ => {}
        }
    }
    methods
}

fn unfolded(content: &str) -> impl Iterator<Item = String> {
    let mut lines: Vec<String> = Vec::new();
    for line in content.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some(last)) => last.push_str(rest),
            _ => lines.push(line.to_owned()),
        }
    }
    lines.into_iter()
}

/// What stands behind the first colon that is not within quotes.
fn value_of(line: &str) -> Option<&str> {
    let mut is_quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            ':' if !is_quoted => return Some(&line[at + 1..]),
            _ => {}
        }
    }
    None
}

/// The object with a METHOD, behind its first line.
fn with_method(content: &str, method: &str) -> String {
    let end = content.find('\n').map_or(content.len(), |end| end + 1);
    let (first, rest) = content.split_at(end);
    let first = first.trim_end_matches(['\r', '\n']);
    format!("{first}\r\nMETHOD:{method}\r\n{rest}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<(CalendarEvent, Vec<String>), Failure> {
        let mut warnings = Vec::new();
        match invitation(value, &mut warnings)? {
            Some(Invitation::Event(event)) => Ok((event, warnings)),
            other => panic!("{other:?}"),
        }
    }

    fn object(property: &str) -> String {
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{property}BEGIN:VEVENT\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
    }

    #[test]
    fn the_method_is_found_however_it_is_written() {
        for property in [
            "METHOD:REQUEST\r\n",
            "METHOD:request\n",
            "METH\r\n OD:REQ\r\n\tUEST\r\n",
            "METHOD;X-A=\"b:c\";X-D=e:REQUEST\r\n",
            "method:REQUEST \r\n",
        ] {
            let (event, warnings) = read(json!(object(property))).expect(property);
            assert_eq!((event.method.as_str(), warnings.len()), ("REQUEST", 0), "{property}");
            assert_eq!(event.content, object(property));
        }
    }

    #[test]
    fn a_method_that_is_not_the_object_s_is_refused() {
        for property in [
            "METHOD:PUBLISH\r\n",
            "METH\r\n OD:PUBLISH\r\n",
            "METHOD;X=1:PUBLISH\r\n",
        ] {
            let failure = read(json!({"content": object(property), "method": "request"})).expect_err(property);
            assert!(failure.message.contains("METHOD:PUBLISH"), "{failure}");
        }
        let two = format!("{}{}", object("METHOD:REQUEST\r\n"), object("METHOD:CANCEL\r\n"));
        assert!(read(json!(two)).is_err());
    }

    #[test]
    fn an_object_without_a_method_gets_one_and_that_is_told() {
        for (value, method) in [
            (json!(object("")), "PUBLISH"),
            (json!({"content": object(""), "method": "request"}), "REQUEST"),
            (
                json!(object("BEGIN:VTODO\r\nMETHOD:CANCEL\r\nEND:VTODO\r\n")),
                "PUBLISH",
            ),
        ] {
            let (event, warnings) = read(value).expect(method);
            assert_eq!((event.method.as_str(), warnings.len()), (method, 1));
            assert_eq!(methods_of(&event.content), [method]);
            assert!(event.content.starts_with("BEGIN:VCALENDAR\r\nMETHOD:"));
        }
    }

    #[test]
    fn base64_and_a_file_are_known() {
        let (event, _) =
            read(json!({"content": "QkVHSU46VkNBTEVOREFSDQpNRVRIT0Q6QURE", "encoding": "base64"})).expect("base64");
        assert_eq!(event.method, "ADD");
        let mut warnings = Vec::new();
        let file = invitation(json!({"attachment": "out/i.ics", "method": "cancel"}), &mut warnings).expect("a file");
        let Some(Invitation::File(file)) = file else {
            panic!("{file:?}")
        };
        let event = file.event(object("").into_bytes(), &mut warnings).expect("an event");
        assert_eq!((event.method.as_str(), warnings.len()), ("CANCEL", 1));
        assert!(file.event(b"BEGIN:VCALENDAR\xff".to_vec(), &mut warnings).is_err());
    }
}
