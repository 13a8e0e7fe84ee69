//! The typed steps: one struct for each step type, with its settings in the form that a run uses.

mod object_store;
mod other_pipelines;
mod validator;

pub use object_store::{ObjectOperation, ObjectStore};
pub use other_pipelines::{EventPublisher, PipelineExecutor};
use pipepost_double_braces::{JsonTemplate, Template, ValueTemplate};
use pipepost_jsonpath::JsonPath;
use serde_json::Value;
pub use validator::{CompiledSchema, SchemaDraft, SchemaSource, SchemaViolation, Validator};

use crate::body::Body;
use crate::condition::Condition;
use crate::merge_items::MergeItems;
use crate::parameters::Grant;
use crate::positions::push_token;
use crate::segments::SegmentedParameter;

/// The id of a branch of its [`Pipeline`](crate::Pipeline).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BranchId(pub(crate) usize);

/// A step of a branch.
#[derive(Debug, Clone)]
pub struct Step {
    /// The step's `id`.
    pub id: Option<String>,
    /// The step's `stepName`.
    pub name: Option<String>,
    /// The step's `doubleBracesAlias`: `{{ step.<alias>... }}` is its output.
    pub alias: Option<String>,
    /// The `type`, or for connectors the `name`, as the document writes it.
    pub type_name: String,
    /// The step's place in the document.
    pub path: StepPath,
    /// The work of the step.
    pub kind: StepKind,
}

impl Step {
    /// Returns the name for people: the step's name, or else its id, or else its type.
    pub fn label(&self) -> &str {
        self.name.as_ref().or(self.id.as_ref()).unwrap_or(&self.type_name)
    }

    /// Returns the key that distinguishes the step from every other step of the document, for data that is kept after a
    /// run: `/branch/id`, or `/branch#position` if it has no id. A `/` in a name is written as in a JSON pointer (RFC
    /// 6901).
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

/// A step's place in the document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepPath {
    /// The branch's name.
    pub branch: String,
    /// The index in the branch, from 0.
    pub index: usize,
}

/// The work of a step, by its type.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StepKind {
    /// A connector from the catalogue.
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
    /// `do-while-connector`
    DoWhile(DoWhile),
    /// `object-store-connector`
    ObjectStore(Box<ObjectStore>),
    /// `validator`, `validator-connector-v2`
    Validator(Box<Validator>),
    /// `file-writer-connector`
    FileWriter(FileWriter),
    /// `pipeline-executor-connector`
    PipelineExecutor(Box<PipelineExecutor>),
    /// `event-publisher-connector`
    EventPublisher(Box<EventPublisher>),
    /// A step of any type whose output the caller provides; the text is the pin that names it.
    Pinned(String),
}

/// A setting whose value is known, or an expression that gives the value.
#[derive(Debug, Clone)]
pub enum Setting<T> {
    /// The value is known from the document.
    Fixed(T),
    /// An expression that must be evaluated, and then read with [`Setting::read`].
    Expression(Template),
}

/// A type of value that a [`Setting`] can hold.
pub trait SettingValue: Sized + Clone {
    /// The name of the type in messages: `a whole number`.
    const EXPECTED: &'static str;

