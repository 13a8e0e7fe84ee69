//! Makes a [`CompiledConnector`] from a connector step's JSON: its parameters, grouped by how their values are made,
//! its account, and the problems found in them.

use pipepost_double_braces::{Expression, JsonTemplate, Piece, Template, ValueTemplate};
use pipepost_freemarker::Escape;
use serde_json::{Map, Value};

use crate::body::Body;
use crate::catalogue::{CheckContext, ConnectorDescription};
use crate::merge_items::{GroupBy, ItemsSource, MergeItems};
use crate::parameters::{Annotations, BodyRole, is_dynamic};
use crate::problem::Problem;
use crate::reader::{BodySource, Reader, Reported};
use crate::rows_file::RowsFile;
use crate::segments::SegmentedParameter;
use crate::step::{CompiledConnector, ConnectorId, EndpointParameter, Setting, SettingValue as _, StepKind};
use crate::step_reader::{settings, take};
use crate::steps::Level;
use crate::{nearest, sidecar};

/// Reads a connector step.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    context: &CheckContext<'_>,
    step: &Map<String, Value>,
    description: &ConnectorDescription,
) -> Result<StepKind, Reported> {
    let schema = &description.parameters;
    let annotations = Annotations::of(schema);
    let written = settings(reader, step, Level::Params, schema, &[]);
    let checked = written.and_then(|written| take(reader, schema, written));
    let account_label = account(reader, context, step, description, &annotations);
    checked?;
    let written = std::mem::take(&mut reader.settings);
    let parts = Parts::read(reader, context, schema, &annotations, &written);
    let fail_on_error = fail_on_error(&annotations, &written);
    let endpoint = endpoint(&annotations, &written);
    let parts = parts?;
    Ok(StepKind::Connector(Box::new(CompiledConnector {
        // The document numbers its connectors when it knows which of them can run.
        id: ConnectorId(0),
        name: description.name.clone(),
        account_label: account_label?,
        params: parts.params,
        segmented: parts.segmented,
        warn_empty: parts.warn_empty,
        bodies: parts.bodies,
        texts: parts.texts,
        items: parts.items,
        results: parts.results,
        media_type: parts.media_type,
        fail_on_error,
        endpoint,
    })))
}

/// How a parameter's text becomes its value, by its schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TemplateKind {
    Body,
    PlainText,
}

