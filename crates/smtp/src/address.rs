//! Addresses of an envelope and the client's name. Text from outside gets into a command only through these types.
//!
//! Commands are made of these types and of numbers, never of strings. So text that these types refuse cannot become a
//! command. They refuse text and never repair it: an address that was changed is another address.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A mailbox as it is written between the angle brackets of MAIL and RCPT (RFC 5321, section 4.1.2).
///
/// The local part is a dot-atom or a quoted string, and may hold UTF-8 (RFC 6531); the domain is ASCII (A-labels) or an
/// address literal. No value holds a control character, or an angle bracket or blank outside quotes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    text: Box<str>,
    /// Where the `@` is that ends the local part.
    at: usize,
}

impl Address {
    /// The maximum length of the whole address, in octets: a command line of 512 octets without `MAIL FROM:<>` and its
    /// line end (RFC 5321, section 4.5.3.1.4). The server checks the smaller limits of sections 4.5.3.1.1 and
    /// 4.5.3.1.3.
    pub const MAX: usize = 498;

    /// Parses `local@domain`, without brackets and without a display name.
    ///
    /// # Errors
    /// When the text is not one address of the form above. The error names the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let fail = |kind| Err(AddressError { kind });
        if text.is_empty() {
            return fail(AddressErrorKind::Empty);
        }
        if text.chars().any(is_forbidden) {
            return fail(AddressErrorKind::ControlCharacter);
        }
        // A domain holds no `@`, a quoted local part may.
        let Some(at) = text.rfind('@') else {
            return fail(AddressErrorKind::NoAt);
        };
        let (local, domain) = (&text[..at], &text[at + 1..]);
        if text.len() > Self::MAX {
            return fail(AddressErrorKind::TooLong);
        }
        if !(is_dot_atom(local) || is_quoted(local)) {
            return fail(AddressErrorKind::LocalPart);
        }
        check_domain(domain).map_err(|kind| AddressError { kind })?;
        Ok(Self { text: text.into(), at })
    }

    /// Returns the whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns everything before the `@`, including the quotes if there are any.
    pub fn local_part(&self) -> &str {
        &self.text[..self.at]
    }

    /// Returns everything after the `@`.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// Checks whether the address holds characters beyond ASCII. Such an address can only be sent to a server that
    /// offers SMTPUTF8.
    pub fn needs_smtputf8(&self) -> bool {
        !self.text.is_ascii()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq<str> for Address {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Address {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

/// The name that a client gives in EHLO: a domain, or an address literal such as `[192.0.2.1]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientName(Box<str>);

impl ClientName {
    /// Parses a domain of A-labels or an address literal.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let fail = |kind| AddressError { kind };
        if text.chars().any(is_forbidden) {
            return Err(fail(AddressErrorKind::ControlCharacter));
        }
        check_domain(text).map_err(fail)?;
        Ok(Self(text.into()))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ClientName {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

/// Control characters of ASCII and of Unicode, and Unicode's own line ends.
fn is_forbidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn is_dot_atom(local: &str) -> bool {
    local
        .split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(is_atom))
}

/// RFC 5322, section 3.2.3, and everything beyond ASCII (RFC 6531, section 3.3) that is not a blank.
fn is_atom(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
    } else {
        !c.is_whitespace()
    }
}

fn is_quoted(local: &str) -> bool {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return false;
    };
    let mut escaped = false;
    for c in inner.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return false,
            _ => {}
        }
    }
    !escaped
}

fn check_domain(domain: &str) -> Result<(), AddressErrorKind> {
    if let Some(literal) = domain.strip_prefix('[') {
        return if literal.strip_suffix(']').is_some_and(is_literal) {
            Ok(())
        } else {
            Err(AddressErrorKind::Literal)
        };
    }
    if !domain.is_ascii() {
        return Err(AddressErrorKind::DomainNotAscii);
    }
    // RFC 5321, section 4.5.3.1.2.
    if domain.len() > 255 {
        return Err(AddressErrorKind::TooLong);
    }
    if domain.split('.').all(is_label) {
        Ok(())
    } else {
        Err(AddressErrorKind::Domain)
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn is_literal(literal: &str) -> bool {
    match literal.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => literal[5..].parse::<Ipv6Addr>().is_ok(),
        _ => literal.parse::<Ipv4Addr>().is_ok(),
    }
}

/// The reason why a text is not an address, or not a client name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressError {
    kind: AddressErrorKind,
}

impl AddressError {
    /// Returns what is wrong, for programs.
    pub fn kind(self) -> AddressErrorKind {
        self.kind
    }
}

