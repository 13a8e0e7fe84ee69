//! Plain text from HTML: the alternative that a message carries when the step gives none.
//!
//! It is our own because the libraries for it parse a document first. html2text made the connector 740 KB larger and
//! took 130 microseconds for a body of 1.5 KB, several times the cost of the rest of the message. The text of an email
//! body needs no tree: one pass over the tags is enough, and it handles blocks, lists, links, images and what is never
//! shown. The time of the pass is linear in the body's length, whatever the body holds.

use memchr::{memchr, memchr3, memmem};

pub(crate) mod entities;
#[cfg(test)]
mod tests;

/// Lists within lists that are numbered; deeper ones get no marks of their own.
const MAX_LISTS: usize = 16;
/// Quoted attribute values looked at to find a tag's end; real tags have fewer.
const MAX_QUOTES: usize = 64;

/// The elements that make a text HTML, when one of their tags stands in it.
const ELEMENTS: &[&str] = &[
    "!doctype",
    "a",
    "abbr",
    "address",
    "article",
    "b",
    "big",
    "blockquote",
    "body",
    "br",
    "caption",
    "center",
    "code",
    "col",
    "dd",
    "del",
    "div",
    "dl",
    "dt",
    "em",
    "font",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hr",
    "html",
    "i",
    "img",
    "ins",
    "li",
    "link",
    "main",
    "meta",
    "nav",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "section",
    "small",
    "span",
    "strike",
    "strong",
    "style",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "tt",
    "u",
    "ul",
];

/// Whether a tag of HTML stands in the text. `<ana@example.com>`, `<https://...>` and `<name>` are none.
pub(crate) fn holds_a_tag(text: &str) -> bool {
    // Nothing behind the last `>` can be a tag.
    let mut rest = &text[..text.rfind('>').map_or(0, |last| last + 1)];
    while let Some(at) = memchr(b'<', rest.as_bytes()) {
        rest = &rest[at + 1..];
        let name = tag_name(rest.strip_prefix('/').unwrap_or(rest));
        let after = rest.strip_prefix('/').unwrap_or(rest)[name.len()..].chars().next();
        let ends = after.is_some_and(|c| c.is_ascii_whitespace() || matches!(c, '>' | '/'));
        if ends && is_one_of(name, ELEMENTS) {
            return true;
        }
    }
    false
}

/// The text that a reader of the HTML would see, with line ends `\n` and none at its end.
pub(crate) fn to_text(html: &str) -> String {
    let mut text = Text::new(html.len() / 2);
    let mut rest = html;
    while let Some(at) = memchr(b'<', rest.as_bytes()) {
        text.push(&rest[..at]);
        rest = &rest[at..];
        rest = match Markup::at_start_of(rest) {
            Markup::Hidden(length) => &rest[length..],
            Markup::Tag {
                name,
                is_end,
                attributes,
                length,
            } => {
                let after = &rest[length..];
                text.tag(name, is_end, attributes);
                if !is_end && is_one_of(name, &["script", "style", "title"]) {
                    behind_end_tag(after, name)
                } else {
                    after
                }
            }
            Markup::None => {
                text.push("<");
                &rest[1..]
            }
            Markup::Endless => break,
        };
    }
    text.push(rest);
    text.finish()
}

/// What a `<` begins.
enum Markup<'a> {
    /// A comment, a declaration, a processing instruction.
    Hidden(usize),
    Tag {
        name: &'a str,
        is_end: bool,
        attributes: &'a str,
        length: usize,
    },
    /// Nothing: it is a character of the text.
    None,
    /// A tag, and no `>` follows any more.
    Endless,
}

impl<'a> Markup<'a> {
    fn at_start_of(html: &'a str) -> Self {
        let bytes = html.as_bytes();
        if let Some(comment) = html.strip_prefix("<!--") {
            return Self::Hidden(memmem::find(comment.as_bytes(), b"-->").map_or(html.len(), |end| 4 + end + 3));
        }
        if matches!(bytes.get(1), Some(b'!' | b'?')) {
            return memchr(b'>', bytes).map_or(Self::Endless, |end| Self::Hidden(end + 1));
        }
        let is_end = bytes.get(1) == Some(&b'/');
        let name = tag_name(&html[1 + usize::from(is_end)..]);
        if name.is_empty() {
            return Self::None;
        }
        let start = 1 + usize::from(is_end) + name.len();
        match end_of_tag(&bytes[start..]) {
            Some(end) => Self::Tag {
                name,
                is_end,
                attributes: &html[start..start + end],
                length: start + end + 1,
            },
            None => Self::Endless,
        }
    }
}

