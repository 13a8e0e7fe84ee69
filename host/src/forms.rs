//! What the host compiles of a document before anything runs: the bodies, the elements of mail merges, the files beside
//! the document. What is wrong with them keeps the document from running, as everything else in it does.

mod nesting;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use pipepost_double_braces::{Context, JsonTemplate, Scope, Segment, Template, ValueTemplate};
use pipepost_flowspec::{Connector, Locator, Pipeline, Problem, Step, StepKind, StepPath, TemplateTransformer};
use pipepost_freemarker::Escape;
use serde_json::{Map, Value};

use crate::beside;
use crate::body::{Body, BodyError};
use crate::connectors::Connectors;

/// The compiled forms of a document's steps.
#[derive(Debug, Default)]
pub(crate) struct Forms {
    connectors: HashMap<StepPath, ConnectorForm>,
    templates: HashMap<StepPath, Body>,
}

impl Forms {
    pub(crate) fn connector(&self, step: &Step) -> Option<&ConnectorForm> {
        self.connectors.get(&step.path)
    }

    /// The template of a template transformer.
    pub(crate) fn template(&self, step: &Step) -> Option<&Body> {
        self.templates.get(&step.path)
    }
}

/// A connector step's parameters, apart by how their values are made.
#[derive(Debug)]
pub(crate) struct ConnectorForm {
    /// All parameters that are neither bodies nor the elements of a mail merge.
    pub(crate) params: Option<ValueTemplate>,
    /// Parameters that are FreeMarker templates.
    pub(crate) bodies: Vec<(String, Body)>,
    /// Texts of files beside the document, as they are.
    pub(crate) texts: Vec<(String, String)>,
    /// The elements of a mail merge, and the parameter's name.
    pub(crate) items: Option<(String, Items)>,
    /// What the body is by its source, where the document does not say it.
    pub(crate) content_type: Option<&'static str>,
}

/// The elements of a mail merge.
#[derive(Debug)]
pub(crate) enum Items {
    /// A value, or an expression that gives it.
    Value(ValueTemplate),
    /// JSON text with expressions in it.
    Json(JsonTemplate),
}

impl Items {
    /// Evaluates them.
    ///
    /// # Errors
    /// A clause: an expression that gives an error, or something that is no array.
    pub(crate) fn evaluate<'a>(&'a self, context: &'a dyn Context) -> Result<Cow<'a, [Value]>, String> {
        let value = match self {
            Self::Value(template) => template.value(context).map_err(|error| error.to_string())?,
            Self::Json(template) => Cow::Owned(template.evaluate(context).map_err(|error| error.to_string())?),
        };
        let what = match value {
            Cow::Borrowed(Value::Array(elements)) => return Ok(Cow::Borrowed(elements)),
            Cow::Owned(Value::Array(elements)) => return Ok(Cow::Owned(elements)),
            value => value,
        };
        let what = match &*what {
            Value::String(text) => match serde_json::from_str(text) {
                Ok(Value::Array(elements)) => return Ok(Cow::Owned(elements)),
                _ => "a text that is no JSON array",
            },
            Value::Null => "null",
            Value::Object(_) => "an object",
            _ => "a single value",
        };
        Err(format!("it must give an array, and gives {what}"))
    }
}

/// What compiling brought to light.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    pub(crate) forms: Forms,
    pub(crate) problems: Vec<Problem>,
    /// Paths into the message that templates read.
    pub(crate) paths: BTreeSet<String>,
    /// Names of globals that templates and files read.
    pub(crate) globals: BTreeSet<String>,
    /// Labels of accounts that they read, with the fields.
    pub(crate) accounts: Vec<(String, String)>,
}

