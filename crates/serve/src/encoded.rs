//! Small readers of what HTTP encodes.

/// Returns a content type without its parameters, in lower case.
pub(crate) fn media_type(content_type: &str) -> String {
    let bare = content_type.split(';').next().unwrap_or_default();
    bare.trim().to_ascii_lowercase()
}

/// Reads `%xx` (RFC 3986, section 2.1); returns `None` if the digits are wrong or the result is not UTF-8.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digits = std::str::from_utf8(&digits)
            .ok()
            .filter(|digits| !digits.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_are_read_or_refused() {
        assert_eq!(percent_decoded("S%C3%A3o%2f1").as_deref(), Some("São/1"));
        for wrong in ["%", "%4", "%zz", "%+1", "%C3"] {
            assert_eq!(percent_decoded(wrong), None, "{wrong}");
        }
    }
}
