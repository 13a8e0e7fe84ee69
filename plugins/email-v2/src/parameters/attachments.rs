//! The parameter `attachments`.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::calendar::methods_of;
use super::fields::{line, shown, structured, text};
use super::media_type::MediaType;
use crate::failure::Failure;
use crate::segments::as_text;

const KEY: &str = "attachments";
/// What file systems allow, and more than mail clients show.
const MAX_NAME: usize = 255;

/// How a client shows an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// In the list of attachments.
    Attachment,
    /// At the place where the body refers to it, by `cid:`.
    Inline,
}

impl Disposition {
    /// Returns the name as the parameter and the output spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attachment => "ATTACHMENT",
            Self::Inline => "INLINE",
        }
    }
}

/// The place of an attachment's content.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// In the run's file that has this attachment's name.
    File,
    /// In the parameters: octets (`encoding` is `base64`).
    Bytes(Vec<u8>),
    /// In the parameters: text.
    Text(String),
}

impl std::fmt::Debug for Source {
    /// The content is the sender's business.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File => f.write_str("File"),
            Self::Bytes(bytes) => write!(f, "Bytes({} octets)", bytes.len()),
            Self::Text(text) => write!(f, "Text({} octets)", text.len()),
        }
    }
}

/// One attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The name as written. For a file of the run, its path within the run's directory.
    pub name: String,
    /// The name that the recipient sees.
    pub shown_name: String,
    /// How a client shows it.
    pub disposition: Disposition,
    /// A Content-ID that the step gives, without angle brackets.
    pub content_id: Option<String>,
    /// The media type without parameters, if one was written.
    pub media_type: Option<String>,
    /// The character set that was written with the media type.
    pub charset: Option<String>,
    /// The media type's further parameters.
    pub media_type_parameters: Vec<(String, String)>,
    /// The place of its content.
    pub source: Source,
}

