//! Bodies: FreeMarker templates, compiled once from the document's own text.
//!
//! The text goes through two languages, and neither reads what the other gives: the `{{ }}` are found first and their
//! values inserted as values, so that a message can hold `${...}` or `{{...}}` and stays what it is, text.

use pipepost_double_braces::{self as double_braces, Context, Expression, to_text};
use pipepost_flowspec::Position;
use pipepost_freemarker::{self as freemarker, Escape, Model, Options, Piece};
use serde_json::Value;

/// A compiled body.
#[derive(Debug)]
pub(crate) struct Body {
    template: freemarker::Template,
    /// The `{{ }}` in their order: the inserted values of each rendering.
    expressions: Vec<Expression>,
    /// How each of them is written.
    sources: Vec<String>,
}

/// Why a text is no body: the place within it, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BodyError {
    pub(crate) position: Position,
    pub(crate) message: String,
}

/// A value that reaches an HTML body as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unescaped {
    pub(crate) position: Position,
    pub(crate) text: String,
}

impl Body {
    pub(crate) fn parse(text: &str, escape: Escape) -> Result<Self, BodyError> {
        let parsed = double_braces::Template::parse(text).map_err(|error| BodyError {
            position: position(error.line(), error.column()),
            message: format!(
                "it is not understood: found {}, expected {}",
                error.found(),
                error.expected()
            ),
        })?;
        let sources = sources(text, parsed.pieces());
        let mut pieces = Vec::new();
        let mut expressions = Vec::new();
        for piece in parsed.pieces() {
            match piece {
                double_braces::Piece::Text(text) => pieces.push(Piece::Source(text)),
                double_braces::Piece::Expression(expression) => {
                    let index = expressions.len();
                    expressions.push(expression.clone());
                    let source = sources.get(index).map_or("", String::as_str);
                    pieces.push(Piece::Value { index, source });
                }
            }
        }
        let options = Options {
            escape,
            ..Options::default()
        };
        let template = freemarker::Template::parse(&pieces, &options).map_err(|error| BodyError {
            position: position(error.line(), error.column()),
            message: format!("the template is not understood: {}", error.message()),
        })?;
        Ok(Self {
            template,
            expressions,
            sources,
        })
    }

    /// Whether the document's own text is HTML. What its values hold does not count.
    pub(crate) fn is_html(&self) -> bool {
        self.template.is_html()
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
        let escapes = |text: &str| {
            self.sources
                .iter()
                .zip(&self.expressions)
                .any(|(source, expression)| source == text && expression.to_string().starts_with("ESCAPE("))
        };
        let found = self.template.unescaped().into_iter();
        found
            .filter(|found| !escapes(&found.text))
            .map(|found| Unescaped {
                position: position(found.line, found.column),
                text: found.text,
            })
            .collect()
    }

    /// Renders it: `context` gives the values of the `{{ }}`, `model` those of the template's own expressions.
    ///
    /// # Errors
    /// One sentence without its full stop, with line and column.
    pub(crate) fn render(&self, context: &dyn Context, model: &Model<'_>) -> Result<String, String> {
        let values: Result<Vec<String>, _> = self
            .expressions
            .iter()
            .map(|expression| expression.evaluate(context).map(|value| to_text(&value)))
            .collect();
        let values = values.map_err(|error| error.to_string())?;
        let surroundings = freemarker::Context {
            now: context.now(),
            time_zone: context.time_zone(),
            ..freemarker::Context::default()
        };
        self.template
            .render(model, &values, &surroundings)
            .map_err(|error| format!("the template, {error}"))
    }
}

/// The model of a template: the message's fields, and the element of a mail merge over them.
pub(crate) fn with_model<T>(message: &Value, item: Option<&Value>, use_it: impl FnOnce(&Model<'_>) -> T) -> T {
    match item {
        None => use_it(&Model::new(message)),
        Some(item) => use_it(&Model::new(message).with(&[("item", item)])),
    }
}

fn position(line: u32, column: u32) -> Position {
    Position {
        line: line as usize,
        column: column as usize,
    }
}

/// How each expression is written, braces included: the shortest text from its braces on that is an expression.
fn sources(text: &str, pieces: &[double_braces::Piece]) -> Vec<String> {
    let mut rest = text;
    let mut found = Vec::new();
    for piece in pieces {
        match piece {
            double_braces::Piece::Text(text) => rest = rest.get(text.len()..).unwrap_or_default(),
            double_braces::Piece::Expression(_) => {
                let ends = rest.match_indices("}}").map(|(at, braces)| at + braces.len());
                let end = ends.into_iter().find(|end| is_one_expression(&rest[..*end]));
                let (source, after) = rest.split_at(end.unwrap_or(rest.len()));
                found.push(source.to_owned());
                rest = after;
            }
        }
    }
    found
}

fn is_one_expression(text: &str) -> bool {
    double_braces::Template::parse(text)
        .is_ok_and(|template| matches!(template.pieces(), [double_braces::Piece::Expression(_)]))
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
        body.render(&message, &Model::new(&message.0))
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
}
