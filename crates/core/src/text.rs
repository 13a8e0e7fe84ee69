//! Files that people write, as text.

use std::fmt;

/// Octets that are no text in UTF-8. `Display` is a clause that goes on from the file's name, and says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotUtf8 {
    at: usize,
    byte: u8,
    is_utf16: bool,
}

/// Reads octets as UTF-8.
///
/// # Errors
/// Fails with the first octet that is wrong. Of ASCII in UTF-16 that is its NUL: each octet alone would be UTF-8, and a text that
/// a person writes has none.
pub fn decoded(octets: Vec<u8>) -> Result<String, NotUtf8> {
    let begins_with = |mark: &[u8]| octets.starts_with(mark);
    let nul = octets.iter().take(2).position(|byte| *byte == 0);
    let is_utf16 = nul.is_some() || begins_with(&[0xFF, 0xFE]) || begins_with(&[0xFE, 0xFF]);
    if let Some(at) = nul {
        return Err(NotUtf8 { at, byte: 0, is_utf16 });
    }
    String::from_utf8(octets).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        NotUtf8 {
            at,
            byte: error.as_bytes().get(at).copied().unwrap_or_default(),
            is_utf16,
        }
    })
}

impl fmt::Display for NotUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "is not text in UTF-8: byte {} is 0x{:02X}", self.at, self.byte)?;
        if self.is_utf16 {
            f.write_str(", as in UTF-16")?;
        }
        f.write_str("; save it as UTF-8")
    }
}

impl std::error::Error for NotUtf8 {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_utf_8_is_told_its_octet() {
        let utf16 = |mark: &[u16], units: fn(u16) -> [u8; 2]| -> Vec<u8> {
            let text: Vec<u16> = mark.iter().copied().chain("{}".encode_utf16()).collect();
            text.into_iter().flat_map(units).collect()
        };
        for (octets, clause) in [
            (
                utf16(&[0xFEFF], u16::to_le_bytes),
                "byte 0 is 0xFF, as in UTF-16; save it as UTF-8",
            ),
            (
                utf16(&[0xFEFF], u16::to_be_bytes),
                "byte 0 is 0xFE, as in UTF-16; save it as UTF-8",
            ),
            (
                utf16(&[], u16::to_le_bytes),
                "byte 1 is 0x00, as in UTF-16; save it as UTF-8",
            ),
            (
                utf16(&[], u16::to_be_bytes),
                "byte 0 is 0x00, as in UTF-16; save it as UTF-8",
            ),
            (b"{\"a\": \"J\xfcrgen\"}".to_vec(), "byte 8 is 0xFC; save it as UTF-8"),
        ] {
            let error = decoded(octets).expect_err("it is no UTF-8");
            assert_eq!(error.to_string(), format!("is not text in UTF-8: {clause}"));
        }
        assert_eq!(
            decoded("{\"a\": \"Jürgen\"}".into()).as_deref(),
            Ok("{\"a\": \"Jürgen\"}")
        );
        assert_eq!(decoded(Vec::new()).as_deref(), Ok(""));
    }
}
