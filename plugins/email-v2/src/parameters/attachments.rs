//! The parameter `attachments`.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::fields::{refuse_controls, shown, structured, text};
use crate::failure::Failure;

const KEY: &str = "attachments";
/// What file systems allow, and more than mail clients show.
const MAX_NAME: usize = 255;

/// How a client shows an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// In the list of attachments.
    Attachment,
    /// Where the body refers to it, by `cid:`.
    Inline,
}

impl Disposition {
    /// As the parameter and the output spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attachment => "ATTACHMENT",
            Self::Inline => "INLINE",
        }
    }
}

/// Where an attachment's content is.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// In the run's file of this attachment's name.
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
    /// Its name as written; for a file of the run, its path within the run's directory.
    pub name: String,
    /// How it is shown.
    pub disposition: Disposition,
    /// Its media type, when written; without parameters.
    pub media_type: Option<String>,
    /// The character set that was written beside the media type.
    pub charset: Option<String>,
    /// Where its content is.
    pub source: Source,
}

impl Attachment {
    /// The name that the recipient sees: the last component of the path.
    pub fn file_name(&self) -> &str {
        base_name(&self.name)
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

pub(super) fn parse(value: Value) -> Result<Vec<Attachment>, Failure> {
    match structured(KEY, value)? {
        Value::Null => Ok(Vec::new()),
        Value::Array(elements) => elements
            .into_iter()
            .enumerate()
            .map(|(i, element)| one(&format!("{KEY}[{i}]"), element))
            .collect(),
        element @ Value::Object(_) => Ok(vec![one(KEY, element)?]),
        other => Err(Failure::invalid(
            KEY,
            format_args!("`{}` is not a list of attachments", shown(&other.to_string())),
        )
        .with_advice("write `[{\"attachment\": \"report.pdf\", \"type\": \"ATTACHMENT\"}]`")),
    }
}

fn one(place: &str, value: Value) -> Result<Attachment, Failure> {
    let mut object = match value {
        Value::Object(object) => object,
        Value::String(name) => Map::from_iter([("attachment".to_owned(), Value::String(name))]),
        _ => return Err(Failure::invalid(place, "it is neither a file's name nor an object")),
    };
    let mut field = |key: &str| text(place, object.remove(key).unwrap_or_default());

    let name = field("attachment")?.unwrap_or_default();
    check_name(place, &name)?;
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
    let media_type = match (field("mediaType")?, field("contentType")?) {
        (Some(written), _) | (None, Some(written)) if !written.trim().is_empty() => Some(written),
        _ => None,
    };
    let charset = match &media_type {
        Some(written) => charset(place, written)?,
        None => None,
    };
    let media_type = media_type.map(|written| essence(place, &written)).transpose()?;
    let encoding = field("encoding")?;
    let source = match (field("content")?, encoding) {
        (None, None) => Source::File,
        (None, Some(_)) => return Err(Failure::invalid(place, "it has an `encoding` and no `content`")),
        (Some(content), encoding) => content_source(place, content, encoding.as_deref().map(str::trim))?,
    };
    if let Some(unknown) = object.keys().next() {
        return Err(
            Failure::invalid(place, format_args!("an attachment has no `{}`", shown(unknown)))
                .with_advice("its fields are attachment, type, content, encoding and mediaType"),
        );
    }
    Ok(Attachment {
        name,
        disposition,
        media_type,
        charset,
        source,
    })
}

fn check_name(place: &str, name: &str) -> Result<(), Failure> {
    refuse_controls(place, "the file name", name)?;
    let shown_name = base_name(name);
    if shown_name.trim().is_empty() || matches!(shown_name, "." | "..") {
        return Err(Failure::invalid(place, "it lacks the file's name in `attachment`"));
    }
    if shown_name.len() > MAX_NAME {
        return Err(Failure::invalid(place, "its file name is longer than 255 octets"));
    }
    Ok(())
}

fn content_source(place: &str, content: String, encoding: Option<&str>) -> Result<Source, Failure> {
    match encoding {
        None | Some("") => Ok(Source::Text(content)),
        Some(encoding) if encoding.eq_ignore_ascii_case("text") => Ok(Source::Text(content)),
        Some(encoding) if encoding.eq_ignore_ascii_case("base64") => decode_base64(content)
            .map(Source::Bytes)
            .ok_or_else(|| Failure::invalid(place, "its `content` is not base64")),
        Some(other) => Err(Failure::invalid(
            place,
            format_args!("encoding `{}` is neither base64 nor text", shown(other)),
        )),
    }
}

/// With or without padding, white space anywhere.
fn decode_base64(content: String) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let mut bytes = content.into_bytes();
    bytes.retain(|byte| !byte.is_ascii_whitespace());
    LENIENT.decode(bytes).ok()
}

/// The one parameter of a media type that says how to read the content (RFC 2046, section 4.1.2).
fn charset(place: &str, written: &str) -> Result<Option<String>, Failure> {
    let parameter = written.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim())
    });
    let Some(value) = parameter else {
        return Ok(None);
    };
    let name = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value);
    // RFC 2978, section 2.3, less what no name has and what would have to be quoted.
    let is_name = !name.is_empty()
        && name.len() <= 40
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&+-^_`~.".contains(&b));
    if !is_name {
        return Err(Failure::invalid(
            place,
            format_args!("`{}` names no character set", shown(written)),
        ));
    }
    Ok(Some(name.to_owned()))
}

/// `type/subtype`, without parameters. What may not travel as base64 becomes plain octets (RFC 2046, sections 5.1 and
/// 5.2.1).
fn essence(place: &str, written: &str) -> Result<String, Failure> {
    let essence = written
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_token = |token: &str| {
        !token.is_empty()
            && token
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    match essence.split_once('/') {
        Some((kind, subtype)) if is_token(kind) && is_token(subtype) && essence.len() <= 127 => Ok(essence),
        _ => Err(Failure::invalid(
            place,
            format_args!("`{}` is no media type", shown(written)),
        )),
    }
}