    /// Reads a value in either form, native or text.
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

/// An error: an expression gave a value of a type that its setting does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the expression must give {expected}")]
pub struct SettingError {
    /// The type that it should have given.
    pub expected: &'static str,
}

impl<T: SettingValue> Setting<T> {
    /// Returns the setting's value. `evaluate` is called only for an expression.
    ///
    /// # Errors
    /// Returns the error of `evaluate`, or a [`SettingError`] when its value is of the wrong type.
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
    /// JSON text, in which an expression may replace a value.
    Text(JsonTemplate),
    /// A value whose texts are templates.
    Native(ValueTemplate),
}

/// The id of a connector step of its [`Pipeline`](crate::Pipeline). The steps are numbered in the order of
/// [`Pipeline::connectors`](crate::Pipeline::connectors).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectorId(pub(crate) usize);

impl ConnectorId {
    /// Returns the number, from 0.
    pub fn index(self) -> usize {
        self.0
    }
}

/// A connector step with its parameters, compiled. Each parameter is in one of these fields, by how its value is made.
#[derive(Debug, Clone)]
pub struct CompiledConnector {
    /// The id among the document's connector steps.
    pub id: ConnectorId,
    /// The connector's own name, even if the document uses an alias.
    pub name: String,
    /// The label of its account.
    pub account_label: Option<String>,
    /// The parameters under their own names, except for those in the fields below. They must be evaluated and then,
    /// together with the others, converted to the schema's types by
    /// [`check_resolved`](crate::parameters::check_resolved).
    pub params: ValueTemplate,
    /// Structured texts with expressions in them. They are added to the other parameters after those were converted to
    /// the schema's types, because the connector itself reads them.
    pub segmented: Vec<SegmentedParameter>,
    /// Parameters for which a message is shown when a value left them empty.
    pub warn_empty: Vec<String>,
    /// Parameters that are FreeMarker templates, each with its name.
    pub bodies: Vec<(String, Body)>,
    /// Texts of sidecar files that are taken as they are, each with its parameter's name.
    pub texts: Vec<(String, String)>,
    /// The elements of a mail merge; `None` for a step that is one call.
    pub items: Option<MergeItems>,
    /// Where the results of a mail merge go, with its parameter's name; `None`: into the output.
    pub results: Option<(String, ValueTemplate)>,
    /// The name of the media type parameter, and the media type derived from the body's source, if the document does
    /// not set it.
    pub media_type: Option<(String, &'static str)>,
    /// Whether a failure ends the run.
    pub fail_on_error: Setting<bool>,
    /// The parameters that name the endpoint, including those that the document does not write.
    pub endpoint: Vec<EndpointParameter>,
}

/// A parameter that names a part of the endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointParameter {
    /// The parameter's name.
    pub name: String,
    /// The part of the endpoint.
    pub grant: Grant,
    /// The value in the document; `None` if it is absent, null or blank text.
    pub written: Option<Value>,
}

/// A step that makes a new message.
#[derive(Debug, Clone)]
pub struct JsonGenerator {
    /// The new message.
    pub json: JsonSource,
    /// Whether a failure ends the run.
    pub fail_on_error: bool,
}

/// The level of a log line.
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

/// A step that writes a log line.
#[derive(Debug, Clone)]
pub struct Log {
    /// The level.
    pub level: LogLevel,
    /// The text of the line; `None` for the message itself.
    pub message: Option<Template>,
}

/// A step that continues in one of several branches.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The alternatives, tried in order.
    pub when: Vec<When>,
    /// The branch to continue with if no condition holds; without it the run ends there with the message as it is.
    pub otherwise: Option<BranchId>,
}

/// One alternative of a choice.
#[derive(Debug, Clone)]
pub struct When {
    /// The condition for this alternative.
    pub condition: Condition,
    /// The branch to continue with.
    pub target: BranchId,
}

/// A step that ends the run, or the track, with an error.
#[derive(Debug, Clone)]
pub struct ThrowError {
    /// The message of the error object `{timestamp,error,exception,code}`.
    pub message: Option<Template>,
    /// The code: text or number.
    pub code: Option<ValueTemplate>,
    /// An error object that replaces the usual one.
    pub custom: Option<JsonSource>,
}

/// What a session step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionOperation {
    /// Stores the message's fields in the session.
    Put,
    /// Adds the session's fields to the message.
    Get,
    /// Removes the fields from the session.
    Delete,
}

/// A step that keeps values for later steps of the run.
#[derive(Debug, Clone)]
pub struct Session {
    /// The operation.
    pub operation: SessionOperation,
    /// The names of the fields.
    pub fields: Vec<String>,
}

/// A step that waits.
#[derive(Debug, Clone)]
pub struct Delayer {
    /// The waiting time, in milliseconds.
    pub delay: Setting<u64>,
}

/// A step that renders a FreeMarker template.
#[derive(Debug, Clone)]
pub struct TemplateTransformer {
    /// The model's place in the message, with dots.
    pub model_path: String,
    /// The template.
    pub template: Body,
    /// Whether the original value is kept in `_body`.
    pub preserve_original: bool,
}

