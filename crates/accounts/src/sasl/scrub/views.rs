//! A text as it reads when an encoding is undone, with where in the text each octet came from.
//!
//! Undone are: base64 and base64url at every alignment, hex at every alignment with anything between the digits,
//! percent-encoding, quoted-printable, HTML's character references, backslash escapes, and UTF-16 of Latin letters.

/// Octets, and for each where in the text that is searched it begins and ends.
pub(super) struct View<'a> {
    bytes: Bytes<'a>,
    /// None for the text itself.
    spans: Option<Vec<Span>>,
}

type Span = (u32, u32);

/// A digit's value, and where it is in the view.
type Digit = (u8, u32);

enum Bytes<'a> {
    Borrowed(&'a [u8]),
    Owned(zeroize::Zeroizing<Vec<u8>>),
}

/// The fewest octets of an encoding that can hold a secret of [`WORD_BYTES`](super::WORD_BYTES).
const DECODED_BYTES_MIN: usize = 4;

impl<'a> View<'a> {
    pub(super) fn plain(bytes: &'a [u8]) -> Self {
        Self {
            bytes: Bytes::Borrowed(bytes),
            spans: None,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Borrowed(bytes) => bytes,
            Bytes::Owned(bytes) => bytes,
        }
    }

    /// Returns whether some stretch of it reads as text, so that an encoding can be in it.
    pub(super) fn may_hold_text(&self) -> bool {
        let mut run = TextRun::default();
        self.bytes().iter().any(|byte| run.is_text_with(*byte))
    }

    /// Marks the octets `first` to `last` of the view in the text, with what is between them.
    pub(super) fn mark(&self, first: usize, last: usize, hidden: &mut [bool]) {
        let (from, to) = (self.span(first).0, self.span(last).1);
        hidden[from as usize..to as usize].fill(true);
    }

    fn span(&self, at: usize) -> Span {
        match &self.spans {
            Some(spans) => spans[at],
            None => (at as u32, at as u32 + 1),
        }
    }