/// Compiles what the document's checker leaves to the host. `beside` is the folder of files that the document names.
pub(crate) fn compile(document: &str, pipeline: &Pipeline, connectors: &Connectors, beside: Option<&Path>) -> Compiled {
    let mut compiler = Compiler {
        locator: Locator::of(document),
        beside,
        compiled: Compiled::default(),
    };
    for step in pipeline.steps() {
        match &step.kind {
            StepKind::Connector(connector) => {
                if let Some(loaded) = connectors.get(&connector.name) {
                    compiler.connector(step, connector, &loaded.description.parameters);
                }
            }
            StepKind::TemplateTransformer(transformer) => {
                if let Some(body) = compiler.transformer(step, transformer) {
                    compiler.compiled.forms.templates.insert(step.path.clone(), body);
                }
            }
            _ => {}
        }
    }
    if let Some(step) = nesting::too_deep(pipeline) {
        let message = format!("tracks nest deeper here than {} levels", nesting::DEEPEST);
        let problem = Problem::error(message).with_advice("lead on with a choice, which does not nest");
        compiler
            .compiled
            .problems
            .push(compiler.locator.place(problem, step, "", None));
    }
    compiler.compiled
}

struct Compiler<'a> {
    locator: Locator<'a>,
    beside: Option<&'a Path>,
    compiled: Compiled,
}

/// How a parameter's text becomes its value, by its schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TemplateKind {
    Body,
    PlainText,
}

