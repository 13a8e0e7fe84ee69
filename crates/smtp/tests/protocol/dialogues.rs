//! Transactions in each mode, byte for byte.

use pipepost_smtp::{
    Action, CloseReason, DsnRequest, EnvelopeId, NotSent, OutOfStep, Outcome, Pipelining, Return, Stage, Verdict,
};

use crate::driver::{Message, message};
use crate::talk::{CHUNKS, DONE, GROUPS, OK, RCPT_OK, Talk, accepted, partly, piped, plain, two};

#[test]
fn bdat_streams() {
    let mut talk = Talk::new(plain(), &CHUNKS, two());
    talk.commits(
        "MAIL FROM:<a@x.test> SIZE=28\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\nBDAT 28 LAST\r\n\
         Message-ID: <1@test>\r\n\r\n.1\r\n\
         RSET\r\nMAIL FROM:<> SIZE=27\r\nRCPT TO:<d@y.test>\r\nBDAT 27 LAST\r\n\
         Message-ID: <2@test>\r\n\r\n2\r\n",
        &[1, 2],
    );
    talk.server(&[OK, RCPT_OK, RCPT_OK, DONE].concat());
    assert!(
        talk.settled().is_empty(),
        "the replies behind it are still to prove the count"
    );
    talk.server(&[DONE, OK].concat());
    assert!(accepted(&talk.one()));
    talk.server(&[RCPT_OK, DONE].concat());
    assert!(accepted(&talk.one()));
    talk.ready();
}

#[test]
fn bdat_a_transaction_at_a_time() {
    let mut talk = Talk::new(piped(Pipelining::Transaction), &CHUNKS, two());
    talk.commits(
        "MAIL FROM:<a@x.test> SIZE=28\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\nBDAT 28 LAST\r\n\
         Message-ID: <1@test>\r\n\r\n.1\r\n",
        &[1],
    );
    talk.server(&[OK, RCPT_OK, RCPT_OK, DONE].concat());
    talk.commits(
        "MAIL FROM:<> SIZE=27\r\nRCPT TO:<d@y.test>\r\nBDAT 27 LAST\r\nMessage-ID: <2@test>\r\n\r\n2\r\n",
        &[2],
    );
    talk.server(&[OK, RCPT_OK, "554 5.7.1 No\r\n"].concat());
    let settled = talk.settled();
    assert!(accepted(&settled[0]));
    assert!(matches!(
        &settled[1].outcome,
        Outcome::Refused {
            stage: Stage::Content,
            ..
        }
    ));
}

#[test]
fn data_content_travels_with_the_next_group() {
    let mut talk = Talk::new(plain(), &GROUPS, two());
    talk.client("MAIL FROM:<a@x.test> SIZE=28\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\nDATA\r\n");
    talk.server("250 a\r\n250 b\r\n550 c\r\n354 go\r\n");
    talk.commits(
        "Message-ID: <1@test>\r\n\r\n..1\r\n.\r\nMAIL FROM:<> SIZE=27\r\nRCPT TO:<d@y.test>\r\nDATA\r\n",
        &[1],
    );
    talk.server("250 taken\r\n250 a\r\n250 d\r\n354 go\r\n");
    let settled = talk.one();
    assert!(accepted(&settled));
    assert_eq!(settled.recipients[0], Verdict::Accepted);
    assert!(matches!(settled.recipients[1], Verdict::Rejected(_)));
    talk.commits("Message-ID: <2@test>\r\n\r\n2\r\n.\r\n", &[2]);
    talk.server("250 taken\r\n");
    assert!(accepted(&talk.one()));
    talk.ready();
}

