//! Text parts: the character set, the line ends, and the transfer encoding (RFC 2045, section 6).
//!
//! Whatever line ends a text has, it is sent with CRLF. Plain ASCII in lines that fit is sent unchanged. Any other text
//! is quoted-printable, or base64 if most of it would have to be quoted; or it is sent unchanged in 8 bits, if that is
//! allowed and its lines fit.

use std::borrow::Cow;

use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, WINDOWS_1252};
use lettre::message::Body;
use lettre::message::header::ContentTransferEncoding;
use memchr::{memchr, memchr2};

use super::content;

mod legacy;

/// The longest line that SMTP carries, less its CRLF (RFC 5321, section 4.5.3.1.6).
const LONGEST_LINE: usize = 998;
/// What each escape sequence of ISO-2022-JP begins with.
const ESCAPE: u8 = 0x1B;
/// The longest line of quoted-printable, less its CRLF (RFC 2045, section 6.7).
const QUOTED_LINE: usize = 76;

/// The octets of a text in a character set; none when the set lacks one of its characters, or gives another one back:
/// that is lacking as well.
pub(super) fn in_charset<'a>(text: &'a str, charset: &'static Encoding) -> Option<Cow<'a, [u8]>> {
    if charset == UTF_8 {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let (octets, _, lacks) = charset.encode(text);
    if lacks || !legacy::holds(charset, text, &octets) {
        return None;
    }
    let (back, _) = charset.decode_without_bom_handling(&octets);
    (back == text).then_some(octets)
}

/// Whether the octets are of the set that this name means. The Encoding Standard takes some names for a larger set, and
/// mail takes them at their word: `us-ascii` has 128 characters, and ISO-8859-1 no euro sign.
pub(super) fn is_of(name: &str, octets: &[u8]) -> bool {
    let name = name.trim().to_ascii_lowercase();
    let is_ascii = matches!(name.as_str(), "us-ascii" | "ascii" | "ansi_x3.4-1968");
    let is_latin_1 = matches!(
        name.as_str(),
        "iso-8859-1"
            | "iso8859-1"
            | "iso88591"
            | "iso_8859-1"
            | "iso_8859-1:1987"
            | "latin1"
            | "l1"
            | "cp819"
            | "ibm819"
    );
    match (is_ascii, is_latin_1) {
        (true, _) => octets.is_ascii(),
        (_, true) => !octets.iter().any(|octet| matches!(octet, 0x80..=0x9F)),
        _ => true,
    }
}

/// The octets of a text in a character set by its name, and the name that then holds; none when there is no such set to
/// write in, or it lacks one of the text's characters.
pub(super) fn in_named_charset<'a>(text: &'a str, name: &'a str) -> Option<(Cow<'a, [u8]>, Cow<'a, str>)> {
    let charset = Encoding::for_label(name.as_bytes())?;
    // UTF-16 and the like have no encoder of their own.
    if charset.output_encoding() != charset {
        return None;
    }
    let octets = in_charset(text, charset)?;
    // Some names, `us-ascii` among them, are taken for a larger set: more than ASCII then goes by that one's name.
    let name = if octets.is_ascii() {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(charset_name(charset, &octets))
    };
    Some((octets, name))
}

/// The character set's name for a header. ISO-8859-1 is a part of windows-1252, and the name that old readers know.
pub(super) fn charset_name(charset: &'static Encoding, octets: &[u8]) -> String {
    let is_latin_1 = charset == WINDOWS_1252 && !octets.iter().any(|octet| matches!(octet, 0x80..=0x9F));
    if is_latin_1 {
        "iso-8859-1".to_owned()
    } else {
        charset.name().to_ascii_lowercase()
    }
}

