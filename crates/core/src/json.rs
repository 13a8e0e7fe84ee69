//! JSON that Pipepost itself wrote down, and reads back.

use serde::Deserialize as _;
use serde_json::{Deserializer, Error, Value};

/// How many arrays and objects within each other are read back: more than any value may have that a run makes.
const DEPTH_MAX: usize = 320;

/// Reads a value back that was written down: a message, an answer, a failure. What comes from others nests at most 128 levels
/// when it is read; a run may wrap it into up to 256, which have to be read back too.
///
/// # Errors
/// Fails when the text is not JSON, or nests deeper than anything that is written down.
pub fn read_back(text: &str) -> Result<Value, Error> {
    // Nearly nothing nests beyond the reader's own limit, and what does has failed of it.
    let read = serde_json::from_str(text);
    if read.is_ok() || depth(text) > DEPTH_MAX {
        return read;
    }
    let mut reader = Deserializer::from_str(text);
    reader.disable_recursion_limit();
    let value = Value::deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// How many brackets are open at once at most, those in texts aside.
fn depth(text: &str) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'[' | b'{' => {
                depth += 1;
                most = most.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(octet) = octets.next() {
                    match octet {
                        b'\\' => drop(octets.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        let (open, close) = (r#"{"a":[1,"#.repeat(depth / 2), "]}".repeat(depth / 2));
        format!(r#"{open}"\"[{{"{close}"#)
    }

    #[test]
    fn what_nests_deeper_than_what_others_may_send_is_read_back() {
        for levels in [2, 128, 256, DEPTH_MAX] {
            let text = nested(levels);
            assert_eq!(depth(&text), levels);
            assert_eq!(read_back(&text).expect("a value").to_string(), text);
        }
        assert!(read_back(&nested(DEPTH_MAX + 2)).is_err());
        assert!(read_back(&nested(1_000_000)).is_err());
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for wrong in ["", "{", "[1] 2", r#""\"#, "]]"] {
            assert!(read_back(wrong).is_err(), "{wrong}");
        }
    }
}