/// The parameters, apart by how their values are made.
struct Parts {
    params: ValueTemplate,
    segmented: Vec<SegmentedParameter>,
    warn_empty: Vec<String>,
    bodies: Vec<(String, Body)>,
    texts: Vec<(String, String)>,
    items: Option<MergeItems>,
    results: Option<(String, ValueTemplate)>,
    media_type: Option<(String, &'static str)>,
}

impl Parts {
    /// Reads every parameter whatever the others hold, so that one fault does not hide the next.
    fn read(
        reader: &mut Reader<'_>,
        context: &CheckContext<'_>,
        schema: &Value,
        annotations: &Annotations,
        written: &Map<String, Value>,
    ) -> Result<Self, Reported> {
        let property = |name: &str| schema.get("properties").and_then(|properties| properties.get(name));
        let escape = match annotations.body_roles.get(&BodyRole::Escape) {
            Some(name) => escape(reader, name, written),
            None => Ok(Escape::None),
        };
        let merges = written
            .iter()
            .any(|(name, value)| is_items(property(name)) && is_given(value));
        // The element of a merge lies over the message, so its paths are not the message's.
        let in_message = |path: String| (!merges || path.split(['.', '[']).next() != Some("item")).then_some(path);
        let mut rest = Map::new();
        let (mut segmented, mut warn_empty) = (Vec::new(), Vec::new());
        let (mut bodies, mut texts, mut items, mut media_type) = (Vec::new(), Vec::new(), None, None);
        let mut results = None;
        let mut group_by = None;
        let mut refused = None;
        for (name, value) in written {
            let parameter = reader.parameter(name);
            let described = property(name);
            if annotations.warn_empty.contains(name) && is_given(value) {
                warn_empty.push(name.clone());
            }
            if is_items(described) {
                if is_given(value) {
                    match read_items(reader, &parameter, name, value) {
                        Ok(found) => items = Some(found),
                        Err(reported) => refused = Some(reported),
                    }
                }
                continue;
            }
            if is_marked(described, "x-pipepost-results") {
                if is_given(value) {
                    match reader.parse_value(&parameter, value) {
                        Ok(found) => results = Some((name.clone(), found)),
                        Err(reported) => refused = Some(reported),
                    }
                }
                continue;
            }
            if is_marked(described, "x-pipepost-group-by") {
                if is_given(value) {
                    match read_group_by(reader, &parameter, name, value, merges) {
                        Ok(found) => group_by = Some(found),
                        Err(reported) => refused = Some(reported),
                    }
                }
                continue;
            }
            let template = template_of(described);
            let file = value.get("file").and_then(Value::as_str);
            let (text, source) = match (value, file) {
                (Value::Object(_), Some(file)) if annotations.files.contains(name) => {
                    match read_sidecar(reader, context, &parameter, file) {
                        Ok(text) if template.is_none() => {
                            texts.push((name.clone(), text));
                            continue;
                        }
                        Ok(text) => (text, BodySource::File(file)),
                        Err(reported) => {
                            refused = Some(reported);
                            continue;
                        }
                    }
                }
                (Value::String(text), _) if template.is_some() => (text.clone(), BodySource::Parameter),
                _ => {
                    warn_of_templates(reader, annotations, &parameter, value);
                    if let Some(escape) = annotations.escapes.get(name) {
                        warn_of_unescaped(reader, &parameter, value, escape);
                    }
                    match annotations.segments.get(name) {
                        Some(list) if holds_expression(value) => {
                            match read_segmented(reader, &parameter, name, value, list.as_deref()) {
                                Ok(found) => segmented.push(found),
                                Err(reported) => refused = Some(reported),
                            }
                        }
                        _ => {
                            rest.insert(name.clone(), value.clone());
                        }
                    }
                    continue;
                }
            };
            let escape = match (template, &escape) {
                (Some(TemplateKind::Body), Ok(escape)) => *escape,
                _ => Escape::None,
            };
            match reader.body(&parameter, &text, source, escape, in_message) {
                Ok(body) => {
                    if template == Some(TemplateKind::Body) {
                        media_type = media_type_of(&body, annotations, written);
                    }
                    bodies.push((name.clone(), body));
                }
                Err(reported) => refused = Some(reported),
            }
        }
        let params = reader.parse_value(reader.base, &Value::Object(rest));
        if let (Some((name, _)), None, None) = (&results, &items, &refused) {
            let problem = Problem::invalid("it belongs to a mail merge, and there is none here");
            let advice = "write `items`, or leave it out: the output of one message is the result";
            refused = Some(reader.report(&reader.parameter(name), problem.advise(advice)));
        }
        if let Some(reported) = refused {
            return Err(reported);
        }
        escape?;
        if let Some(items) = &mut items {
            items.group_by = group_by;
        }
        if let Some(items) = &items
            && let (Some(group_by), ItemsSource::File(_)) = (&items.group_by, &items.source)
        {
            let problem = Problem::invalid("the rows of a file are sent as they are read, and not grouped")
                .advise("read the file into the message first, or sort and group it where it is made");
            return Err(reader.report(&reader.parameter(&group_by.parameter), problem));
        }
        Ok(Self {
            params: params?,
            segmented,
            warn_empty,
            bodies,
            texts,
            items,
            results,
            media_type,
        })
    }
}

/// Whether an expression stands anywhere in the value.
fn holds_expression(value: &Value) -> bool {
    match value {
        Value::String(text) => is_dynamic(text),
        Value::Array(elements) => elements.iter().any(holds_expression),
        Value::Object(members) => members.values().any(holds_expression),
        _ => false,
    }
}

fn read_segmented(
    reader: &mut Reader<'_>,
    parameter: &str,
    name: &str,
    value: &Value,
    list: Option<&str>,
) -> Result<SegmentedParameter, Reported> {
    // JSON text is read before its expressions are, as everywhere.
    let json = value
        .as_str()
        .filter(|text| text.trim_start().starts_with(['[', '{']) && !text.trim_start().starts_with("{{"))
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    let value = reader.parse_value(parameter, json.as_ref().unwrap_or(value))?;
    if let Some(list) = list
        && let [(pointer, template)] = value.templates().as_slice()
        && pointer.is_empty()
        && let [Piece::Expression(_)] = template.pieces()
    {
        let note = Problem::note(format!("its value may be {list}"));
        reader.report(
            parameter,
            note.advise("where it stands for one alone, write it within text or as an object"),
        );
    }
    Ok(SegmentedParameter {
        name: name.to_owned(),
        value,
    })
}

/// A value that is a part of a text with a grammar of its own, and that is not escaped for it.
fn warn_of_unescaped(reader: &mut Reader<'_>, parameter: &str, value: &Value, escape: &str) {
    let Ok(parsed) = ValueTemplate::parse(value) else {
        return;
    };
    let is_escaped = |expression: &Expression| {
        let written = expression.to_string();
        written.starts_with("ESCAPE(") && written.to_ascii_uppercase().ends_with(&format!(", \"{escape}\")"))
    };
    for (pointer, template) in parsed.templates() {
        if template.pieces().len() == 1 {
            continue;
        }
        for expression in template.expressions().filter(|expression| !is_escaped(expression)) {
            let problem = Problem::warning(format!("`{{{{ {expression} }}}}` reaches a structured text unescaped"));
            let advice = format!("put it into `ESCAPE(..., \"{escape}\")`, unless its value is such text itself");
            reader.report(&format!("{parameter}{pointer}"), problem.advise(advice));
        }
    }
}

/// A template's interpolation where no template is read: it would be sent as it is.
fn warn_of_templates(reader: &mut Reader<'_>, annotations: &Annotations, parameter: &str, value: &Value) {
    if annotations.templates.is_empty() {
        return;
    }
    let mut texts = Vec::new();
    collect_texts(value, &mut texts);
    let found = texts.into_iter().find_map(|text| {
        let start = text.find("${")?;
        let end = text[start..].find('}')?;
        Some(&text[start..=start + end])
    });
    if let Some(found) = found {
        let templates: Vec<String> = annotations.templates.iter().map(|name| format!("`{name}`")).collect();
        let problem = Problem::warning(format!("`{found}` is sent as it is: no template is read here"));
        let advice = format!(
            "write it in double braces, such as `{{{{ message.id }}}}`; templates are read in {}",
            templates.join(" and ")
        );
        reader.report(parameter, problem.advise(advice));
    }
}

fn collect_texts<'v>(value: &'v Value, texts: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(elements) => elements.iter().for_each(|element| collect_texts(element, texts)),
        Value::Object(members) => members.values().for_each(|member| collect_texts(member, texts)),
        _ => {}
    }
}

