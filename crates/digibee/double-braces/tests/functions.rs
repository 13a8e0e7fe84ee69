//! The functions beyond the documented cases: edges, null, other types, errors.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixed;

use fixed::Fixed;
use pipepost_double_braces::{Context, EvaluationErrorKind, Expression, Scope, Template};
use serde_json::{Value, json};

fn run() -> Fixed {
    let mut run = Fixed::message(json!({
        "n": 5, "d": 2.5, "s": "text", "e": "", "t": true, "a": [1, "b", null], "o": {"k": "v"}, "none": null,
        "emoji": "a😀b", "num": " 12.5 ", "pattern": "[a-z]+", "bad": "(", "ms": 1_620_475_994_005_i64,
    }));
    run.files.insert("a.csv".into(), 12);
    run
}

fn check(cases: &[(&str, Value)]) {
    for (expression, expected) in cases {
        assert_eq!(&run().eval(expression), expected, "{expression}");
    }
}

/// Every expression fails, and the sentence ends so.
fn fails(cases: &[(&str, &str)]) {
    for (expression, expected) in cases {
        let error = run().fails(expression);
        assert!(error.ends_with(expected), "{expression}\n  {error}\n  {expected}");
    }
}

#[test]
fn conditions() {
    check(&[
        ("AND(message.none, true)", json!(false)),
        ("OR(message.absent, 'TRUE')", json!(true)),
        ("NOT(null)", json!(true)),
        ("XOR(true, true, true)", json!(true)),
        ("EQUALTO(1, 1.0)", json!(true)),
        ("EQUALTO('1', 1)", json!(false)),
        ("EQUALTO({'a': 1, 'b': [2]}, {'b': [2.0], 'a': 1})", json!(true)),
        ("EQUALTO(message.none, message.absent)", json!(true)),
        ("GREATERTHAN(message.n, null)", json!(true)),
        ("LESSTHAN(message.none, -1)", json!(true)),
        ("GREATERTHAN('10', 9)", json!(true)),
        ("LESSTHAN('2021-05-07', '2021-05-08')", json!(true)),
        ("GREATERTHAN(9007199254740993, 9007199254740992)", json!(true)),
        ("IF(EQUALTO(message.n, 5), message.o, 1)", json!({"k": "v"})),
        ("if(message.none, 1, 2)", json!(2)),
        ("SWITCHCASE('none', false, 1, true, 2, true, 3)", json!(2)),
        ("SWITCHCASE('none', false, 1)", json!("none")),
        ("ISNULL(message.absent)", json!(true)),
        ("ISNUMBER(message.d)", json!(true)),
        ("ISOBJECT(message.o)", json!(true)),
        ("ISARRAY(message.a)", json!(true)),
    ]);
    fails(&[
        (
            "AND(true, 'x')",
            "argument 2, \"x\", must be a boolean, and is a text of 1 character",
        ),
        (
            "LESSTHAN(message.o, 1)",
            "argument 1, message.o, must be a number, and is an object",
        ),
        ("SWITCHCASE(0, true, 1, true)", "each condition needs a result after it"),
        (
            "IF(true, 1, DIVIDE(1, 0))",
            "argument 2, 0, is zero, and nothing can be divided by it",
        ),
    ]);
}

