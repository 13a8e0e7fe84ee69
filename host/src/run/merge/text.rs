//! The text of a file of rows: decoded, counted, and bounded.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// The longest row, in octets: a connector takes no longer parameters either.
const ROW_BYTES_MAX: u64 = 32 << 20;

/// What may be read of a row before it begins to count, in octets: as much as buffers take.
const MARGIN: u64 = 128 * 1024;

/// Counts what is read of the file.
pub(super) struct Counted {
    pub(super) source: Box<dyn Read + Send>,
    pub(super) read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// The places in the text, in octets, where something stands that is none in its encoding.
pub(super) type Malformed = Rc<RefCell<VecDeque<u64>>>;

/// The file as UTF-8, without a byte order mark. It bounds the row that is being read. It is read through a buffer: the
/// decoder needs room for a character.
pub(super) struct Text<R> {
    source: R,
    decoder: Decoder,
    raw: Vec<u8>,
    /// What of `raw` is to be decoded.
    left: Range<usize>,
    is_at_end: bool,
    is_finished: bool,
    is_malformed: bool,
    /// What is no text is replaced, and noted there.
    malformed: Option<Malformed>,
    /// What was handed over, in octets.
    written: u64,
    /// Nothing was read yet.
    is_fresh: bool,
    is_stated: bool,
    in_row: Rc<Cell<u64>>,
    /// How long a row may be, in octets.
    row_max: u64,
}

impl<R: Read> Text<R> {
    /// Decodes what it reads. `is_stated`: the encoding is not a default. `in_row`: how much of a row was read, in octets; whoever
    /// reads the rows sets it to zero.
    pub(super) fn new(source: R, encoding: &'static Encoding, is_stated: bool, in_row: Rc<Cell<u64>>) -> Self {
        // A stated encoding stands; else a byte order mark says more than a default.
        let decoder = match is_stated {
            true => encoding.new_decoder_with_bom_removal(),
            false => encoding.new_decoder(),
        };
        Self {
            source,
            decoder,
            raw: vec![0; 32 * 1024],
            left: 0..0,
            is_at_end: false,
            is_finished: false,
            is_malformed: false,
            malformed: None,
            written: 0,
            is_fresh: true,
            is_stated,
            in_row,
            row_max: ROW_BYTES_MAX,
        }
    }

    /// The same with U+FFFD for what is no text, whose places are noted: whoever reads the rows knows which of them it spoils.
    pub(super) fn noting(self, malformed: Malformed) -> Self {
        Self {
            malformed: Some(malformed),
            ..self
        }
    }

    /// An encoding that was stated, and that the beginning of the file contradicts.
    fn contradiction(&self, beginning: &[u8]) -> Option<String> {
        let stated = self.decoder.encoding();
        if let Some((marked, _)) = Encoding::for_bom(beginning).filter(|(marked, _)| *marked != stated) {
            return Some(format!(
                "it begins with the byte order mark of {}, and its `encoding` is {}",
                marked.name(),
                stated.name()
            ));
        }
        // What is between fields and rows is ASCII, so half of its octets are zero there.
        let is_wide = stated == UTF_16LE || stated == UTF_16BE;
        (is_wide && !beginning.is_empty() && !beginning.contains(&0)).then(|| {
            let name = stated.name();
            format!("it is not {name}, as its `encoding` says: no octet at its beginning is zero")
        })
    }

    /// The same without a bound for a row.
    pub(super) fn unbounded(self) -> Self {
        Self {
            row_max: u64::MAX - MARGIN,
            ..self
        }
    }
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.is_malformed {
                let Some(malformed) = &self.malformed else {
                    let message = format!("it has {}", not_text(self.decoder.encoding()));
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                };
                let replacement = char::REPLACEMENT_CHARACTER.encode_utf8(&mut [0; 4]).len();
                if let Some(place) = buffer.get_mut(..replacement) {
                    self.is_malformed = false;
                    malformed.borrow_mut().push_back(self.written);
                    char::REPLACEMENT_CHARACTER.encode_utf8(place);
                    return Ok(self.handed_over(replacement));
                }
            }
            if self.is_finished {
                return Ok(0);
            }
            if self.left.is_empty() && !self.is_at_end {
                let count = self.source.read(&mut self.raw)?;
                self.left = 0..count;
                self.is_at_end = count == 0;
                let is_first = std::mem::replace(&mut self.is_fresh, false);
                if is_first
                    && self.is_stated
                    && let Some(contradiction) = self.contradiction(&self.raw[..count])
                {
                    self.is_finished = true;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, contradiction));
                }
            }
            let (result, read, written) =
                self.decoder
                    .decode_to_utf8_without_replacement(&self.raw[self.left.clone()], buffer, self.is_at_end);
            self.left.start += read;
            match result {
                // What came before it is text.
                DecoderResult::Malformed(..) => self.is_malformed = true,
                DecoderResult::InputEmpty => self.is_finished = self.is_at_end,
                DecoderResult::OutputFull => {}
            }
            if written > 0 {
                let in_row = self.in_row.get() + written as u64;
                self.in_row.set(in_row);
                if in_row > self.row_max + MARGIN {
                    let message = format!(
                        "a row is longer than {} MiB; a quote may be missing before it",
                        ROW_BYTES_MAX >> 20
                    );
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
                return Ok(self.handed_over(written));
            }
        }
    }
}

impl<R> Text<R> {
    fn handed_over(&mut self, count: usize) -> usize {
        self.written += count as u64;
        count
    }
}

/// Text in UTF-8 whose rows have no bound.
pub(super) fn of_whole<R: Read>(source: R) -> Text<R> {
    Text::new(source, UTF_8, true, Rc::default()).unbounded()
}

/// What a file has that does not decode, as the end of a sentence.
pub(super) fn not_text(encoding: &'static Encoding) -> String {
    format!(
        "octets that are not {}; say its `encoding`, such as `windows-1252`",
        encoding.name()
    )
}
