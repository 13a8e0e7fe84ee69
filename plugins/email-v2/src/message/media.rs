//! The media type of a file: by its name, else by its first octets.

use memchr::memchr2;

/// What nobody knows anything about (RFC 2046, section 4.5.1).
pub(super) const UNKNOWN: &str = "application/octet-stream";

/// What the large table lacks or has by an outdated name; sorted, for the search.
const BY_EXTENSION: &[(&str, &str)] = &[
    ("avif", "image/avif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("ics", "text/calendar"),
    ("jfif", "image/jpeg"),
    ("parquet", "application/vnd.apache.parquet"),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
];

/// By the first octets: where they stand, what they are.
const BY_CONTENT: &[(usize, &[u8], &str)] = &[
    (0, b"%PDF-", "application/pdf"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (4, b"ftyp", "video/mp4"),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"BEGIN:VCALENDAR", "text/calendar"),
    (0, b"BEGIN:VCARD", "text/vcard"),
    (0, b"<?xml", "application/xml"),
    (0, b"<!DOCTYPE html", "text/html"),
];

/// How many of a file's first octets are enough.
pub(super) const SAMPLE: u32 = 64;

/// By the name; none when it says nothing. The large table is the one that the host knows files by.
pub(super) fn by_name(file_name: &str) -> Option<&'static str> {
    let extension = file_name.rsplit_once('.')?.1.to_ascii_lowercase();
    match BY_EXTENSION.binary_search_by_key(&extension.as_str(), |(known, _)| known) {
        Ok(found) => Some(BY_EXTENSION[found].1),
        Err(_) => mime_guess::from_ext(&extension).first_raw(),
    }
}

/// By the first octets.
pub(super) fn by_content(start: &[u8]) -> &'static str {
    BY_CONTENT
        .iter()
        .find(|(at, signature, _)| start.get(*at..).is_some_and(|rest| rest.starts_with(signature)))
        .map_or(UNKNOWN, |(_, _, media_type)| media_type)
}

/// How the content of a media type may travel (RFC 2046, sections 5.1 and 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Travels {
    /// In base64, as every other file does.
    Encoded,
    /// As the message that it is, without any encoding.
    Message,
    /// Not as this type: its readers look for what only its writer could have put there.
    Not,
}

/// By the media type.
pub(super) fn travels(media_type: &str) -> Travels {
    let lower = media_type.to_ascii_lowercase();
    match lower.split_once('/') {
        // RFC 6532, section 3.7, lets these be encoded.
        Some((
            "message",
            "global" | "global-headers" | "global-delivery-status" | "global-disposition-notification",
        )) => Travels::Encoded,
        Some(("message", "rfc822" | "news")) => Travels::Message,
        Some(("message" | "multipart", _)) => Travels::Not,
        _ => Travels::Encoded,
    }
}

/// The longest line that a message has, less its CRLF (RFC 5322, section 2.1.1).
const LONGEST_LINE: usize = 998;

/// Finds out whether octets that come in pieces are a message of seven bits, in short lines.
#[derive(Default)]
pub(super) struct SevenBit {
    /// The octets of the first line, as far as they tell whether a header begins.
    first: Vec<u8>,
    line: usize,
    length: u64,
    bare_ends: u64,
    last: u8,
}

impl SevenBit {
    /// Octets that are there as a whole.
    pub(super) fn is_message(octets: &[u8]) -> bool {
        let mut lines = Self::default();
        lines.take(octets) && lines.length_of_message().is_some()
    }

    /// The next piece; false when it cannot be part of one.
    pub(super) fn take(&mut self, piece: &[u8]) -> bool {
        let wanted = LONGEST_LINE.saturating_sub(self.first.len());
        self.first.extend_from_slice(&piece[..piece.len().min(wanted)]);
        for &octet in piece {
            match octet {
                // A CR stands before a LF and nowhere else.
                b'\n' => {
                    self.bare_ends += u64::from(self.last != b'\r');
                    self.line = 0;
                }
                _ if self.last == b'\r' => return false,
                b'\r' => {}
                0 | 0x80.. => return false,
                _ => self.line += 1,
            }
            if self.line > LONGEST_LINE {
                return false;
            }
            self.last = octet;
        }
        self.length += piece.len() as u64;
        true
    }

    /// How long it is once every line ends in CRLF; none when it does not begin as a message does: with a header, or
    /// with the line that some programs put before it.
    pub(super) fn length_of_message(&self) -> Option<u64> {
        let line = self.first.split(|&octet| octet == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let name = line.iter().position(|&octet| octet == b':');
        let is_header = name.is_some_and(|end| end > 0 && line[..end].iter().all(|b| b.is_ascii_graphic()));
        let is_whole = self.last != b'\r';
        (is_whole && (is_header || line.starts_with(b"From "))).then_some(self.length + self.bare_ends)
    }
}

/// Whether a type is one whose octets are characters (RFC 2046, section 4.1).
pub(super) fn is_text(media_type: &str) -> bool {
    media_type
        .get(..5)
        .is_some_and(|kind| kind.eq_ignore_ascii_case("text/"))
}

/// Finds out whether octets that come in pieces are text in UTF-8.
#[derive(Default)]
pub(super) struct Utf8Text {
    /// The start of a character whose rest is in the next piece.
    begun: Vec<u8>,
}

impl Utf8Text {
    /// Octets that are there as a whole.
    pub(super) fn is(octets: &[u8]) -> bool {
        let mut text = Self::default();
        text.take(octets) && text.is_whole()
    }