    /// Calls `each` with every view of this one that differs from it. Most text has the digits of some encoding and no
    /// secret in it: a view of digits is made only where `wants` says so of the octets that they stand for.
    pub(super) fn each_inner(
        &self,
        wants: impl Fn(&mut dyn Iterator<Item = u8>) -> bool,
        mut each: impl FnMut(View<'static>),
    ) {
        let bytes = self.bytes();
        let has = |wanted: &[u8]| bytes.iter().any(|byte| wanted.contains(byte));
        if has(b"%=&\\") {
            each(self.unescaped());
        }
        if has(b"\0") {
            each(self.made(|bytes, out| {
                for (at, byte) in bytes.iter().enumerate().filter(|(_, byte)| **byte != 0) {
                    out.push(*byte, at, at);
                }
            }));
        }
        let mut each_of_digits = |digits: &[Digit], bits: u32| {
            if wants(&mut octets(digits, bits)) {
                each(self.packed(digits, bits as usize));
            }
        };
        self.each_base64(&mut each_of_digits);
        self.each_hex(&mut each_of_digits);
    }

    fn made(&self, make: impl FnOnce(&[u8], &mut Out<'_>)) -> View<'static> {
        // The room is made at once: growing would leave copies behind.
        let length = self.bytes().len();
        let mut out = Out {
            from: self.spans.as_deref(),
            bytes: zeroize::Zeroizing::new(Vec::with_capacity(length)),
            spans: Vec::with_capacity(length),
        };
        make(self.bytes(), &mut out);
        View {
            bytes: Bytes::Owned(out.bytes),
            spans: Some(out.spans),
        }
    }

    /// Base64 with either alphabet and anything between its characters, which begins at any of them.
    fn each_base64(&self, each: &mut impl FnMut(&[Digit], u32)) {
        let digits = self.digits(base64_value);
        if digits.len() * 6 / 8 < DECODED_BYTES_MIN {
            return;
        }
        for start in 0..4 {
            each(digits.get(start..).unwrap_or_default(), 6);
        }
    }

    /// Hex digits with anything between them; `0x` before a number is none.
    fn each_hex(&self, each: &mut impl FnMut(&[Digit], u32)) {
        let bytes = self.bytes();
        let mut digits = self.digits(hex_value);
        if digits.len() / 2 < DECODED_BYTES_MIN {
            return;
        }
        digits.retain(|(_, at)| {
            let at = *at as usize;
            !(bytes[at] == b'0' && matches!(bytes.get(at + 1), Some(b'x' | b'X')))
        });
        for start in 0..2 {
            each(digits.get(start..).unwrap_or_default(), 4);
        }
    }

    fn digits(&self, value: impl Fn(u8) -> Option<u8>) -> Vec<Digit> {
        let bytes = self.bytes().iter().enumerate();
        bytes
            .filter_map(|(at, byte)| Some((value(*byte)?, at as u32)))
            .collect()
    }

    /// The octets that digits of so many bits make.
    fn packed(&self, digits: &[Digit], bits: usize) -> View<'static> {
        self.made(|_, out| {
            for octet in 0..digits.len() * bits / 8 {
                let (first, last) = (octet * 8 / bits, (octet * 8 + 7) / bits);
                let value = digits[first..=last]
                    .iter()
                    .fold(0u32, |value, (digit, _)| value << bits | u32::from(*digit));
                let surplus = (last + 1) * bits - (octet + 1) * 8;
                out.push(
                    (value >> surplus) as u8,
                    digits[first].1 as usize,
                    digits[last].1 as usize,
                );
            }
        })
    }

    /// Without percent-encoding, quoted-printable, character references and backslash escapes.
    fn unescaped(&self) -> View<'static> {
        self.made(|bytes, out| {
            let mut at = 0;
            while let Some(byte) = bytes.get(at) {
                let rest = &bytes[at + 1..];
                let (length, decoded) = match byte {
                    b'%' => percent(rest),
                    b'=' => quoted_printable(rest),
                    b'&' => character_reference(rest),
                    b'\\' => backslash(rest),
                    _ => None,
                }
                .map_or((0, Decoded::Octet(*byte)), |(length, decoded)| (length, decoded));
                let last = at + length;
                match decoded {
                    Decoded::Nothing => {}
                    Decoded::Octet(octet) => out.push(octet, at, last),
                    Decoded::Character(c) => {
                        for octet in c.encode_utf8(&mut [0; 4]).bytes() {
                            out.push(octet, at, last);
                        }
                    }
                }
                at = last + 1;
            }
        })
    }
}

/// Returns the octets that digits of `bits` bits stand for, as [`View::packed`] makes them.
fn octets(digits: &[Digit], bits: u32) -> impl Iterator<Item = u8> {
    let (mut value, mut held) = (0u32, 0);
    digits.iter().filter_map(move |(digit, _)| {
        value = value << bits | u32::from(*digit);
        held += bits;
        if held < 8 {
            return None;
        }
        held -= 8;
        Some((value >> held) as u8)
    })
}

/// Finds a stretch that reads as text. What only happens to have the digits of an encoding reads as noise when it is
/// decoded, and most of what a server says is that.
#[derive(Debug, Default)]
pub(super) struct TextRun(usize);

impl TextRun {
    /// Takes one octet more, and returns whether the last ones read as text.
    pub(super) fn is_text_with(&mut self, byte: u8) -> bool {
        const RUN_BYTES: usize = 6;
        let is_text = matches!(byte, 0 | b'\t' | b'\r' | b'\n' | b' '..=b'~');
        self.0 = if is_text { self.0 + 1 } else { 0 };
        self.0 >= RUN_BYTES
    }
}

/// A view that is being made from another one.
struct Out<'a> {
    from: Option<&'a [Span]>,
    bytes: zeroize::Zeroizing<Vec<u8>>,
    spans: Vec<Span>,
}