/// The text as the body of a part, in the encoding that suits it best.
///
/// `is_whole` says that it is the message's only part: lettre ends it with a CRLF, which is then the text's own last
/// line end, and not that of a boundary. `allows_eight_bit` says that only servers with 8BITMIME get the message.
/// ISO-2022-JP is a set of seven bits that switches by escape sequences, and travels as it is (RFC 1468).
pub(super) fn body(octets: &[u8], charset: &'static Encoding, is_whole: bool, allows_eight_bit: bool) -> Body {
    let mut lines = with_crlf(octets);
    let drops_end = is_whole && lines.ends_with(b"\r\n");
    if drops_end {
        lines.truncate(lines.len() - 2);
    }
    if charset == ISO_2022_JP && lines.iter().all(|&octet| is_plain(octet) || octet == ESCAPE) && fits(&lines) {
        return Body::dangerous_pre_encoded(lines, ContentTransferEncoding::SevenBit);
    }
    match Shape::of(&lines) {
        Shape::Plain => Body::dangerous_pre_encoded(lines, ContentTransferEncoding::SevenBit),
        Shape::Quoted | Shape::Base64 if allows_eight_bit && is_eight_bit(&lines) => {
            Body::dangerous_pre_encoded(lines, ContentTransferEncoding::EightBit)
        }
        Shape::Quoted => {
            Body::dangerous_pre_encoded(quoted_printable(&lines), ContentTransferEncoding::QuotedPrintable)
        }
        Shape::Base64 => {
            // What is encoded whole keeps its last line end.
            if drops_end {
                lines.extend_from_slice(b"\r\n");
            }
            Body::dangerous_pre_encoded(content::base64_lines(&lines), ContentTransferEncoding::Base64)
        }
    }
}

/// Every CR, LF and CRLF becomes CRLF.
pub(super) fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() + octets.len() / 16 + 2);
    let mut rest = octets;
    while let Some(end) = memchr2(b'\r', b'\n', rest) {
        out.extend_from_slice(&rest[..end]);
        out.extend_from_slice(b"\r\n");
        let is_pair = rest[end] == b'\r' && rest.get(end + 1) == Some(&b'\n');
        rest = &rest[end + 1 + usize::from(is_pair)..];
    }
    out.extend_from_slice(rest);
    out
}

enum Shape {
    Plain,
    Quoted,
    Base64,
}

impl Shape {
    fn of(lines: &[u8]) -> Self {
        // In blocks whose count fits an octet, so that it becomes vector code.
        let blocks = lines.chunks(255);
        let special: usize = blocks
            .map(|block| usize::from(block.iter().map(|&octet| u8::from(!is_plain(octet))).sum::<u8>()))
            .sum();
        if special == 0 && fits(lines) {
            Self::Plain
        } else if special * 6 <= lines.len() {
            Self::Quoted
        } else {
            Self::Base64
        }
    }
}

/// Printable ASCII, the blank, the tab, and what line ends are made of. Without branches, for the same reason.
const fn is_plain(octet: u8) -> bool {
    (octet.wrapping_sub(b' ') <= b'~' - b' ') | (octet == b'\t') | (octet == b'\r') | (octet == b'\n')
}

/// Text as it may travel in 8 bits (RFC 6152): lines that fit, without control characters.
fn is_eight_bit(lines: &[u8]) -> bool {
    lines.iter().all(|&octet| is_plain(octet) || octet >= 0x80) && fits(lines)
}

fn fits(lines: &[u8]) -> bool {
    let mut rest = lines;
    while rest.len() > LONGEST_LINE {
        match memchr(b'\n', &rest[..rest.len().min(LONGEST_LINE + 2)]) {
            Some(end) => rest = &rest[end + 1..],
            None => return false,
        }
    }
    true
}

/// Lines that end in CRLF, and no other CR or LF.
fn quoted_printable(lines: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.len() + lines.len() / 2 + 16);
    let mut rest = lines;
    loop {
        let end = memchr(b'\r', rest).unwrap_or(rest.len());
        quote_line(&rest[..end], &mut out);
        if end == rest.len() {
            return out;
        }
        out.extend_from_slice(b"\r\n");
        rest = &rest[end + 2..];
    }
}

/// A line without its CRLF.
fn quote_line(line: &[u8], out: &mut Vec<u8>) {
    // A blank at a line's end would be taken for padding (rule 3).
    let (mut rest, blank) = match line {
        [head @ .., last @ (b' ' | b'\t')] => (head, Some(*last)),
        _ => (line, None),
    };
    let mut quoted = QuotedLine {
        octets: [0; QUOTED_LINE],
        length: 0,
    };
    while !rest.is_empty() {
        // Eight octets are looked at together, which goes well for most of most texts.
        while let Some((eight, tail)) = rest.split_first_chunk()
            && all_stand(*eight)
            && quoted.take(eight)
        {
            rest = tail;
        }
        let (few, tail) = rest.split_at(rest.len().min(8));
        for &octet in few {
            quoted.put(octet, STANDS[usize::from(octet)], out);
        }
        rest = tail;
    }
    if let Some(blank) = blank {
        quoted.put(blank, false, out);
    }
    out.extend_from_slice(&quoted.octets[..quoted.length]);
}

