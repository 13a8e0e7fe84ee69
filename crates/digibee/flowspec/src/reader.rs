//! Reads one step's settings from the document and records every problem that it finds.

use std::collections::{BTreeMap, BTreeSet};

use pipepost_double_braces::{self as double_braces, JsonTemplate, Reference, Template, ValueTemplate};
use pipepost_freemarker::Escape;
use pipepost_jsonpath::JsonPath;
use serde_json::{Map, Value};

use crate::body::{Body, BodyError};
use crate::flow::Edge;
use crate::nearest;
use crate::parameters::{ParameterProblem, is_dynamic};
use crate::positions::{Positions, push_token};
use crate::problem::{Place, Position, Problem, StepPlace};
use crate::step::{BranchId, JsonSource, Setting, SettingValue};

/// Says that a problem was noted, so that nothing is left out without a word.
#[derive(Debug)]
pub(crate) struct Reported(());

impl Reported {
    /// For those who have noted the problem themselves.
    pub(crate) fn already() -> Self {
        Self(())
    }
}

/// An expression's path with where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Use {
    pub(crate) branch: BranchId,
    pub(crate) step: StepPlace,
    /// The text's pointer from the step.
    pub(crate) parameter: String,
    /// The text's pointer in the document.
    pub(crate) pointer: String,
    /// Where in the text; none for a text that stands in a file of its own.
    pub(crate) inner: Option<Position>,
    pub(crate) reference: Reference,
}

/// Where the text of a body stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BodySource<'a> {
    /// In the parameter.
    Parameter,
    /// In the sidecar file that the parameter names.
    File(&'a str),
}

/// What reading the document has brought to light so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The branch that a problem belongs to, if any: what nothing leads to does no harm.
    pub(crate) problems: Vec<(Option<BranchId>, Problem)>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) uses: Vec<Use>,
    pub(crate) wanted_accounts: BTreeMap<String, BTreeSet<String>>,
    /// The account of each step that names one.
    pub(crate) own_accounts: BTreeMap<(BranchId, usize), String>,
    pub(crate) wanted_paths: BTreeSet<String>,
    /// The pipelines that steps of a branch run, by name.
    pub(crate) wanted_pipelines: Vec<(BranchId, String)>,
    /// The events that steps of a branch publish, by name.
    pub(crate) wanted_events: Vec<(BranchId, String)>,
    /// Paths into the message that bodies read.
    pub(crate) body_paths: Vec<(BranchId, String)>,
    /// A body may read what its text does not name.
    pub(crate) bodies_compute_names: bool,
    pub(crate) used_pins: BTreeSet<String>,
    /// The files beside the document that it names, with their texts.
    pub(crate) files: BTreeMap<String, String>,
}

/// What all steps of a document have in common.
pub(crate) struct Shared<'a> {
    pub(crate) positions: &'a Positions<'a>,
    pub(crate) branch_names: &'a [String],
    pub(crate) branch_ids: &'a BTreeMap<String, BranchId>,
}

/// One step under the reader's eye.
pub(crate) struct Reader<'a> {
    pub(crate) shared: &'a Shared<'a>,
    pub(crate) findings: &'a mut Findings,
    pub(crate) branch: BranchId,
    pub(crate) step: StepPlace,
    /// The step's pointer in the document.
    pub(crate) pointer: String,
    /// `/params` where the settings stand there; empty where they stand at step level.
    pub(crate) base: &'static str,
    /// The settings under their own names, checked against their schema.
    pub(crate) settings: Map<String, Value>,
    /// What was refused, as pointers without their first slash; reading it again would refuse it twice.
    pub(crate) refused: BTreeSet<String>,
}

