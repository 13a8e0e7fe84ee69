//! The languages of a document: expressions, JSONPath, templates.

use pipepost_double_braces::{Context, Expression, JsonTemplate, Scope, Template, ValueTemplate};
use pipepost_freemarker::{Escape, Limits, Model, Options, Piece};
use pipepost_jsonpath::JsonPath;
use serde_json::{Value, json};

/// What the expressions and templates see.
fn message() -> Value {
    json!({
        "name": "Ana", "total": 1234.5, "count": 3, "ok": true, "none": null, "date": "2026-03-01T10:00:00Z",
        "items": [{"sku": "A-1", "price": 2.5}, {"sku": "B-2", "price": 10}], "text": "{{ message.name }} ${name} <b>",
    })
}

struct Run(Value);

impl Context for Run {
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

/// Expressions are read and evaluated or refused, in each of their forms; evaluation gives the same twice; and what is
/// printed of one reads back as the same.
///
/// Input: a text with `{{ }}`, a JSON text with them, or an expression without braces.
pub fn expressions(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let run = Run(message());
    if let Ok(template) = Template::parse(&text) {
        assert_eq!(template.evaluate(&run).ok(), template.evaluate(&run).ok());
    }
    if let Ok(template) = JsonTemplate::parse(&text) {
        let _ = template.evaluate(&run);
    }
    if let Ok(value) = serde_json::from_str::<Value>(&text)
        && let Ok(template) = ValueTemplate::parse(&value)
    {
        let _ = template.evaluate(&run);
    }
    if let Ok(expression) = Expression::parse(&text) {
        let printed = expression.to_string();
        let again = Expression::parse(&printed);
        let again = again.unwrap_or_else(|error| panic!("{text:?} prints as {printed:?}: {error}"));
        assert_eq!(again.to_string(), printed);
        assert_eq!(again.evaluate(&run).ok(), expression.evaluate(&run).ok());
    }
}

/// A path is refused, or searches a document within its bounds.
///
/// Input: a line with the path, then a JSON document; without one there is a small one.
pub fn jsonpath(data: &[u8]) {
    let (path, rest) = super::first_line(data);
    let document = serde_json::from_slice(rest).unwrap_or_else(|_| message());
    if let Ok(path) = JsonPath::parse(&path) {
        let found = path.find(&document).map(|found| found.into_value()).ok();
        assert_eq!(found, path.find(&document).map(|found| found.into_value()).ok());
        assert!(JsonPath::parse(path.as_str()).is_ok(), "{:?}", path.as_str());
    }
}

/// A template is refused, or renders within its bounds; and a value that was inserted is never read as template.
///
/// Input: a template, with `{{v}}` where a value is inserted.
pub fn templates(data: &[u8]) {
    const VALUE: &str = "{{v}}";
    const LIMITS: Limits = Limits {
        output: 64 * 1024,
        work: 20_000,
    };
    let text = String::from_utf8_lossy(data);
    let mut pieces = Vec::new();
    for (index, source) in text.split(VALUE).enumerate() {
        if index > 0 {
            pieces.push(Piece::Value {
                index: index - 1,
                source: VALUE,
            });
        }
        pieces.push(Piece::Source(source));
    }
    let values = |value: &str| vec![value.to_owned(); pieces.len()];
    let model = message();
    for escape in [Escape::None, Escape::Html] {
        let options = Options { escape, limits: LIMITS };
        let Ok(template) = pipepost_freemarker::Template::parse(&pieces, &options) else {
            continue;
        };
        let render = |value: &str| {
            template.render(
                &Model::new(&model),
                &values(value),
                &pipepost_freemarker::Context::default(),
            )
        };
        if let Ok(rendered) = render("plain") {
            assert!(rendered.len() <= LIMITS.output);
        }
        // Were it read as template this would be an error, or `Ana`, or nothing.
        if pieces.len() == 3 && text.ends_with(VALUE) && !text.contains(['<', '$', '#', '[']) {
            let rendered = render("${name}<#assign x=1>").unwrap_or_else(|error| panic!("{text:?}: {error}"));
            let expected = match escape {
                Escape::None => "${name}<#assign x=1>",
                Escape::Html => "${name}&lt;#assign x=1&gt;",
            };
            assert!(rendered.ends_with(expected), "{rendered:?}");
        }
    }
}
