//! The elements of a merge, a batch at a time: from a list that is there, or from a file that is read as it is sent.
//!
//! A file is read by a thread of its own, a few hundred rows ahead of the connector, and no further. So what is held of it
//! does not depend on its length. Where rows are long it is fewer of them: what is read ahead has a bound in octets too.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use encoding_rs::{Encoding, UTF_8};
use pipepost_engine::files::{FileError, RunFiles};
use pipepost_flowspec::{RowsFile, RowsFormat};
use serde_json::Value;
use tokio::sync::mpsc;

use super::message_rows::MessageRows;
use super::reader::{CHANGED, Form, Lot, Reading};
use super::text::Counted;

/// Lots that wait for the merge.
const LOTS: usize = 4;

/// No more is read ahead, to find out whether a file is short, once so much is held, in octets.
const AHEAD_BYTES: usize = 2 << 20;

/// One row: an element, or why it is none.
pub(super) type Row = Result<Value, BadRow>;

/// About how much memory a row takes, in octets.
pub(super) fn weight(row: &Row) -> usize {
    match row {
        Ok(element) => size(element),
        Err(bad) => bad.reason.len() + size(&bad.raw),
    }
}

/// About how much memory a value takes, in octets.
fn size(value: &Value) -> usize {
    const OWN: usize = size_of::<Value>();
    OWN + match value {
        Value::String(text) => text.len(),
        Value::Array(elements) => elements.iter().map(size).sum(),
        // A name is a text of its own, and its place in the index is taken twice.
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| 2 * OWN + name.len() + size(member))
            .sum(),
        _ => 0,
    }
}

/// A row that is no element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadRow {
    /// Why, as the end of a sentence.
    pub(super) reason: String,
    /// What the file has there: the fields, or the line.
    pub(super) raw: Value,
}

/// The elements of a merge.
pub(super) enum Elements<'a> {
    List(Cow<'a, [Value]>),
    File(FileRows),
}

impl Elements<'_> {
    /// Begins at the first.
    pub(super) fn cursor(&mut self) -> Cursor<'_> {
        match self {
            Self::List(elements) => Cursor::List { elements, next: 0 },
            Self::File(rows) => Cursor::File(rows),
        }
    }
}

/// Some elements that follow each other.
pub(super) struct Chunk<'a> {
    /// The place of the first among all elements.
    pub(super) first: usize,
    rows: Rows<'a>,
}

enum Rows<'a> {
    Borrowed(&'a [Value]),
    Read(Vec<Row>),
    /// So many that nobody needs any more.
    Gone(usize),
}

impl Chunk<'_> {
    pub(super) fn range(&self) -> Range<usize> {
        let length = match &self.rows {
            Rows::Borrowed(elements) => elements.len(),
            Rows::Read(rows) => rows.len(),
            Rows::Gone(count) => *count,
        };
        self.first..self.first + length
    }

    /// The element at a place among all, unless they are gone.
    pub(super) fn element(&self, index: usize) -> Option<Result<&Value, &BadRow>> {
        match &self.rows {
            Rows::Borrowed(elements) => Some(Ok(&elements[index - self.first])),
            Rows::Read(rows) => Some(rows[index - self.first].as_ref()),
            Rows::Gone(_) => None,
        }
    }

    /// Lets go of the elements, once their messages are made.
    pub(super) fn let_go(&mut self) {
        self.rows = Rows::Gone(self.range().len());
    }
}

/// Goes through the elements.
pub(super) enum Cursor<'a> {
    List { elements: &'a [Value], next: usize },
    File(&'a mut FileRows),
}

impl<'a> Cursor<'a> {
    /// Returns how many elements there are; for a file only once all were read ahead. So many are read ahead for that, if
    /// they are short.
    pub(super) async fn total(&mut self, most: usize) -> Option<usize> {
        match self {
            Self::List { elements, .. } => Some(elements.len()),
            Self::File(rows) if rows.known.is_some() => rows.known,
            // It may take any time to find out.
            Self::File(rows) if rows.size.is_none() => rows.is_over.then_some(rows.next + rows.ahead.len()),
            Self::File(rows) => {
                rows.read_ahead(most, AHEAD_BYTES).await;
                rows.is_over.then_some(rows.next + rows.ahead.len())
            }
        }
    }

    /// Returns some of the elements that were read and not taken, of those that may never end; none when all were taken. Nothing
    /// more is read from now on.
    pub(super) fn rest(&mut self, most: usize, bytes: usize) -> Option<Chunk<'a>> {
        match self {
            Self::List { .. } => None,
            Self::File(rows) => rows.rest(most, bytes),
        }
    }

    /// Returns whether the elements may never end.
    pub(super) fn is_endless(&self) -> bool {
        matches!(self, Self::File(rows) if rows.size.is_none())
    }

    /// Returns why the elements ended before their end, as the end of a sentence.
    pub(super) fn trouble(&self) -> Option<&str> {
        match self {
            Self::List { .. } => None,
            Self::File(rows) => rows.broken.as_deref(),
        }
    }

    /// Returns at most so many of the next elements, and none after those that take `bytes` octets; none at the end. Given up,
    /// it has taken none.
    pub(super) async fn next(&mut self, most: usize, bytes: usize) -> Option<Chunk<'a>> {
        match self {
            Self::List { elements, next } => {
                let first = *next;
                *next = first + together(elements[first..].iter().take(most), bytes);
                (first < *next).then(|| Chunk {
                    first,
                    rows: Rows::Borrowed(&elements[first..*next]),
                })
            }
            Self::File(rows) => rows.next(most, bytes).await,
        }
    }
}

