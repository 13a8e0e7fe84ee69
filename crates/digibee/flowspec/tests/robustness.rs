//! Whatever the text, the reader answers.

#![allow(clippy::unwrap_used)]

mod common;

use common::with_context;
use pipepost_flowspec::check;
use proptest::prelude::*;
use serde_json::{Value, json};

const DOCUMENTS: [&str; 3] = [
    include_str!("documents/order-confirmation.json"),
    include_str!("documents/clipboard-digest.json"),
    include_str!("documents/everything.json"),
];

/// It runs or it says why not, and never neither.
fn answers(text: &str) {
    let report = with_context(&[], |context| check(text, context));
    assert_eq!(
        report.pipeline.is_none(),
        report.problems.has_errors(),
        "{text}\n{}",
        report.problems
    );
    if let Some(pipeline) = report.pipeline {
        assert_eq!(
            pipeline.branch(pipeline.first()).steps.is_empty(),
            pipeline.steps().next().is_none()
        );
    }
}

fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                pointers(element, format!("{at}/{index}"), found);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                pointers(
                    member,
                    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")),
                    found,
                );
            }
        }
        _ => {}
    }
    found.push(at);
}

fn replacement() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z{}\\[\\]\"$.#@()?'=~& \\\\0-9é]{0,24}".prop_map(Value::from),
        prop::sample::select(vec![
            json!([]),
            json!({}),
            json!([[]]),
            json!([{}]),
            json!(""),
            json!("start"),
            json!("choice"),
            json!("connector"),
            json!("[{\"target\": \"start\"}]"),
            json!("{{ message"),
            json!("$[?("),
            json!({"file": 1}),
            json!("for-each-connector"),
            json!("#{a} =="),
        ]),
    ]
}

proptest! {
    #[test]
    fn a_value_replaced_by_any_other_is_answered(
        document in 0usize..3, changes in prop::collection::vec((any::<prop::sample::Index>(), replacement()), 1..4)
    ) {
        let mut value: Value = serde_json::from_str(DOCUMENTS[document]).unwrap();
        for (place, new) in changes {
            let mut all = Vec::new();
            pointers(&value, String::new(), &mut all);
            *value.pointer_mut(&all[place.index(all.len())]).unwrap() = new;
        }
        answers(&value.to_string());
    }

    #[test]
    fn a_text_cut_and_altered_anywhere_is_answered(
        document in 0usize..3, cut in any::<prop::sample::Index>(), insert in "[\\[\\]{}\",:\\\\u0-9a-z]{0,3}", remove in 0usize..3
    ) {
        let mut characters: Vec<char> = DOCUMENTS[document].chars().collect();
        let at = cut.index(characters.len());
        let end = (at + remove).min(characters.len());
        characters.splice(at..end, insert.chars());
        answers(&characters.into_iter().collect::<String>());
    }

    #[test]
    fn any_text_is_answered(text in ".{0,80}") {
        answers(&text);
    }
}

#[test]
fn deep_nesting_is_answered() {
    answers(&"[".repeat(100_000));
    answers(&format!(
        "{{\"flowSpec\": {}{}}}",
        "{\"a\":".repeat(120),
        "1".to_owned() + &"}".repeat(120)
    ));
}

#[test]
fn long_chains_of_branches_are_answered() {
    let mut branches = serde_json::Map::new();
    for index in 0..3000 {
        let name = if index == 0 {
            "start".to_owned()
        } else {
            index.to_string()
        };
        branches.insert(
            name,
            json!([{"type": "choice", "when": [], "otherwise": (index + 1).to_string()}]),
        );
    }
    branches.insert("3000".to_owned(), json!([]));
    answers(&json!({ "flowSpec": branches }).to_string());
}

#[test]
fn as_many_expressions_as_a_document_holds_are_checked_one_after_another() {
    // Where each is looked for from the beginning again, this takes hours.
    let number = 100_000;
    let places: String = (0..number)
        .map(|place| format!("{{{{ message.a{place} }}}} "))
        .collect();
    let members: serde_json::Map<String, Value> = (0..number)
        .map(|place| (format!("k{place}"), json!(format!("{{{{ message.a{place} }}}}"))))
        .collect();
    for json in [json!({"text": places}), Value::Object(members)] {
        let step = json!({"type": "connector", "name": "json-generator-connector", "params": {"json": json}});
        let document = json!({"name": "test", "flowSpec": {"start": [step]}}).to_string();
        answers(&document);
    }
}
