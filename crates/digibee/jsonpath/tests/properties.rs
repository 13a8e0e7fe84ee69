//! What holds for every text.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use pipepost_jsonpath::JsonPath;
use pipepost_jsonpath::java_regex::{Flags, JavaRegex, Replacement};
use proptest::prelude::*;
use serde_json::{Value, json};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-9i64..9).prop_map(Value::from),
        (-4.0..4.0f64).prop_map(Value::from),
        "[ab1]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec(("[abc]", inner), 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Texts made of what paths are made of.
fn pathlike() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "$", "@", ".", "..", "*", "[", "]", "?", "(", ")", "'a'", "\"b\"", "a", "b", "0", "-1", ":", ",", "==", "<",
        "=~", "/a/i", "&&", "||", "!", " in ", " size ", "length()", "min()", "sum(", "null", "1.5", "{", "}", " ",
        "é",
    ]);
    prop::collection::vec(parts, 0..16).prop_map(|parts| parts.concat())
}

proptest! {
    // What fails is kept as a case of its own, in the tests beside these.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_parser_never_panics(text in "\\PC{0,40}") {
        let _ = JsonPath::parse(&text);
    }

    #[test]
    fn what_parses_can_be_searched(text in pathlike(), document in value()) {
        if let Ok(path) = JsonPath::parse(&text) {
            let _ = path.find(&document);
            // What was parsed is a path again.
            prop_assert!(JsonPath::parse(path.as_str()).is_ok(), "{}", path.as_str());
        }
    }

    #[test]
    fn every_member_is_reached_by_its_quoted_name(name in "\\PC{0,8}", value in value()) {
        let document = json!({ name.clone(): value });
        let quoted = serde_json::to_string(&name).unwrap();
        let path = JsonPath::parse(&format!("$[{quoted}]")).unwrap();
        prop_assert_eq!(path.find(&document).unwrap().into_value(), value);
    }

    #[test]
    fn a_deep_scan_finds_as_many_as_there_are(document in value()) {
        fn count(value: &Value) -> usize {
            match value {
                Value::Array(elements) => elements.iter().map(|element| 1 + count(element)).sum(),
                Value::Object(members) => members.values().map(|member| 1 + count(member)).sum(),
                _ => 0,
            }
        }
        let found = JsonPath::parse("$..*").unwrap().find(&document).unwrap().into_value();
        prop_assert_eq!(found.as_array().unwrap().len(), count(&document));
    }

    #[test]
    fn a_filter_and_its_negation_share_the_elements(elements in prop::collection::vec(value(), 0..6)) {
        let document = Value::Array(elements);
        let size = |path: &str| JsonPath::parse(path).unwrap().find(&document).unwrap().into_value().as_array().unwrap().len();
        prop_assert_eq!(size("$[?(@.a > 1)]") + size("$[?(!(@.a > 1))]"), document.as_array().unwrap().len());
    }

    #[test]
    fn patterns_never_panic(pattern in "[ab.*+?()\\[\\]{}^$|\\\\dwsQEpPux0-9&~:=!<>,-]{0,16}", text in "[ab1\n -]{0,10}", with in "[$\\\\{}a0-9]{0,6}") {
        if let Ok(regex) = JavaRegex::new(&pattern, Flags::default()) {
            let _ = regex.split(&text, &|_| true);
            let _ = regex.find_all(&text, &|_| true);
            if let Ok(replacement) = Replacement::parse(&with, &regex) {
                let _ = regex.replace_all(&text, &replacement, 1000, &|_| true);
            }
        }
    }

    #[test]
    fn a_quoted_pattern_matches_itself(text in "\\PC{0,12}") {
        let quoted = format!("\\Q{}\\E", text.replace("\\E", ""));
        prop_assert!(JavaRegex::whole(&quoted, Flags::default()).unwrap().is_match(&text.replace("\\E", "")).unwrap());
    }
}