/// What is wrong with a text that should be an address or a client name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressErrorKind {
    /// The text is empty.
    Empty,
    /// The text holds CR, LF, NUL or another control character. Such a text may be an attempt to inject a command.
    ControlCharacter,
    /// The text has no `@`.
    NoAt,
    /// The part before the `@` is neither a dot-atom nor a quoted string.
    LocalPart,
    /// The part after the `@` is not a domain name.
    Domain,
    /// The domain is not ASCII. It must be given as its A-label (`xn--...`).
    DomainNotAscii,
    /// The text in square brackets is neither an IPv4 address nor `IPv6:` and an IPv6 address.
    Literal,
    /// The text is longer than a command has room for, or the domain has more than 255 octets.
    TooLong,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            AddressErrorKind::Empty => "the address is empty",
            AddressErrorKind::ControlCharacter => "the address holds a line break or another control character",
            AddressErrorKind::NoAt => "the address has no @",
            AddressErrorKind::LocalPart => {
                "the part before the @ is not allowed as it is: blanks, brackets and doubled dots need quotes around it"
            }
            AddressErrorKind::Domain => "the part after the @ is not a domain name",
            AddressErrorKind::DomainNotAscii => "the domain is not in its ASCII form (xn--)",
            AddressErrorKind::Literal => "the square brackets do not hold an IP address",
            AddressErrorKind::TooLong => "the address is longer than SMTP allows",
        })
    }
}

impl std::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind(text: &str) -> Option<AddressErrorKind> {
        Address::parse(text).err().map(AddressError::kind)
    }

    #[test]
    fn addresses_that_are_fine() {
        for text in [
            "a@b",
            "first.last+tag@example.com",
            "o'brien@xn--bcher-kva.example",
            "\"john doe\"@example.com",
            "\"a@b<c>\"@example.com",
            "\"quote\\\"d\\\\\"@example.com",
            "\"\"@example.com",
            "x@[192.0.2.1]",
            "x@[IPv6:2001:db8::1]",
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.as_str(), text);
            assert_eq!(format!("{}@{}", address.local_part(), address.domain()), text);
            assert!(!address.needs_smtputf8());
        }
        assert!(Address::parse("дом@example.com").unwrap().needs_smtputf8());
    }

    #[test]
    fn addresses_that_are_refused_and_why() {
        use AddressErrorKind::*;
        for (text, expected) in [
            ("", Empty),
            ("a@b\r\nRCPT TO:<c@d>", ControlCharacter),
            ("a\0@b", ControlCharacter),
            ("\"a\nb\"@c", ControlCharacter),
            ("a\u{85}@b", ControlCharacter),
            ("a\u{2028}@b", ControlCharacter),
            ("nobody", NoAt),
            ("@b", LocalPart),
            ("a b@c", LocalPart),
            ("<a@b>", LocalPart),
            ("a..b@c", LocalPart),
            (".a@c", LocalPart),
            ("a>@c", LocalPart),
            ("a@b@c", LocalPart),
            ("\"@c", LocalPart),
            ("\"a\\\"@c", LocalPart),
            ("\"a\"b\"@c", LocalPart),
            ("a\u{a0}b@c", LocalPart),
            ("a@", Domain),
            ("a@b.", Domain),
            ("a@b>", Domain),
            ("a@b SIZE=1", Domain),
            ("a@-b", Domain),
            ("a@bücher.example", DomainNotAscii),
            ("a@[1.2.3]", Literal),
            ("a@[IPv6:zz]", Literal),
            ("a@[1.2.3.4", Literal),
        ] {
            assert_eq!(kind(text), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn each_length_obeyed_and_violated() {
        let whole = |n: usize| format!("{}@example.com", "l".repeat(n - "@example.com".len()));
        assert_eq!(kind(&whole(Address::MAX)), None);
        assert_eq!(kind(&whole(Address::MAX + 1)), Some(AddressErrorKind::TooLong));
        let domain = |n: usize| {
            let labels = format!("{}.", "d".repeat(63)).repeat(3);
            format!("a@{labels}{}", "d".repeat(n - labels.len()))
        };
        assert_eq!(kind(&domain(255)), None);
        assert_eq!(kind(&domain(256)), Some(AddressErrorKind::TooLong));
        assert_eq!(kind(&format!("a@{}", "d".repeat(64))), Some(AddressErrorKind::Domain));
    }

    #[test]
    fn client_names() {
        for name in ["mail.example.com", "[192.0.2.7]", "[IPv6:::1]", "host"] {
            assert_eq!(ClientName::parse(name).unwrap().as_str(), name);
        }
        for name in ["", "a b", "a\r\nb", "bücher.example", "a_b.example", "[x]", "a..b"] {
            assert!(ClientName::parse(name).is_err(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_accepted_can_leave_its_command(text in "(\"[^\"]{0,6}\"|[\\PC\r\n<> \0]{1,8})@[a-z\\[\\]<> .0-9]{1,8}") {
            if let Ok(address) = Address::parse(&text) {
                prop_assert!(!address.as_str().chars().any(char::is_control));
                let mut quoted = false;
                let mut escaped = false;
                for c in address.as_str().chars() {
                    match c {
                        _ if escaped => escaped = false,
                        '\\' if quoted => escaped = true,
                        '"' => quoted = !quoted,
                        '<' | '>' | ' ' => prop_assert!(quoted, "{:?}", text),
                        _ => {}
                    }
                }
                prop_assert!(!quoted);
            }
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = Address::parse(&text);
            let _ = ClientName::parse(&text);
        }
    }
}
