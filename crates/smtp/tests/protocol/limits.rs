//! Bounds, deadlines, content, and what is refused before it is sent.

use std::time::Duration;

use pipepost_smtp::{
    Action, Client, CloseReason, Config, ContentError, Id, NotSent, Outcome, Pipelining, Settled, Stage, Verdict,
};

use crate::driver::{Message, message};
use crate::talk::{CHUNKS, DONE, GROUPS, OK, RCPT_OK, Talk, accepted, partly, piped, plain, two};

#[test]
fn too_many_recipients_are_named() {
    let many = || vec![message(1, "a@x.test", "b@y.test c@y.test d@y.test", "1")];
    let deferred = |settled: &Settled| {
        assert!(accepted(settled));
        assert_eq!(settled.recipients[0], Verdict::Accepted);
        assert!(
            settled.recipients[1..]
                .iter()
                .all(|verdict| matches!(verdict, Verdict::Deferred(_)))
        );
    };

    let mut talk = Talk::new(plain(), &CHUNKS, many());
    assert!(matches!(talk.poll(), Action::Write { .. }));
    talk.client.written();
    let full = "452 4.5.3 Too many\r\n";
    talk.server(&[OK, RCPT_OK, full, full, DONE].concat());
    deferred(&talk.one());

    let mut talk = Talk::new(piped(Pipelining::Off), &[], many());
    talk.client("MAIL FROM:<a@x.test>\r\n");
    talk.server("250 a\r\n");
    talk.client("RCPT TO:<b@y.test>\r\n");
    talk.server("250 b\r\n");
    talk.client("RCPT TO:<c@y.test>\r\n");
    talk.server("452 too many\r\n");
    talk.client("DATA\r\n");
    talk.server("354 go\r\n");
    talk.commits("Message-ID: <1@test>\r\n\r\n1\r\n.\r\n", &[1]);
    talk.server("250 taken\r\n");
    deferred(&talk.one());
}

#[test]
fn another_452_is_a_refusal() {
    let mut talk = Talk::new(plain(), &GROUPS, two());
    assert!(matches!(talk.poll(), Action::Write { .. }));
    talk.client.written();
    talk.server("250 a\r\n250 b\r\n452 4.2.2 over quota\r\n451 later\r\n");
    let settled = talk.one();
    assert!(matches!(settled.recipients[1], Verdict::Rejected(_)));
    assert!(matches!(settled.outcome, Outcome::Refused { reply, stage: Stage::Data } if reply.code() == 451));
}

#[test]
fn what_the_server_cannot_take_is_not_begun() {
    let reasons = |capabilities: &[&str], messages: Vec<Message>| -> Vec<NotSent> {
        let mut talk = Talk::new(plain(), capabilities, messages);
        talk.ready();
        let unsent = |settled: Settled| match settled.outcome {
            Outcome::NotSent(why) => why,
            other => panic!("{other:?}"),
        };
        talk.settled().into_iter().map(unsent).collect()
    };
    let wide = message(2, "a@x.test", "дом@y.test", "x");
    let address = wide.transaction.recipients[0].clone();
    let mut headers = message(3, "a@x.test", "b@y.test", "x");
    headers.transaction.utf8 = true;
    assert_eq!(
        reasons(
            &["SIZE 30"],
            vec![
                message(1, "a@x.test", "b@y.test", "0123456789"),
                wide,
                headers,
                message(4, "a@x.test", "b@y.test", "ä"),
                message(5, "a@x.test", "", "x"),
            ]
        ),
        [
            NotSent::TooLarge { size: 36, limit: 30 },
            NotSent::NeedsSmtpUtf8 { address: Some(address) },
            NotSent::NeedsSmtpUtf8 { address: None },
            NotSent::NeedsEightBitMime,
            NotSent::NoRecipients,
        ]
    );
}

#[test]
fn parameters_when_offered_and_needed() {
    let mut wide = message(1, "a@x.test", "дом@y.test", "ä");
    wide.transaction.eight_bit = true;
    let mut talk = Talk::new(plain(), &["8BITMIME", "SMTPUTF8", "SIZE"], vec![wide]);
    talk.client("MAIL FROM:<a@x.test> BODY=8BITMIME SMTPUTF8\r\n");
}

