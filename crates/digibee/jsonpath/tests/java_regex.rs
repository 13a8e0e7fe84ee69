//! Where Java's regular expressions and the engine's differ.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use pipepost_jsonpath::java_regex::{Flags, JavaRegex, Replacement};

fn whole(pattern: &str, text: &str) -> bool {
    let regex = JavaRegex::whole(pattern, Flags::default()).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    regex.is_match(text).unwrap()
}

fn all<'t>(pattern: &str, text: &'t str) -> Vec<&'t str> {
    let regex = JavaRegex::new(pattern, Flags::default()).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    regex.find_all(text, &|_| true).unwrap()
}

#[test]
fn classes_mean_what_they_mean_in_java() {
    let cases = [
        (r"\d+", "123", true),
        (r"\d+", "١٢٣", false),
        (r"(?U)\d+", "١٢٣", true),
        (r"\w+", "é", false),
        (r"[\w-]+", "a-b", true),
        (r"[^\d]+", "ab", true),
        (r"[\D]+", "ab", true),
        (r"\h", "\u{a0}", true),
        (r"\s", "\u{a0}", false),
        (r"a.b", "a\u{2028}b", false),
        (r"a.b", "a\rb", false),
        (r"(?s)a.b", "a\nb", true),
        (r"(?s:a.)b.", "a\nb\n", false),
        (r"\p{Alpha}+", "abc", true),
        (r"\p{Alpha}+", "é", false),
        (r"\p{L}+", "é", true),
        (r"\pL\P{Lu}", "éa", true),
        (r"\p{IsAlphabetic}+", "é", true),
        (r"\p{IsLatin}+", "é", true),
        (r"[\p{Punct}]+", "!~`[]-", true),
        (r"\p{javaUpperCase}", "É", true),
        (r"[a-z&&[^aeiou]]+", "bcd", true),
        (r"[a-z&&[^aeiou]]+", "bad", false),
        (r"[\[\]]+", "[]", true),
        (r"[]a]+", "]a", true),
        (r"[a~~b]+", "~ab", true),
        (r"[[:a]]+", ":a", true),
        (r"\Q.*\E", ".*", true),
        (r"[\Q^]\E]+", "^]", true),
        (r"\<b\>", "<b>", true),
        (r"\u0041\x42\x{43}\0104", "ABCD", true),
        (r"\uD83D\uDE00", "😀", true),
        (r"(a)\1", "aa", true),
        (r"(?<x>a)\k<x>", "aa", true),
        (r"a++b", "aab", true),
        (r"(?>a|ab)c", "abc", false),
        (r"(?=a)\w(?!b)c", "ac", true),
        (r"(?i)straße", "STRAßE", true),
        (r"(?x) a b # c", "ab", true),
        (r"(?x)a\ b\#", "a b#", true),
        (r"a|b", "ab", false),
        (r"a$", "a\n", false),
        (r"\R", "\r\n", true),
        (r"é+", "éé", true),
    ];
    for (pattern, text, expected) in cases {
        assert_eq!(whole(pattern, text), expected, "{pattern} on {text:?}");
    }
}

#[test]
fn a_dollar_matches_before_the_last_line_break() {
    assert_eq!(all("a$", "a\na\n"), ["a"]);
    assert_eq!(all("(?m)^a$", "a\nb\na\n"), ["a", "a"]);
    assert_eq!(all(r"a\Z", "a\r\n"), ["a"]);
    assert!(all(r"a\z", "a\n").is_empty());
}

#[test]
fn flags_have_javas_names() {
    let mut flags = Flags::default();
    assert!(flags.set("CASE_INSENSITIVE") && flags.set("DOTALL") && flags.set("UNICODE_CASE"));
    assert!(!flags.set("CANON_EQ") && !flags.set("case_insensitive"));
    assert!(JavaRegex::whole("A.b", flags).unwrap().is_match("a\nB").unwrap());
    let literal = Flags {
        literal: true,
        ..Flags::default()
    };
    assert_eq!(
        JavaRegex::new("a.*[ #", literal)
            .unwrap()
            .find_all("xa.*[ #x", &|_| true)
            .unwrap(),
        ["a.*[ #"]
    );
}

#[test]
fn splits_as_java_does() {
    let cases: [(&str, &str, &[&str]); 9] = [
        (",", "a,b,,c,,", &["a", "b", "", "c"]),
        (",", ",a", &["", "a"]),
        (",", ",", &[]),
        (",", "", &[""]),
        (",", "abc", &["abc"]),
        ("", "abc", &["a", "b", "c"]),
        (r"\s*;\s*", "a ; b;c", &["a", "b", "c"]),
        (r"(?=-)", "a-b-c", &["a", "-b", "-c"]),
        (r"\|", "a|b", &["a", "b"]),
    ];
    for (pattern, text, expected) in cases {
        let regex = JavaRegex::new(pattern, Flags::default()).unwrap();
        assert_eq!(regex.split(text, &|_| true).unwrap(), expected, "{pattern} on {text:?}");
    }
}

#[test]
fn replacements_are_javas() {
    let replace = |pattern: &str, text: &str, replacement: &str| {
        let regex = JavaRegex::new(pattern, Flags::default()).unwrap();
        Replacement::parse(replacement, &regex)
            .map(|replacement| regex.replace_all(text, &replacement, 1000, &|_| true).unwrap())
            .map_err(|error| error.to_string())
    };
    let cases = [
        ("(a)(b)?", "ab a", "[$1$2]", "[ab] [a]"),
        ("a", "aXa", r"\$\\$0", r"$\aX$\a"),
        ("(?<year>\\d+)-(\\d+)", "2021-05", "$2/${year}", "05/2021"),
        ("(a)", "a", "$12", "a2"),
        ("(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)(l)", "abcdefghijkl", "$12", "l"),
        ("", "ab", "-", "-a-b-"),
        ("x", "ab", "", "ab"),
    ];
    for (pattern, text, replacement, expected) in cases {
        assert_eq!(
            replace(pattern, text, replacement).unwrap(),
            expected,
            "{pattern} {replacement}"
        );
    }
    for replacement in ["$2", "$", "$a", "\\", "${none}", "${a"] {
        assert!(replace("(a)", "a", replacement).is_err(), "{replacement}");
    }
}

#[test]
fn what_is_not_supported_is_refused() {
    let deep = "(".repeat(10_000);
    for pattern in [
        "(",
        "[a",
        r"\",
        r"\q",
        r"\X",
        r"\p{InGreek}",
        r"\p{",
        "a**",
        "(?q)a",
        r"\u12",
        "((a{1000}){1000}){1000}",
        &deep,
    ] {
        assert!(JavaRegex::new(pattern, Flags::default()).is_err(), "{pattern}");
    }
}

#[test]
fn matching_is_bounded() {
    let regex = JavaRegex::new(r"(a|a)*(b)\2c", Flags::default()).unwrap();
    assert!(regex.is_match(&"a".repeat(80)).is_err());
    let linear = JavaRegex::whole(r"(a|a)*c", Flags::default()).unwrap();
    assert!(!linear.is_match(&"a".repeat(10_000)).unwrap());
    let grows = JavaRegex::new("a", Flags::default()).unwrap();
    let replacement = Replacement::parse(&"x".repeat(100), &grows).unwrap();
    assert!(
        grows
            .replace_all(&"a".repeat(100), &replacement, 1000, &|_| true)
            .is_err()
    );
}
