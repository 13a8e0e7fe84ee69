//! The dialogue as it should be.

use pipepost_inbox::{Direction, Event, Script, Security, Service, Settings, Signal, Transfer};

use crate::talk::Talk;

fn with_users() -> Settings {
    let settings = Settings {
        record_dialogue: true,
        ..Settings::default()
    };
    settings.credentials.set_password("ann@example.com", "secret-sesame");
    settings.credentials.add_token("ann@example.com", "ya29.secret");
    settings
}

/// `\0ann@example.com\0secret-sesame`
const PLAIN: &str = "AGFubkBleGFtcGxlLmNvbQBzZWNyZXQtc2VzYW1l";

#[test]
fn the_capabilities_are_gmails_before_and_after_tls() {
    let mut talk = Talk::new(with_users(), Script::new(), Security::StartTls);
    assert_eq!(
        talk.say("EHLO client.example\r\n"),
        "250-smtp.gmail.com at your service\r\n250-SIZE 35882577\r\n250-8BITMIME\r\n250-STARTTLS\r\n\
         250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 SMTPUTF8\r\n"
    );
    assert_eq!(talk.say("STARTTLS\r\n"), "220 2.0.0 Ready to start TLS\r\n");
    assert_eq!(talk.signals, [Signal::StartTls]);
    assert_eq!(talk.handshake(), "");
    assert_eq!(
        talk.say("EHLO client.example\r\n"),
        "250-smtp.gmail.com at your service\r\n250-SIZE 35882577\r\n250-8BITMIME\r\n\
         250-AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH\r\n\
         250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 SMTPUTF8\r\n"
    );
    talk.expect(&[("STARTTLS", "454 5.5.1 STARTTLS may not be repeated")]);
}

#[test]
fn what_is_learnt_before_tls_is_forgotten() {
    let mut talk = Talk::new(Settings::default(), Script::new(), Security::StartTls);
    talk.expect(&[("EHLO client.example", "250-"), ("STARTTLS", "220 ")]);
    talk.handshake();
    talk.expect(&[("MAIL FROM:<a@example.com>", "503 5.5.1 EHLO/HELO first.")]);
}

#[test]
fn commands_sent_ahead_of_the_handshake_end_the_connection() {
    let mut talk = Talk::new(Settings::default(), Script::new(), Security::StartTls);
    talk.say("EHLO client.example\r\n");
    let said = talk.say("STARTTLS\r\nMAIL FROM:<a@example.com>\r\n");
    assert!(
        said.starts_with("454 4.5.0 SMTP protocol violation, no commands allowed to pipeline after STARTTLS"),
        "{said}"
    );
    assert_eq!(talk.closed(), Some(false));
}

#[test]
fn tls_from_the_first_byte_says_nothing_before_it() {
    let mut talk = Talk::new(Settings::default(), Script::new(), Security::Implicit);
    assert!(talk.writes.is_empty());
    assert!(
        talk.handshake()
            .starts_with("220 smtp.gmail.com ESMTP pipepost-1-0 - gsmtp\r\n")
    );
    talk.expect(&[("EHLO client.example", "250-"), ("STARTTLS", "454 5.5.1")]);
}

#[test]
fn commands_out_of_order_are_refused_as_gmail_does() {
    let mut talk = Talk::new(with_users(), Script::new(), Security::StartTls);
    talk.expect(&[
        ("MAIL FROM:<a@example.com>", "503 5.5.1 EHLO/HELO first."),
        ("RCPT TO:<b@example.com>", "503 5.5.1 EHLO/HELO first."),
        ("AUTH PLAIN", "503 5.5.1 EHLO/HELO first."),
        ("EHLO client.example", "250-"),
        (
            "MAIL FROM:<a@example.com>",
            "530 5.7.0 Must issue a STARTTLS command first.",
        ),
        ("AUTH PLAIN", "530 5.7.0 Must issue a STARTTLS command first."),
        ("STARTTLS", "220 "),
    ]);
    talk.handshake();
    talk.expect(&[
        ("EHLO client.example", "250-"),
        ("MAIL FROM:<a@example.com>", "530-5.7.0 Authentication Required."),
        ("RCPT TO:<b@example.com>", "503 5.5.1 MAIL first."),
        ("DATA", "503 5.5.1 MAIL first."),
        ("AUTH CRAM-MD5", "504 5.7.4 Unrecognized Authentication Type."),
        ("AUTH PLAIN-CLIENTTOKEN", "504 5.7.4"),
        (&format!("AUTH PLAIN {PLAIN}"), "235 2.7.0 Accepted"),
        (
            &format!("AUTH PLAIN {PLAIN}"),
            "503 5.7.0 No identity changes permitted.",
        ),
        ("MAIL FROM:<a@example.com>", "250 2.1.0 OK pipepost-1-1 - gsmtp"),
        ("MAIL FROM:<a@example.com>", "503 5.5.1"),
        ("DATA", "503 5.5.1 RCPT first."),
        ("RSET", "250 2.1.5 Flushed"),
        ("RCPT TO:<b@example.com>", "503 5.5.1 MAIL first."),
        ("NOOP", "250 2.0.0 OK"),
        ("VRFY ann", "252 2.1.5"),
        ("EXPN staff", "502 5.5.1 Unimplemented"),
        ("NONSENSE", "502 5.5.1 Unrecognized command."),
        ("MAIL a@example.com", "555 5.5.2 Syntax error"),
        ("QUIT", "221 2.0.0 closing connection"),
    ]);
    assert_eq!(talk.closed(), Some(false));
}

