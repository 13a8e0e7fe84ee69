//! Messages as octets: structure, headers, envelope, streaming.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pipepost_email_v2::failure::FailureKind;
use pipepost_email_v2::files::{File, FileError, Files};
use pipepost_email_v2::message::{MessageSeed, prepare};
use pipepost_email_v2::parameters::Parameters;
use serde_json::{Value, json};

use crate::common::{Memory, assert_travels, header_section, message, octets, try_message};

fn text(parameters: Value) -> String {
    let octets = octets(&mut message(parameters, &mut Memory::default()), 1 << 16);
    assert_travels(&octets);
    String::from_utf8(octets).expect("seven bits")
}

fn header(parameters: Value, name: &str) -> Vec<String> {
    let section = header_section(text(parameters).as_bytes());
    section
        .into_iter()
        .filter(|(found, _)| found == name)
        .map(|(_, value)| value)
        .collect()
}

/// The media types in the order of the text, each with its depth.
fn structure(parameters: Value, files: &mut Memory) -> Vec<String> {
    let octets = octets(&mut message(parameters, files), 1 << 16);
    assert_travels(&octets);
    let text = String::from_utf8(octets).expect("seven bits");
    text.lines()
        .filter_map(|line| line.strip_prefix("Content-Type: "))
        .map(|line| line.split(';').next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn there_is_only_as_much_nesting_as_needed() {
    let mut files = Memory::default().with("a.png", "\u{89}PNG").with("r.pdf", "%PDF-1.7");
    let html = r#"<p>Hi</p><img src="cid:a.png">"#;
    let a = json!({"attachment": "a.png", "type": "INLINE"});
    let r = json!({"attachment": "r.pdf"});
    let event = "BEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR\n";
    assert_eq!(structure(json!({"body": "Hi"}), &mut files), ["text/plain"]);
    assert_eq!(structure(json!({}), &mut files), ["text/plain"]);
    assert_eq!(structure(json!({"text": "Hi"}), &mut files), ["text/plain"]);
    assert_eq!(structure(json!({"body": "<img src=x>"}), &mut files), ["text/html"]);
    let alternative = ["multipart/alternative", "text/plain", "text/html"];
    assert_eq!(structure(json!({"body": html}), &mut files), alternative);
    assert_eq!(
        structure(json!({"body": "Hi", "attachments": [r]}), &mut files),
        ["multipart/mixed", "text/plain", "application/pdf"]
    );
    assert_eq!(
        structure(json!({"body": html, "attachments": [r, a]}), &mut files),
        [
            &["multipart/mixed", "multipart/related"],
            alternative.as_slice(),
            &["image/png", "application/pdf"]
        ]
        .concat()
    );
    assert_eq!(
        structure(json!({"body": html, "icalEvent": event}), &mut files),
        [
            &["multipart/mixed"],
            alternative.as_slice(),
            &["text/calendar", "application/ics"]
        ]
        .concat()
    );
}

#[test]
fn a_body_keeps_its_lines_and_dots() {
    let text = text(json!({"body": ".\n..\r\n.a\rb\n", "contentType": "text/plain"}));
    assert!(text.ends_with("\r\n\r\n.\r\n..\r\n.a\r\nb\r\n"), "{text}");
}

#[test]
fn the_envelope_and_the_headers_come_from_one_parse() {
    let prepared = message(
        json!({
            "from": "\"Ops, <x@evil.example>\" <ops@bücher.example>",
            "to": "Team: b@y.example, \"c, d\" <C@Y.example>;, e@y.example (Eva)",
            "cc": "b@Y.EXAMPLE, f@y.example", "bcc": ["g@y.example", "e@y.example"], "replyTo": "h@y.example",
        }),
        &mut Memory::default(),
    );
    assert_eq!(
        prepared.envelope.sender.as_ref().map(|sender| sender.as_str()),
        Some("ops@xn--bcher-kva.example")
    );
    assert_eq!(
        prepared.envelope.recipients,
        [
            "b@y.example",
            "C@y.example",
            "e@y.example",
            "f@y.example",
            "g@y.example"
        ]
    );
    assert!(!prepared.utf8 && !prepared.eight_bit);
    let headers = header_section(prepared.content.as_bytes().expect("one piece"));
    let value = |name: &str| {
        headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(
        value("From"),
        Some("\"Ops, <x@evil.example>\" <ops@xn--bcher-kva.example>")
    );
    assert_eq!(
        value("To"),
        Some("Team: b@y.example, \"c, d\" <C@y.example>;, Eva <e@y.example>")
    );
    assert_eq!(value("Reply-To"), Some("h@y.example"));
    assert_eq!(value("Bcc"), None);
    assert!(!headers.iter().any(|(_, value)| value.contains("g@y.example")));
}

#[test]
fn envelope_from_is_not_the_author() {
    let with = |sender: &str| {
        message(json!({"envelopeFrom": sender}), &mut Memory::default())
            .envelope
            .sender
            .map(|sender| sender.to_string())
    };
    assert_eq!(with("bounces@x.example"), Some("bounces@x.example".to_owned()));
    assert_eq!(with("<>"), None);
    assert_eq!(with(""), Some("a@x.example".to_owned()));
}

#[test]
fn only_blind_recipients_are_undisclosed() {
    assert_eq!(
        header(json!({"to": "", "bcc": "g@y.example"}), "To"),
        ["undisclosed-recipients:;"]
    );
}

#[test]
fn addresses_beyond_ascii_need_smtputf8() {
    let prepared = message(json!({"to": "josé@y.example"}), &mut Memory::default());
    assert!(prepared.utf8 && prepared.eight_bit);
    assert_eq!(prepared.envelope.beyond_ascii().collect::<Vec<_>>(), ["josé@y.example"]);
    let hidden = message(json!({"bcc": "josé@y.example"}), &mut Memory::default());
    assert!(hidden.utf8 && !hidden.eight_bit);
}

#[test]
fn the_message_id_is_made_of_the_key_and_stays() {
    let parameters =
        Parameters::from_value(json!({"from": "a@x.example", "to": "b@y.example"}), None).expect("a message");
    let id = |key, seed| {
        let seed = MessageSeed {
            key,
            now: 1_790_000_000 + seed,
            seed,
        };
        prepare(&parameters, &seed, &mut Memory::default())
            .expect("a message")
            .message_id
    };
    assert_eq!(id("k1", 1), id("k1", 2));
    assert_ne!(id("k1", 1), id("k2", 1));
    assert!(id("k1", 1).ends_with("@x.example>"));
    assert_eq!(
        header(json!({"messageId": "own@x.example"}), "Message-ID"),
        ["<own@x.example>"]
    );
    assert_eq!(header(json!({}), "Date"), ["Mon, 21 Sep 2026 14:13:20 +0000"]);
}

#[test]
fn the_last_date_is_the_end_of_the_year_9999() {
    let parameters =
        Parameters::from_value(json!({"from": "a@x.example", "to": "b@y.example"}), None).expect("a message");
    for now in [0, u64::MAX] {
        let seed = MessageSeed { key: "k", now, seed: 1 };
        assert!(prepare(&parameters, &seed, &mut Memory::default()).is_ok());
    }
}

#[test]
fn headers_of_ones_own_stand_in_their_order_and_may_stand_twice() {
    let headers = json!({"X-A": ["1", "olá"], "List-Id": "<list.x.example>", "X-Empty": ""});
    let section = header_section(text(json!({"headers": headers})).as_bytes());
    let own: Vec<(&str, &str)> = section
        .iter()
        .filter(|(name, _)| name.starts_with("X-") || name == "List-Id")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        own,
        [
            ("List-Id", "<list.x.example>"),
            ("X-A", "1"),
            ("X-A", "=?utf-8?B?b2zDoQ==?="),
            ("X-Empty", "")
        ]
    );
    let all = text(json!({
        "priority": "high", "inReplyTo": "a@b", "references": ["<c@d>", "<e@f>"],
        "listUnsubscribe": "https://x.example/u, mailto:u@x.example",
    }));
    for line in [
        "X-Priority: 1 (Highest)\r\n",
        "Importance: High\r\n",
        "In-Reply-To: <a@b>\r\n",
        "References: <c@d> <e@f>\r\n",
        "List-Unsubscribe: <https://x.example/u>, <mailto:u@x.example>\r\n",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
        "MIME-Version: 1.0\r\n",
    ] {
        assert!(all.contains(line), "{line}{all}");
    }
}

#[test]
fn what_looks_like_an_encoded_word_is_not_read_as_one() {
    let subject = header(json!({"subject": "a =?utf-8?q?Bcc:?= b"}), "Subject");
    assert_eq!(subject, ["a =?utf-8?B?PT91dGYtOD9xP0JjYzo/PQ==?= b"]);
    let from = header(
        json!({"from": {"name": "=?utf-8?q?x?=", "address": "a@x.example"}}),
        "From",
    );
    assert!(from[0].starts_with("=?utf-8?B?"), "{from:?}");
}

#[test]
fn a_word_of_any_length_is_folded() {
    for length in [60, 900, 901, 5000] {
        let subject = header(json!({"subject": "s".repeat(length)}), "Subject");
        assert_eq!(subject.len(), 1);
        text(json!({"from": {"name": "n".repeat(length), "address": "a@x.example"}}));
        text(json!({"headers": {"X".repeat(76): "é".repeat(length), "X-B": "a ".repeat(length)}}));
    }
}

#[test]
fn the_charset_is_honoured_and_no_character_is_lost() {
    let latin = text(json!({"body": "Olá, José, tudo bem?", "charset": "ISO-8859-1"}));
    assert!(
        latin.contains("charset=iso-8859-1") && latin.contains("Ol=E1, Jos=E9"),
        "{latin}"
    );
    let japanese = text(json!({"body": "日本", "charset": "iso-2022-jp"}));
    assert!(japanese.contains("charset=iso-2022-jp"), "{japanese}");
    let mut prepared = message(json!({"body": "日本", "charset": "ISO-8859-1"}), &mut Memory::default());
    assert!(prepared.warnings[0].contains("UTF-8"), "{:?}", prepared.warnings);
    assert!(String::from_utf8_lossy(&octets(&mut prepared, 4096)).contains("charset=utf-8"));
}

#[test]
fn a_message_without_files_is_one_piece() {
    let prepared = message(json!({"body": "<p>Hi</p>"}), &mut Memory::default());
    assert_eq!(
        prepared.content.as_bytes().map(|bytes| bytes.len() as u64),
        Some(prepared.content.size())
    );
}

#[test]
fn files_stream_in_pieces_of_any_size_and_again() {
    for size in [0, 1, 56, 57, 58, 114, 10_007, 100_000] {
        let content: Vec<u8> = (0..size).map(|i| (i * 31 % 251) as u8).collect();
        let mut files = Memory::default().with("a.bin", content.clone()).with("b.bin", content);
        let parameters = json!({"body": "Hi", "attachments": [{"attachment": "a.bin"}, {"attachment": "b.bin"}]});
        let mut prepared = message(parameters, &mut files);
        assert!(prepared.content.as_bytes().is_none());
        let whole = octets(&mut prepared, usize::MAX);
        assert_travels(&whole);
        for piece in [0, 79, 156, 1000, 65_536] {
            prepared.content.rewind();
            assert!(
                octets(&mut prepared, piece) == whole,
                "{size} octets in pieces of {piece}"
            );
        }
    }
}

#[test]
fn a_file_that_cannot_be_had_is_named() {
    let parameters = json!({"from": "a@x.example", "to": "b@y.example", "attachments": [{"attachment": "no.pdf"}]});
    let failure = try_message(parameters, &mut Memory::default()).expect_err("no such file");
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert!(
        failure.message.starts_with("parameter `attachments[0]`: `no.pdf` "),
        "{failure}"
    );
}

/// Says that it has 1000 octets and has fewer.
struct Shrinking;

impl File for Shrinking {
    fn size(&self) -> u64 {
        1000
    }

    fn media_type(&self) -> Option<String> {
        Some("text/x-log\r\nX: y".to_owned())
    }

    fn read(&mut self, offset: u64, max: u32) -> Result<Vec<u8>, FileError> {
        Ok(vec![b'x'; 600_u64.saturating_sub(offset).min(u64::from(max)) as usize])
    }
}

impl Files for Shrinking {
    fn open(&mut self, _: &str) -> Result<Box<dyn File>, FileError> {
        Ok(Box::new(Self))
    }
}

#[test]
fn a_file_that_ends_early_has_changed() {
    let mut prepared = message(json!({"attachments": [{"attachment": "a.bin"}]}), &mut Shrinking);
    let mut wire = Vec::new();
    let error = loop {
        match prepared.content.read_next(&mut wire, 256) {
            Ok(0) => panic!("it came to an end"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error, FileError::Changed);
    assert!((wire.len() as u64) < prepared.content.size());
    assert!(
        !String::from_utf8_lossy(&wire).contains("X: y"),
        "the host's media type wrote a header"
    );
}

#[test]
fn text_attachments_say_how_they_are_read() {
    let mut files = Memory::default()
        .with("utf8.csv", "é;1\r\n".repeat(20_000))
        .with("latin.csv", b"caf\xe9;1".as_slice())
        .with("late.csv", [vec![b'a'; 70_000], vec![0xe9]].concat())
        .with("cut.txt", b"caf\xc3".as_slice())
        .with("utf16.txt", b"h\0i\0".as_slice())
        .with("a.json", "{}");
    let base64 = |content: &[u8]| BASE64_STANDARD.encode(content);
    let cases = [
        (json!({"attachment": "utf8.csv"}), "text/csv; charset=utf-8"),
        (json!({"attachment": "latin.csv"}), "text/csv"),
        (json!({"attachment": "late.csv"}), "text/csv"),
        (json!({"attachment": "cut.txt"}), "text/plain"),
        (json!({"attachment": "utf16.txt"}), "text/plain"),
        (json!({"attachment": "a.json"}), "application/json"),
        (
            json!({"attachment": "latin.csv", "mediaType": "text/csv; charset=ISO-8859-1"}),
            "text/csv; charset=ISO-8859-1",
        ),
        (
            json!({"attachment": "utf8.csv", "mediaType": "text/csv; charset=us-ascii"}),
            "text/csv; charset=us-ascii",
        ),
        (
            json!({"attachment": "a.csv", "content": "é"}),
            "text/csv; charset=utf-8",
        ),
        (
            json!({"attachment": "a.csv", "content": base64("é".as_bytes()), "encoding": "base64"}),
            "text/csv; charset=utf-8",
        ),
        (
            json!({"attachment": "a.csv", "content": base64(b"caf\xe9"), "encoding": "base64"}),
            "text/csv",
        ),
        (json!({"attachment": "a.json", "content": "{}"}), "application/json"),
    ];
    for (attachment, expected) in cases {
        let mut prepared = message(json!({"attachments": [attachment]}), &mut files);
        let text = String::from_utf8(octets(&mut prepared, 1 << 16)).expect("seven bits");
        let found = text.replace("\r\n ", " ");
        let found = found
            .lines()
            .filter_map(|line| line.strip_prefix("Content-Type: "))
            .next_back()
            .and_then(|value| value.split("; name=").next());
        assert_eq!(found, Some(expected), "{attachment}");
    }
}

#[test]
fn text_given_as_content_is_written_in_the_charset_that_is_named() {
    let attached = |charset: &str| {
        let attachment =
            json!({"attachment": "a.txt", "content": "né €", "mediaType": format!("text/plain; charset={charset}")});
        let mut prepared = message(json!({"attachments": [attachment]}), &mut Memory::default());
        let text = String::from_utf8(octets(&mut prepared, 1 << 16)).expect("seven bits");
        (text, prepared.warnings)
    };
    let (text, warnings) = attached("windows-1252");
    assert!(text.contains("charset=windows-1252"), "{text}");
    assert!(text.contains(&BASE64_STANDARD.encode(b"n\xe9 \x80")), "{text}");
    assert_eq!(warnings, [""; 0]);
    // `us-ascii` has no é, and is taken for the set around it.
    let (text, _) = attached("us-ascii");
    assert!(text.contains("charset=windows-1252"), "{text}");
    for impossible in ["us-ascii-8", "koi8-r", "utf-16"] {
        let (text, warnings) = attached(impossible);
        assert!(text.contains("text/plain; charset=utf-8"), "{text}");
        assert!(text.contains(&BASE64_STANDARD.encode("né €")), "{text}");
        assert_eq!(
            warnings,
            [format!(
                "`a.txt` is sent in UTF-8: its text cannot be written in {impossible}"
            )]
        );
    }
}

#[test]
fn inline_files_without_html_are_attachments() {
    let mut files = Memory::default().with("a.png", "x");
    let prepared = message(
        json!({"body": "Hi", "attachments": [{"attachment": "a.png", "type": "INLINE"}]}),
        &mut files,
    );
    assert_eq!(prepared.warnings.len(), 1, "{:?}", prepared.warnings);
}
