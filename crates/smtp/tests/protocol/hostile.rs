//! Servers that say anything at all. The client must not panic, hang or lose a message's outcome; what it says it sent it
//! must have announced and written; and what it writes must be commands and content of ours.

use std::collections::BTreeSet;

use pipepost_smtp::{Action, Client, Id, Outcome, Pipelining, Security};
use proptest::prelude::*;

use crate::driver::{config, message};

/// What a server may say next.
fn utterance() -> impl Strategy<Value = Vec<u8>> {
    let reply = prop_oneof![
        8 => "250 (2\\.[01]\\.[05] )?ok\r\n",
        3 => "354 go\r\n",
        1 => "(220|235|421|450|452 4\\.5\\.3|503|550 5\\.[17]\\.1) no\r\n",
        1 => "250-a\r\n(250-(PIPELINING|CHUNKING|STARTTLS|SIZE [0-9]{1,3}|AUTH PLAIN|8BITMIME)\r\n){0,3}250 ENHANCEDSTATUSCODES\r\n",
        1 => "[ -~\r\n]{0,12}",
    ];
    prop_oneof![20 => reply.prop_map(String::into_bytes), 1 => prop::collection::vec(any::<u8>(), 0..20)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_server_that_says_anything(
        utterances in prop::collection::vec(utterance(), 0..40),
        greeting in prop_oneof![4 => Just(true), 1 => Just(false)],
        security in prop_oneof![2 => Just(Security::None), 1 => Just(Security::StartTls), 1 => Just(Security::Tls)],
        pipelining in prop_oneof![Just(Pipelining::Full), Just(Pipelining::Transaction), Just(Pipelining::Off)],
        sign_in: bool,
        send_partial: bool,
        memo in prop::option::of(prop::collection::vec(any::<u8>(), 0..30)),
        refused in prop::option::of(0usize..3),
    ) {
        let mut config = config(security);
        (config.pipelining, config.send_partial) = (pipelining, send_partial);
        if sign_in {
            config.mechanisms.push("PLAIN".into());
        }
        let mut client = match memo {
            Some(memo) => Client::resume(config, &memo, true),
            None => Client::new(config),
        };
        let messages: Vec<_> =
            (0..4).map(|id| message(id, "a@x.test", ["b@y.test", "b@y.test c@y.test"][id as usize % 2], ".x")).collect();
        messages.iter().for_each(|message| client.submit(message.transaction.clone()));

        let sensible = [
            "220 hello\r\n",
            "250-me\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-STARTTLS\r\n250-AUTH PLAIN\r\n250 ENHANCEDSTATUSCODES\r\n",
        ];
        let opening = sensible.iter().filter(|_| greeting).map(|text| text.as_bytes().to_vec());
        let mut words = opening.chain(utterances);
        let mut announced = BTreeSet::new();
        let mut announcements = 0;
        let mut written = Vec::new();
        for turn in 0.. {
            prop_assert!(turn < 10_000, "no end");
            match client.poll() {
                Action::Write { bytes, commits, .. } => {
                    prop_assert!(!bytes.is_empty());
                    if !commits.is_empty() {
                        announcements += 1;
                        if refused == Some(announcements - 1) {
                            client.withhold();
                            continue;
                        }
                    }
                    announced.extend(commits.iter().copied());
                    written.extend_from_slice(bytes);
                    client.written();
                }
                Action::Content { id, .. } => client.supply(&messages[id.0 as usize].content),
                Action::Read { .. } => match words.next() {
                    Some(bytes) => client.handle_bytes(&bytes),
                    None => client.connection_lost("closed"),
                },
                Action::StartTls { .. } => client.tls_started(),
                Action::SignIn { .. } => {
                    let reply = words.next().unwrap_or_default();
                    client.signed_in(&reply, reply.starts_with(b"2"));
                }
                Action::Ready => client.quit(),
                Action::Close(_) => break,
            }
        }
        let settled: Vec<_> = std::iter::from_fn(|| client.poll_settled()).collect();
        let ids: BTreeSet<_> = settled.iter().map(|end| end.id).collect();
        prop_assert_eq!(settled.len(), 4);
        prop_assert_eq!(ids, (0..4).map(Id).collect());
        for end in settled {
            let claims = matches!(end.outcome, Outcome::Accepted { .. } | Outcome::Uncertain(_));
            prop_assert!(!claims || announced.contains(&end.id), "{:?}", end);
        }
        for line in String::from_utf8(written).unwrap().split_terminator("\r\n") {
            let known = ["EHLO client.test", "HELO client.test", "STARTTLS", "RSET", "DATA", "QUIT", "", ".", ".x", "..x"];
            let starts = ["MAIL FROM:<a@x.test>", "RCPT TO:<", "BDAT ", "Message-ID: <"];
            prop_assert!(known.contains(&line) || starts.iter().any(|start| line.starts_with(start)), "{:?}", line);
        }
    }
}