/// The rows of a file, as they come from its reader.
#[derive(Debug)]
pub(super) struct FileRows {
    lots: mpsc::Receiver<Result<Lot, String>>,
    ahead: VecDeque<Row>,
    /// About how much they take, in octets.
    ahead_bytes: usize,
    next: usize,
    is_over: bool,
    /// Why the file ended before its end.
    pub(super) broken: Option<String>,
    /// How many there are, where that is known before they are read.
    known: Option<usize>,
    read: Arc<AtomicU64>,
    /// The file's length in octets, as it was opened; standard input has none.
    size: Option<u64>,
    /// The file's name; none for standard input, and for a list of the message.
    pub(super) name: Option<String>,
    /// The columns, once they are known, for files in the source's own form.
    pub(super) columns: Arc<OnceLock<Vec<String>>>,
    /// What is between the fields of a CSV file.
    pub(super) delimiter: u8,
    pub(super) is_csv: bool,
    /// The encoding, where it was stated.
    pub(super) encoding: Option<&'static Encoding>,
}

impl FileRows {
    /// Opens the file and begins to read it.
    ///
    /// # Errors
    /// Returns a clause without a full stop.
    pub(super) fn open(file: &RowsFile, files: &RunFiles, has_input: bool) -> Result<Self, String> {
        let name = &file.name;
        let encoding = match &file.encoding {
            None => UTF_8,
            Some(label) => Encoding::for_label(label.as_bytes())
                .ok_or_else(|| format!("there is no encoding `{label}`; usual ones are `utf-8` and `windows-1252`"))?,
        };
        let (source, size): (Box<dyn Read + Send>, _) = if name == RowsFile::STANDARD_INPUT {
            if !has_input {
                return Err(
                    "the rows cannot come from standard input here: it is not there, or it is the run's message"
                        .to_owned(),
                );
            }
            (Box::new(io::stdin()), None)
        } else {
            let opened = files.open(name).map_err(|error| match error {
                FileError::NotFound => format!("there is no file `{name}` among the files of the run"),
                other => format!("the file `{name}`: {other}"),
            })?;
            // What is appended meanwhile, by whomever, is not of this list.
            let size = opened.size();
            (Box::new(opened.into_reader().take(size)), Some(size))
        };
        let form = Form::File {
            format: file.format.clone(),
            encoding,
            is_stated: file.encoding.is_some(),
        };
        Ok(Self {
            delimiter: match file.format {
                RowsFormat::Csv { delimiter, .. } => delimiter,
                RowsFormat::Ndjson | RowsFormat::Json => b',',
            },
            is_csv: matches!(file.format, RowsFormat::Csv { .. }),
            encoding: file.encoding.as_ref().map(|_| encoding),
            name: size.map(|_| name.clone()),
            ..Self::begin(source, size, form)
        })
    }

    /// Begins to read the list of a message that stayed in its file.
    ///
    /// # Errors
    /// Returns a clause without a full stop.
    pub(super) fn of_message(rows: MessageRows) -> Result<Self, String> {
        let rows = rows
            .rewound()
            .map_err(|error| format!("the file of the message: {error}"))?;
        Ok(Self {
            known: Some(rows.count),
            ..Self::begin(Box::new(rows.file), Some(rows.size), Form::Member(rows.member))
        })
    }