impl Reader<'_> {
    pub(crate) fn place(&self, parameter: Option<String>) -> Place {
        Place {
            branch: self.shared.branch_names.get(self.branch.0).cloned(),
            step: Some(self.step.clone()),
            parameter: parameter.filter(|parameter| !parameter.is_empty()),
        }
    }

    /// Notes a problem at a value, given by its pointer from the step.
    pub(crate) fn report(&mut self, parameter: &str, problem: Problem) -> Reported {
        let position = self.shared.positions.value(&format!("{}{parameter}", self.pointer));
        self.report_at(parameter, position, problem)
    }

    /// Notes a problem at a key.
    pub(crate) fn report_key(&mut self, parameter: &str, problem: Problem) -> Reported {
        let position = self.shared.positions.key(&format!("{}{parameter}", self.pointer));
        self.report_at(parameter, position, problem)
    }

    fn report_at(&mut self, parameter: &str, position: Option<Position>, problem: Problem) -> Reported {
        let place = self.place(Some(parameter.to_owned()));
        self.findings
            .problems
            .push((Some(self.branch), problem.at(place, position)));
        Reported(())
    }

    /// Notes a problem at a line and column within a text.
    pub(crate) fn report_within(&mut self, parameter: &str, inner: Position, problem: Problem) -> Reported {
        let position = self
            .shared
            .positions
            .within(&format!("{}{parameter}", self.pointer), inner);
        self.report_at(parameter, position, problem)
    }

    pub(crate) fn report_parameters(&mut self, problems: Vec<ParameterProblem>) {
        for found in problems {
            let problem = if found.is_warning {
                Problem::warning(found.message)
            } else {
                Problem::invalid(found.message)
            };
            let problem = problem.advise_some(found.advice);
            let parameter = format!("{}{}", self.base, found.pointer);
            if found.in_key {
                self.report_key(&parameter, problem);
            } else {
                self.report(&parameter, problem);
            }
            if !found.is_warning {
                self.refused.insert(found.pointer.trim_start_matches('/').to_owned());
            }
        }
    }

    pub(crate) fn parameter(&self, name: &str) -> String {
        let mut pointer = self.base.to_owned();
        push_token(&mut pointer, name);
        pointer
    }

    /// The setting, if it is there and nothing was wrong with it so far.
    fn get(&self, name: &str) -> Result<Option<Value>, Reported> {
        let is_within = |refused: &String| refused.split('/').next() == Some(name);
        if self.refused.iter().any(is_within) {
            return Err(Reported(()));
        }
        Ok(self.settings.get(name).cloned())
    }

    /// For a setting that its schema requires: where it is missing, that was said.
    fn need(&self, name: &str) -> Result<Value, Reported> {
        self.get(name)?.ok_or(Reported(()))
    }

    pub(crate) fn bool(&mut self, name: &str, default: bool) -> Result<bool, Reported> {
        match self.get(name)? {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(value),
            Some(_) => Err(self.no_expression(name)),
        }
    }

    /// Text that stands for itself.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Reported> {
        match self.get(name)? {
            Some(Value::String(text)) if is_dynamic(&text) => Err(self.no_expression(name)),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            _ => Ok(None),
        }
    }

    pub(crate) fn no_expression(&mut self, name: &str) -> Reported {
        let problem = Problem::invalid("an expression cannot stand here, since it is needed before the run");
        self.report(&self.parameter(name), problem.advise("write the value itself"))
    }

    pub(crate) fn setting<T: SettingValue>(&mut self, name: &str, default: T) -> Result<Setting<T>, Reported> {
        match self.get(name)? {
            None => Ok(Setting::Fixed(default)),
            Some(Value::String(text)) if is_dynamic(&text) => self
                .parse_template(&self.parameter(name), &text)
                .map(Setting::Expression),
            Some(value) => match T::from_value(&value) {
                Some(value) => Ok(Setting::Fixed(value)),
                None => {
                    let problem = Problem::invalid(format!("it must be {}", T::EXPECTED));
                    Err(self.report(&self.parameter(name), problem))
                }
            },
        }
    }

    pub(crate) fn template(&mut self, name: &str) -> Result<Option<Template>, Reported> {
        match self.get(name)? {
            Some(Value::String(text)) => self.parse_template(&self.parameter(name), &text).map(Some),
            _ => Ok(None),
        }
    }

    pub(crate) fn needed_template(&mut self, name: &str) -> Result<Template, Reported> {
        self.template(name)?.ok_or(Reported(()))
    }

    /// Where the schema has a default.
    pub(crate) fn template_or(&mut self, name: &str, default: &str) -> Result<Template, Reported> {
        match self.template(name)? {
            Some(template) => Ok(template),
            None => self.parse_template(&self.parameter(name), default),
        }
    }

    fn parse_template(&mut self, parameter: &str, text: &str) -> Result<Template, Reported> {
        let template = Template::parse(text).map_err(|error| self.expression_error(parameter, &error))?;
        self.note_uses(parameter, template.references());
        Ok(template)
    }

    pub(crate) fn value_template(&mut self, name: &str) -> Result<Option<ValueTemplate>, Reported> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        self.parse_value(&self.parameter(name), &value).map(Some)
    }

    pub(crate) fn needed_value_template(&mut self, name: &str) -> Result<ValueTemplate, Reported> {
        self.value_template(name)?.ok_or(Reported(()))
    }

    pub(crate) fn parse_value(&mut self, parameter: &str, value: &Value) -> Result<ValueTemplate, Reported> {
        match ValueTemplate::parse(value) {
            Ok(parsed) => {
                // One text at a time, so that each expression keeps its own place.
                for (pointer, template) in parsed.templates() {
                    self.note_uses(&format!("{parameter}{pointer}"), template.references());
                }
                Ok(parsed)
            }
            Err(errors) => {
                let mut reported = Reported(());
                for found in errors {
                    reported = self.expression_error(&format!("{parameter}{}", found.pointer), &found.error);
                }
                Err(reported)
            }
        }
    }

    /// Compiles a body. `in_message` turns a path of its model into one of the message, where it is one.
    pub(crate) fn body(
        &mut self,
        parameter: &str,
        text: &str,
        source: BodySource<'_>,
        escape: Escape,
        in_message: impl Fn(String) -> Option<String>,
    ) -> Result<Body, Reported> {
        let body = Body::parse(text, escape).map_err(|BodyError { position, message }| {
            self.report_in_body(parameter, source, position, Problem::invalid, &message)
        })?;
        for found in body.unescaped() {
            let message = format!("`{}` reaches an HTML body unescaped", found.text);
            let warn = |message: String| {
                Problem::warning(message).advise(if found.text.starts_with("{{") {
                    "put it into `ESCAPE(..., \"HTML\")`, or set the step's `escape` to `html`, unless its value is HTML itself"
                } else {
                    "end it in `?html`, or set the step's `escape` to `html`, unless its value is HTML itself"
                })
            };
            self.report_in_body(parameter, source, found.position, warn, &message);
        }
        if let Some(position) = body.square_bracket_directive() {
            let warn = |message: String| {
                Problem::warning(message)
                    .advise("write `<#if ...>` and `</#if>`: the syntax with square brackets is not read")
            };
            let message = "a directive in square brackets is sent as text";
            self.report_in_body(parameter, source, position, warn, message);
        }
        // A member of these may be named by a value.
        self.findings.bodies_compute_names |= [".data", ".vars"].iter().any(|special| text.contains(special));
        let branch = self.branch;
        let paths = body.paths().filter_map(in_message).map(|path| (branch, path));
        self.findings.body_paths.extend(paths);
        match source {
            BodySource::Parameter => self.note_uses(parameter, body.references()),
            BodySource::File(_) => body
                .references()
                .for_each(|reference| self.note_use(parameter, None, reference)),
        }
        Ok(body)
    }

    fn report_in_body(
        &mut self,
        parameter: &str,
        source: BodySource<'_>,
        at: Position,
        problem: impl FnOnce(String) -> Problem,
        message: &str,
    ) -> Reported {
        match source {
            BodySource::Parameter => self.report_within(parameter, at, problem(message.to_owned())),
            BodySource::File(name) => {
                let Position { line, column } = at;
                let message = format!("in the file `{name}`, line {line}, column {column}: {message}");
                self.report(parameter, problem(message))
            }
        }
    }

    pub(crate) fn json(&mut self, name: &str) -> Result<Option<JsonSource>, Reported> {
        match self.get(name)? {
            None => Ok(None),
            Some(Value::String(text)) => {
                let parameter = self.parameter(name);
                let template = JsonTemplate::parse(&text).map_err(|error| self.expression_error(&parameter, &error))?;
                self.note_uses(&parameter, template.references());
                Ok(Some(JsonSource::Text(template)))
            }
            Some(value) => self
                .parse_value(&self.parameter(name), &value)
                .map(|value| Some(JsonSource::Native(value))),
        }
    }

    pub(crate) fn needed_json(&mut self, name: &str) -> Result<JsonSource, Reported> {
        self.json(name)?.ok_or(Reported(()))
    }

    pub(crate) fn json_path(&mut self, parameter: &str, text: &str) -> Result<JsonPath, Reported> {
        if is_dynamic(text) {
            let problem = Problem::invalid("an expression cannot stand in a JSONPath");
            return Err(self.report(parameter, problem));
        }
        match JsonPath::parse(text) {
            Ok(path) => {
                self.findings.wanted_paths.insert(text.to_owned());
                Ok(path)
            }
            Err(error) => {
                let inner = Position {
                    line: 1,
                    column: error.column(),
                };
                Err(self.report_within(
                    parameter,
                    inner,
                    Problem::invalid(format!(
                        "the JSONPath is not understood: found {}, expected {}",
                        error.found(),
                        error.expected()
                    )),
                ))
            }
        }
    }

    pub(crate) fn needed_json_path(&mut self, name: &str) -> Result<JsonPath, Reported> {
        let text = self.need_text(name)?;
        self.json_path(&self.parameter(name), &text)
    }

    pub(crate) fn need_text(&mut self, name: &str) -> Result<String, Reported> {
        match self.need(name)? {
            Value::String(text) => Ok(text),
            _ => Err(Reported(())),
        }
    }

    /// One of the schema's listed texts, which it has checked.
    pub(crate) fn choice<T: Copy>(&mut self, name: &str, options: &[(&str, T)], default: T) -> Result<T, Reported> {
        match self.text(name)? {
            None => Ok(default),
            Some(text) => options
                .iter()
                .find(|(option, _)| option.eq_ignore_ascii_case(&text))
                .map(|(_, value)| *value)
                .ok_or(Reported(())),
        }
    }

    /// The elements, also those of which something was refused: one fault does not hide the next.
    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<Value>, Reported> {
        if self.refused.contains(name) {
            return Err(Reported(()));
        }
        match self.settings.get(name).cloned() {
            None => Ok(Vec::new()),
            Some(Value::Array(elements)) => Ok(elements),
            Some(_) => Err(self.no_expression(name)),
        }
    }

    /// A branch by name, noted as a way that the run may take.
    pub(crate) fn branch(&mut self, parameter: &str, name: &str) -> Result<BranchId, Reported> {
        match self.shared.branch_ids.get(name) {
            Some(target) => {
                let pointer = format!("{}{parameter}", self.pointer);
                self.findings.edges.push(Edge {
                    from: self.branch,
                    to: *target,
                    step: self.step.clone(),
                    pointer,
                });
                Ok(*target)
            }
            None => {
                let advice = nearest::advise(name, self.shared.branch_names.iter().map(String::as_str));
                let problem = Problem::invalid(format!("there is no branch `{name}`")).advise_some(advice);
                Err(self.report(parameter, problem))
            }
        }
    }

    pub(crate) fn expression_error(&mut self, parameter: &str, error: &double_braces::ParseError) -> Reported {
        let inner = Position {
            line: error.line() as usize,
            column: error.column() as usize,
        };
        let problem = Problem::invalid(format!(
            "it is not understood: found {}, expected {}",
            error.found(),
            error.expected()
        ));
        self.report_within(parameter, inner, problem)
    }

    pub(crate) fn note_uses<'r>(&mut self, parameter: &str, references: impl Iterator<Item = &'r Reference>) {
        for reference in references {
            let inner = reference.position();
            let inner = Position {
                line: inner.line as usize,
                column: inner.column as usize,
            };
            self.note_use(parameter, Some(inner), reference);
        }
    }

    fn note_use(&mut self, parameter: &str, inner: Option<Position>, reference: &Reference) {
        self.findings.uses.push(Use {
            branch: self.branch,
            step: self.step.clone(),
            parameter: parameter.to_owned(),
            pointer: format!("{}{parameter}", self.pointer),
            inner,
            reference: reference.clone(),
        });
    }
}
