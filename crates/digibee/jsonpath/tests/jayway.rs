//! The dialect, case by case: those that Jayway documents, then those that documents in the field rely on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use pipepost_jsonpath::{FindErrorKind, JsonPath};
use serde_json::{Value, json};

fn store() -> Value {
    json!({
        "store": {
            "book": [
                {"category": "reference", "author": "Nigel Rees", "title": "Sayings of the Century", "price": 8.95},
                {"category": "fiction", "author": "Evelyn Waugh", "title": "Sword of Honour", "price": 12.99},
                {"category": "fiction", "author": "Herman Melville", "title": "Moby Dick", "isbn": "0-553-21311-3", "price": 8.99},
                {"category": "fiction", "author": "J. R. R. Tolkien", "title": "The Lord of the Rings", "isbn": "0-395-19395-8", "price": 22.99}
            ],
            "bicycle": {"color": "red", "price": 19.95}
        },
        "expensive": 10
    })
}

fn check(document: &Value, cases: &[(&str, Value)]) {
    for (path, expected) in cases {
        let parsed = JsonPath::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let found = parsed.find(document).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(&found.into_value(), expected, "{path}");
    }
}

/// The titles that a path selects, when the selection is books.
fn titles(path: &str) -> Vec<String> {
    let store = store();
    let found = JsonPath::parse(path)
        .unwrap_or_else(|error| panic!("{path}: {error}"))
        .find(&store);
    let found = found.unwrap_or_else(|error| panic!("{path}: {error}")).into_value();
    let books = found.as_array().cloned().unwrap_or_else(|| panic!("{path}: {found}"));
    books
        .iter()
        .map(|book| {
            book["title"]
                .as_str()
                .unwrap_or("?")
                .split(' ')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[test]
fn the_documented_examples_hold() {
    let store = store();
    let book = &store["store"]["book"];
    check(
        &store,
        &[
            (
                "$.store.book[*].author",
                json!(["Nigel Rees", "Evelyn Waugh", "Herman Melville", "J. R. R. Tolkien"]),
            ),
            (
                "$..author",
                json!(["Nigel Rees", "Evelyn Waugh", "Herman Melville", "J. R. R. Tolkien"]),
            ),
            ("$.store.*", json!([book, store["store"]["bicycle"]])),
            ("$.store..price", json!([8.95, 12.99, 8.99, 22.99, 19.95])),
            ("$..book[2]", json!([book[2]])),
            ("$..book[-2]", json!([book[2]])),
            ("$..book[0,1]", json!([book[0], book[1]])),
            ("$..book[:2]", json!([book[0], book[1]])),
            ("$..book[1:2]", json!([book[1]])),
            ("$..book[-2:]", json!([book[2], book[3]])),
            ("$..book[2:]", json!([book[2], book[3]])),
            ("$..book[?(@.isbn)]", json!([book[2], book[3]])),
            ("$.store.book[?(@.price < 10)]", json!([book[0], book[2]])),
            ("$..book[?(@.price <= $['expensive'])]", json!([book[0], book[2]])),
            ("$..book[?(@.author =~ /.*REES/i)]", json!([book[0]])),
            ("$..book.length()", json!(4)),
            ("$.store.book.length()", json!(4)),
            ("$", store.clone()),
        ],
    );
    assert_eq!(
        JsonPath::parse("$..*")
            .unwrap()
            .find(&store)
            .unwrap()
            .into_value()
            .as_array()
            .unwrap()
            .len(),
        28
    );
}

#[test]
fn definite_paths_give_a_value_and_others_a_list() {
    for path in [
        "$",
        "$.a",
        "$['a']['b']",
        "$.a[0].b",
        "$.a['b','c']",
        "$..a.length()",
        "a.b",
        "$.['a b']",
    ] {
        assert!(JsonPath::parse(path).unwrap().is_definite(), "{path}");
    }
    for path in [
        "$..a",
        "$.*",
        "$.a[*]",
        "$.a[0,1]",
        "$.a[1:]",
        "$.a[?(@.b)]",
        "$['a','b'].c",
        "$..['a','b']",
    ] {
        assert!(!JsonPath::parse(path).unwrap().is_definite(), "{path}");
    }
    let document = json!({"a": null, "e": [], "f": false});
    for (path, empty) in [
        ("$.a", true),
        ("$.x", true),
        ("$.e", true),
        ("$.f", false),
        ("$.e[*]", true),
        ("$.*", false),
    ] {
        assert_eq!(
            JsonPath::parse(path).unwrap().find(&document).unwrap().is_empty(),
            empty,
            "{path}"
        );
    }
}

#[test]
fn a_filter_on_an_object_tests_the_object() {
    let document = json!({"city": "New York", "who": {"name": "Ada"}});
    check(
        &document,
        &[
            ("$.[?(@.city == 'New York')]", json!([document])),
            ("$[?(@.city == 'Rome')]", json!([])),
            ("$.who[?(@.name)]", json!([{"name": "Ada"}])),
            ("$.city[?(@.name)]", json!([])),
        ],
    );
}

#[test]
fn names_are_found_however_they_are_written() {
    let document = json!({"a b": 1, "x-y": 2, "soap:Body": {"ns:v": 3}, "chave_execução": 4, "it's": 5, "@t": 6, "a.b": 7, "😀": 8});
    check(
        &document,
        &[
            ("$['a b']", json!(1)),
            ("$.['a b']", json!(1)),
            ("$[\"a b\"]", json!(1)),
            ("$.x-y", json!(2)),
            ("$.soap:Body.ns:v", json!(3)),
            ("chave_execução", json!(4)),
            ("$['it\\'s']", json!(5)),
            ("$[\"it's\"]", json!(5)),
            ("$.@t", json!(6)),
            ("$['a.b']", json!(7)),
            ("$['\\ud83d\\ude00']", json!(8)),
            ("['x-y']", json!(2)),
            ("$['x-y', 'a.b', 'none']", json!({"x-y": 2, "a.b": 7})),
            (" $ ", document.clone()),
        ],
    );
}

#[test]
fn indices_and_slices_stay_within_the_array() {
    let document = json!([0, 1, 2, 3, 4]);
    check(
        &document,
        &[
            ("$[0]", json!(0)),
            ("$[-1]", json!(4)),
            ("$[5]", json!(null)),
            ("$[-6]", json!(null)),
            ("$[0, -1, 9]", json!([0, 4])),
            ("$[1:3]", json!([1, 2])),
            ("$[-3:-1]", json!([2, 3])),
            ("$[3:1]", json!([])),
            ("$[-9:9]", json!([0, 1, 2, 3, 4])),
            ("$[:]", json!([0, 1, 2, 3, 4])),
            ("$.a", json!(null)),
            ("$[*].a", json!([])),
        ],
    );
    check(
        &json!({"a": 1}),
        &[("$[0]", json!(null)), ("$.a[0]", json!(null)), ("$.a.b", json!(null))],
    );
}

#[test]
fn operators_compare_as_in_jayway() {
    let cases = [
        ("@.price == 8.95", "Sayings"),
        ("@.price == '8.95'", "Sayings"),
        ("@.price === '8.95'", ""),
        ("@.price !== '8.95' && @.price < 9", "Sayings Moby"),
        ("@.price != 8.95", "Sword Moby The"),
        ("@.isbn != 'x'", "Sayings Sword Moby The"),
        ("@.isbn == null", ""),
        ("!@.isbn", "Sayings Sword"),
        ("!(@.isbn || @.price > 10)", "Sayings"),
        ("@.price > 10 || @.category == \"reference\"", "Sayings Sword The"),
        ("@.price>10&&@.price<20", "Sword"),
        ("@.author in ['Nigel Rees', 'Evelyn Waugh']", "Sayings Sword"),
        ("@.author NIN ['Nigel Rees', 'Evelyn Waugh']", "Moby The"),
        ("'fiction' == @.category && 10 < @.price", "Sword The"),
        ("@.title contains 'o'", "Sayings Sword Moby The"),
        ("@.title contains 'Dick'", "Moby"),
        ("@.title size 9", "Moby"),
        ("@.title empty true", ""),
        ("@.isbn empty false", "Moby The"),
        ("@.author =~ /evelyn.*?/i", "Sword"),
        ("@.author =~ /evelyn/i", ""),
        ("@.title =~ /Moby\\sDick|S\\/x/", "Moby"),
        ("/.*Rings/ =~ @.title", "The"),
        ("@.title > 'Sb'", "Sword The"),
        ("@.price > 'a'", ""),
        ("@.category in $.store.book[*].category", "Sayings Sword Moby The"),
        ("@.price == $.store.book[*].price.max()", "The"),
        ("@.title.length() < 10", "Moby"),
        ("@['category'] == 'reference'", "Sayings"),
        ("@.price in []", ""),
    ];
    for (condition, expected) in cases {
        let path = format!("$.store.book[?({condition})]");
        assert_eq!(titles(&path).join(" "), expected, "{path}");
    }
}

#[test]
fn list_operators_compare_sets() {
    let document = json!([{"n": 1, "t": ["a", "b"]}, {"n": 2, "t": ["b", "c"]}, {"n": 3, "t": []}, {"n": 4, "t": "a"}]);
    let cases = [
        ("@.t subsetof ['a', 'b', 'z']", json!([1, 3])),
        ("@.t anyof ['c', 'z']", json!([2])),
        ("@.t noneof ['c', 'z']", json!([1, 3])),
        ("@.t all ['b']", json!([1, 2])),
        ("@.t contains 'a'", json!([1, 4])),
        ("@.t size 2", json!([1, 2])),
        ("@.t empty true", json!([3])),
        ("@.t == ['a', 'b']", json!([1])),
        ("@ == {\"t\": \"a\", \"n\": 4.0}", json!([4])),
        ("@.t =~ /[ac]/", json!([1, 2, 4])),
        ("@.t[?(@ == 'c')]", json!([2])),
        ("@.n in [1, '2', null]", json!([1, 2])),
    ];
    for (condition, expected) in cases {
        check(&document, &[(&format!("$[?({condition})].n"), expected)]);
    }
}

#[test]
fn functions_end_a_path() {
    let document =
        json!({"n": [1, 2.5, "x", 4], "o": {"k": 1, "l": "text😀"}, "w": [{"p": 2}, {"p": 4}], "t": ["a", "b"]});
    check(
        &document,
        &[
            ("$.n.min()", json!(1.0)),
            ("$.n.max()", json!(4.0)),
            ("$.n.sum()", json!(7.5)),
            ("$.n.avg()", json!(2.5)),
            ("$.w[*].p.stddev()", json!(1.0)),
            ("$.w[*].p.max()", json!(4.0)),
            ("$..p.sum()", json!(6.0)),
            ("$.sum($..p, 10)", json!(16.0)),
            ("$.n.length()", json!(4)),
            ("$.n.size()", json!(4)),
            ("$.o.length()", json!(2)),
            ("$.o.l.length()", json!(6)),
            ("$.length($.t)", json!(2)),
            ("$.o.keys()", json!(["k", "l"])),
            ("$.o.keys().length()", json!(2)),
            ("$.t.concat()", json!("ab")),
            ("$.t.concat('-', $.o.l)", json!("ab-text😀")),
            ("$.t.append('c')", json!(["a", "b", "c"])),
            ("$.n.first()", json!(1)),
            ("$.n.last()", json!(4)),
            ("$.n.index(1)", json!(2.5)),
            ("$.n.index(-2)", json!("x")),
            ("$.n.index(9)", json!(null)),
            ("$.absent.length()", json!(null)),
        ],
    );
    let fails = |path: &str| JsonPath::parse(path).unwrap().find(&document).unwrap_err().kind();
    assert_eq!(fails("$.t.min()"), FindErrorKind::NoNumbers("min"));
    assert_eq!(
        fails("$.n.keys()"),
        FindErrorKind::WrongKind {
            function: "keys",
            wanted: "objects"
        }
    );
    assert_eq!(
        JsonPath::parse("$.sum()")
            .unwrap()
            .find(&json!([1e308, 1e308]))
            .unwrap_err()
            .kind(),
        FindErrorKind::Overflow("sum")
    );
    let numbers = json!([1, 33, 56, 77.8, 66, 10475, 665464, 1, 0.01]);
    let deviation = JsonPath::parse("$.stddev()")
        .unwrap()
        .find(&numbers)
        .unwrap()
        .into_value()
        .as_f64()
        .unwrap();
    assert!(
        (deviation - 208_739.830_348_324_93).abs() <= 208_739.83 * f64::EPSILON,
        "{deviation}"
    );
}

#[test]
fn deep_scans_see_each_value_once_in_document_order() {
    let document = json!({"a": [{"x": 1}, {"x": 2, "a": {"x": 3}}], "x": 4});
    check(
        &document,
        &[
            ("$..x", json!([4, 1, 2, 3])),
            ("$..[?(@.x > 1)].x", json!([4, 2, 3])),
            ("$..a[0].x", json!([1])),
            ("$..[0]", json!([{"x": 1}])),
            (
                "$..['x','a']",
                json!([{"x": 4, "a": document["a"]}, {"x": 2, "a": {"x": 3}}]),
            ),
            ("$.a..x", json!([1, 2, 3])),
            ("$..a..x", json!([1, 2, 3, 3])),
        ],
    );
}

#[test]
fn what_is_wrong_is_said_with_its_column() {
    let cases = [
        ("", "at column 1 of the path: found the end, expected a path"),
        (
            "$.",
            "at column 3 of the path: found the end, expected a name after the point",
        ),
        (
            "$..",
            "at column 4 of the path: found the end, expected a name after the point",
        ),
        (
            "$.a b",
            "at column 4 of the path: found ` `, expected ., [ or the end of the path",
        ),
        ("$.é[x]", "at column 5 of the path: found `x`, expected *, an index"),
        (
            "$[0",
            "at column 4 of the path: found the end, expected ] to end the selection",
        ),
        (
            "$['a",
            "at column 5 of the path: found the end, expected ' to end the text from column 3",
        ),
        (
            "$[?(@.a = 1)]",
            "at column 9 of the path: found `=`, expected ), && or ||",
        ),
        (
            "$[?(@.a == b)]",
            "at column 12 of the path: found `b`, expected a path from @ or $, a number",
        ),
        (
            "$[?(@.a =~ /(/)]",
            "at column 12 of the path: found a regular expression, expected another, because",
        ),
        (
            "$[?(@.a =~ /x/q)]",
            "at column 15 of the path: found `q`, expected a flag",
        ),
        (
            "$[?@.a]",
            "at column 4 of the path: found `@`, expected ( after the question mark",
        ),
        (
            "$.a.median()",
            "at column 5 of the path: found the function median, expected one of min, max",
        ),
        (
            "$.a.keys(1)",
            "at column 5 of the path: found 1 arguments of keys, expected none",
        ),
        (
            "$.a.min().b",
            "at column 11 of the path: found a selection, expected a function or the end",
        ),
        (
            "$[99999999999999999999]",
            "at column 3 of the path: found `9`, expected an index",
        ),
    ];
    for (path, expected) in cases {
        let error = JsonPath::parse(path).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{path}\n  {error}\n  {expected}");
    }
}

#[test]
fn hostile_paths_and_documents_are_stopped() {
    for open in ["$[?(", "$[?(!", "$[?(@[?("] {
        assert!(JsonPath::parse(&open.repeat(50_000)).is_err());
    }
    let nested = format!("$[?({}1{} == @)]", "[".repeat(50_000), "]".repeat(50_000));
    assert!(
        JsonPath::parse(&nested)
            .unwrap_err()
            .expected()
            .starts_with("at most 32 levels")
    );

    let wide: Value = (0..2000).map(|i| json!({"a": {"b": i}})).collect();
    let squared = JsonPath::parse("$[?(@..b anyof $..b)][?(@..b anyof $..b)]").unwrap();
    assert_eq!(squared.find(&wide).unwrap_err().kind(), FindErrorKind::TooMuchWork);
    let exponential = JsonPath::parse(&format!("${}", "..*".repeat(40))).unwrap();
    let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(exponential.find(&deep).unwrap_err().kind(), FindErrorKind::TooMuchWork);
    let backtracking = JsonPath::parse(r"$[?(@ =~ /(a|a|a)*(\w)\2x/)]").unwrap();
    assert_eq!(
        backtracking.find(&json!(["a".repeat(60)])).unwrap_err().kind(),
        FindErrorKind::TooMuchWork
    );
    // The pair to it: a large document and an ordinary path.
    assert_eq!(
        JsonPath::parse("$[?(@.a.b >= 1990)]..b")
            .unwrap()
            .find(&wide)
            .unwrap()
            .into_value()[9],
        json!(1999)
    );
}