/// A line on its way out. A whole one leaves at a time: to copy each run of a few letters by itself costs more than the
/// letters do.
struct QuotedLine {
    octets: [u8; QUOTED_LINE],
    length: usize,
}

impl QuotedLine {
    /// Eight octets that stand as they are, if there is room.
    fn take(&mut self, eight: &[u8; 8]) -> bool {
        let place = self.octets[..QUOTED_LINE - 1].get_mut(self.length..self.length + 8);
        let fits = place.is_some();
        if let Some(place) = place {
            place.copy_from_slice(eight);
            self.length += 8;
        }
        fits
    }

    fn put(&mut self, octet: u8, stands: bool, out: &mut Vec<u8>) {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        // A soft line break has a place of its own.
        if self.length + if stands { 1 } else { 3 } > QUOTED_LINE - 1 {
            self.octets[self.length] = b'=';
            out.extend_from_slice(&self.octets[..=self.length]);
            out.extend_from_slice(b"\r\n");
            self.length = 0;
        }
        if stands {
            self.octets[self.length] = octet;
            self.length += 1;
        } else {
            let three = [b'=', HEX[usize::from(octet >> 4)], HEX[usize::from(octet & 15)]];
            self.octets[self.length..self.length + 3].copy_from_slice(&three);
            self.length += 3;
        }
    }
}

/// Whether none of eight octets needs quoting, all looked at in one word: each test sets the highest bit of an octet that
/// does (and may set that of a neighbour beside one, which is no harm). A tab is not known to it.
fn all_stand(eight: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    let word = u64::from_le_bytes(eight);
    let control = word.wrapping_sub(ONES * b' ' as u64) & !word;
    let delete = word.wrapping_add(ONES);
    let equals = word ^ (ONES * b'=' as u64);
    let equals = equals.wrapping_sub(ONES) & !equals;
    (word | control | delete | equals) & HIGHS == 0
}

/// Octets that need no quoting.
const STANDS: [bool; 256] = {
    let mut stands = [false; 256];
    let mut octet = 0;
    while octet < 256 {
        stands[octet] = matches!(octet as u8, b' '..=b'<' | b'>'..=b'~' | b'\t');
        octet += 1;
    }
    stands
};

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &str) -> String {
        String::from_utf8(quoted_printable(text.as_bytes())).expect("quoted-printable is ASCII")
    }

    #[test]
    fn every_line_end_becomes_crlf() {
        assert_eq!(with_crlf(b"a\nb\rc\r\nd\n\re\r"), b"a\r\nb\r\nc\r\nd\r\n\r\ne\r\n");
    }

    #[test]
    fn quotes_what_has_to_be_quoted() {
        assert_eq!(quoted("a=b \r\n\tc\u{e9}\t"), "a=3Db=20\r\n\tc=C3=A9=09");
    }

    #[test]
    fn eight_octets_stand_when_each_does() {
        for octet in 0..=255 {
            for place in 0..8 {
                let mut eight = *b"abc defg";
                eight[place] = octet;
                let expected = STANDS[usize::from(octet)] && octet != b'\t';
                assert_eq!(all_stand(eight), expected, "{octet} at {place}");
            }
        }
    }

    #[test]
    fn lines_of_quoted_printable_fit_whatever_stands_at_their_end() {
        for length in 70..80 {
            for tail in ["x", "=", " ", "\u{e9}", "\u{1F600}"] {
                let encoded = quoted(&format!("{}{tail}{tail}", "a".repeat(length)));
                assert!(encoded.split("\r\n").all(|line| line.len() <= QUOTED_LINE), "{encoded}");
                assert!(!encoded.contains(" \r\n"), "{encoded}");
            }
        }
    }

    #[test]
    fn a_line_of_998_octets_travels_as_it_is_and_one_more_does_not() {
        assert!(matches!(Shape::of(&[b'a'; 998]), Shape::Plain));
        assert!(matches!(Shape::of(&[b'a'; 999]), Shape::Quoted));
        let two = [[b'a'; 998].as_slice(), b"\r\n", &[b'b'; 998]].concat();
        assert!(matches!(Shape::of(&two), Shape::Plain));
        let two = [[b'a'; 999].as_slice(), b"\r\n", &[b'b'; 998]].concat();
        assert!(matches!(Shape::of(&two), Shape::Quoted));
    }
}
