//! Replies as people paste them, and text that no reply is in.

use pipepost_replies::{ParseErrorKind, PastedReply, Stage};

fn parts(text: &str) -> (Option<u16>, Option<(u8, u16, u16)>, String) {
    let reply = PastedReply::parse(text).expect(text);
    (reply.code(), reply.enhanced(), reply.text().to_owned())
}

fn row(text: &str) -> Option<&'static str> {
    PastedReply::parse(text)
        .expect(text)
        .explain(None)
        .row
        .map(|row| row.id)
}

const BAD_CREDENTIALS: &str = "Username and Password not accepted. For more information, go to";

#[test]
fn a_reply_of_several_lines_loses_its_codes_and_keeps_its_lines() {
    for end in ["\r\n", "\n", "\r\r\n", "\\r\\n"] {
        let text = format!(
            "535-5.7.8 {BAD_CREDENTIALS}{end}535 5.7.8  https://support.google.com/mail/?p=BadCredentials n8 - gsmtp{end}"
        );
        let (code, enhanced, text) = parts(&text);
        assert_eq!((code, enhanced), (Some(535), Some((5, 7, 8))));
        assert_eq!(
            text,
            format!("{BAD_CREDENTIALS}\nhttps://support.google.com/mail/?p=BadCredentials n8 - gsmtp"),
            "{end:?}"
        );
    }
}

#[test]
fn a_reply_without_enhanced_codes_is_read_too() {
    let (code, enhanced, text) =
        parts("550-The from address does not match\r\n550-a verified Sender Identity.\r\n550 Bye");
    assert_eq!((code, enhanced), (Some(550), None));
    assert_eq!(
        text,
        "The from address does not match\na verified Sender Identity.\nBye"
    );
    assert_eq!(parts("250").0, Some(250));
}

#[test]
fn what_programs_put_around_a_reply_is_left_out() {
    for text in [
        "535-5.7.8 Username and Password not accepted",
        "  \"535 5.7.8 Username and Password not accepted\"  ",
        "Error: Invalid login: 535-5.7.8 Username and Password not accepted. 535 5.7.8 n8 - gsmtp",
        "smtp;535 5.7.8 Username and Password not accepted",
        "SMTP; 535 5.7.8 Username and Password not accepted",
        "smtplib.SMTPAuthenticationError: (535, b'5.7.8 Username and Password not accepted. For more\\n5.7.8 n8 - gsmtp')",
        "javax.mail.AuthenticationFailedException: 535-5.7.8 Username and Password not accepted. Learn more at",
        "2020-04-20 13:29:43 SERVER -> CLIENT: 535 5.7.8 Username and Password not accepted.",
        "S: 535-5.7.8 Username and Password\nS: 535 5.7.8 not accepted",
        "Net::SMTPAuthenticationError (535-5.7.8 Username and Password not accepted)",
        "[ERROR] 127.0.0.1:250 status=535 5.7.8 Username and Password not accepted",
    ] {
        let reply = PastedReply::parse(text).expect(text);
        assert_eq!((reply.code(), reply.enhanced()), (Some(535), Some((5, 7, 8))), "{text}");
        assert!(
            reply.text().starts_with("Username and Password"),
            "{text}: {}",
            reply.text()
        );
        assert_eq!(row(text), Some("gmail-bad-credentials"), "{text}");
    }
}

#[test]
fn a_delivery_log_tells_the_place_too() {
    let text = "to=<bob@example.com>, relay=gmail-smtp-in.l.google.com[142.250.1.26]:25, dsn=5.1.1, status=bounced (host \
                gmail-smtp-in.l.google.com[142.250.1.26] said: 550-5.1.1 The email account that you tried to reach does not \
                exist. 550-5.1.1 https://support.google.com/mail/?p=NoSuchUser 550 5.1.1 o4 - gsmtp (in reply to RCPT TO \
                command))";
    let reply = PastedReply::parse(text).expect("a reply");
    assert_eq!(reply.stage(), Some(Stage::Rcpt));
    assert!(
        reply.text().ends_with("o4 - gsmtp (in reply to RCPT TO command)"),
        "{}",
        reply.text()
    );
    assert_eq!(row(text), Some("gmail-recipient-unknown"));
}

#[test]
fn a_text_that_has_lost_its_code_is_explained_by_the_rest() {
    let text = "5.7.139 Authentication unsuccessful, basic authentication is disabled. [PN0.INDPRD01.PROD.OUTLOOK.COM]";
    assert_eq!(parts(text).0, None);
    assert_eq!(row(text), Some("outlook-basic-auth-off"));
    let got = PastedReply::parse("4.2.2 Mailbox full").expect("a reply").explain(None);
    assert_eq!(got.kind.as_str(), "transient");
}

#[test]
fn an_agreement_is_no_failure() {
    for (text, failed) in [
        ("250 2.0.0 OK", false),
        ("354 Go ahead", false),
        ("2.1.5 OK", false),
        ("450 later", true),
        ("5.1.1 no", true),
    ] {
        assert_eq!(PastedReply::parse(text).expect(text).is_failure(), failed, "{text}");
    }
}

#[test]
fn numbers_that_are_no_codes_are_passed_over() {
    assert_eq!(
        parts("[254] at 10.0.550.1 port 465 line 739: 421 4.7.0 Try again later").0,
        Some(421)
    );
    assert_eq!(parts("took 250ms, v5.5.0: 451 later").0, Some(451));
    for text in [
        "port 587",
        "2026-11-21",
        "10.250.250.250",
        "5500",
        "a550",
        "550a",
        "５５０",
    ] {
        assert_eq!(
            PastedReply::parse(text).map_err(|error| error.kind()),
            Err(ParseErrorKind::NoCode),
            "{text}"
        );
    }
}

#[test]
fn nothing_to_explain_is_said_in_a_sentence() {
    for (text, kind) in [
        ("", ParseErrorKind::Empty),
        (" \r\n ", ParseErrorKind::Empty),
        ("hello", ParseErrorKind::NoCode),
    ] {
        let error = PastedReply::parse(text).expect_err(text);
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().ends_with("'."), "{error}");
    }
}

#[test]
fn a_terminal_obeys_nothing_of_a_pasted_reply() {
    let (_, _, text) = parts("550 5.1.1 \u{1b}[31mred\u{7}\0 text");
    assert_eq!(text, "[31mred text");
}