impl Attachment {
    /// The last component of the path that it was written with.
    pub(crate) fn base_name(&self) -> &str {
        base_name(&self.name)
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

pub(super) fn parse(value: Value, warnings: &mut Vec<String>) -> Result<Vec<Attachment>, Failure> {
    let attachments: Vec<Attachment> = match structured(KEY, value)? {
        Value::Null => Vec::new(),
        Value::Array(elements) => elements
            .into_iter()
            .enumerate()
            .map(|(i, element)| one(&format!("{KEY}[{i}]"), element, warnings))
            .collect::<Result<_, _>>()?,
        element @ Value::Object(_) => vec![one(KEY, element, warnings)?],
        other => {
            return Err(Failure::invalid(
                KEY,
                format_args!("`{}` is not a list of attachments", shown(&other.to_string())),
            )
            .with_advice("write `[{\"attachment\": \"report.pdf\", \"type\": \"ATTACHMENT\"}]`"));
        }
    };
    for (i, attachment) in attachments.iter().enumerate() {
        let id = attachment.content_id.as_deref();
        if id.is_some() && attachments[..i].iter().any(|other| other.content_id.as_deref() == id) {
            let id = id.unwrap_or_default();
            return Err(Failure::invalid(
                &format!("{KEY}[{i}]"),
                format_args!("another attachment has the `contentId` `{}`", shown(id)),
            ));
        }
    }
    Ok(attachments)
}

fn one(place: &str, value: Value, warnings: &mut Vec<String>) -> Result<Attachment, Failure> {
    let mut object = match value {
        Value::Object(object) => object,
        Value::String(name) => Map::from_iter([("attachment".to_owned(), Value::String(name))]),
        _ => return Err(Failure::invalid(place, "it is neither a file's name nor an object")),
    };
    let content = match object.remove("content") {
        Some(Value::Null) => {
            return Err(Failure::invalid(place, "its `content` is null").with_advice(
                "look whether the path of its expression exists, or leave `content` out for a file of the run",
            ));
        }
        // A value that is no text goes as it prints: an object as JSON.
        content => content.map(|content| as_text(&content).into_owned()),
    };
    let mut field = |key: &str| text(place, object.remove(key).unwrap_or_default());
    let mut either = |key: &str, alias: &str| -> Result<Option<String>, Failure> {
        let (written, other) = (field(key)?, field(alias)?);
        Ok(written.or(other).filter(|text| !text.trim().is_empty()))
    };
    let media_type = either("mediaType", "contentType")?;
    let other_name = either("filename", "name")?;
    let content_id = either("contentId", "cid")?;

    let name = line(place, "the file name", &field("attachment")?.unwrap_or_default())?;
    let disposition = match field("type")?.unwrap_or_default().trim() {
        kind if kind.is_empty() || kind.eq_ignore_ascii_case("ATTACHMENT") => Disposition::Attachment,
        kind if kind.eq_ignore_ascii_case("INLINE") => Disposition::Inline,
        kind => {
            return Err(Failure::invalid(
                place,
                format_args!("type `{}` is neither ATTACHMENT nor INLINE", shown(kind)),
            ));
        }
    };
    let encoding = field("encoding")?;
    if let Some(unknown) = object.keys().next() {
        return Err(
            Failure::invalid(place, format_args!("an attachment has no `{}`", shown(unknown)))
                .with_advice("its fields are attachment, type, content, encoding, mediaType, filename and contentId"),
        );
    }
    let (source, own_type) = match (content, encoding) {
        (None, None) => (Source::File, None),
        (None, Some(_)) => return Err(Failure::invalid(place, "it has an `encoding` and no `content`")),
        (Some(content), encoding) => content_source(place, content, encoding.as_deref().map(str::trim))?,
    };
    let media_type = media_type.or(own_type);
    let media_type = media_type
        .map(|written| MediaType::parse(place, &written))
        .transpose()?;
    let media_type = media_type.unwrap_or_default();
    if media_type.essence == "text/calendar"
        && let Source::Text(text) = &source
    {
        compare_methods(place, text, &media_type)?;
    }

    let other_name = other_name.or(media_type.name);
    let is_path = source == Source::File && other_name.is_none();
    let shown_name = match &other_name {
        Some(other) => line(place, "the file name", other)?,
        None if is_path => base_name(&name).to_owned(),
        None => name.clone(),
    };
    check_name(place, base_name(&name))?;
    check_name(place, base_name(&shown_name))?;
    let shown_name = without_slashes(place, shown_name, warnings);
    Ok(Attachment {
        name,
        shown_name,
        disposition,
        content_id: content_id.map(|id| checked_content_id(place, &id)).transpose()?,
        media_type: Some(media_type.essence).filter(|essence| !essence.is_empty()),
        charset: media_type.charset,
        media_type_parameters: media_type.parameters,
        source,
    })
}

fn check_name(place: &str, name: &str) -> Result<(), Failure> {
    if name.trim().is_empty() || matches!(name, "." | "..") {
        return Err(Failure::invalid(place, "it lacks the file's name in `attachment`"));
    }
    if name.len() > MAX_NAME {
        return Err(Failure::invalid(place, "its file name is longer than 255 octets"));
    }
    Ok(())
}

/// A name to show is no path, and readers cut it at a slash.
fn without_slashes(place: &str, name: String, warnings: &mut Vec<String>) -> String {
    if !name.contains(['/', '\\']) {
        return name;
    }
    let changed = name.replace(['/', '\\'], "-");
    warnings.push(format!(
        "parameter `{place}`: `{}` is sent as `{}`, since no file name holds a slash",
        shown(&name),
        shown(&changed)
    ));
    changed
}

/// `<left@right>` or whatever else can stand behind `cid:` as it is (RFC 2392, section 2).
fn checked_content_id(place: &str, written: &str) -> Result<String, Failure> {
    let id = line(place, "the `contentId`", written)?;
    let bare = id.strip_prefix("cid:").unwrap_or(&id);
    let bare = bare
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap_or(bare);
    if crate::message::is_content_id(bare) {
        return Ok(bare.to_owned());
    }
    Err(Failure::invalid(
        place,
        format_args!(
            "`{}` is no `contentId`; one looks like `logo@example.com`",
            shown(written)
        ),
    ))
}

/// As for `icalEvent`: a calendar object whose METHOD is not the one beside it is refused by its readers.
fn compare_methods(place: &str, object: &str, media_type: &MediaType) -> Result<(), Failure> {
    let asked = media_type.parameters.iter().find(|(name, _)| name == "method");
    let Some((_, asked)) = asked else { return Ok(()) };
    match methods_of(object).iter().find(|own| !own.eq_ignore_ascii_case(asked)) {
        None => Ok(()),
        Some(own) => Err(Failure::invalid(
            place,
            format_args!(
                "the object says `METHOD:{}`, and `method={}` stands beside it",
                shown(own),
                shown(asked)
            ),
        )),
    }
}

/// The content, and the media type that it brings along.
fn content_source(place: &str, content: String, encoding: Option<&str>) -> Result<(Source, Option<String>), Failure> {
    let is = |name: &str| encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case(name));
    if encoding.is_none_or(str::is_empty) || is("base64") {
        let whole = content.trim();
        let is_uri = whole
            .get(..5)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
        if is_uri && let Some((octets, media_type)) = data_uri(whole) {
            return Ok((Source::Bytes(octets), media_type));
        }
        // A text that only begins like one says nowhere that it is base64.
        let head = whole.split(',').next().unwrap_or_default();
        if is_uri && head.to_ascii_lowercase().ends_with(";base64") && !head.contains(char::is_whitespace) {
            return Err(Failure::invalid(
                place,
                "its `content` is a `data:` URI that holds no base64",
            ));
        }
    }
    if encoding.is_none_or(str::is_empty) || is("text") {
        return Ok((Source::Text(content), None));
    }
    if is("base64") {
        return match decode_base64(content) {
            Some(octets) => Ok((Source::Bytes(octets), None)),
            None => Err(Failure::invalid(place, "its `content` is not base64")),
        };
    }
    Err(Failure::invalid(
        place,
        format_args!(
            "encoding `{}` is neither base64 nor text",
            shown(encoding.unwrap_or_default())
        ),
    ))
}

/// The octets and the media type of a `data:` URI (RFC 2397); none for a text that only begins like one.
pub(crate) fn data_uri(uri: &str) -> Option<(Vec<u8>, Option<String>)> {
    let (head, data) = uri.get(5..)?.split_once(',')?;
    if head.contains(char::is_whitespace) && !head.contains("; ") {
        return None;
    }
    let (head, is_base64) = match head.rsplit_once(';') {
        Some((rest, last)) if last.trim().eq_ignore_ascii_case("base64") => (rest, true),
        _ => (head, false),
    };
    let media_type = Some(head.to_owned()).filter(|written| written.contains('/'));
    if media_type.is_none() && !is_base64 {
        return None;
    }
    if media_type
        .as_deref()
        .is_some_and(|written| MediaType::parse("", written).is_err())
    {
        return None;
    }
    let octets = if is_base64 {
        let data = String::from_utf8(percent_decoded(data)).ok()?;
        decode_base64(data)?
    } else if data.contains(char::is_whitespace) {
        return None;
    } else {
        percent_decoded(data)
    };
    Some((octets, media_type))
}

/// RFC 3986, section 2.1; what is no escape stays.
pub(crate) fn percent_decoded(written: &str) -> Vec<u8> {
    let bytes = written.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let octet = match (bytes[i], bytes.get(i + 1..i + 3).map(std::str::from_utf8)) {
            (b'%', Some(Ok(hex))) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u8::from_str_radix(hex, 16).ok(),
            _ => None,
        };
        out.push(octet.unwrap_or(bytes[i]));
        i += if octet.is_some() { 3 } else { 1 };
    }
    out
}

/// With or without padding, white space anywhere.
pub(super) fn decode_base64(content: String) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let mut bytes = content.into_bytes();
    bytes.retain(|byte| !byte.is_ascii_whitespace());
    LENIENT.decode(bytes).ok()
}