#[test]
fn arithmetic() {
    check(&[
        ("ABS(-2)", json!(2.0)),
        ("CEIL(1.2)", json!(2.0)),
        ("DIVIDE(1, 4)", json!(0.25)),
        ("LOG(1000, 10)", json!(3.0)),
        ("LOG(8, 2)", json!(3.0)),
        ("MAX(message.n, message.d)", json!(5.0)),
        ("MIN(message.n, message.num)", json!(5.0)),
        ("MOD(-7, 3)", json!(-1.0)),
        ("MULTIPLY(2, 3, 4)", json!(24.0)),
        ("POW(2, 10)", json!(1024.0)),
        ("ROUND(2.5)", json!(3.0)),
        ("ROUND(-2.5)", json!(-2.0)),
        ("ROUND(0.49999999999999994)", json!(0.0)),
        ("SUM(1, 2, '3')", json!(6.0)),
        ("SUBTRACT(1, 1)", json!(0.0)),
        ("TODOUBLE(' 1e3 ')", json!(1000.0)),
        ("TOINT('-12.9')", json!(-12)),
        ("TOLONG(3e9)", json!(3_000_000_000_i64)),
        ("TOLONG('9223372036854775807')", json!(i64::MAX)),
    ]);
    fails(&[
        ("DIVIDE(1, 0.0)", "nothing can be divided by it"),
        ("MOD(1, 0)", "nothing can be divided by it"),
        ("SQRT(-1)", "the result is not a number, or too large for one"),
        ("LOG(0, 10)", "the result is not a number, or too large for one"),
        ("POW(10, 999)", "the result is not a number, or too large for one"),
        (
            "SUM(1, message.absent)",
            "argument 2, message.absent, must be a number, and is null",
        ),
        ("SUM(1, 'NaN')", "must be a number, and is a text of 3 characters"),
        (
            "TOINT(3e9)",
            "argument 1, 3000000000.0, is too large for an integer of 32 bits: TOLONG takes it",
        ),
        ("TOLONG(1e19)", "is too large for an integer of 64 bits"),
    ]);
}

#[test]
fn json_values() {
    check(&[
        ("JSONPATH(message, '$.a[?(@ == \"b\")]')", json!(["b"])),
        ("JSONPATH(message, CONCAT('$.', 'o.k'))", json!("v")),
        ("JSONPATH(message.none, '$.x')", json!(null)),
        ("TOJSON('[1, 2.0]')", json!([1, 2.0])),
        ("TOJSON(null)", json!(null)),
        ("UNESCAPEJSON('a\\\\n\\\\u00e9\\\\x\\\\')", json!("a\né\\x\\")),
        ("UNESCAPEJSON('\\\\ud83d\\\\ude00\\\\ud83d')", json!("😀\\ud83d")),
        ("GETELEMENTAT(message.a, 1)", json!("b")),
        ("GETELEMENTAT(message.a, 9)", json!(null)),
        ("GETELEMENTAT([1, [2]], 1)", json!([2])),
        ("LASTELEMENT([])", json!(null)),
        ("LASTELEMENT([1, 2])", json!(2)),
        ("PUSH([1], message.o)", json!([1, {"k": "v"}])),
        ("PUSH([1])", json!([1, null])),
        ("REMOVEAT([1, 2], -1)", json!([1, 2])),
        ("POP([1])", json!({"array": [], "element": 1})),
        ("NEWEMPTYARRAY()", json!([])),
        ("CARDINALITYONE([])", json!(null)),
        ("CARDINALITYMANY(1)", json!([1])),
        ("SIZE(message.emoji)", json!(4)),
        ("SIZE(message.o)", json!(1)),
        ("SIZE(5, false)", json!(null)),
        ("TOBOOLEAN('TRUE')", json!(true)),
        ("TOBOOLEAN(1)", json!(false)),
    ]);
    fails(&[
        (
            "JSONPATH(message, '$.[')",
            "expected a JSONPath: at column 4 of the path: found the end, expected *, an index, a slice, a name in quotes or ?( after the bracket",
        ),
        (
            "JSONPATH(message, message.bad)",
            "argument 2, message.bad, must be a JSONPath, and is a text of 1 character: at column 1 of the path, expected a name after the point (['...'] takes any)",
        ),
        (
            "JSONPATH(message.e, '$.min()')",
            "at column 3 of the path: min() found no number to work on",
        ),
        (
            "PUSH(message.none, 1)",
            "argument 1, message.none, must be an array, and is null",
        ),
        (
            "GETELEMENTAT([1], 0.5)",
            "argument 2, 0.5, must be a whole number, and is a number with a fraction",
        ),
        (
            "SIZE(5)",
            "argument 1, 5, must be a text, an array or an object, and is a whole number",
        ),
    ]);
}

