use proptest::prelude::*;

use super::*;

fn one(bytes: &[u8]) -> Result<Option<Reply>, ReplyErrorKind> {
    let mut parser = ReplyParser::new();
    parser.push(bytes);
    parser.next_reply().map_err(ReplyError::kind)
}

fn whole(bytes: &[u8]) -> Reply {
    one(bytes).unwrap().unwrap()
}

#[test]
fn a_reply_of_one_line() {
    let reply = whole(b"250 2.1.5 OK ab12 - gsmtp\r\n");
    assert_eq!(reply.code(), 250);
    assert_eq!(
        reply.enhanced(),
        Some(EnhancedCode {
            class: 2,
            subject: 1,
            detail: 5
        })
    );
    assert_eq!(reply.text(), "OK ab12 - gsmtp");
    assert_eq!(reply.to_string(), "250 2.1.5 OK ab12 - gsmtp");
    assert_eq!(reply.verbatim(), "250 2.1.5 OK ab12 - gsmtp");
}

#[test]
fn the_enhanced_code_is_stripped_from_each_line() {
    let reply = whole(b"550-5.1.1 The account does\r\n550-5.1.1 not exist.\r\n550 5.1.1  More at x - gsmtp\r\n");
    assert_eq!(reply.text(), "The account does not exist. More at x - gsmtp");
    assert_eq!(
        reply.verbatim(),
        "550-5.1.1 The account does\n550-5.1.1 not exist.\n550 5.1.1  More at x - gsmtp"
    );
}

#[test]
fn an_enhanced_code_that_contradicts_the_code_is_text() {
    let reply = whole(b"250 5.1.1 odd\r\n");
    assert_eq!(reply.enhanced(), None);
    assert_eq!(reply.text(), "5.1.1 odd");
    for text in [
        "2.1 x",
        "2.1.1.1 x",
        "2.1.1234 x",
        "2..1 x",
        "22.1.1 x",
        "3.1.1 x",
        "2.1.1x y",
    ] {
        assert_eq!(whole(format!("250 {text}\r\n").as_bytes()).enhanced(), None, "{text}");
    }
}

#[test]
fn a_code_alone_is_a_reply() {
    assert_eq!(whole(b"354\r\n").text(), "");
    assert_eq!(
        whole(b"250 2.0.0\r\n").enhanced(),
        Some(EnhancedCode {
            class: 2,
            subject: 0,
            detail: 0
        })
    );
    assert_eq!(whole(b"250-\r\n250\r\n").lines().count(), 2);
}

#[test]
fn only_crlf_ends_a_line() {
    assert_eq!(one(b"250 ok\n"), Err(ReplyErrorKind::BareLineEnd));
    assert_eq!(one(b"250 a\rb\r\n"), Err(ReplyErrorKind::BareLineEnd));
    assert_eq!(one(b"250 a\n250 b\r\n"), Err(ReplyErrorKind::BareLineEnd));
}

#[test]
fn what_is_not_a_reply_is_refused() {
    for bytes in [
        &b"hello\r\n"[..],
        b"25 ok\r\n",
        b"250_ok\r\n",
        b"150 x\r\n",
        b"650 x\r\n",
        b"\r\n",
        b"25x ok\r\n",
    ] {
        assert_eq!(one(bytes), Err(ReplyErrorKind::Malformed), "{bytes:?}");
    }
    assert_eq!(
        one(b"x"),
        Err(ReplyErrorKind::Malformed),
        "without waiting for the line end"
    );
    assert_eq!(one(b"250-a\r\n251 b\r\n"), Err(ReplyErrorKind::MixedCodes));
}

#[test]
fn each_bound_obeyed_and_violated() {
    let line = |n: usize| [b"250 ".to_vec(), vec![b'x'; n - 4]].concat();
    let longest = line(ReplyParser::MAX_LINE);
    assert!(one(&[&longest[..], b"\r\n"].concat()).unwrap().is_some());
    assert_eq!(one(&longest), Ok(None));
    assert_eq!(
        one(&line(ReplyParser::MAX_LINE + 2)),
        Err(ReplyErrorKind::LineTooLong),
        "before the newline"
    );
    assert_eq!(
        one(&[&line(ReplyParser::MAX_LINE + 1)[..], b"\r\n"].concat()),
        Err(ReplyErrorKind::LineTooLong),
        "with the newline"
    );

    let lines = |n: usize| ["250-x\r\n".repeat(n - 1), "250 x\r\n".into()].concat();
    assert!(one(lines(ReplyParser::MAX_LINES).as_bytes()).unwrap().is_some());
    assert_eq!(
        one(lines(ReplyParser::MAX_LINES + 1).as_bytes()),
        Err(ReplyErrorKind::TooManyLines)
    );

    let long = format!("250-{}\r\n", "x".repeat(1018));
    assert!(
        one([long.repeat(63), "250 x\r\n".into()].concat().as_bytes())
            .unwrap()
            .is_some()
    );
    assert_eq!(one(long.repeat(65).as_bytes()), Err(ReplyErrorKind::TooLong));
}

#[test]
fn an_error_stays() {
    let mut parser = ReplyParser::new();
    parser.push(b"oops\r\n");
    assert!(parser.next_reply().is_err());
    parser.push(b"250 ok\r\n");
    assert!(parser.next_reply().is_err());
}

#[test]
fn control_characters_do_not_survive() {
    assert_eq!(whole(b"250 a\x1b[2Jb\tc\xff\r\n").text(), "a?[2Jb c?");
}

#[test]
fn pasted_replies() {
    let reply = parse_reply("  535-5.7.8 Username and Password not accepted.\n535 5.7.8  https://x - gsmtp").unwrap();
    assert_eq!(reply.code(), 535);
    assert_eq!(reply.text(), "Username and Password not accepted. https://x - gsmtp");
    for text in ["", "hello", "250-unfinished", "250 a\n250 b", "250-a\n550 b"] {
        assert!(parse_reply(text).is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_input_panics(bytes: Vec<u8>, text: String) {
        let _ = one(&bytes);
        let _ = parse_reply(&text);
    }

    #[test]
    fn pieces_do_not_matter(
        input in "((250|354|550)[- ](2\\.1\\.0 )?[a-z \r]{0,5}\r?\n){0,8}",
        cuts in prop::collection::vec(0usize..200, 0..8),
    ) {
        let take = |parser: &mut ReplyParser, out: &mut Vec<_>| loop {
            match parser.next_reply() {
                Ok(Some(reply)) => out.push(Ok(reply)),
                Ok(None) => break,
                Err(error) => { if out.last() != Some(&Err(error)) { out.push(Err(error)) }; break }
            }
        };
        let (mut parser, mut at_once) = (ReplyParser::new(), Vec::new());
        parser.push(input.as_bytes());
        take(&mut parser, &mut at_once);

        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
        cuts.sort_unstable();
        let (mut parser, mut in_pieces, mut from) = (ReplyParser::new(), Vec::new(), 0);
        for to in cuts.into_iter().chain([input.len()]) {
            parser.push(&input.as_bytes()[from..to]);
            take(&mut parser, &mut in_pieces);
            from = to;
        }
        prop_assert_eq!(at_once, in_pieces);
    }
}
