//! Header values: folded, and encoded where they have to be.
//!
//! Every value is a sequence of tokens with one blank between two of them, where the line may be folded. A run of words
//! that cannot be written unchanged becomes encoded words (RFC 2047): words beyond ASCII, words that look like an
//! encoded word, several blanks in a row. Lines are kept within 76 octets if the tokens allow it, and always within
//! 998.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::frame::{Headers, date};
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

/// The message's headers, apart from those that say what its content is. `seconds`: the time of the Date header.
pub(super) fn head(parameters: &Parameters, message_id: &str, seconds: u64) -> Headers {
    let mut headers = Headers::with_capacity(768);
    headers.write("From", |line| {
        let further = &parameters.further_authors;
        line.mailbox(&parameters.from, if further.is_empty() { "" } else { "," });
        for (i, author) in further.iter().enumerate() {
            line.mailbox(author, if i + 1 < further.len() { "," } else { "" });
        }
    });
    if let Some(sender) = &parameters.sender {
        headers.write("Sender", |line| line.mailbox(sender, ""));
    }
    let lists = [
        ("To", &parameters.to),
        ("Cc", &parameters.cc),
        ("Reply-To", &parameters.reply_to),
    ];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        headers.write(name, |line| line.addresses(list));
    }
    if parameters.to.is_empty() && parameters.cc.is_empty() {
        // Some servers add a header of their own to a message without any visible recipient.
        headers.put("To", "undisclosed-recipients:;");
    }
    headers.write("Subject", |line| line.unstructured(&parameters.subject));
    headers.put("Date", &date(seconds));
    headers.put("Message-ID", message_id);
    for (name, ids) in [
        ("In-Reply-To", &parameters.in_reply_to),
        ("References", &parameters.references),
    ] {
        if !ids.is_empty() {
            headers.write(name, |line| ids.iter().for_each(|id| line.token(id)));
        }
    }
    if let Some((number, word)) = parameters.priority.words() {
        for (name, text) in [
            ("X-Priority", number),
            ("X-MSMail-Priority", word),
            ("Importance", word),
        ] {
            headers.put(name, text);
        }
    }
    if let Some(unsubscribe) = &parameters.list_unsubscribe {
        let last = unsubscribe.targets.len() - 1;
        headers.write("List-Unsubscribe", |line| {
            for (i, target) in unsubscribe.targets.iter().enumerate() {
                line.token(&format!("<{target}>{}", if i < last { "," } else { "" }));
            }
        });
        if unsubscribe.one_click {
            headers.put("List-Unsubscribe-Post", "List-Unsubscribe=One-Click");
        }
    }
    custom(&mut headers, &parameters.headers);
    headers
}

/// The step's own headers. Those of one name stand together, and in the place of one that was made for a parameter.
fn custom(headers: &mut Headers, all: &[CustomHeader]) {
    for (i, header) in all.iter().enumerate() {
        let same = |other: &&CustomHeader| other.name.eq_ignore_ascii_case(&header.name);
        if all[..i].iter().any(|other| same(&other)) {
            continue;
        }
        headers.replace(&header.name, |line| {
            line.custom(&header.value);
            for further in all[i + 1..].iter().filter(same) {
                line.next(&further.name);
                line.custom(&further.value);
            }
        });
    }
}

/// Whether the word can stand in a text header as it is.
fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.len() <= LONGEST_WORD && word.bytes().all(|b| b.is_ascii_graphic()) && !word.contains("=?")
}

/// One header's value on its way.
pub(super) struct Line {
    out: String,
    /// Where the value begins.
    start: usize,
    column: usize,
    at_start: bool,
}

impl Line {
    /// A value alone, for a line that has so many octets already.
    pub(super) fn at(column: usize) -> Self {
        Self::behind(String::with_capacity(64), column)
    }

    /// A value behind what is written, on a line that has so many octets already.
    pub(super) fn behind(out: String, column: usize) -> Self {
        Self {
            start: out.len(),
            out,
            column,
            at_start: true,
        }
    }

    /// Everything that is written.
    pub(super) fn into_text(self) -> String {
        self.out
    }

    /// Begins another header behind this one.
    fn next(&mut self, name: &str) {
        self.out.push_str("\r\n");
        self.out.push_str(name);
        self.out.push_str(": ");
        (self.start, self.column, self.at_start) = (self.out.len(), name.len() + 2, true);
    }

    fn custom(&mut self, value: &HeaderValue) {
        match value {
            HeaderValue::Text(text) => self.unstructured(text),
            HeaderValue::Addresses(list) => self.addresses(list),
        }
    }

    fn addresses(&mut self, list: &AddressList) {
        let last = list.entries().len().saturating_sub(1);
        for (i, entry) in list.entries().iter().enumerate() {
            let comma = if i < last { "," } else { "" };
            match entry {
                Entry::Mailbox(mailbox) => self.mailbox(mailbox, comma),
                Entry::Group { name, members } => {
                    self.phrase(name);
                    // An encoded word ends at a blank (RFC 2047, section 5, rule 3).
                    self.glue(if self.out.ends_with("?=") { " :" } else { ":" });
                    let last = members.len().saturating_sub(1);
                    for (i, member) in members.iter().enumerate() {
                        self.mailbox(member, if i < last { "," } else { "" });
                    }
                    self.glue(";");
                    self.glue(comma);
                }
            }
        }
    }

    /// A text (RFC 5322, section 2.2.1).
    fn unstructured(&mut self, text: &str) {
        let mut run = None;
        let (mut at, mut after_gap) = (0, false);
        let mut words = text.split(' ').peekable();
        while let Some(word) = words.next() {
            // An empty word is the place between two blanks: it and its neighbours are encoded together, blanks and all.
            let before_gap = words.peek().is_some_and(|next| next.is_empty());
            if is_plain(word) && !before_gap && !after_gap {
                if let Some(start) = run.take() {
                    self.encoded(&text[start..at - 1], false);
                }
                self.token(word);
            } else {
                run.get_or_insert(at);
            }
            after_gap = word.is_empty();
            at += word.len() + 1;
        }
        if let Some(start) = run {
            self.encoded(&text[start..], false);
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
    pub(super) fn glue(&mut self, text: &str) {
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
            let is_first = self.out.len() == self.start;
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