fn tag_name(text: &str) -> &str {
    let is_letter = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-' | b'!');
    let length = text.bytes().position(|b| !is_letter(&b)).unwrap_or(text.len());
    let starts = text
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'!');
    if starts { &text[..length] } else { "" }
}

/// The `>` that is not within quotes; where the quotes do not add up, the first one.
fn end_of_tag(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    for _ in 0..MAX_QUOTES {
        let Some(next) = memchr3(b'>', b'"', b'\'', &bytes[at..]).map(|next| at + next) else {
            break;
        };
        if bytes[next] == b'>' {
            return Some(next);
        }
        match memchr(bytes[next], &bytes[next + 1..]) {
            Some(length) => at = next + length + 2,
            None => break,
        }
    }
    memchr(b'>', bytes)
}

/// The rest behind `</name ...>`; nothing when the element is never closed.
fn behind_end_tag<'a>(html: &'a str, name: &str) -> &'a str {
    for at in memmem::find_iter(html.as_bytes(), b"</") {
        // `</` is ASCII, so what follows begins a character.
        if html[at + 2..]
            .get(..name.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(name))
        {
            return memchr(b'>', &html.as_bytes()[at..]).map_or("", |end| &html[at + end + 1..]);
        }
    }
    ""
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The value of an attribute, as it stands in the tag.
fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = attributes;
    for _ in 0..MAX_QUOTES {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        let length = rest
            .find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '/'))
            .unwrap_or(rest.len());
        let found = &rest[..length];
        let after = rest[length..].trim_start();
        let (value, behind) = match after.strip_prefix('=').map(str::trim_start) {
            None => ("", after),
            Some(value) => match value.chars().next() {
                Some(quote @ ('"' | '\'')) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
                _ => value.split_at(value.find(|c: char| c.is_ascii_whitespace()).unwrap_or(value.len())),
            },
        };
        if found.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        if behind.is_empty() || behind.len() == rest.len() {
            return None;
        }
        rest = behind;
    }
    None
}

/// The text as it grows. Blanks and line ends wait until something follows them.
struct Text {
    out: String,
    /// Line ends that the next character begins with; 2 make a paragraph.
    lines: usize,
    has_blank: bool,
    preformatted: usize,
    /// The next number of each open list; none for a list of dots.
    lists: Vec<Option<u32>>,
    /// The open link's address, and where its text began.
    link: Option<(String, usize)>,
}

impl Text {
    fn new(capacity: usize) -> Self {
        let out = String::with_capacity(capacity);
        Self {
            out,
            lines: 0,
            has_blank: false,
            preformatted: 0,
            lists: Vec::new(),
            link: None,
        }
    }

    /// Text of the document: its references are resolved, its white space is one blank.
    fn push(&mut self, source: &str) {
        let mut rest = source;
        while let Some(at) = memchr(b'&', rest.as_bytes()) {
            self.push_characters(&rest[..at]);
            rest = &rest[at..];
            match entities::at_start_of(rest) {
                Some((character, length)) => {
                    // Mails fill their preview with these.
                    if !matches!(character, '\u{ad}' | '\u{200b}' | '\u{200c}' | '\u{feff}') {
                        self.push_characters(character.encode_utf8(&mut [0; 4]));
                    }
                    rest = &rest[length..];
                }
                None => {
                    self.push_characters("&");
                    rest = &rest[1..];
                }
            }
        }
        self.push_characters(rest);
    }

    fn push_characters(&mut self, text: &str) {
        if self.preformatted > 0 {
            self.push_preformatted(text);
            return;
        }
        let is_blank = |c: char| c.is_ascii_whitespace() || c == '\u{a0}';
        let mut rest = text;
        while !rest.is_empty() {
            let word = rest.find(is_blank).unwrap_or(rest.len());
            if word > 0 {
                self.begin_word();
                self.out.push_str(&rest[..word]);
            }
            let blank = rest[word..].trim_start_matches(is_blank);
            if blank.len() < rest.len() - word {
                self.has_blank = true;
            }
            rest = blank;
        }
    }

    fn push_preformatted(&mut self, text: &str) {
        for (i, line) in text.split('\n').enumerate() {
            if i > 0 {
                self.lines = (self.lines + 1).min(2);
            }
            let line = line.trim_end_matches('\r');
            if !line.is_empty() {
                self.begin_word();
                self.out.push_str(line);
            }
        }
    }

