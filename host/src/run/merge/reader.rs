//! Reads a file of rows, on a thread of its own: decoded, parsed, and handed over in lots.

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use encoding_rs::{Encoding, UTF_8};
use pipepost_flowspec::{Header, RowsFormat, repeated};
use serde::de::{DeserializeSeed, Deserializer as _, SeqAccess, Visitor};
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::message_rows::OfMember;
use super::quotes::Quotes;
use super::results::REASON;
use super::rows::{BadRow, Row, weight};
use super::text::{Counted, Malformed, Text, not_text};

/// Rows that the reader hands over together at most.
const LOT_ROWS: usize = 64;

/// How much text is decoded at a time, in octets.
const TEXT_AT_ONCE: usize = 64 * 1024;

/// A lot has no further row once it holds so much, in octets.
pub(super) const LOT_BYTES: usize = 128 * 1024;

/// Rows that follow each other.
#[derive(Debug, Default)]
pub(super) struct Lot {
    pub(super) rows: Vec<Row>,
    /// About how much they take, in octets.
    pub(super) bytes: usize,
}

/// Why no further row is read.
enum Stop {
    /// Nobody takes them.
    Abandoned,
    /// The file is not what it should be, or cannot be read.
    Broken(String),
}

/// The reader's side of the hand-over.
struct Output {
    sender: mpsc::Sender<Result<Lot, String>>,
    lot: Lot,
}

impl Output {
    fn row(&mut self, row: Row) -> Result<(), Stop> {
        self.lot.bytes += weight(&row);
        self.lot.rows.push(row);
        if self.lot.rows.len() < LOT_ROWS && self.lot.bytes < LOT_BYTES {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Stop> {
        let lot = std::mem::take(&mut self.lot);
        if lot.rows.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(Ok(lot)).map_err(|_| Stop::Abandoned)
    }
}

/// Hands over what was read before it waits for more.
struct Waiting<R> {
    source: R,
    output: Option<Rc<RefCell<Output>>>,
}

impl<R: Read> Read for Waiting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(output) = &self.output
            && output.borrow_mut().flush().is_err()
        {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "nobody takes its rows"));
        }
        self.source.read(buffer)
    }
}

/// Why a list that was counted has another length.
pub(super) const CHANGED: &str = "the file of the message changed while it was read";

/// Where the rows are in what is read.
pub(super) enum Form {
    File {
        format: RowsFormat,
        encoding: &'static Encoding,
        is_stated: bool,
    },
    /// They are the list that the message in the file has under this name.
    Member(String),
}

/// What of a text does not decode.
struct Spoilt {
    places: Malformed,
    encoding: &'static Encoding,
}

impl Spoilt {
    /// Whether there is some before this octet of the text; it is not told of again.
    fn is_before(&self, end: u64) -> bool {
        let mut places = self.places.borrow_mut();
        let before = places.iter().take_while(|place| **place < end).count();
        places.drain(..before).next().is_some()
    }
}

/// What the reader's thread does.
pub(super) struct Reading {
    pub(super) form: Form,
    pub(super) output: mpsc::Sender<Result<Lot, String>>,
    /// Whoever writes it may be slow.
    pub(super) waits: bool,
    pub(super) columns: Arc<OnceLock<Vec<String>>>,
}

impl Reading {
    pub(super) fn run(self, source: Counted) {
        let output = Rc::new(RefCell::new(Output {
            sender: self.output.clone(),
            lot: Lot::default(),
        }));
        let mut work = Work {
            output: Rc::clone(&output),
            columns: self.columns,
        };
        let source = Waiting {
            source,
            output: self.waits.then(|| Rc::clone(&output)),
        };
        let end = work.read(self.form, source);
        let end = end.and_then(|()| output.borrow_mut().flush());
        if let Err(Stop::Broken(reason)) = end
            && output.borrow_mut().flush().is_ok()
        {
            // Nobody is left to tell otherwise.
            let _ = self.output.blocking_send(Err(reason));
        }
    }
}

/// The same, within its thread.
struct Work {
    output: Rc<RefCell<Output>>,
    columns: Arc<OnceLock<Vec<String>>>,
}

