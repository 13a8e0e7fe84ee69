//! Double Braces: the expressions in `{{ }}` that fill the parameters of a pipeline's steps.
//!
//! An expression is a literal (text, number, boolean, null, object, array), a path into one of the [`Scope`]s of a run
//! (`message.items[0].name`, `account.mailer.username`) or a call of one of the functions (`UPPERCASE(message.name)`).
//!
//! The order of calls: parse once, with [`Template::parse`] for text, [`JsonTemplate::parse`] for JSON text with
//! expressions in it, [`ValueTemplate::parse`] for a JSON value whose texts are templates, or [`Expression::parse`] for
//! an expression without its braces. Unknown scopes and functions, wrong numbers of arguments and invalid constant
//! patterns are found here, with their line and column. Then evaluate any number of times with a [`Context`]; nothing
//! is parsed again, and no scope is copied to look something up in it.
//!
//! A path to something that does not exist gives null, as in Digibee. The value of an expression is inserted and never
//! read again as an expression. An expression that is a whole text keeps its JSON type. Within other text null becomes
//! nothing, text is inserted as it is, numbers as Java prints them (`3.0`, `1.0E10`), and objects and arrays as compact
//! JSON.
//!
//! What this crate does not do: it knows nothing of pipelines, steps and account files, and it reads clock, randomness
//! and files only through the [`Context`]. So evaluation with a fixed context is deterministic.
//!
//! ```
//! use pipepost_double_braces::{Context, Scope, Template};
//! use serde_json::{Value, json};
//!
//! struct Run {
//!     message: Value,
//! }
//!
//! impl Context for Run {
//!     fn root(&self, scope: Scope) -> Option<&Value> {
//!         (scope == Scope::Message).then_some(&self.message)
//!     }
//!     fn now(&self) -> jiff::Timestamp {
//!         jiff::Timestamp::UNIX_EPOCH
//!     }
//!     fn random(&self) -> u64 {
//!         4
//!     }
//! }
//!
//! let run = Run { message: json!({"name": "Ada", "total": 3.0}) };
//! let subject = Template::parse("Order of {{ message.name }}: {{ message.total }}")?;
//! assert_eq!(subject.evaluate(&run)?, json!("Order of Ada: 3.0"));
//! assert_eq!(Template::parse("{{ message.total }}")?.evaluate(&run)?, json!(3.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod context;
mod date_format;
mod error;
mod evaluate;
mod expression;
mod functions;
mod json_template;
mod parse;
mod reference;
mod reference_text;
mod template;
mod text;
mod value_template;

pub use context::{Context, Masked};
pub use error::{EvaluationError, EvaluationErrorKind, ParseError, Position};
pub use expression::Expression;
pub use functions::function_signatures;
pub use json_template::JsonTemplate;
pub use reference::{Reference, Scope, Segment};
pub use reference_text::{EXAMPLE_MESSAGE, FunctionReference, function_reference, functions_markdown};
pub use template::{Piece, Template};
pub use text::to_text;
pub use value_template::{Filled, ValueEvaluationError, ValueParseError, ValueTemplate};
