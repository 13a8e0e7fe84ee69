//! What holds for every text.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixed;

use fixed::Fixed;
use pipepost_double_braces::{Expression, JsonTemplate, Template, ValueTemplate};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Texts made of what expressions are made of.
fn expressionlike() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "{{",
        "}}",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ",",
        ":",
        ".",
        " ",
        "\n",
        "\"",
        "'",
        "\\\"",
        "\\",
        "\\u00e9",
        "message",
        ".a",
        "['b c']",
        "[0]",
        "[-1]",
        ".$",
        "account.x.y",
        "global.é-x",
        "CONCAT(",
        "if(true,",
        "SIZE(",
        "NOW()",
        "1",
        "-2.5",
        "1e3",
        "null",
        "true",
        "\"a\"",
        "'b'",
        "text",
        "\\d",
        "{\"k\":",
        "é",
        "😀",
    ]);
    prop::collection::vec(parts, 0..14).prop_map(|parts| parts.concat())
}

/// Expressions that parse, as somebody could have written them.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON", |number| number.is_finite())
            .prop_map(|number| json!(number).to_string()),
        "\\PC{0,8}".prop_map(|text| json!(text.replace("{{", "{")).to_string()),
        "[a-zA-Z_é:-]{1,6}".prop_map(|name| format!("message.{name}")),
        "[^{\\p{C}]{0,6}".prop_map(|name| format!("session[{}]", json!(name))),
        (-3..3i64).prop_map(|index| format!("item.list[{index}]")),
        Just("account.label.user-name".to_owned()),
        Just("null".to_owned()),
        Just("message.$".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            list.clone()
                .prop_map(|arguments| format!("concat( {} )", arguments.join(" , "))),
            list.clone().prop_map(|elements| format!("[{}]", elements.join(","))),
            prop::collection::vec(("[a-z]{1,3}", inner.clone()), 0..3).prop_map(|members| {
                let members: Vec<_> = members
                    .into_iter()
                    .map(|(key, value)| format!("'{key}': {value}"))
                    .collect();
                format!("{{ {} }}", members.join(", "))
            }),
            inner.clone().prop_map(|inner| format!("\"a {{{{ {inner} }}}} b\"")),
            inner.prop_map(|inner| format!("{{{{ {inner} }}}}")),
        ]
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON", |number| number.is_finite())
            .prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec(("\\PC{0,4}", inner), 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    // What fails is kept as a case of its own, in the tests beside these.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_parsers_never_panic(text in "\\PC{0,60}", likely in expressionlike()) {
        for text in [text, likely] {
            let run = Fixed::message(json!({"a": [1, {"b c": "x"}]}));
            if let Ok(parsed) = Template::parse(&text) {
                let _ = parsed.evaluate(&run);
            }
            if let Ok(parsed) = JsonTemplate::parse(&text) {
                let _ = parsed.evaluate(&run);
            }
            if let Ok(parsed) = Expression::parse(&text) {
                let _ = parsed.evaluate(&run);
            }
        }
    }

    #[test]
    fn printing_and_parsing_again_is_stable(text in expression()) {
        let parsed = Expression::parse(&text);
        prop_assert!(parsed.is_ok(), "{}: {}", text, parsed.unwrap_err());
        let printed = parsed.as_ref().unwrap().to_string();
        let again = Expression::parse(&printed);
        prop_assert!(again.is_ok(), "{}: {}", printed, again.unwrap_err());
        let again = again.unwrap();
        prop_assert_eq!(&again.to_string(), &printed);
        let run = Fixed::message(json!({"a": 1}));
        prop_assert_eq!(again.evaluate(&run).unwrap(), parsed.unwrap().evaluate(&run).unwrap());
    }

    #[test]
    fn text_without_braces_stands_for_itself(text in "\\PC{0,40}") {
        // Three of them in a row would still be two.
        let text = text.replace('{', "{ ");
        prop_assert_eq!(Template::parse(&text).unwrap().evaluate(&Fixed::default()).unwrap(), Value::String(text));
    }

    #[test]
    fn json_is_its_own_template(value in value()) {
        let text = value.to_string();
        prop_assume!(!text.contains("{{"));
        prop_assert_eq!(JsonTemplate::parse(&text).unwrap().evaluate(&Fixed::default()).unwrap(), value.clone());
        prop_assert_eq!(ValueTemplate::parse(&value).unwrap().evaluate(&Fixed::default()).unwrap(), value);
    }

    #[test]
    fn values_are_inserted_and_never_read_again(value in value()) {
        let run = Fixed::message(json!({ "v": value.clone(), "s": "\", \"x\": {{ message.v }} \\" }));
        prop_assert_eq!(run.eval("message.v"), value.clone());
        let template = JsonTemplate::parse(r#"{"a": {{ message.v }}, "b": "{{ message.s }}"}"#).unwrap();
        prop_assert_eq!(template.evaluate(&run).unwrap(), json!({"a": value, "b": "\", \"x\": {{ message.v }} \\"}));
    }

    #[test]
    fn escaping_and_unescaping_gives_the_text_back(text in "\\PC{0,20}") {
        let run = Fixed::message(json!({ "t": text.clone() }));
        for kind in ["JSON", "XML", "HTML", "CSV"] {
            prop_assert_eq!(run.eval(&format!("UNESCAPE(ESCAPE(message.t, '{kind}'), '{kind}')")), json!(text.clone()));
        }
        prop_assert_eq!(run.eval("URIDECODE(URIENCODE(message.t))"), json!(text.clone()));
        prop_assert_eq!(run.eval("BASEDECODE(BASEENCODE(message.t))"), json!(text.clone()));
        prop_assert_eq!(run.eval("BASEURLDECODE(BASEURLENCODE(message.t))"), json!(text));
    }

    #[test]
    fn dates_read_back_as_written(milliseconds in -62_000_000_000_000..253_000_000_000_000i64, zone in prop::sample::select(vec!["UTC", "America/Sao_Paulo", "Asia/Kolkata"])) {
        let run = Fixed::message(json!({ "t": milliseconds }));
        for pattern in ["yyyy-MM-dd'T'HH:mm:ss.SSSZ", "G yyyyMMddHHmmssSSS X", "EEEE, d. MMMM yyyy hh:mm:ss a S z"] {
            // Offsets of local mean time have seconds, which no pattern letter shows.
            prop_assume!(zone == "UTC" || milliseconds > 0);
            let written = format!("FORMATDATE(message.t, 'timestamp', \"{pattern}\", null, null, 'de', '{zone}')");
            let read = format!("FORMATDATE({written}, \"{}\", 'timestamp', 'de')", pattern.replace('X', "XXX"));
            if !pattern.ends_with('X') || zone != "Asia/Kolkata" {
                prop_assert_eq!(run.eval(&read), json!(milliseconds), "{}", run.eval(&written));
            }
        }
    }

    #[test]
    fn numbers_read_back_as_written(number in -1e9..1e9f64, locale in prop::sample::select(vec!["en-US", "pt-BR", "fr", "de-CH"])) {
        let run = Fixed::message(json!({ "n": number }));
        let pattern = "#,##0.####################";
        let read = run.eval(&format!("TONUMBER(FORMATNUMBER(message.n, '{pattern}', '{locale}'), '{pattern}', '{locale}')"));
        let read = read.as_f64().unwrap();
        prop_assert!((read - number).abs() <= number.abs() * f64::EPSILON + 1e-20, "{} {}", read, number);
    }
}
