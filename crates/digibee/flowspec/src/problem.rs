//! What is wrong with a document, at which place, and what to do about it.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// How serious a problem is: whether a document with it can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The document cannot run.
    Error,
    /// The document runs, but something in it is probably not what its author meant.
    Warning,
    /// The document runs as it is written; the note gives information about it.
    Note,
}

/// Who can correct the problem. The host derives its exit code from this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// The document itself must change.
    Invalid,
    /// The context must change: an account, a connector, the command line.
    Configuration,
}

/// A position in the document's text. Both numbers are counted from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// The step, with the data by which a person knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct StepPlace {
    /// The step's index in its branch, from 0.
    pub index: usize,
    /// The step's `id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The step's `stepName`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl StepPlace {
    pub(crate) fn of(index: usize, step: &Value) -> Self {
        let text = |key: &str| {
            step.get(key)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        Self {
            index,
            id: text("id"),
            name: text("stepName"),
        }
    }
}

/// The place in the document: branch, step and parameter, as far as the problem has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Place {
    /// The branch's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<StepPlace>,
    /// The setting, as a JSON pointer (RFC 6901) from the step, such as `/params/smtpPort`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
}

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    severity: Severity,
    kind: Kind,
    #[serde(flatten)]
    place: Place,
    #[serde(flatten)]
    position: Option<Position>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    #[serde(skip)]
    of_trigger: bool,
}

impl Problem {
    fn new(severity: Severity, kind: Kind, message: impl Into<String>) -> Self {
        Self {
            severity,
            kind,
            place: Place::default(),
            position: None,
            message: message.into(),
            advice: None,
            of_trigger: false,
        }
    }

    /// Makes an error in the document, which keeps it from running. It has no place yet.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, Kind::Invalid, message)
    }

    /// Makes an error in the context, which keeps the document from running. It has no place yet.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, Kind::Configuration, message)
    }

    /// Makes a warning, with which the document runs. It has no place yet.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, Kind::Invalid, message)
    }

    /// Makes a note about something that is not wrong. It has no place yet.
    pub fn note(message: impl Into<String>) -> Self {
        Self::new(Severity::Note, Kind::Invalid, message)
    }

    /// Adds what to do now.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    pub(crate) fn advise_some(mut self, advice: Option<String>) -> Self {
        self.advice = advice.or(self.advice);
        self
    }

    pub(crate) fn at(mut self, place: Place, position: Option<Position>) -> Self {
        self.place = place;
        self.position = position;
        self
    }

    pub(crate) fn of_trigger(mut self) -> Self {
        self.of_trigger = true;
        self
    }

    pub(crate) fn soften(&mut self) {
        self.severity = Severity::Warning;
    }

    /// Returns whether the problem keeps the document from running.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Returns who can correct the problem.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the branch, step and parameter.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Returns the line and column in the document's text, if the problem has a position.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// Returns whether it is about a key of `triggerSpec`. What starts a pipeline changes nothing about a run that is started by
    /// hand.
    pub fn is_of_trigger(&self) -> bool {
        self.of_trigger
    }

    /// Returns one sentence that says what is wrong. It contains no secret and no place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what to do now, if the message does not already say it.
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.severity {
            Severity::Error => f.write_str("error")?,
            Severity::Warning => f.write_str("warning")?,
            Severity::Note => f.write_str("note")?,
        }
        if let Some(Position { line, column }) = self.position {
            write!(f, " at line {line}, column {column}")?;
        }
        if self.place != Place::default() {
            write!(f, ", {}", self.place)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for StepPlace {
    /// People count steps from 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}", self.index + 1)?;
        match self.name.as_ref().or(self.id.as_ref()) {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(branch) = &self.branch {
            parts.push(format!("branch {branch}"));
        }
        if let Some(step) = &self.step {
            parts.push(step.to_string());
        }
        if let Some(parameter) = self.parameter.as_ref().filter(|parameter| *parameter != "/params") {
            let shown = parameter
                .strip_prefix("/params/")
                .unwrap_or(parameter.trim_start_matches('/'));
            parts.push(format!("parameter {shown}"));
        }
        f.write_str(&parts.join(", "))
    }
}

/// All problems of a document, in the order of its text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn sorted(mut all: Vec<Problem>) -> Self {
        all.sort_by_key(|problem| problem.position.unwrap_or(Position { line: 0, column: 0 }));
        Self(all)
    }

    /// Returns whether there is an error, so that the document cannot run.
    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }

    /// Returns the errors: the problems that keep the document from running.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter().filter(|problem| problem.severity == Severity::Error)
    }

    /// Returns the warnings: problems with which the document runs, but probably not as its author meant.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter().filter(|problem| problem.severity == Severity::Warning)
    }

    /// Returns the kind of all problems together: [`Kind::Invalid`] if at least one error is of this kind, because the
    /// document must be corrected first; `None` if there are no errors.
    pub fn kind(&self) -> Option<Kind> {
        let kinds: Vec<Kind> = self.errors().map(Problem::kind).collect();
        kinds
            .iter()
            .find(|kind| **kind == Kind::Invalid)
            .or(kinds.first())
            .copied()
    }

    /// Returns all problems.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// Returns the number of problems.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no problems.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Problem> for Problems {
    /// Brings them into the order of the text.
    fn from_iter<T: IntoIterator<Item = Problem>>(problems: T) -> Self {
        Self::sorted(problems.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    /// One line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
