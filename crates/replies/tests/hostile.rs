//! Whatever a server or a person hands over: no panic, bounded work, and nothing of it in the explanation.

use pipepost_replies::{Explanation, FailureKind, PastedReply, Provider, Stage, explain, explain_for};
use proptest::prelude::*;

fn check(got: &Explanation) {
    for sentence in [&got.cause, &got.cure] {
        assert!(
            sentence.ends_with('.') && !sentence.chars().any(char::is_control),
            "{sentence:?}"
        );
    }
    assert_eq!(got.classes.is_empty(), got.kind == FailureKind::Uncertain);
    if let Some(link) = &got.link {
        assert!(link.starts_with("https://") && link.len() <= 2048, "{link:?}");
        assert!(
            link.bytes()
                .all(|b| b.is_ascii_graphic() && !b"<>\"`\\^{|}".contains(&b)),
            "{link:?}"
        );
        let host = link["https://".len()..]
            .split(['/', '?', '#'])
            .next()
            .unwrap_or_default();
        assert!(!host.contains('@'), "{link:?}");
    }
}

fn stages() -> impl Strategy<Value = Option<Stage>> {
    use Stage::{Auth, Content, Data, Ehlo, Greeting, Mail, Other, Rcpt, StartTls};
    prop::option::of(prop::sample::select(vec![
        Greeting, Ehlo, StartTls, Auth, Mail, Rcpt, Data, Content, Other,
    ]))
}

/// Any text, made of what replies are made of and of what they should not be made of.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<https://accounts.google.com/signin/continue?".to_owned()),
        Just("https://".to_owned()),
        Just("535-5.7.8 ".to_owned()),
        Just("(535, b'".to_owned()),
        Just("\\r\\n".to_owned()),
        Just("\r\n".to_owned()),
        Just(" - gsmtp".to_owned()),
        Just("Too many login attempts".to_owned()),
        Just("\u{1b}[2J\0\u{202e}".to_owned()),
        "[2-5][0-9]{2}[- ]",
        "[245]\\.[0-9]{1,4}\\.[0-9]{1,4}",
        ".{0,12}",
        "[<>@/?#:'\"()-]{0,6}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_reply_is_explained(
        code: u16,
        enhanced: Option<(u8, u16, u16)>,
        text in texts(),
        stage in stages(),
    ) {
        check(&explain(code, enhanced, &text, stage));
        check(&explain_for(Provider::Gmail, code, enhanced, &text, stage));
    }

    #[test]
    fn any_likely_reply_is_explained(
        code in 400u16..600,
        enhanced in prop::option::of((4u8..6, 0u16..9, 0u16..60)),
        text in texts(),
        stage in stages(),
    ) {
        check(&explain(code, enhanced, &text, stage));
    }

    #[test]
    fn any_text_may_be_pasted(text in prop_oneof![texts(), ".{0,200}".boxed()]) {
        if let Ok(reply) = PastedReply::parse(&text) {
            prop_assert!(reply.code().is_some() || reply.enhanced().is_some());
            prop_assert!(!reply.text().chars().any(|c| c.is_control() && c != '\n'));
            check(&reply.explain(None));
        }
    }

    #[test]
    fn a_reply_survives_being_pasted(
        code in 400u16..556,
        detail in (0u16..8, 0u16..100),
        words in prop::collection::vec("[a-z]{1,9}", 1..12),
    ) {
        prop_assume!(code / 10 % 10 <= 5);
        let class = u8::try_from(code / 100).expect("a digit");
        let text = format!("{code} {class}.{}.{} {}\r\n", detail.0, detail.1, words.join(" "));
        let reply = PastedReply::parse(&text).expect("a reply");
        prop_assert_eq!(reply.code(), Some(code));
        prop_assert_eq!(reply.enhanced(), Some((class, detail.0, detail.1)));
        prop_assert_eq!(reply.text(), words.join(" "));
    }
}

#[test]
fn a_huge_text_is_looked_at_up_to_a_bound() {
    for unit in [
        "550 ",
        "<https://a.b/",
        "5.7.8 ",
        "é",
        "\u{1b}[2J",
        "(((",
        "https://",
        "'\" ",
        "4.4.4.4",
        "\\r\\n550-",
    ] {
        let text = format!("535 5.7.8 {}", unit.repeat(4 * 1024 * 1024 / unit.len()));
        check(&explain(535, Some((5, 7, 8)), &text, Some(Stage::Auth)));
        let reply = PastedReply::parse(&text).expect("a reply");
        assert!(reply.text().len() <= 64 * 1024);
        check(&reply.explain(None));
    }
}