    /// What waits is written now, since something follows it.
    fn begin_word(&mut self) {
        if !self.out.is_empty() {
            if self.lines > 0 {
                self.out.push_str(if self.lines == 1 { "\n" } else { "\n\n" });
            } else if self.has_blank {
                self.out.push(' ');
            }
        }
        self.lines = 0;
        self.has_blank = false;
    }

    fn break_lines(&mut self, count: usize) {
        self.lines = self.lines.max(count);
        self.has_blank = false;
    }

    fn tag(&mut self, name: &str, is_end: bool, attributes: &str) {
        let mut lower = [0; 12];
        let Some(lower) = lower.get_mut(..name.len()) else {
            return;
        };
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        match (&*lower, is_end) {
            (b"br", _) => self.lines = (self.lines + 1).min(2),
            (
                b"p" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"blockquote" | b"table" | b"dl" | b"figure",
                _,
            ) => {
                self.break_lines(2);
            }
            (
                b"div" | b"tr" | b"section" | b"article" | b"header" | b"footer" | b"main" | b"nav" | b"center"
                | b"address" | b"dt" | b"dd" | b"caption" | b"form" | b"body" | b"aside" | b"figcaption" | b"option",
                _,
            ) => self.break_lines(1),
            (b"td" | b"th", _) => self.has_blank = true,
            (b"hr", _) => {
                self.break_lines(1);
                self.begin_word();
                self.out.push_str("---");
                self.break_lines(1);
            }
            (b"ul" | b"ol", false) => {
                self.break_lines(if self.lists.is_empty() { 2 } else { 1 });
                if self.lists.len() < MAX_LISTS {
                    let start = attribute(attributes, "start")
                        .and_then(|start| start.parse().ok())
                        .unwrap_or(1);
                    self.lists.push((&*lower == b"ol").then_some(start));
                }
            }
            (b"ul" | b"ol", true) => {
                self.lists.pop();
                self.break_lines(if self.lists.is_empty() { 2 } else { 1 });
            }
            (b"li", false) => self.list_item(),
            (b"li", true) => self.break_lines(1),
            (b"pre", false) => {
                self.break_lines(2);
                self.preformatted += 1;
            }
            (b"pre", true) => {
                self.preformatted = self.preformatted.saturating_sub(1);
                self.break_lines(2);
            }
            (b"img", _) => {
                if let Some(alternative) = attribute(attributes, "alt") {
                    self.push(alternative);
                }
            }
            (b"a", false) => self.open_link(attributes),
            (b"a", true) => self.close_link(),
            _ => {}
        }
    }

    fn list_item(&mut self) {
        self.break_lines(1);
        self.begin_word();
        for _ in 1..self.lists.len() {
            self.out.push_str("  ");
        }
        match self.lists.last_mut() {
            Some(Some(number)) => {
                self.out.push_str(&number.to_string());
                self.out.push('.');
                *number = number.saturating_add(1);
            }
            _ => self.out.push('-'),
        }
        self.has_blank = true;
    }

    fn open_link(&mut self, attributes: &str) {
        self.close_link();
        let href = attribute(attributes, "href")
            .map(entities::resolved)
            .unwrap_or_default();
        let href = href.trim();
        let scheme = href.split(':').next().unwrap_or_default();
        if is_one_of(scheme, &["http", "https", "mailto", "tel"]) && !href.contains(char::is_whitespace) {
            self.link = Some((href.to_owned(), self.out.len()));
        }
    }

    /// The address stands behind the link's text, unless the text says it already.
    fn close_link(&mut self) {
        let Some((href, start)) = self.link.take() else { return };
        let said = self.out[start..].trim();
        let bare = href
            .split_once(':')
            .map_or(href.as_str(), |(_, rest)| rest.trim_start_matches('/'));
        let bare = bare.trim_end_matches('/');
        if said.trim_end_matches('/').ends_with(bare) {
            return;
        }
        let is_alone = said.is_empty();
        self.has_blank |= !is_alone;
        self.begin_word();
        if is_alone {
            self.out.push_str(&href);
        } else {
            self.out.push('(');
            self.out.push_str(&href);
            self.out.push(')');
        }
    }

    fn finish(mut self) -> String {
        self.close_link();
        let length = self.out.trim_end().len();
        self.out.truncate(length);
        self.out
    }
}