    fn begin(source: Box<dyn Read + Send>, size: Option<u64>, form: Form) -> Self {
        let (sender, lots) = mpsc::channel(LOTS);
        let read = Arc::new(AtomicU64::new(0));
        let columns = Arc::default();
        let work = Reading {
            form,
            output: sender,
            columns: Arc::clone(&columns),
            waits: size.is_none(),
        };
        let counted = Counted {
            source,
            read: Arc::clone(&read),
        };
        // It ends with the file, or when nobody takes its rows any more. Whoever writes to standard input may say nothing
        // for ever: no runtime waits for a thread of its own.
        if size.is_some() {
            tokio::task::spawn_blocking(move || work.run(counted));
        } else {
            std::thread::spawn(move || work.run(counted));
        }
        Self {
            lots,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            next: 0,
            is_over: false,
            broken: None,
            known: None,
            read,
            size,
            name: None,
            columns,
            delimiter: b',',
            is_csv: false,
            encoding: None,
        }
    }

    /// How much of the file was read, and its length, in octets; none for standard input.
    pub(super) fn progress(&self) -> Option<(Arc<AtomicU64>, u64)> {
        Some((Arc::clone(&self.read), self.size?))
    }

    async fn read_ahead(&mut self, most: usize, bytes: usize) {
        while !self.is_over && self.ahead.len() < most && self.ahead_bytes < bytes {
            match self.lots.recv().await {
                Some(Ok(lot)) => {
                    self.ahead.extend(lot.rows);
                    self.ahead_bytes += lot.bytes;
                }
                Some(Err(reason)) => self.broken = Some(reason),
                None => {
                    self.is_over = true;
                    let is_short = self.known.is_some_and(|known| self.next + self.ahead.len() != known);
                    if is_short && self.broken.is_none() {
                        self.broken = Some(CHANGED.to_owned());
                    }
                }
            }
        }
    }

    /// Waits for one row, and takes what has come with it: whoever writes them may write slowly.
    async fn read_what_comes(&mut self, most: usize, bytes: usize) {
        if self.ahead.is_empty() {
            self.read_ahead(1, bytes).await;
        }
        self.take_what_came(most, bytes);
    }

    fn take_what_came(&mut self, most: usize, bytes: usize) {
        while self.ahead.len() < most && self.ahead_bytes < bytes {
            match self.lots.try_recv() {
                Ok(Ok(lot)) => {
                    self.ahead.extend(lot.rows);
                    self.ahead_bytes += lot.bytes;
                }
                Ok(Err(reason)) => self.broken = Some(reason),
                Err(_) => return,
            }
        }
    }

    async fn next<'a>(&mut self, most: usize, bytes: usize) -> Option<Chunk<'a>> {
        if self.size.is_none() {
            self.read_what_comes(most, bytes).await;
        } else {
            self.read_ahead(most, bytes).await;
        }
        self.take(most, bytes)
    }

    /// Some of what was read already, and no further lot after that.
    fn rest<'a>(&mut self, most: usize, bytes: usize) -> Option<Chunk<'a>> {
        self.lots.close();
        self.take_what_came(most, bytes);
        self.take(most, bytes)
    }

    fn take<'a>(&mut self, most: usize, bytes: usize) -> Option<Chunk<'a>> {
        let first = self.next;
        let (mut rows, mut held) = (Vec::new(), 0);
        while rows.len() < most && held < bytes {
            let Some(row) = self.ahead.pop_front() else { break };
            held += weight(&row);
            rows.push(row);
        }
        self.ahead_bytes = self.ahead_bytes.saturating_sub(held);
        self.next += rows.len();
        (!rows.is_empty()).then_some(Chunk {
            first,
            rows: Rows::Read(rows),
        })
    }
}