#[test]
fn a_refused_announcement_leaves_no_trace() {
    let mut talk = Talk::new(plain(), &CHUNKS, two());
    assert!(matches!(
        talk.poll(),
        Action::Write {
            commits: [Id(1), Id(2)],
            ..
        }
    ));
    talk.client.withhold();
    let settled = talk.settled();
    assert_eq!(settled.len(), 2);
    assert!(
        settled
            .iter()
            .all(|end| end.outcome == Outcome::NotSent(NotSent::Withheld))
    );
    talk.ready();
    talk.client.submit(talk.messages[1].transaction.clone());
    assert!(matches!(talk.poll(), Action::Write { commits: [Id(2)], .. }));

    // After a 354 there is no way back.
    let mut talk = Talk::new(plain(), &GROUPS, two());
    assert!(matches!(talk.poll(), Action::Write { commits: [], .. }));
    talk.client.written();
    talk.server("250 a\r\n250 b\r\n250 c\r\n354 go\r\n");
    assert!(matches!(talk.poll(), Action::Write { commits: [Id(1)], .. }));
    talk.client.withhold();
    assert_eq!(talk.closed(), CloseReason::Withheld);
    let settled = talk.settled();
    assert!(matches!(settled[0].outcome, Outcome::NotSent(NotSent::Withheld)));
    assert!(matches!(
        settled[1].outcome,
        Outcome::NotSent(NotSent::Connection(CloseReason::Withheld))
    ));
}

#[test]
fn content_that_fails_takes_only_itself_back() {
    let mut bad = message(2, "a@x.test", "d@y.test", "x");
    bad.content[3] = b'\n';
    let messages = vec![
        message(1, "a@x.test", "b@y.test", "1"),
        bad,
        message(3, "a@x.test", "e@y.test", "3"),
    ];
    let mut talk = Talk::new(plain(), &CHUNKS, messages.clone());
    talk.commits(
        "MAIL FROM:<a@x.test> SIZE=27\r\nRCPT TO:<b@y.test>\r\nBDAT 27 LAST\r\nMessage-ID: <1@test>\r\n\r\n1\r\n\
         RSET\r\nMAIL FROM:<a@x.test> SIZE=27\r\nRCPT TO:<e@y.test>\r\nBDAT 27 LAST\r\nMessage-ID: <3@test>\r\n\r\n3\r\n",
        &[1, 3],
    );
    let end = talk.one();
    assert_eq!(
        (end.id, end.outcome),
        (Id(2), Outcome::NotSent(NotSent::Content(ContentError::BareLineEnd)))
    );

    // After a 354 the connection goes too.
    let mut talk = Talk::new(plain(), &GROUPS, messages[1..].to_vec());
    talk.client("MAIL FROM:<a@x.test> SIZE=27\r\nRCPT TO:<d@y.test>\r\nDATA\r\n");
    talk.server("250 a\r\n250 d\r\n354 go\r\n");
    assert_eq!(talk.closed(), CloseReason::Content(ContentError::BareLineEnd));
    assert_eq!(talk.settled().len(), 2);
}

