//! Evaluates one expression or template by itself, to try it out.

use pipepost_core::{Failure, FailureKind};
use pipepost_double_braces::{Context, Expression, Scope, Template};
use pipepost_flowspec::{Body, Escape};
use serde_json::{Map, Value};

/// What a trial can see.
struct Trial<'a> {
    message: &'a Value,
    globals: Value,
}

impl Context for Trial<'_> {
    fn root(&self, scope: Scope) -> Option<&Value> {
        match scope {
            Scope::Message | Scope::Trigger => Some(self.message),
            // The elements of a mail merge are tried on a message that is one.
            Scope::Item => Some(self.message.get("item").unwrap_or(self.message)),
            Scope::Global => Some(&self.globals),
            _ => None,
        }
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn random(&self) -> u64 {
        getrandom::u64().unwrap_or_default()
    }
}

/// Evaluates what a parameter could contain: an expression without its braces (`UPPERCASE(message.name)`), a text with
/// `{{ }}` in it, or the template of a body (`${name}`, `<#if ...>`). A text that is only one `{{ }}` keeps its JSON
/// type.
///
/// # Errors
/// Fails with [`FailureKind::Invalid`], with line and column, when the text cannot be parsed or has no value.
///
/// ```
/// use serde_json::{Map, json};
///
/// let message = json!({"name": "Ada"});
/// assert_eq!(pipepost::evaluate("UPPERCASE(message.name)", &message, Map::new())?, json!("ADA"));
/// assert_eq!(pipepost::evaluate("Dear ${name}", &message, Map::new())?, json!("Dear Ada"));
/// # Ok::<(), pipepost::Failure>(())
/// ```
pub fn evaluate(text: &str, message: &Value, globals: Map<String, Value>) -> Result<Value, Failure> {
    let trial = Trial {
        message,
        globals: Value::Object(globals),
    };
    let invalid = |reason: String| Failure::new(FailureKind::Invalid, reason);
    if ["${", "<#", "[#"].iter().any(|mark| text.contains(mark)) {
        let body = Body::parse(text, Escape::None);
        let body = body.map_err(|error| {
            let (line, column) = (error.position.line, error.position.column);
            invalid(format!("At line {line}, column {column}: {}.", error.message))
        })?;
        let rendered = body.render(&trial, message, None);
        return rendered
            .map(Value::String)
            .map_err(|error| invalid(format!("No result: {error}.")));
    }
    let no_value = |error: pipepost_double_braces::EvaluationError| invalid(format!("No result: {error}."));
    let unread = |error: pipepost_double_braces::ParseError| {
        let (line, column) = (error.line(), error.column());
        let (found, expected) = (error.found(), error.expected());
        invalid(format!(
            "At line {line}, column {column}: found {found}, expected {expected}."
        ))
    };
    if text.contains("{{") {
        return Template::parse(text)
            .map_err(unread)?
            .evaluate(&trial)
            .map_err(no_value);
    }
    Expression::parse(text)
        .map_err(unread)?
        .evaluate(&trial)
        .map_err(no_value)
}