impl Compiler<'_> {
    fn connector(&mut self, step: &Step, connector: &Connector, schema: &Value) {
        let Some(written) = connector.written.as_object() else {
            return;
        };
        let known = self.compiled.problems.len();
        let property = |name: &str| schema.get("properties").and_then(|properties| properties.get(name));
        let escape = self.escape(step, written, property("escape").is_some());
        let mut rest = Map::new();
        let mut form = ConnectorForm {
            params: None,
            bodies: Vec::new(),
            texts: Vec::new(),
            items: None,
            content_type: None,
        };
        let merges = written
            .iter()
            .any(|(name, value)| is_items(property(name)) && is_given(value));
        for (name, value) in written {
            let setting = format!("/params/{}", name.replace('~', "~0").replace('/', "~1"));
            let described = property(name);
            if is_items(described) {
                if is_given(value) {
                    form.items = self.items(step, &setting, value).map(|items| (name.clone(), items));
                }
                continue;
            }
            let template = template_of(described);
            let text = match (value, value.get("file").and_then(Value::as_str)) {
                (Value::Object(_), Some(file)) if connector.annotations.files.contains(name) => {
                    match self.file(step, &setting, file) {
                        Some(text) if template.is_none() => {
                            form.texts.push((name.clone(), text));
                            continue;
                        }
                        Some(text) => text,
                        None => continue,
                    }
                }
                (Value::String(text), _) if template.is_some() => text.clone(),
                _ => {
                    rest.insert(name.clone(), value.clone());
                    continue;
                }
            };
            let escape = match template {
                Some(TemplateKind::Body) => escape,
                _ => Escape::None,
            };
            if let Some(body) = self.body(step, &setting, &text, escape, merges, "") {
                if template == Some(TemplateKind::Body) && property("contentType").is_some() {
                    form.content_type = content_type(&body, written);
                }
                form.bodies.push((name.clone(), body));
            }
        }
        match ValueTemplate::parse(&Value::Object(rest)) {
            Ok(params) => form.params = Some(params),
            // The document's checker has parsed the same texts before.
            Err(errors) => {
                for found in errors {
                    let problem = Problem::error(found.error.to_string());
                    let setting = format!("/params{}", found.pointer);
                    self.compiled
                        .problems
                        .push(self.locator.place(problem, step, &setting, None));
                }
            }
        }
        if self.compiled.problems[known..]
            .iter()
            .all(|problem| problem.severity() == pipepost_flowspec::Severity::Warning)
        {
            self.compiled.forms.connectors.insert(step.path.clone(), form);
        }
    }

    fn escape(&mut self, step: &Step, written: &Map<String, Value>, is_known: bool) -> Escape {
        let text = written.get("escape").filter(|_| is_known).and_then(Value::as_str);
        match text.map(str::trim) {
            None | Some("") => Escape::None,
            Some(text) if text.eq_ignore_ascii_case("none") => Escape::None,
            Some(text) if text.eq_ignore_ascii_case("html") => Escape::Html,
            Some(_) => {
                let problem = Problem::error("it must be `html` or `none`, since it is needed before the run");
                self.report(step, "/params/escape", problem);
                Escape::None
            }
        }
    }

    fn transformer(&mut self, step: &Step, transformer: &TemplateTransformer) -> Option<Body> {
        let (text, model) = (&transformer.template, &transformer.model_path);
        self.body(step, "/template", text, Escape::None, false, model)
    }

    fn report(&mut self, step: &Step, setting: &str, problem: Problem) {
        self.compiled
            .problems
            .push(self.locator.place(problem, step, setting, None));
    }

    fn items(&mut self, step: &Step, setting: &str, value: &Value) -> Option<Items> {
        if let Value::String(text) = value
            && Template::parse(text).is_ok_and(|template| template.pieces().len() != 1)
        {
            // Values are put into the tree, so that none of them can change its shape.
            return match JsonTemplate::parse(text) {
                Ok(template) => Some(Items::Json(template)),
                Err(error) => {
                    let problem = Problem::error(format!("as JSON text it is not understood, {error}"));
                    self.report(step, setting, problem);
                    None
                }
            };
        }
        match ValueTemplate::parse(value) {
            Ok(template) => Some(Items::Value(template)),
            Err(_) => None,
        }
    }

    fn file(&mut self, step: &Step, setting: &str, name: &str) -> Option<String> {
        if name.contains("{{") {
            let problem = Problem::error("the name of a file beside the document cannot be an expression")
                .with_advice("write the name itself");
            self.report(step, setting, problem);
            return None;
        }
        match beside::read(self.beside, name) {
            Ok(text) => Some(text),
            Err(reason) => {
                self.report(step, setting, Problem::error(reason));
                None
            }
        }
    }

    /// `model` is where the template's own paths begin in the message.
    fn body(
        &mut self,
        step: &Step,
        setting: &str,
        text: &str,
        escape: Escape,
        merges: bool,
        model: &str,
    ) -> Option<Body> {
        let body = match Body::parse(text, escape) {
            Ok(body) => body,
            Err(BodyError { position, message }) => {
                let problem = self
                    .locator
                    .place(Problem::error(message), step, setting, Some(position));
                self.compiled.problems.push(problem);
                return None;
            }
        };
        for found in body.unescaped() {
            let problem = Problem::caution(format!("`{}` reaches an HTML body unescaped", found.text));
            let problem = problem.with_advice(if found.text.starts_with("{{") {
                "put it into `ESCAPE(..., \"HTML\")`, or set the step's `escape` to `html`, unless its value is HTML itself"
            } else {
                "end it in `?html`, or set the step's `escape` to `html`, unless its value is HTML itself"
            });
            let problem = self.locator.place(problem, step, setting, Some(found.position));
            self.compiled.problems.push(problem);
        }
        let of_item = |path: &str| merges && path.split(['.', '[']).next() == Some("item");
        let paths = body.paths().filter(|path| !of_item(path));
        self.compiled
            .paths
            .extend(paths.map(|path| match model.trim_matches(['$', '.']) {
                "" => path,
                model => format!("{model}.{path}"),
            }));
        for reference in body.references() {
            if reference.scope() == Scope::Global
                && let Some(Segment::Name(name)) = reference.segments().first()
            {
                self.compiled.globals.insert(name.clone());
            }
            if let (Some(label), Some(field)) = (reference.account_label(), reference.account_field()) {
                self.compiled.accounts.push((label.to_owned(), field.to_owned()));
            }
        }
        Some(body)
    }
}

fn is_items(property: Option<&Value>) -> bool {
    property.and_then(|property| property.get("x-pipepost-items")) == Some(&Value::Bool(true))
}

fn is_given(value: &Value) -> bool {
    !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty())
}

fn template_of(property: Option<&Value>) -> Option<TemplateKind> {
    match property?.get("x-pipepost-template")? {
        Value::Bool(true) => Some(TemplateKind::Body),
        Value::String(kind) if kind == "text" => Some(TemplateKind::PlainText),
        _ => None,
    }
}

/// The document's own text decides; what a value brings along does not. With a plain alternative beside it the body is
/// HTML whatever it looks like, which the connector knows.
fn content_type(body: &Body, written: &Map<String, Value>) -> Option<&'static str> {
    let is_written = |name: &str| written.get(name).is_some_and(is_given);
    match (is_written("contentType"), body.is_html()) {
        (true, _) => None,
        (false, true) => Some("text/html"),
        (false, false) if is_written("text") => None,
        (false, false) => Some("text/plain"),
    }
}