#[test]
fn a_large_message_streams_and_is_announced_with_its_last_piece() {
    for capabilities in [
        &["PIPELINING"][..],
        &["PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES"][..],
    ] {
        let mut large = message(1, "a@x.test", "b@y.test", "");
        large.content = b"0123456789012345678901234567890123456789012345678901234567890123456789\r\n".repeat(50_000);
        large.transaction.size = large.content.len() as u64;
        let mut talk = Talk::new(plain(), capabilities, vec![large.clone()]);
        let (mut supplied, mut written, mut most) = (0, Vec::new(), 0);
        loop {
            match talk.client.poll() {
                Action::Content { left, room, .. } => {
                    assert_eq!(left, (large.content.len() - supplied) as u64);
                    let piece = &large.content[supplied..large.content.len().min(supplied + room)];
                    supplied += piece.len();
                    talk.client.supply(piece);
                }
                Action::Write { bytes, commits, .. } => {
                    written.extend_from_slice(bytes);
                    most = most.max(bytes.len());
                    assert_eq!(!commits.is_empty(), supplied == large.content.len());
                    talk.client.written();
                }
                Action::Read { .. } if supplied == 0 => talk.client.handle_bytes(b"250 a\r\n250 b\r\n354 go\r\n"),
                Action::Read { .. } => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(most < 80 * 1024, "memory does not grow with the message");
        assert!(written.windows(large.content.len()).any(|part| part == large.content));
        talk.client.connection_lost("gone");
        assert!(matches!(talk.one().outcome, Outcome::Uncertain(CloseReason::Lost(_))));
    }
}

#[test]
fn a_large_message_that_breaks_off_was_not_sent() {
    let mut large = message(1, "a@x.test", "b@y.test", "");
    large.transaction.size = 1_000_000;
    for fail in [true, false] {
        let mut talk = Talk::new(
            plain(),
            &["PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES"],
            vec![large.clone()],
        );
        for _ in 0..2 {
            while let Action::Content { .. } = talk.client.poll() {
                talk.client.supply(&b"0123456\r\n".repeat(1000));
            }
            assert!(matches!(talk.client.poll(), Action::Write { commits: [], .. }));
            talk.client.written();
        }
        assert!(matches!(talk.client.poll(), Action::Content { .. }));
        if fail {
            talk.client.fail_content("the file changed");
            let why = ContentError::Unavailable("the file changed".into());
            assert_eq!(talk.closed(), CloseReason::Content(why.clone()));
            assert_eq!(talk.one().outcome, Outcome::NotSent(NotSent::Content(why)));
        } else {
            talk.client.connection_lost("reset");
            assert!(matches!(
                talk.one().outcome,
                Outcome::NotSent(NotSent::Connection(CloseReason::Lost(_)))
            ));
        }
    }
}

#[test]
fn the_window_bounds_messages_bytes_and_replies() {
    let messages: Vec<_> = (1..=40).map(|id| message(id, "a@x.test", "b@y.test", "x")).collect();
    let written = |change: &dyn Fn(&mut Config)| {
        let mut config = plain();
        change(&mut config);
        let mut talk = Talk::new(config, &CHUNKS, messages.clone());
        let mut sent = Vec::new();
        while let Action::Write { commits, .. } = talk.poll() {
            sent.push(commits.len());
            talk.client.written();
        }
        (talk, sent)
    };
    let (mut talk, sent) = written(&|_| {});
    assert_eq!(sent, [16], "one write, one announcement");
    // Nothing new until a quarter of the window is free, then as many as are free.
    let done = |n: usize| [DONE, OK, RCPT_OK, DONE].concat().repeat(n);
    talk.server(&[OK, RCPT_OK, DONE].concat());
    talk.server(&done(2));
    assert!(matches!(talk.poll(), Action::Read { .. }));
    assert!(!talk.client.wants_more());
    talk.server(&done(1));
    // The fourth is held back until a reply behind it proves the count, and still counts: a crash now would lose it.
    assert!(matches!(talk.poll(), Action::Write { commits, .. } if commits.len() == 3));

    assert_eq!(written(&|config| config.window.messages = 0).1, [1]);
    assert_eq!(written(&|config| config.window.messages = 5).1, [5]);
    assert_eq!(written(&|config| config.window.bytes = 1000).1, [2]);
    assert_eq!(written(&|config| config.window.bytes = 1).1, [1], "one goes alone");
    assert_eq!(written(&|config| config.window.replies = 12).1, [3]);
}

#[test]
fn it_asks_for_more_while_that_can_travel_along() {
    let mut talk = Talk::new(plain(), &CHUNKS, vec![]);
    let mut count = 0;
    let content = |id| message(id, "a@x.test", "b@y.test", "x");
    loop {
        while talk.client.wants_more() {
            count += 1;
            talk.client.submit(content(count).transaction);
            talk.messages.push(content(count));
        }
        match talk.client.poll() {
            Action::Content { id, .. } => talk.client.supply(&content(id.0).content),
            Action::Write { commits, .. } => {
                assert_eq!(commits.len(), 16);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn deadlines_start_again_with_a_reply_and_not_with_a_byte() {
    let mut talk = Talk::new(plain(), &CHUNKS, two());
    assert!(matches!(talk.poll(), Action::Write { deadline, .. } if deadline == Duration::from_secs(180)));
    talk.client.written();
    let ten_minutes = Duration::from_secs(600);
    assert_eq!(
        talk.poll(),
        Action::Read {
            deadline: Some(ten_minutes)
        }
    );
    for byte in OK.as_bytes()[..5].chunks(1) {
        talk.client.handle_bytes(byte);
        assert_eq!(talk.poll(), Action::Read { deadline: None });
    }
    talk.client.handle_bytes(&OK.as_bytes()[5..]);
    assert_eq!(
        talk.poll(),
        Action::Read {
            deadline: Some(ten_minutes)
        }
    );

    let mut talk = Talk::new(plain(), &GROUPS, two());
    talk.client("MAIL FROM:<a@x.test> SIZE=28\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\nDATA\r\n");
    assert_eq!(
        talk.poll(),
        Action::Read {
            deadline: Some(Duration::from_secs(300))
        }
    );
    talk.server("250 a\r\n250 b\r\n250 c\r\n");
    assert_eq!(
        talk.poll(),
        Action::Read {
            deadline: Some(Duration::from_secs(120))
        }
    );
}

#[test]
fn calls_that_answer_nothing_have_no_effect() {
    let mut talk = Talk::new(plain(), &CHUNKS, vec![]);
    talk.client.written();
    talk.client.withhold();
    talk.client.supply(b"what");
    talk.client.fail_content("why");
    talk.client.tls_started();
    talk.client.signed_in(b"", false);
    talk.ready();
    talk.client.connection_lost("gone");
    assert_eq!(talk.closed(), CloseReason::Lost("gone".into()));
    talk.client.connection_lost("again");
    talk.client.handle_bytes(b"250 x\r\n");
    assert_eq!(talk.closed(), CloseReason::Lost("gone".into()));
    talk.client.submit(message(1, "a@x.test", "b@y.test", "1").transaction);
    assert!(matches!(
        talk.one().outcome,
        Outcome::NotSent(NotSent::Connection(CloseReason::Lost(_)))
    ));
}

#[test]
fn content_that_was_not_asked_for_is_not_taken() {
    let mut large = message(1, "a@x.test", "b@y.test", "");
    large.transaction.size = 1_000_000;
    let mut talk = Talk::new(plain(), &["PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES"], vec![large]);
    while let Action::Content { .. } = talk.client.poll() {
        talk.client.supply(&b"0123456\r\n".repeat(1000));
    }
    let Action::Write { bytes, .. } = talk.client.poll() else {
        panic!("not a write")
    };
    let before = bytes.to_vec();
    talk.client.supply(b"more\r\n");
    talk.client.fail_content("no");
    assert!(matches!(talk.client.poll(), Action::Write { bytes, .. } if bytes == before));
}

#[test]
fn what_content_leaves_behind_is_reset() {
    // The sender and the recipient are known to the server, the content is not coming.
    let mut bad = message(1, "a@x.test", "b@y.test", "x");
    bad.content[3] = b'\n';
    let messages = vec![bad.clone(), message(2, "", "d@y.test", "2")];
    let mut talk = Talk::new(partly(false), &CHUNKS, messages);
    talk.client("MAIL FROM:<a@x.test> SIZE=27\r\nRCPT TO:<b@y.test>\r\n");
    talk.server(&[OK, RCPT_OK].concat());
    talk.client("RSET\r\nMAIL FROM:<> SIZE=27\r\nRCPT TO:<d@y.test>\r\n");

    // An RSET that was taken back with its group comes with the next.
    let mut talk = Talk {
        client: Client::resume(
            plain(),
            b"pipepost-smtp 1 dirty\nPIPELINING\nCHUNKING\nENHANCEDSTATUSCODES\n",
            false,
        ),
        messages: vec![bad, message(2, "", "d@y.test", "2")],
    };
    talk.messages
        .iter()
        .for_each(|message| talk.client.submit(message.transaction.clone()));
    talk.commits(
        "RSET\r\nMAIL FROM:<>\r\nRCPT TO:<d@y.test>\r\nBDAT 27 LAST\r\nMessage-ID: <2@test>\r\n\r\n2\r\n",
        &[2],
    );
}

#[test]
fn a_connection_carries_no_more_than_it_may() {
    let mut config = plain();
    config.messages_per_connection = Some(2);
    let mut talk = Talk::new(config.clone(), &GROUPS, two()[1..].to_vec());
    talk.client("MAIL FROM:<> SIZE=27\r\nRCPT TO:<d@y.test>\r\nDATA\r\n");
    talk.server("250 a\r\n250 d\r\n354 go\r\n");
    talk.commits("Message-ID: <2@test>\r\n\r\n2\r\n.\r\n", &[2]);
    talk.server("250 taken\r\n");
    talk.one();
    talk.ready();
    let memo = talk.client.memo().unwrap();

    // What an earlier client sent on it counts.
    let mut talk = Talk {
        client: Client::resume(config, &memo, false),
        messages: two(),
    };
    talk.messages
        .iter()
        .for_each(|message| talk.client.submit(message.transaction.clone()));
    talk.client("MAIL FROM:<a@x.test> SIZE=28\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\nDATA\r\n");
    talk.server("250 a\r\n250 b\r\n250 c\r\n354 go\r\n");
    talk.commits("Message-ID: <1@test>\r\n\r\n..1\r\n.\r\n", &[1]);
    talk.server("250 taken\r\n");
    assert_eq!(talk.client.answered(), 2);
    talk.client("QUIT\r\n");
    assert_eq!(talk.closed(), CloseReason::Finished);
    let settled = talk.settled();
    assert!(matches!(settled[0].outcome, Outcome::Accepted { .. }));
    assert_eq!(
        settled[1].outcome,
        Outcome::NotSent(NotSent::Connection(CloseReason::Finished))
    );
}
