use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

use super::*;

const SECRET: &str = "open sesame/+42&7?";

fn knowing(secret: &str) -> SecretPatterns {
    let patterns = SecretPatterns::new();
    patterns.insert(secret.as_bytes());
    patterns
}

fn each(text: &[u8], form: impl Fn(u8) -> String) -> String {
    text.iter().map(|byte| form(*byte)).collect()
}

/// A secret in every encoding that is promised, by name.
fn encodings(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let octets = secret.as_bytes();
    let escaped = |byte: u8, escape: &str| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("{escape}{byte:02X}")
        }
    };
    let base64 = |before: &str| STANDARD.encode(format!("{before}{secret}zz"));
    let broken = |text: String| {
        let pieces: Vec<&str> = text
            .as_bytes()
            .chunks(4)
            .map(|piece| std::str::from_utf8(piece).expect("ASCII"))
            .collect();
        pieces.join(" ")
    };
    let utf16 = |to_bytes: fn(u16) -> [u8; 2]| secret.encode_utf16().flat_map(to_bytes).collect::<Vec<u8>>();
    vec![
        ("as it is", octets.to_vec()),
        ("in capitals", secret.to_uppercase().into_bytes()),
        ("backwards", octets.iter().rev().copied().collect()),
        ("base64", base64("").into_bytes()),
        ("base64 after one octet", base64("x").into_bytes()),
        ("base64 after two octets", base64("xy").into_bytes()),
        ("base64url", URL_SAFE.encode(secret).into_bytes()),
        (
            "base64 in capitals",
            STANDARD.encode(secret).to_uppercase().into_bytes(),
        ),
        ("base64 in pieces", broken(STANDARD.encode(secret)).into_bytes()),
        ("base64 twice", STANDARD.encode(STANDARD.encode(secret)).into_bytes()),
        ("hex", each(octets, |byte| format!("{byte:02x}")).into_bytes()),
        (
            "hex in capitals",
            each(octets, |byte| format!("{byte:02X}")).into_bytes(),
        ),
        (
            "hex with colons",
            each(octets, |byte| format!("{byte:02x}:")).into_bytes(),
        ),
        ("hex of C", each(octets, |byte| format!("0x{byte:02x}, ")).into_bytes()),
        (
            "hex after a digit",
            format!("f{}", each(octets, |byte| format!("{byte:02x}"))).into_bytes(),
        ),
        ("percent", each(octets, |byte| format!("%{byte:02X}")).into_bytes()),
        (
            "percent where it must be",
            each(octets, |byte| escaped(byte, "%")).into_bytes(),
        ),
        ("percent twice", each(octets, |byte| escaped(byte, "%25")).into_bytes()),
        ("quoted-printable", each(octets, |byte| escaped(byte, "=")).into_bytes()),
        (
            "quoted-printable in lines",
            each(octets, |byte| format!("{}=\r\n", char::from(byte))).into_bytes(),
        ),
        (
            "character references",
            each(octets, |byte| format!("&#{byte};")).into_bytes(),
        ),
        (
            "hexadecimal references",
            each(octets, |byte| format!("&#x{byte:x};")).into_bytes(),
        ),
        ("HTML", secret.replace('&', "&amp;").into_bytes()),
        ("JSON", each(octets, |byte| format!("\\u{byte:04x}")).into_bytes()),
        ("octal", each(octets, |byte| format!("\\{byte:03o}")).into_bytes()),
        ("UTF-16 big end first", utf16(u16::to_be_bytes)),
        ("UTF-16 little end first", utf16(u16::to_le_bytes)),
        (
            "base64 of UTF-16",
            STANDARD.encode(utf16(u16::to_le_bytes)).into_bytes(),
        ),
        (
            "a response of PLAIN",
            STANDARD.encode(format!("\0ann\0{secret}")).into_bytes(),
        ),
    ]
}

#[test]
fn a_secret_is_found_in_every_encoding_that_is_promised() {
    let patterns = knowing(SECRET);
    for (name, form) in encodings(SECRET) {
        let said = [b"535 5.7.8 You said ", &form[..], b" and no more\r\n"].concat();
        let shown = patterns.scrub(&said);
        let text = String::from_utf8_lossy(&shown);
        assert!(text.starts_with("535 5.7.8 You said "), "{name}: {text}");
        assert!(text.contains("***"), "{name}: {text}");
        // At most a few characters of its edges are left, which no encoding makes a stretch of.
        let left = shown
            .windows(STRETCH_BYTES + 4)
            .any(|window| form.windows(STRETCH_BYTES + 4).any(|of| of == window));
        assert!(!left, "{name}: {text}");
    }
}

