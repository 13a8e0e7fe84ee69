//! From the greeting to the first transaction, and from one client on a connection to the next.

use pipepost_smtp::{Action, Client, CloseReason, NotSent, Outcome, Security, Stage};

use crate::driver::{config, message};
use crate::talk::{CHUNKS, Talk, plain, two};

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
    assert_eq!(talk.closed(), CloseReason::Finished);
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
        assert_eq!(talk.closed(), CloseReason::Injected, "{injected:?}");
        assert_eq!(talk.settled().len(), 2);
    }
    // What comes in while the handshake is due, and is handed over all the same.
    let mut talk = Talk::new(config(Security::StartTls), &["STARTTLS"], vec![]);
    talk.client("STARTTLS\r\n");
    talk.server("220 Go\r\n");
    talk.client.handle_bytes(b"250 late\r\n");
    assert_eq!(talk.closed(), CloseReason::Injected);
}

#[test]
fn starttls_stripped_or_refused() {
    let mut talk = Talk::new(config(Security::StartTls), &["PIPELINING"], vec![]);
    assert_eq!(talk.closed(), CloseReason::StartTlsMissing);
    let mut talk = Talk::new(config(Security::StartTls), &["STARTTLS"], vec![]);
    talk.client("STARTTLS\r\n");
    talk.server("454 4.7.0 TLS not available\r\n");
    assert!(matches!(talk.closed(), CloseReason::StartTlsRefused(reply) if reply.code() == 454));
}

#[test]
fn a_greeting_behind_a_refusal_is_no_greeting() {
    let mut client = Client::new(config(Security::Tls));
    client.handle_bytes(b"421 4.7.1 mx.test Error: No client certificate presented\r\n220 mx.test ESMTP\r\n");
    let Action::Close(CloseReason::Closing { reply, .. }) = client.poll() else {
        panic!("it goes on");
    };
    assert!(reply.to_string().contains("No client certificate"), "{reply}");
}

#[test]
fn a_certificate_signs_in_where_external_is_offered() {
    let mut wanted = config(Security::Tls);
    wanted.mechanisms = vec!["EXTERNAL".into()];
    let letter = || vec![message(1, "a@x.test", "b@y.test", "1")];
    let mut talk = Talk::new(wanted.clone(), &["AUTH PLAIN EXTERNAL"], letter());
    assert!(matches!(
        talk.poll(),
        Action::SignIn {
            mechanism: "EXTERNAL",
            ..
        }
    ));
    for offers in [&["AUTH PLAIN"][..], &[]] {
        let mut talk = Talk::new(wanted.clone(), offers, letter());
        assert!(
            matches!(talk.poll(), Action::Ready | Action::Write { .. }),
            "{offers:?}"
        );
    }
    // Together with others it is one of them.
    wanted.mechanisms.push("XOAUTH2".into());
    let mut talk = Talk::new(wanted, &["AUTH PLAIN"], vec![]);
    assert!(matches!(talk.closed(), CloseReason::NoMechanism { .. }));
}

#[test]
fn mechanisms_that_do_not_meet() {
    let mut wanted = config(Security::Tls);
    wanted.mechanisms = vec!["XOAUTH2".into()];
    let mut talk = Talk::new(wanted.clone(), &["AUTH LOGIN PLAIN"], vec![]);
    assert_eq!(
        talk.closed(),
        CloseReason::NoMechanism {
            offered: vec!["LOGIN".into(), "PLAIN".into()],
            wanted: vec!["XOAUTH2".into()],
        }
    );
    let mut talk = Talk::new(wanted.clone(), &[], vec![]);
    assert_eq!(
        talk.closed(),
        CloseReason::NoMechanism {
            offered: vec![],
            wanted: vec!["XOAUTH2".into()],
        }
    );

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
            CloseReason::Refused {
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
        assert!(matches!(talk.closed(), CloseReason::Refused { stage: at, .. } if at == stage));
    }
    let mut talk = Talk {
        client: Client::new(plain()),
        messages: vec![],
    };
    talk.server("421 4.3.2 Closing\r\n");
    assert!(matches!(
        talk.closed(),
        CloseReason::Closing {
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
        CloseReason::Closing {
            stage: Stage::Reset,
            ..
        }
    ));
    assert!(matches!(talk.one().outcome, Outcome::NotSent(NotSent::Connection(_))));
}

#[test]
fn what_follows_a_421_changes_nothing() {
    for rest in [
        "",
        "421 4.7.1 No certificate\r\n",
        "421 4.7",
        "500 5.5.2 What\r\n",
        "no reply",
    ] {
        let mut client = Client::new(config(Security::None));
        assert!(matches!(client.poll(), Action::Read { .. }));
        client.handle_bytes(format!("421 4.7.1 No certificate\r\n{rest}").as_bytes());
        assert!(
            matches!(
                client.poll(),
                Action::Close(CloseReason::Closing {
                    stage: Stage::Greeting,
                    ..
                })
            ),
            "{rest:?}"
        );
    }
}
