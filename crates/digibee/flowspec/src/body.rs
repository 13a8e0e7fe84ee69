//! Bodies: FreeMarker templates, compiled once from the document's own text.
//!
//! The text goes through two languages, and neither reads the output of the other: the `{{ }}` are found first and
//! their values are inserted as values. So a message can hold `${...}` or `{{...}}`, and these remain text.

use std::collections::HashSet;
use std::sync::Arc;

use pipepost_double_braces::{self as double_braces, Context, Expression, to_text};
use pipepost_freemarker::{self as freemarker, Escape, Model, Options, Piece};
use serde_json::Value;

use crate::problem::Position;

/// A compiled body: a FreeMarker template with `{{ }}` expressions in it.
#[derive(Debug, Clone)]
pub struct Body {
    template: Arc<freemarker::Template>,
    /// The `{{ }}` in their order: the inserted values of each rendering.
    expressions: Vec<Expression>,
    /// How each of them is written, with its braces.
    sources: Vec<String>,
}

/// An error in the text of a body: its position and its reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BodyError {
    /// The position in the text.
    pub position: Position,
    /// The reason: a clause without a full stop.
    pub message: String,
}

/// A value that reaches an HTML body as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unescaped {
    pub(crate) position: Position,
    pub(crate) text: String,
}

impl Body {
    /// Compiles a text with `{{ }}` and FreeMarker in it.
    ///
    /// # Errors
    /// Returns the first position that is not understood.
    pub fn parse(text: &str, escape: Escape) -> Result<Self, BodyError> {
        let parsed = double_braces::Template::parse(text).map_err(|error| BodyError {
            position: position(error.line(), error.column()),
            message: format!(
                "it is not understood: found {}, expected {}",
                error.found(),
                error.expected()
            ),
        })?;
        let sources: Vec<String> = parsed
            .spans()
            .iter()
            .map(|span| text[span.clone()].to_owned())
            .collect();
        let expressions: Vec<Expression> = parsed.expressions().cloned().collect();
        let mut values = sources.iter().enumerate();
        let pieces: Vec<Piece<'_>> = parsed
            .pieces()
            .iter()
            .filter_map(|piece| match piece {
                double_braces::Piece::Text(text) => Some(Piece::Source(text)),
                double_braces::Piece::Expression(_) => {
                    values.next().map(|(index, source)| Piece::Value { index, source })
                }
            })
            .collect();
        let options = Options {
            escape,
            ..Options::default()
        };
        let template = freemarker::Template::parse(&pieces, &options).map_err(|error| BodyError {
            position: position(error.line(), error.column()),
            message: format!("the template is not understood: {}", error.message()),
        })?;
        Ok(Self {
            template: Arc::new(template),
            expressions,
            sources,
        })
    }

    /// Returns whether the document's own text is HTML. The inserted values are not looked at.
    pub fn is_html(&self) -> bool {
        self.template.is_html()
    }

    /// Where the first directive in square brackets stands, which is text here.
    pub(crate) fn square_bracket_directive(&self) -> Option<Position> {
        let found = self.template.square_bracket_directive()?;
        Some(position(found.line, found.column))
    }

    /// Returns whether inserted values brought HTML into a text that has none of its own.
    pub fn was_brought_html(&self, rendered: &str) -> bool {
        !self.is_html() && freemarker::holds_html(rendered)
    }

    /// The paths of the model that it reads.
    pub(crate) fn paths(&self) -> impl Iterator<Item = String> {
        self.template.references().into_iter().map(|reference| reference.path)
    }

    /// The paths that its expressions read.
    pub(crate) fn references(&self) -> impl Iterator<Item = &double_braces::Reference> {
        self.expressions.iter().flat_map(Expression::references)
    }

    pub(crate) fn unescaped(&self) -> Vec<Unescaped> {
        let escaped: HashSet<&str> = self
            .sources
            .iter()
            .zip(&self.expressions)
            .filter(|(_, expression)| expression.outermost_function() == Some("ESCAPE"))
            .map(|(source, _)| source.as_str())
            .collect();
        let found = self.template.unescaped().into_iter();
        found
            .filter(|found| !escaped.contains(found.text.as_str()))
            .map(|found| Unescaped {
                position: position(found.line, found.column),
                text: found.text,
            })
            .collect()
    }

