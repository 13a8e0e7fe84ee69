//! The steps, typed: one struct a step type, its settings in the form in which the run uses them.

use pipepost_double_braces::{JsonTemplate, Template, ValueTemplate};
use pipepost_jsonpath::JsonPath;
use serde_json::Value;

use crate::body::Body;
use crate::condition::Condition;
use crate::merge_items::MergeItems;
use crate::parameters::Grant;
use crate::positions::push_token;
use crate::segments::SegmentedParameter;

/// A branch of its [`Pipeline`](crate::Pipeline).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BranchId(pub(crate) usize);

/// A step of a branch.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its `id`.
    pub id: Option<String>,
    /// Its `stepName`.
    pub name: Option<String>,
    /// Its `doubleBracesAlias`: `{{ step.<alias>... }}` is its output.
    pub alias: Option<String>,
    /// The `type`, or for connectors the `name`, as the document writes it.
    pub type_name: String,
    /// Where it stands.
    pub path: StepPath,
    /// What it does.
    pub kind: StepKind,
}

impl Step {
    /// What people call it: its name, else its id, else its type.
    pub fn label(&self) -> &str {
        self.name.as_ref().or(self.id.as_ref()).unwrap_or(&self.type_name)
    }

    /// What tells it from every other step of the document, for keys that outlive a run: `/branch/id`, or
    /// `/branch#position` where it has no id, with `/` in names written as in a JSON pointer (RFC 6901).
    pub fn key(&self) -> String {
        let mut key = String::new();
        push_token(&mut key, &self.path.branch);
        match &self.id {
            Some(id) => push_token(&mut key, id),
            None => key.push_str(&format!("#{}", self.path.index)),
        }
        key
    }
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepPath {
    /// The branch's name.
    pub branch: String,
    /// The place in it, from 0.
    pub index: usize,
}

/// What a step does.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StepKind {
    /// A component from the catalogue.
    Connector(Box<CompiledConnector>),
    /// `json-generator-connector`
    JsonGenerator(JsonGenerator),
    /// `log-connector`
    Log(Log),
    /// `choice`: it ends its branch.
    Choice(Choice),
    /// `throw-error-connector`
    ThrowError(ThrowError),
    /// `session-management`
    Session(Session),
    /// `delayer`
    Delayer(Delayer),
    /// `template-transformer`
    TemplateTransformer(TemplateTransformer),
    /// `json-path-transformer`
    JsonPathTransformer(JsonPathTransformer),
    /// `json-string-to-json-transformer`
    ParseJson(FieldTransformer),
    /// `json-to-json-string-transformer`
    PrintJson(FieldTransformer),
    /// `assert-connector-v2`
    Assert(Assert),
    /// `for-each-connector`
    ForEach(ForEach),
    /// `block-execution-connector`
    Block(Tracks),
    /// `retry-connector`
    Retry(Retry),
    /// `parallel-execution-connector`
    Parallel(Parallel),
    /// `file-writer-connector`
    FileWriter(FileWriter),
    /// A step whose output the caller fixes, of whatever type: the pin that names it.
    Pinned(String),
}

/// A setting that is known, or an expression that will give it.
#[derive(Debug, Clone)]
pub enum Setting<T> {
    /// Known from the document.
    Fixed(T),
    /// To be evaluated, and then read with [`Setting::read`].
    Expression(Template),
}

/// What a [`Setting`] can be.
pub trait SettingValue: Sized + Clone {
    /// What it is called in messages: `a whole number`.
    const EXPECTED: &'static str;

    /// Reads it in either form.
    fn from_value(value: &Value) -> Option<Self>;
}

impl SettingValue for u64 {
    const EXPECTED: &'static str = "a whole number of at least 0";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => text.trim().parse().ok(),
            Value::Number(number) => number.as_u64().or_else(|| {
                let float = number.as_f64()?;
                (float.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&float)).then_some(float as Self)
            }),
            _ => None,
        }
    }
}

impl SettingValue for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(boolean) => Some(*boolean),
            Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
            Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }
}

/// An expression that gave something else than its setting takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the expression must give {expected}")]
pub struct SettingError {
    /// What it should have given.
    pub expected: &'static str,
}

impl<T: SettingValue> Setting<T> {
    /// The setting's value; `evaluate` is called only for an expression.
    ///
    /// # Errors
    ///
    /// What `evaluate` answers, or a [`SettingError`] when its value is of the wrong type.
    pub fn read<E: From<SettingError>>(&self, evaluate: impl FnOnce(&Template) -> Result<Value, E>) -> Result<T, E> {
        match self {
            Self::Fixed(value) => Ok(value.clone()),
            Self::Expression(template) => {
                let value = evaluate(template)?;
                T::from_value(&value).ok_or_else(|| SettingError { expected: T::EXPECTED }.into())
            }
        }
    }
}