/// How many of these go into one chunk: at least one, and none after the one that fills it.
fn together<'v>(elements: impl Iterator<Item = &'v Value>, bytes: usize) -> usize {
    let mut held = 0;
    let has_room = |element: &&Value| {
        held < bytes && {
            held += size(element);
            true
        }
    };
    elements.take_while(has_room).count()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use serde_json::json;

    use super::super::reader::LOT_BYTES;
    use super::*;

    async fn read(name: &str, content: &[u8], further: Value) -> (Vec<Row>, Option<String>) {
        let files = RunFiles::temporary(None).expect("a folder");
        files
            .write(name, content, pipepost_engine::files::Existing::Fail)
            .expect("a file");
        let mut described = json!({ "file": name });
        if let (Value::Object(all), Value::Object(further)) = (&mut described, further) {
            all.extend(further);
        }
        let file = RowsFile::read(&described).expect("a file").expect("a good one");
        let mut rows = FileRows::open(&file, &files, false).expect("it opens");
        let mut all = Vec::new();
        while let Some(chunk) = rows.next(100, 1 << 20).await {
            assert_eq!(chunk.first, all.len());
            for index in chunk.range() {
                all.push(
                    chunk
                        .element(index)
                        .expect("it is there")
                        .cloned()
                        .map_err(Clone::clone),
                );
            }
        }
        (all, rows.broken)
    }

    async fn good(name: &str, content: &[u8], further: Value) -> Vec<Value> {
        let (rows, broken) = read(name, content, further).await;
        assert_eq!(broken, None);
        rows.into_iter().map(|row| row.expect("an element")).collect()
    }

    #[tokio::test]
    async fn each_format_gives_its_rows() {
        let both = vec![json!({"name": "Ann", "n": "1"}), json!({"name": "B\nb", "n": ""})];
        let csv = "name,n\nAnn,1\n\"B\nb\",\n";
        assert_eq!(good("a.csv", csv.as_bytes(), json!({})).await, both);
        let other = csv.replace(',', ";");
        assert_eq!(good("a.csv", other.as_bytes(), json!({"delimiter": ";"})).await, both);
        assert_eq!(good("a.tsv", csv.replace(',', "\t").as_bytes(), json!({})).await, both);
        assert_eq!(
            good("a.csv", b"Ann,1\n", json!({"header": false})).await,
            vec![json!(["Ann", "1"])]
        );
        assert_eq!(
            good("a.csv", b"Ann,1\n", json!({"header": ["name", "n"]})).await,
            vec![json!({"name": "Ann", "n": "1"})]
        );
        assert_eq!(good("a.csv", b"", json!({})).await, Vec::<Value>::new());
        assert_eq!(
            good("a.ndjson", b"{\"n\": 1}\r\n\n[2]", json!({})).await,
            vec![json!({"n": 1}), json!([2])]
        );
        assert_eq!(
            good("a.json", b" [1, {\"n\": [2]} ] \n", json!({})).await,
            vec![json!(1), json!({"n": [2]})]
        );
        assert_eq!(good("a.json", b"[]", json!({})).await, Vec::<Value>::new());
    }

    #[tokio::test]
    async fn encodings_and_marks_are_read() {
        let expected = vec![json!({"name": "José"})];
        assert_eq!(
            good("a.csv", "\u{feff}name\nJosé".as_bytes(), json!({})).await,
            expected
        );
        assert_eq!(
            good("a.csv", b"name\nJos\xe9", json!({"encoding": "windows-1252"})).await,
            expected
        );
        let utf16: Vec<u8> = "\u{feff}name\nJosé".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(good("a.csv", &utf16, json!({})).await, expected);
        let (rows, broken) = read("a.csv", b"name\nAnn\nJos\xe9", json!({})).await;
        let bad = |line: u64, raw: Value| {
            let reason =
                format!("line {line} has octets that are not UTF-8; say its `encoding`, such as `windows-1252`");
            Err(BadRow { reason, raw })
        };
        assert_eq!(broken, None);
        assert_eq!(rows, vec![Ok(json!({"name": "Ann"})), bad(3, json!(["Jos\u{fffd}"]))]);
        let (rows, broken) = read("a.ndjson", b"1\n\"Jos\xe9\"\n2\n", json!({})).await;
        assert_eq!(broken, None);
        assert_eq!(rows, vec![Ok(json!(1)), bad(2, json!("\"Jos\u{fffd}\"")), Ok(json!(2))]);
    }

    #[tokio::test]
    async fn thousands_of_rows_come_in_order() {
        let csv: String = std::iter::once("n\n".to_owned())
            .chain((0..5000).map(|n| format!("{n}\n")))
            .collect();
        let rows = good("a.csv", csv.as_bytes(), json!({})).await;
        assert_eq!(rows.len(), 5000);
        assert!(rows.iter().zip(0..).all(|(row, n)| *row == json!({"n": n.to_string()})));
        let list = Value::Array(rows.clone());
        assert_eq!(good("a.json", list.to_string().as_bytes(), json!({})).await, rows);
    }

    /// What is ahead of the merge, and what a chunk has, do not grow with the rows.
    #[tokio::test]
    async fn long_rows_come_in_small_chunks() {
        const LONG: usize = 300_000;
        let files = RunFiles::temporary(None).expect("a folder");
        let text = format!("\"{}\"\n", "x".repeat(LONG)).repeat(100);
        files
            .write("a.ndjson", text.as_bytes(), pipepost_engine::files::Existing::Fail)
            .expect("a file");
        let file = RowsFile::read(&json!({ "file": "a.ndjson" }))
            .expect("a file")
            .expect("a good one");
        let mut elements = Elements::File(FileRows::open(&file, &files, false).expect("it opens"));
        let mut cursor = elements.cursor();
        assert_eq!(cursor.total(1000).await, None, "so much is not read ahead");
        let mut all = Vec::new();
        while let Some(chunk) = cursor.next(256, 1_000_000).await {
            assert!(chunk.range().len() <= 4, "{:?}", chunk.range());
            all.extend(chunk.range());
            let Cursor::File(rows) = &cursor else { unreachable!() };
            assert!(
                rows.ahead_bytes < AHEAD_BYTES + LOT_BYTES + 2 * LONG,
                "{}",
                rows.ahead_bytes
            );
            assert_eq!(rows.ahead_bytes, rows.ahead.iter().map(weight).sum::<usize>());
        }
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        let values: Vec<Value> = (0..100).map(|_| Value::from("x".repeat(LONG))).collect();
        let mut elements = Elements::List(values.into());
        let mut cursor = elements.cursor();
        let (mut taken, mut most) = (0, 0);
        while let Some(chunk) = cursor.next(256, 1_000_000).await {
            assert_eq!(chunk.first, taken);
            taken += chunk.range().len();
            most = most.max(chunk.range().len());
        }
        assert_eq!((taken, most), (100, 4));
    }

    #[tokio::test]
    async fn one_bad_row_leaves_the_others() {
        let (rows, broken) = read("a.csv", b"a,b\n1,2\n3\n4,5\n", json!({})).await;
        assert_eq!(broken, None);
        assert_eq!(
            rows,
            vec![
                Ok(json!({"a": "1", "b": "2"})),
                Err(BadRow {
                    reason: "line 3 has another number of fields (1) than the header (2)".to_owned(),
                    raw: json!(["3"]),
                }),
                Ok(json!({"a": "4", "b": "5"})),
            ]
        );
        let (rows, broken) = read("a.ndjson", b"1\n{\n3\n", json!({})).await;
        assert_eq!(broken, None);
        assert_eq!(rows[0], Ok(json!(1)));
        assert_eq!(
            rows[1],
            Err(BadRow {
                reason: "line 2 is not JSON: EOF while parsing an object".to_owned(),
                raw: json!("{"),
            })
        );
        assert_eq!(rows[2], Ok(json!(3)));
    }

    #[tokio::test]
    async fn what_is_no_such_file_is_said() {
        for (name, content, words) in [
            ("a.csv", "name;email\nAnn;a@b\n", "say `\"delimiter\": \";\"`"),
            ("a.csv", "a,a\n1,2\n", "the name `a` twice"),
            (
                "a.json",
                "{\"rows\": []}",
                "it is not one JSON array: invalid type: map, expected an array",
            ),
            ("a.json", "[1, 2", "it is not one JSON array: EOF"),
            ("a.json", "[1] 2", "it is not one JSON array: trailing"),
        ] {
            let (_, broken) = read(name, content.as_bytes(), json!({})).await;
            let broken = broken.unwrap_or_default();
            assert!(broken.contains(words), "{content}: {broken}");
        }
        let (rows, broken) = read("a.json", b"[1, 2", json!({})).await;
        assert_eq!(
            (rows, broken.is_some()),
            (vec![Ok(json!(1)), Ok(json!(2))], true),
            "what came before it stands"
        );
    }

    #[tokio::test]
    async fn a_quote_that_never_ends_is_no_row_of_gigabytes() {
        let mut content = b"a,b\n\"".to_vec();
        content.resize(40 << 20, b'x');
        let (rows, broken) = read("a.csv", &content, json!({})).await;
        assert_eq!(rows, vec![]);
        assert_eq!(
            broken.as_deref(),
            Some("a row is longer than 32 MiB; a quote may be missing before it")
        );
    }

    #[tokio::test]
    async fn who_stops_taking_ends_the_reader() {
        let files = RunFiles::temporary(None).expect("a folder");
        let csv = format!("n\n{}", "1\n".repeat(100_000));
        files
            .write("a.csv", csv.as_bytes(), pipepost_engine::files::Existing::Fail)
            .expect("a file");
        let file = RowsFile::read(&json!({ "file": "a.csv" }))
            .expect("a file")
            .expect("a good one");
        let mut rows = FileRows::open(&file, &files, false).expect("it opens");
        assert!(rows.next(10, 1 << 20).await.is_some());
        let (read, size) = rows.progress().expect("a file");
        drop(rows);
        // The thread lets go of its count when it has ended.
        while Arc::strong_count(&read) > 1 {
            tokio::task::yield_now().await;
        }
        assert!(read.load(Ordering::Relaxed) < size, "it read no further");
    }
}
