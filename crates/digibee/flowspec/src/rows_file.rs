//! A file as the source of a mail merge: one element for each of its rows.

use serde_json::{Map, Value};

use crate::nearest;

/// A file of rows that are read as they are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsFile {
    /// The name of a file of the run; `-` is the run's standard input.
    pub name: String,
    /// How the rows are written.
    pub format: RowsFormat,
    /// The label of the file's encoding, as the Encoding Standard names it; None is UTF-8, or what a byte order mark says.
    pub encoding: Option<String>,
}

/// How the rows of a file are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowsFormat {
    /// Comma-separated values (RFC 4180).
    Csv {
        /// The octet between two fields.
        delimiter: u8,
        /// The names of the columns.
        header: Header,
    },
    /// A JSON value on each line.
    Ndjson,
    /// One JSON array, whose elements are the rows.
    Json,
}

/// The names of a CSV file's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// The first row has them. Each row is an object.
    FirstRow,
    /// There are none. Each row is an array.
    Absent,
    /// The document has them, and the first row is a row. Each row is an object.
    Named(Vec<String>),
}

/// The members that say how a file is read.
const MEMBERS: [&str; 5] = ["file", "format", "delimiter", "encoding", "header"];

impl RowsFile {
    /// The name of the run's standard input.
    pub const STANDARD_INPUT: &str = "-";

    /// Reads what a document says of a file: `{"file": "readers.csv", "delimiter": ";"}`. None if it speaks of no file.
    ///
    /// # Errors
    /// Returns a clause without a full stop, with what to do.
    pub fn read(value: &Value) -> Option<Result<Self, String>> {
        let members = value.as_object().filter(|members| members.contains_key("file"))?;
        Some(Self::of(members))
    }

    fn of(members: &Map<String, Value>) -> Result<Self, String> {
        if let Some(unknown) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
            let advice = nearest::advise(unknown, MEMBERS).map_or_else(
                || format!("; known are `{}`", MEMBERS.join("`, `")),
                |advice| format!("; {advice}"),
            );
            return Err(format!("`{unknown}` is not known beside `file`{advice}"));
        }
        let given = |name: &str| members.get(name).filter(|value| !value.is_null());
        let name = text("file", given("file"))?.unwrap_or_default();
        if name.is_empty() {
            return Err("`file` is empty; name a file of the run, or `-` for its standard input".to_owned());
        }
        let format = text("format", given("format"))?;
        let kind = match (format, ending(name)) {
            (Some(format), _) => format.to_ascii_lowercase(),
            (None, Some(ending)) => ending.to_ascii_lowercase(),
            (None, None) => String::new(),
        };
        let csv_only = |format: RowsFormat| match ["delimiter", "header"].into_iter().find(|name| given(name).is_some())
        {
            Some(name) => Err(format!("`{name}` belongs to CSV, and the rows are {kind}")),
            None => Ok(format),
        };
        let format = match kind.as_str() {
            "csv" | "tsv" => RowsFormat::Csv {
                delimiter: delimiter(given("delimiter"), if kind == "tsv" { b'\t' } else { b',' })?,
                header: header(given("header"))?,
            },
            "ndjson" | "jsonl" => csv_only(RowsFormat::Ndjson)?,
            "json" => csv_only(RowsFormat::Json)?,
            _ => {
                let of_what = match name {
                    Self::STANDARD_INPUT => "standard input has no name".to_owned(),
                    name => format!("the name `{name}` does not say how its rows are written"),
                };
                return Err(format!("{of_what}; add `\"format\"`: `csv`, `tsv`, `ndjson` or `json`"));
            }
        };
        Ok(Self {
            name: name.to_owned(),
            format,
            encoding: text("encoding", given("encoding"))?.map(str::to_owned),
        })
    }
}

fn ending(name: &str) -> Option<&str> {
    let (stem, ending) = name.rsplit_once('.')?;
    (!stem.is_empty()).then_some(ending)
}

fn text<'v>(name: &str, value: Option<&'v Value>) -> Result<Option<&'v str>, String> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim_matches([' ', '\r', '\n']))),
        Some(other) => Err(format!("`{name}` is a text, and not {other}")),
    }
}