#[test]
fn all_replies_but_the_seen_exceptions_bear_the_identifier() {
    let mut talk = Talk::plain();
    let lines = [
        "NOOP",
        "RSET",
        "FOO",
        "MAIL FROM:<a@b.example>",
        "HELP",
        "VRFY",
        "EHLO x",
        "MAIL FROM:<>",
        "RCPT TO:<x@y>",
        "DATA",
        ".",
        "QUIT",
    ];
    for line in lines {
        let said = talk.say(format!("{line}\r\n"));
        if line != "EHLO x" {
            assert!(said.ends_with(" - gsmtp\r\n"), "{line}: {said}");
        }
    }
}

#[test]
fn ehlo_names_are_checked() {
    for (name, reply) in [
        ("", "501 5.5.4 Empty"),
        ("a b", "501 5.5.4"),
        ("höst", "501 5.5.4"),
        ("-x", "501 5.5.4"),
    ] {
        let mut talk = Talk::plain();
        let said = talk.say(format!("EHLO {name}\r\n"));
        assert!(said.starts_with(reply), "{name}: {said}");
        assert_eq!(talk.closed(), Some(false));
    }
    for name in ["[127.0.0.1]", "[IPv6:::1]", "host.example", "localhost"] {
        assert!(
            Talk::plain().say(format!("EHLO {name}\r\n")).starts_with("250-"),
            "{name}"
        );
    }
}

#[test]
fn sign_in_with_prompts_and_with_an_initial_response() {
    let dialogues: [&[(&str, &str)]; 5] = [
        &[("AUTH PLAIN", "334 \r\n"), (PLAIN, "235 2.7.0 Accepted\r\n")],
        &[
            ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
            ("YW5uQGV4YW1wbGUuY29t", "334 UGFzc3dvcmQ6"),
            ("c2VjcmV0LXNlc2FtZQ==", "235 "),
        ],
        &[
            ("AUTH LOGIN YW5uQGV4YW1wbGUuY29t", "334 UGFzc3dvcmQ6"),
            ("c2VjcmV0LXNlc2FtZQ==", "235 "),
        ],
        // user=ann@example.com^Aauth=Bearer ya29.secret^A^A
        &[(
            "AUTH XOAUTH2 dXNlcj1hbm5AZXhhbXBsZS5jb20BYXV0aD1CZWFyZXIgeWEyOS5zZWNyZXQBAQ==",
            "235 2.7.0 Accepted",
        )],
        // n,a=ann@example.com,^Ahost=h^Aport=1^Aauth=Bearer ya29.secret^A^A
        &[(
            "AUTH OAUTHBEARER bixhPWFubkBleGFtcGxlLmNvbSwBaG9zdD1oAXBvcnQ9MQFhdXRoPUJlYXJlciB5YTI5LnNlY3JldAEB",
            "235 ",
        )],
    ];
    for lines in dialogues {
        let mut talk = Talk::new(with_users(), Script::new(), Security::Plain);
        talk.say("EHLO client.example\r\n");
        talk.expect(lines);
        assert_eq!(talk.session.user(), Some("ann@example.com"));
        assert!(
            talk.events
                .iter()
                .any(|event| matches!(event, Event::SignedIn { user, .. } if user == "ann@example.com"))
        );
    }
}