#[test]
fn text() {
    check(&[
        ("CAPITALIZE('éa')", json!("Éa")),
        ("CAPITALIZE(message.absent)", json!(null)),
        (
            "CONCAT('a', message.absent, 1, 2.0, true, message.o)",
            json!("a12.0true{\"k\":\"v\"}"),
        ),
        ("CONTAINS(message.none, 'a')", json!(false)),
        ("DEFAULT('', 'x')", json!("")),
        ("DEFAULT(message.absent, message.n)", json!(5)),
        ("INDEXOF(message.emoji, 'b')", json!(3)),
        ("INDEXOF('abab', 'b', 2)", json!(3)),
        ("INDEXOF('abab', 'b', 9)", json!(-1)),
        ("INDEXOF('a', '', -3)", json!(0)),
        ("LASTINDEXOF('abab', 'a', 1)", json!(0)),
        ("LASTINDEXOF(message.none, 'a')", json!(-1)),
        ("JOIN(', ', 'a', message.none, ['b', null, 1])", json!("a, b, 1")),
        ("JOIN(', ')", json!("")),
        ("LEFTPAD(7, 3, '0')", json!("007")),
        ("LEFTPAD('abcd', 3)", json!("abcd")),
        ("LEFTPAD('x', 6, 'ab')", json!("ababax")),
        ("RIGHTPAD('x', 3)", json!("x  ")),
        ("MATCHES('abc1', message.pattern)", json!(false)),
        ("MATCHES('abc', message.pattern)", json!(true)),
        ("MATCHES('2021-05-07', '\\d{4}-\\d\\d-\\d\\d')", json!(true)),
        ("NORMALIZE('Ação Łódź ñ ß')", json!("Acao Lodz n ß")),
        ("REPLACE('a1b22', '\\\\d+', '<$0>')", json!("a<1>b<22>")),
        ("REPLACE('a.b', '[.]', '')", json!("ab")),
        ("REPLACE(message.none, 'a', 'b')", json!(null)),
        ("SPLIT('a, b,,', ',\\s*')", json!(["a", "b"])),
        ("STRINGMATCHES('aAb', 'a', 'CASE_INSENSITIVE')", json!(["a", "A"])),
        (
            "STRINGMATCHES('aAb', 'A.', 'Pattern.CASE_INSENSITIVE | DOTALL')",
            json!(["aA"]),
        ),
        ("SUBSTRING('hello', 1, 3)", json!("el")),
        ("SUBSTRING('hello', 2)", json!("llo")),
        ("SUBSTRING('hello', 2, null, true)", json!("llo")),
        ("SUBSTRING('hello', 2, 9, false)", json!("hello")),
        ("SUBSTRING('hello', 5)", json!("")),
        ("SUBSTRING(message.emoji, 1, 3)", json!("😀")),
        ("TOSTRING(message.a)", json!("[1,\"b\",null]")),
        ("TOSTRING(3.0)", json!("3.0")),
        ("TRIM('\\t a\\u0000 \\n')", json!("a")),
        ("UPPERCASE('straße')", json!("STRASSE")),
        ("ESCAPE('a\"é\\n')", json!("a\\\"é\\n")),
        (
            "ESCAPE('<a b=\"c\\'\">&', 'html')",
            json!("&lt;a b=&quot;c&#39;&quot;&gt;&amp;"),
        ),
        ("ESCAPE('a\\'b', 'XML')", json!("a&apos;b")),
        ("ESCAPE('a,\"b\"', 'CSV')", json!("\"a,\"\"b\"\"\"")),
        ("UNESCAPE('\"a,\"\"b\"\"\"', 'CSV')", json!("a,\"b\"")),
        ("UNESCAPE('&lt;&eacute;&#233;&#xe9;&amp;', 'HTML')", json!("<ééé&")),
        ("UNESCAPE('&apos;&quot;', 'XML')", json!("'\"")),
    ]);
    fails(&[
        (
            "SUBSTRING('hello', 2, 9)",
            "from 2 to 9 is out of a text of 5 characters",
        ),
        (
            "SUBSTRING('hello', 3, 2)",
            "from 3 to 2 is out of a text of 5 characters",
        ),
        (
            "MATCHES('a', message.bad)",
            "argument 2, message.bad, must be a Java regular expression, and is a text of 1 character",
        ),
        (
            "REPLACE('a', '(a)', '$2')",
            "must be a replacement: $1 and ${name} are groups of the pattern, \\$ is a dollar",
        ),
        (
            "STRINGMATCHES('a', 'a', 'LOUD')",
            "expected names of Java's pattern flags, such as CASE_INSENSITIVE",
        ),
        (
            "ESCAPE('a', 'SQL')",
            "argument 2, \"SQL\", must be JSON, XML, CSV, HTML or ICAL",
        ),
        (
            "LEFTPAD('a', 99999999999)",
            "the result would be longer than 33554432 bytes",
        ),
        (
            "MATCHES(LEFTPAD('', 90, 'a'), '(a|a)*(b)\\2c')",
            "takes too much work on this text: make it simpler",
        ),
    ]);
    let constant = run().fails("CONCAT('x', MATCHES('a', '('))");
    assert!(
        constant.starts_with("at column 26: found \"(\" as an argument of MATCHES, expected this is not"),
        "{constant}"
    );
}

