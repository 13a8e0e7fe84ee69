//! Addresses. One parse gives both the header and the envelope.
//!
//! The grammar is the address list of RFC 5322, section 3.4, with some common deviations: empty elements, `;` between
//! addresses, dots and brackets in an unquoted name. An ambiguous text is refused, never repaired.

use std::borrow::Cow;
use std::{fmt, net};

use pipepost_smtp::Address as Path;

use crate::segments::Segments;

mod parser;
#[cfg(test)]
mod tests;

/// What a command's line has room for: 512 octets less `MAIL FROM:<>` and its end (RFC 5321, section 4.5.3.1.4). The
/// smaller bounds of that section are the server's to judge: reply tokens and return paths pass them every day.
const MAX_ADDRESS: usize = Path::MAX;

/// An address that has been checked: `local@domain`, with the domain in lower case and in its ASCII form (A-labels), or
/// with an address literal. So two addresses are equal when they reach one mailbox, as far as a sender can know.
///
/// Only the part before the `@` may hold characters beyond ASCII; such an address needs SMTPUTF8 (RFC 6531).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    path: Path,
}

impl Address {
    /// Parses a bare address, without name and angle brackets.
    ///
    /// # Errors
    /// When the text is not exactly one address.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        Self::read(&text.into(), &mut Vec::new())
    }

    /// Parses a bare address from a text with values in it, like [`Address::parse`]. Unusual but harmless parts are
    /// added to `notes`.
    ///
    /// # Errors
    /// The errors of [`Address::parse`].
    pub fn read(text: &Segments, notes: &mut Vec<Note>) -> Result<Self, AddressError> {
        let mailbox = Mailbox::read(text, notes)?;
        match mailbox.name {
            None => Ok(mailbox.address),
            Some(_) => Err(AddressError::new(
                &text.joined(),
                "holds a name where only an address belongs",
            )),
        }
    }

    /// Returns the whole address, as it is written in the envelope and the header.
    pub fn as_str(&self) -> &str {
        self.path.as_str()
    }

    /// Returns the address as the protocol's commands use it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the part after the `@`.
    pub fn domain(&self) -> &str {
        self.path.domain()
    }

    /// Returns the part before the `@`, quoted if it must be.
    pub fn local(&self) -> &str {
        self.path.local_part()
    }

    /// Checks whether the part before the `@` holds characters beyond ASCII (RFC 6531).
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
        if let Some(hidden) = local.chars().chain(domain.chars()).find(|&c| is_invisible(c)) {
            return Err(AddressError::invisible(whole, hidden));
        }
        let mut text = quoted_if_needed(local).into_owned();
        text.push('@');
        match ascii_domain(domain) {
            Ok(domain) => text.push_str(&domain),
            Err(what) => return error(what),
        }
        if text.len() > MAX_ADDRESS {
            return error("is longer than 498 octets, and no command has room for it");
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
    /// Parses exactly one mailbox: `a@b.example`, `<a@b.example>` or `Name <a@b.example>`.
    ///
    /// # Errors
    /// When the text holds no mailbox, or several.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        Self::read(&text.into(), &mut Vec::new())
    }

    /// Parses one mailbox from a text with values in it, like [`Mailbox::parse`]. Unusual but harmless parts are added
    /// to `notes`.
    ///
    /// # Errors
    /// The errors of [`Mailbox::parse`].
    pub fn read(text: &Segments, notes: &mut Vec<Note>) -> Result<Self, AddressError> {
        let mut list = AddressList::read(text, notes)?;
        match (list.entries.pop(), list.entries.is_empty()) {
            (Some(Entry::Mailbox(mailbox)), true) => Ok(mailbox),
            (None, _) => Err(AddressError::new(&text.joined(), "holds no address")),
            _ => Err(AddressError::new(
                &text.joined(),
                "holds more than one address where one belongs",
            )),
        }
    }

    /// Creates a mailbox from a name and a bare address.
    ///
    /// # Errors
    /// When the name holds a control character, or the address is not a valid one.
    pub fn new(name: &str, address: &str) -> Result<Self, AddressError> {
        Self::of(name, Address::parse(address)?)
    }

    /// Creates a mailbox from a name and a checked address. An empty name counts as none.
    ///
    /// # Errors
    /// When the name holds a control character.
    pub fn of(name: &str, address: Address) -> Result<Self, AddressError> {
        let name = checked_name(name)?;
        Ok(Self { name, address })
    }
}

/// A display name, folds and blanks at its ends undone; none when nothing is left.
pub(crate) fn checked_name(name: &str) -> Result<Option<String>, AddressError> {
    let name = tidy(name);
    if name.chars().any(|c| c.is_control() || is_separator(c)) {
        return Err(AddressError::control(&name));
    }
    Ok((!name.is_empty()).then(|| name.into_owned()))
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

/// The content of an address parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressList {
    entries: Vec<Entry>,
}