fn escape(reader: &mut Reader<'_>, name: &str, written: &Map<String, Value>) -> Result<Escape, Reported> {
    let text = written.get(name).and_then(Value::as_str);
    match text.map(str::trim) {
        None | Some("") => Ok(Escape::None),
        Some(text) if text.eq_ignore_ascii_case("none") => Ok(Escape::None),
        Some(text) if text.eq_ignore_ascii_case("html") => Ok(Escape::Html),
        Some(_) => {
            let problem = Problem::invalid("it must be `html` or `none`, since it is needed before the run");
            Err(reader.report(&reader.parameter(name), problem))
        }
    }
}

fn read_items(reader: &mut Reader<'_>, parameter: &str, name: &str, value: &Value) -> Result<MergeItems, Reported> {
    // As JSON text, which the platform's canvas writes, an object is still the document's own.
    let json = value
        .as_str()
        .filter(|text| text.trim_start().starts_with('{') && !text.trim_start().starts_with("{{"))
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    let value = json.as_ref().filter(|json| json.get("file").is_some()).unwrap_or(value);
    let source = match value {
        Value::Object(members) if members.contains_key("file") => {
            if !holds_expression(value)
                && let Some(Err(reason)) = RowsFile::read(value)
            {
                return Err(reader.report(parameter, Problem::invalid(reason)));
            }
            ItemsSource::File(reader.parse_value(parameter, value)?)
        }
        Value::String(text) => {
            let template = Template::parse(text).map_err(|error| reader.expression_error(parameter, &error))?;
            if template.pieces().len() == 1 {
                reader.note_uses(parameter, template.references());
                ItemsSource::Text(template)
            } else {
                // Values are put into the tree, so that none of them can change its shape.
                let template = JsonTemplate::parse(text).map_err(|error| {
                    let problem = Problem::invalid(format!("as JSON text it is not understood, {error}"));
                    reader.report(parameter, problem)
                })?;
                reader.note_uses(parameter, template.references());
                ItemsSource::Json(template)
            }
        }
        other => ItemsSource::Native(reader.parse_value(parameter, other)?),
    };
    Ok(MergeItems {
        parameter: name.to_owned(),
        source,
        group_by: None,
    })
}