#[test]
fn encodings() {
    check(&[
        ("BASEENCODE('xpto')", json!("eHB0bw==")),
        ("BASEDECODE('eHB0 \\n bw')", json!("xpto")),
        ("BASEENCODE('é', 'ISO-8859-1')", json!("6Q==")),
        ("BASEDECODE('6Q==', 'latin1')", json!("é")),
        ("BASEENCODE('é', 'UTF-16LE')", json!("6QA=")),
        ("BASEURLENCODE('??>>')", json!("Pz8-Pg")),
        ("BASEURLDECODE('Pz8-Pg==')", json!("??>>")),
        ("URIENCODE('a b/é&=~')", json!("a%20b%2F%C3%A9%26%3D~")),
        ("URIDECODE('a%20b+%c3%A9')", json!("a b+é")),
        ("URIENCODE('é', 'ISO-8859-1')", json!("%E9")),
        ("BASEENCODE(message.none)", json!(null)),
    ]);
    fails(&[
        (
            "BASEDECODE('*')",
            "argument 1, \"*\", must be a text in base64, and is a text of 1 character",
        ),
        (
            "BASEENCODE('a', 'KLINGON')",
            "argument 2, \"KLINGON\", must be a charset, such as UTF-8",
        ),
        ("BASEENCODE('世', 'ISO-8859-1')", "lacks a character of the text"),
        (
            "URIDECODE('%2')",
            "must be a text with % and two hexadecimal digits, and is a text of 2 characters",
        ),
    ]);
}

#[test]
fn files() {
    check(&[
        ("FILEEXISTS('a.csv')", json!(true)),
        ("FILEEXISTS('b.csv')", json!(false)),
        ("FILESIZE('a.csv')", json!(12)),
    ]);
    fails(&[
        (
            "FILESIZE('b.csv')",
            "there is no file of the name that is argument 1, \"b.csv\",",
        ),
        ("FILEEXISTS('/etc/passwd')", "the name leads out of the run's directory"),
    ]);
    let error = Expression::parse("FILESIZE('x')")
        .unwrap()
        .evaluate(&run())
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.function()),
        (EvaluationErrorKind::File, "FILESIZE")
    );
}

#[test]
fn randomness_is_the_contexts() {
    let run = run();
    let uuid = run.eval("UUID()");
    let text = uuid.as_str().unwrap();
    assert_eq!(text.len(), 36);
    assert_eq!(
        (&text[14..15], text[19..20].contains(['8', '9', 'a', 'b'])),
        ("4", true),
        "{text}"
    );
    assert_eq!(self::run().eval("UUID()"), uuid);
    assert_ne!(run.eval("UUID()"), uuid);
    for _ in 0..200 {
        assert!((-1..=1).contains(&run.eval("RANDOMNUMBERS(-1, 1)").as_i64().unwrap()));
    }
    assert!(
        run.eval("RANDOMNUMBERS(-9223372036854775808, 9223372036854775807)")
            .is_i64()
    );
    assert_eq!(run.eval("RANDOMNUMBERS(7, 7)"), json!(7));
    type Allowed = fn(char) -> bool;
    let kinds: [(&str, Allowed); 4] = [
        ("alphanumeric", |c| c.is_ascii_alphanumeric()),
        ("ALPHABETIC", |c| c.is_ascii_alphabetic()),
        ("ASCII", |c| (' '..='~').contains(&c)),
        ("NUMERIC", |c| c.is_ascii_digit()),
    ];
    for (kind, allowed) in kinds {
        let made = run.eval(&format!("RANDOMSTRINGS('{kind}', 50)"));
        let made = made.as_str().unwrap();
        assert!(
            made.chars().count() == 50 && made.chars().all(allowed),
            "{kind}: {made}"
        );
    }
    fails(&[
        ("RANDOMNUMBERS(2, 1)", "minValue must not be larger than maxValue"),
        (
            "RANDOMSTRINGS('HEX', 1)",
            "must be ALPHANUMERIC, ALPHABETIC, ASCII or NUMERIC",
        ),
        (
            "RANDOMSTRINGS('ASCII', -1)",
            "must be zero or more, and is a whole number",
        ),
    ]);
}