impl Work {
    fn read(&mut self, form: Form, source: Waiting<Counted>) -> Result<(), Stop> {
        let in_row = Rc::new(Cell::new(0));
        match form {
            Form::Member(member) => {
                let text = Text::new(source, UTF_8, true, in_row).unbounded();
                self.member(BufReader::with_capacity(TEXT_AT_ONCE, text), &member)
            }
            Form::File {
                format,
                encoding,
                is_stated,
            } => {
                let text = Text::new(source, encoding, is_stated, Rc::clone(&in_row));
                let spoilt = Spoilt {
                    places: Malformed::default(),
                    encoding,
                };
                let text = match format {
                    // Where its elements end is not told.
                    RowsFormat::Json => text,
                    _ => text.noting(Rc::clone(&spoilt.places)),
                };
                let text = BufReader::with_capacity(TEXT_AT_ONCE, text);
                match format {
                    RowsFormat::Csv { delimiter, header } => self.csv(text, delimiter, header, &in_row, &spoilt),
                    RowsFormat::Ndjson => self.ndjson(text, &in_row, &spoilt),
                    RowsFormat::Json => self.json(text, &in_row),
                }
            }
        }
    }

    fn csv(
        &mut self,
        text: impl Read,
        delimiter: u8,
        header: Header,
        in_row: &Cell<u64>,
        spoilt: &Spoilt,
    ) -> Result<(), Stop> {
        let (text, unclosed) = Quotes::of(text, delimiter);
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(text);
        let mut record = csv::StringRecord::new();
        // Whether there is another, and at which octet it ends.
        let mut next = |record: &mut csv::StringRecord| {
            in_row.set(0);
            let found = reader.read_record(record);
            let found = found.map_err(|error| Stop::Broken(csv_trouble(&error)))?;
            Ok::<_, Stop>(found.then(|| reader.position().byte()))
        };
        let is_named = matches!(header, Header::Named(_));
        let mut columns = match header {
            Header::Absent => None,
            Header::Named(names) => Some(names),
            Header::FirstRow => {
                let Some(end) = next(&mut record)? else {
                    return Ok(());
                };
                if spoilt.is_before(end) {
                    return Err(Stop::Broken(format!("its header has {}", not_text(spoilt.encoding))));
                }
                let names: Vec<String> = record.iter().map(|name| name.trim().to_owned()).collect();
                check_columns(&names, delimiter).map_err(Stop::Broken)?;
                Some(names)
            }
        };
        if let Some(columns) = &columns {
            // Set once: there is one reader.
            let _ = self.columns.set(columns.clone());
        }
        let mut is_first = true;
        while let Some(end) = next(&mut record)? {
            // A file of what failed says its columns, also where the step names those of its source.
            if std::mem::take(&mut is_first)
                && is_named
                && let Some(names) = &mut columns
                && record.iter().eq(names.iter().map(String::as_str).chain([REASON]))
            {
                names.push(REASON.to_owned());
                continue;
            }
            let line = record.position().map_or(0, csv::Position::line);
            let bad = |reason: String| {
                Err(BadRow {
                    reason,
                    raw: record.iter().map(Value::from).collect(),
                })
            };
            let unclosed = unclosed.get().filter(|open| {
                let begin = record.position().map_or(0, csv::Position::byte);
                (begin..end.max(begin + 1)).contains(&open.octet)
            });
            let row = match &columns {
                _ if spoilt.is_before(end) => bad(format!("line {line} has {}", not_text(spoilt.encoding))),
                _ if let Some(open) = unclosed => bad(format!(
                    "the quote that opens in line {} is not closed, so all that follows is in this row",
                    open.line
                )),
                None => Ok(Value::Array(record.iter().map(Value::from).collect())),
                Some(names) if names.len() != record.len() => bad(format!(
                    "line {line} has another number of fields ({}) than the header ({})",
                    record.len(),
                    names.len()
                )),
                Some(names) => {
                    let fields = names.iter().cloned().zip(record.iter().map(Value::from));
                    Ok(Value::Object(fields.collect::<Map<_, _>>()))
                }
            };
            self.output.borrow_mut().row(row)?;
        }
        Ok(())
    }

