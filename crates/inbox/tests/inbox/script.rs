//! Each thing that a script can do.

use std::time::Duration;

use pipepost_inbox::script::{Action, At, Rule};
use pipepost_inbox::session::Wait;
use pipepost_inbox::{Script, Security, Service, Settings, Signal};

use crate::talk::Talk;

#[test]
fn a_recipient_is_refused_and_the_others_are_not() {
    let mut talk = Talk::scripted(Script::new().refuse_recipient("nobody@example.com", "550 5.1.1 No such user"));
    talk.envelope();
    talk.expect(&[
        ("RCPT TO:<Nobody@example.com>", "550 5.1.1 No such user\r\n"),
        ("DATA", "354"),
    ]);
    talk.say("\r\n.\r\n");
    assert_eq!(talk.messages()[0].envelope.to, ["b@example.com"]);
}

/// Where each reply of the dialogue stands, and what the client sends to get it.
const PLACES: [(At, &str, &str); 12] = [
    (At::Greeting, "", ""),
    (At::Ehlo, "", "EHLO x.example\r\n"),
    (At::Auth, "EHLO x.example\r\n", "AUTH LOGIN\r\n"),
    (At::AuthResponse, "EHLO x.example\r\nAUTH LOGIN\r\n", "YQ==\r\n"),
    (At::SignIn, "EHLO x.example\r\nAUTH LOGIN\r\nYQ==\r\n", "YQ==\r\n"),
    (At::Mail, "EHLO x.example\r\n", "MAIL FROM:<a@b>\r\n"),
    (At::Rcpt, "EHLO x.example\r\nMAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\n"),
    (
        At::Data,
        "EHLO x.example\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n",
        "DATA\r\n",
    ),
    (
        At::Bdat,
        "EHLO x.example\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n",
        "BDAT 1\r\nx",
    ),
    (
        At::Content,
        "EHLO x.example\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n",
        "x\r\n.\r\n",
    ),
    (At::Rset, "EHLO x.example\r\n", "RSET\r\n"),
    (At::Quit, "EHLO x.example\r\n", "QUIT\r\n"),
];

#[test]
fn any_reply_can_be_replaced_at_its_place() {
    for (at, before, trigger) in PLACES {
        for reply in [
            "421 4.7.0 Try again later",
            "550-5.7.1 One\n550 5.7.1 two",
            "garbage",
            "250-a\n550 b",
        ] {
            let service = Service::with_script(Settings::default(), Script::new().reply(at, reply));
            let mut talk = Talk::with(&service, Security::Plain);
            let early = talk.say(before);
            let late = talk.say(trigger);
            let said = if at == At::Greeting { early } else { late };
            assert_eq!(said, format!("{}\r\n", reply.replace('\n', "\r\n")), "{at:?}");
            let closes = reply.starts_with("421") || (at == At::Quit && reply.starts_with('2'));
            assert_eq!(talk.closed(), closes.then_some(false), "{at:?}");
            let stored = at == At::Content && reply.starts_with('2');
            assert_eq!(talk.messages().len(), usize::from(stored), "{at:?}");
        }
    }
}

#[test]
fn the_nth_reply_of_a_connection_is_counted_over_all_places() {
    let dialogue = "EHLO x.example\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 1\r\nxBDAT 1 LAST\r\nxQUIT\r\n";
    for nth in 1..=7 {
        let service = Service::with_script(
            Settings::default(),
            Script::new().rule(Rule::at(At::Any).nth(nth).reply("999 here")),
        );
        let mut talk = Talk::with(&service, Security::Plain);
        let said = talk.say("") + &talk.say(dialogue);
        // The lines that end a reply.
        let finals: Vec<&str> = said.lines().filter(|line| line.as_bytes()[3] == b' ').collect();
        assert_eq!(
            finals.iter().position(|line| *line == "999 here"),
            Some(nth as usize - 1),
            "{said}"
        );
        assert_eq!(finals.len(), 7, "{said}");
    }
}