/// JSON with expressions in it, in either of its forms.
#[derive(Debug, Clone)]
pub enum JsonSource {
    /// JSON text, in which an expression may stand where a value stands.
    Text(JsonTemplate),
    /// A value whose texts are templates.
    Native(ValueTemplate),
}

/// A connector step of its [`Pipeline`](crate::Pipeline), numbered in the order of
/// [`Pipeline::connectors`](crate::Pipeline::connectors).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectorId(pub(crate) usize);

impl ConnectorId {
    /// Its number, from 0.
    pub fn index(self) -> usize {
        self.0
    }
}

/// A component and what it is given, compiled: each parameter stands in one of these parts, by how its value is made.
#[derive(Debug, Clone)]
pub struct CompiledConnector {
    /// Which of the document's connector steps it is.
    pub id: ConnectorId,
    /// Its own name, whatever alias the document uses.
    pub name: String,
    /// The label of its account.
    pub account_label: Option<String>,
    /// The parameters under their own names, but for those below. To be evaluated, and together with the others brought
    /// into the schema's types by [`check_resolved`](crate::parameters::check_resolved).
    pub params: ValueTemplate,
    /// Structured texts with expressions in them. They are put to the others after these were brought into the schema's
    /// types: the connector reads them.
    pub segmented: Vec<SegmentedParameter>,
    /// Parameters that a value may have left empty, which is told.
    pub warn_empty: Vec<String>,
    /// Parameters that are FreeMarker templates, each with its name.
    pub bodies: Vec<(String, Body)>,
    /// Texts of sidecar files that are taken as they are, each with its parameter's name.
    pub texts: Vec<(String, String)>,
    /// What a mail merge goes over; none for a step that is one call.
    pub items: Option<MergeItems>,
    /// The media type of the body by its source, with its parameter's name, where the document does not say it.
    pub media_type: Option<(String, &'static str)>,
    /// Whether a failure ends the run.
    pub fail_on_error: Setting<bool>,
    /// The parameters that name the endpoint, whether or not the document writes them.
    pub endpoint: Vec<EndpointParameter>,
}

/// A parameter that names a part of the endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointParameter {
    /// Its name.
    pub name: String,
    /// Which part.
    pub grant: Grant,
    /// What the document writes; none where it writes nothing, null or blank text.
    pub written: Option<Value>,
}

/// Makes the message anew.
#[derive(Debug, Clone)]
pub struct JsonGenerator {
    /// The new message.
    pub json: JsonSource,
    /// Whether a failure ends the run.
    pub fail_on_error: bool,
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// `TRACE`
    Trace,
    /// `DEBUG`
    Debug,
    /// `INFO`
    Info,
    /// `WARN`
    Warn,
    /// `ERROR`
    Error,
}

/// Writes a log line.
#[derive(Debug, Clone)]
pub struct Log {
    /// How much it matters.
    pub level: LogLevel,
    /// The line; none for the message itself.
    pub message: Option<Template>,
}

/// Goes on in one of several branches.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Tried in order.
    pub when: Vec<When>,
    /// Where to go on when none holds; without it the run ends there with the message as it is.
    pub otherwise: Option<BranchId>,
}

/// One way out of a choice.
#[derive(Debug, Clone)]
pub struct When {
    /// When it is taken.
    pub condition: Condition,
    /// Where it leads.
    pub target: BranchId,
}

/// Ends the run, or the track, with an error.
#[derive(Debug, Clone)]
pub struct ThrowError {
    /// `{timestamp,error,exception,code}` is made of these.
    pub message: Option<Template>,
    /// The code: text or number.
    pub code: Option<ValueTemplate>,
    /// The error object instead.
    pub custom: Option<JsonSource>,
}

/// What is done with the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionOperation {
    /// Keep the message's fields.
    Put,
    /// Add them to the message.
    Get,
    /// Forget them.
    Delete,
}

/// Keeps values for later steps of the run.
#[derive(Debug, Clone)]
pub struct Session {
    /// What to do.
    pub operation: SessionOperation,
    /// The fields.
    pub fields: Vec<String>,
}

/// Waits.
#[derive(Debug, Clone)]
pub struct Delayer {
    /// How long, in milliseconds.
    pub delay: Setting<u64>,
}

/// Renders a FreeMarker template.
#[derive(Debug, Clone)]
pub struct TemplateTransformer {
    /// The model's place in the message, with dots.
    pub model_path: String,
    /// The template.
    pub template: Body,
    /// Whether `_body` keeps what was there.
    pub preserve_original: bool,
}

/// Replaces the message by what a path finds.
#[derive(Debug, Clone)]
pub struct JsonPathTransformer {
    /// The path.
    pub path: JsonPath,
    /// Whether a failure ends the run.
    pub fail_on_error: bool,
}

