//! Text of octets, and octets of text, by the `charset` of a content type.
//!
//! The names are those of the Encoding Standard. It takes `us-ascii` and `iso-8859-1` for windows-1252, as browsers do; here
//! they are what they say, because other readers of an answer take them by their word. Nothing is replaced in either
//! direction: what is not of a charset is an error.

use encoding_rs::{DecoderResult, EncoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::encoded::parameter;

/// The encoding that a content type names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Charset {
    /// As people read it.
    name: String,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Utf8,
    Ascii,
    /// Each octet is the character of its number.
    Latin1,
    /// A mark at the beginning says in which order the octets of a unit are (RFC 2781, section 3.2).
    Utf16,
    Standard(&'static Encoding),
}

/// The name of a charset that is not known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownCharset(pub(crate) String);

/// The reason why octets are no text of a charset: a clause without its subject.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotText {
    #[error("is not {name}: byte {at} is wrong")]
    At { name: String, at: usize },
    #[error("is not {name}: it does not begin with a byte order mark")]
    NoMark { name: String },
}

impl Charset {
    /// What is taken where none is named.
    pub(crate) fn utf8() -> Self {
        Self {
            name: "UTF-8".to_owned(),
            form: Form::Utf8,
        }
    }

    /// Returns the charset of a content type; UTF-8 if it names none.
    pub(crate) fn of(content_type: &str) -> Result<Self, UnknownCharset> {
        match parameter(content_type, "charset") {
            Some(label) => Self::named(&label).ok_or(UnknownCharset(label)),
            None => Ok(Self::utf8()),
        }
    }

    fn named(label: &str) -> Option<Self> {
        let label = label.trim().to_ascii_lowercase();
        // `utf-16` alone does not say the order of the octets.
        let form = match Encoding::for_label_no_replacement(label.as_bytes())? {
            encoding if encoding == UTF_8 => return Some(Self::utf8()),
            encoding if encoding == UTF_16LE && label != "utf-16le" => Form::Utf16,
            encoding if encoding == WINDOWS_1252 => match label.as_str() {
                "ascii" | "us-ascii" | "ansi_x3.4-1968" => Form::Ascii,
                "windows-1252" | "cp1252" | "x-cp1252" => Form::Standard(WINDOWS_1252),
                _ => Form::Latin1,
            },
            encoding => Form::Standard(encoding),
        };
        let name = format!("`{label}`");
        Some(Self { name, form })
    }

    /// Returns its name as people read it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether a text of ASCII has other octets in it.
    pub(crate) fn is_wide(&self) -> bool {
        match self.form {
            Form::Utf8 | Form::Ascii | Form::Latin1 => false,
            Form::Utf16 => true,
            Form::Standard(encoding) => encoding == UTF_16LE || encoding == UTF_16BE,
        }
    }

    /// Returns the text of these octets.
    pub(crate) fn decode(&self, octets: &[u8]) -> Result<String, NotText> {
        let wrong = |at| NotText::At {
            name: self.name.clone(),
            at,
        };
        match self.form {
            Form::Utf8 => std::str::from_utf8(octets)
                .map(str::to_owned)
                .map_err(|error| wrong(error.valid_up_to())),
            Form::Ascii => match octets.iter().position(|octet| !octet.is_ascii()) {
                Some(at) => Err(wrong(at)),
                None => Ok(octets.iter().map(|&octet| char::from(octet)).collect()),
            },
            Form::Latin1 => Ok(octets.iter().map(|&octet| char::from(octet)).collect()),
            Form::Utf16 if octets.is_empty() => Ok(String::new()),
            Form::Utf16 => {
                let (encoding, rest) = match octets {
                    [0xFF, 0xFE, rest @ ..] => (UTF_16LE, rest),
                    [0xFE, 0xFF, rest @ ..] => (UTF_16BE, rest),
                    _ => {
                        return Err(NotText::NoMark {
                            name: self.name.clone(),
                        });
                    }
                };
                decode(encoding, rest).map_err(|at| wrong(at + 2))
            }
            Form::Standard(encoding) => decode(encoding, octets).map_err(wrong),
        }
    }

    /// Returns the octets of this text, or the first character that the charset lacks.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u8>, char> {
        let up_to = |last: char| match text.chars().find(|&character| character > last) {
            Some(lacking) => Err(lacking),
            None => Ok(text.chars().map(|character| character as u8).collect()),
        };
        let wide = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order);
        match self.form {
            Form::Utf8 => Ok(text.as_bytes().to_vec()),
            Form::Ascii => up_to('\u{7F}'),
            Form::Latin1 => up_to('\u{FF}'),
            Form::Utf16 => Ok([0xFF, 0xFE].into_iter().chain(wide(u16::to_le_bytes)).collect()),
            // The Encoding Standard has no encoders for these two.
            Form::Standard(encoding) if encoding == UTF_16LE => Ok(wide(u16::to_le_bytes).collect()),
            Form::Standard(encoding) if encoding == UTF_16BE => Ok(wide(u16::to_be_bytes).collect()),
            Form::Standard(encoding) => encode(encoding, text),
        }
    }
}

