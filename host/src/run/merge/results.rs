//! What becomes of the messages of a merge: totals, and the results in the output or in files.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

use encoding_rs::{Encoding, UTF_8};
use pipepost_core::{Failure, FailureKind};
use pipepost_engine::files::{RunFiles, WriteError};
use serde_json::{Map, Value, json};

use super::rows::BadRow;
use crate::run::apart::{MEMBER, MergeResults};
use crate::run::calls::{Failed, Outcome};
use crate::run::encoding::encode;

/// The results that an output holds. Beyond them they belong into a file.
pub(super) const RESULTS_MAX: usize = 250_000;

/// The failures that an output shows where the results go into files.
const FAILURES_MAX: usize = 1000;

/// The column of the reason in the file of what failed.
pub(super) const REASON: &str = "failure";

/// Where the results go, besides the totals.
enum Kept {
    /// Into the output, in the order of the elements.
    Output(Vec<Option<Value>>),
    /// Apart from the output, in the order of the elements.
    Apart(MergeResults),
    /// Into files, in the order in which they end. The output shows the first failures.
    Files(Box<Files>),
}

struct Files {
    /// One line for each message.
    lines: Option<Box<dyn Write + Send>>,
    failed: Option<FailedRows>,
    failures: Vec<Value>,
}

/// The results of one merge.
pub(super) struct Results {
    kept: Kept,
    total: usize,
    sent: usize,
    failed: usize,
    uncertain: usize,
    pub(super) refused: usize,
    wrongs: Wrongs,
}

/// The totals, the failure that stands for all, and the output.
pub(super) struct Summary {
    pub(super) output: Value,
    pub(super) failure: Option<Failure>,
    pub(super) apart: Option<MergeResults>,
}

/// The file that the rows come from.
#[derive(Default)]
pub(super) struct Source<'s> {
    /// None for what is no file of the run.
    pub(super) name: Option<&'s str>,
    /// Its columns, once they are known.
    pub(super) columns: Arc<OnceLock<Vec<String>>>,
    /// What is between its fields.
    pub(super) delimiter: u8,
    /// It is a CSV file.
    pub(super) is_csv: bool,
    /// Its encoding, where that was stated.
    pub(super) encoding: Option<&'static Encoding>,
}

/// Whether two names are of one file of the run.
fn is_same(one: &str, other: &str) -> bool {
    let plain = |name: &str| -> PathBuf {
        let parts = Path::new(name).components();
        parts.filter(|part| *part != Component::CurDir).collect()
    };
    plain(one) == plain(other)
}

impl Results {
    fn new(kept: Kept) -> Self {
        Self {
            kept,
            total: 0,
            sent: 0,
            failed: 0,
            uncertain: 0,
            refused: 0,
            wrongs: Wrongs::default(),
        }
    }

    /// All go into the output.
    pub(super) fn in_output() -> Self {
        Self::new(Kept::Output(Vec::new()))
    }

    /// All are kept apart from the output.
    pub(super) fn apart() -> Self {
        Self::new(Kept::Apart(MergeResults::new()))
    }

