//! Addresses: one parse, from which both the header and the envelope are made.
//!
//! The grammar is the address list of RFC 5322, section 3.4, with the freedoms that people take: empty elements, `;`
//! between addresses, dots and brackets in an unquoted name. What is ambiguous is refused, never repaired.

use std::borrow::Cow;
use std::{fmt, net};

use pipepost_smtp::Address as Path;

mod parser;
#[cfg(test)]
mod tests;

/// The longest path that a server must take, less its angle brackets (RFC 5321, section 4.5.3.1.3).
const MAX_ADDRESS: usize = 254;
/// RFC 5321, section 4.5.3.1.1.
const MAX_LOCAL: usize = 64;

/// An address that has been checked: `local@domain`, the domain in lower case and in its ASCII form (A-labels), or an
/// address literal. So two addresses are equal when they reach one mailbox, as far as a sender can know.
///
/// Only the part before the `@` may hold characters beyond ASCII; such an address needs SMTPUTF8 (RFC 6531).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    path: Path,
}

impl Address {
    /// Checks a bare address, without name and angle brackets.
    ///
    /// # Errors
    ///
    /// When it is not exactly one address.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let mailbox = Mailbox::parse(text)?;
        match mailbox.name {
            None => Ok(mailbox.address),
            Some(_) => Err(AddressError::new(text, "holds a name where only an address belongs")),
        }
    }

    /// The whole address, as it goes into the envelope and the header.
    pub fn as_str(&self) -> &str {
        self.path.as_str()
    }

    /// The address as the protocol's commands say it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &str {
        self.path.domain()
    }

    /// The part before the `@`, quoted where it has to be.
    pub fn local(&self) -> &str {
        self.path.local_part()
    }

    /// True when the part before the `@` holds characters beyond ASCII (RFC 6531).
    pub fn needs_utf8(&self) -> bool {
        self.path.needs_smtputf8()
    }

    /// `local` is the content of the local part, without quotes.
    fn from_parts(local: &str, domain: &str, whole: &str) -> Result<Self, AddressError> {
        let error = |what| Err(AddressError::new(whole, what));
        if local.is_empty() {
            return error("has nothing before the `@`");
        }
        // Within quotes they are no blanks, and some servers and logs end a line at them.
        if local.contains(is_separator) {
            return Err(AddressError::control(whole));
        }
        let mut text = quoted_if_needed(local).into_owned();
        if text.len() > MAX_LOCAL {
            return error("has more than 64 octets before the `@`");
        }
        text.push('@');
        match ascii_domain(domain) {
            Ok(domain) => text.push_str(&domain),
            Err(what) => return error(what),
        }
        if text.len() > MAX_ADDRESS {
            return error("is longer than 254 octets");
        }
        match Path::parse(&text) {
            Ok(path) => Ok(Self { path }),
            Err(_) => error("is not an address that SMTP can carry"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An address and the name shown with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// The display name, decoded; never empty.
    pub name: Option<String>,
    /// The address.
    pub address: Address,
}

impl Mailbox {
    /// Checks exactly one mailbox: `a@b.example`, `<a@b.example>` or `Name <a@b.example>`.
    ///
    /// # Errors
    ///
    /// When it is none, or several.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let mut list = AddressList::parse(text)?;
        match (list.entries.pop(), list.entries.is_empty()) {
            (Some(Entry::Mailbox(mailbox)), true) => Ok(mailbox),
            (None, _) => Err(AddressError::new(text, "holds no address")),
            _ => Err(AddressError::new(text, "holds more than one address where one belongs")),
        }
    }

    /// A mailbox of a name and a bare address.
    ///
    /// # Errors
    ///
    /// When the name holds a control character or the address is none.
    pub fn new(name: &str, address: &str) -> Result<Self, AddressError> {
        if name.chars().any(char::is_control) {
            return Err(AddressError::control(name));
        }
        let name = name.trim();
        Ok(Self {
            name: (!name.is_empty()).then(|| name.to_owned()),
            address: Address::parse(address)?,
        })
    }
}

impl fmt::Display for Mailbox {
    /// As a person would write it; the header has its own encoding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            None => write!(f, "{}", self.address),
            Some(name) => write!(f, "{} <{}>", written(name), self.address),
        }
    }
}

/// One element of an address list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A mailbox.
    Mailbox(Mailbox),
    /// A named group, possibly empty: `Team: a@b.example, c@d.example;`.
    Group {
        /// The group's name, decoded.
        name: String,
        /// Its members.
        members: Vec<Mailbox>,
    },
}