impl AddressList {
    /// Parses an address list. The empty text is the empty list.
    ///
    /// # Errors
    /// [`AddressError`] for the first element that is not an address.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        Self::read(&text.into(), &mut Vec::new())
    }

    /// Parses an address list whose grammar is the document's own text. A value within a name is a part of the name, a
    /// value within an address is a part of that address, and a value between two commas is one mailbox.
    ///
    /// # Errors
    /// [`AddressError`] for the first element that is not an address, or in which a value would be more than its place
    /// allows.
    pub fn read(text: &Segments, notes: &mut Vec<Note>) -> Result<Self, AddressError> {
        if let Some(path) = text.only_text().and_then(simple_path) {
            let address = Address { path };
            return Ok(Self {
                entries: vec![Entry::Mailbox(Mailbox { name: None, address })],
            });
        }
        parser::parse(text, notes).map(|entries| Self { entries })
    }

    /// Returns the elements in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns every mailbox in its order, including those of groups.
    pub fn mailboxes(&self) -> impl Iterator<Item = &Mailbox> {
        self.entries.iter().flat_map(|entry| match entry {
            Entry::Mailbox(mailbox) => std::slice::from_ref(mailbox),
            Entry::Group { members, .. } => members.as_slice(),
        })
    }

    /// Returns every mailbox in its order, including those of groups.
    pub(crate) fn into_mailboxes(self) -> impl Iterator<Item = Mailbox> {
        self.entries.into_iter().flat_map(|entry| match entry {
            Entry::Mailbox(mailbox) => vec![mailbox],
            Entry::Group { members, .. } => members,
        })
    }

    /// Checks whether there is no element at all, not even an empty group.
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

/// A change to a text that does not change which mailbox it means. Its Display continues a sentence that names the
/// parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A comment, which is not sent (RFC 5322, section 3.2.2).
    Comment(String),
    /// The part before the `@` had to be quoted, because its dots are in places that a dot-atom does not allow.
    Quoted(String),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Comment(comment) => write!(
                f,
                "`({})` is a comment and is not sent; a name that holds brackets belongs in quotes",
                shortened(comment)
            ),
            Self::Quoted(address) => write!(
                f,
                "`{}` is sent with the part before the `@` in quotes, because of its dots",
                shortened(address)
            ),
        }
    }
}

/// The reason why a text is not an address. Its Display continues a sentence that names the parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    /// The element that is at fault, shortened and with its control characters escaped.
    found: String,
    what: Cow<'static, str>,
}

impl AddressError {
    fn new(found: &str, what: impl Into<Cow<'static, str>>) -> Self {
        Self {
            found: shortened(found),
            what: what.into(),
        }
    }

    fn invisible(found: &str, hidden: char) -> Self {
        Self::new(
            found,
            format!(
                "holds the invisible character U+{:04X}, which no address may hold",
                u32::from(hidden)
            ),
        )
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

/// A foreign text for a message: its control and invisible characters escaped, its end cut off where it is long.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown: String = text.trim().chars().take(SHOWN).flat_map(escaped).collect();
    if text.trim().chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

fn escaped(c: char) -> impl Iterator<Item = char> {
    let (control, plain) = if c.is_control() || is_separator(c) || is_invisible(c) {
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

/// Characters without a shape of their own, by which two addresses that look alike differ. The two joiners are not among
/// them: scripts of India and Iran need them within words.
pub(crate) fn is_invisible(c: char) -> bool {
    !c.is_ascii() && is_invisible_beyond_ascii(c)
}

fn is_invisible_beyond_ascii(c: char) -> bool {
    matches!(u32::from(c),
        0xAD | 0x34F | 0x61C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F | 0x200B | 0x200E | 0x200F
        | 0x202A..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB
        | 0xFDD0..=0xFDEF | 0xE0000..=0xE0FFF)
        || u32::from(c) & 0xFFFE == 0xFFFE
}

/// What surrounds an address that was copied or read from a file: blanks, byte order marks, marks of direction.
fn is_padding(c: char) -> bool {
    c.is_whitespace() || is_invisible(c) || matches!(c, '\u{200c}' | '\u{200d}')
}

/// A value for one line: what surrounds it taken off, and folds undone (RFC 5322, section 2.2.3). Any other line break
/// stays where it is, to be refused.
pub(crate) fn tidy(text: &str) -> Cow<'_, str> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'));
    if !text.contains('\n') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\n') {
        let line = rest[..at].strip_suffix('\r').unwrap_or(&rest[..at]);
        let after = &rest[at + 1..];
        let is_fold =
            after.starts_with([' ', '\t']) && !after.trim_start_matches([' ', '\t']).starts_with(['\r', '\n']);
        out.push_str(if is_fold { line } else { &rest[..=at] });
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out)
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

/// A bare address as most are, which reads the same by every rule: letters, digits and the signs of an atom, dots, one
/// `@`, and a domain in small letters. Anything else is for the grammar, wrong or not.
fn simple_path(text: &str) -> Option<Path> {
    /// A domain has 253 octets at most, and this is less.
    const LONGEST: usize = 200;
    let is_simple =
        |octet: u8| matches!(octet, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'+' | b'@');
    if text.len() > LONGEST || !text.bytes().all(is_simple) {
        return None;
    }
    let (_, domain) = text.split_once('@')?;
    let is_other = |octet: u8| octet.is_ascii_uppercase() || matches!(octet, b'_' | b'+' | b'@');
    if domain.bytes().any(is_other) {
        return None;
    }
    Path::parse(text).ok()
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