    fn ndjson(&mut self, mut text: impl BufRead, in_row: &Cell<u64>, spoilt: &Spoilt) -> Result<(), Stop> {
        let mut line = Vec::new();
        let (mut number, mut end) = (0, 0);
        loop {
            line.clear();
            in_row.set(0);
            let length = text
                .read_until(b'\n', &mut line)
                .map_err(|error| Stop::Broken(error.to_string()))?;
            if length == 0 {
                return Ok(());
            }
            number += 1;
            end += length as u64;
            let is_spoilt = spoilt.is_before(end);
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let bad = |reason: String| BadRow {
                reason,
                raw: String::from_utf8_lossy(&line).trim_end().into(),
            };
            let row = if is_spoilt {
                Err(bad(format!("line {number} has {}", not_text(spoilt.encoding))))
            } else {
                let row = serde_json::from_slice(&line);
                row.map_err(|error| bad(format!("line {number} is not JSON: {}", json_trouble(&error))))
            };
            self.output.borrow_mut().row(row)?;
        }
    }

    fn json(&mut self, text: impl Read, in_row: &Cell<u64>) -> Result<(), Stop> {
        self.each_element(text, in_row, "it is not one JSON array", |reader, each| {
            reader.deserialize_any(each)
        })
    }

    fn member(&mut self, text: impl Read, member: &str) -> Result<(), Stop> {
        self.each_element(text, &Cell::new(0), CHANGED, |reader, elements| {
            let found = reader.deserialize_any(OfMember { member, elements })?;
            found.ok_or_else(|| serde::de::Error::custom("its list is gone"))
        })
    }

    /// Hands over the elements that are read. `trouble`: what is the matter where they cannot be.
    fn each_element<R: Read>(
        &mut self,
        text: R,
        in_row: &Cell<u64>,
        trouble: &str,
        read: impl FnOnce(
            &mut serde_json::Deserializer<serde_json::de::IoRead<R>>,
            EachElement<'_>,
        ) -> serde_json::Result<()>,
    ) -> Result<(), Stop> {
        let mut stopped = None;
        let elements = EachElement {
            in_row,
            each: &mut |element| match self.output.borrow_mut().row(Ok(element)) {
                Ok(()) => true,
                Err(stop) => {
                    stopped = Some(stop);
                    false
                }
            },
        };
        let mut deserializer = serde_json::Deserializer::from_reader(text);
        let read = read(&mut deserializer, elements).and_then(|()| deserializer.end());
        match (stopped, read) {
            (Some(stop), _) => Err(stop),
            (None, Err(error)) => Err(Stop::Broken(format!("{trouble}: {error}"))),
            (None, Ok(())) => Ok(()),
        }
    }
}

/// The position that serde_json counts is within the one line that it was given.
fn json_trouble(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn csv_trouble(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    }
}

/// A header that nobody can mean.
fn check_columns(names: &[String], delimiter: u8) -> Result<(), String> {
    if let Some(name) = repeated(names) {
        return Err(format!(
            "its header has the name `{name}` twice; name the columns yourself with `\"header\": [\"…\"]` and leave that row out"
        ));
    }
    let other = [b';', b'\t', b',', b'|']
        .into_iter()
        .find(|other| *other != delimiter && names.len() == 1 && names[0].as_bytes().contains(other));
    match other {
        Some(b'\t') => Err(format!(
            "its header is one column, `{}`; say `\"delimiter\": \"\\t\"`",
            names[0].escape_debug()
        )),
        Some(other) => Err(format!(
            "its header is one column, `{}`; say `\"delimiter\": \"{}\"`",
            names[0],
            char::from(other)
        )),
        None => Ok(()),
    }
}

/// Takes the elements of a JSON array as they are read.
struct EachElement<'e> {
    in_row: &'e Cell<u64>,
    each: &'e mut dyn FnMut(Value) -> bool,
}

impl<'de> DeserializeSeed<'de> for EachElement<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EachElement<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        self.in_row.set(0);
        while let Some(element) = elements.next_element_seed(Plain)? {
            self.in_row.set(0);
            if !(self.each)(element) {
                return Err(serde::de::Error::custom("nobody takes it"));
            }
        }
        Ok(())
    }
}

struct Plain;

impl<'de> DeserializeSeed<'de> for Plain {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }
}
