//! The capabilities of a server, as its reply to EHLO states them (RFC 5321, section 4.1.1.1).

use std::fmt::Write as _;

use crate::reply::Reply;

/// The service extensions that change what this client writes, and a few that are useful to show to people.
///
/// Whatever a server claims, the value stays small: unknown keywords are dropped. At most
/// [`MAX_MECHANISMS`](Self::MAX_MECHANISMS) mechanism names are kept, and only names of the form that RFC 4422 allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// `SIZE` with a number (RFC 1870): the maximum size of a message, in octets. None: the server named no limit.
    pub size: Option<u64>,
    /// `8BITMIME` (RFC 6152).
    pub eight_bit_mime: bool,
    /// `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
    /// `PIPELINING` (RFC 2920).
    pub pipelining: bool,
    /// `CHUNKING` (RFC 3030), which is BDAT.
    pub chunking: bool,
    /// `STARTTLS` (RFC 3207).
    pub starttls: bool,
    /// `ENHANCEDSTATUSCODES` (RFC 2034).
    pub enhanced_status_codes: bool,
    /// `DSN` (RFC 3461).
    pub dsn: bool,
    /// The mechanisms of `AUTH` (RFC 4954) in the server's order, in capitals, each once.
    pub mechanisms: Vec<String>,
}

impl Capabilities {
    /// The maximum number of mechanism names that are kept.
    pub const MAX_MECHANISMS: usize = 32;
    /// The maximum length of a serialised value, in bytes.
    pub const MAX_MEMO: usize = 2 * 1024;

    /// Reads the reply to EHLO. Its first line is the server's name and greeting and holds no keyword.
    pub fn from_ehlo(reply: &Reply) -> Self {
        let mut capabilities = Self::default();
        for line in reply.raw_lines().skip(1) {
            capabilities.add(line.trim());
        }
        capabilities
    }

    /// Checks whether the server offers `mechanism`, in upper or lower case.
    pub fn offers(&self, mechanism: &str) -> bool {
        self.mechanisms
            .iter()
            .any(|offered| offered.eq_ignore_ascii_case(mechanism))
    }

    /// Serialises the value as the lines of an EHLO reply, one keyword per line, in at most
    /// [`MAX_MEMO`](Self::MAX_MEMO) bytes.
    pub fn to_memo(&self) -> String {
        let mut memo = String::new();
        if let Some(size) = self.size {
            // Writing to a String cannot fail.
            let _ = writeln!(memo, "SIZE {size}");
        }
        for (_, keyword) in self.flags().into_iter().filter(|(set, _)| *set) {
            memo.push_str(keyword);
            memo.push('\n');
        }
        if !self.mechanisms.is_empty() {
            memo.push_str("AUTH ");
            memo.push_str(&self.mechanisms.join(" "));
            memo.push('\n');
        }
        memo
    }

    /// Reads what [`to_memo`](Self::to_memo) wrote. Returns none for any text that `to_memo` would not have written
    /// exactly like this.
    pub fn from_memo(memo: &str) -> Option<Self> {
        if memo.len() > Self::MAX_MEMO {
            return None;
        }
        let mut capabilities = Self::default();
        memo.lines().for_each(|line| capabilities.add(line));
        (capabilities.to_memo() == memo).then_some(capabilities)
    }