#[test]
fn data_a_transaction_at_a_time() {
    let mut talk = Talk::new(piped(Pipelining::Transaction), &GROUPS, two());
    talk.client("MAIL FROM:<a@x.test> SIZE=28\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\nDATA\r\n");
    talk.server("250 a\r\n250 b\r\n250 c\r\n354 go\r\n");
    talk.commits("Message-ID: <1@test>\r\n\r\n..1\r\n.\r\n", &[1]);
    talk.server("250 taken\r\n");
    assert!(accepted(&talk.one()));
    talk.client("MAIL FROM:<> SIZE=27\r\nRCPT TO:<d@y.test>\r\nDATA\r\n");
}

#[test]
fn the_plain_dialogue() {
    let capabilities = ["PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES"];
    let mut talk = Talk::new(piped(Pipelining::Off), &capabilities, two());
    talk.client("MAIL FROM:<a@x.test>\r\n");
    talk.server("250 a\r\n");
    talk.client("RCPT TO:<b@y.test>\r\n");
    talk.server("550 b\r\n");
    talk.client("RCPT TO:<c@y.test>\r\n");
    talk.server("250 c\r\n");
    talk.client("DATA\r\n");
    talk.server("354 go\r\n");
    talk.commits("Message-ID: <1@test>\r\n\r\n..1\r\n.\r\n", &[1]);
    talk.server("250 taken\r\n");
    assert!(accepted(&talk.one()));
    talk.client("MAIL FROM:<>\r\n");
    talk.server("250 a\r\n");
    talk.client("RCPT TO:<d@y.test>\r\n");
    talk.server("550 d\r\n");
    assert!(matches!(
        talk.one().outcome,
        Outcome::Refused {
            stage: Stage::Recipient,
            ..
        }
    ));
    talk.client.submit(message(3, "a@x.test", "e@y.test", "3").transaction);
    talk.client("RSET\r\n");
    talk.server("250 reset\r\n");
    talk.client("MAIL FROM:<a@x.test>\r\n");
}

#[test]
fn without_pipelining_it_is_the_plain_dialogue_too() {
    let mut talk = Talk::new(plain(), &["CHUNKING", "ENHANCEDSTATUSCODES"], two());
    talk.client("MAIL FROM:<a@x.test>\r\n");
}

#[test]
fn bdat_needs_replies_that_say_what_they_speak_of() {
    let mut talk = Talk::new(plain(), &["CHUNKING", "PIPELINING"], two());
    talk.client("MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\nDATA\r\n");
}

#[test]
fn nobody_accepted_yet_354() {
    let mut talk = Talk::new(plain(), &GROUPS, two());
    talk.client("MAIL FROM:<a@x.test> SIZE=28\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\nDATA\r\n");
    talk.server("250 a\r\n550 b\r\n551 c\r\n354 go\r\n");
    talk.client(".\r\nMAIL FROM:<> SIZE=27\r\nRCPT TO:<d@y.test>\r\nDATA\r\n");
    talk.server("554 no valid recipients\r\n250 a\r\n250 d\r\n354 go\r\n");
    let settled = talk.one();
    assert!(matches!(settled.outcome, Outcome::Refused { reply, stage: Stage::Recipient } if reply.code() == 550));
    talk.commits("Message-ID: <2@test>\r\n\r\n2\r\n.\r\n", &[2]);
}

#[test]
fn a_sender_refused_in_a_stream() {
    let mut talk = Talk::new(plain(), &CHUNKS, two());
    assert!(matches!(talk.poll(), Action::Write { .. }));
    talk.client.written();
    talk.server(
        &[
            "550 5.7.1 No\r\n",
            "503 5.5.1 MAIL first\r\n",
            "503 5.5.1 MAIL first\r\n",
        ]
        .concat(),
    );
    talk.server(&["503 5.5.1 MAIL first\r\n", DONE, OK].concat());
    let settled = talk.one();
    assert!(matches!(settled.outcome, Outcome::Refused { reply, stage: Stage::Sender } if reply.code() == 550));
    assert_eq!(settled.recipients, [Verdict::Unanswered, Verdict::Unanswered]);
    talk.server(&[RCPT_OK, DONE].concat());
    assert!(accepted(&talk.one()));
}

