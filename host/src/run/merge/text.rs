//! The text of a file of rows: decoded, counted, and bounded.

use std::cell::Cell;
use std::io::{self, Read};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};

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

/// The file as UTF-8, without a byte order mark. It bounds the row that is being read. It is read through a buffer: the
/// decoder needs room for a character.
pub(super) struct Text {
    source: Counted,
    decoder: Decoder,
    raw: Vec<u8>,
    /// What of `raw` is to be decoded.
    left: Range<usize>,
    is_at_end: bool,
    is_finished: bool,
    is_malformed: bool,
    in_row: Rc<Cell<u64>>,
    /// How long a row may be, in octets.
    row_max: u64,
}

impl Text {
    /// Decodes what it reads. `is_stated`: the encoding is not a default. `in_row`: how much of a row was read, in octets; whoever
    /// reads the rows sets it to zero.
    pub(super) fn new(source: Counted, encoding: &'static Encoding, is_stated: bool, in_row: Rc<Cell<u64>>) -> Self {
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
            in_row,
            row_max: ROW_BYTES_MAX,
        }
    }

    /// Text in UTF-8 whose rows have no bound.
    pub(super) fn of_whole(source: impl Read + Send + 'static) -> Self {
        let counted = Counted {
            source: Box::new(source),
            read: Arc::default(),
        };
        Self::new(counted, UTF_8, true, Rc::default()).unbounded()
    }

    /// The same without a bound for a row.
    pub(super) fn unbounded(self) -> Self {
        Self {
            row_max: u64::MAX - MARGIN,
            ..self
        }
    }
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.is_malformed {
                let encoding = self.decoder.encoding().name();
                let message =
                    format!("it has octets that are not {encoding}; say its `encoding`, such as `windows-1252`");
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            if self.is_finished {
                return Ok(0);
            }
            if self.left.is_empty() && !self.is_at_end {
                let count = self.source.read(&mut self.raw)?;
                self.left = 0..count;
                self.is_at_end = count == 0;
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
                return Ok(written);
            }
        }
    }
}