/// The text, or where the first octets are that are none.
fn decode(encoding: &'static Encoding, octets: &[u8]) -> Result<String, usize> {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut text = String::new();
    let mut read = 0;
    loop {
        let rest = octets.get(read..).unwrap_or_default();
        text.reserve(
            decoder
                .max_utf8_buffer_length_without_replacement(rest.len())
                .unwrap_or(rest.len()),
        );
        let (result, count) = decoder.decode_to_string_without_replacement(rest, &mut text, true);
        read += count;
        match result {
            DecoderResult::InputEmpty => return Ok(text),
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(wrong, after) => {
                return Err(read.saturating_sub(usize::from(wrong) + usize::from(after)));
            }
        }
    }
}

fn encode(encoding: &'static Encoding, text: &str) -> Result<Vec<u8>, char> {
    let mut encoder = encoding.new_encoder();
    let mut octets = Vec::new();
    let mut read = 0;
    loop {
        let rest = text.get(read..).unwrap_or_default();
        octets.reserve(
            encoder
                .max_buffer_length_from_utf8_without_replacement(rest.len())
                .unwrap_or(rest.len()),
        );
        let (result, count) = encoder.encode_from_utf8_to_vec_without_replacement(rest, &mut octets, true);
        read += count;
        match result {
            EncoderResult::InputEmpty => return Ok(octets),
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(lacking) => return Err(lacking),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charset(label: &str) -> Charset {
        Charset::of(&format!("text/plain; charset={label}")).expect(label)
    }

    #[test]
    fn text_comes_back_by_each_kind_of_charset() {
        for (label, text, octets) in [
            ("utf-8", "é€", &b"\xc3\xa9\xe2\x82\xac"[..]),
            ("US-ASCII", "e", b"e"),
            ("\"ISO-8859-1\"", "é\u{80}", b"\xe9\x80"),
            ("windows-1252", "é€", b"\xe9\x80"),
            ("iso-8859-15", "é€", b"\xe9\xa4"),
            ("shift_jis", "日本", b"\x93\xfa\x96\x7b"),
            ("iso-2022-jp", "日本", b"\x1b$BF|K\\\x1b(B"),
            ("utf-16", "é😀", b"\xff\xfe\xe9\0\x3d\xd8\0\xde"),
            ("utf-16le", "é", b"\xe9\0"),
            ("utf-16be", "é", b"\0\xe9"),
        ] {
            let charset = charset(label);
            assert_eq!(charset.decode(octets).as_deref(), Ok(text), "{label}");
            assert_eq!(charset.encode(text).as_deref(), Ok(octets), "{label}");
        }
        assert_eq!(charset("utf-16").decode(b"\xfe\xff\0\xe9").as_deref(), Ok("é"));
        assert_eq!(Charset::of("text/plain"), Ok(Charset::utf8()));
    }

    #[test]
    fn nothing_is_replaced_in_either_direction() {
        for (label, octets, clause) in [
            ("utf-8", &b"ab\xe9"[..], "is not UTF-8: byte 2 is wrong"),
            ("us-ascii", "é".as_bytes(), "is not `us-ascii`: byte 0 is wrong"),
            ("shift_jis", b"a\x81", "is not `shift_jis`: byte 1 is wrong"),
            ("euc-kr", b"ab\xff!", "is not `euc-kr`: byte 2 is wrong"),
            (
                "utf-16",
                b"a\0",
                "is not `utf-16`: it does not begin with a byte order mark",
            ),
            ("utf-16", b"\xff\xfe\0\xd8a\0", "is not `utf-16`: byte 2 is wrong"),
        ] {
            let wrong = charset(label).decode(octets).expect_err(label);
            assert_eq!(wrong.to_string(), clause);
        }
        for (label, text, lacking) in [
            ("us-ascii", "né", 'é'),
            ("latin1", "é€", '€'),
            ("iso-8859-15", "€日", '日'),
            ("shift_jis", "日😀", '😀'),
        ] {
            assert_eq!(charset(label).encode(text), Err(lacking), "{label}");
        }
    }

    #[test]
    fn names_that_nobody_knows_are_said() {
        // The Encoding Standard knows `iso-2022-kr`, and replaces whatever is in it.
        for label in ["utf-7", "iso-2022-kr", "hz-gb-2312", "x"] {
            let unknown = UnknownCharset(label.to_owned());
            assert_eq!(Charset::of(&format!("text/plain; charset={label}")), Err(unknown));
        }
        assert_eq!(Charset::of("text/plain; charset="), Err(UnknownCharset(String::new())));
    }
}
