//! The dialogue in each mode, byte for byte.

use std::time::Duration;

use pipepost_smtp::{
    Action, Client, Config, ContentError, Ending, Id, NotSent, OutOfStep, Outcome, Pipelining, Security, Settled,
    Stage, Verdict,
};

use crate::driver::{Message, config, message};

/// A client and what it is asked to send, spoken to line by line.
struct Talk {
    client: Client,
    messages: Vec<Message>,
}

impl Talk {
    /// On a connection on which the server has greeted and answered EHLO.
    fn new(config: Config, capabilities: &[&str], messages: Vec<Message>) -> Self {
        let mut talk = Self {
            client: Client::new(config),
            messages,
        };
        talk.server("220 mx.test ESMTP\r\n");
        talk.client("EHLO client.test\r\n");
        talk.ehlo(capabilities);
        talk.messages
            .iter()
            .for_each(|message| talk.client.submit(message.transaction.clone()));
        talk
    }

    fn ehlo(&mut self, capabilities: &[&str]) {
        let mut lines = vec!["mx.test"];
        lines.extend(capabilities);
        let last = lines.pop().unwrap();
        let reply: String = lines.iter().map(|line| format!("250-{line}\r\n")).collect();
        self.server(&format!("{reply}250 {last}\r\n"));
    }

    fn server(&mut self, reply: &str) {
        assert!(matches!(self.poll(), Action::Read { .. }), "{:?}", self.client.poll());
        self.client.handle_bytes(reply.as_bytes());
    }

    /// The client writes exactly this, and it commits nothing.
    fn client(&mut self, expected: &str) {
        self.commits(expected, &[]);
    }

    fn commits(&mut self, expected: &str, expected_commits: &[u32]) {
        match self.poll() {
            Action::Write { bytes, commits, .. } => {
                assert_eq!(String::from_utf8_lossy(bytes), expected);
                assert_eq!(commits.iter().map(|id| id.0).collect::<Vec<_>>(), expected_commits);
            }
            other => panic!("{other:?} instead of {expected:?}"),
        }
        self.client.written();
    }