fn read_group_by(
    reader: &mut Reader<'_>,
    parameter: &str,
    name: &str,
    value: &Value,
    merges: bool,
) -> Result<GroupBy, Reported> {
    let text = value.as_str().unwrap_or_default();
    if !merges {
        let problem = Problem::invalid("there are no `items` to group").advise("give `items`, or remove it");
        return Err(reader.report(parameter, problem));
    }
    if !is_dynamic(text) {
        let problem = Problem::invalid("it holds no expression, so that all elements would be one group");
        return Err(reader.report(
            parameter,
            problem.advise("write an expression, such as `{{ item.owner }}`"),
        ));
    }
    let expression = Template::parse(text).map_err(|error| reader.expression_error(parameter, &error))?;
    reader.note_uses(parameter, expression.references());
    Ok(GroupBy {
        parameter: name.to_owned(),
        expression,
    })
}

fn read_sidecar(
    reader: &mut Reader<'_>,
    context: &CheckContext<'_>,
    parameter: &str,
    name: &str,
) -> Result<String, Reported> {
    if is_dynamic(name) {
        let problem = Problem::invalid("the name of a file beside the document cannot be an expression");
        return Err(reader.report(parameter, problem.advise("write the name itself")));
    }
    let text = sidecar::read(context.document_dir, name)
        .map_err(|reason| reader.report(parameter, Problem::invalid(reason)))?;
    reader.findings.files.insert(name.to_owned(), text.clone());
    Ok(text)
}

/// Whether a failure ends the run. Where the document's own value cannot be told, it does.
fn fail_on_error(annotations: &Annotations, written: &Map<String, Value>) -> Setting<bool> {
    const NAME: &str = "failOnError";
    match written.get(NAME).or_else(|| annotations.defaults.get(NAME)) {
        None => Setting::Fixed(false),
        // An expression that is not understood was reported with the other parameters.
        Some(Value::String(text)) if is_dynamic(text) => {
            Template::parse(text).map_or(Setting::Fixed(true), Setting::Expression)
        }
        Some(value) => Setting::Fixed(bool::from_value(value).unwrap_or(true)),
    }
}

fn endpoint(annotations: &Annotations, written: &Map<String, Value>) -> Vec<EndpointParameter> {
    let grants = annotations.grants.iter();
    grants
        .map(|(name, grant)| EndpointParameter {
            name: name.clone(),
            grant: *grant,
            written: written.get(name).filter(|value| is_given(value)).cloned(),
        })
        .collect()
}

fn is_items(property: Option<&Value>) -> bool {
    is_marked(property, "x-pipepost-items")
}

