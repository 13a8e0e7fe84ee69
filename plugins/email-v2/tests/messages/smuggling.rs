//! No parameter can write a header, a recipient or a line of its own.

use std::collections::BTreeMap;

use pipepost_email_v2::failure::FailureKind;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common::{Memory, assert_travels, header_section, octets, try_message};

/// Texts that try: line ends of all kinds, NUL, encoded words, quotes, boundaries, and ordinary characters between.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("\0".to_owned()),
        Just("\r\n\r\n".to_owned()),
        Just("\u{2028}".to_owned()),
        Just("\u{85}".to_owned()),
        Just("\t".to_owned()),
        Just("Bcc: victim@evil.example".to_owned()),
        Just("=?utf-8?q?=0D=0ABcc:?=".to_owned()),
        Just("\r\n.\r\nMAIL FROM:<x@evil.example>\r\n".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("<".to_owned()),
        Just(">, ".to_owned()),
        Just("@x.example".to_owned()),
        Just("(".to_owned()),
        Just(";".to_owned()),
        Just(" ".repeat(90)),
        Just("=20\u{e9}日本🚀".to_owned()),
        Just("W".repeat(1200)),
        "[ -~]{1,12}",
        "\\PC{1,6}",
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// Every parameter that could reach the message, with one of them hostile.
fn parameters(place: usize, text: &str) -> Value {
    let mut value = json!({
        "from": {"name": "Ana", "address": "a@x.example"}, "to": [{"name": "Bo", "address": "b@y.example"}],
        "cc": "c@y.example", "bcc": "d@y.example", "replyTo": "e@y.example", "envelopeFrom": "f@x.example",
        "subject": "Hi", "body": "<p>Hi</p>", "text": "Hi", "headers": {"X-One": "1"}, "inReplyTo": "<g@h>",
        "references": ["<i@j>"], "messageId": "<k@l>", "listUnsubscribe": "https://x.example/u", "priority": "high",
        "icalEvent": {"content": "BEGIN:VCALENDAR\nEND:VCALENDAR\n", "method": "REQUEST", "filename": "i.ics"},
        "attachments": [{"attachment": "n.txt", "content": "x", "mediaType": "text/plain"}], "charset": "UTF-8",
    });
    let text = Value::from(text);
    match place {
        0 => value["from"] = text,
        1 => value["from"]["name"] = text,
        2 => value["from"]["address"] = text,
        3 => value["to"] = text,
        4 => value["to"][0]["name"] = text,
        5 => value["to"][0]["address"] = text,
        6 => value["cc"] = text,
        7 => value["bcc"] = text,
        8 => value["replyTo"] = text,
        9 => value["envelopeFrom"] = text,
        10 => value["subject"] = text,
        11 => value["body"] = text,
        12 => value["text"] = text,
        13 => value["headers"]["X-One"] = text,
        14 => value["headers"] = json!([{"name": text, "value": "1"}]),
        15 => value["inReplyTo"] = text,
        16 => value["references"][0] = text,
        17 => value["messageId"] = text,
        18 => value["listUnsubscribe"] = text,
        19 => value["priority"] = text,
        20 => {
            value["icalEvent"]["content"] = Value::from(format!("BEGIN:VCALENDAR{}", text.as_str().unwrap_or_default()))
        }
        21 => value["icalEvent"]["method"] = text,
        22 => value["icalEvent"]["filename"] = text,
        23 => value["attachments"][0]["attachment"] = text,
        24 => value["attachments"][0]["content"] = text,
        25 => value["attachments"][0]["mediaType"] = text,
        26 => value["charset"] = text,
        _ => value["attachments"][0]["type"] = text,
    }
    value
}

const PLACES: usize = 28;

/// What the harmless parameters make, and how often; `X-One` is the one whose name may be hostile.
const HEADERS: &[&str] = &[
    "From",
    "To",
    "Cc",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "X-Priority",
    "X-MSMail-Priority",
    "Importance",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "X-One",
    "MIME-Version",
    "Content-Type",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_parameter_writes_a_header_or_a_recipient_of_its_own(place in 0..PLACES, text in hostile()) {
        let mut prepared = match try_message(parameters(place, &text), &mut Memory::default()) {
            Ok(prepared) => prepared,
            Err(failure) => {
                prop_assert!(matches!(failure.kind, FailureKind::Invalid | FailureKind::Configuration));
                prop_assert!(!failure.to_string().contains(['\r', '\n', '\0']), "{failure:?}");
                return Ok(());
            }
        };
        let content = octets(&mut prepared, 4096);
        if !prepared.eight_bit {
            assert_travels(&content);
        }
        let mut counts = BTreeMap::new();
        for (name, value) in header_section(&content) {
            prop_assert!(!value.contains(['\r', '\n', '\0']));
            *counts.entry(name).or_insert(0) += 1;
        }
        for (name, count) in counts {
            prop_assert_eq!(count, 1, "{} stands {} times", name, count);
            prop_assert!(place == 14 || HEADERS.contains(&name.as_str()), "{} is written by place {}", name, place);
        }
        for address in prepared.envelope.recipients.iter().chain(&prepared.envelope.sender) {
            let address = address.as_str();
            prop_assert!(!address.chars().any(char::is_control) && address.len() <= 254, "{:?}", address);
        }
        let expected = if matches!(place, 3 | 5 | 6 | 7) { 0 } else { 3 };
        prop_assert!(expected == 0 || prepared.envelope.recipients.len() == expected);
        prop_assert!(serde_json::from_str::<Value>(&prepared.output.render(
            &pipepost_email_v2::output::Report::new(pipepost_email_v2::output::Outcome::Failed)
        )).is_ok());
    }
}