/// A step that replaces the message with the result of a path.
#[derive(Debug, Clone)]
pub struct JsonPathTransformer {
    /// The path.
    pub path: JsonPath,
    /// Whether a failure ends the run.
    pub fail_on_error: bool,
}

/// A step that converts one field of the message from JSON text to JSON, or back.
#[derive(Debug, Clone)]
pub struct FieldTransformer {
    /// The field's place in the message, with dots.
    pub field_path: String,
    /// Whether the original value is kept.
    pub preserve_original: bool,
    /// Whether a failure ends the run.
    pub fail_on_error: bool,
}

/// A step that fails when a condition does not hold.
#[derive(Debug, Clone)]
pub struct Assert {
    /// The condition.
    pub condition: Setting<bool>,
    /// The message of the error.
    pub message: Option<Template>,
    /// A message for the log only.
    pub internal_message: Option<Template>,
    /// The code: text or number.
    pub code: Option<ValueTemplate>,
    /// Whether a failure ends the run.
    pub fail_on_error: bool,
}

/// The tracks of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracks {
    /// The track that does the work.
    pub on_process: BranchId,
    /// The track that runs after an error in the work.
    pub on_exception: Option<BranchId>,
}

/// The elements that a loop runs for.
#[derive(Debug, Clone)]
pub enum Elements {
    /// An expression that gives an array.
    Expression(Template),
    /// A path to an array, `$` by default.
    JsonPath(JsonPath),
}

/// A step that runs a track for each element of an array.
#[derive(Debug, Clone)]
pub struct ForEach {
    /// The array.
    pub elements: Elements,
    /// The field that distinguishes elements in logs.
    pub item_identifier: Option<String>,
    /// Whether several elements run at the same time.
    pub parallel: bool,
    /// Whether a structural failure ends the run.
    pub fail_on_error: bool,
    /// The tracks.
    pub tracks: Tracks,
}

/// A step that runs a track until it succeeds.
#[derive(Debug, Clone)]
pub struct Retry {
    /// The largest number of runs, including the first.
    pub max_retry: Setting<u64>,
    /// The time limit for all runs together, in milliseconds.
    pub timeout: Setting<u64>,
    /// Whether a last failure ends the run.
    pub fail_on_error: bool,
    /// The tracks.
    pub tracks: Tracks,
}

/// A step that runs a track again and again, until the track says that it is enough.
#[derive(Debug, Clone)]
pub struct DoWhile {
    /// The largest number of runs.
    pub iterations: Setting<u64>,
    /// The time limit for all runs together, in milliseconds.
    pub timeout: Setting<u64>,
    /// Whether each run's message gets its number as `loopIndex`, from 1.
    pub shows_index: bool,
    /// Whether an error in a run is the last one of the loop.
    pub interrupt_on_error: bool,
    /// The tracks.
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

/// One of the branches that run in parallel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// The branch's id in the result.
    pub execution_id: Option<String>,
    /// A description for people.
    pub description: Option<String>,
    /// The branch that runs.
    pub target: BranchId,
}

/// A step that runs branches in parallel.
#[derive(Debug, Clone)]
pub struct Parallel {
    /// The branches.
    pub executions: Vec<Execution>,
    /// How the results are joined.
    pub aggregation: Aggregation,
    /// Whether each result is shown with its id.
    pub show_execution_ids: bool,
    /// Whether an exception appears in the list as an error object, and not as null.
    pub report_exceptions: bool,
}

/// What happens if the file already exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileExists {
    /// The text is added at the end.
    Append,
    /// The file is replaced.
    Override,
    /// The step fails.
    Fail,
}

/// The characters that end a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// CR LF
    Windows,
    /// LF
    Unix,
    /// Nothing.
    None,
}

/// A step that writes a file into the run's directory.
#[derive(Debug, Clone)]
pub struct FileWriter {
    /// The file's name.
    pub file_name: Template,
    /// The content of the file.
    pub input: ValueTemplate,
    /// What happens if the file already exists.
    pub file_exists: FileExists,
    /// The character encoding.
    pub charset: Template,
    /// Whether the input is base64.
    pub is_binary: bool,
    /// The characters that end a line.
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