#[test]
fn a_refused_sign_in_goes_as_gmails() {
    let dialogues: [&[(&str, &str)]; 4] = [
        &[(
            "AUTH PLAIN AGFubgB3cm9uZw==",
            "535-5.7.8 Username and Password not accepted. For more information, go to\r\n535 5.7.8 https",
        )],
        // user=ann@example.com^Aauth=Bearer old^A^A
        &[
            (
                "AUTH XOAUTH2 dXNlcj1hbm5AZXhhbXBsZS5jb20BYXV0aD1CZWFyZXIgb2xkAQE=",
                "334 eyJzdGF0dXMiOiI0MDAi",
            ),
            ("", "535-5.7.8"),
        ],
        // n,a=ann@example.com,^Aauth=Bearer old^A^A
        &[
            (
                "AUTH OAUTHBEARER bixhPWFubkBleGFtcGxlLmNvbSwBYXV0aD1CZWFyZXIgb2xkAQE=",
                "334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIi",
            ),
            ("AQ==", "535-5.7.8"),
        ],
        &[
            ("AUTH LOGIN", "334 "),
            ("not base64!", "501 5.5.2 Cannot Decode response."),
            ("NOOP", "250 "),
        ],
    ];
    for lines in dialogues {
        let mut talk = Talk::new(with_users(), Script::new(), Security::Plain);
        talk.say("EHLO client.example\r\n");
        talk.expect(lines);
        assert_eq!(talk.session.user(), None);
        let refused = talk
            .events
            .iter()
            .filter(|event| matches!(event, Event::SignInRefused { .. }))
            .count();
        assert_eq!(refused, 1);
    }
}