#[test]
fn what_holds_no_secret_stays_as_it_is() {
    let patterns = knowing(SECRET);
    for text in [
        "250-smtp.example.com at your service, [192.0.2.1]\r\n250-SIZE 35882577\r\n250 SMTPUTF8\r\n",
        "250 2.0.0 OK  1764349999 af79cd13be357-8b29b5b4c9fsm1128485a.16 - gsmtp\r\n",
        "550 5.1.1 <ann=example.test@x.example>: user unknown; see https://x.example/?p=%20a&amp;b=1\r\n",
    ] {
        assert_eq!(String::from_utf8_lossy(&patterns.scrub(text.as_bytes())), text);
    }
}

#[test]
fn a_short_secret_is_found_whole_and_a_very_short_one_as_a_word() {
    let short = knowing("s3cr3t");
    assert_eq!(short.scrub(b"535 xs3cr3tx S3CR3T\r\n"), b"535 x***x ***\r\n");
    assert_eq!(short.scrub(b"535 s3cr3\r\n"), b"535 s3cr3\r\n");
    assert_eq!(short.scrub(b"535 733363723374\r\n"), b"535 ***\r\n");
    let shorter = knowing("ok");
    assert_eq!(shorter.scrub(b"250 ok, token\r\n"), b"250 ***, token\r\n");
    let code = knowing("250");
    assert_eq!(code.scrub(b"250-250 2.5.0\r\n250 x\r\n"), b"250-*** 2.5.0\r\n250 x\r\n");
}

#[test]
fn a_secret_is_found_over_a_cut() {
    let patterns = knowing(SECRET);
    let said = format!("x{SECRET}y").into_bytes();
    for cut in 0..=said.len() {
        let first = patterns.scrub_within(b"", &said, cut);
        let second = patterns.scrub_within(&said[..cut], &said[cut..], said.len() - cut);
        let shown = String::from_utf8([first, second].concat()).expect("a text");
        assert!(shown.replace("***", "") == "xy", "cut at {cut}: {shown}");
    }
}

#[test]
fn the_secrets_of_all_are_found_and_the_oldest_goes_first() {
    let patterns = knowing("the first of them");
    patterns.insert_all(&knowing("the second of them"));
    assert_eq!(patterns.scrub(b"the first of them, the second of them"), b"***, ***");
    patterns.insert(b"the first of them");
    let mut index = patterns.index.write().expect("nobody panicked");
    index.forget_oldest();
    index.forget_oldest();
    drop(index);
    assert_eq!(patterns.scrub(b"the first of them, SECOND"), b"***, SECOND");
}

#[test]
fn debug_shows_nothing() {
    assert_eq!(format!("{:?}", knowing(SECRET)), "SecretPatterns");
}

proptest! {
    #[test]
    fn no_text_panics_and_no_stretch_of_a_secret_is_left(
        before in prop::collection::vec(any::<u8>(), 0..60), after in prop::collection::vec(any::<u8>(), 0..60),
        secret in "[ -~]{8,40}",
    ) {
        let patterns = knowing(&secret);
        let said = [&before[..], secret.as_bytes(), &after].concat();
        // A line's code stays, whatever it is.
        let said = [b"250 ", &said[..]].concat();
        let shown = patterns.scrub(&said);
        let folded_secret = folded(secret.as_bytes());
        let codes = secret.bytes().any(|byte| byte.is_ascii_digit());
        let folded_shown = folded(&shown);
        let left = folded_shown.windows(8).any(|window| folded_secret.windows(8).any(|of| of == window));
        prop_assert!(!left || codes, "{}", String::from_utf8_lossy(&shown));
    }
}

/// A password that is no secret to anybody must not make a server unreadable.
#[test]
fn a_secret_of_a_few_letters_leaves_the_dialogue_alone() {
    let offers = "250-mx.example\r\n250-SIZE 35882577\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n\
                  250-CHUNKING\r\n250-SMTPUTF8\r\n250 AUTH PLAIN LOGIN\r\n127.0.0.1:35155\r\n";
    for length in 1..WORD_BYTES {
        for letter in b' '..=b'~' {
            let secret = vec![letter; length];
            let patterns = SecretPatterns::new();
            patterns.insert(&secret);
            let shown = String::from_utf8(patterns.scrub(offers.as_bytes())).expect("text");
            // Where it stands there as a word of its own, it is hidden.
            assert_eq!(shown.lines().count(), offers.lines().count(), "{secret:?}: {shown}");
            if letter.is_ascii_alphabetic() {
                assert_eq!(shown, offers, "{secret:?}");
            }
        }
    }
    let patterns = SecretPatterns::new();
    patterns.insert(b"p");
    assert_eq!(patterns.scrub(b"535 you said p.\r\n"), b"535 you said ***.\r\n");
}
