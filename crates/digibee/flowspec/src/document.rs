//! Makes a [`Pipeline`] from text: first the shape of the document, then each step, then the checks that need the whole
//! document.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pipepost_suggest::shortened;
use serde_json::{Map, Value};

use crate::catalogue::CheckContext;
use crate::parameters::is_dynamic;
use crate::pipeline::{Branch, Form, Pipeline, PipelineMetadata};
use crate::positions::{Positions, push_token};
use crate::problem::{Place, Position, Problem, Problems, Severity, StepPlace};
use crate::reader::{Findings, Reported, Shared};
use crate::references::{self, Known};
use crate::requirements::Requirements;
use crate::step::{BranchId, SettingValue, Step};
use crate::{canvas, flow, json_text, nearest, nesting, step_reader, trigger_keys};

/// The complete result of a check of a document.
#[derive(Debug)]
pub struct Report {
    /// The pipeline; `None` when there are errors.
    pub pipeline: Option<Pipeline>,
    /// Errors and warnings.
    pub problems: Problems,
    /// What the document requires from outside, as far as the document could be read.
    pub requirements: Requirements,
    /// The files beside the document that it names, with the texts that were read.
    pub files: BTreeMap<String, String>,
}

/// Reads a document.
///
/// # Errors
/// Returns everything that is wrong with the document, including warnings.
pub fn parse(text: &str, context: &CheckContext<'_>) -> Result<Pipeline, Problems> {
    let report = check(text, context);
    report.pipeline.ok_or(report.problems)
}

/// Reads a document and returns everything that was found, whether or not it can run.
pub fn check(text: &str, context: &CheckContext<'_>) -> Report {
    // A byte order mark is no JSON, and editors leave one.
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let (document, repeats) = match json_text::parse(text) {
        Ok((document, repeats)) => (with_native_parts(document), repeats),
        Err(error) => return refused(not_json(&error)),
    };
    let mut positions = Positions::of(text);
    let document = if canvas::is_drawing(&document) {
        match canvas::read(&document) {
            Ok(drawn) => {
                positions.move_to(drawn.moved);
                drawn.document
            }
            Err((pointer, problem)) => {
                let position = positions.value(&pointer);
                return refused(problem.at(Place::default(), position));
            }
        }
    } else {
        document
    };
    let mut findings = Findings::default();
    for pointer in repeats.then(|| positions.duplicates()).into_iter().flatten() {
        let name = unescaped(pointer.rsplit('/').next().unwrap_or_default());
        let problem = Problem::invalid(format!("`{name}` stands here twice")).advise("rename or remove one of them");
        findings
            .problems
            .push((None, problem.at(place_of(pointer, &document), positions.key(pointer))));
    }
    let pipeline = Reading {
        document: &document,
        positions: &positions,
        context,
        findings: &mut findings,
    }
    .read();
    let requirements = Requirements::of(&mut findings);
    let problems = Problems::sorted(
        std::mem::take(&mut findings.problems)
            .into_iter()
            .map(|(_, problem)| problem)
            .collect(),
    );
    let pipeline = pipeline
        .ok()
        .filter(|_| !problems.has_errors())
        .map(|pipeline| Pipeline {
            warnings: problems.clone(),
            ..pipeline
        });
    Report {
        pipeline,
        problems,
        requirements,
        files: findings.files,
    }
}

/// Returns where the value at this JSON pointer (RFC 6901) begins in a document's text, or the nearest value around it.
pub fn position(text: &str, pointer: &str) -> Option<Position> {
    Positions::of(text.strip_prefix('\u{FEFF}').unwrap_or(text)).value(pointer)
}

/// Like any object in a document, these may stand there as JSON text.
fn with_native_parts(mut document: Value) -> Value {
    for name in ["flowSpec", "triggerSpec"] {
        if let Some(part) = document.get_mut(name)
            && let Some(Ok(parsed @ Value::Object(_))) = part.as_str().map(serde_json::from_str)
        {
            *part = parsed;
        }
    }
    document
}

fn refused(problem: Problem) -> Report {
    Report {
        pipeline: None,
        problems: Problems::sorted(vec![problem]),
        requirements: Requirements::default(),
        files: BTreeMap::new(),
    }
}

fn not_json(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    let whole = error.to_string();
    let reason = whole.split(" at line ").next().unwrap_or(&whole).to_owned();
    let position = (line > 0).then_some(Position {
        line,
        column: column.max(1),
    });
    Problem::invalid(format!("the document is not JSON: {reason}"))
        .advise("a pipeline is a JSON document with a `flowSpec`")
        .at(Place::default(), position)
}

