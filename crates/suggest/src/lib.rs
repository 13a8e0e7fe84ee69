//! "Did you mean": finds the known name that a person probably meant. It is the one rule for every name that a person
//! writes: fields of accounts, keys and steps of documents, functions, built-ins, labels. [`shortened`] keeps a sentence
//! readable that repeats what a person wrote.
//!
//! ```
//! use pipepost_suggest::nearest;
//!
//! assert_eq!(nearest("smtp-prot", ["smtpHost", "smtpPort"]), Some("smtpPort"));
//! assert_eq!(nearest("user", ["password", "port"]), None);
//! ```
#![forbid(unsafe_code)]

use std::borrow::Cow;

/// Names come from documents and connectors, of any size; comparing takes time with both lengths, and nobody mistypes a name
/// this long.
const NAME_BYTES_MAX: usize = 200;
/// Known names that are compared; the first ones where there are more.
const KNOWN_MAX: usize = 1000;
/// Slips of the pen in one name; more make it another name.
const SLIPS_MAX: usize = 4;

/// Returns the known name nearest to `written`, when it is near enough: at most one slip (a letter too many, a letter
/// missing, a different letter, or two letters exchanged) for every three characters of the shorter name, and at most
/// four slips. Case, `-`, `_` and blanks are ignored. Words at the end that both names share (`-connector-v2`) do not
/// make them more alike. When several names are equally near, it returns the first.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > NAME_BYTES_MAX {
        return None;
    }
    let near = known.into_iter().take(KNOWN_MAX);
    let near = near.filter(|name| name.len() <= NAME_BYTES_MAX).filter_map(|name| {
        let (written, known) = without_shared_ending(written, name);
        let (written, known) = (folded(written), folded(known));
        let slips = strsim::damerau_levenshtein(&written, &known);
        let shorter = written.chars().count().min(known.chars().count());
        (slips <= SLIPS_MAX.min(shorter / 3) && shorter > 0).then_some((slips, name))
    });
    near.min_by_key(|(slips, _)| *slips).map(|(_, name)| name)
}

/// Characters of a name or value that a sentence repeats.
const SHOWN_MAX: usize = 80;

/// Returns what somebody wrote as a sentence repeats it: whole, or its beginning and `…` where it is longer than 80 characters.
///
/// ```
/// use pipepost_suggest::shortened;
///
/// assert_eq!(shortened("welcome"), "welcome");
/// assert_eq!(shortened(&"a".repeat(5000)), format!("{}…", "a".repeat(80)));
/// ```
pub fn shortened(written: &str) -> Cow<'_, str> {
    match written.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}…", &written[..end])),
        None => Cow::Borrowed(written),
    }
}

/// Both names without the last words that they share, as long as enough is left of each for a slip.
fn without_shared_ending<'n>(mut one: &'n str, mut other: &'n str) -> (&'n str, &'n str) {
    while let (Some((one_rest, one_word)), Some((other_rest, other_word))) =
        (one.rsplit_once('-'), other.rsplit_once('-'))
        && one_word == other_word
        && one_rest.len().min(other_rest.len()) >= 3
    {
        (one, other) = (one_rest, other_rest);
    }
    (one, other)
}

fn folded(name: &str) -> String {
    name.to_lowercase().replace(['-', '_', ' '], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen_are_bridged() {
        let known = ["smtpHost", "smtpPort", "subject", "isOverTLS", "env"];
        for (written, meant) in [
            ("smtpPrt", "smtpPort"),
            ("SMTP-HOST", "smtpHost"),
            ("smtp_host", "smtpHost"),
            ("sujbect", "subject"),
            ("evn", "env"),
            ("isOverTsl", "isOverTLS"),
        ] {
            assert_eq!(nearest(written, known), Some(meant), "{written}");
        }
    }

    #[test]
    fn a_name_that_is_not_near_is_not_offered() {
        let known = ["to", "cc", "body", "delay", "subject", "json-transformer"];
        for written in ["bcc", "zebra", "text", "url", "jolt-transformer-v2", "x", "", "--"] {
            assert_eq!(nearest(written, known), None, "{written}");
        }
        assert_eq!(nearest(&"a".repeat(1000), known), None);
    }

    #[test]
    fn an_ending_that_many_names_share_makes_no_two_of_them_near() {
        let known = ["assert-connector-v2", "email-connector-v2", "log-connector"];
        assert_eq!(nearest("rest-connector-v2", known), None);
        assert_eq!(nearest("emial-connector-v2", known), Some("email-connector-v2"));
        assert_eq!(nearest("email-conector-v2", known), Some("email-connector-v2"));
        assert_eq!(nearest("lgo-connector", known), Some("log-connector"));
    }

    #[test]
    fn the_first_of_equals_is_offered() {
        assert_eq!(nearest("cart", ["card", "care"]), Some("card"));
    }
}
