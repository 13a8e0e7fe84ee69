//! Text as JSON, for what is written with every message.

/// Writes a text as JSON, the same octets as `serde_json` does. Whole blocks without anything to escape are passed over at once:
/// a message's bodies are kilobytes of them.
pub(super) fn write(out: &mut String, text: &str) {
    let octets = text.as_bytes();
    out.reserve(text.len() + text.len() / 16 + 2);
    out.push('"');
    let (mut start, mut at) = (0, 0);
    while let Some(escaped) = next_to_escape(octets, at) {
        out.push_str(&text[start..escaped]);
        escape(out, octets[escaped]);
        at = escaped + 1;
        start = at;
    }
    out.push_str(&text[start..]);
    out.push('"');
}

fn needs_escape(octet: u8) -> bool {
    octet < b' ' || octet == b'"' || octet == b'\\'
}

fn next_to_escape(octets: &[u8], mut at: usize) -> Option<usize> {
    const BLOCK: usize = 32;
    // Without a way out in the middle, so that it is done in few instructions.
    let is_plain = |block: &[u8; BLOCK]| !block.iter().fold(false, |any, octet| any | needs_escape(*octet));
    while octets[at..].first_chunk().is_some_and(is_plain) {
        at += BLOCK;
    }
    let found = octets[at..].iter().position(|octet| needs_escape(*octet))?;
    Some(at + found)
}

/// The escapes of RFC 8259, section 7.
fn escape(out: &mut String, octet: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push_str(match octet {
        b'"' => "\\\"",
        b'\\' => "\\\\",
        b'\x08' => "\\b",
        b'\x0c' => "\\f",
        b'\n' => "\\n",
        b'\r' => "\\r",
        b'\t' => "\\t",
        other => {
            out.push_str("\\u00");
            out.push(char::from(HEX[usize::from(other >> 4)]));
            out.push(char::from(HEX[usize::from(other & 15)]));
            return;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::write;

    #[test]
    fn it_is_what_serde_json_writes() {
        let every: String = (0..0x300).filter_map(char::from_u32).collect();
        for filler in ["", "x", "é", "日本", "\"", "\r\n", "\u{1}"] {
            for count in 0..80 {
                let text = format!("{}{every}{}", filler.repeat(count), "plain ".repeat(count));
                let mut written = String::new();
                write(&mut written, &text);
                let expected = serde_json::to_string(&text).expect("text is JSON");
                assert!(written == expected, "{filler:?} {count}");
            }
        }
    }
}
