//! A reply's text as plain words, for the families of replies that every server words in its own way.
//!
//! What is a person's or a machine's name is taken out, so that `spam@example.com` or a link to `/relay-denied` is not
//! read as the server's own word.

use crate::EnhancedCode;
use crate::normal::head;

/// A server says what it has to say at the beginning.
const LONGEST: usize = 4096;

/// The words of a text, with one blank around each.
#[derive(Debug)]
pub(crate) struct Words(String);

impl Words {
    /// Splits a normal text (see [`crate::normal::normal_text`]). Addresses become `@`, IP addresses `@ip`, the names
    /// of block lists `@blocklist`; links are left out, and apostrophes and quotation marks within a word. The codes
    /// are put before the words as `#550` and `#5.1.1`.
    pub(crate) fn of(code: u16, enhanced: Option<EnhancedCode>, normal_text: &str) -> Self {
        let mut words = Self(format!(" #{code} "));
        if let Some((class, subject, detail)) = enhanced {
            words.push(&format!("#{class}.{subject}.{detail}"));
        }
        for token in head(normal_text, LONGEST).split(' ') {
            words.push_token(token);
        }
        words
    }

    fn push(&mut self, word: &str) {
        if !word.is_empty() {
            self.0.push_str(word);
            self.0.push(' ');
        }
    }

    fn push_token(&mut self, token: &str) {
        if token.contains("://") || token.starts_with("www.") {
            let host = token.split('/').find(|part| part.contains('.')).unwrap_or_default();
            if is_list(host) {
                self.push("@blocklist");
            }
            return;
        }
        if token.contains('@') {
            return self.push("@");
        }
        let bare = token.trim_matches(|c: char| !c.is_alphanumeric());
        if is_list(bare) {
            return self.push("@blocklist");
        }
        if bare.split(['.', ':']).count() >= 4 && bare.starts_with(|c: char| c.is_ascii_digit()) {
            return self.push("@ip");
        }
        let is_quote = |c: char| matches!(c, '\'' | '"' | '`' | '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}');
        let token: String = token.chars().filter(|c| !is_quote(*c)).collect();
        for part in token.split(|c: char| !(c.is_alphanumeric() || c == '.')) {
            let part = part.trim_matches('.');
            let is_number = part.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            match part.matches('.').count() {
                3 if is_number => self.push("@ip"),
                // An enhanced code that is not the reply's own.
                2 if is_number => {}
                _ => self.push(part),
            }
        }
    }

    /// Checks whether a phrase is in the text as whole words. A phrase that ends in `*` may go on within its last word.
    pub(crate) fn has(&self, phrase: &str) -> bool {
        let (phrase, is_stem) = match phrase.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (phrase, false),
        };
        self.0
            .match_indices(phrase)
            .any(|(at, _)| self.0[..at].ends_with(' ') && (is_stem || self.0[at + phrase.len()..].starts_with(' ')))
    }

    /// Checks whether one of the phrases is in the text.
    pub(crate) fn has_any(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.has(phrase))
    }
}

/// The well-known lists of addresses that send spam, by the names under which servers ask them.
fn is_list(token: &str) -> bool {
    let lists = [
        "spamhaus",
        "spamcop",
        "sorbs",
        "dnsbl",
        "uceprotect",
        "barracudacentral",
        "abuseat",
        "surbl",
        "invaluement",
    ];
    token.contains('.') && (lists.iter().any(|list| token.contains(list)) || token.starts_with("rbl."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normal::normal_text;

    fn words(text: &str) -> String {
        Words::of(550, None, &normal_text(text)).0
    }

    #[test]
    fn names_are_taken_out_and_words_stay() {
        assert_eq!(
            words("<relay@spam.example>: Sender's address isn't allowed (see http://x.example/spam), [203.0.113.7]:25"),
            " #550 @ senders address isnt allowed see @ip "
        );
        assert_eq!(
            words("return-path e-mail/day zen.spamhaus.org; TLS 1.0"),
            " #550 return path e mail day @blocklist tls 1.0 "
        );
        assert_eq!(
            words("mail.example.com (#5.7.1) RESOLVER.RST.AuthRequired;"),
            " #550 mail.example.com resolver.rst.authrequired "
        );
    }

    #[test]
    fn a_phrase_is_whole_words_unless_it_is_a_stem() {
        let words = Words::of(550, Some((5, 1, 1)), "the senders limit was exceeded");
        for (phrase, is_there) in [
            ("senders limit", true),
            ("sender", false),
            ("sender*", true),
            ("limit was exceed*", true),
            ("exceed", false),
            ("#5.1.1", true),
            ("#5.1*", true),
            ("#5.1", false),
        ] {
            assert_eq!(words.has(phrase), is_there, "{phrase}");
        }
    }
}