/// Turns one field of the message from JSON text into JSON, or back.
#[derive(Debug, Clone)]
pub struct FieldTransformer {
    /// The field's place in the message, with dots.
    pub field_path: String,
    /// Whether what was there is kept.
    pub preserve_original: bool,
    /// Whether a failure ends the run.
    pub fail_on_error: bool,
}

/// Fails when a condition does not hold.
#[derive(Debug, Clone)]
pub struct Assert {
    /// The condition.
    pub condition: Setting<bool>,
    /// What the error says.
    pub message: Option<Template>,
    /// What only the log says.
    pub internal_message: Option<Template>,
    /// The code: text or number.
    pub code: Option<ValueTemplate>,
    /// Whether a failure ends the run.
    pub fail_on_error: bool,
}

/// What a step with tracks runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracks {
    /// Its work.
    pub on_process: BranchId,
    /// What runs after an error in it.
    pub on_exception: Option<BranchId>,
}

/// What a loop goes over.
#[derive(Debug, Clone)]
pub enum Elements {
    /// An expression that gives an array.
    Expression(Template),
    /// A path to it, `$` by default.
    JsonPath(JsonPath),
}

/// Runs a track for each element of an array.
#[derive(Debug, Clone)]
pub struct ForEach {
    /// The array.
    pub elements: Elements,
    /// The field that tells elements apart in logs.
    pub item_identifier: Option<String>,
    /// Whether several run at a time.
    pub parallel: bool,
    /// Whether a structural failure ends the run.
    pub fail_on_error: bool,
    /// What runs.
    pub tracks: Tracks,
}

/// Runs a track until it succeeds.
#[derive(Debug, Clone)]
pub struct Retry {
    /// How often, with the first run.
    pub max_retry: Setting<u64>,
    /// How long all of it may take, in milliseconds.
    pub timeout: Setting<u64>,
    /// Whether a last failure ends the run.
    pub fail_on_error: bool,
    /// What runs.
    pub tracks: Tracks,
}

/// How the results of parallel branches become one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregation {
    /// A list of results.
    Collate,
    /// `{total,success,failed}`
    Summary,
}

/// One of the branches that run side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Its id in the result.
    pub execution_id: Option<String>,
    /// What people call it.
    pub description: Option<String>,
    /// What runs.
    pub target: BranchId,
}

/// Runs branches side by side.
#[derive(Debug, Clone)]
pub struct Parallel {
    /// The branches.
    pub executions: Vec<Execution>,
    /// How the results are joined.
    pub aggregation: Aggregation,
    /// Whether results stand beside their ids.
    pub show_execution_ids: bool,
    /// Whether an exception stands in the list as an error object, and not as null.
    pub report_exceptions: bool,
}

/// What happens to a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileExists {
    /// Written behind it.
    Append,
    /// Replaced.
    Override,
    /// An error.
    Fail,
}

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// CR LF
    Windows,
    /// LF
    Unix,
    /// Nothing.
    None,
}

/// Writes a file into the run's directory.
#[derive(Debug, Clone)]
pub struct FileWriter {
    /// Its name.
    pub file_name: Template,
    /// What goes in.
    pub input: ValueTemplate,
    /// What if it exists.
    pub file_exists: FileExists,
    /// The characters' encoding.
    pub charset: Template,
    /// Whether the input is base64.
    pub is_binary: bool,
    /// What ends a line.
    pub line_end: LineEnd,
    /// Whether an object is written as one line.
    pub coalesce: bool,
    /// Whether a failure ends the run.
    pub fail_on_error: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_setting_is_read_in_either_form() {
        let expression = Setting::<u64>::Expression(Template::parse("{{ message.n }}").unwrap());
        let read = |value: Value| expression.read(|_| Ok::<_, SettingError>(value));
        assert_eq!(read(json!("5")), Ok(5));
        assert_eq!(read(json!(5.0)), Ok(5));
        assert_eq!(read(json!(-5)).unwrap_err().expected, u64::EXPECTED);
        let fixed = Setting::Fixed(true);
        assert_eq!(
            fixed.read(|_| Err(SettingError {
                expected: "never evaluated"
            })),
            Ok(true)
        );
    }

    #[test]
    fn keys_of_steps_do_not_run_into_each_other() {
        let step = |branch: &str, id: Option<&str>| Step {
            id: id.map(str::to_owned),
            name: None,
            alias: None,
            type_name: "x".to_owned(),
            path: StepPath {
                branch: branch.to_owned(),
                index: 2,
            },
            kind: StepKind::Pinned("x".to_owned()),
        };
        assert_eq!(step("start", Some("a")).key(), "/start/a");
        assert_eq!(step("start", None).key(), "/start#2");
        assert_ne!(step("a/b", Some("c")).key(), step("a", Some("b/c")).key());
    }
}
