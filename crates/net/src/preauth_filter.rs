//! What may leave before a connection is signed in.
//!
//! Otherwise a connector could write half a line, or a MAIL whose address the secret would complete, and then ask for
//! the sign-in. It could also send in clear what it was given to send under TLS. So, on a connection that a secret is
//! meant for, only whole lines of a few commands leave before the sign-in. None of them carries anything that the
//! connector chooses: the name in EHLO is the one that the host gave it. The sign-in itself always begins at a line's
//! start.

/// The longest line let through: a command line (RFC 5321, 4.5.3.1.4).
const LINE_BYTES_MAX: usize = 512;

/// Returns how many lines these bytes are, if they are only whole lines of EHLO or HELO with this name, STARTTLS, NOOP,
/// RSET or QUIT.
///
/// # Errors
/// Returns one clause that says what is wrong with the bytes, without quoting them.
pub(crate) fn check(bytes: &[u8], client_name: &str) -> Result<u32, String> {
    let mut rest = bytes;
    let mut lines = 0;
    while !rest.is_empty() {
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return Err("half a line may not leave before the sign-in".to_owned());
        };
        let (line, after) = (&rest[..end], &rest[end + 2..]);
        if line.len() + 2 > LINE_BYTES_MAX {
            return Err("a line is longer than a command may be".to_owned());
        }
        match named(line) {
            Some(name) if name.eq_ignore_ascii_case(client_name.as_bytes()) => {}
            Some(_) => {
                return Err(format!(
                    "the name in EHLO and HELO is `{client_name}`, as the host says it, and no other"
                ));
            }
            None if is_bare(line) => {}
            None => {
                let known = "only EHLO, HELO, STARTTLS, NOOP, RSET and QUIT may leave before the sign-in";
                return Err(known.to_owned());
            }
        }
        lines += 1;
        rest = after;
    }
    Ok(lines)
}

/// The name in an EHLO or a HELO.
fn named(line: &[u8]) -> Option<&[u8]> {
    let (verb, name) = line.split_at_checked(5)?;
    (verb.eq_ignore_ascii_case(b"EHLO ") || verb.eq_ignore_ascii_case(b"HELO ")).then_some(name)
}

fn is_bare(line: &[u8]) -> bool {
    [&b"STARTTLS"[..], b"NOOP", b"RSET", b"QUIT"]
        .iter()
        .any(|verb| line.eq_ignore_ascii_case(verb))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn greetings_pass() {
        for (bytes, lines) in [
            ("EHLO mail.example.com\r\n", 1),
            ("helo Mail.example.com\r\n", 1),
            ("RSET\r\nNOOP\r\n", 2),
            ("STARTTLS\r\n", 1),
            ("QUIT\r\n", 1),
            ("", 0),
        ] {
            assert_eq!(check(bytes.as_bytes(), "mail.example.com"), Ok(lines), "{bytes:?}");
        }
        assert_eq!(check(b"ehlo [IPv6:2001:db8::1]\r\n", "[IPv6:2001:db8::1]"), Ok(1));
    }

    #[test]
    fn everything_else_waits_for_the_sign_in() {
        for bytes in [
            "EHLO a",
            "EHLO a\n",
            "EHLO a b\r\n",
            "EHLO b\r\n",
            "EHLO a.b\r\n",
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
            assert!(check(bytes.as_bytes(), "a").is_err(), "{bytes:?}");
        }
        let long = "a".repeat(600);
        assert!(check(format!("EHLO {long}\r\n").as_bytes(), &long).is_err());
    }
}