    /// They go into the files that the document names, `{file, failed}`. `columns`: those of the source.
    ///
    /// # Errors
    /// Fails if a file cannot be opened.
    pub(super) fn in_files(
        parameter: &str,
        described: &Value,
        files: &RunFiles,
        source: Source<'_>,
    ) -> Result<Self, Failure> {
        let invalid = |message: String| Failure::new(FailureKind::Invalid, message);
        let mut members = match described {
            Value::Object(members) => members.clone(),
            _ => {
                return Err(invalid(format!(
                    "The parameter `{parameter}` is an object such as `{{\"file\": \"results.ndjson\"}}`."
                )));
            }
        };
        let mut name = |member: &str| match members.shift_remove(member) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(name)) if !name.trim().is_empty() => Ok(Some(name)),
            Some(_) => Err(invalid(format!(
                "The parameter `{parameter}.{member}` is the name of a file of the run."
            ))),
        };
        let (lines, failed) = (name("file")?, name("failed")?);
        if let Some(unknown) = members.keys().next() {
            return Err(invalid(format!(
                "The parameter `{parameter}` has `{unknown}`, which is not known there; known are `file` and `failed`."
            )));
        }
        if lines.is_none() && failed.is_none() {
            return Err(invalid(format!(
                "The parameter `{parameter}` names no file: give it `file`, `failed` or both."
            )));
        }
        // A merge that reads what it writes does not end, and what is written twice into one file nobody can read.
        let named = |one: &Option<String>, other: Option<&str>| {
            one.as_deref()
                .zip(other)
                .is_some_and(|(one, other)| is_same(one, other))
        };
        let parts = [("file", &lines), ("failed", &failed)];
        if let Some((part, _)) = parts.iter().find(|(_, name)| named(name, source.name)) {
            return Err(invalid(format!(
                "The parameter `{parameter}.{part}` is the file that the rows come from; name another one."
            )));
        }
        if named(&lines, failed.as_deref()) {
            return Err(invalid(format!(
                "The parameter `{parameter}` names one file for `file` and for `failed`; name two."
            )));
        }
        let open = |name: &str| {
            let opened = files.open_to_append(name);
            let file = opened.map_err(|error| {
                let kind = match error {
                    WriteError::Io(_) => FailureKind::Configuration,
                    _ => FailureKind::Invalid,
                };
                Failure::new(
                    kind,
                    format!("The file `{name}` of `{parameter}` cannot be written: {error}."),
                )
            })?;
            Ok::<Box<dyn Write + Send>, Failure>(Box::new(BufWriter::with_capacity(64 * 1024, file)))
        };
        let lines = lines.as_deref().map(open).transpose()?;
        let failed = match failed {
            None => None,
            Some(name) => {
                let form = FailedForm::of(&name, &source).ok_or_else(|| {
                    invalid(format!(
                        "The file of `{parameter}.failed` is written row by row, and `{name}` would be one JSON array: name it `.csv` or \
                         `.ndjson`."
                    ))
                })?;
                let file = in_encoding(open(&name)?, source.encoding);
                Some(FailedRows::new(form, file, source.columns))
            }
        };
        Ok(Self::new(Kept::Files(Box::new(Files {
            lines,
            failed,
            failures: Vec::new(),
        }))))
    }

    /// Returns whether the output holds all results.
    pub(super) fn are_held(&self) -> bool {
        matches!(self.kept, Kept::Output(_))
    }

    /// Returns whether the elements themselves are needed, where their messages failed.
    pub(super) fn needs_elements(&self) -> bool {
        matches!(&self.kept, Kept::Files(files) if files.failed.is_some())
    }

    /// Adds how a message ended. `index`: the place of its element; the element itself may be missing where it is not
    /// needed.
    ///
    /// # Errors
    /// Fails if a file cannot be written.
    pub(super) fn add(
        &mut self,
        index: usize,
        element: Option<Result<&Value, &BadRow>>,
        outcome: Outcome,
    ) -> io::Result<()> {
        self.total += 1;
        let failure = outcome.as_ref().err().map(|wrong| wrong.failure.kind);
        match failure {
            None => self.sent += 1,
            Some(FailureKind::Uncertain) => self.uncertain += 1,
            Some(_) => self.failed += 1,
        }
        let (output, reason) = match outcome {
            Ok(output) => (output, None),
            Err(wrong) => {
                let output = wrong.output();
                let reason = wrong.failure.message.clone();
                self.wrongs.add(index, wrong);
                (output, Some(reason))
            }
        };
        match &mut self.kept {
            Kept::Output(results) => {
                if results.len() <= index {
                    results.resize_with(index + 1, || None);
                }
                results[index] = Some(output);
                Ok(())
            }
            Kept::Apart(results) => results.add(index, &output),
            Kept::Files(files) => {
                let Files {
                    lines,
                    failed,
                    failures,
                } = &mut **files;
                let output = numbered(index, output);
                if let Some(lines) = lines {
                    serde_json::to_writer(&mut *lines, &output)?;
                    lines.write_all(b"\n")?;
                }
                // Who sends an uncertain one again may send it twice.
                if let (Some(failed), Some(reason), Some(element)) = (failed, &reason, element)
                    && failure != Some(FailureKind::Uncertain)
                {
                    failed.add(element, reason)?;
                }
                if reason.is_some() && failures.len() < FAILURES_MAX {
                    failures.push(output);
                }
                Ok(())
            }
        }
    }

    /// Hands what was written so far to the operating system, so that it outlives this process.
    ///
    /// # Errors
    /// Fails if a file cannot be written.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Kept::Files(files) = &mut self.kept else {
            return Ok(());
        };
        if let Some(lines) = &mut files.lines {
            lines.flush()?;
        }
        files.failed.as_mut().map_or(Ok(()), FailedRows::flush)
    }

    /// Sums up. `stops`: a failure ends the run. `broken`: why the merge ended before its last element.
    pub(super) fn summary(self, stops: bool, broken: Option<Failure>) -> Summary {
        let Self {
            kept,
            total,
            sent,
            failed,
            uncertain,
            refused,
            wrongs,
        } = self;
        let chief = wrongs.chief(stops).map(|(index, failure)| {
            let many = failed + uncertain;
            let message = format!(
                "{many} of {total} messages {} not confirmed as sent; item {}: {}",
                if many == 1 { "was" } else { "were" },
                index + 1,
                failure.message
            );
            Failure { message, ..failure }
        });
        // What nobody can tell the outcome of is never hidden behind another failure.
        let failure = match (chief, broken) {
            (Some(chief), Some(broken)) if chief.kind == FailureKind::Uncertain => {
                let message = format!("{} {}", chief.message, broken.message);
                Some(Failure { message, ..chief })
            }
            (Some(chief), Some(broken)) => {
                let message = format!("{} {}", broken.message, chief.message);
                Some(Failure { message, ..broken })
            }
            (chief, broken) => chief.or(broken),
        };
        let mut output = json!({
            "total": total,
            "sent": sent,
            "failed": failed,
            "uncertain": uncertain,
            "refusedRecipients": refused,
            "success": failure.is_none(),
            "failure": failure,
        });
        let mut apart = None;
        if let Value::Object(members) = &mut output {
            match kept {
                Kept::Output(results) => {
                    let results = results.into_iter().flatten().collect();
                    members.insert(MEMBER.to_owned(), Value::Array(results));
                }
                Kept::Apart(results) => apart = Some(results),
                Kept::Files(files) => {
                    members.insert("failures".to_owned(), Value::Array(files.failures));
                }
            }
        }
        Summary { output, failure, apart }
    }
}

