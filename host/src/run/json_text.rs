//! Text as JSON, for what is written with every message.

/// The escapes of RFC 8259, section 7, in the form that `serde_json` writes.
fn escape(byte: u8) -> Option<[u8; 2]> {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\x08' => b'b',
        b'\x0c' => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => return None,
    };
    Some([b'\\', short])
}

fn needs_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Writes a text as JSON, the same octets as `serde_json` does. Whole blocks without anything to escape are copied at once:
/// a message's bodies are kilobytes of them.
pub(super) fn write(out: &mut Vec<u8>, text: &str) {
    const BLOCK: usize = 32;
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        // Without a way out in the middle, so that it is done in few instructions.
        let is_plain = |block: &[u8; BLOCK]| !block.iter().fold(false, |any, byte| any | needs_escape(*byte));
        let blocks = rest.chunks_exact(BLOCK);
        let plain = blocks.take_while(|block| <&[u8; BLOCK]>::try_from(*block).is_ok_and(is_plain));
        let (plain, after) = rest.split_at(plain.count() * BLOCK);
        out.extend_from_slice(plain);
        let (mixed, after) = after.split_at(after.len().min(BLOCK));
        for byte in mixed {
            match (needs_escape(*byte), escape(*byte)) {
                (false, _) => out.push(*byte),
                (true, Some(short)) => out.extend_from_slice(&short),
                (true, None) => {
                    let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                    out.extend_from_slice(b"\\u00");
                    out.extend_from_slice(&digits);
                }
            }
        }
        rest = after;
    }
    out.push(b'"');
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
                let mut written = Vec::new();
                write(&mut written, &text);
                let expected = serde_json::to_vec(&text).expect("text is JSON");
                assert!(written == expected, "{filler:?} {count}");
            }
        }
    }
}