#[test]
fn a_command_that_a_rule_refuses_is_not_obeyed_unless_it_says_so() {
    for (rule, stored) in [
        (Rule::at(At::Content).reply("451 4.3.0 Later"), false),
        (Rule::at(At::Content).reply("451 4.3.0 Later").obey(true), true),
        (Rule::at(At::Content).reply("250 2.0.0 Sure").obey(false), false),
        (Rule::at(At::Content).reply("250 2.0.0 Sure"), true),
        (Rule::at(At::Content).close(), false),
        (Rule::at(At::Content).close().obey(true), true),
        (Rule::at(At::Content).regular().close(), true),
        (Rule::at(At::Content).silence(), false),
        (Rule::at(At::Content).raw("nonsense"), false),
        (Rule::at(At::Content).delay(Duration::from_secs(1)), true),
    ] {
        let mut talk = Talk::scripted(Script::new().rule(rule.clone()));
        talk.envelope();
        talk.say("BDAT 2 LAST\r\n\r\n");
        assert_eq!(talk.messages().len(), usize::from(stored), "{rule:?}");
    }
}

#[test]
fn data_can_be_let_in_without_a_recipient() {
    let script = Script::new()
        .reply(At::Rcpt, "550 5.1.1 No")
        .reply(At::Data, "354 Go on");
    let mut talk = Talk::scripted(script);
    talk.expect(&[
        ("EHLO x.example", "250"),
        ("MAIL FROM:<a@b>", "250"),
        ("RCPT TO:<c@d>", "550"),
        ("DATA", "354 Go on"),
    ]);
    assert!(talk.say(".\r\n").starts_with("554 5.5.1 No valid recipients."));
    assert!(talk.messages().is_empty());
}

#[test]
fn conditions_on_text_connection_tls_number_and_times() {
    let script = Script::new()
        .rule(Rule::at(At::Mail).contains("bob@").reply("550 text"))
        .rule(Rule::at(At::Mail).connection(2).nth(2).reply("550 second of two"))
        .rule(Rule::at(At::Mail).times(1).connection(3).reply("550 once"))
        .rule(Rule::at(At::Mail).tls(true).reply("550 tls"));
    let service = Service::with_script(Settings::default(), script);
    let mail = |security, expected: &[(&str, &str)]| {
        let mut talk = Talk::with(&service, security);
        talk.handshake();
        talk.say("EHLO x.example\r\n");
        for (from, reply) in expected {
            talk.expect(&[(&format!("MAIL FROM:<{from}>"), reply), ("RSET", "250")]);
        }
    };
    mail(
        Security::Plain,
        &[("a@x", "250"), ("BOB@x", "550 text"), ("a@x", "250")],
    );
    mail(
        Security::Plain,
        &[("a@x", "250"), ("a@x", "550 second of two"), ("a@x", "250")],
    );
    mail(Security::Plain, &[("a@x", "550 once"), ("a@x", "250")]);
    mail(Security::Implicit, &[("a@x", "550 tls"), ("a@x", "550 tls")]);
}

#[test]
fn a_message_is_known_by_its_content() {
    let mut talk = Talk::scripted(Script::new().refuse_message("Subject: poison", "554 5.6.0 Malformed"));
    for (subject, reply) in [("fine", "250"), ("poison", "554 5.6.0"), ("fine", "250")] {
        talk.envelope();
        let content = format!("Subject: {subject}\r\n");
        assert!(
            talk.say(format!("BDAT {} LAST\r\n{content}", content.len()))
                .starts_with(reply)
        );
    }
    assert_eq!(talk.messages().len(), 2);
}

#[test]
fn a_wait_holds_up_everything_behind_it() {
    let mut talk = Talk::scripted(
        Script::new().rule(Rule::at(At::Mail).hold("gate")).rule(
            Rule::at(At::Content)
                .regular()
                .delay(Duration::from_millis(7))
                .reply("250 twice"),
        ),
    );
    talk.say("EHLO x.example\r\n");
    assert_eq!(talk.say("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 1 LAST\r\nx"), "");
    assert_eq!(talk.signals, [Signal::Wait(Wait::Until("gate".into()))]);
    assert_eq!(talk.say("NOOP\r\n"), "");
    assert!(talk.messages().is_empty(), "nothing is obeyed ahead of a held reply");
    let said = talk.go_on();
    assert_eq!(said.lines().count(), 3, "{said}");
    assert_eq!(talk.messages().len(), 1);
    assert_eq!(
        talk.signals.last(),
        Some(&Signal::Wait(Wait::For(Duration::from_millis(7))))
    );
    let said = talk.go_on();
    assert!(said.starts_with("250 twice\r\n250 2.0.0 OK"), "{said}");
}

