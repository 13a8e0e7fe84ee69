//! Text parts: the character set, the line ends, and the transfer encoding (RFC 2045, section 6).
//!
//! Whatever line ends a text has, it is sent with CRLF. Plain ASCII in lines that fit is sent unchanged. Any other text
//! is quoted-printable, or base64 if most of it would have to be quoted; or it is sent unchanged in 8 bits, if that is
//! allowed and its lines fit.

use std::borrow::Cow;

use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, WINDOWS_1252};
use memchr::{memchr, memchr_iter, memchr2};

use super::content;
use super::frame::TransferEncoding;

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

/// A text as the content of a part, before it is encoded.
pub(super) struct Body<'t> {
    /// With LF as its one line end.
    lines: Cow<'t, [u8]>,
    pub(super) encoding: TransferEncoding,
}

impl<'t> Body<'t> {
    /// Chooses the encoding that suits the text best.
    ///
    /// `is_whole` says that it is the message's only part: the CRLF behind a part's content is then the text's own last line
    /// end, and not that of a boundary. `allows_eight_bit` says that only servers with 8BITMIME get the message.
    /// ISO-2022-JP is a set of seven bits that switches by escape sequences, and travels as it is (RFC 1468).
    pub(super) fn of(octets: &'t [u8], charset: &'static Encoding, is_whole: bool, allows_eight_bit: bool) -> Self {
        let lines = with_lf(octets);
        let own = match lines.split_last() {
            Some((b'\n', rest)) if is_whole => rest,
            _ => &*lines,
        };
        let encoding = if charset == ISO_2022_JP
            && own.iter().all(|&octet| is_plain(octet) || octet == ESCAPE)
            && fits(own)
        {
            TransferEncoding::SevenBit
        } else {
            match Shape::of(own) {
                Shape::Plain => TransferEncoding::SevenBit,
                Shape::Quoted | Shape::Base64 if allows_eight_bit && is_eight_bit(own) => TransferEncoding::EightBit,
                Shape::Quoted => TransferEncoding::QuotedPrintable,
                Shape::Base64 => TransferEncoding::Base64,
            }
        };
        let length = own.len();
        // What is encoded whole keeps its last line end.
        let lines = match (encoding, lines) {
            (TransferEncoding::Base64, lines) => lines,
            (_, Cow::Borrowed(lines)) => Cow::Borrowed(&lines[..length]),
            (_, Cow::Owned(mut lines)) => {
                lines.truncate(length);
                Cow::Owned(lines)
            }
        };
        Self { lines, encoding }
    }

    /// How many octets it will have, about.
    pub(super) fn room(&self) -> usize {
        let length = self.lines.len();
        match self.encoding {
            TransferEncoding::SevenBit | TransferEncoding::EightBit => length + length / 16 + 64,
            TransferEncoding::QuotedPrintable => 3 * length + length / 8 + 64,
            TransferEncoding::Base64 => length + length / 2 + 128,
        }
    }

    /// Writes the content, encoded, with CRLF line ends.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self.encoding {
            TransferEncoding::SevenBit | TransferEncoding::EightBit => push_crlf(&self.lines, out),
            TransferEncoding::QuotedPrintable => quoted_printable(&self.lines, out),
            TransferEncoding::Base64 => {
                let mut lines = Vec::with_capacity(self.lines.len() + self.lines.len() / 16 + 16);
                push_crlf(&self.lines, &mut lines);
                content::append_base64(&lines, out);
            }
        }
    }
}

