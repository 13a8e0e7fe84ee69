//! The media type of a file: by its name, else by how it begins.

use memchr::memchr2;

/// What nobody knows anything about (RFC 2046, section 4.5.1).
const UNKNOWN: &str = "application/octet-stream";

/// By the extension, in lower case; sorted, for the search.
const BY_EXTENSION: &[(&str, &str)] = &[
    ("7z", "application/x-7z-compressed"),
    ("avi", "video/x-msvideo"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("epub", "application/epub+zip"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("heic", "image/heic"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/vnd.microsoft.icon"),
    ("ics", "text/calendar"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("log", "text/plain"),
    ("m4a", "audio/mp4"),
    ("md", "text/markdown"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ogg", "audio/ogg"),
    ("p7s", "application/pkcs7-signature"),
    ("parquet", "application/vnd.apache.parquet"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("ppt", "application/vnd.ms-powerpoint"),
    (
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
    ("rar", "application/vnd.rar"),
    ("rtf", "application/rtf"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("tsv", "text/tab-separated-values"),
    ("txt", "text/plain"),
    ("vcf", "text/vcard"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("xls", "application/vnd.ms-excel"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
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

/// By the name; none when it says nothing.
pub(super) fn by_name(file_name: &str) -> Option<&'static str> {
    let extension = file_name.rsplit_once('.')?.1.to_ascii_lowercase();
    BY_EXTENSION
        .binary_search_by_key(&extension.as_str(), |(known, _)| known)
        .ok()
        .map(|found| BY_EXTENSION[found].1)
}

/// By the first octets.
pub(super) fn by_content(start: &[u8]) -> &'static str {
    BY_CONTENT
        .iter()
        .find(|(at, signature, _)| start.get(*at..).is_some_and(|rest| rest.starts_with(signature)))
        .map_or(UNKNOWN, |(_, _, media_type)| media_type)
}

/// The type that may stand on a part in base64: not `message/rfc822` and not a multipart, whose readers look for
/// headers where the base64 is (RFC 2046, sections 5.1 and 5.2.1).
pub(super) fn in_base64(media_type: &str) -> &str {
    let kind = media_type.split('/').next().unwrap_or_default();
    if kind.eq_ignore_ascii_case("message") || kind.eq_ignore_ascii_case("multipart") {
        UNKNOWN
    } else {
        media_type
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
    fn what_may_not_be_encoded_is_plain_octets() {
        assert_eq!(in_base64("message/rfc822"), UNKNOWN);
        assert_eq!(in_base64("Multipart/mixed"), UNKNOWN);
        assert_eq!(in_base64("text/calendar"), "text/calendar");
    }
}
