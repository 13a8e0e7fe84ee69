//! The octets of a message: what is in memory, and the files that are encoded while they are sent.

use std::fmt;

use crate::files::{File, FileError};

/// What one line of base64 carries, and how long it is (RFC 2045, section 6.8).
const LINE_RAW: usize = 57;
const LINE_ENCODED: usize = 76;

/// A message's octets, in order, with CRLF line ends and a CRLF at the end. Dots at line starts are not changed: the
/// protocol doubles them (RFC 5321, section 4.5.2).
pub struct Content {
    segments: Vec<Segment>,
    size: u64,
    /// The segment that is read, and how much of it has been; of a file before its encoding.
    segment: usize,
    offset: u64,
}

pub(super) enum Segment {
    Bytes(Vec<u8>),
    /// In base64, lines of 76, without a CRLF at the end.
    File {
        file: Box<dyn File>,
        size: u64,
    },
    /// As it is, with CRLF line ends; so many octets before and after.
    Lines {
        file: Box<dyn File>,
        size: u64,
        length: u64,
    },
}

impl Content {
    pub(super) fn new(segments: Vec<Segment>) -> Self {
        let size = segments
            .iter()
            .map(|segment| match segment {
                Segment::Bytes(bytes) => bytes.len() as u64,
                Segment::File { size, .. } => encoded_size(*size),
                Segment::Lines { length, .. } => *length,
            })
            .sum();
        Self {
            segments,
            size,
            segment: 0,
            offset: 0,
        }
    }

    /// Returns the total number of octets, which `SIZE=` and `BDAT` announce.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many octets of it are in memory.
    pub(crate) fn held(&self) -> usize {
        let held = |segment: &Segment| match segment {
            Segment::Bytes(bytes) => bytes.len(),
            Segment::File { .. } | Segment::Lines { .. } => 0,
        };
        self.segments.iter().map(held).sum()
    }

    /// Returns the whole content if it is in memory in one piece. Every message without files is.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self.segments.as_slice() {
            [Segment::Bytes(bytes)] => Some(bytes),
            _ => None,
        }
    }

    /// Appends the next octets to `buffer` and returns their number; 0 is the end. At most `max` octets are appended,
    /// but always at least one line of base64 (78 octets). The earlier content of `buffer` stays.
    ///
    /// # Errors
    /// [`FileError`] when a file changed or cannot be read. The missing octets are then not available: end the
    /// connection before the last octet is sent, so that nothing is committed.
    pub fn read_next(&mut self, buffer: &mut Vec<u8>, max: usize) -> Result<usize, FileError> {
        let before = buffer.len();
        let max = max.max(LINE_ENCODED + 2);
        loop {
            let room = max - (buffer.len() - before);
            let offset = self.offset;
            let is_done = match self.segments.get_mut(self.segment) {
                None => break,
                Some(Segment::Bytes(bytes)) => {
                    // The offset lies within a vector's length.
                    let rest = &bytes[offset as usize..];
                    let piece = &rest[..rest.len().min(room)];
                    buffer.extend_from_slice(piece);
                    self.offset += piece.len() as u64;
                    piece.len() == rest.len()
                }
                Some(Segment::File { file, size }) => {
                    let raw = (room / (LINE_ENCODED + 2) * LINE_RAW) as u64;
                    let raw = raw.min(*size - offset);
                    if raw > 0 {
                        encode_piece(file.as_mut(), offset, raw as usize, buffer)?;
                        self.offset += raw;
                    }
                    self.offset == *size
                }
                Some(Segment::Lines { file, size, .. }) => {
                    // At worst every octet is a line end and becomes two.
                    let raw = ((room / 2) as u64).min(*size - offset);
                    if raw > 0 {
                        append_crlf(file.as_mut(), offset, raw as usize, buffer)?;
                        self.offset += raw;
                    }
                    self.offset == *size
                }
            };
            if is_done {
                self.segment += 1;
                self.offset = 0;
            } else {
                break;
            }
        }
        Ok(buffer.len() - before)
    }

    /// Goes back to the first octet, for another attempt.
    pub fn rewind(&mut self) {
        self.segment = 0;
        self.offset = 0;
    }
}

impl fmt::Debug for Content {
    /// Its shape; the content is the sender's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("size", &self.size)
            .field("segments", &self.segments.len())
            .finish()
    }
}

/// The size of so many octets in base64 lines, the last one without CRLF.
fn encoded_size(raw: u64) -> u64 {
    raw.div_ceil(3) * 4 + raw.div_ceil(LINE_RAW as u64).saturating_sub(1) * 2
}