#[test]
fn all_or_nobody() {
    let mut talk = Talk::new(partly(false), &CHUNKS, two());
    talk.client("MAIL FROM:<a@x.test> SIZE=28\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\n");
    talk.server(&[OK, RCPT_OK, "550 5.1.1 Nobody\r\n"].concat());
    let settled = talk.one();
    assert!(matches!(
        settled.outcome,
        Outcome::Refused {
            stage: Stage::Recipient,
            ..
        }
    ));
    assert_eq!(settled.recipients[0], Verdict::Accepted);
    talk.client("RSET\r\nMAIL FROM:<> SIZE=27\r\nRCPT TO:<d@y.test>\r\n");
    talk.server(&[DONE, OK, RCPT_OK].concat());
    talk.commits("BDAT 27 LAST\r\nMessage-ID: <2@test>\r\n\r\n2\r\n", &[2]);
    talk.server(DONE);
    assert!(accepted(&talk.one()));

    let mut talk = Talk::new(partly(false), &GROUPS, two());
    talk.client("MAIL FROM:<a@x.test> SIZE=28\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\n");
    talk.server("250 a\r\n250 b\r\n250 c\r\n");
    talk.client("DATA\r\n");
    talk.server("354 go\r\n");
    talk.commits(
        "Message-ID: <1@test>\r\n\r\n..1\r\n.\r\nMAIL FROM:<> SIZE=27\r\nRCPT TO:<d@y.test>\r\n",
        &[1],
    );
}

#[test]
fn a_421_says_that_the_rest_was_not_done() {
    let mut talk = Talk::new(plain(), &CHUNKS, two());
    assert!(matches!(talk.poll(), Action::Write { .. }));
    talk.client.written();
    talk.server(&[OK, RCPT_OK, RCPT_OK, DONE, "421 4.7.0 Too fast\r\n"].concat());
    let settled = talk.settled();
    assert!(accepted(&settled[0]));
    assert!(matches!(
        &settled[1].outcome,
        Outcome::NotSent(NotSent::Connection(CloseReason::Closing { reply, .. })) if reply.code() == 421
    ));
}

#[test]
fn an_unasked_421_spoils_nothing() {
    let mut talk = Talk::new(plain(), &CHUNKS, two()[..1].to_vec());
    assert!(matches!(talk.poll(), Action::Write { .. }));
    talk.client.written();
    talk.server(&[OK, RCPT_OK, RCPT_OK, DONE, "421 4.7.0 Enough\r\n"].concat());
    assert!(accepted(&talk.one()));
    assert!(matches!(talk.closed(), CloseReason::Closing { stage: Stage::Idle, .. }));
}