/// Branch, step and parameter of a pointer into the document.
fn place_of(pointer: &str, document: &Value) -> Place {
    let mut tokens = pointer.splitn(5, '/').skip(1);
    if tokens.next() != Some("flowSpec") {
        return Place::default();
    }
    let branch = tokens.next().map(unescaped);
    let step = tokens.next().and_then(|index| index.parse().ok()).map(|index: usize| {
        let steps = branch.as_ref().and_then(|branch| document.get("flowSpec")?.get(branch));
        let step = steps.and_then(|steps| steps.get(index)).unwrap_or(&Value::Null);
        StepPlace::of(index, step)
    });
    Place {
        branch,
        step,
        parameter: tokens.next().map(|rest| format!("/{rest}")),
    }
}

fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

struct Reading<'a> {
    document: &'a Value,
    positions: &'a Positions<'a>,
    context: &'a CheckContext<'a>,
    findings: &'a mut Findings,
}

impl<'a> Reading<'a> {
    fn read(mut self) -> Result<Pipeline, Reported> {
        let Some(top) = self.document.as_object() else {
            return Err(self.report("", Problem::invalid("the document is not a JSON object").advise(SHAPE)));
        };
        let flow_spec = match top.get("flowSpec") {
            Some(Value::Object(flow_spec)) => flow_spec,
            Some(_) => {
                let problem = Problem::invalid("`flowSpec` is not an object of branches").advise(SHAPE);
                return Err(self.report("/flowSpec", problem));
            }
            None => return Err(self.no_flow_spec(top)),
        };
        self.near_misses(top, TOP_KEYS, "");
        let metadata = self.metadata(top);
        let time_limit = self.time_limit(top.get("triggerSpec"));
        let sensitive = self.sensitive(top.get("sensitive"));

        let branch_names: Vec<String> = flow_spec.keys().cloned().collect();
        let branch_ids: BTreeMap<String, BranchId> = branch_names
            .iter()
            .enumerate()
            .map(|(index, name)| (name.clone(), BranchId(index)))
            .collect();
        let first = self.first(&branch_names);
        let branches = self.branches(flow_spec, &branch_names, &branch_ids);
        self.unused_pins();

        let (form, first) = first?;
        let reachable = flow::reachable(first, &self.findings.edges, branch_names.len());
        self.soften_unreachable(&reachable, &branch_names);
        self.circles(&reachable, &branch_names);
        self.expressions(&branch_names);

        let mut complete = Vec::with_capacity(branches.len());
        for ((name, steps), reached) in branch_names.into_iter().zip(branches).zip(reachable) {
            let steps = if reached {
                steps.into_iter().collect::<Result<_, _>>()?
            } else {
                Vec::new()
            };
            complete.push(Branch { name, steps });
        }
        let mut pipeline = Pipeline {
            form,
            metadata,
            time_limit,
            sensitive,
            first,
            branches: complete,
            warnings: Problems::default(),
        };
        pipeline.number_connectors();
        self.nesting(&pipeline);
        Ok(pipeline)
    }

    /// A document with a circle has no depth, and was refused for it.
    fn nesting(&mut self, pipeline: &Pipeline) {
        let has_errors = |problem: &Problem| problem.severity() == Severity::Error;
        if self.findings.problems.iter().any(|(_, problem)| has_errors(problem)) {
            return;
        }
        let Some(step) = nesting::too_deep(pipeline) else {
            return;
        };
        let mut pointer = "/flowSpec".to_owned();
        push_token(&mut pointer, &step.path.branch);
        push_token(&mut pointer, &step.path.index.to_string());
        let place = Place {
            branch: Some(step.path.branch.clone()),
            step: Some(StepPlace {
                index: step.path.index,
                id: step.id.clone(),
                name: step.name.clone(),
            }),
            parameter: None,
        };
        let message = format!("tracks nest deeper here than {} levels", nesting::DEEPEST);
        let problem = Problem::invalid(message).advise("lead on with a choice, which does not nest");
        let problem = problem.at(place, self.positions.value(&pointer));
        self.findings.problems.push((None, problem));
    }

    fn report(&mut self, pointer: &str, problem: Problem) -> Reported {
        let problem = problem.at(Place::default(), self.positions.value(pointer));
        self.findings.problems.push((None, problem));
        Reported::already()
    }