    /// Renders the body. `context` gives the values of the `{{ }}`, `model` those of the template's own expressions.
    /// These find the element of a mail merge, if there is one, under the name `item`.
    ///
    /// # Errors
    /// Returns the reason as a clause without a full stop, with line and column.
    pub fn render(&self, context: &dyn Context, model: &Value, item: Option<&Value>) -> Result<String, String> {
        let values: Result<Vec<String>, _> = self
            .expressions
            .iter()
            .map(|expression| expression.evaluate(context).map(|value| to_text(&value)))
            .collect();
        let values = values.map_err(|error| error.to_string())?;
        let moment = freemarker::Context {
            now: context.now(),
            time_zone: context.time_zone(),
            ..freemarker::Context::default()
        };
        let render = |model: &Model<'_>| self.template.render(model, &values, &moment);
        let rendered = match item {
            None => render(&Model::new(model)),
            Some(item) => render(&Model::new(model).with(&[("item", item)])),
        };
        rendered.map_err(|error| format!("the template, {error}"))
    }
}

fn position(line: u32, column: u32) -> Position {
    Position {
        line: line as usize,
        column: column as usize,
    }
}

#[cfg(test)]
mod tests {
    use pipepost_double_braces::Scope;
    use serde_json::json;

    use super::*;

    struct Message(Value);

    impl Context for Message {
        fn root(&self, scope: Scope) -> Option<&Value> {
            (scope == Scope::Message).then_some(&self.0)
        }
        fn now(&self) -> jiff::Timestamp {
            jiff::Timestamp::UNIX_EPOCH
        }
        fn random(&self) -> u64 {
            4
        }
    }

    fn render(text: &str, message: Value) -> Result<String, String> {
        let body = Body::parse(text, Escape::None).map_err(|error| error.message)?;
        let message = Message(message);
        body.render(&message, &message.0, None)
    }

    #[test]
    fn values_are_never_read_again() {
        let message = json!({"a": "${b} {{ message.b }}", "b": "no"});
        assert_eq!(
            render("<p>{{ message.a }} ${a}</p>", message).as_deref(),
            Ok("<p>${b} {{ message.b }} ${b} {{ message.b }}</p>")
        );
    }

    #[test]
    fn places_count_over_the_document_s_own_text() {
        let error = Body::parse("{{ CONCAT(\"}}\", message.a) }}\n{{ message.b }} ${", Escape::None).unwrap_err();
        assert_eq!(error.position.line, 2);
        assert!(error.position.column > 17, "{error:?}");
        let error = Body::parse("ab {{ UPERCASE(1) }}", Escape::None).unwrap_err();
        assert_eq!(error.position, Position { line: 1, column: 7 });
    }

    #[test]
    fn what_is_escaped_is_not_told() {
        let body = Body::parse(
            "<b>{{ message.a }}{{ ESCAPE(message.b, \"HTML\") }}${c}${d?html}</b>",
            Escape::None,
        )
        .expect("a body");
        let told: Vec<String> = body.unescaped().into_iter().map(|found| found.text).collect();
        assert_eq!(told, ["{{ message.a }}", "${c}"]);
        assert!(body.is_html());
        assert!(!Body::parse("{{ message.a }}", Escape::None).expect("a body").is_html());
    }

    #[test]
    fn a_value_is_named_as_it_is_written() {
        let text = "<b>é {{ CONCAT(\"}}\", message.a) }} ${x} {{message.b}}</b>";
        let told = Body::parse(text, Escape::None).expect("a body").unescaped();
        let told: Vec<String> = told.into_iter().map(|found| found.text).collect();
        assert_eq!(told, ["{{ CONCAT(\"}}\", message.a) }}", "${x}", "{{message.b}}"]);
    }
}