    /// The next action that is not about content.
    fn poll(&mut self) -> Action<'_> {
        while let Action::Content { id, .. } = self.client.poll() {
            let message = self
                .messages
                .iter()
                .find(|message| message.transaction.id == id)
                .unwrap();
            self.client.supply(&message.content);
        }
        self.client.poll()
    }

    fn settled(&mut self) -> Vec<Settled> {
        std::iter::from_fn(|| self.client.poll_settled()).collect()
    }

    fn one(&mut self) -> Settled {
        let mut settled = self.settled();
        assert_eq!(settled.len(), 1, "{settled:?}");
        settled.remove(0)
    }

    fn closed(&mut self) -> Ending {
        match self.poll() {
            Action::Close(ending) => ending.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn ready(&mut self) {
        assert_eq!(self.poll(), Action::Ready);
    }
}

const GROUPS: [&str; 2] = ["PIPELINING", "SIZE 1000"];
const CHUNKS: [&str; 4] = ["PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES", "SIZE 1000"];

fn plain() -> Config {
    config(Security::None)
}

fn partly(send_partial: bool) -> Config {
    let mut config = plain();
    config.send_partial = send_partial;
    config
}

fn piped(pipelining: Pipelining) -> Config {
    let mut config = plain();
    config.pipelining = pipelining;
    config
}

fn two() -> Vec<Message> {
    vec![
        message(1, "a@x.test", "b@y.test c@y.test", ".1"),
        message(2, "", "d@y.test", "2"),
    ]
}

fn accepted(settled: &Settled) -> bool {
    matches!(settled.outcome, Outcome::Accepted { .. })
}

const OK: &str = "250 2.1.0 OK\r\n";
const RCPT_OK: &str = "250 2.1.5 OK\r\n";
const DONE: &str = "250 2.0.0 Taken\r\n";

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
fn starttls_then_a_mechanism_then_quit() {
    let mut config = config(Security::StartTls);
    config.mechanisms = vec!["OAUTHBEARER".into(), "plain".into(), "LOGIN".into()];
    let mut talk = Talk::new(config, &["STARTTLS", "CHUNKING", "AUTH OAUTHBEARER"], vec![]);
    talk.client("STARTTLS\r\n");
    talk.server("220 2.0.0 Go\r\n");
    assert!(matches!(talk.poll(), Action::StartTls { .. }));
    talk.client.tls_started();
    assert!(
        !talk.client.capabilities().chunking,
        "what was learnt in clear is forgotten"
    );
    talk.client("EHLO client.test\r\n");
    talk.ehlo(&["AUTH LOGIN PLAIN"]);
    assert!(matches!(talk.poll(), Action::SignIn { mechanism: "PLAIN", .. }));
    talk.client.signed_in(b"235 2.7.0 Accepted\r\n", true);
    talk.ready();
    talk.client.quit();
    talk.client("QUIT\r\n");
    assert_eq!(talk.closed(), Ending::Finished);
}

#[test]
fn injected_bytes_before_tls_end_the_connection() {
    for injected in [
        "220 Go\r\n250 injected\r\n",
        "220 Go\r\n2",
        "220 Go\r\n\0",
        "220 Go\r\n421 x\r\n",
    ] {
        let mut talk = Talk::new(config(Security::StartTls), &["STARTTLS"], two());
        talk.client("STARTTLS\r\n");
        talk.server(injected);
        assert_eq!(talk.closed(), Ending::Injected, "{injected:?}");
        assert_eq!(talk.settled().len(), 2);
    }
    // What comes in while the handshake is due, and is handed over all the same.
    let mut talk = Talk::new(config(Security::StartTls), &["STARTTLS"], vec![]);
    talk.client("STARTTLS\r\n");
    talk.server("220 Go\r\n");
    talk.client.handle_bytes(b"250 late\r\n");
    assert_eq!(talk.closed(), Ending::Injected);
}

#[test]
fn starttls_stripped_or_refused() {
    let mut talk = Talk::new(config(Security::StartTls), &["PIPELINING"], vec![]);
    assert_eq!(talk.closed(), Ending::StartTlsMissing);
    let mut talk = Talk::new(config(Security::StartTls), &["STARTTLS"], vec![]);
    talk.client("STARTTLS\r\n");
    talk.server("454 4.7.0 TLS not available\r\n");
    assert!(matches!(talk.closed(), Ending::StartTlsRefused(reply) if reply.code() == 454));
}

#[test]
fn mechanisms_that_do_not_meet() {
    let mut wanted = config(Security::Tls);
    wanted.mechanisms = vec!["XOAUTH2".into()];
    let mut talk = Talk::new(wanted.clone(), &["AUTH LOGIN PLAIN"], vec![]);
    assert_eq!(
        talk.closed(),
        Ending::NoMechanism {
            offered: vec!["LOGIN".into(), "PLAIN".into()]
        }
    );
    let mut talk = Talk::new(wanted.clone(), &[], vec![]);
    assert_eq!(talk.closed(), Ending::NoMechanism { offered: vec![] });

    let mut talk = Talk::new(wanted, &["AUTH XOAUTH2"], vec![message(1, "a@x.test", "b@y.test", "1")]);
    assert!(matches!(
        talk.poll(),
        Action::SignIn {
            mechanism: "XOAUTH2",
            ..
        }
    ));
    talk.client
        .signed_in(b"535-5.7.8 Username and Password\r\n535 5.7.8 not accepted\r\n", false);
    let ending = talk.closed();
    assert_eq!(
        ending.reply().map(|reply| reply.text()),
        Some("Username and Password not accepted".into())
    );
    assert_eq!(talk.one().outcome, Outcome::NotSent(NotSent::Connection(ending)));
}

#[test]
fn helo_for_those_who_know_no_ehlo() {
    let mut talk = Talk {
        client: Client::new(plain()),
        messages: vec![],
    };
    talk.server("220 old\r\n");
    talk.client("EHLO client.test\r\n");
    talk.server("502 what\r\n");
    talk.client("HELO client.test\r\n");
    talk.server("250 old\r\n");
    talk.ready();

    for security in [Security::Tls, Security::StartTls] {
        let mut talk = Talk {
            client: Client::new(config(security)),
            messages: vec![],
        };
        talk.server("220 old\r\n");
        talk.client("EHLO client.test\r\n");
        talk.server("502 what\r\n");
        assert!(matches!(
            talk.closed(),
            Ending::Refused {
                stage: Stage::Hello,
                ..
            }
        ));
    }
}

#[test]
fn a_greeting_that_is_none() {
    for (greeting, stage) in [
        ("554 No service\r\n", Stage::Greeting),
        ("450 busy\r\n", Stage::Greeting),
    ] {
        let mut talk = Talk {
            client: Client::new(plain()),
            messages: vec![],
        };
        talk.server(greeting);
        assert!(matches!(talk.closed(), Ending::Refused { stage: at, .. } if at == stage));
    }
    let mut talk = Talk {
        client: Client::new(plain()),
        messages: vec![],
    };
    talk.server("421 4.3.2 Closing\r\n");
    assert!(matches!(
        talk.closed(),
        Ending::Closing {
            stage: Stage::Greeting,
            ..
        }
    ));
}

#[test]
fn a_warm_connection() {
    let mut talk = Talk::new(plain(), &CHUNKS, vec![]);
    talk.ready();
    let memo = talk.client.memo().unwrap();
    assert!(memo.len() <= 4096);

    let mut warm = Talk {
        client: Client::resume(plain(), &memo, false),
        messages: two(),
    };
    warm.ready();
    warm.client.submit(warm.messages[1].transaction.clone());
    warm.commits(
        "MAIL FROM:<> SIZE=27\r\nRCPT TO:<d@y.test>\r\nBDAT 27 LAST\r\nMessage-ID: <2@test>\r\n\r\n2\r\n",
        &[2],
    );
    assert!(warm.client.memo().is_none(), "a reply is outstanding");
    warm.server(&["550 5.7.1 No\r\n", "503 5.5.1 x\r\n", "503 5.5.1 x\r\n"].concat());
    warm.ready();

    // The next one knows that something may have remained.
    let memo = warm.client.memo().unwrap();
    let mut next = Talk {
        client: Client::resume(plain(), &memo, false),
        messages: two(),
    };
    next.client.submit(next.messages[1].transaction.clone());
    next.commits(
        "RSET\r\nMAIL FROM:<> SIZE=27\r\nRCPT TO:<d@y.test>\r\nBDAT 27 LAST\r\nMessage-ID: <2@test>\r\n\r\n2\r\n",
        &[2],
    );

    let mut probed = Talk {
        client: Client::resume(plain(), &memo, true),
        messages: vec![],
    };
    probed.client("RSET\r\n");
    probed.server("250 2.0.0 Fine\r\n");
    probed.ready();

    let mut config = plain();
    config.mechanisms = vec!["PLAIN".into()];
    for hostile in [
        &b""[..],
        b"\xff",
        b"pipepost-smtp 1 clean\nSIZE 1\nEVIL\n",
        b"pipepost-smtp 9 clean\n",
    ] {
        let mut fresh = Talk {
            client: Client::resume(config.clone(), hostile, true),
            messages: vec![],
        };
        fresh.client("EHLO client.test\r\n");
        fresh.ehlo(&["AUTH LOGIN"]);
        fresh.ready();
    }
}

#[test]
fn a_connection_that_died_in_the_pool_costs_nothing() {
    let mut talk = Talk {
        client: Client::resume(plain(), b"pipepost-smtp 1 clean\n", true),
        messages: vec![],
    };
    talk.client.submit(message(1, "a@x.test", "b@y.test", "1").transaction);
    talk.client("RSET\r\n");
    talk.server("421 4.4.2 Timeout\r\n");
    assert!(matches!(
        talk.closed(),
        Ending::Closing {
            stage: Stage::Reset,
            ..
        }
    ));
    assert!(matches!(talk.one().outcome, Outcome::NotSent(NotSent::Connection(_))));
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
        Outcome::NotSent(NotSent::Connection(Ending::Closing { reply, .. })) if reply.code() == 421
    ));
}

