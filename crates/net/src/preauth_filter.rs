//! What may leave before a connection is signed in.
//!
//! A connector could otherwise write half a line, or a MAIL whose address the secret would complete, and then ask for
//! the sign-in. So, on a connection that a secret is meant for, nothing leaves before the sign-in but whole lines of the
//! few commands that carry no data of the connector's choosing, and the sign-in itself always begins at a line's start.

/// The longest line let through: a command line (RFC 5321, 4.5.3.1.4).
const LINE_BYTES_MAX: usize = 512;

/// Whether these bytes are nothing but whole lines of EHLO or HELO with a plain name, STARTTLS, NOOP, RSET or QUIT.
///
/// # Errors
/// One clause that says what is wrong with them, without quoting them.
pub(crate) fn check(bytes: &[u8]) -> Result<(), &'static str> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return Err("half a line may not leave before the sign-in");
        };
        let (line, after) = (&rest[..end], &rest[end + 2..]);
        if line.len() + 2 > LINE_BYTES_MAX {
            return Err("a line is longer than a command may be");
        }
        if !is_harmless(line) {
            return Err("only EHLO, HELO, STARTTLS, NOOP, RSET and QUIT may leave before the sign-in");
        }
        rest = after;
    }
    Ok(())
}

fn is_harmless(line: &[u8]) -> bool {
    let mut words = line.splitn(2, |byte| *byte == b' ');
    let verb = words.next().unwrap_or_default().to_ascii_uppercase();
    match (verb.as_slice(), words.next()) {
        (b"EHLO" | b"HELO", Some(name)) => is_plain_name(name),
        (b"STARTTLS" | b"NOOP" | b"RSET" | b"QUIT", None) => true,
        _ => false,
    }
}

/// A domain or an address literal: letters, digits, and `.-_:[]`.
fn is_plain_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn greetings_pass() {
        for bytes in [
            "EHLO mail.example.com\r\n",
            "ehlo [IPv6:2001:db8::1]\r\n",
            "RSET\r\nNOOP\r\n",
            "STARTTLS\r\n",
            "QUIT\r\n",
            "",
        ] {
            assert_eq!(check(bytes.as_bytes()), Ok(()), "{bytes:?}");
        }
    }

    #[test]
    fn everything_else_waits_for_the_sign_in() {
        for bytes in [
            "EHLO a",
            "EHLO a\n",
            "EHLO a b\r\n",
            "EHLO \r\n",
            "EHLO a\r\nMAIL FROM:<",
            "MAIL FROM:<a@b>\r\n",
            "AUTH PLAIN AAAA\r\n",
            "NOOP secret\r\n",
            "EHLO a\0b\r\n",
            "EHLO a\rb\r\n",
            "\r\n",
            "DATA\r\n",
        ] {
            assert!(check(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
        assert!(check(format!("EHLO {}\r\n", "a".repeat(600)).as_bytes()).is_err());
    }
}