    fn flags(&self) -> [(bool, &'static str); 7] {
        [
            (self.eight_bit_mime, "8BITMIME"),
            (self.smtputf8, "SMTPUTF8"),
            (self.pipelining, "PIPELINING"),
            (self.chunking, "CHUNKING"),
            (self.starttls, "STARTTLS"),
            (self.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
            (self.dsn, "DSN"),
        ]
    }

    fn add(&mut self, line: &str) {
        // Servers older than RFC 2554 write `AUTH=LOGIN`; some write both forms.
        let (keyword, parameters) = line.split_once([' ', '=']).unwrap_or((line, ""));
        let mut buffer = [0; 24];
        let Some(upper) = buffer.get_mut(..keyword.len()) else {
            return;
        };
        upper.copy_from_slice(keyword.as_bytes());
        upper.make_ascii_uppercase();
        match &*upper {
            // Zero says that there is no fixed limit (RFC 1870, section 4).
            b"SIZE" => self.size = parameters.trim().parse().ok().filter(|&size| size > 0),
            b"8BITMIME" => self.eight_bit_mime = true,
            b"SMTPUTF8" => self.smtputf8 = true,
            b"PIPELINING" => self.pipelining = true,
            b"CHUNKING" => self.chunking = true,
            b"STARTTLS" => self.starttls = true,
            b"ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            b"DSN" => self.dsn = true,
            b"AUTH" => self.add_mechanisms(parameters),
            _ => {}
        }
    }

    fn add_mechanisms(&mut self, parameters: &str) {
        for name in parameters.split_ascii_whitespace().filter(|name| is_mechanism(name)) {
            if self.mechanisms.len() < Self::MAX_MECHANISMS && !self.offers(name) {
                self.mechanisms.push(name.to_ascii_uppercase());
            }
        }
    }
}

/// The names that RFC 4422, section 3.1, allows, in either case.
fn is_mechanism(name: &str) -> bool {
    (1..=20).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reply::{ReplyParser, parse_reply};

    fn ehlo(lines: &[&str]) -> Capabilities {
        let mut text = String::from("250-mx.example at your service, PIPELINING");
        for line in lines {
            text += &format!("\r\n250-{line}");
        }
        Capabilities::from_ehlo(&parse_reply(&format!("{text}\r\n250 X-LAST")).unwrap())
    }

    #[test]
    fn gmail_after_tls() {
        let capabilities = ehlo(&[
            "SIZE 35882577",
            "8BITMIME",
            "AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH",
            "ENHANCEDSTATUSCODES",
            "PIPELINING",
            "CHUNKING",
            "SMTPUTF8",
        ]);
        assert_eq!(capabilities.size, Some(35_882_577));
        assert!(capabilities.eight_bit_mime && capabilities.smtputf8 && capabilities.enhanced_status_codes);
        assert!(capabilities.pipelining && capabilities.chunking);
        assert!(!capabilities.starttls && !capabilities.dsn);
        assert!(capabilities.offers("xoauth2") && !capabilities.offers("SCRAM-SHA-256"));
        assert_eq!(capabilities.mechanisms.len(), 6);
    }

    #[test]
    fn keywords_in_any_case_and_the_old_auth_form() {
        let capabilities = ehlo(&["auth=login plain", "AUTH LOGIN CRAM-MD5", "chunking", "Size"]);
        assert_eq!(capabilities.mechanisms, ["LOGIN", "PLAIN", "CRAM-MD5"]);
        assert!(capabilities.chunking);
        assert_eq!(capabilities.size, None);
    }

    #[test]
    fn the_greeting_line_is_no_capability() {
        assert!(!ehlo(&[]).pipelining);
    }

    #[test]
    fn a_size_of_zero_or_nonsense_is_no_limit() {
        assert_eq!(ehlo(&["SIZE 0"]).size, None);
        assert_eq!(ehlo(&["SIZE -1"]).size, None);
        assert_eq!(ehlo(&["SIZE 99999999999999999999999"]).size, None);
    }

    #[test]
    fn many_and_odd_mechanisms_stay_few() {
        let many = (0..400).map(|n| format!("M{n}")).collect::<Vec<_>>().join(" ");
        let capabilities = ehlo(&[&format!("AUTH {many}"), "AUTH A;B ÄÖ AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]);
        assert_eq!(capabilities.mechanisms.len(), Capabilities::MAX_MECHANISMS);
        assert!(capabilities.to_memo().len() <= Capabilities::MAX_MEMO);
    }

    #[test]
    fn ten_megabytes_of_capabilities_are_refused_early() {
        let mut parser = ReplyParser::new();
        let piece = b"250-X-SOMETHING\r\n".repeat(64);
        let failed_after = (0..10 * 1024).find(|_| {
            parser.push(&piece);
            parser.next_reply().is_err()
        });
        assert_eq!(failed_after, Some(2), "after 128 lines, not after 10 MB");
    }

    proptest! {
        #[test]
        fn a_memo_comes_back(size in prop::option::of(1u64..), flags: [bool; 7], names in prop::collection::vec("[A-Z][A-Z0-9-]{0,9}", 0..6)) {
            let [eight_bit_mime, smtputf8, pipelining, chunking, starttls, enhanced_status_codes, dsn] = flags;
            let mut capabilities = Capabilities {
                size, eight_bit_mime, smtputf8, pipelining, chunking, starttls, enhanced_status_codes, dsn,
                mechanisms: Vec::new(),
            };
            capabilities.add_mechanisms(&names.join(" "));
            prop_assert_eq!(Capabilities::from_memo(&capabilities.to_memo()), Some(capabilities));
        }

        #[test]
        fn no_memo_panics(memo: String) {
            let _ = Capabilities::from_memo(&memo);
        }
    }
}