fn delimiter(value: Option<&Value>, usual: u8) -> Result<u8, String> {
    let one = |text: &str| match text {
        "\\t" | "tab" => Some(b'\t'),
        _ => match text.as_bytes() {
            [only] if only.is_ascii() && !only.is_ascii_alphanumeric() && !b"\"\r\n".contains(only) => Some(*only),
            _ => None,
        },
    };
    match value {
        None => Ok(usual),
        Some(Value::String(text)) if one(text).is_some() => Ok(one(text).unwrap_or(usual)),
        Some(other) => Err(format!(
            "`delimiter` is one character such as `;`, or `\\t`, and not {other}"
        )),
    }
}

fn header(value: Option<&Value>) -> Result<Header, String> {
    let wrong = |value: &Value| {
        format!("`header` is true (the first row has the columns' names), false, or an array of names, and not {value}")
    };
    match value {
        None | Some(Value::Bool(true)) => Ok(Header::FirstRow),
        Some(Value::Bool(false)) => Ok(Header::Absent),
        Some(Value::String(text)) if text == "true" => Ok(Header::FirstRow),
        Some(Value::String(text)) if text == "false" => Ok(Header::Absent),
        Some(list @ Value::Array(names)) => {
            let names: Option<Vec<String>> = names.iter().map(|name| Some(name.as_str()?.to_owned())).collect();
            let names = names.filter(|names| !names.is_empty()).ok_or_else(|| wrong(list))?;
            match repeated(&names) {
                Some(name) => Err(format!("`header` has the name `{name}` twice")),
                None => Ok(Header::Named(names)),
            }
        }
        Some(other) => Err(wrong(other)),
    }
}

/// Returns the first name that the columns have twice.
pub fn repeated(names: &[String]) -> Option<&str> {
    let mut known = std::collections::HashSet::new();
    names
        .iter()
        .find(|name| !known.insert(name.as_str()))
        .map(String::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<RowsFile, String> {
        RowsFile::read(&value).expect("it speaks of a file")
    }

    #[test]
    fn the_name_says_the_format() {
        let format = |name: &str| read(json!({ "file": name })).expect("a file").format;
        let csv = |delimiter| RowsFormat::Csv {
            delimiter,
            header: Header::FirstRow,
        };
        assert_eq!(format("readers.csv"), csv(b','));
        assert_eq!(format("a/READERS.CSV"), csv(b','));
        assert_eq!(format("readers.tsv"), csv(b'\t'));
        assert_eq!(format("readers.ndjson"), RowsFormat::Ndjson);
        assert_eq!(format("readers.jsonl"), RowsFormat::Ndjson);
        assert_eq!(format("readers.json"), RowsFormat::Json);
        let given =
            read(json!({ "file": "-", "format": "CSV", "delimiter": ";", "header": ["a", "b"], "encoding": "latin1" }));
        assert_eq!(
            given,
            Ok(RowsFile {
                name: "-".to_owned(),
                format: RowsFormat::Csv {
                    delimiter: b';',
                    header: Header::Named(vec!["a".to_owned(), "b".to_owned()]),
                },
                encoding: Some("latin1".to_owned()),
            })
        );
        assert_eq!(RowsFile::read(&json!({ "name": "x" })), None);
        assert_eq!(RowsFile::read(&json!([])), None);
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_do() {
        for (value, words) in [
            (json!({ "file": "-" }), "standard input has no name; add `\"format\"`"),
            (
                json!({ "file": "readers.xlsx" }),
                "`readers.xlsx` does not say how its rows are written",
            ),
            (json!({ "file": ".csv" }), "does not say how"),
            (json!({ "file": "" }), "`file` is empty"),
            (json!({ "file": 7 }), "`file` is a text, and not 7"),
            (
                json!({ "file": "a.csv", "delimeter": ";" }),
                "the nearest known is `delimiter`",
            ),
            (json!({ "file": "a.csv", "delimiter": ";;" }), "one character"),
            (json!({ "file": "a.csv", "delimiter": "\"" }), "one character"),
            (json!({ "file": "a.csv", "header": 1 }), "`header` is true"),
            (json!({ "file": "a.csv", "header": [] }), "`header` is true"),
            (json!({ "file": "a.csv", "header": ["a", "a"] }), "the name `a` twice"),
            (
                json!({ "file": "a.json", "delimiter": ";" }),
                "`delimiter` belongs to CSV",
            ),
        ] {
            let reason = read(value.clone()).expect_err("refused");
            assert!(reason.contains(words), "{value}: {reason}");
        }
    }
}