#[test]
fn capabilities_are_taken_out_and_added() {
    let script = Script::new().rule(
        Rule::at(At::Ehlo)
            .act(Action::Strip("size".into()))
            .act(Action::Strip("AUTH PLAIN".into()))
            .act(Action::Offer("DSN".into()))
            .act(Action::Strip("SMTPUTF8".into())),
    );
    let said = Talk::scripted(script).say("EHLO x.example\r\n");
    assert!(!said.contains("SIZE") && !said.contains("SMTPUTF8"), "{said}");
    assert!(said.contains("AUTH LOGIN XOAUTH2 PLAIN-CLIENTTOKEN"), "{said}");
    assert!(said.ends_with("250-CHUNKING\r\n250 DSN\r\n"), "{said}");
    let said = Talk::scripted(Script::new().strip("AUTH")).say("EHLO x.example\r\n");
    assert!(!said.contains("AUTH"), "{said}");
}

#[test]
fn bytes_are_injected_before_the_handshake() {
    let mut talk = Talk::new(
        Settings::default(),
        Script::new().inject_before_tls("250-evil\r\n250 AUTH PLAIN\r\n"),
        Security::StartTls,
    );
    talk.say("EHLO x.example\r\n");
    assert_eq!(
        talk.say("STARTTLS\r\n"),
        "220 2.0.0 Ready to start TLS\r\n250-evil\r\n250 AUTH PLAIN\r\n"
    );
    assert_eq!(talk.writes.len(), 2, "in the same write as the reply");
    assert_eq!(talk.signals, [Signal::StartTls]);
}

#[test]
fn starttls_can_be_refused_or_promised_in_vain() {
    for (rule, signals) in [
        (Rule::at(At::Starttls).reply("454 4.7.0 TLS not available"), vec![]),
        (Rule::at(At::Starttls).reply("220 Go").obey(false), vec![]),
        (
            Rule::at(At::Starttls).regular().close(),
            vec![Signal::Close { abrupt: false }],
        ),
        (
            Rule::at(At::Starttls).regular().act(Action::Abort),
            vec![Signal::Close { abrupt: true }],
        ),
    ] {
        let mut talk = Talk::new(Settings::default(), Script::new().rule(rule), Security::StartTls);
        talk.say("EHLO x.example\r\n");
        talk.say("STARTTLS\r\n");
        assert_eq!(talk.signals, signals);
    }
}

#[test]
fn a_flood_has_its_length_or_no_end() {
    let flood = |bytes| Action::Flood {
        pattern: "250-x\r\n".into(),
        bytes,
    };
    let mut talk =
        Talk::scripted(Script::new().rule(Rule::at(At::Ehlo).act(flood(Some(10_000_001))).reply("250 done")));
    let said = talk.say("EHLO x.example\r\n");
    assert_eq!(said.len(), 10_000_001 + "250 done\r\n".len());
    assert!(said.starts_with("250-x\r\n250-x\r\n"));
    assert!(
        said[..10_000_001]
            .bytes()
            .zip(b"250-x\r\n".iter().copied().cycle())
            .all(|(sent, pattern)| sent == pattern)
    );
    assert!(talk.writes.iter().all(|write| write.len() <= 64 * 1024 + 10));

    let service = Service::with_script(
        Settings::default(),
        Script::new().rule(Rule::at(At::Greeting).act(flood(None))),
    );
    let mut session = service.session(Security::Plain);
    for _ in 0..100 {
        assert_eq!(session.poll_transmit().unwrap().len(), 64 * 1024);
    }
}

#[test]
fn bytes_are_paced_and_cut() {
    let mut talk = Talk::scripted(
        Script::new().rule(
            Rule::at(At::Noop)
                .act(Action::Pace { bytes: 1, pause_ms: 0 })
                .reply("250 ok"),
        ),
    );
    assert_eq!(talk.say("NOOP\r\n"), "250 ok\r\n");
    assert_eq!(talk.writes.len(), 8);

    let rule = Rule::at(At::Noop)
        .act(Action::Pace {
            bytes: 3,
            pause_ms: 60_000,
        })
        .reply("250 ok");
    let mut talk = Talk::scripted(Script::new().rule(rule));
    let mut said = vec![talk.say("NOOP\r\n")];
    while said.last().is_some_and(|piece| !piece.is_empty()) {
        said.push(talk.go_on());
    }
    assert_eq!(said, ["250", " ok", "\r\n", ""]);
    assert!(
        talk.signals
            .iter()
            .all(|signal| *signal == Signal::Wait(Wait::For(Duration::from_secs(60))))
    );

    for bytes in 0..8 {
        let rule = Rule::at(At::Noop).act(Action::CutAfter(bytes)).reply("250 ok");
        let mut talk = Talk::scripted(Script::new().rule(rule));
        assert_eq!(talk.say("NOOP\r\n"), "250 ok\r\n"[..bytes]);
        assert_eq!(talk.closed(), Some(true));
    }
}

