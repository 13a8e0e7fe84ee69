//! Message content on its way out. It is checked, and stuffed where DATA needs it, while it is copied once.
//!
//! Only CRLF line ends are sent. A bare CR, a bare LF or a NUL can make one server see the end of a message where
//! another server does not (message smuggling). So content that holds one is refused before its last byte is sent, for
//! DATA and for BDAT.

use std::fmt;

use memchr::{memchr3, memrchr};

/// How content is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// As it is, its length having been announced (RFC 3030).
    Chunk,
    /// With a dot more before each leading dot, until a line with a lone dot (RFC 5321, section 4.5.2).
    Dots,
}

/// The state between two pieces of one content.
#[derive(Debug)]
pub(crate) struct ContentWriter {
    framing: Framing,
    eight_bit: bool,
    left: u64,
    /// Octets of the current line so far.
    line: usize,
    /// The last octet was a CR.
    after_cr: bool,
}

/// The most octets of a line without its CRLF (RFC 5321, section 4.5.3.1.6).
const MAX_LINE: usize = 998;

/// Octets that are looked at together.
const BLOCK: usize = 1024;

impl ContentWriter {
    pub(crate) fn new(framing: Framing, size: u64, eight_bit: bool) -> Self {
        Self {
            framing,
            eight_bit,
            left: size,
            line: 0,
            after_cr: false,
        }
    }

    /// How many octets are still to come.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Appends `piece` to `out`. After an error `out` holds some part of it.
    pub(crate) fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), ContentError> {
        self.left = self.left.checked_sub(piece.len() as u64).ok_or(ContentError::TooLong)?;
        // Without a branch in it, so that it becomes vector code.
        if !self.eight_bit && piece.iter().fold(0, |all, octet| all | octet) >= 0x80 {
            return Err(ContentError::EightBit);
        }
        out.reserve(piece.len() + 64);
        if self.write_clean(piece, out) {
            return Ok(());
        }
        let mut rest = piece;
        // Start of what was checked and not copied yet: whole runs of lines are copied at once.
        let mut run = piece;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr) {
                if rest[0] != b'\n' {
                    return Err(ContentError::BareLineEnd);
                }
                self.line = 0;
                rest = &rest[1..];
                continue;
            }
            if self.framing == Framing::Dots && self.line == 0 && rest[0] == b'.' {
                out.extend_from_slice(&run[..run.len() - rest.len()]);
                out.push(b'.');
                run = rest;
            }
            let end = memchr3(b'\r', b'\n', 0, rest);
            self.line += end.unwrap_or(rest.len());
            if self.line > MAX_LINE {
                return Err(ContentError::LineTooLong);
            }
            let Some(end) = end else { break };
            match rest[end] {
                b'\r' => self.after_cr = true,
                b'\n' => return Err(ContentError::BareLineEnd),
                _ => return Err(ContentError::Nul),
            }
            rest = &rest[end + 1..];
        }
        out.extend_from_slice(run);
        if self.left == 0 && self.after_cr {
            Err(ContentError::BareLineEnd)
        } else {
            Ok(())
        }
    }

    /// Appends a piece as a whole, where nothing in it needs a dot more and nothing is wrong with it: all of it is looked at
    /// without a branch for each line, so that it becomes vector code. Returns whether it did.
    fn write_clean(&mut self, piece: &[u8], out: &mut Vec<u8>) -> bool {
        let ([first, behind_first @ ..], [before_last @ .., last]) = (piece, piece) else {
            return false;
        };
        let is_start_odd = matches!(first, b'\n' | 0) || (*first == b'.' && self.line == 0);
        if self.after_cr || is_start_odd || (*last == b'\r' && self.left == 0) {
            return false;
        }
        // In blocks, so that a long piece that has to be looked at line by line is not looked at twice.
        for (before, behind) in before_last.chunks(BLOCK).zip(behind_first.chunks(BLOCK)) {
            let odd = before.iter().zip(behind).fold(0, |odd, (before, behind)| {
                let is_split = u8::from(*before == b'\r') ^ u8::from(*behind == b'\n');
                let is_dot = u8::from(*before == b'\n') & u8::from(*behind == b'.');
                odd | is_split | is_dot | u8::from(*behind == 0)
            });
            if odd != 0 {
                return false;
            }
        }
        // What an LF ends is no longer than from there to the furthest LF that a line allows.
        let mut rest = piece;
        let mut line = self.line;
        while line + rest.len() > MAX_LINE {
            // The CRLF of a line of the greatest length still belongs to it.
            let reach = rest.len().min((MAX_LINE + 2).saturating_sub(line));
            let Some(end) = memrchr(b'\n', &rest[..reach]) else {
                return false;
            };
            (rest, line) = (&rest[end + 1..], 0);
        }
        out.extend_from_slice(piece);
        self.after_cr = *last == b'\r';
        let open = match memrchr(b'\n', piece) {
            Some(end) => piece.len() - end - 1,
            None => self.line + piece.len(),
        };
        self.line = open - usize::from(self.after_cr);
        true
    }

    /// What ends the content, once nothing is left.
    pub(crate) fn finish(&self, out: &mut Vec<u8>) {
        if self.framing == Framing::Dots {
            out.extend_from_slice(if self.line == 0 { b".\r\n" } else { b"\r\n.\r\n" });
        }
    }
}

/// The reason why a message's content cannot be sent as it was supplied.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentError {
    /// A CR without LF, or an LF without CR.
    BareLineEnd,
    /// A NUL (RFC 5321, section 2.3.8, and RFC 6152 exclude it).
    Nul,
    /// A line of more than 998 octets.
    LineTooLong,
    /// Octets beyond ASCII in a transaction that was declared to have none.
    EightBit,
    /// More octets than the transaction's size.
    TooLong,
    /// The content could not be supplied to its end, with the reason that the caller gave.
    Unavailable(String),
}

