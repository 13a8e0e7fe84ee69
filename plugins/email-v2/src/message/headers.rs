//! Header values: folded, and encoded where they have to be.
//!
//! Every value is a sequence of tokens with one blank between two of them, where the line may be folded. A run of words
//! that cannot be written unchanged becomes encoded words (RFC 2047): words beyond ASCII, words that look like an
//! encoded word, several blanks in a row. Lines are kept within 76 octets if the tokens allow it, and always within
//! 998.

use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lettre::address::Envelope;
use lettre::message::MessageBuilder;
use lettre::message::header::{HeaderName, HeaderValue as RawHeader};
use lettre::{Address as LettreAddress, Message};

use crate::address::{AddressList, Entry, Mailbox, is_atext, quoted};
use crate::parameters::{CustomHeader, HeaderValue, Parameters};

/// The last second of the year 9999: what a Date header can say.
pub(super) const LAST_DATE: u64 = 253_402_300_799;
pub(super) const LINE: usize = 76;
/// An encoded word is at most this long (RFC 2047, section 2).
const ENCODED_WORD: usize = 75;
const ENCODED_WORD_FRAME: usize = "=?utf-8?B??=".len();
/// What the first encoded word of a header carries at least, in octets.
const FIRST_WORD: usize = 6;
/// A word longer than this is encoded, because an encoded one can be folded.
pub(crate) const LONGEST_WORD: usize = 900;

/// The message's headers, apart from those that say what its content is.
pub(super) fn head(parameters: &Parameters, message_id: &str, date: SystemTime) -> MessageBuilder {
    let mut builder = Message::builder().raw_header(from(parameters));
    if let Some(sender) = &parameters.sender {
        let mut line = Line::new("Sender");
        line.mailbox(sender, "");
        builder = builder.raw_header(value("Sender", line.out));
    }
    if let Some(envelope) = placeholder_envelope() {
        builder = builder.envelope(envelope);
    }
    let lists = [
        ("To", &parameters.to),
        ("Cc", &parameters.cc),
        ("Reply-To", &parameters.reply_to),
    ];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        builder = builder.raw_header(addresses(name, list));
    }
    if parameters.to.is_empty() && parameters.cc.is_empty() {
        // Some servers add a header of their own to a message without any visible recipient.
        builder = builder.raw_header(value("To", "undisclosed-recipients:;".to_owned()));
    }
    builder = builder.raw_header(unstructured("Subject", &parameters.subject));
    builder = builder.date(date);
    builder = builder.raw_header(value("Message-ID", message_id.to_owned()));
    for (name, ids) in [
        ("In-Reply-To", &parameters.in_reply_to),
        ("References", &parameters.references),
    ] {
        if !ids.is_empty() {
            builder = builder.raw_header(tokens(name, ids.iter().map(String::as_str)));
        }
    }
    if let Some((number, word)) = parameters.priority.words() {
        for (name, text) in [
            ("X-Priority", number),
            ("X-MSMail-Priority", word),
            ("Importance", word),
        ] {
            builder = builder.raw_header(value(name, text.to_owned()));
        }
    }
    if let Some(unsubscribe) = &parameters.list_unsubscribe {
        let last = unsubscribe.targets.len() - 1;
        let targets: Vec<String> = unsubscribe
            .targets
            .iter()
            .enumerate()
            .map(|(i, target)| format!("<{target}>{}", if i < last { "," } else { "" }))
            .collect();
        builder = builder.raw_header(tokens("List-Unsubscribe", targets.iter().map(String::as_str)));
        if unsubscribe.one_click {
            builder = builder.raw_header(value("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
        }
    }
    custom(builder, &parameters.headers)
}

/// lettre keeps one value a name: further ones are written into the value of the first, each as a line of its own.
fn custom(mut builder: MessageBuilder, headers: &[CustomHeader]) -> MessageBuilder {
    for (i, header) in headers.iter().enumerate() {
        let same = |other: &&CustomHeader| other.name.eq_ignore_ascii_case(&header.name);
        if headers[..i].iter().any(|other| same(&other)) {
            continue;
        }
        let Ok(header_name) = HeaderName::new_from_ascii(header.name.clone()) else {
            continue; // parameters have no such name
        };
        let mut encoded = encode_custom(header);
        for further in headers[i + 1..].iter().filter(same) {
            encoded.push_str("\r\n");
            encoded.push_str(&further.name);
            encoded.push_str(": ");
            encoded.push_str(&encode_custom(further));
        }
        builder = builder.raw_header(RawHeader::dangerous_new_pre_encoded(
            header_name,
            String::new(),
            encoded,
        ));
    }
    builder
}

fn encode_custom(header: &CustomHeader) -> String {
    match &header.value {
        HeaderValue::Text(text) => encode_unstructured(&header.name, text),
        HeaderValue::Addresses(list) => encode_addresses(&header.name, list),
    }
}

/// The envelope is ours to make: lettre would parse the headers again for one.
fn placeholder_envelope() -> Option<Envelope> {
    Envelope::new(None, vec![LettreAddress::new_dangerous("recipient", "example.invalid")]).ok()
}

fn value(name: &'static str, encoded: String) -> RawHeader {
    RawHeader::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), String::new(), encoded)
}