#[test]
fn replies_that_make_no_sense_end_the_connection() {
    for (capabilities, replies) in [
        (&GROUPS[..], "250 a\r\n354 b\r\n"),
        (&GROUPS[..], "250 a\r\n250 b\r\n250 c\r\n250 not 354\r\n"),
        (&CHUNKS[..], "550 a\r\n250 2.1.5 b\r\n"),
        (&CHUNKS[..], "250 a\r\n550 b\r\n550 c\r\n250 taken for nobody\r\n"),
        (&CHUNKS[..], "250 a\r\n250 b\r\n250 c\r\n354 go\r\n"),
    ] {
        let mut talk = Talk::new(plain(), capabilities, two());
        assert!(matches!(talk.poll(), Action::Write { .. }));
        talk.client.written();
        talk.server(replies);
        let ending = talk.closed();
        assert!(
            matches!(ending, CloseReason::OutOfStep(OutOfStep::Misplaced { .. })),
            "{replies:?}: {ending:?}"
        );
        assert!(ending.advises_plain_dialogue());
        let settled = talk.settled();
        assert_eq!(settled.len(), 2);
        for end in settled {
            match end.outcome {
                Outcome::Uncertain(_) => assert_eq!(capabilities.len(), CHUNKS.len(), "its end was written"),
                Outcome::NotSent(_) => assert_eq!(capabilities.len(), GROUPS.len(), "its end was not"),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn one_reply_too_many_makes_the_others_doubtful() {
    let mut talk = Talk::new(plain(), &CHUNKS, two()[..1].to_vec());
    assert!(matches!(talk.poll(), Action::Write { .. }));
    talk.client.written();
    talk.server(&[OK, RCPT_OK, RCPT_OK, DONE, DONE].concat());
    assert!(matches!(
        talk.one().outcome,
        Outcome::Uncertain(CloseReason::OutOfStep(OutOfStep::Unasked))
    ));
}

/// A code that names another command condemns nothing while replies go on to fit.
#[test]
fn hints_that_nothing_confirms_cost_no_outcome() {
    for (hint, first) in [
        (
            [OK, RCPT_OK, RCPT_OK, "550 5.1.8 Access denied, bad outbound sender\r\n"],
            false,
        ),
        ([OK, RCPT_OK, RCPT_OK, "250 2.1.5 Taken\r\n"], true),
        ([OK, "250 2.1.0 OK\r\n", "250 2.1.0 OK\r\n", DONE], true),
    ] {
        let mut talk = Talk::new(plain(), &CHUNKS, two());
        assert!(matches!(talk.poll(), Action::Write { .. }));
        talk.client.written();
        talk.server(&hint.concat());
        assert!(
            talk.settled().is_empty(),
            "the replies behind it are still to prove the count"
        );
        talk.server(&[DONE, OK, RCPT_OK, DONE].concat());
        if let Action::Write { bytes, .. } = talk.poll() {
            assert_eq!(bytes, b"EHLO client.test\r\n");
            talk.client.written();
            talk.ehlo(&CHUNKS);
        }
        let settled = talk.settled();
        assert_eq!(accepted(&settled[0]), first, "{hint:?}");
        assert!(
            first
                || matches!(
                    settled[0].outcome,
                    Outcome::Refused {
                        stage: Stage::Content,
                        ..
                    }
                )
        );
        assert!(accepted(&settled[1]));
        talk.ready();
    }
}

/// The one reply that may be somebody else's is asked about, and the answer decides.
#[test]
fn a_last_reply_that_looks_like_another_is_asked_about() {
    let refused = "550 5.1.8 Access denied, bad outbound sender\r\n";
    for (answer, is_certain) in [
        (None, true),
        (Some("421 4.7.0 Bye\r\n"), true),
        (Some("250 2.0.0 Taken\r\n"), false),
        (
            Some("250 2.0.0 Taken\r\n250-mx.test\r\n250-PIPELINING\r\n250 CHUNKING\r\n"),
            false,
        ),
        (Some("250-mx.test\r\n250-PIPELINING\r\n250 CHUNKING\r\n"), true),
    ] {
        let mut talk = Talk::new(plain(), &CHUNKS, two()[..1].to_vec());
        assert!(matches!(talk.poll(), Action::Write { .. }));
        talk.client.written();
        talk.server(&[OK, RCPT_OK, RCPT_OK, refused].concat());
        talk.client("EHLO client.test\r\n");
        match answer {
            Some(answer) => talk.server(answer),
            None => talk.client.connection_lost("closed"),
        }
        let outcome = talk.one().outcome;
        assert_eq!(
            matches!(
                outcome,
                Outcome::Refused {
                    stage: Stage::Content,
                    ..
                }
            ),
            is_certain,
            "{answer:?}: {outcome:?}"
        );
        assert!(is_certain || matches!(outcome, Outcome::Uncertain(CloseReason::OutOfStep(_))));
    }
}

/// Replies that have moved by one place, and look like it at each.
#[test]
fn hints_that_the_count_confirms_end_the_connection() {
    for replies in [
        // One too many before the sender's, and then one that is not there.
        &["250 2.1.5 shifted\r\n", RCPT_OK, DONE, DONE, OK, RCPT_OK, DONE][..],
        &[OK, "250 2.1.0 a\r\n", RCPT_OK, RCPT_OK, DONE, DONE, OK, RCPT_OK][..],
    ] {
        let mut talk = Talk::new(plain(), &CHUNKS, two());
        assert!(matches!(talk.poll(), Action::Write { .. }));
        talk.client.written();
        for reply in replies {
            talk.server(reply);
        }
        match talk.poll() {
            // The one too many comes at last.
            Action::Write {
                bytes: b"EHLO client.test\r\n",
                ..
            } => {
                talk.client.written();
                talk.server(DONE);
            }
            // The one that is missing never comes.
            Action::Read { .. } => talk.client.connection_lost("timed out"),
            other => panic!("{other:?}"),
        }
        for settled in talk.settled() {
            assert!(
                matches!(settled.outcome, Outcome::Uncertain(_)),
                "{replies:?}: {settled:?}"
            );
        }
    }
}

/// A server that answers and then goes has answered.
#[test]
fn a_lost_connection_does_not_undo_what_was_answered() {
    let mut talk = Talk::new(plain(), &GROUPS, two());
    talk.client("MAIL FROM:<a@x.test> SIZE=28\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\nDATA\r\n");
    talk.server("250 a\r\n250 b\r\n250 c\r\n354 go\r\n");
    talk.commits(
        "Message-ID: <1@test>\r\n\r\n..1\r\n.\r\nMAIL FROM:<> SIZE=27\r\nRCPT TO:<d@y.test>\r\nDATA\r\n",
        &[1],
    );
    talk.server("250 taken\r\n");
    talk.client.connection_lost("closed");
    let settled = talk.settled();
    assert!(accepted(&settled[0]));
    assert!(matches!(settled[1].outcome, Outcome::NotSent(NotSent::Connection(_))));

    // All but one command answered is what a lost reply looks like: which one it was nobody can tell.
    let mut talk = Talk::new(plain(), &GROUPS, two());
    talk.client("MAIL FROM:<a@x.test> SIZE=28\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\nDATA\r\n");
    talk.server("250 a\r\n250 b\r\n250 c\r\n354 go\r\n");
    assert!(matches!(talk.poll(), Action::Write { .. }));
    talk.client.written();
    talk.server("250 a\r\n550 d\r\n503 no recipients\r\n");
    talk.client.connection_lost("timed out");
    assert!(matches!(
        talk.settled()[0].outcome,
        Outcome::Uncertain(CloseReason::Lost(_))
    ));
}

/// What the server said before it closed is read, though the write behind it failed.
#[test]
fn a_write_that_fails_does_not_hide_what_was_said() {
    let mut talk = Talk::new(plain(), &GROUPS, two());
    talk.client("MAIL FROM:<a@x.test> SIZE=28\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\nDATA\r\n");
    talk.server("250 a\r\n250 b\r\n250 c\r\n354 go\r\n");
    assert!(matches!(talk.poll(), Action::Write { .. }));
    talk.client.write_failed("broken pipe");
    assert!(!talk.client.wants_more());
    talk.server("250 taken\r\n421 4.7.0 Enough\r\n");
    let settled = talk.settled();
    assert!(accepted(&settled[0]));
    assert!(matches!(
        &settled[1].outcome,
        Outcome::NotSent(NotSent::Connection(CloseReason::Closing { .. }))
    ));
}

#[test]
fn a_chunk_has_no_more_octets_than_it_may() {
    let mut config = plain();
    config.chunk_octets = Some(20);
    let mut talk = Talk::new(config, &CHUNKS, two());
    talk.commits(
        "MAIL FROM:<a@x.test> SIZE=28\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\nBDAT 20\r\n\
         Message-ID: <1@test>BDAT 8 LAST\r\n\r\n\r\n.1\r\n\
         RSET\r\nMAIL FROM:<> SIZE=27\r\nRCPT TO:<d@y.test>\r\nBDAT 20\r\n\
         Message-ID: <2@test>BDAT 7 LAST\r\n\r\n\r\n2\r\n",
        &[1, 2],
    );
    talk.server(&[OK, RCPT_OK, RCPT_OK, "250 2.0.0 20 octets\r\n", DONE].concat());
    talk.server(&[DONE, OK, RCPT_OK, "552 5.3.4 Too much\r\n", "503 5.5.1 No\r\n"].concat());
    let settled = talk.settled();
    assert!(accepted(&settled[0]));
    assert!(
        matches!(&settled[1].outcome, Outcome::Refused { reply, stage: Stage::Content } if reply.code() == 552),
        "{settled:?}"
    );
    talk.client.submit(message(3, "a@x.test", "e@y.test", "").transaction);
    talk.messages.push(message(3, "a@x.test", "e@y.test", ""));
    talk.commits(
        "RSET\r\nMAIL FROM:<a@x.test> SIZE=26\r\nRCPT TO:<e@y.test>\r\nBDAT 20\r\n\
         Message-ID: <3@test>BDAT 6 LAST\r\n\r\n\r\n\r\n",
        &[3],
    );
}

#[test]
fn a_message_that_fits_into_a_chunk_is_one() {
    for octets in [28, 29] {
        let mut config = plain();
        config.chunk_octets = Some(octets);
        let mut talk = Talk::new(config, &CHUNKS, vec![two().remove(0)]);
        talk.commits(
            "MAIL FROM:<a@x.test> SIZE=28\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\nBDAT 28 LAST\r\n\
             Message-ID: <1@test>\r\n\r\n.1\r\n",
            &[1],
        );
    }
}

#[test]
fn a_message_that_is_taken_after_one_of_its_chunks_was_refused_is_uncertain() {
    let mut config = plain();
    config.chunk_octets = Some(20);
    let mut talk = Talk::new(config, &CHUNKS, vec![two().remove(0)]);
    assert!(matches!(talk.poll(), Action::Write { .. }));
    talk.client.written();
    talk.server(&[OK, RCPT_OK, RCPT_OK, "552 5.3.4 Too much\r\n", DONE].concat());
    assert!(matches!(talk.one().outcome, Outcome::Uncertain(_)));
}

/// The messages of [`two`], with everything that RFC 3461 knows.
fn with_notifications() -> Vec<Message> {
    let mut messages = two();
    for message in &mut messages {
        message.transaction.dsn = DsnRequest {
            notify: Some("success,failure".parse().unwrap()),
            ret: Some(Return::Headers),
            envelope_id: Some(EnvelopeId::parse("run 7").unwrap()),
        };
    }
    messages
}

#[test]
fn notifications_are_asked_for_where_dsn_is_offered() {
    let mut talk = Talk::new(plain(), &["PIPELINING", "DSN"], with_notifications());
    talk.client(
        "MAIL FROM:<a@x.test> RET=HDRS ENVID=run+207\r\n\
         RCPT TO:<b@y.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@y.test\r\n\
         RCPT TO:<c@y.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;c@y.test\r\nDATA\r\n",
    );
    let mut talk = Talk::new(piped(Pipelining::Off), &["DSN", "SIZE 1000"], with_notifications());
    talk.client("MAIL FROM:<a@x.test> SIZE=28 RET=HDRS ENVID=run+207\r\n");
    talk.server(OK);
    talk.client("RCPT TO:<b@y.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@y.test\r\n");
}

#[test]
fn no_notification_is_asked_for_where_dsn_is_not_offered_and_where_none_is_wanted() {
    let plain_group = "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\nDATA\r\n";
    Talk::new(plain(), &["PIPELINING"], with_notifications()).client(plain_group);
    Talk::new(plain(), &["PIPELINING", "DSN"], two()).client(plain_group);
}