#[test]
fn numbers_format_as_in_java() {
    let cases = [
        ("0", "#,##0.00", "en-US", "0.00"),
        ("1234567.891", "#,##0.00", "en-US", "1,234,567.89"),
        ("1234567.891", "#,##0.00", "pt-BR", "1.234.567,89"),
        ("1234567.891", "#,##0.00", "de", "1.234.567,89"),
        ("1234567.891", "#,##0.00", "de-CH", "1’234’567.89"),
        ("1234567.891", "#,##0.00", "fr", "1\u{202f}234\u{202f}567,89"),
        ("1234567.891", "#,##0.00", "es_MX", "1,234,567.89"),
        ("1234.5", "¤#,##0.00", "pt-br", "R$1.234,50"),
        ("1234.5", "#,##0.00 ¤", "es", "1.234,50 €"),
        ("1234.5", "#,##0.00 ¤¤", "en-US", "1,234.50 USD"),
        ("0.5", "#.##", "en-US", "0.5"),
        ("0.5", "#.00", "en-US", ".50"),
        ("0.5", ".##", "en-US", ".5"),
        ("0", "#.##", "en-US", "0"),
        ("0", "###", "en-US", "0"),
        ("0.125", "0.00", "en-US", "0.12"),
        ("0.135", "0.00", "en-US", "0.14"),
        ("2.5", "0", "en-US", "2"),
        ("3.5", "0", "en-US", "4"),
        ("0.1", "0.####################", "en-US", "0.1"),
        ("1e20", "#,##0", "en-US", "100,000,000,000,000,000,000"),
        ("-1234.5", "0.0", "en-US", "-1234.5"),
        ("-1234.5", "0.0;(0.0)", "en-US", "(1234.5)"),
        ("0.256", "0.0%", "en-US", "25.6%"),
        ("25", "0‰", "en-US", "25000‰"),
        ("12", "'#'0", "en-US", "#12"),
        ("12", "0 'o''clock'", "en-US", "12 o'clock"),
        ("12", "0.", "en-US", "12."),
        ("7", "000", "en-US", "007"),
        ("9007199254740993", "#,##0", "en-US", "9,007,199,254,740,993"),
        ("12345", "0.###E0", "en-US", "1.234E4"),
        ("0.00123", "00.###E0", "en-US", "12.3E-4"),
        ("12345", "##0.#####E0", "en-US", "12.345E3"),
        ("0", "0.0E00", "en-US", "0.0E00"),
    ];
    for (number, pattern, locale, expected) in cases {
        let expression = format!("FORMATNUMBER({number}, {}, '{locale}')", json!(pattern));
        assert_eq!(run().eval(&expression), json!(expected), "{expression}");
    }
    check(&[
        ("FORMATNUMBER('12.7', '0.0', null, true)", json!("12.0")),
        ("FORMATNUMBER(message.none, '0')", json!(null)),
        ("TONUMBER('1.234,5', '#,##0.##', 'de')", json!(1234.5)),
        ("TONUMBER('1 234,5', '#,##0.##', 'fr')", json!(1234.5)),
        ("TONUMBER('1,234.9', '#,##0.##', null, true)", json!(1234)),
        ("TONUMBER('12 apples', '0')", json!(12)),
        ("TONUMBER('(5)', '0;(0)')", json!(-5)),
        ("TONUMBER('50%', '0%')", json!(0.5)),
        ("TONUMBER('-7.5', '0.0')", json!(-7.5)),
        ("TONUMBER('1.5E3', '0.0E0')", json!(1500)),
        ("TONUMBER('R$\u{a0}1,5', \"'R$ '0.0\", 'pt-BR')", json!(1.5)),
        ("TONUMBER('1,2,3', '0')", json!(1)),
        ("TONUMBER('9223372036854775807', '0')", json!(i64::MAX)),
    ]);
    fails(&[
        (
            "FORMATNUMBER(1, '0#')",
            "a '#' may not follow a '0' before the decimal point",
        ),
        (
            "FORMATNUMBER(1, \"0'\")",
            "a number pattern of Java's DecimalFormat: a quote is not closed",
        ),
        ("FORMATNUMBER(1, '0 0')", "'0' may not stand after the digits unquoted"),
        (
            "FORMATNUMBER(1, '0', 'tlh')",
            "expected a locale of English, Portuguese, Spanish, German or French, such as en-US or pt-BR",
        ),
        (
            "TONUMBER('x', '0')",
            "argument 1, \"x\", must be a text in the format of a number that is given, and is a text of 1 character",
        ),
    ]);
}