/// lettre wants to see that there is an author, and parses the raw value for it: it gets one that costs nothing to
/// parse and that no spelling of ours can break.
fn from(parameters: &Parameters) -> RawHeader {
    let mut line = Line::new("From");
    let further = &parameters.further_authors;
    line.mailbox(&parameters.from, if further.is_empty() { "" } else { "," });
    for (i, author) in further.iter().enumerate() {
        line.mailbox(author, if i + 1 < further.len() { "," } else { "" });
    }
    RawHeader::dangerous_new_pre_encoded(
        HeaderName::new_from_ascii_str("From"),
        "author@example.invalid".to_owned(),
        line.out,
    )
}

fn addresses(name: &'static str, list: &AddressList) -> RawHeader {
    value(name, encode_addresses(name, list))
}

fn encode_addresses(name: &str, list: &AddressList) -> String {
    let mut line = Line::new(name);
    let last = list.entries().len().saturating_sub(1);
    for (i, entry) in list.entries().iter().enumerate() {
        let comma = if i < last { "," } else { "" };
        match entry {
            Entry::Mailbox(mailbox) => line.mailbox(mailbox, comma),
            Entry::Group { name, members } => {
                line.phrase(name);
                // An encoded word ends at a blank (RFC 2047, section 5, rule 3).
                line.glue(if line.out.ends_with("?=") { " :" } else { ":" });
                let last = members.len().saturating_sub(1);
                for (i, member) in members.iter().enumerate() {
                    line.mailbox(member, if i < last { "," } else { "" });
                }
                line.glue(";");
                line.glue(comma);
            }
        }
    }
    line.out
}

fn tokens<'a>(name: &'static str, tokens: impl Iterator<Item = &'a str>) -> RawHeader {
    let mut line = Line::new(name);
    for token in tokens {
        line.token(token);
    }
    value(name, line.out)
}

/// A text header (RFC 5322, section 2.2.1).
pub(super) fn unstructured(name: &'static str, text: &str) -> RawHeader {
    value(name, encode_unstructured(name, text))
}

fn encode_unstructured(name: &str, text: &str) -> String {
    let mut line = Line::new(name);
    let words: Vec<&str> = text.split(' ').collect();
    // An empty word is the place between two blanks: it and its neighbours are encoded together, blanks and all.
    let is_gap = |i: usize| words.get(i).is_some_and(|word| word.is_empty());
    let mut run = None;
    let mut at = 0;
    for (i, word) in words.iter().enumerate() {
        if is_plain(word) && !is_gap(i + 1) && !(i > 0 && is_gap(i - 1)) {
            if let Some(start) = run.take() {
                line.encoded(&text[start..at - 1], false);
            }
            line.token(word);
        } else {
            run.get_or_insert(at);
        }
        at += word.len() + 1;
    }
    if let Some(start) = run {
        line.encoded(&text[start..], false);
    }
    line.out
}

