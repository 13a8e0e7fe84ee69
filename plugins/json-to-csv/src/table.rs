//! Rows and columns, and how a value becomes a cell.

use std::borrow::Cow;
use std::io::{self, Write};

use csv::{QuoteStyle, Terminator, Writer, WriterBuilder};
use indexmap::{IndexMap, IndexSet};
use pipepost_sdk::Failure;
use serde_json::value::RawValue;

use crate::{EndOfLine, Parameters};

/// One object, its values as the JSON text that they are: no number is rounded on the way to its cell.
pub(crate) type Row = IndexMap<String, Box<RawValue>>;

/// What is to be written.
pub(crate) struct Table<'p> {
    parameters: &'p Parameters,
    columns: Vec<&'p str>,
    delimiter: u8,
}

impl<'p> Table<'p> {
    pub(crate) fn new(parameters: &'p Parameters) -> Result<Self, Failure> {
        let columns = if parameters.headers.is_empty() {
            let keys = parameters.body.iter().flat_map(Row::keys).map(String::as_str);
            keys.collect::<IndexSet<_>>().into_iter().collect()
        } else {
            parameters.headers.iter().map(String::as_str).collect()
        };
        Ok(Self {
            parameters,
            columns,
            delimiter: delimiter(&parameters.delimiter)?,
        })
    }

    /// Everything, line after line; gives back what it was written to.
    pub(crate) fn write<W: Write>(&self, to: W) -> Result<W, Failure> {
        let mut csv = self.csv().from_writer(to);
        self.each_record(|cells| Ok(write_record(&mut csv, &cells)?))?;
        Ok(csv.into_inner().map_err(|error| error.into_error())?)
    }

    /// The lines, without their ends.
    pub(crate) fn lines(&self) -> Result<Vec<String>, Failure> {
        let mut lines = Vec::new();
        self.each_record(|cells| {
            let mut csv = self.csv().buffer_capacity(256).from_writer(Vec::new());
            write_record(&mut csv, &cells)?;
            let line = csv.into_inner().map_err(|error| error.into_error())?;
            let line = String::from_utf8(line).map_err(io::Error::other)?;
            lines.push(line.trim_end_matches(['\r', '\n']).to_owned());
            Ok(())
        })?;
        Ok(lines)
    }

    fn csv(&self) -> WriterBuilder {
        let mut builder = WriterBuilder::new();
        builder.delimiter(self.delimiter);
        if self.parameters.generate_columns_with_quotes {
            builder.quote_style(QuoteStyle::Always);
        }
        builder.terminator(match self.parameters.end_of_line_policy {
            EndOfLine::Windows => Terminator::CRLF,
            EndOfLine::Linux => Terminator::Any(b'\n'),
        });
        builder
    }

    fn each_record(&self, mut take: impl FnMut(Vec<Cow<'_, str>>) -> io::Result<()>) -> Result<(), Failure> {
        if self.columns.is_empty() {
            return Ok(());
        }
        if self.parameters.show_headers {
            take(
                self.columns
                    .iter()
                    .map(|name| self.text(Cow::Borrowed(*name)))
                    .collect(),
            )?;
        }
        for (row, number) in self.parameters.body.iter().zip(1..) {
            let cells = self.columns.iter().map(|column| self.cell(row, number, column));
            take(cells.collect::<Result<_, _>>()?)?;
        }
        Ok(())
    }

    /// Text as it is, null and absent as nothing, everything else as its JSON text.
    fn cell<'v>(&self, row: &'v Row, number: usize, column: &str) -> Result<Cow<'v, str>, Failure> {
        let json = row.get(column).map_or("null", |value| value.get());
        match json.chars().next() {
            Some('"') => serde_json::from_str(json)
                .map(|text| self.text(Cow::Owned(text)))
                .map_err(|error| Failure::invalid(format!("Row {number}, `{column}`: {error}."))),
            Some('n') => Ok(Cow::Borrowed("")),
            Some('{' | '[') if !self.parameters.coalesce => Err(Failure::invalid(format!(
                "Row {number}, `{column}` holds an object or an array, which is no cell."
            ))
            .with_advice("Name the columns with `headers`, or turn `coalesce` on to write JSON text.")),
            _ => Ok(Cow::Borrowed(json)),
        }
    }

    /// What a spreadsheet would take for a formula begins with one of these. Numbers never come here: -5 stays -5.
    fn text<'t>(&self, text: Cow<'t, str>) -> Cow<'t, str> {
        if self.parameters.escape_formulas && text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
            return Cow::Owned(format!("'{text}"));
        }
        text
    }
}

fn write_record<W: Write>(csv: &mut Writer<W>, cells: &[Cow<'_, str>]) -> csv::Result<()> {
    csv.write_record(cells.iter().map(|cell| cell.as_bytes()))
}

fn delimiter(text: &str) -> Result<u8, Failure> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => Ok(*byte),
        _ => Err(Failure::invalid(
            "`delimiter` must be one ASCII character, neither a quote nor a line break.",
        )),
    }
}