    /// The next piece; false when it cannot be UTF-8.
    pub(super) fn take(&mut self, piece: &[u8]) -> bool {
        // Other sets hide in octets that are valid here: UTF-16 shows itself by NUL, ISO-2022 by ESC.
        if memchr2(0, 0x1b, piece).is_some() {
            return false;
        }
        let joined;
        let octets = if self.begun.is_empty() {
            piece
        } else {
            self.begun.extend_from_slice(piece);
            joined = std::mem::take(&mut self.begun);
            &joined
        };
        match std::str::from_utf8(octets) {
            Ok(_) => true,
            Err(error) if error.error_len().is_none() => {
                self.begun = octets[error.valid_up_to()..].to_vec();
                true
            }
            Err(_) => false,
        }
    }

    /// Whether no character is left in the middle.
    pub(super) fn is_whole(&self) -> bool {
        self.begun.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(BY_EXTENSION.is_sorted_by_key(|(extension, _)| extension));
    }

    #[test]
    fn the_name_decides_before_the_content() {
        assert_eq!(by_name("report.v2.PDF"), Some("application/pdf"));
        assert_eq!(by_name("report"), None);
        assert_eq!(by_name("report.unheard-of"), None);
        assert_eq!(by_content(b"%PDF-1.7 ..."), "application/pdf");
        assert_eq!(by_content(b"RIFF\0\0\0\0WEBPVP8 "), "image/webp");
        assert_eq!(by_content(b""), UNKNOWN);
    }

    #[test]
    fn utf8_is_known_however_it_is_cut() {
        let text = "Atenção: 日本 🚀".as_bytes();
        for cut in 0..=text.len() {
            let mut whole = Utf8Text::default();
            assert!(
                whole.take(&text[..cut]) && whole.take(&text[cut..]) && whole.is_whole(),
                "{cut}"
            );
        }
        assert!(text.chunks(1).all({
            let mut whole = Utf8Text::default();
            move |octet| whole.take(octet)
        }));
        assert!(Utf8Text::is(b""));
        for other in [
            b"caf\xe9".as_slice(),
            b"caf\xc3",
            b"\xff\xfea\0",
            b"a\0b\0",
            b"\x1b$BF|K\\\x1b(B",
        ] {
            assert!(!Utf8Text::is(other), "{other:?}");
        }
    }

    #[test]
    fn a_type_says_how_its_content_travels() {
        assert_eq!(travels("Message/RFC822"), Travels::Message);
        assert_eq!(travels("message/global"), Travels::Encoded);
        assert_eq!(travels("message/partial"), Travels::Not);
        assert_eq!(travels("Multipart/mixed"), Travels::Not);
        assert_eq!(travels("text/calendar"), Travels::Encoded);
    }

    #[test]
    fn a_message_of_seven_bits_is_known_however_it_is_cut() {
        let length = |octets: &[u8], piece: usize| {
            let mut lines = SevenBit::default();
            let is_one = octets.chunks(piece).all(|piece| lines.take(piece));
            is_one.then(|| lines.length_of_message()).flatten()
        };
        let long = [b"A: b\r\n".as_slice(), &[b'x'; 998], b"\r\n"].concat();
        let longer = [b"A: b\r\n".as_slice(), &[b'x'; 999], b"\r\n"].concat();
        for piece in [1, 3, 4096] {
            assert_eq!(length(b"A: b\r\n\r\nc\r\n", piece), Some(11));
            assert_eq!(length(b"From ana Mon Nov 1\nA: b\n\nc", piece), Some(29));
            assert_eq!(length(&long, piece), Some(long.len() as u64));
            for other in [
                &longer[..],
                b"A: b\r\n\r\nc\xe9",
                b"A: b\rc\n",
                b"A: b\n\0",
                b"PK\x03\x04",
                b"A: b\r",
                b"",
            ] {
                assert_eq!(length(other, piece), None, "{other:?}");
            }
        }
    }

    #[test]
    fn names_of_every_office_are_known() {
        for (name, media_type) in [
            ("a.xlsm", "application/vnd.ms-excel.sheet.macroenabled.12"),
            ("a.docm", "application/vnd.ms-word.document.macroenabled.12"),
            ("a.odp", "application/vnd.oasis.opendocument.presentation"),
            ("a.msg", "application/vnd.ms-outlook"),
            ("a.p7m", "application/pkcs7-mime"),
            ("a.EML", "message/rfc822"),
            ("a.jar", "application/java-archive"),
        ] {
            let found = by_name(name).map(str::to_ascii_lowercase);
            assert_eq!(found.as_deref(), Some(media_type), "{name}");
        }
    }
}