impl Out<'_> {
    /// An octet that `first` to `last` of the other view stand for.
    fn push(&mut self, byte: u8, first: usize, last: usize) {
        self.bytes.push(byte);
        self.spans.push(match self.from {
            Some(spans) => (spans[first].0, spans[last].1),
            None => (first as u32, last as u32 + 1),
        });
    }
}

enum Decoded {
    Nothing,
    Octet(u8),
    Character(char),
}

/// What an escape stands for, and how many octets follow its first.
type Escape = Option<(usize, Decoded)>;

fn hex_octet(rest: &[u8]) -> Option<u8> {
    Some(hex_value(*rest.first()?)? << 4 | hex_value(*rest.get(1)?)?)
}

fn percent(rest: &[u8]) -> Escape {
    if let Some(b'u' | b'U') = rest.first() {
        return Some((5, Decoded::Character(character(rest.get(1..5)?, 16)?)));
    }
    Some((2, Decoded::Octet(hex_octet(rest)?)))
}

fn quoted_printable(rest: &[u8]) -> Escape {
    if rest.starts_with(b"\r\n") {
        return Some((2, Decoded::Nothing));
    }
    if rest.starts_with(b"\n") {
        return Some((1, Decoded::Nothing));
    }
    Some((2, Decoded::Octet(hex_octet(rest)?)))
}

fn character_reference(rest: &[u8]) -> Escape {
    const NAMED: [(&[u8], char); 6] = [
        (b"amp", '&'),
        (b"lt", '<'),
        (b"gt", '>'),
        (b"quot", '"'),
        (b"apos", '\''),
        (b"nbsp", ' '),
    ];
    /// Of a name or a number, with leading zeros.
    const LENGTH_MAX: usize = 12;
    let end = rest.iter().take(LENGTH_MAX).position(|byte| *byte == b';')?;
    let name = &rest[..end];
    let c = match name {
        [b'#', b'x' | b'X', digits @ ..] => character(digits, 16)?,
        [b'#', digits @ ..] => character(digits, 10)?,
        _ => NAMED.iter().find(|(known, _)| *known == name)?.1,
    };
    Some((end + 1, Decoded::Character(c)))
}

fn backslash(rest: &[u8]) -> Escape {
    match rest.first()? {
        b'x' | b'X' => Some((3, Decoded::Octet(hex_octet(&rest[1..])?))),
        b'u' | b'U' => Some((5, Decoded::Character(character(rest.get(1..5)?, 16)?))),
        b'0'..=b'7' if rest.len() >= 3 => {
            let value = std::str::from_utf8(&rest[..3]).ok()?;
            Some((3, Decoded::Octet(u8::from_str_radix(value, 8).ok()?)))
        }
        b'n' => Some((1, Decoded::Octet(b'\n'))),
        b't' => Some((1, Decoded::Octet(b'\t'))),
        b'r' => Some((1, Decoded::Octet(b'\r'))),
        other if other.is_ascii_punctuation() => Some((1, Decoded::Octet(*other))),
        _ => None,
    }
}

fn character(digits: &[u8], radix: u32) -> Option<char> {
    let digits = std::str::from_utf8(digits).ok()?;
    char::from_u32(u32::from_str_radix(digits, radix).ok()?)
}

fn hex_value(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

fn base64_value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_at_beforehand_is_what_the_view_holds() {
        let text = View::plain(b"250 2.0.0 OK 0x7f aGVsbG8gd29ybGQ-_/+ DEADBEEF00ff, and words of every kind");
        for (digits, bits) in [(text.digits(base64_value), 6), (text.digits(hex_value), 4)] {
            for start in 0..=digits.len() {
                let rest = &digits[start..];
                let seen: Vec<u8> = octets(rest, bits).collect();
                assert_eq!(
                    seen,
                    text.packed(rest, bits as usize).bytes(),
                    "{bits} bits from {start}"
                );
            }
        }
    }
}