/// Every CR and CRLF becomes LF.
fn with_lf(octets: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr(b'\r', octets) else {
        return Cow::Borrowed(octets);
    };
    let mut out = Vec::with_capacity(octets.len());
    out.extend_from_slice(&octets[..first]);
    let mut rest = &octets[first..];
    while let Some(at) = memchr(b'\r', rest) {
        out.extend_from_slice(&rest[..at]);
        out.push(b'\n');
        rest = &rest[at + 1 + usize::from(rest.get(at + 1) == Some(&b'\n'))..];
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// Text whose one line end is LF, with CRLF in its place.
fn push_crlf(lines: &[u8], out: &mut Vec<u8>) {
    let mut from = 0;
    for end in memchr_iter(b'\n', lines) {
        out.extend_from_slice(&lines[from..end]);
        out.extend_from_slice(b"\r\n");
        from = end + 1;
    }
    out.extend_from_slice(&lines[from..]);
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
    /// `lines` have LF as their one line end.
    fn of(lines: &[u8]) -> Self {
        // In blocks whose counts fit an octet, so that it becomes vector code.
        let (mut special, mut ends) = (0, 0);
        for block in lines.chunks(255) {
            special += usize::from(block.iter().map(|&octet| u8::from(!is_plain(octet))).sum::<u8>());
            ends += usize::from(block.iter().map(|&octet| u8::from(octet == b'\n')).sum::<u8>());
        }
        if special == 0 && fits(lines) {
            Self::Plain
        } else if special * 6 <= lines.len() + ends {
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

/// Whether SMTP carries the lines, which have LF as their one line end.
fn fits(lines: &[u8]) -> bool {
    let mut rest = lines;
    while rest.len() > LONGEST_LINE {
        match memchr(b'\n', &rest[..=LONGEST_LINE]) {
            Some(end) => rest = &rest[end + 1..],
            None => return false,
        }
    }
    true
}

/// Lines that end in LF, and hold no CR.
fn quoted_printable(lines: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    // Room for the worst, so that every octet has a place to be written to: three octets for each, and three more in a line
    // of them for its break.
    out.resize(start + 3 * lines.len() + lines.len() / 8 + 2 * SLACK, 0);
    let mut quoted = Quoted {
        out,
        length: start,
        column: 0,
    };
    let mut from = 0;
    for end in memchr_iter(b'\n', lines) {
        quoted.line(&lines[from..end]);
        quoted.end_line();
        from = end + 1;
    }
    quoted.line(&lines[from..]);
    let length = quoted.length;
    out.truncate(length);
}

/// Room behind what is written for octets that are written and do not count.
const SLACK: usize = 8;

/// Quoted-printable text on its way out.
struct Quoted<'o> {
    /// As long as it can become.
    out: &'o mut [u8],
    /// How much of it counts.
    length: usize,
    /// Octets of its last line.
    column: usize,
}

impl Quoted<'_> {
    /// A line without its end.
    fn line(&mut self, line: &[u8]) {
        // A blank at a line's end would be taken for padding (rule 3).
        let (mut rest, blank) = match line {
            [head @ .., last @ (b' ' | b'\t')] => (head, Some(*last)),
            _ => (line, None),
        };
        while let Some((octet, tail)) = rest.split_first() {
            // Eight octets are looked at together, and those before the first that needs quoting leave together.
            if let Some(eight) = rest.first_chunk::<8>() {
                let stand = standing(*eight);
                if stand > 0 && self.column + stand < QUOTED_LINE {
                    self.put(eight, stand);
                    rest = &rest[stand..];
                    continue;
                }
            }
            self.octet(QUOTED[usize::from(*octet)]);
            rest = tail;
        }
        if let Some(blank) = blank {
            self.octet(quoted(blank));
        }
    }

    /// Writes all of these octets, of which the first `count` stay.
    fn put<const N: usize>(&mut self, octets: &[u8; N], count: usize) {
        if let Some(place) = self.out.get_mut(self.length..self.length + N) {
            place.copy_from_slice(octets);
        }
        self.length += count;
        self.column += count;
    }

    /// One octet in its form, whose length is the last of the four.
    fn octet(&mut self, form: [u8; 4]) {
        let count = usize::from(form[3]);
        // A soft line break has a place of its own.
        if self.column + count > QUOTED_LINE - 1 {
            self.put(b"=\r\n", 3);
            self.column = 0;
        }
        self.put(&form, count);
    }

    fn end_line(&mut self) {
        self.put(b"\r\n", 2);
        self.column = 0;
    }
}

/// The form of an octet that is quoted.
const fn quoted(octet: u8) -> [u8; 4] {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    [b'=', HEX[(octet >> 4) as usize], HEX[(octet & 15) as usize], 3]
}

/// What stands for each octet within a line, and how long that is.
const QUOTED: [[u8; 4]; 256] = {
    let mut forms = [[0; 4]; 256];
    let mut octet = 0;
    while octet < 256 {
        forms[octet] = match octet as u8 {
            stands @ (b' '..=b'<' | b'>'..=b'~' | b'\t') => [stands, 0, 0, 1],
            other => quoted(other),
        };
        octet += 1;
    }
    forms
};

/// How many of eight octets stand before the first that needs quoting, all looked at in one word: each test sets the
/// highest bit of an octet that does (and may set that of one behind it, so that the lowest is right). A tab is not known
/// to it.
fn standing(eight: [u8; 8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    let word = u64::from_le_bytes(eight);
    let control = word.wrapping_sub(ONES * b' ' as u64) & !word;
    // The delete character, without a carry from one octet into the next.
    let delete = (word & !HIGHS).wrapping_add(ONES);
    let equals = word ^ (ONES * b'=' as u64);
    let equals = equals.wrapping_sub(ONES) & !equals;
    ((word | control | delete | equals) & HIGHS).trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> String {
        let mut out = Vec::new();
        quoted_printable(&with_lf(text.as_bytes()), &mut out);
        String::from_utf8(out).expect("quoted-printable is ASCII")
    }

    #[test]
    fn every_line_end_becomes_crlf() {
        let (text, expected) = (b"a\nb\rc\r\nd\n\re\r", b"a\r\nb\r\nc\r\nd\r\n\r\ne\r\n");
        assert_eq!(with_crlf(text), expected);
        let mut out = Vec::new();
        push_crlf(&with_lf(text), &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn quotes_what_has_to_be_quoted() {
        assert_eq!(encoded("a=b \r\n\tc\u{e9}\t"), "a=3Db=20\r\n\tc=C3=A9=09");
    }

    #[test]
    fn octets_stand_up_to_the_first_that_does_not() {
        for octet in 0..=255 {
            for place in 0..8 {
                let mut eight = *b"abc defg";
                eight[place] = octet;
                let stands = QUOTED[usize::from(octet)][3] == 1 && octet != b'\t';
                assert_eq!(standing(eight), if stands { 8 } else { place }, "{octet} at {place}");
                // What stands behind it does not matter.
                eight[7] = octet;
                assert_eq!(
                    standing(eight),
                    if stands { 8 } else { place },
                    "{octet} at {place} and the end"
                );
            }
        }
    }

    #[test]
    fn the_worst_text_has_room() {
        for unit in ["=", "\u{e9}", "=\n", "\n", "a=", " \n", "\u{1}\u{2} "] {
            for count in 0..200 {
                let text = unit.repeat(count);
                let out = encoded(&text);
                let ends = text.matches('\n').count();
                assert_eq!(
                    out.replace("=\r\n", "").matches("\r\n").count(),
                    ends,
                    "{unit:?} {count} times"
                );
                assert!(out.split("\r\n").all(|line| line.len() <= QUOTED_LINE), "{out}");
                let bare: String = out.replace("=\r\n", "");
                let specials = text
                    .bytes()
                    .filter(|octet| QUOTED[usize::from(*octet)][3] == 3 && *octet != b'\n')
                    .count();
                assert!(
                    bare.len() >= text.len() + ends + 2 * specials,
                    "{unit:?} {count} times: {out}"
                );
            }
        }
    }

    #[test]
    fn lines_of_quoted_printable_fit_whatever_stands_at_their_end() {
        for length in 70..80 {
            for tail in ["x", "=", " ", "\u{e9}", "\u{1F600}"] {
                let encoded = encoded(&format!("{}{tail}{tail}", "a".repeat(length)));
                assert!(encoded.split("\r\n").all(|line| line.len() <= QUOTED_LINE), "{encoded}");
                assert!(!encoded.contains(" \r\n"), "{encoded}");
            }
        }
    }

    #[test]
    fn a_line_of_998_octets_travels_as_it_is_and_one_more_does_not() {
        assert!(matches!(Shape::of(&[b'a'; 998]), Shape::Plain));
        assert!(matches!(Shape::of(&[b'a'; 999]), Shape::Quoted));
        let two = [[b'a'; 998].as_slice(), b"\n", &[b'b'; 998]].concat();
        assert!(matches!(Shape::of(&two), Shape::Plain));
        let two = [[b'a'; 999].as_slice(), b"\n", &[b'b'; 998]].concat();
        assert!(matches!(Shape::of(&two), Shape::Quoted));
    }
}
