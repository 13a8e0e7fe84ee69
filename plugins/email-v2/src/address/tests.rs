use proptest::prelude::*;

use super::*;
use crate::segments::Segment;

fn addresses(text: &str) -> Vec<String> {
    AddressList::parse(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .mailboxes()
        .map(|mailbox| mailbox.address.to_string())
        .collect()
}

fn names(text: &str) -> Vec<Option<String>> {
    AddressList::parse(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .mailboxes()
        .map(|mailbox| mailbox.name.clone())
        .collect()
}

fn refusal(text: &str) -> String {
    AddressList::parse(text).expect_err(text).to_string()
}

#[test]
fn lists_are_read_as_people_write_them() {
    assert_eq!(addresses(""), Vec::<String>::new());
    assert_eq!(addresses(" , ;, "), Vec::<String>::new());
    assert_eq!(addresses("a@b.example"), ["a@b.example"]);
    assert_eq!(
        addresses("a@b.example,c@d.example; e@f.example,"),
        ["a@b.example", "c@d.example", "e@f.example"]
    );
    assert_eq!(
        addresses("<a@b.example>, Ana <c@d.example>"),
        ["a@b.example", "c@d.example"]
    );
}

#[test]
fn names_may_hold_anything_within_quotes() {
    assert_eq!(
        names(r#""Doe, John" <j@x.example>, "a \"b\" \\c" <k@x.example>"#),
        [Some("Doe, John".to_owned()), Some(r#"a "b" \c"#.to_owned()),]
    );
    assert_eq!(
        names("Acme Inc. [Support] <a@x.example>"),
        [Some("Acme Inc. [Support]".to_owned())]
    );
    assert_eq!(
        names("José  da\tSilva 🚀 <a@x.example>"),
        [Some("José da Silva 🚀".to_owned())]
    );
    assert_eq!(names(r#""" <a@x.example>"#), [None]);
}

#[test]
fn comments_are_skipped_and_the_old_way_of_names_is_known() {
    assert_eq!(
        addresses("a(x)@(y)b.example (z), (w) <c@d.example>"),
        ["a@b.example", "c@d.example"]
    );
    assert_eq!(
        names("a@b.example (Ana (the first) \\(sic\\))"),
        [Some("Ana the first (sic)".to_owned())]
    );
}

#[test]
fn groups_keep_their_members() {
    let list = AddressList::parse("Team: a@x.example, \"B, C\" <b@x.example>;, c@x.example, Nobody:;").expect("groups");
    assert_eq!(list.entries().len(), 3);
    assert_eq!(list.mailboxes().count(), 3);
    assert_eq!(
        list.to_string(),
        "Team: a@x.example, \"B, C\" <b@x.example>;, c@x.example, Nobody:;"
    );
}

#[test]
fn domains_go_in_their_ascii_form_and_without_case() {
    assert_eq!(
        addresses("A@Bücher.Example, a@[192.0.2.1], a@[IPv6:2001:db8::1], root@localhost"),
        [
            "A@xn--bcher-kva.example",
            "a@[192.0.2.1]",
            "a@[IPv6:2001:db8::1]",
            "root@localhost",
        ]
    );
}

#[test]
fn only_the_local_part_may_lie_beyond_ascii() {
    let mailbox = Mailbox::parse("josé@bücher.example").expect("an internationalised address");
    assert!(mailbox.address.needs_utf8());
    assert_eq!(mailbox.address.as_str(), "josé@xn--bcher-kva.example");
    assert!(
        !Mailbox::parse("jose@bücher.example")
            .expect("an internationalised domain")
            .address
            .needs_utf8()
    );
}

#[test]
fn local_parts_are_quoted_only_where_they_have_to_be() {
    assert_eq!(
        addresses(r#""john"@x.example, "a b"@x.example, <"a\"b>"@x.example>"#),
        ["john@x.example", r#""a b"@x.example"#, r#""a\"b>"@x.example"#,]
    );
}

#[test]
fn an_escaped_tab_is_a_blank_as_a_plain_one_is() {
    assert_eq!(
        addresses("\"a\\\tb\"@x.example, \"a\tb\"@x.example"),
        [r#""a b"@x.example"#; 2]
    );
}

#[test]
fn a_separator_of_lines_is_none_in_quotes_either() {
    for text in ["\"a\u{2028}\"@x.example", "\"a\\\u{2029}\"@x.example"] {
        let refusal = refusal(text);
        assert!(
            refusal.contains("holds a line break") && refusal.contains("\\u{202"),
            "{refusal}"
        );
    }
}

#[test]
fn what_is_no_address_is_refused_and_shown() {
    for text in [
        "a",
        "a@",
        "@b.example",
        "a@b@c.example",
        "a b@c.example",
        "a@c..example",
        "a@-c.example",
        "a@c.example-",
        "a@c.example.",
        "a@[300.1.1.1]",
        "a@[",
        "a@exa mple.org",
        "Ana <a@b.example",
        "Ana a@b.example>",
        "Ana <a@b.example> x",
        "<>",
        "Ana <>",
        "\"a@b.example",
        "(a@b.example",
        "Team: a@b.example",
        "A: B: a@b.example;;",
        "Doe, John <j@x.example>",
        "a@b.example c@d.example",
        "a\\@b.example",
        "a@b.example\u{0}",
        "a@b.example\r\nBcc: x@y.example",
        "Ana\n<a@b.example>",
        "a@b.example,\nc@d.example",
        "a@b.example\r\n \r\nBcc: x@y.example",
        "a@b_c.example",
        "<a@b.example",
        "a@!.example",
        "a@b\u{202e}.example",
    ] {
        assert!(!refusal(text).is_empty());
    }
    assert!(refusal("a@b.example, x y").starts_with("`x y` "));
    assert!(refusal("Ana\r\nBcc: x <a@b.example>").contains("line break"));
    assert!(!refusal("a@b.example, Ana\r\nBcc: x <a@b.example>").contains(['\r', '\n']));
    assert!(Mailbox::new("Ana\r\nBcc: x@y.example", "a@b.example").is_err());
    assert!(Mailbox::new("Ana", "a@b.example, c@d.example").is_err());
    assert!(Address::parse("Ana <a@b.example>").is_err());
}

#[test]
fn an_address_is_as_long_as_a_command_has_room_for() {
    let token = format!("reply+{}@x.example", "0f".repeat(60));
    assert_eq!(addresses(&token), [token.as_str()]);
    let whole = |length: usize| format!("{}@x.example", "l".repeat(length - "@x.example".len()));
    assert!(Address::parse(&whole(498)).is_ok());
    assert!(Address::parse(&whole(499)).is_err());
    let label = |length| format!("a@{}.example", "d".repeat(length));
    assert!(Address::parse(&label(63)).is_ok() && Address::parse(&label(64)).is_err());
}

#[test]
fn dots_where_no_atom_has_them_are_quoted_and_noted() {
    let mut notes = Vec::new();
    let text =
        "taro.@mobile.example, <.taro@mobile.example>, ta..ro@mobile.example, \"taro.\"@mobile.example, a.b@c.example";
    let list = AddressList::read(&text.into(), &mut notes).expect("a list");
    let found: Vec<&str> = list.mailboxes().map(|mailbox| mailbox.address.as_str()).collect();
    let expected = [
        "\"taro.\"@mobile.example",
        "\".taro\"@mobile.example",
        "\"ta..ro\"@mobile.example",
        "\"taro.\"@mobile.example",
        "a.b@c.example",
    ];
    assert_eq!(found, expected);
    assert_eq!(notes.len(), 3, "{notes:?}");
}

#[test]
fn what_surrounds_an_address_is_taken_off() {
    for text in [
        "ana@x.example\n",
        "\r\n\tana@x.example \r\n",
        "\u{feff}ana@x.example",
        "ana@x.example\u{200b}",
        "\u{a0}\u{202a}ana@x.example\u{202c}\u{3000}",
        "<\u{200e}ana@x.example\u{feff}>",
        ",\u{feff} ana@x.example\u{200b} ,",
    ] {
        assert_eq!(addresses(text), ["ana@x.example"], "{text:?}");
    }
    assert_eq!(
        addresses("ana@x.example,\r\n bob@x.example,\n\tcid@x.example"),
        ["ana@x.example", "bob@x.example", "cid@x.example"]
    );
    assert_eq!(names("Ana\r\n Silva <a@x.example>"), [Some("Ana Silva".to_owned())]);
}

#[test]
fn what_nobody_sees_is_refused_within_an_address_by_its_name() {
    for (text, name) in [
        ("an\u{200b}a@x.example", "U+200B"),
        ("ana\u{feff}@x.example", "U+FEFF"),
        ("ana@x\u{200b}.example", "U+200B"),
        ("ana@x.exam\u{ad}ple", "U+00AD"),
        ("Ana <ana\u{202e}x@x.example>", "U+202E"),
        ("\"an\u{2066}a\"@x.example", "U+2066"),
        ("a\u{fdd0}@x.example", "U+FDD0"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.contains(name), "{refusal}");
        assert!(refusal.is_ascii(), "{refusal}");
    }
    assert_eq!(names("👩\u{200d}🚀 <a@x.example>"), [Some("👩\u{200d}🚀".to_owned())]);
    assert_eq!(addresses("ന\u{200d}@x.example"), ["ന\u{200d}@x.example"]);
}

#[test]
fn a_comment_that_is_lost_is_noted() {
    let notes = |text: &str| {
        let mut notes = Vec::new();
        AddressList::read(&text.into(), &mut notes).expect("a list");
        notes
    };
    let comment = |text: &str| Note::Comment(text.to_owned());
    assert_eq!(notes("Support (Billing) <a@x.example>"), [comment("Billing")]);
    assert_eq!(
        notes("a(one)@x.example (Ana), <b@x.example> (two)"),
        [comment("one"), comment("two")]
    );
    assert_eq!(notes("a@x.example (Ana), \"Support (Billing)\" <b@x.example>"), []);
}

/// The pieces of a text: what stands in braces is a value.
fn with_values(text: &str) -> Segments {
    text.split(['{', '}'])
        .enumerate()
        .map(|(i, piece)| match i % 2 {
            0 => Segment::Text(piece.to_owned()),
            _ => Segment::Value(piece.into()),
        })
        .collect()
}

#[test]
fn a_value_is_the_place_that_it_stands_in() {
    for (text, expected) in [
        ("{Bob} <{bob@x.example}>", "Bob <bob@x.example>"),
        (
            "{Eve <eve@evil.example>, Bob} <{bob@x.example}>",
            "\"Eve <eve@evil.example>, Bob\" <bob@x.example>",
        ),
        (
            "{Bob\" <eve@evil.example>, \"} <{bob@x.example}>",
            "\"Bob\\\" <eve@evil.example>, \\\"\" <bob@x.example>",
        ),
        (
            "\"{Bob\" <eve@evil.example>, \"}\" <bob@x.example>",
            "\"Bob\\\" <eve@evil.example>, \\\"\" <bob@x.example>",
        ),
        (
            "\"\\{\" <eve@evil.example>, \"}\" <bob@x.example>",
            "\"\\\" <eve@evil.example>, \\\"\" <bob@x.example>",
        ),
        (
            "{Support (Billing)} <bob@x.example>",
            "\"Support (Billing)\" <bob@x.example>",
        ),
        (
            "{Team: eve@evil.example;} <bob@x.example>",
            "\"Team: eve@evil.example;\" <bob@x.example>",
        ),
        (
            "{Team: eve@evil.example;}: {bob@x.example};",
            "\"Team: eve@evil.example;\": bob@x.example;",
        ),
        (
            "{=?utf-8?q?Eve_=3Ceve=40evil.example=3E?=} <bob@x.example>",
            "=?utf-8?q?Eve_=3Ceve=40evil.example=3E?= <bob@x.example>",
        ),
        ("{Ana} {} {Silva} <bob@x.example>", "Ana Silva <bob@x.example>"),
        ("{} <bob@x.example>", "bob@x.example"),
        ("Dr{. Ana} <bob@x.example>", "Dr. Ana <bob@x.example>"),
        (
            "bob@x.example ({Eve) <eve@evil.example>})",
            "\"Eve) <eve@evil.example>\" <bob@x.example>",
        ),
        ("sales+{tag}@x.example", "sales+tag@x.example"),
        ("Sales <sales+{tag\n}@{ x.example }>", "Sales <sales+tag@x.example>"),
        ("<{bob}@{x}.example>", "bob@x.example"),
        ("{bob@}x.example", "bob@x.example"),
        (
            "{Bob <bob@x.example>}, c@x.example, {}, { }",
            "Bob <bob@x.example>, c@x.example",
        ),
        ("Team: {Bob <bob@x.example>}, {}; ", "Team: Bob <bob@x.example>;"),
        ("\"{a b}\"@x.example", "\"a b\"@x.example"),
    ] {
        let list = AddressList::read(&with_values(text), &mut Vec::new());
        let list = list.unwrap_or_else(|error| panic!("{text}: {error}"));
        // Not as text: what is printed for `=?...?=` has no quotes.
        let expected = AddressList::parse(expected).expect(expected);
        assert_eq!(list, expected, "{text}");
    }
}

#[test]
fn a_value_that_is_more_than_its_place_is_refused() {
    for text in [
        "Bob <{bob@x.example, eve@evil.example}>",
        "Bob <{bob@x.example> , <eve@evil.example}>",
        "Bob <{Eve <eve@evil.example>}>",
        "Bob <{}>",
        "Bob <{(x) eve@evil.example,}@x.example>",
        "{eve@evil.example, x}@x.example",
        "{eve@evil.example (}@x.example",
        "<{eve@evil.example> (}@x.example>",
        "{\"eve@evil.example\"}@x.example",
        "bob@{x.example, eve@evil.example}",
        "bob@{x.example>, <eve@evil.example}",
        "bob@{x.example (}",
        "{bob@x.example, eve@evil.example}, c@x.example",
        "{bob@x.example; eve@evil.example}, c@x.example",
        "c@x.example, {Team: bob@x.example, eve@evil.example;}",
        "Team: {bob@x.example; eve@evil.example};",
        "{bob@x.example, eve}@evil.example",
        "bob{@x.example, eve@evil.example}",
        "{Bob\nBcc: eve@evil.example} <bob@x.example>",
        "{Bob\u{2028}Eve} <bob@x.example>",
        "{Bob} {<bob@x.example>}",
        "{Bob} <bob@x.example> {, eve@evil.example}",
        "bob@x.example{, eve@evil.example}",
        "bob@[{192.0.2.1], eve@[192.0.2.2}]",
        "\u{fdd0} <{eve@evil.example}>",
    ] {
        let list = AddressList::read(&with_values(text), &mut Vec::new());
        assert!(list.is_err(), "{text}: {list:?}");
    }
    let several = AddressList::read(&with_values("a@x.example, {b@x.example, c@x.example}"), &mut Vec::new());
    assert!(
        several
            .expect_err("two in one place")
            .to_string()
            .contains("whole parameter")
    );
}

#[test]
fn comments_within_comments_have_an_end() {
    assert!(AddressList::parse(&format!("a@b.example {}{}", "(".repeat(16), ")".repeat(16))).is_ok());
    assert!(AddressList::parse(&"(".repeat(100_000)).is_err());
}

/// Texts that look like address lists more often than not.
fn almost_a_list() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("a@b.example".to_owned()),
        Just("<c@d.example>".to_owned()),
        Just("\"x, y\"".to_owned()),
        Just("Team:".to_owned()),
        "[ ,;:<>@\"().\\\\]",
        "\\PC{1,3}",
        "[a-z ]{1,4}",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// What somebody would write to be more than a name or an address.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("eve@evil.example".to_owned()),
        Just("<eve@evil.example>".to_owned()),
        Just("\r\n Bcc:".to_owned()),
        Just("=?utf-8?q?=3Ceve=40evil.example=3E?=".to_owned()),
        "[ ,;:<>@\"().\\\\\\[\\]\r\n\u{fdd0}\u{200b}]",
        "\\PC{1,3}",
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// Texts with two places, and how many mailboxes their own text has. No address of them is a value's whole.
const TEXTS: &[(&str, usize)] = &[
    ("{} <bob@x.example>", 1),
    ("\"{}\" <bob@x.example>, \"Mr {}\" <cid@x.example>", 2),
    ("bob@x.example ({})", 1),
    ("{}: bob@x.example, {} <cid@x.example>;", 2),
    ("{}@x.example", 1),
    ("Bob <{}@x.example>, {} <cid@x.example>", 2),
    ("bob@{}.x.example", 1),
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn what_is_printed_is_read_as_the_same_list(text in almost_a_list()) {
        if let Ok(list) = AddressList::parse(&text) {
            let printed = list.to_string();
            prop_assert_eq!(AddressList::parse(&printed), Ok(list), "{}", printed);
        }
    }

    #[test]
    fn no_value_adds_a_recipient_or_changes_one(which in 0..TEXTS.len(), first in hostile(), second in hostile()) {
        let (text, count) = TEXTS[which];
        let mut values = [first, second].into_iter();
        let mut pieces = Vec::new();
        for (i, own) in text.split("{}").enumerate() {
            if i > 0 {
                pieces.push(Segment::Value(values.next().unwrap_or_default().into()));
            }
            pieces.push(Segment::Text(own.to_owned()));
        }
        if let Ok(list) = AddressList::read(&pieces.into_iter().collect(), &mut Vec::new()) {
            prop_assert_eq!(list.mailboxes().count(), count);
            prop_assert!(list.mailboxes().all(|mailbox| mailbox.address.domain().ends_with("x.example")));
            // And so it is for who reads it again.
            let again = AddressList::parse(&list.to_string());
            prop_assert_eq!(again, Ok(list));
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}|.{0,40}") {
        let _ = AddressList::parse(&text);
    }
}