#[test]
fn no_secret_is_recorded_or_shown() {
    let settings = with_users();
    assert!(!format!("{settings:?}").contains("secret"), "{settings:?}");
    let mut talk = Talk::new(settings, Script::new(), Security::Plain);
    talk.expect(&[
        ("EHLO client.example", "250-"),
        ("AUTH FOO", "504"),
        // What a client does that did not read the refusal.
        (PLAIN, "502"),
        ("AUTH LOGIN", "334"),
        ("YW5uQGV4YW1wbGUuY29t", "334"),
        ("c2VjcmV0LXNlc2FtZQ==", "235"),
    ]);
    let shown = format!("{:?} {:?}", talk.events, talk.session);
    for secret in ["secret", PLAIN, "c2VjcmV0"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let lines = |wanted| {
        talk.events
            .iter()
            .filter(move |event| matches!(event, Event::Line { direction, .. } if *direction == wanted))
            .count()
    };
    assert_eq!(lines(Direction::Received), 6);
}

#[test]
fn a_message_by_data_keeps_all_that_was_said() {
    let mut talk = Talk::plain();
    talk.expect(&[
        ("EHLO client.example", "250-"),
        (
            "MAIL FROM:<jörg@example.com> SIZE=40 BODY=8BITMIME SMTPUTF8",
            "250 2.1.0 OK",
        ),
        ("RCPT TO:<b@example.com>", "250 2.1.5 OK"),
        ("RCPT TO:<\"odd > name\"@example.com>", "250 2.1.5 OK"),
        ("DATA", "354 Go ahead pipepost-1-1 - gsmtp\r\n"),
    ]);
    assert_eq!(
        talk.say("Subject: one\r\n two\r\nMessage-ID: <m@x>\r\n\r\n..dots\r\n"),
        ""
    );
    assert_eq!(talk.say(".\r\n"), "250 2.0.0 OK 1700000000 pipepost-1-1 - gsmtp\r\n");
    let messages = talk.messages();
    let message = &messages[0];
    assert_eq!((message.sequence, message.connection, message.transaction), (1, 1, 1));
    assert_eq!(message.envelope.from, "jörg@example.com");
    assert_eq!(message.envelope.to, ["b@example.com", "\"odd > name\"@example.com"]);
    assert_eq!(message.parameters.size, Some(40));
    assert_eq!(message.parameters.body.as_deref(), Some("8BITMIME"));
    assert!(message.parameters.smtputf8);
    assert_eq!(message.helo, "client.example");
    assert_eq!(message.transfer, Transfer::Data);
    assert_eq!(
        message.content,
        b"Subject: one\r\n two\r\nMessage-ID: <m@x>\r\n\r\n.dots\r\n"
    );
    assert_eq!(message.header("subject").as_deref(), Some("one two"));
    assert_eq!(message.message_id().as_deref(), Some("m@x"));
    assert!(!format!("{message:?}").contains("dots"));
}

#[test]
fn a_smuggled_end_of_data_is_content() {
    let mut talk = Talk::plain();
    talk.envelope();
    talk.say("DATA\r\n");
    let smuggled = "one\r\n\n.\n\r\n\n.\r\n\r.\r\r\n\0.\r\nMAIL FROM:<evil@example.com>\r\n";
    assert_eq!(talk.say(smuggled), "");
    assert!(talk.say(".\r\n").starts_with("250 "));
    assert_eq!(talk.messages()[0].content, smuggled.as_bytes());
}

#[test]
fn chunks_make_a_message_in_one_group() {
    let mut talk = Talk::plain();
    talk.say("EHLO client.example\r\n");
    let said = talk.say(
        "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nBDAT 7\r\n.\r\nab\r\nBDAT 0\r\nBDAT 3 LAST\r\nc\r\nQUIT\r\n",
    );
    let codes: Vec<&str> = said.lines().map(|line| &line[..9]).collect();
    assert_eq!(
        codes,
        [
            "250 2.1.0",
            "250 2.1.5",
            "250 2.0.0",
            "250 2.0.0",
            "250 2.0.0",
            "221 2.0.0"
        ]
    );
    let messages = talk.messages();
    assert_eq!(messages[0].content, b".\r\nab\r\nc\r\n");
    assert_eq!(messages[0].transfer, Transfer::Chunks(3));
    assert_eq!(talk.writes.len(), 2, "the replies to a group leave together");
}

#[test]
fn a_refused_chunk_is_read_and_the_transaction_waits_for_rset() {
    let mut talk = Talk::plain();
    talk.say("EHLO client.example\r\n");
    let said = talk.say(
        "BDAT 6\r\nRSET\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<nobody>\r\nBDAT 6 LAST\r\nRSET\r\n\
         MAIL FROM:<c@example.com>\r\nRCPT TO:<d@example.com>\r\nBDAT 6 LAST\r\nRSET\r\nRSET\r\nNOOP\r\n",
    );
    let codes: Vec<&str> = said.lines().map(|line| &line[..9]).collect();
    assert_eq!(
        codes,
        [
            "503 5.5.1",
            "250 2.1.0",
            "553 5.1.3",
            "503 5.5.1", // no recipient: the chunk is refused
            "503 5.5.1",
            "250 2.1.5",
            "503 5.5.1", // the second message does not slip into the first
            "250 2.1.5",
            "250 2.0.0"
        ]
    );
    assert!(talk.messages().is_empty());
}

#[test]
fn data_and_chunks_do_not_mix() {
    let mut talk = Talk::plain();
    talk.envelope();
    assert!(talk.say("BDAT 2\r\nab").starts_with("250 2.0.0"));
    talk.expect(&[
        ("DATA", "503 5.5.1"),
        ("RCPT TO:<c@example.com>", "503 5.5.1"),
        ("RSET", "250"),
        ("BDAT x", "501 5.5.4"),
    ]);
    assert_eq!(talk.closed(), Some(false));
}

#[test]
fn what_is_not_offered_is_not_obeyed() {
    let mut talk = Talk::new(
        Settings::default().without("CHUNKING").without("SMTPUTF8"),
        Script::new(),
        Security::Plain,
    );
    assert!(!talk.say("EHLO client.example\r\n").contains("CHUNKING"));
    talk.expect(&[
        ("BDAT 3 LAST", "502 5.5.1"),
        ("MAIL FROM:<a@example.com> SMTPUTF8", "555 5.5.4"),
        ("MAIL FROM:<ä@example.com>", "553 5.6.7"),
        ("MAIL FROM:<a@example.com> BODY=BINARYMIME", "501 5.5.4"),
    ]);
}

#[test]
fn the_size_limit_is_kept_by_declaration_by_data_and_by_chunks() {
    let settings = || Settings {
        size_limit: 10,
        ..Settings::default()
    };
    let mut talk = Talk::new(settings(), Script::new(), Security::Plain);
    talk.expect(&[
        ("EHLO client.example", "250-"),
        ("MAIL FROM:<a@example.com> SIZE=11", "552-5.2.3"),
        ("MAIL FROM:<a@example.com> SIZE=10", "250 "),
        ("RCPT TO:<b@example.com>", "250 "),
        ("DATA", "354 "),
    ]);
    assert!(
        talk.say("123456789\r\n.\r\n")
            .starts_with("552-5.2.3 Your message exceeded Google's message size limits.")
    );
    talk.expect(&[
        ("MAIL FROM:<a@example.com>", "250 "),
        ("RCPT TO:<b@example.com>", "250 "),
        ("DATA", "354 "),
    ]);
    assert!(talk.say("12345678\r\n.\r\n").starts_with("250 "));
    talk.expect(&[
        ("MAIL FROM:<a@example.com>", "250 "),
        ("RCPT TO:<b@example.com>", "250 "),
    ]);
    assert!(talk.say("BDAT 8\r\n12345678").starts_with("250 "));
    assert!(talk.say("BDAT 3 LAST\r\n123").starts_with("552-5.2.3"));
    assert_eq!(talk.messages().len(), 1);
}

#[test]
fn one_recipient_too_many_is_deferred() {
    let mut talk = Talk::plain();
    talk.say("EHLO client.example\r\nMAIL FROM:<a@example.com>\r\n");
    for number in 1..=100 {
        assert!(
            talk.say(format!("RCPT TO:<r{number}@example.com>\r\n"))
                .starts_with("250 2.1.5"),
            "{number}"
        );
    }
    assert!(
        talk.say("RCPT TO:<r101@example.com>\r\n")
            .starts_with("452-4.5.3 Your message has too many recipients.")
    );
    talk.expect(&[("DATA", "354 ")]);
    talk.say("\r\n.\r\n");
    assert_eq!(talk.messages()[0].envelope.to.len(), 100);
}

#[test]
fn lines_are_ended_by_crlf_alone_and_not_endless() {
    let mut talk = Talk::plain();
    for line in ["NOOP\n", "NO\rOP\r\n", "NOOP\0\r\n"] {
        assert!(talk.say(line).starts_with("555 5.5.2"), "{line:?}");
    }
    assert!(talk.say([b'N', b'\xff', b'\r', b'\n']).starts_with("555 5.5.2"));
    let limit = Settings::default().line_limit;
    let longest = format!("NOOP {}\r\n", "x".repeat(limit - 7));
    assert!(talk.say(longest).starts_with("250 "));
    assert_eq!(talk.say("x".repeat(limit - 1)), "");
    assert!(talk.say("x").starts_with("500 5.5.2 Line too long"));
    assert_eq!(talk.closed(), Some(false));
}

#[test]
fn too_many_unknown_commands_end_the_connection() {
    let mut talk = Talk::plain();
    for _ in 0..9 {
        talk.expect(&[("FOO", "502 5.5.1 Unrecognized")]);
    }
    talk.expect(&[("FOO", "502 5.5.1 Too many unrecognized commands, goodbye.")]);
    assert_eq!(talk.closed(), Some(false));
}

#[test]
fn the_reply_waits_until_the_message_is_stored() {
    let service = Service::new(Settings::default());
    let mut session = service.session(Security::Plain);
    session.handle_bytes(b"EHLO x.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nBDAT 2 LAST\r\n\r\nNOOP\r\n");
    let early = String::from_utf8(session.poll_transmit().unwrap()).unwrap();
    assert!(early.ends_with("250 2.1.5 OK pipepost-1-1 - gsmtp\r\n"), "{early}");
    session.handle_stored(Ok(()));
    assert_eq!(
        session.poll_transmit(),
        None,
        "an outcome for a message that nobody took counts for nothing"
    );
    assert!(session.poll_message().is_some());
    assert_eq!(session.poll_transmit(), None);
    session.handle_stored(Err(pipepost_inbox::session::NotStored));
    let late = String::from_utf8(session.poll_transmit().unwrap()).unwrap();
    assert!(
        late.starts_with("452 4.3.1 ") && late.contains("\r\n250 2.0.0 OK "),
        "{late}"
    );
}

/// Whatever a client sends, in whatever pieces, the session neither panics nor differs.
#[test]
fn the_dialogue_is_the_same_in_whatever_pieces_it_comes() {
    let dialogue = b"EHLO x.example\r\nAUTH LOGIN\r\n\xff\r\nMAIL FROM:<a@b> SIZE=3\r\nRCPT TO:<c@d>\r\nRCPT TO:x\r\nDATA\r\n.\r\r\n.\r\n\
        MAIL FROM:<>\r\nRCPT TO:<c@d>\r\nBDAT 3\r\n\r\nzBDAT 1 LAST\r\n\nRSET\r\n\0\r\nQUIT\r\nNOOP\r\n";
    let run = |pieces: &[&[u8]]| {
        let mut talk = Talk::plain();
        let said: String = pieces.iter().map(|piece| talk.say(piece)).collect();
        (
            said,
            talk.messages()
                .iter()
                .map(|message| message.content.clone())
                .collect::<Vec<_>>(),
        )
    };
    let whole = run(&[dialogue]);
    assert_eq!(whole.1, [b"\r\r\n".to_vec(), b"\r\nz\n".to_vec()]);
    for split in 0..dialogue.len() {
        assert_eq!(
            run(&[&dialogue[..split], &dialogue[split..]]),
            whole,
            "split at {split}"
        );
    }
    assert_eq!(run(&dialogue.chunks(1).collect::<Vec<_>>()), whole);
}