impl fmt::Display for ContentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BareLineEnd => f.write_str("the message holds a CR or LF that is not part of a CRLF"),
            Self::Nul => f.write_str("the message holds a NUL octet"),
            Self::LineTooLong => write!(f, "the message holds a line of more than {MAX_LINE} octets"),
            Self::EightBit => f.write_str("the message holds octets beyond ASCII though it was declared to have none"),
            Self::TooLong => f.write_str("the message is longer than the size that was declared for it"),
            Self::Unavailable(reason) => write!(f, "the message could not be read to its end: {reason}"),
        }
    }
}

impl std::error::Error for ContentError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(framing: Framing, pieces: &[&[u8]]) -> Result<Vec<u8>, ContentError> {
        let size = pieces.iter().map(|piece| piece.len() as u64).sum();
        let mut writer = ContentWriter::new(framing, size, true);
        let mut out = Vec::new();
        for piece in pieces {
            writer.write(piece, &mut out)?;
        }
        assert_eq!(writer.left(), 0);
        writer.finish(&mut out);
        Ok(out)
    }

    #[test]
    fn dots_are_stuffed_at_line_starts_only() {
        let out = write(Framing::Dots, &[b".a\r\n..\r\nb.c\r\n.\r\n"]).unwrap();
        assert_eq!(out, b"..a\r\n...\r\nb.c\r\n..\r\n.\r\n");
        assert_eq!(write(Framing::Chunk, &[b".a\r\n.\r\n"]).unwrap(), b".a\r\n.\r\n");
    }

    #[test]
    fn the_terminator_stands_on_its_own_line() {
        assert_eq!(write(Framing::Dots, &[b"a"]).unwrap(), b"a\r\n.\r\n");
        assert_eq!(write(Framing::Dots, &[b""]).unwrap(), b".\r\n");
        assert_eq!(write(Framing::Chunk, &[b"a"]).unwrap(), b"a");
    }

    #[test]
    fn smuggling_sequences_are_refused() {
        for content in [
            "a\n.\nb",
            "a\r.\rb",
            "a\n.\r\nb",
            "a\r\n.\nb",
            "a\r",
            "\n",
            "\r\r\n",
            "a\r\n\n",
        ] {
            for framing in [Framing::Chunk, Framing::Dots] {
                assert_eq!(
                    write(framing, &[content.as_bytes()]),
                    Err(ContentError::BareLineEnd),
                    "{content:?}"
                );
                let bytes: Vec<_> = content.as_bytes().chunks(1).collect();
                assert_eq!(
                    write(framing, &bytes),
                    Err(ContentError::BareLineEnd),
                    "{content:?} octet by octet"
                );
            }
        }
        assert_eq!(write(Framing::Chunk, &[b"a\0b"]), Err(ContentError::Nul));
    }

    #[test]
    fn each_bound_obeyed_and_violated() {
        let line = |n: usize| [vec![b'x'; n], b"\r\n".to_vec()].concat();
        assert!(write(Framing::Chunk, &[&line(998)]).is_ok());
        assert_eq!(write(Framing::Chunk, &[&line(999)]), Err(ContentError::LineTooLong));

        let mut writer = ContentWriter::new(Framing::Chunk, 2, false);
        assert_eq!(writer.write(b"abc", &mut Vec::new()), Err(ContentError::TooLong));
        assert_eq!(
            writer.write("ä".as_bytes(), &mut Vec::new()),
            Err(ContentError::EightBit)
        );
    }

    proptest! {
        #[test]
        fn what_is_looked_at_together_is_judged_as_line_by_line(
            runs in prop::collection::vec(("\r\n\\.?|\r|\n|\0|\\.|a", prop::sample::select(vec![0usize, 1, 30, 60, 900, 994, 997, 998])), 0..6),
            cut in 0usize..4000,
            framing in prop::sample::select(vec![Framing::Chunk, Framing::Dots]),
        ) {
            let content: Vec<u8> = runs.iter().flat_map(|(end, length)| [&[b'x'; 998][..*length], end.as_bytes()].concat()).collect();
            let (first, second) = content.split_at(cut.min(content.len()));
            let octets: Vec<&[u8]> = content.chunks(1).collect();
            let by_octets = write(framing, &octets);
            prop_assert_eq!(&write(framing, &[&content]), &by_octets);
            prop_assert_eq!(&write(framing, &[first, second]), &by_octets);
        }

        #[test]
        fn pieces_do_not_matter_and_unstuffing_gives_it_back(
            lines in prop::collection::vec("[.a\r\n]{0,4}|\\.{1,3}|[a-z]{0,40}", 0..8),
            cuts in prop::collection::vec(0usize..100, 0..6),
        ) {
            let content = lines.join("\r\n");
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(content.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for to in cuts.into_iter().chain([content.len()]) {
                pieces.push(&content.as_bytes()[from..to]);
                from = to;
            }
            let whole = write(Framing::Dots, &[content.as_bytes()]);
            prop_assert_eq!(&whole, &write(Framing::Dots, &pieces));
            if let Ok(out) = whole {
                let out = String::from_utf8(out).unwrap();
                let body = out.strip_suffix(".\r\n").unwrap();
                prop_assert!(!body.contains("\r\n.\r\n") && !body.starts_with(".\r\n"), "ends early: {:?}", out);
                let plain: Vec<_> = body.split("\r\n").map(|line| line.strip_prefix('.').unwrap_or(line)).collect();
                let plain = plain.join("\r\n");
                prop_assert!(plain.strip_suffix("\r\n") == Some(&content) || plain == content);
            }
        }
    }
}