/// An output with the number of its element, which comes first.
fn numbered(index: usize, output: Value) -> Value {
    let mut numbered = Map::new();
    numbered.insert("item".to_owned(), (index + 1).into());
    match output {
        Value::Object(members) => numbered.extend(members),
        other => drop(numbered.insert("output".to_owned(), other)),
    }
    Value::Object(numbered)
}

/// The elements whose messages were not sent, as their source has them, with the reason.
enum FailedRows {
    Csv {
        writer: Box<csv::Writer<Box<dyn Write + Send>>>,
        columns: Arc<OnceLock<Vec<String>>>,
        has_begun: bool,
    },
    Ndjson(Box<dyn Write + Send>),
}

impl FailedRows {
    fn new(form: FailedForm, file: Box<dyn Write + Send>, columns: Arc<OnceLock<Vec<String>>>) -> Self {
        match form {
            FailedForm::Csv(delimiter) => Self::Csv {
                writer: Box::new(
                    csv::WriterBuilder::new()
                        .delimiter(delimiter)
                        .flexible(true)
                        .from_writer(file),
                ),
                columns,
                has_begun: false,
            },
            FailedForm::Ndjson => Self::Ndjson(file),
        }
    }

    fn add(&mut self, element: Result<&Value, &BadRow>, reason: &str) -> io::Result<()> {
        match self {
            Self::Ndjson(file) => {
                let row = match element {
                    Ok(Value::Object(members)) => {
                        let mut members = members.clone();
                        members.insert(REASON.to_owned(), reason.into());
                        Value::Object(members)
                    }
                    Ok(other) => json!({ "item": other, REASON: reason }),
                    Err(bad) => json!({ "item": bad.raw, REASON: reason }),
                };
                serde_json::to_writer(&mut *file, &row)?;
                file.write_all(b"\n")
            }
            Self::Csv {
                writer,
                columns,
                has_begun,
            } => {
                // A source that has no columns gives those of its first element.
                let columns = columns.get_or_init(|| match element {
                    Ok(Value::Object(members)) => members.keys().cloned().collect(),
                    _ => Vec::new(),
                });
                // A file that is sent again has the reason of the last time.
                let own = || columns.iter().filter(|name| *name != REASON);
                if !std::mem::replace(has_begun, true) && !columns.is_empty() {
                    writer.write_record(own().map(String::as_str).chain([REASON]))?;
                }
                let mut fields: Vec<String> = match element {
                    Ok(Value::Object(members)) => own().map(|name| field(members.get(name))).collect(),
                    Ok(Value::Array(elements)) => elements.iter().map(|element| field(Some(element))).collect(),
                    Ok(other) => vec![field(Some(other))],
                    Err(bad) => match &bad.raw {
                        Value::Array(fields) => fields.iter().map(|one| field(Some(one))).collect(),
                        other => vec![field(Some(other))],
                    },
                };
                // The reason keeps to its column where fields are missing.
                fields.resize(fields.len().max(own().count()), String::new());
                writer.write_record(fields.iter().map(String::as_str).chain([reason]))?;
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Csv { writer, .. } => writer.flush(),
            Self::Ndjson(file) => file.flush(),
        }
    }
}

/// How the elements that failed are written: so that the file can be named as `items` of the same step.
enum FailedForm {
    Csv(u8),
    Ndjson,
}

impl FailedForm {
    /// By the name's ending; without one, as the source is.
    fn of(name: &str, source: &Source<'_>) -> Option<Self> {
        let ending = Path::new(name).extension().and_then(|ending| ending.to_str());
        match ending.map(str::to_ascii_lowercase).as_deref() {
            Some("csv") => Some(Self::Csv(source.delimiter)),
            Some("tsv") => Some(Self::Csv(b'\t')),
            Some("json") => None,
            None if source.is_csv => Some(Self::Csv(source.delimiter)),
            _ => Some(Self::Ndjson),
        }
    }
}

/// A writer of text that is stored in the encoding of the source, which the step states for whatever it reads.
fn in_encoding(file: Box<dyn Write + Send>, encoding: Option<&'static Encoding>) -> Box<dyn Write + Send> {
    match encoding.filter(|encoding| *encoding != UTF_8) {
        None => file,
        Some(encoding) => Box::new(Encoded {
            file,
            encoding,
            cut: Vec::new(),
        }),
    }
}

struct Encoded {
    file: Box<dyn Write + Send>,
    encoding: &'static Encoding,
    /// The beginning of a character whose rest has not come yet.
    cut: Vec<u8>,
}

impl Write for Encoded {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut all = std::mem::take(&mut self.cut);
        all.extend_from_slice(octets);
        let whole = match std::str::from_utf8(&all) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let text = String::from_utf8_lossy(&all[..whole]);
        let (encoded, _) = encode(&text, self.encoding);
        self.file.write_all(&encoded)?;
        self.cut = all.split_off(whole);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn field(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Failures by their kind: how many, and the first of them.
#[derive(Default)]
struct Wrongs {
    kinds: BTreeMap<FailureKind, (usize, usize, Failure)>,
}

impl Wrongs {
    fn add(&mut self, index: usize, wrong: Failed) {
        let kind = wrong.failure.kind;
        let (count, first, failure) = self
            .kinds
            .entry(kind)
            .or_insert_with(|| (0, usize::MAX, wrong.failure.clone()));
        *count += 1;
        // They come in the order of their ends.
        if index < *first {
            (*first, *failure) = (index, wrong.failure);
        }
    }

    /// The failure that stands for all, with its element: the first, where it stopped the rest; else one that nobody
    /// can tell the outcome of, else the first of the most frequent kind.
    fn chief(mut self, stops: bool) -> Option<(usize, Failure)> {
        let uncertain = self.kinds.remove(&FailureKind::Uncertain);
        // What was not begun because the time was over is the consequence of what took the time.
        if self.kinds.contains_key(&FailureKind::Transient) && !stops {
            self.kinds.remove(&FailureKind::Limit);
        }
        let others = self.kinds.into_values();
        let chief = if stops {
            others.chain(uncertain).min_by_key(|(_, index, _)| *index)
        } else {
            let most = others.max_by_key(|(count, index, _)| (*count, std::cmp::Reverse(*index)));
            uncertain.or(most)
        };
        chief.map(|(_, index, failure)| (index, failure))
    }
}