/// What an address parameter holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressList {
    entries: Vec<Entry>,
}

impl AddressList {
    /// Parses an address list; the empty text is the empty list.
    ///
    /// # Errors
    ///
    /// [`AddressError`] for the first element that is not an address.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        parser::parse(text).map(|entries| Self { entries })
    }

    /// The elements in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Every mailbox in its order, those of groups included.
    pub fn mailboxes(&self) -> impl Iterator<Item = &Mailbox> {
        self.entries.iter().flat_map(|entry| match entry {
            Entry::Mailbox(mailbox) => std::slice::from_ref(mailbox),
            Entry::Group { members, .. } => members.as_slice(),
        })
    }

    /// True when there is no element at all, not even an empty group.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds one mailbox at the end.
    pub fn push(&mut self, mailbox: Mailbox) {
        self.entries.push(Entry::Mailbox(mailbox));
    }

    /// Adds the elements of another list at the end.
    pub fn append(&mut self, mut other: Self) {
        self.entries.append(&mut other.entries);
    }
}

impl fmt::Display for AddressList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, entry) in self.entries.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            match entry {
                Entry::Mailbox(mailbox) => write!(f, "{mailbox}")?,
                Entry::Group { name, members } => {
                    write!(f, "{}:", written(name))?;
                    for (i, member) in members.iter().enumerate() {
                        write!(f, "{}{member}", if i > 0 { ", " } else { " " })?;
                    }
                    f.write_str(";")?;
                }
            }
        }
        Ok(())
    }
}

/// Why a text is not an address. Its Display continues a sentence that names the parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    /// The element that is at fault, shortened and with its control characters escaped.
    found: String,
    what: &'static str,
}

impl AddressError {
    const SHOWN: usize = 80;

    fn new(found: &str, what: &'static str) -> Self {
        let mut shown: String = found.trim().chars().take(Self::SHOWN).flat_map(escaped).collect();
        if found.trim().chars().nth(Self::SHOWN).is_some() {
            shown.push_str("...");
        }
        Self { found: shown, what }
    }

    fn control(found: &str) -> Self {
        Self::new(
            found,
            "holds a line break or another control character, which no address may hold",
        )
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.found, self.what)
    }
}

impl std::error::Error for AddressError {}

fn escaped(c: char) -> impl Iterator<Item = char> {
    let (control, plain) = if c.is_control() || is_separator(c) {
        (Some(c.escape_default()), None)
    } else {
        (None, Some(c))
    };
    control.into_iter().flatten().chain(plain)
}

/// A character of an atom (RFC 5322, section 3.2.3), or one beyond ASCII (RFC 6532).
pub(crate) fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
}

/// A name as a person writes it: in quotes where it would be read differently without them.
fn written(name: &str) -> Cow<'_, str> {
    if name
        .split(' ')
        .all(|word| !word.is_empty() && word.chars().all(is_atext))
    {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(quoted(name))
    }
}

/// Unicode's line and paragraph separators, which are no control characters by its tables.
fn is_separator(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// The text as a quoted string (RFC 5322, section 3.2.4).
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

fn quoted_if_needed(local: &str) -> Cow<'_, str> {
    if local
        .split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
    {
        Cow::Borrowed(local)
    } else {
        Cow::Owned(quoted(local))
    }
}

/// The domain in the form that every server takes, or what is wrong with it.
fn ascii_domain(domain: &str) -> Result<Cow<'_, str>, &'static str> {
    if let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let valid = match literal.get(..5) {
            Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => literal[5..].parse::<net::Ipv6Addr>().is_ok(),
            _ => literal.parse::<net::Ipv4Addr>().is_ok(),
        };
        return if valid {
            Ok(Cow::Borrowed(domain))
        } else {
            Err("has an address literal that is none")
        };
    }
    if domain.is_empty() {
        return Err("has no domain after the `@`");
    }
    let ascii = if !domain.is_ascii() {
        Cow::Owned(idna::domain_to_ascii(domain).map_err(|_| "has a domain that is no internationalised domain name")?)
    } else if domain.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(domain.to_ascii_lowercase())
    } else {
        Cow::Borrowed(domain)
    };
    let label_is_valid = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if ascii.len() > 253 || !ascii.split('.').all(label_is_valid) {
        return Err("has a domain that cannot be one");
    }
    Ok(ascii)
}