#[test]
fn an_unasked_421_spoils_nothing() {
    let mut talk = Talk::new(plain(), &CHUNKS, two()[..1].to_vec());
    assert!(matches!(talk.poll(), Action::Write { .. }));
    talk.client.written();
    talk.server(&[OK, RCPT_OK, RCPT_OK, DONE, "421 4.7.0 Enough\r\n"].concat());
    assert!(accepted(&talk.one()));
    assert!(matches!(talk.closed(), Ending::Closing { stage: Stage::Idle, .. }));
}

#[test]
fn replies_that_make_no_sense_end_the_connection() {
    for (capabilities, replies) in [
        (&GROUPS[..], "250 a\r\n354 b\r\n"),
        (&GROUPS[..], "250 a\r\n250 b\r\n250 c\r\n250 not 354\r\n"),
        (&CHUNKS[..], "250 2.1.5 shifted\r\n"),
        (&CHUNKS[..], "250 2.1.0 a\r\n250 2.1.0 shifted\r\n"),
        (&CHUNKS[..], "550 a\r\n250 2.1.5 b\r\n"),
        (&CHUNKS[..], "250 a\r\n550 b\r\n550 c\r\n250 taken for nobody\r\n"),
        (&CHUNKS[..], "250 a\r\n250 b\r\n250 c\r\n250 2.1.5 shifted\r\n"),
        (&CHUNKS[..], "250 a\r\n250 b\r\n250 c\r\n354 go\r\n"),
    ] {
        let mut talk = Talk::new(plain(), capabilities, two());
        assert!(matches!(talk.poll(), Action::Write { .. }));
        talk.client.written();
        talk.server(replies);
        let ending = talk.closed();
        assert!(
            matches!(ending, Ending::OutOfStep(OutOfStep::Misplaced { .. })),
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
        Outcome::Uncertain(Ending::OutOfStep(OutOfStep::Unasked))
    ));
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
    talk.client.withhold("claimed");
    let settled = talk.settled();
    assert_eq!(settled.len(), 2);
    assert!(
        settled
            .iter()
            .all(|end| end.outcome == Outcome::NotSent(NotSent::Withheld("claimed".into())))
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
    talk.client.withhold("ending");
    assert_eq!(talk.closed(), Ending::Withheld);
    let settled = talk.settled();
    assert!(matches!(settled[0].outcome, Outcome::NotSent(NotSent::Withheld(_))));
    assert!(matches!(
        settled[1].outcome,
        Outcome::NotSent(NotSent::Connection(Ending::Withheld))
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
    assert_eq!(talk.closed(), Ending::Content(ContentError::BareLineEnd));
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
        assert!(matches!(talk.one().outcome, Outcome::Uncertain(Ending::Lost(_))));
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
            assert_eq!(talk.closed(), Ending::Content(why.clone()));
            assert_eq!(talk.one().outcome, Outcome::NotSent(NotSent::Content(why)));
        } else {
            talk.client.connection_lost("reset");
            assert!(matches!(
                talk.one().outcome,
                Outcome::NotSent(NotSent::Connection(Ending::Lost(_)))
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
    // Nothing new until half of the window is free, then as many as are free.
    let done = |n: usize| [DONE, OK, RCPT_OK, DONE].concat().repeat(n);
    talk.server(&[OK, RCPT_OK, DONE].concat());
    talk.server(&done(6));
    assert!(matches!(talk.poll(), Action::Read { .. }));
    assert!(!talk.client.wants_more());
    talk.server(&done(1));
    assert!(matches!(talk.poll(), Action::Write { commits, .. } if commits.len() == 8));

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
    talk.client.withhold("why");
    talk.client.supply(b"what");
    talk.client.fail_content("why");
    talk.client.tls_started();
    talk.client.signed_in(b"", false);
    talk.ready();
    talk.client.connection_lost("gone");
    assert_eq!(talk.closed(), Ending::Lost("gone".into()));
    talk.client.connection_lost("again");
    talk.client.handle_bytes(b"250 x\r\n");
    assert_eq!(talk.closed(), Ending::Lost("gone".into()));
    talk.client.submit(message(1, "a@x.test", "b@y.test", "1").transaction);
    assert!(matches!(
        talk.one().outcome,
        Outcome::NotSent(NotSent::Connection(Ending::Lost(_)))
    ));
}
