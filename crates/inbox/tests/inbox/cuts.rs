//! The dialogue cut before every byte of either direction: what a client's own tests will lean on.

use pipepost_inbox::{Script, Security, Service, Settings};

use crate::talk::Talk;

const DIALOGUE: &[&str] = &[
    "EHLO x.example\r\n",
    "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n",
    "one\r\n.\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5 LAST\r\ntwo\r\n",
    "QUIT\r\n",
];

/// What the server sent, how many messages it stored, and how it closed.
fn run(script: Script) -> (String, usize, Option<bool>) {
    let service = Service::with_script(Settings::default(), script);
    let mut talk = Talk::with(&service, Security::Plain);
    let mut said = talk.say("");
    for bytes in DIALOGUE {
        said.push_str(&talk.say(bytes));
    }
    let stored = talk.messages().len();
    (said, stored, talk.closed())
}

#[test]
fn after_every_byte_from_the_client() {
    let dialogue = DIALOGUE.concat();
    let (whole, ..) = run(Script::new());
    let ends = [
        dialogue.find(".\r\n").unwrap() + 3,
        dialogue.find("two\r\n").unwrap() + 5,
    ];
    for cut in 0..dialogue.len() as u64 {
        let (said, stored, closed) = run(Script::new().cut_received(cut));
        assert_eq!(
            stored,
            ends.iter().filter(|&&end| end as u64 <= cut).count(),
            "cut after {cut}"
        );
        assert_eq!(closed, Some(true), "cut after {cut}");
        assert!(
            whole.starts_with(&said) && said.len() < whole.len(),
            "cut after {cut}: {said}"
        );
    }
    assert_eq!(
        run(Script::new().cut_received(dialogue.len() as u64 + 1)).2,
        Some(false)
    );
}

#[test]
fn after_every_byte_to_the_client() {
    let (whole, stored, closed) = run(Script::new());
    assert_eq!((stored, closed), (2, Some(false)));
    let data = whole.find("354").unwrap();
    for cut in 0..whole.len() {
        let (said, stored, closed) = run(Script::new().cut_sent(cut as u64));
        assert_eq!(said, whole[..cut], "cut after {cut}");
        assert_eq!(closed, Some(true), "cut after {cut}");
        // What came in one group with the reply that was cut has been carried out all the same.
        let expected = if cut <= data + whole[data..].find('\n').unwrap() + 1 {
            0
        } else {
            2
        };
        assert_eq!(stored, expected, "cut after {cut}");
    }
}

/// Whatever a client sends and whatever the script does, the session neither panics nor reads on after its close.
#[test]
fn random_dialogues_under_random_scripts_come_to_no_harm() {
    const CLIENT: &[&[u8]] = &[
        b"EHLO x.example\r\n",
        b"HELO x\r\n",
        b"STARTTLS\r\n",
        b"AUTH PLAIN AGEAYg==\r\n",
        b"AUTH LOGIN\r\n",
        b"YQ==\r\n",
        b"*\r\n",
        b"MAIL FROM:<a@b>\r\n",
        b"RCPT TO:<c@d>\r\n",
        b"RCPT TO:<x>\r\n",
        b"DATA\r\n",
        b"text\r\n",
        b".\r\n",
        b"BDAT 4\r\nabcd",
        b"BDAT 0 LAST\r\n",
        b"BDAT 99999999999999999999\r\n",
        b"BDAT 18446744073709551615 LAST\r\n",
        b"RSET\r\n",
        b"NOOP\r\n",
        b"\n",
        b"\r",
        b"\0\xff",
        b"VRFY x\r\n",
        b"QUIT\r\n",
        b"",
        b"AUTH XOAUTH2 eA==\r\n",
    ];
    const SENSIBLE: &[&[u8]] = &[
        b"EHLO x.example\r\n",
        b"MAIL FROM:<a@b>\r\n",
        b"RCPT TO:<c@d>\r\n",
        b"BDAT 4\r\nabcd",
        b"BDAT 0 LAST\r\n",
        b"MAIL FROM:<a@b>\r\n",
        b"RCPT TO:<c@d>\r\n",
        b"DATA\r\n",
        b"text\r\n.\r\n",
        b"RSET\r\n",
    ];
    const ACTIONS: &[&str] = &[
        r#""regular""#,
        r#"{"reply": "250 x"}"#,
        r#"{"reply": "354 x"}"#,
        r#"{"reply": ""}"#,
        r#"{"raw": "\u0000"}"#,
        r#"{"raw": ""}"#,
        r#"{"flood": {"pattern": "ab", "bytes": 5}}"#,
        r#"{"flood": {"pattern": "", "bytes": 5}}"#,
        r#""silence""#,
        r#""close""#,
        r#""abort""#,
        r#"{"delay_ms": 0}"#,
        r#"{"hold": "x"}"#,
        r#"{"strip": "SIZE"}"#,
        r#"{"strip": ""}"#,
        r#"{"offer": "X"}"#,
        r#"{"pace": {"bytes": 0}}"#,
        r#"{"pace": {"bytes": 2, "pause_ms": 1}}"#,
        r#"{"cut_after": 3}"#,
        r#"{"echo": {"code": "535", "decoded": true}}"#,
        r#"{"echo": {"code": ""}}"#,
    ];
    const PLACES: &[&str] = &[
        "greeting",
        "ehlo",
        "starttls",
        "auth",
        "auth-response",
        "sign-in",
        "mail",
        "rcpt",
        "data",
        "bdat",
        "content",
        "any",
    ];
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        // xorshift64: any sequence does, as long as it is the same one every time.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    let securities = [Security::Plain, Security::StartTls, Security::Implicit];
    let (mut stored, mut closed) = (0, 0);
    for _ in 0..3_000 {
        let mut rules = Vec::new();
        for _ in 0..random(4) {
            let (at, one, two) = (
                PLACES[random(PLACES.len())],
                ACTIONS[random(ACTIONS.len())],
                ACTIONS[random(ACTIONS.len())],
            );
            let obey = ["null", "true", "false"][random(3)];
            rules.push(format!(
                r#"{{"at": "{at}", "nth": {}, "obey": {obey}, "do": [{one}, {two}]}}"#,
                1 + random(2)
            ));
        }
        let script = Script::from_json(&format!(r#"{{"rules": [{}]}}"#, rules.join(","))).unwrap();
        let service = Service::with_script(Settings::default(), script);
        let mut talk = Talk::with(&service, securities[random(3)]);
        talk.say("");
        let mut sensible = SENSIBLE.iter().copied().cycle();
        for _ in 0..30 {
            let sensible = (random(8) != 0).then(|| sensible.next()).flatten();
            talk.say(sensible.unwrap_or(CLIENT[random(CLIENT.len())]));
            match random(4) {
                0 => _ = talk.handshake(),
                1 => {
                    talk.session.handle_wait_over();
                    talk.drain();
                }
                _ => {}
            }
        }
        stored += talk.messages().len();
        if talk.closed().is_some() {
            closed += 1;
            assert_eq!(talk.say("NOOP\r\nNOOP\r\n"), "");
        }
    }
    assert!(
        stored > 50 && closed > 500,
        "the dialogues lead somewhere: {stored} messages, {closed} closed"
    );
}