    fn no_flow_spec(&mut self, top: &Map<String, Value>) -> Reported {
        let looks_like_branches = !top.is_empty() && top.values().all(Value::is_array);
        let advice = if looks_like_branches {
            Some("put these branches under `flowSpec`".to_owned())
        } else {
            nearest::nearest("flowSpec", top.keys().map(String::as_str))
                .map(|name| format!("is `{name}` meant to be it?"))
        };
        let problem = Problem::invalid("the document has no `flowSpec`")
            .advise(SHAPE)
            .advise_some(advice);
        self.report("", problem)
    }

    /// The platform writes keys that do not matter here, so an unknown one is no error; one that looks like a slip of
    /// the pen is worth a word.
    fn near_misses(&mut self, members: &Map<String, Value>, known: &[&str], at: &str) {
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            if let Some(advice) = nearest::advise(name, known.iter().copied()) {
                let mut pointer = at.to_owned();
                push_token(&mut pointer, name);
                let problem = Problem::warning(format!("`{name}` is not known here and has no effect")).advise(advice);
                let problem = problem.at(Place::default(), self.positions.key(&pointer));
                self.findings.problems.push((None, problem));
            }
        }
    }

    fn metadata(&mut self, top: &Map<String, Value>) -> PipelineMetadata {
        let value = |name: &str| top.get(name).filter(|value| !value.is_null()).cloned();
        let text = |name: &str| match top.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        PipelineMetadata {
            name: text("name"),
            id: text("id"),
            version_major: value("versionMajor"),
            version_minor: value("versionMinor"),
            description: text("description"),
            realm: text("realm"),
            project: value("project"),
        }
    }

    fn time_limit(&mut self, trigger: Option<&Value>) -> Option<Duration> {
        let trigger = trigger.filter(|trigger| !trigger.is_null())?;
        let Some(members) = trigger.as_object() else {
            self.report("/triggerSpec", Problem::invalid("`triggerSpec` is not an object"));
            return None;
        };
        let problems = trigger_keys::check(members, self.positions).into_iter();
        self.findings.problems.extend(problems.map(|problem| (None, problem)));
        let milliseconds = match members.get("timeout")? {
            Value::Null => return None,
            Value::String(text) if text.is_empty() => return None,
            value => u64::from_value(value),
        };
        let longest = Pipeline::LONGEST_TIME_LIMIT.as_millis();
        let advice = match milliseconds {
            Some(found) if found > 0 && u128::from(found) <= longest => return Some(Duration::from_millis(found)),
            Some(found) if found > 0 => "lower it, or leave it out and give the limit where the run is started",
            _ => "write 30000 for 30 s",
        };
        let written = members.get("timeout").map(Value::to_string).unwrap_or_default();
        let problem = Problem::invalid(format!(
            "`triggerSpec.timeout` is {}; it must be a whole number of milliseconds from 1 to {longest}",
            shortened(&written)
        ));
        let problem = problem.advise(advice);
        self.report("/triggerSpec/timeout", problem);
        None
    }

    fn sensitive(&mut self, fields: Option<&Value>) -> Vec<String> {
        match fields {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(fields)) if fields.iter().all(Value::is_string) => {
                fields.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            Some(_) => {
                self.report(
                    "/sensitive",
                    Problem::invalid("`sensitive` is not an array of field names"),
                );
                Vec::new()
            }
        }
    }

    fn first(&mut self, names: &[String]) -> Result<(Form, BranchId), Reported> {
        if let Some(index) = names.iter().position(|name| name == "start") {
            return Ok((Form::Platform, BranchId(index)));
        }
        let mut roots = names
            .iter()
            .enumerate()
            .filter(|(_, name)| name.starts_with(CLIPBOARD_ROOT));
        match (roots.next(), roots.next()) {
            (Some((index, _)), None) => Ok((Form::Clipboard, BranchId(index))),
            (Some((_, one)), Some((_, other))) => {
                let problem = Problem::invalid(format!(
                    "it is not clear where the document begins: both `{one}` and `{other}` are first branches"
                ));
                Err(self.report("/flowSpec", problem.advise("keep one of them, or call it `start`")))
            }
            (None, _) => {
                let problem = Problem::invalid("the `flowSpec` has no first branch")
                    .advise("call the branch to begin with `start`, or `disconnected-root:<id>` as the clipboard does");
                Err(self.report("/flowSpec", problem))
            }
        }
    }

    fn branches(
        &mut self,
        flow_spec: &Map<String, Value>,
        names: &[String],
        ids: &BTreeMap<String, BranchId>,
    ) -> Vec<Vec<Result<Step, Reported>>> {
        let shared = Shared {
            positions: self.positions,
            branch_names: names,
            branch_ids: ids,
        };
        let mut branches = Vec::with_capacity(names.len());
        for (index, (name, steps)) in flow_spec.iter().enumerate() {
            let mut pointer = "/flowSpec".to_owned();
            push_token(&mut pointer, name);
            let place = Place {
                branch: Some(name.clone()),
                ..Place::default()
            };
            let branch = BranchId(index);
            let Some(steps) = steps.as_array() else {
                let problem = Problem::invalid("the branch is not an array of steps");
                self.findings
                    .problems
                    .push((Some(branch), problem.at(place, self.positions.value(&pointer))));
                branches.push(vec![Err(Reported::already())]);
                continue;
            };
            branches.push(step_reader::steps(
                &shared,
                self.findings,
                self.context,
                branch,
                &pointer,
                steps,
            ));
        }
        branches
    }

    fn unused_pins(&mut self) {
        for pin in self.context.pins.difference(&self.findings.used_pins.clone()) {
            let problem = Problem::configuration(format!("no step of the document is called `{pin}`"))
                .advise("pin a step by its `id`, its `stepName` or its `doubleBracesAlias`");
            self.findings.problems.push((None, problem));
        }
    }

    /// What nothing leads to cannot do harm: its faults are worth a warning.
    fn soften_unreachable(&mut self, reachable: &[bool], names: &[String]) {
        for (branch, problem) in &mut self.findings.problems {
            if branch.is_some_and(|branch| reachable.get(branch.0) == Some(&false)) {
                problem.soften();
            }
        }
        self.findings
            .uses
            .retain(|found| reachable.get(found.branch.0) == Some(&true));
        self.findings
            .body_paths
            .retain(|(branch, _)| reachable.get(branch.0) == Some(&true));
        for wanted in [&mut self.findings.wanted_pipelines, &mut self.findings.wanted_events] {
            wanted.retain(|(branch, _)| reachable.get(branch.0) == Some(&true));
        }
        for (name, _) in names.iter().zip(reachable).filter(|(_, reached)| !**reached) {
            let mut pointer = "/flowSpec".to_owned();
            push_token(&mut pointer, name);
            let place = Place {
                branch: Some(name.clone()),
                ..Place::default()
            };
            let problem = Problem::warning("no step leads to this branch, so it never runs");
            self.findings
                .problems
                .push((None, problem.at(place, self.positions.key(&pointer))));
        }
    }

    fn circles(&mut self, reachable: &[bool], names: &[String]) {
        let closing = flow::circles(&self.findings.edges, reachable.len());
        let found: Vec<_> = closing
            .into_iter()
            .filter(|edge| reachable.get(edge.from.0) == Some(&true))
            .map(|edge| (edge.clone(), self.positions.value(&edge.pointer)))
            .collect();
        for (edge, position) in found {
            let name = |branch: BranchId| names.get(branch.0).map(String::as_str).unwrap_or_default();
            let place = Place {
                branch: Some(name(edge.from).to_owned()),
                step: Some(edge.step),
                parameter: None,
            };
            let message = format!(
                "this leads back to branch `{}`, which leads here, without end",
                name(edge.to)
            );
            let problem = Problem::invalid(message).advise("use a retry or a for-each step to repeat work");
            self.findings
                .problems
                .push((Some(edge.from), problem.at(place, position)));
        }
    }

    fn expressions(&mut self, branch_names: &[String]) {
        let mut aliases = BTreeSet::new();
        collect_aliases(self.document.get("flowSpec"), &mut aliases);
        references::check(
            self.findings,
            &Known {
                aliases,
                accounts: self.context.accounts,
                branch_names,
                positions: self.positions,
            },
        );
    }
}

const CLIPBOARD_ROOT: &str = "disconnected-root:";

const SHAPE: &str = "a pipeline is `{\"flowSpec\": {\"start\": [...]}}`";

/// What the top level of a document may say that matters here.
const TOP_KEYS: &[&str] = &[
    "$schema",
    "name",
    "id",
    "versionMajor",
    "versionMinor",
    "flowSpec",
    "triggerSpec",
    "meta",
    "description",
    "realm",
    "project",
    "sensitive",
];

fn collect_aliases(flow_spec: Option<&Value>, aliases: &mut BTreeSet<String>) {
    let branches = flow_spec.and_then(Value::as_object).into_iter().flat_map(Map::values);
    for step in branches.filter_map(Value::as_array).flatten() {
        let alias = step.get("doubleBracesAlias").and_then(Value::as_str);
        aliases.extend(
            alias
                .filter(|alias| !alias.is_empty() && !is_dynamic(alias))
                .map(str::to_owned),
        );
    }
}
