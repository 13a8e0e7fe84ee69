//! The end of DATA, and the dots before it (RFC 5321 section 4.5.2).
//!
//! Only CRLF `.` CRLF ends the content. A bare CR or LF is content like any other byte: servers that took `\n.\n` for an end let
//! one message smuggle another.

/// Undoes dot-stuffing, piece by piece.
#[derive(Debug)]
pub(super) struct Decoder {
    state: State,
    content: Vec<u8>,
    limit: usize,
    /// The content has passed the limit and is no longer kept.
    overflown: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    LineStart,
    Middle,
    /// After a CR that may begin a line end.
    Cr,
    /// After a dot at the start of a line.
    Dot,
    /// After a dot and a CR at the start of a line.
    DotCr,
}

impl Decoder {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            state: State::LineStart,
            content: Vec::new(),
            limit,
            overflown: false,
        }
    }

    /// Takes bytes up to the end of the content. Returns how many it took, and whether the end was among them.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            self.state = match (self.state, byte) {
                (State::LineStart, b'.') => State::Dot,
                (State::Dot, b'\r') => State::DotCr,
                (State::DotCr, b'\n') => return (at + 1, true),
                (State::DotCr, b'\r') => {
                    // The first CR was content after all; this one may begin a line end.
                    self.keep(b"\r\r");
                    State::Cr
                }
                (State::DotCr, _) => {
                    self.keep(&[b'\r', byte]);
                    State::Middle
                }
                (State::Cr, b'\n') => {
                    self.keep(b"\n");
                    State::LineStart
                }
                (_, b'\r') => {
                    self.keep(b"\r");
                    State::Cr
                }
                _ => {
                    let rest = &bytes[at..];
                    let run = rest.iter().position(|&byte| byte == b'\r').unwrap_or(rest.len());
                    self.keep(&rest[..run]);
                    at += run;
                    self.state = State::Middle;
                    continue;
                }
            };
            at += 1;
        }
        (at, false)
    }

    /// The content, or `None` if it was over the limit.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        (!self.overflown).then_some(self.content)
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.overflown || self.content.len() + bytes.len() > self.limit {
            self.overflown = true;
            self.content = Vec::new();
        } else {
            self.content.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content and what follows it, fed in two pieces split at `split`.
    fn decode(bytes: &[u8], split: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut decoder = Decoder::new(1_000);
        let mut taken = 0;
        for piece in [&bytes[..split], &bytes[split..]] {
            let (used, ended) = decoder.feed(piece);
            taken += used;
            if ended {
                return Some((decoder.finish()?, bytes[taken..].to_vec()));
            }
            assert_eq!(used, piece.len());
        }
        None
    }

    #[test]
    fn dots_are_undone_and_only_crlf_dot_crlf_ends() {
        let cases: [(&[u8], &[u8]); 9] = [
            (b"a\r\n.\r\n", b"a\r\n"),
            (b".\r\n", b""),
            (b"..\r\n...x\r\n.\r\n", b".\r\n..x\r\n"),
            (b"a\n.\nb\r\n.\r\n", b"a\n.\nb\r\n"),
            (b"a\n.\r\nb\r\n.\r\n", b"a\n.\r\nb\r\n"),
            (b"a\r.\rb\r\n.\r\n", b"a\r.\rb\r\n"),
            (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\rb\r\n"),
            (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\nb\r\n"),
            (b"a\r\n.\r\r\n.\r\n", b"a\r\n\r\r\n"),
        ];
        for (sent, content) in cases {
            let mut bytes = sent.to_vec();
            bytes.extend_from_slice(b"QUIT\r\n");
            for split in 0..=bytes.len() {
                let (decoded, rest) = decode(&bytes, split).unwrap();
                assert_eq!(decoded, content, "{:?} split at {split}", String::from_utf8_lossy(sent));
                assert_eq!(rest, b"QUIT\r\n");
            }
        }
    }

    #[test]
    fn content_over_the_limit_is_read_to_its_end_and_not_kept() {
        let mut decoder = Decoder::new(3);
        assert_eq!(decoder.feed(b"abcd\r\n.\r\nX"), (9, true));
        assert_eq!(decoder.finish(), None);
        let mut decoder = Decoder::new(3);
        assert_eq!(decoder.feed(b"a\r\n.\r\n"), (6, true));
        assert_eq!(decoder.finish(), Some(b"a\r\n".to_vec()));
    }
}