#[test]
fn a_large_message_is_not_copied_to_look_something_up() {
    let items: Value = (0..10_000)
        .map(|i| json!({"id": i, "name": format!("n{i}"), "at": "2021-05-07"}))
        .collect();
    let run = Fixed::message(json!({ "items": items })).with(Scope::Global, json!({}));
    let expression = "CONCAT(GETELEMENTAT(message.items, 9999), SIZE(message.items), FORMATDATE('07/05/2021', 'dd/MM/yyyy', 'yyyy'))";
    let parsed = Expression::parse(expression).unwrap();
    // Ten thousand evaluations over ten thousand items would take minutes if each copied them.
    for _ in 0..10_000 {
        let value = parsed.evaluate(&run).unwrap();
        assert_eq!(
            value,
            json!("{\"id\":9999,\"name\":\"n9999\",\"at\":\"2021-05-07\"}100002021")
        );
    }
}

#[test]
fn text_of_icalendar_is_escaped_as_rfc_5545_has_it() {
    let run = Fixed::message(json!({"title": "Review; Q4, \\ draft\r\nATTENDEE:mailto:eve@evil.example\u{7}\ttab"}));
    let escaped = run.eval("ESCAPE(message.title, \"ICAL\")");
    assert_eq!(
        escaped,
        json!("Review\\; Q4\\, \\\\ draft\\nATTENDEE:mailto:eve@evil.example\ttab")
    );
    let back = Fixed::message(json!({"title": escaped})).eval("UNESCAPE(message.title, 'ical')");
    assert_eq!(
        back,
        json!("Review; Q4, \\ draft\nATTENDEE:mailto:eve@evil.example\ttab")
    );
    assert_eq!(run.eval("ESCAPE('a\\rb\\nc', 'ICAL')"), json!("a\\nb\\nc"));
}

#[test]
fn a_flag_may_stand_in_the_place_of_a_locale() {
    let run = Fixed::message(json!({"n": 1234.5, "t": "1,234.5", "flag": true, "none": null}));
    for (expression, expected) in [
        ("FORMATNUMBER(message.n, '#,##0.00', 'pt-BR')", json!("1.234,50")),
        ("FORMATNUMBER(message.n, '#,##0.00', 'pt_br')", json!("1.234,50")),
        ("FORMATNUMBER(message.n, '#,##0.00', '')", json!("1,234.50")),
        ("FORMATNUMBER(message.n, '#,##0.00', null)", json!("1,234.50")),
        ("FORMATNUMBER(message.n, '#,##0.00', message.none)", json!("1,234.50")),
        ("FORMATNUMBER(message.n, '#,##0.00', true)", json!("1,234.00")),
        ("FORMATNUMBER(message.n, '#,##0.00', false)", json!("1,234.50")),
        ("FORMATNUMBER(message.n, '#,##0.00', message.flag)", json!("1,234.00")),
        ("FORMATNUMBER(message.n, '#,##0.00', 'pt-BR', true)", json!("1.234,00")),
        ("TONUMBER(message.t, '#,##0.00', true)", json!(1234)),
    ] {
        assert_eq!(run.eval(expression), expected, "{expression}");
    }
}

