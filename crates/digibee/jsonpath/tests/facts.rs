//! What the originals make of paths and patterns: `facts/` was made by running Jayway JsonPath and `java.util.regex`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use pipepost_jsonpath::JsonPath;
use pipepost_jsonpath::java_regex::{Flags, JavaRegex};
use serde_json::{Value, json};

/// Where we answer otherwise on purpose.
const OTHERWISE: &[(&str, &str)] = &[
    (
        "$.length($.t)",
        "counts the characters of a text, where Jayway gives null",
    ),
    ("$..*[?(@.length() > 2)]", "as above"),
    ("$.o..length()", "a function stands after one point"),
    (
        "$.t.length()",
        "counts the characters of a text, where Jayway gives null",
    ),
    ("$.t.size()", "as length()"),
    (
        "$.x.length()",
        "a number has no length: an error, where Jayway gives null",
    ),
    ("$.nn.length()", "as the length of a number"),
    (
        "$.items.keys()",
        "an array has no keys: an error, where Jayway gives null",
    ),
    ("$.m.keys()", "as above"),
    ("$.t.keys()", "as above"),
    (
        "$.t.append(\"a\")",
        "nothing can be appended to a text: an error, where Jayway gives the text",
    ),
    (
        "$.length($.items)",
        "the length of the array, where Jayway gives that of the document",
    ),
    (
        "$.length($.items[*])",
        "the number of values, where Jayway counts what they hold",
    ),
    ("$.length($..book)", "as above"),
    (
        "$.concat(true, \"x\")",
        "a literal boolean is a text as one from the document is",
    ),
    (
        "$.concat($.items)",
        "objects have no text of their own, where Jayway writes Java's `{p=10, q=2}`",
    ),
    ("$.concat($.m)", "as objects"),
    (
        "$.l[*].sum(@.v)",
        "works on each value, where Jayway gives an empty list",
    ),
    ("$.l[*].concat(@.v)", "as above"),
    ("$.items[*].concat(@.q, \"-\", @.p)", "as above"),
    ("$.items[*].length($.m)", "as above"),
    ("$..v.keys()", "an error, where Jayway gives the keys of the document"),
    ("$..p.append(5)", "appends to the list, where Jayway gives the document"),
];

#[test]
fn paths_give_what_jayway_gives() {
    let documents: Value = serde_json::from_str(include_str!("facts/documents.json")).unwrap();
    let (mut same, mut wrong) = (0, Vec::new());
    for row in include_str!("facts/jayway.tsv")
        .lines()
        .filter(|row| !row.starts_with("# "))
    {
        let columns: Vec<&str> = row.split('\t').collect();
        let [document, path, kind, expected] = columns.as_slice() else {
            panic!("four columns: {row}")
        };
        // Where Jayway has only an error, ours may be a result.
        if *kind == "error" || path.contains("().") || OTHERWISE.iter().any(|(known, _)| known == path) {
            continue;
        }
        let expected = match *kind {
            "ok" => serde_json::from_str(expected).unwrap(),
            _ => Value::Null,
        };
        let ours = match JsonPath::parse(path) {
            Err(error) => Err(error.to_string()),
            Ok(path) => path
                .find(&documents[document])
                .map(pipepost_jsonpath::Found::into_value)
                .map_err(|error| error.to_string()),
        };
        let ours = match ours {
            // An indefinite path that finds nothing gives an empty list.
            Ok(Value::Array(none)) if none.is_empty() && *kind == "nothing" => Ok(Value::Null),
            ours => ours,
        };
        if ours.as_ref().is_ok_and(|ours| alike(ours, &expected)) {
            same += 1;
        } else {
            wrong.push(format!("{path}\n  Jayway: {expected}\n  ours:   {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(same > 100, "the table is incomplete: {same}");
}

/// Equal by value; a calculated double may differ in its last digit.
fn alike(ours: &Value, expected: &Value) -> bool {
    match (ours, expected) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= b.abs() * f64::EPSILON
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (a, b) => a == b,
    }
}

#[test]
fn patterns_match_what_java_matches() {
    let mut wrong = Vec::new();
    for row in include_str!("facts/java_regex.tsv")
        .lines()
        .filter(|row| !row.starts_with("# "))
    {
        let columns: Vec<&str> = row.split('\t').collect();
        let [pattern, text, expected] = columns.as_slice() else {
            panic!("three columns: {row}")
        };
        let ours = match JavaRegex::whole(pattern, Flags::default()) {
            Ok(regex) => regex.is_match(text).unwrap().to_string(),
            Err(error) => error.to_string(),
        };
        // A reference back is compared letter by letter here.
        if ours != *expected && !pattern.contains(r"\1") {
            wrong.push(format!("{pattern} on {text}: Java {expected}, ours {ours}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_function_that_cannot_work_says_where_it_stands() {
    let document = json!({"a": ["x"]});
    let error = |path: &str| JsonPath::parse(path).unwrap().find(&document).unwrap_err();
    assert_eq!(error("$.a.sum()").column(), Some(5));
    assert_eq!(
        error("$.a.sum()").to_string(),
        "at column 5 of the path: sum() found no number to work on"
    );
}

#[test]
fn what_is_selected_many_times_over_is_bounded() {
    let document: Value = (0..40).fold(json!("x".repeat(1000)), |inner, _| json!([inner, 1]));
    let wide: Value = (0..50).map(|_| document.clone()).collect();
    let error = JsonPath::parse("$..*..*..*").unwrap().find(&wide).unwrap_err();
    assert_eq!(error.column(), None);
}
