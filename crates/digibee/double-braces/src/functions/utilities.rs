//! Encodings, sizes, files and identifiers.

use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE_NO_PAD};
use base64::{Engine as _, alphabet};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use serde_json::Value;

use super::{Answer, Arguments, Function, Outcome};
use crate::error::Failure;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("BASEDECODE", "value, charset?", 1, 2, |arguments| {
        decode_base64(&arguments, &LENIENT)
    }),
    Function::new("BASEENCODE", "value, charset?", 1, 2, |arguments| {
        encode_base64(&arguments, &STANDARD)
    }),
    Function::new("BASEURLDECODE", "value, charset?", 1, 2, |arguments| {
        decode_base64(&arguments, &LENIENT_URL)
    }),
    Function::new("BASEURLENCODE", "value, charset?", 1, 2, |arguments| {
        encode_base64(&arguments, &URL_SAFE_NO_PAD)
    }),
    Function::new("UUID", "", 0, 0, |arguments| {
        uuid(arguments.context.random(), arguments.context.random()).answer()
    }),
    Function::new("TOBOOLEAN", "value", 1, 1, |arguments| match arguments.get(0) {
        Value::Bool(truth) => truth.answer(),
        Value::String(text) => text.eq_ignore_ascii_case("true").answer(),
        _ => false.answer(),
    }),
    Function::new(
        "SIZE",
        "value, throwErrorOnUnexpectedType?",
        1,
        2,
        |arguments| match arguments.get(0) {
            Value::String(text) => text.encode_utf16().count().answer(),
            Value::Array(elements) => elements.len().answer(),
            Value::Object(members) => members.len().answer(),
            _ if arguments.is_null(1) || arguments.truth(1)? => Err(arguments.not(0, "a text, an array or an object")),
            _ => Value::Null.answer(),
        },
    ),
    Function::new("URIENCODE", "value, charset?", 1, 2, |arguments| {
        let charset = charset(&arguments)?;
        match arguments.text(0) {
            Some(text) => encode_uri(&charset.encode(&text, &arguments)?).answer(),
            None => Value::Null.answer(),
        }
    }),
    Function::new("URIDECODE", "value, charset?", 1, 2, |arguments| {
        let charset = charset(&arguments)?;
        match arguments.text(0) {
            Some(text) => {
                let bytes = decode_uri(&text);
                charset
                    .decode(&bytes.ok_or_else(|| arguments.not(0, "a text with % and two hexadecimal digits"))?)
                    .answer()
            }
            None => Value::Null.answer(),
        }
    }),
    Function::new("FILEEXISTS", "file", 1, 1, |arguments| {
        file_size(&arguments)?.is_some().answer()
    }),
    Function::new("FILESIZE", "file", 1, 1, |arguments| match file_size(&arguments)? {
        Some(size) => size.answer(),
        None => Err(Failure::file(format!(
            "there is no file of the name that is {}",
            arguments.describe(0)
        ))),
    }),
];

/// Padding may be missing, as it often is.
const DECODING: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const LENIENT: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, DECODING);
const LENIENT_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, DECODING);

fn decode_base64<'a>(arguments: &Arguments<'a>, engine: &GeneralPurpose) -> Outcome<'a> {
    let charset = charset(arguments)?;
    let Some(text) = arguments.text(0) else {
        return Value::Null.answer();
    };
    // Encoders break lines.
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = engine.decode(text).map_err(|_| arguments.not(0, "a text in base64"))?;
    charset.decode(&bytes).answer()
}

fn encode_base64<'a>(arguments: &Arguments<'a>, engine: &GeneralPurpose) -> Outcome<'a> {
    let charset = charset(arguments)?;
    match arguments.text(0) {
        Some(text) => engine.encode(charset.encode(&text, arguments)?).answer(),
        None => Value::Null.answer(),
    }
}

enum Charset {
    /// The bytes are the first 256 characters; the web's standard takes another charset of this name.
    Latin1,
    Other(&'static Encoding),
}

fn charset(arguments: &Arguments<'_>) -> Result<Charset, Failure> {
    let Some(name) = arguments.text(1) else {
        return Ok(Charset::Other(UTF_8));
    };
    if name.eq_ignore_ascii_case("ISO-8859-1") || name.eq_ignore_ascii_case("latin1") {
        return Ok(Charset::Latin1);
    }
    let encoding = Encoding::for_label(name.as_bytes()).map(Charset::Other);
    encoding.ok_or_else(|| Failure::argument(format!("{} must be a charset, such as UTF-8", arguments.describe(1))))
}

impl Charset {
    fn decode(&self, bytes: &[u8]) -> String {
        match self {
            Self::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
            Self::Other(encoding) => encoding.decode_with_bom_removal(bytes).0.into_owned(),
        }
    }

    fn encode(&self, text: &str, arguments: &Arguments<'_>) -> Result<Vec<u8>, Failure> {
        let missing = || Failure::argument(format!("{} lacks a character of the text", arguments.describe(1)));
        match self {
            Self::Latin1 => text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).map_err(|_| missing()))
                .collect(),
            Self::Other(encoding) if *encoding == UTF_16LE => {
                Ok(text.encode_utf16().flat_map(u16::to_le_bytes).collect())
            }
            Self::Other(encoding) if *encoding == UTF_16BE => {
                Ok(text.encode_utf16().flat_map(u16::to_be_bytes).collect())
            }
            Self::Other(encoding) => match encoding.encode(text) {
                (bytes, _, false) => Ok(bytes.into_owned()),
                (_, _, true) => Err(missing()),
            },
        }
    }
}

/// Everything but the unreserved characters of a component, as `encodeURIComponent` has them.
fn encode_uri(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn decode_uri(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let [high, low, after @ ..] = after else { return None };
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
        rest = after;
    }
    Some(bytes)
}

fn file_size(arguments: &Arguments<'_>) -> Result<Option<u64>, Failure> {
    arguments
        .context
        .file_size(&arguments.required_text(0)?)
        .map_err(Failure::file)
}

/// Version 4 of RFC 9562: 122 random bits.
fn uuid(high: u64, low: u64) -> String {
    let high = high & 0xffff_ffff_ffff_0fff | 0x4000;
    let low = low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}