/// Whether the word can stand in a text header as it is.
fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.len() <= LONGEST_WORD && word.bytes().all(|b| b.is_ascii_graphic()) && !word.contains("=?")
}

/// One header's value on its way.
pub(super) struct Line {
    pub(super) out: String,
    column: usize,
    at_start: bool,
}

impl Line {
    fn new(name: &str) -> Self {
        Self::at(name.len() + 2)
    }

    /// On a line that has so many octets already.
    pub(super) fn at(column: usize) -> Self {
        Self {
            out: String::with_capacity(64),
            column,
            at_start: true,
        }
    }

    /// A blank before the next token, folded where a token of this length would pass the line's end.
    fn space(&mut self, length: usize) {
        if self.at_start {
            self.at_start = false;
        } else if self.column + 1 + length > LINE {
            self.fold();
        } else {
            self.out.push(' ');
            self.column += 1;
        }
    }

    fn fold(&mut self) {
        self.out.push_str("\r\n ");
        self.column = 1;
    }

    fn token(&mut self, token: &str) {
        self.space(token.len());
        self.glue(token);
    }

    /// Right behind what is there.
    fn glue(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.len();
    }

    fn mailbox(&mut self, mailbox: &Mailbox, comma: &str) {
        let address = mailbox.address.as_str();
        match &mailbox.name {
            None => self.token(address),
            Some(name) => {
                self.phrase(name);
                self.space(address.len() + 2 + comma.len());
                self.glue("<");
                self.glue(address);
                self.glue(">");
            }
        }
        self.glue(comma);
    }

    /// A display name (RFC 5322, section 3.2.5): as it is, as a quoted string, or encoded.
    fn phrase(&mut self, name: &str) {
        let is_printable = name.bytes().all(|b| b.is_ascii_graphic() || b == b' ') && !name.contains("=?");
        if !is_printable || name.len() > LINE {
            self.encoded(name, true);
        } else if name
            .split(' ')
            .all(|word| !word.is_empty() && word.chars().all(is_atext))
        {
            for word in name.split(' ') {
                self.token(word);
            }
        } else {
            self.token(&quoted(name));
        }
    }

    /// One or more encoded words; readers join them without the blanks between them.
    pub(super) fn encoded(&mut self, text: &str, is_name: bool) {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let start = self.column + usize::from(!self.at_start);
            let mut room = octets_in(LINE.saturating_sub(start));
            let is_first = self.out.is_empty();
            // A header whose first line is empty upsets readers: behind a long name the line is longer instead.
            if is_first && room < FIRST_WORD {
                room = FIRST_WORD;
            }
            // Some readers do not join the words of a name: it is one word where a line of its own makes that possible.
            let fits_alone = is_name && !is_first && self.column > 1 && rest.len() <= octets_in(LINE - 1);
            if room < first.len_utf8() || room < rest.len() && fits_alone {
                self.fold();
                // The blank of the fold is the one before the next word.
                self.at_start = true;
                continue;
            }
            let (word, tail) = rest.split_at(split_point(rest, room));
            self.space(0);
            self.glue("=?utf-8?B?");
            let before = self.out.len();
            BASE64_STANDARD.encode_string(word, &mut self.out);
            self.column += self.out.len() - before;
            self.glue("?=");
            rest = tail;
        }
    }
}

/// How many octets an encoded word of this length carries.
const fn octets_in(length: usize) -> usize {
    let length = if length < ENCODED_WORD { length } else { ENCODED_WORD };
    length.saturating_sub(ENCODED_WORD_FRAME) / 4 * 3
}

/// Where to end an encoded word of at most `room` octets: at the text's end, behind a blank that is not too far back, or
/// between two characters.
fn split_point(text: &str, room: usize) -> usize {
    if text.len() <= room {
        return text.len();
    }
    let end = text.floor_char_boundary(room);
    match text[..end].rfind(' ') {
        Some(blank) if blank >= room / 2 => blank + 1,
        _ => end,
    }
}
