//! What the host itself looks at on a connection: the order of commands and replies, and secrets in a server's words.

use pipepost_accounts::sasl::SecretPatterns;
use pipepost_net::{Answers, ReplyCount};

/// However a dialogue is cut, the same messages end in it and the same replies answer them; and no reply answers the end of a
/// message that did not leave.
///
/// Input: lines that begin with `C` (they leave) or `S` (they arrive), each with its line end, but for a `\\` at its end.
pub fn dialogue(data: &[u8]) {
    let whole = follow(data, usize::MAX);
    for size in [1, 2, 5] {
        assert_eq!(whole, follow(data, size), "pieces of {size} bytes make a difference");
    }
    let Some((messages, answers)) = whole else { return };
    let answered = answers.iter().filter(|answers| **answers == Answers::Content).count();
    assert!(answered as u64 <= messages, "{answered} answers to {messages} messages");
}

/// The messages that ended, and what was answered; none where something may not leave.
fn follow(data: &[u8], size: usize) -> Option<(u64, Vec<Answers>)> {
    let mut count = ReplyCount::new();
    let (mut messages, mut answers) = (0, Vec::new());
    for line in data.split(|byte| *byte == b'\n') {
        let Some((side, text)) = line.split_first() else {
            continue;
        };
        let bytes = match text.strip_suffix(b"\\") {
            Some(text) => text.to_vec(),
            None => [text, b"\r\n"].concat(),
        };
        // A farewell leaves also where the count is lost, if it is whole.
        let size = if text.eq_ignore_ascii_case(b"QUIT") {
            usize::MAX
        } else {
            size
        };
        for piece in bytes.chunks(size.min(bytes.len()).max(1)) {
            if *side == b'C' {
                messages += u64::from(count.writing(piece).ok()?);
                count.written();
            } else {
                count.received(piece);
                answers.extend(count.take_answers());
            }
        }
    }
    // An even count is one where nothing is open.
    let content = answers.iter().filter(|answers| **answers == Answers::Content).count() as u64;
    assert!(
        !count.is_even() || content == messages,
        "{content} of {messages} are answered"
    );
    Some((messages, answers))
}

/// No stretch of eight bytes of a secret is left of what a server says, whole, in base64, in hexadecimal and in
/// percent-encoding, wherever what it says is cut.
///
/// Input: the secret, a line end, and what is said around it.
pub fn redactor(data: &[u8]) {
    let (secret, said) = super::first_line(data);
    let is_text = secret.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*');
    if !(8..64).contains(&secret.len()) || !is_text {
        return;
    }
    let patterns = SecretPatterns::new();
    patterns.insert(secret.as_bytes());
    let said = &said[..said.len().min(600)];
    let middle = said.len() / 2;
    for form in [
        secret.clone(),
        hex(&secret, ""),
        hex(&secret, "%"),
        base64(secret.as_bytes()),
    ] {
        let text = [&said[..middle], b" ", form.as_bytes(), b" ", &said[middle..]].concat();
        let shown = patterns.scrub(&text);
        assert_gone(&form, &secret, &shown);
        let cut = (middle + 1 + form.len() / 2).min(text.len());
        let pieces = [
            patterns.scrub_within(&[], &text, cut),
            patterns.scrub_within(&text[..cut], &text[cut..], text.len() - cut),
        ];
        assert_gone(&form, &secret, &pieces.concat());
    }
}

/// The form is not there, and neither is a stretch of the secret; but three digits at a line's beginning stay, since they are
/// a reply's code.
fn assert_gone(form: &str, secret: &str, shown: &[u8]) {
    let holds = |wanted: &[u8]| shown.windows(wanted.len()).any(|window| window == wanted);
    assert!(!holds(form.as_bytes()), "{form:?} is left of {secret:?}");
    for stretch in secret.as_bytes().windows(11) {
        assert!(!holds(stretch), "{:?} is left", String::from_utf8_lossy(stretch));
    }
}

fn hex(text: &str, before: &str) -> String {
    text.bytes().map(|byte| format!("{before}{byte:02X}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).flat_map(|chunk| {
        let mut group = [0; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let number = u32::from_be_bytes(group);
        (0..=chunk.len()).map(move |place| char::from(DIGITS[(number >> (18 - 6 * place)) as usize & 63]))
    });
    digits.collect()
}
