//! The pipeline document: parses it, checks it, and shows the position of each problem.
//!
//! The document is Digibee's flowSpec in both its forms, the platform's (`{name, ..., flowSpec}`, which begins at the
//! branch `start`) and the clipboard's (`{meta, flowSpec}`, which begins at `disconnected-root:<id>`; the canvas's older
//! clipboard, an array of nodes and edges, is read as one). [`parse`] turns
//! its text into a [`Pipeline`]: every step typed, every expression, path and condition parsed, every branch found.
//! Everything that is wrong is returned as [`Problems`], each with its branch, step, parameter, line and column.
//!
//! The order of calls: describe what is available ([`CheckContext`]: the connectors, the accounts), then call [`parse`]
//! to run a document or [`check`] to report on it. During a run, each connector's parameters are evaluated and
//! converted to the types of its schema by [`parameters::check_resolved`].
//!
//! The document is compiled once: its expressions, templates, conditions and flags are parsed here, and a run evaluates
//! what it finds in the [`Pipeline`]. The only files that this crate reads are those that the document names in its own
//! folder. It reads no clock and runs nothing: the caller evaluates the expressions.
//!
//! ```
//! use pipepost_flowspec::{Connectors, CheckContext, parse};
//!
//! let text = r#"{"flowSpec": {"start": [
//!     {"type": "connector", "name": "log-connector", "params": {"logLevel": "INFO", "mesage": "hello"}}
//! ]}}"#;
//! let connectors = Connectors::default();
//!
//! let problems = parse(text, &CheckContext::new(&connectors)).unwrap_err();
//! assert_eq!(
//!     problems.to_string(),
//!     "error at line 2, column 83, branch start, step 1, parameter mesage: there is no parameter `mesage`; \
//!      the nearest known is `message`"
//! );
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod body;
mod canvas;
mod catalogue;
mod condition;
mod connector_reader;
mod document;
mod flow;
mod json_text;
mod merge_items;
mod nearest;
mod nesting;
mod object_query;
pub mod parameters;
mod pipeline;
mod positions;
mod problem;
mod reader;
mod reference;
mod references;
mod requirements;
mod rows_file;
pub mod schema;
mod segments;
mod sidecar;
mod step;
mod step_reader;
mod steps;
mod trigger_keys;
mod unsupported;

pub use body::{Body, BodyError};
pub use catalogue::{
    Accounts, Catalogue, CheckContext, ConnectorDescription, ConnectorNames, Connectors, FieldAccess, NameConflict,
    NameHolder,
};
pub use condition::{Comparison, Condition, ConditionError, ConditionSyntaxError, Literal, Operator, Simple};
pub use document::{Report, check, parse, position};
pub use merge_items::{GroupBy, Items, ItemsSource, MergeItems};
pub use object_query::{MemberChange, OBJECT_ID, ObjectOrder, ObjectQuery, ObjectUpdate};
pub use pipeline::{Branch, Form, Pipeline, PipelineMetadata};
pub use pipepost_freemarker::{Escape, template_markdown};
pub use problem::{Kind, Place, Position, Problem, Problems, Severity, StepPlace};
pub use reference::steps_markdown;
pub use requirements::Requirements;
pub use rows_file::{Header, RowsFile, RowsFormat, repeated};
pub use segments::SegmentedParameter;
pub use step::*;
pub use steps::is_builtin;