/// Octets in base64 lines, the last one without CRLF.
pub(super) fn base64_lines(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() / 3 * 4 + raw.len() / LINE_RAW * 2 + 8);
    append_base64(raw, &mut out);
    out
}

/// Appends octets in base64 lines, the last one without CRLF.
pub(super) fn append_base64(raw: &[u8], out: &mut Vec<u8>) {
    append_lines(raw, true, out);
}

/// Reads exactly `length` octets from `offset` and appends them encoded.
fn encode_piece(file: &mut dyn File, offset: u64, length: usize, out: &mut Vec<u8>) -> Result<(), FileError> {
    let mut raw = read_some(file, offset, length)?;
    while raw.len() < length {
        let more = read_some(file, offset + raw.len() as u64, length - raw.len())?;
        raw.extend_from_slice(&more);
    }
    append_lines(&raw, offset == 0, out);
    Ok(())
}

/// Reads exactly `length` octets from `offset` and appends them with CRLF line ends. Each CR stands before a LF.
fn append_crlf(file: &mut dyn File, offset: u64, length: usize, out: &mut Vec<u8>) -> Result<(), FileError> {
    let mut raw = read_some(file, offset, length)?;
    while raw.len() < length {
        let more = read_some(file, offset + raw.len() as u64, length - raw.len())?;
        raw.extend_from_slice(&more);
    }
    for line in raw.split_inclusive(|&octet| octet == b'\n') {
        // The CR of the first LF may have been the last octet of the piece before.
        out.extend(line.iter().filter(|octet| !matches!(octet, b'\r' | b'\n')));
        if line.ends_with(b"\n") {
            out.extend_from_slice(b"\r\n");
        }
    }
    Ok(())
}

/// At least one octet, and no more than asked for: a file that ends early is not the one that was measured.
pub(super) fn read_some(file: &mut dyn File, offset: u64, length: usize) -> Result<Vec<u8>, FileError> {
    let bytes = file.read(offset, u32::try_from(length).unwrap_or(u32::MAX))?;
    match bytes.len() {
        0 => Err(FileError::Changed),
        n if n > length => Err(FileError::Io),
        _ => Ok(bytes),
    }
}

/// Three octets as four characters (RFC 4648, section 4). Two characters are looked up at a time: half of the work, which is
/// much in a sandbox that checks each look.
fn encoded([a, b, c]: [u8; 3]) -> [u8; 4] {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static PAIRS: [[u8; 2]; 4096] = {
        let mut pairs = [[0; 2]; 4096];
        let mut bits = 0;
        while bits < 4096 {
            pairs[bits] = [ALPHABET[bits >> 6], ALPHABET[bits & 63]];
            bits += 1;
        }
        pairs
    };
    let bits = (usize::from(a) << 16) | (usize::from(b) << 8) | usize::from(c);
    let ([d, e], [f, g]) = (PAIRS[bits >> 12 & 4095], PAIRS[bits & 4095]);
    [d, e, f, g]
}

/// The raw octets begin where a line begins.
fn append_lines(raw: &[u8], is_first: bool, out: &mut Vec<u8>) {
    for (i, chunk) in raw.chunks(LINE_RAW).enumerate() {
        if i > 0 || !is_first {
            out.extend_from_slice(b"\r\n");
        }
        let mut line = [0; LINE_ENCODED];
        let (threes, rest) = chunk.as_chunks::<3>();
        for (three, four) in threes.iter().zip(line.as_chunks_mut::<4>().0) {
            *four = encoded(*three);
        }
        let mut length = threes.len() * 4;
        if !rest.is_empty() {
            let mut last = encoded([rest[0], rest.get(1).copied().unwrap_or(0), 0]);
            last[rest.len() + 1..].fill(b'=');
            line[length..length + 4].copy_from_slice(&last);
            length += 4;
        }
        out.extend_from_slice(&line[..length]);
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    #[test]
    fn lines_of_base64_hold_what_any_reader_reads() {
        let raw: Vec<u8> = (0..3000u32).map(|number| (number * 7 + number / 251) as u8).collect();
        for length in (0..200).chain([1000, 2999, 3000]) {
            let lines = base64_lines(&raw[..length]);
            let text = String::from_utf8(lines).expect("it is ASCII");
            assert!(text.split("\r\n").all(|line| line.len() <= LINE_ENCODED));
            assert_eq!(text.len() as u64, encoded_size(length as u64));
            let whole = text.replace("\r\n", "");
            assert_eq!(whole, BASE64_STANDARD.encode(&raw[..length]));
        }
    }
}
