//! The mechanisms that a server offers, as the host read them.
//!
//! A connector reads the reply to EHLO and chooses a mechanism. Which others the server offers, the host has to know
//! when that one is refused by itself. What it knows comes from the same bytes, and decides only the order in which the
//! account's own mechanisms are tried.

use pipepost_accounts::sasl::Mechanism;

/// A reply to EHLO is far shorter; what comes beyond this is no such reply.
const HEARD_BYTES_MAX: usize = 64 * 1024;

/// What the server has said since the last EHLO.
#[derive(Debug, Default)]
pub(crate) struct OfferedMechanisms {
    heard: Vec<u8>,
    /// An EHLO has left, and nothing since.
    is_asked: bool,
}

impl OfferedMechanisms {
    /// Forgets what was heard: TLS begins (RFC 3207, section 4.2).
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Notes greetings that leave. The reply to an EHLO stands in the place of earlier ones.
    pub(crate) fn said(&mut self, greetings: &[u8]) {
        let last = greetings.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
        self.is_asked = last.is_some_and(|line| line.len() > 4 && line[..4].eq_ignore_ascii_case(b"EHLO"));
        if self.is_asked {
            self.heard.clear();
        }
    }

    /// Returns whether the reply to an EHLO was heard to its end, and nothing else since.
    pub(crate) fn is_complete(&self) -> bool {
        let last = self.heard.strip_suffix(b"\r\n").unwrap_or_default();
        let last = last.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        self.is_asked && (last.starts_with(b"250 ") || last == b"250")
    }

    pub(crate) fn heard(&mut self, bytes: &[u8]) {
        let room = HEARD_BYTES_MAX - self.heard.len();
        self.heard.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Returns those of the mechanisms that are spoken here, in the server's order.
    pub(crate) fn mechanisms(&self) -> Vec<Mechanism> {
        let mut offered = Vec::new();
        for line in self.heard.split(|byte| *byte == b'\n') {
            let Some(line) = line
                .strip_prefix(b"250")
                .and_then(|line| std::str::from_utf8(line.get(1..)?).ok())
            else {
                continue;
            };
            // Servers older than RFC 2554 write `AUTH=LOGIN`.
            let Some((keyword, names)) = line.split_once([' ', '=']) else {
                continue;
            };
            if keyword.eq_ignore_ascii_case("AUTH") {
                for mechanism in names.split_ascii_whitespace().filter_map(Mechanism::from_name) {
                    if !offered.contains(&mechanism) {
                        offered.push(mechanism);
                    }
                }
            }
        }
        offered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mechanisms_of_the_last_reply_are_known() {
        let mut offered = OfferedMechanisms::default();
        offered.heard(b"220 mx\r\n250-mx\r\n250-AUTH PLAIN X-UNKNOWN lo");
        offered.heard(b"gin PLAIN\r\n250-AUTH=CRAM-MD5\r\n250-SIZE 1\r\n250 \xff\r\n251 AUTH EXTERNAL\r\n");
        assert_eq!(
            offered.mechanisms(),
            [Mechanism::Plain, Mechanism::Login, Mechanism::CramMd5]
        );
        offered.said(b"EHLO me\r\n");
        assert!(!offered.is_complete());
        offered.heard(b"250-mx\r\n");
        assert!(!offered.is_complete());
        offered.heard(b"250 auth scram-sha-256\r\n");
        assert!(offered.is_complete());
        assert_eq!(offered.mechanisms(), [Mechanism::ScramSha256]);
        offered.said(b"NOOP\r\n");
        offered.heard(b"250 2.0.0 OK\r\n");
        assert!(!offered.is_complete());
        assert_eq!(offered.mechanisms(), [Mechanism::ScramSha256]);
        offered.heard(&vec![b'x'; 2 * HEARD_BYTES_MAX]);
        assert_eq!(offered.heard.len(), HEARD_BYTES_MAX);
        offered.heard(b"more");
    }
}