#[test]
fn an_echo_repeats_secrets_in_clear_and_in_base64() {
    let mut talk = Talk::scripted(Script::new().echo_sign_in());
    talk.say("EHLO x.example\r\n");
    let said = talk.say("AUTH PLAIN AGFubkBleGFtcGxlLmNvbQBzZWNyZXQtc2VzYW1l\r\n");
    assert!(
        said.contains("535-5.7.8 AUTH PLAIN AGFubkBleGFtcGxlLmNvbQBzZWNyZXQtc2VzYW1l\r\n"),
        "{said}"
    );
    assert!(said.ends_with("535 5.7.8  ann@example.com secret-sesame\r\n"), "{said}");
    assert!(said.lines().all(|line| line.starts_with("535")));
    assert_eq!(talk.session.user(), None);
}

#[test]
fn replies_come_before_their_commands() {
    let mut talk = Talk::scripted(Script::new().rule(Rule::at(At::Ehlo).regular().reply("250 2.1.0 OK\n250 2.1.5 OK")));
    assert!(
        talk.say("EHLO x.example\r\n")
            .ends_with("250 SMTPUTF8\r\n250 2.1.0 OK\r\n250 2.1.5 OK\r\n")
    );
}

#[test]
fn a_script_is_read_from_json_and_written_back() {
    let text = r#"{
        "rules": [
            {"at": "rcpt", "contains": "nobody@", "nth": 2, "connection": 1, "times": 3, "tls": true, "obey": false,
             "do": [{"reply": "550-5.1.1 a\n550 5.1.1 b"}, "close"]},
            {"at": "auth-response", "do": ["regular", "silence", "abort", {"raw": "\u00ff\r\n"}, {"delay_ms": 50}, {"hold": "x"}]},
            {"at": "ehlo", "do": [{"strip": "SIZE"}, {"offer": "DSN"}, {"pace": {"bytes": 1, "pause_ms": 5}}, {"cut_after": 9},
              {"flood": {"pattern": "x", "bytes": 5}}, {"echo": {"code": "535 5.7.8", "decoded": true}}]}
        ],
        "cuts": [{"connection": 2, "received": 7}, {"sent": 0}]
    }"#;
    let script = Script::from_json(text).unwrap();
    assert_eq!(script.rules[1].actions[3], Action::Raw(b"\xff\r\n".into()));
    assert_eq!(script.rules[1].actions[4], Action::Delay(Duration::from_millis(50)));
    assert_eq!(
        Script::from_json(&serde_json::to_string(&script).unwrap()).unwrap(),
        script
    );
    assert_eq!(Script::from_json("{}").unwrap(), Script::new());
}

#[test]
fn a_script_with_a_mistake_is_refused() {
    for text in [
        r#"{"rule": []}"#,
        r#"{"rules": [{"at": "nowhere", "do": []}]}"#,
        r#"{"rules": [{"at": "ehlo"}]}"#,
        r#"{"rules": [{"at": "ehlo", "do": ["explode"]}]}"#,
        r#"{"rules": [{"at": "ehlo", "when": 1, "do": []}]}"#,
        r#"{"rules": [{"at": "ehlo", "do": [{"raw": "\u0100"}]}]}"#,
    ] {
        assert!(Script::from_json(text).is_err(), "{text}");
    }
}

#[test]
fn another_script_is_for_the_connections_to_come() {
    let service = Service::new(Settings::default());
    let mut old = Talk::with(&service, Security::Plain);
    service.set_script(Script::new().reply(At::Noop, "450 new").cut_received(6).cuts_on(2));
    let mut new = Talk::with(&service, Security::Plain);
    old.say("");
    new.say("");
    assert!(old.say("NOOP\r\n").starts_with("250"));
    assert_eq!(new.say("NOOP\r\n"), "450 new\r\n");
    assert_eq!(new.closed(), Some(true));
    assert_eq!(old.closed(), None);
}
