//! The JSON to CSV step: an array of objects becomes a CSV file of the run (RFC 4180), ready to be attached.
//!
//! It needs no network, no account, no clock and no randomness, and its component can reach none of them.
#![forbid(unsafe_code)]

mod table;

use std::io::Write as _;

use pipepost_sdk::{Call, Each, Failure, List, NewFileWriter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use table::{Row, Table};

/// The connector.
#[derive(Debug)]
pub struct JsonToCsv;

/// The parameters of the step.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Parameters {
    /// The rows: an array of objects, or its JSON text.
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    body: Vec<Row>,
    /// On: the CSV becomes a file. Off: the output holds its lines. By default a file, if `fileName` is given.
    output_as_file: Option<bool>,
    /// The file's name in the run's directory. A file of that name is replaced.
    #[serde(default)]
    file_name: String,
    /// Only off is allowed: a connector's file appears as a whole, so steps that add to one file at the same time would
    /// lose rows. Collect the rows and write them once, or have a file writer add the `data` lines to its file.
    #[serde(default)]
    #[schemars(extend("const" = false, "x-pipepost-alias" = "append"))]
    append_file: bool,
    /// The columns, by the keys of the objects: an array, or text with commas. By default every key, in the order of
    /// first appearance.
    #[serde(default)]
    headers: List,
    /// Whether the first line names the columns.
    #[serde(default = "yes")]
    show_headers: bool,
    /// The separator of two cells: one ASCII character, such as `;`, or `\t`.
    #[serde(default = "comma")]
    delimiter: String,
    /// On: every cell is quoted. Off: only a cell that needs it.
    #[serde(default)]
    generate_columns_with_quotes: bool,
    /// The line end: CR LF for WINDOWS, LF for LINUX.
    #[serde(default)]
    end_of_line_policy: EndOfLine,
    /// On: an object or array in a cell is written as JSON text. Off: it is an error.
    #[serde(default)]
    coalesce: bool,
    /// On: text that a spreadsheet would read as a formula begins with `'`. Use it for values that strangers wrote.
    #[serde(default)]
    escape_formulas: bool,
    /// On: the file begins with a byte order mark, by which Excel recognises UTF-8.
    #[serde(default)]
    byte_order_mark: bool,
}

fn yes() -> bool {
    true
}

fn comma() -> String {
    ",".to_owned()
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum EndOfLine {
    #[default]
    Windows,
    Linux,
}

/// The output of the step.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// True: the CSV was made.
    success: bool,
    /// The name of the file that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    /// The lines, without their line ends, if no file was wanted. A line may hold line breaks within quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Vec<String>>,
    /// The number of rows, without the headers.
    rows: usize,
}

impl Each for JsonToCsv {
    const NAME: &'static str = "json-to-csv";
    const ALIASES: &'static [&'static str] = &["json-to-csv-connector-v2", "json-to-csv-v2"];
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Turns an array of objects into a CSV file of the run.";

    type Parameters = Parameters;
    type Output = Output;

    fn call(call: &Call, parameters: Parameters) -> Result<Output, Failure> {
        let mut output = Output {
            success: true,
            file_name: None,
            data: None,
            rows: parameters.body.len(),
        };
        if parameters.append_file {
            return Err(Failure::invalid("`appendFile` is not supported.").with_advice(
                "Collect the rows and write them once, or have a file writer add the `data` lines to its file.",
            ));
        }
        let table = Table::new(&parameters)?;
        if parameters.output_as_file.unwrap_or(!parameters.file_name.is_empty()) {
            if parameters.file_name.is_empty() {
                return Err(Failure::invalid("A file is wanted, and `fileName` is empty."));
            }
            let mut file = NewFileWriter::create(call, &parameters.file_name)?;
            if parameters.byte_order_mark {
                file.write_all("\u{feff}".as_bytes())?;
            }
            table.write(file)?.finish()?;
            output.file_name = Some(parameters.file_name);
        } else {
            output.data = Some(table.lines()?);
        }
        Ok(output)
    }
}

pipepost_sdk::export_each!(JsonToCsv);

#[cfg(test)]
mod tests;