fn is_marked(property: Option<&Value>, keyword: &str) -> bool {
    property.and_then(|property| property.get(keyword)) == Some(&Value::Bool(true))
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

/// The document's own text decides; what a value brings along does not. With a plain alternative next to it the body is
/// HTML whatever it looks like, which the connector knows.
fn media_type_of(
    body: &Body,
    annotations: &Annotations,
    written: &Map<String, Value>,
) -> Option<(String, &'static str)> {
    let name = annotations.body_roles.get(&BodyRole::MediaType)?;
    let is_written = |name: &String| written.get(name).is_some_and(is_given);
    let alternative = annotations.body_roles.get(&BodyRole::PlainAlternative);
    match (is_written(name), body.is_html()) {
        (true, _) => None,
        (false, true) => Some((name.clone(), "text/html")),
        (false, false) if alternative.is_some_and(is_written) => None,
        (false, false) => Some((name.clone(), "text/plain")),
    }
}

fn account(
    reader: &mut Reader<'_>,
    context: &CheckContext<'_>,
    step: &Map<String, Value>,
    description: &ConnectorDescription,
    annotations: &Annotations,
) -> Result<Option<String>, Reported> {
    let label = match step.get("accountLabel") {
        None | Some(Value::Null) => None,
        Some(Value::String(label)) => Some(label.trim()).filter(|label| !label.is_empty()),
        Some(_) => return Err(reader.report("/accountLabel", Problem::invalid("`accountLabel` is not text"))),
    };
    let Some(label) = label else {
        return no_account(reader, annotations);
    };
    if description.account_types.is_empty() {
        reader.report_key(
            "/accountLabel",
            Problem::warning(format!("`{}` uses no account", description.name)),
        );
        return Ok(None);
    }
    if is_dynamic(label) {
        let problem = Problem::invalid("`accountLabel` is an expression, and accounts are not chosen by messages");
        return Err(reader.report("/accountLabel", problem.advise("write the label itself")));
    }
    reader
        .findings
        .own_accounts
        .insert((reader.branch, reader.step.index), label.to_owned());
    reader.findings.wanted_accounts.entry(label.to_owned()).or_default();
    if let Some(accounts) = context.accounts {
        let Some(found) = accounts.account_type(label) else {
            let problem = Problem::configuration(format!("there is no account labelled `{label}`"));
            let advice = nearest::advise(label, accounts.labels())
                .unwrap_or_else(|| "add it to an accounts file, and name that file with `--accounts`".to_owned());
            return Err(reader.report("/accountLabel", problem.advise(advice)));
        };
        if !description.account_types.iter().any(|taken| taken == found) {
            let message = format!(
                "account `{label}` is of type `{found}`, which `{}` does not take",
                description.name
            );
            let advice = format!("it takes {}", description.account_types.join(", "));
            return Err(reader.report("/accountLabel", Problem::configuration(message).advise(advice)));
        }
        account_type(reader, label, found);
    }
    Ok(Some(label.to_owned()))
}

/// The step's own idea of the account's type is the platform's bookkeeping; the account knows better.
fn account_type(reader: &mut Reader<'_>, label: &str, found: &str) {
    let written = reader
        .settings
        .get("accountType")
        .and_then(Value::as_str)
        .unwrap_or(found);
    if !written.eq_ignore_ascii_case(found) && !is_dynamic(written) && !written.is_empty() {
        let message = format!("`accountType` says `{written}`, and account `{label}` is of type `{found}`");
        reader.report(
            "/params/accountType",
            Problem::warning(message).advise("the account's own type counts"),
        );
    }
}

fn no_account(reader: &mut Reader<'_>, annotations: &Annotations) -> Result<Option<String>, Reported> {
    let Some(switch) = &annotations.account_switch else {
        return Ok(None);
    };
    let default = annotations
        .defaults
        .get(switch)
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let is_on = match reader.settings.get(switch) {
        None => default,
        Some(value) => *value == Value::Bool(true),
    };
    if !is_on {
        return Ok(None);
    }
    let problem = Problem::configuration("the step names no account, and it signs in").advise(format!(
        "add `accountLabel` beside `params`, or set `{switch}` to false"
    ));
    Err(reader.report("", problem))
}
