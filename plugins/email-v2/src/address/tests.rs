use proptest::prelude::*;

use super::*;

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
        "a..b@c.example",
        ".a@c.example",
        "a.@c.example",
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
        "Ana\n <a@b.example>",
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
fn lengths_are_those_that_servers_take() {
    let local = "l".repeat(64);
    assert!(Address::parse(&format!("{local}@x.example")).is_ok());
    assert!(Address::parse(&format!("{local}l@x.example")).is_err());
    let domain = format!("{}.{}.{}.example", "a".repeat(60), "b".repeat(60), "c".repeat(58));
    assert_eq!(format!("{local}@{domain}").len(), 254 - 1);
    assert!(Address::parse(&format!("{local}@{domain}")).is_ok());
    assert!(Address::parse(&format!("{local}@dd{domain}")).is_err());
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
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}|.{0,40}") {
        let _ = AddressList::parse(&text);
    }
}
