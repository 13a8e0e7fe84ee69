//! Templates, paths and what parsing says about wrong ones.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixed;

use fixed::Fixed;
use pipepost_double_braces::{
    Expression, JsonTemplate, Masked, Piece, Position, Scope, Segment, Template, ValueTemplate,
};
use serde_json::{Value, json};

fn run() -> Fixed {
    let mut run = Fixed::message(json!({
        "name": "Ada",
        "n": 3,
        "total": 3.0,
        "items": [{"sku": "a"}, {"sku": "b"}],
        "soap:Body": {"x-y": 1},
        "chave_execução": "k",
        "a b": {"c'd": 7},
        "html": "<b>{{ message.name }} \"quoted\"</b>",
        "none": null,
    }))
    .with(Scope::Global, json!({"bigquery-project-id": "p1"}))
    .with(Scope::Metadata, json!({"execution": {"key": "e-1"}}));
    run.accounts.insert(
        "mailer".into(),
        json!({"username": "ada@example.com", "smtp_host": "h"}),
    );
    run.own_account = Some(json!({"username": "own@example.com"}));
    run
}

fn template(text: &str) -> Value {
    Template::parse(text).unwrap().evaluate(&run()).unwrap()
}

#[test]
fn a_whole_expression_keeps_its_type_and_others_are_spliced() {
    let cases = [
        ("", json!("")),
        ("plain { text }}", json!("plain { text }}")),
        ("{{ message.n }}", json!(3)),
        ("{{message.total}}", json!(3.0)),
        (" {{ message.n }}", json!(" 3")),
        ("{{ message.items }}", json!([{"sku": "a"}, {"sku": "b"}])),
        ("x{{ message.items }}", json!(r#"x[{"sku":"a"},{"sku":"b"}]"#)),
        (
            "{{ message.name }}/{{ message.total }}/{{ message.none }}/{{ message.absent.deep }}",
            json!("Ada/3.0//"),
        ),
        ("{{ message.absent }}", json!(null)),
        ("{{ message.html }}!", json!("<b>{{ message.name }} \"quoted\"</b>!")),
        ("{{ \"a {{ message.name }} b\" }}", json!("a Ada b")),
        ("{{ {\"a\": {\"b\": message.n}} }}", json!({"a": {"b": 3}})),
        (
            "{{ [1, 'x', true, null, {{ message.n }}] }}",
            json!([1, "x", true, null, 3]),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(template(text), expected, "{text}");
    }
    assert_eq!(
        Template::parse("{{ message.n }}")
            .unwrap()
            .evaluate_text(&run())
            .unwrap(),
        "3"
    );
}

#[test]
fn paths_reach_where_documents_point() {
    let cases = [
        ("message.name", json!("Ada")),
        ("message.$.name", json!("Ada")),
        ("message.items[0].sku", json!("a")),
        ("message.items[-1].sku", json!("b")),
        ("message.items[2].sku", json!(null)),
        ("message.$.items[1]['sku']", json!("b")),
        ("message.soap:Body.x-y", json!(1)),
        ("message.chave_execução", json!("k")),
        ("message['a b']['c\\'d']", json!(7)),
        ("message.['a b'].[\"c'd\"]", json!(7)),
        ("global.bigquery-project-id", json!("p1")),
        ("metadata.execution.key", json!("e-1")),
        ("account.mailer.username", json!("ada@example.com")),
        ("account.mailer.SMTP-Host", json!("h")),
        ("account.username", json!("own@example.com")),
        ("account.other.username", json!(null)),
        ("session.x", json!(null)),
        ("message.name.first", json!(null)),
        ("message.name[0]", json!(null)),
    ];
    for (path, expected) in cases {
        assert_eq!(run().eval(path), expected, "{path}");
    }
    assert_eq!(run().eval("message.$"), run().roots[&Scope::Message]);
    assert_eq!(run().eval("message"), run().roots[&Scope::Message]);
}

#[test]
fn references_name_every_path() {
    let parsed =
        Template::parse("{{ account.mailer.password }} {{ IF(message.a, account.username, message['x y'][0]) }}");
    let parsed = parsed.unwrap();
    let references: Vec<_> = parsed.references().collect();
    let shown: Vec<_> = references.iter().map(|reference| reference.to_string()).collect();
    assert_eq!(
        shown,
        [
            "account.mailer.password",
            "message.a",
            "account.username",
            "message.$['x y'][0]"
        ]
    );
    assert_eq!(references[0].account_label(), Some("mailer"));
    assert_eq!(references[0].account_field(), Some("password"));
    assert_eq!(references[2].account_label(), None);
    assert_eq!(references[2].account_field(), Some("username"));
    assert_eq!(
        references[3].segments(),
        [Segment::Name("x y".into()), Segment::Index(0)]
    );
    assert_eq!(references[1].position(), Position { line: 1, column: 37 });
}

#[test]
fn pieces_keep_the_documents_own_text_apart() {
    let parsed = Template::parse("Dear {{ message.name }},\n${x}").unwrap();
    let [Piece::Text(dear), Piece::Expression(name), Piece::Text(rest)] = parsed.pieces() else {
        panic!("{:?}", parsed.pieces())
    };
    assert_eq!(
        (dear.as_str(), name.to_string().as_str(), rest.as_str()),
        ("Dear ", "message.name", ",\n${x}")
    );
    assert!(!parsed.is_literal());
    assert!(Template::parse("a { b } }}").unwrap().is_literal());
}

#[test]
fn json_templates_insert_values_into_the_tree() {
    let cases = [
        (
            r#"{"a": {{ message.name }}, "b": "{{ message.n }}"}"#,
            json!({"a": "Ada", "b": "3"}),
        ),
        (
            r#"{"a":{"b":{{message.items}}}}"#,
            json!({"a": {"b": [{"sku": "a"}, {"sku": "b"}]}}),
        ),
        (
            r#"{"k-{{ message.n }}": "{{ message.html }}"}"#,
            json!({"k-3": "<b>{{ message.name }} \"quoted\"</b>"}),
        ),
        (r#"{{ message.n }}"#, json!(3)),
        (
            r#"["{{ IF(true, "x", 'y') }}", "{{ IF(true, \"x\", \"y\") }}"]"#,
            json!(["x", "x"]),
        ),
        (r#"["{{ IF(true, \"a\\\"b\\n\", 1) }}"]"#, json!(["a\"b\n"])),
        (
            r#"[1.50, -2, true, null, "é\u00e9\ud83d\ude00\/"]"#,
            json!([1.5, -2, true, null, "éé😀/"]),
        ),
        (r#"{"a": 1, "a": {{ message.n }}}"#, json!({"a": 3})),
    ];
    for (text, expected) in cases {
        let parsed = JsonTemplate::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(parsed.evaluate(&run()).unwrap(), expected, "{text}");
    }
    for wrong in [
        "",
        "{",
        "{'a': 1}",
        "message.n",
        "[1,]",
        "{\"a\" 1}",
        "[True]",
        "\"a\nb\"",
        "\"\\d\"",
        "1 2",
        "IF(1,2,3)",
    ] {
        assert!(JsonTemplate::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn value_templates_say_which_text_is_wrong() {
    let value = json!({"to": "{{ message.name }}", "list": [1, {"a/b": "{{ message.n }}"}], "plain": {"x": "y"}});
    let parsed = ValueTemplate::parse(&value).unwrap();
    assert_eq!(
        parsed.evaluate(&run()).unwrap(),
        json!({"to": "Ada", "list": [1, {"a/b": 3}], "plain": {"x": "y"}})
    );
    assert!(ValueTemplate::parse(&json!({"a": ["b"]})).unwrap().is_literal());

    let errors = ValueTemplate::parse(&json!({"to": "{{ mesage.name }}", "list": [{"a/b": "{{"}]})).unwrap_err();
    let shown: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "/to at column 4: found `mesage`, expected the scope message, the nearest known",
            "/list/0/a~1b at column 3: found the end, expected an expression: a path, a function call or a literal",
        ]
    );

    let failing = ValueTemplate::parse(&json!({"a": [0, "{{ NOT(message.name) }}"]})).unwrap();
    assert_eq!(
        failing.evaluate(&run()).unwrap_err().to_string(),
        "/a/1 NOT at column 4: argument 1, message.name, must be a boolean, and is a text of 3 characters"
    );
}

#[test]
fn errors_say_where_what_and_what_instead() {
    let cases = [
        (
            "{{ foo.bar }}",
            "at column 4: found `foo`, expected a function or one of the scopes message, global, account, ",
        ),
        ("{{ }}", "at column 4: found `}}`, expected an expression"),
        (
            "é\n{{ message.name }",
            "at line 2, column 17: found `}`, expected }} after the expression",
        ),
        (
            "{{ message.name",
            "at column 16: found the end, expected }} to end the {{ at column 1",
        ),
        (
            "{{ ISNUL(1) }}",
            "at column 4: found the function ISNUL, expected ISNULL, the nearest known",
        ),
        (
            "{{ isnull() }}",
            "at column 4: found 0 arguments of ISNULL, expected 1 argument: ISNULL(object)",
        ),
        (
            "{{ AND() }}",
            "at column 4: found 0 arguments of AND, expected at least 1: AND(boolean1, ",
        ),
        (
            "{{ IF(true, \"a\" \"b\") }}",
            "at column 17: found `\"`, expected a comma or ) after the argument",
        ),
        (
            "{{ IF(true, \"a) }}",
            "at column 19: found the end, expected \" to end the text that starts at column 14",
        ),
        (
            "{{ ARRAYTOOBJECT(1) }}",
            "at column 4: found the function ARRAYTOOBJECT, expected another function, because ",
        ),
        (
            "{{ message.items[*].a }}",
            "at column 18: found `*`, expected an index or a name in quotes",
        ),
        (
            "{{ message..a }}",
            "at column 12: found `.`, expected a name after the point",
        ),
        (
            "{{ account }}",
            "at column 4: found `account` alone, expected the label of an account",
        ),
        (
            "{{ 1.2.3 }}",
            "at column 4: found `1.2.3`, expected a number as in JSON",
        ),
        (
            "{{ isnull }}",
            "at column 4: found `isnull`, expected ( after the function ISNULL",
        ),
    ];
    for (text, expected) in cases {
        let error = Template::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text}\n  {error}\n  {expected}");
    }
}

#[test]
fn hostile_nesting_is_refused() {
    for open in ["[", "{{ ", "{'a':", "NOT(", "'{{ ", "\"{{ \\\"{{ "] {
        let deep = format!("{{{{ {}", open.repeat(50_000));
        let error = Template::parse(&deep).unwrap_err();
        assert!(error.expected().starts_with("at most 64 levels"), "{open}: {error}");
        assert!(JsonTemplate::parse(&open.repeat(50_000)).is_err(), "{open}");
    }
    let within = format!("{{{{ {}1{} }}}}", "NOT(".repeat(60), ")".repeat(60));
    assert!(Template::parse(&within).is_ok());
}

#[test]
fn errors_never_show_values_from_scopes() {
    let run = run().with(Scope::Global, json!({"token": "s3cret", "object": {"token": "s3cret"}}));
    for expression in [
        "NOT(global.token)",
        "LESSTHAN(global.object, 1)",
        "IF(global.object, 1, 2)",
    ] {
        let error = run.fails(expression);
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn a_mask_hides_fields_at_any_depth() {
    let run = run().with(
        Scope::Message,
        json!({"email": "a@a.com", "who": {"email": ["b"], "name": "B"}, "list": [{"email": 1}]}),
    );
    let fields = ["email".to_owned()];
    let masked = Masked::new(&run, &fields);
    let show = |text: &str| Template::parse(text).unwrap().evaluate(&masked).unwrap();
    assert_eq!(show("to {{ message.email }}"), json!("to ***"));
    assert_eq!(show("{{ message.who.email[0] }}"), json!("***"));
    assert_eq!(show("{{ message.who }}"), json!({"email": "***", "name": "B"}));
    assert_eq!(show("{{ message.list }}"), json!([{"email": "***"}]));
}

#[test]
fn printing_is_canonical() {
    let cases = [
        ("isnull( message.$.a )", "ISNULL(message.a)"),
        ("message['a b'].c", "message.$['a b'].c"),
        ("message.$['$'].a", "message.$['$'].a"),
        ("'it''s'", ""),
        (r#"'a "b" \d'"#, r#""a \"b\" \\d""#),
        (r#"{'a': 1.0, "b": [message.x]}"#, r#"{"a": 1.0, "b": [message.x]}"#),
        (r#""x {{ isnull(1) }} {""#, r#""x {{ ISNULL(1) }} \u007b""#),
        ("{{ message }}", "message.$"),
    ];
    for (text, expected) in cases {
        match Expression::parse(text) {
            Ok(parsed) => assert_eq!(parsed.to_string(), expected),
            Err(error) => assert_eq!(expected, "", "{text}: {error}"),
        }
    }
}

#[test]
fn documents_write_parentheses_blanks_and_dollars() {
    let run = Fixed::message(json!({"name": "Ada", "a": {"b": 1, "$": 2}}));
    for (text, expected) in [
        ("{{ (UPPERCASE(message.name)) }}", json!("ADA")),
        ("{{ ( ( message.a.b ) ) }}", json!(1)),
        ("{{ IF((EQUALTO(message.name, 'Ada')), ('yes'), 'no') }}", json!("yes")),
        ("{{ message. name }}", json!("Ada")),
        ("{{ message.a. b }}", json!(1)),
        ("{{ message.a.$ }}", json!({"b": 1, "$": 2})),
        ("{{ message.a.$.b }}", json!(1)),
        ("{{ message.a['$'] }}", json!(2)),
        ("{{ message.$.a.$.b }}", json!(1)),
    ] {
        let template = Template::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(template.evaluate(&run).unwrap(), expected, "{text}");
    }
    for text in ["{{ (message.name }}", "{{ () }}", "{{ message.  }}"] {
        assert!(Template::parse(text).is_err(), "{text}");
    }
    let error = Template::parse("{{ (message.name }}").unwrap_err();
    assert_eq!(error.expected(), ") to end the ( at column 4");
}