#[test]
fn searches_take_time_linear_in_the_text() {
    let long = "a".repeat(400_000);
    let run = Fixed::message(json!({"long": long, "part": format!("{}b", "a".repeat(200_000)), "s": "x😀y😀z"}));
    assert_eq!(run.eval("INDEXOF(message.long, message.part)"), json!(-1));
    assert_eq!(run.eval("LASTINDEXOF(message.long, message.part)"), json!(-1));
    for (expression, expected) in [
        ("INDEXOF(message.s, '😀')", 1),
        ("INDEXOF(message.s, '😀', 2)", 4),
        ("INDEXOF(message.s, '😀', 4)", 4),
        ("INDEXOF(message.s, '', 99)", 7),
        ("INDEXOF(message.s, 'x', -5)", 0),
        ("LASTINDEXOF(message.s, '😀')", 4),
        ("LASTINDEXOF(message.s, '😀', 3)", 1),
        ("LASTINDEXOF(message.s, '😀', 1)", 1),
        ("LASTINDEXOF(message.s, '😀', 0)", -1),
        ("LASTINDEXOF(message.s, 'x', -1)", -1),
        ("LASTINDEXOF(message.s, '', 3)", 3),
    ] {
        assert_eq!(run.eval(expression), json!(expected), "{expression}");
    }
}

#[test]
fn what_an_evaluation_makes_is_bounded_before_it_is_made() {
    let run = Fixed::message(json!({"big": "x".repeat(1_100_000), "list": vec![json!([1, 2]); 100_000]}));
    let fails = |text: &str| Template::parse(text).unwrap().evaluate(&run).unwrap_err();
    let many = vec!["message.big"; 100].join(", ");
    for text in [
        format!("{{{{ CONCAT({many}) }}}}"),
        "{{ message.big }}".repeat(100),
        format!("{{{{ [{}] }}}}", vec!["message.list"; 100].join(", ")),
        "{{ SPLIT(message.big, '') }}".to_owned(),
    ] {
        let error = fails(&text);
        assert_eq!(error.kind(), EvaluationErrorKind::Limit, "{error}");
    }
}

/// A run whose time is over.
struct Over(Value);

impl Context for Over {
    fn root(&self, scope: Scope) -> Option<&Value> {
        (scope == Scope::Message).then_some(&self.0)
    }
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
    fn random(&self) -> u64 {
        4
    }
    fn may_go_on(&self) -> bool {
        false
    }
}

#[test]
fn an_evaluation_ends_with_the_time_of_its_run() {
    let over = Over(json!({"long": "a".repeat(100_000), "list": vec![1; 10_000]}));
    for text in [
        "{{ REPLACE(message.long, 'a', 'b') }}",
        "{{ [message.list, message.list] }}",
        "{{ STRINGMATCHES(message.long, '(?s)a.*b|a') }}",
    ] {
        let error = Template::parse(text).unwrap().evaluate(&over).unwrap_err();
        assert_eq!(error.kind(), EvaluationErrorKind::Limit, "{text}: {error}");
    }
    assert_eq!(
        Template::parse("{{ message.long }}").unwrap().evaluate(&over).unwrap(),
        over.0["long"]
    );
}

#[test]
fn a_path_from_a_value_says_where_it_is_wrong_and_shows_nothing_of_it() {
    let run = Fixed::message(json!({"path": "$.secret[", "t": ["x"]}));
    let fails = |text: &str| Template::parse(text).unwrap().evaluate(&run).unwrap_err().to_string();
    let error = fails("{{ JSONPATH(message, message.path) }}");
    assert!(error.contains("at column 10 of the path, expected"), "{error}");
    assert!(!error.contains("secret"), "{error}");
    let error = fails("{{ JSONPATH(message, '$.t.sum()') }}");
    assert!(
        error.contains("at column 5 of the path: sum() found no number"),
        "{error}"
    );
}
