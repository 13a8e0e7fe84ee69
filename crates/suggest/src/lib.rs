//! "Did you mean": finds the known name that somebody probably meant. The one rule for every name that a person writes:
//! fields of accounts, keys and steps of documents, functions, built-ins, labels.
//!
//! ```
//! use pipepost_suggest::nearest;
//!
//! assert_eq!(nearest("smtp-prot", ["smtpHost", "smtpPort"]), Some("smtpPort"));
//! assert_eq!(nearest("user", ["password", "port"]), None);
//! ```
#![forbid(unsafe_code)]

/// Names come from documents of any size; comparing takes time with both lengths, and nobody mistypes a name this long.
const NAME_BYTES_MAX: usize = 200;
/// Known names that are compared; the first ones where there are more.
const KNOWN_MAX: usize = 1000;
/// Slips of the pen in one name; more make it another name.
const SLIPS_MAX: usize = 4;

/// Returns the known name nearest to `written`, when it is near: at most one slip (a letter too many, too few, another
/// one, or two exchanged) for every three characters of the shorter name, and at most four. Case, `-`, `_` and blanks
/// count for nothing. Of several that are equally near, the first.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > NAME_BYTES_MAX {
        return None;
    }
    let written = folded(written);
    let near = known.into_iter().take(KNOWN_MAX).filter_map(|name| {
        let folded = folded(name);
        let slips = strsim::damerau_levenshtein(&written, &folded);
        let shorter = written.chars().count().min(folded.chars().count());
        (slips <= SLIPS_MAX.min(shorter / 3) && shorter > 0).then_some((slips, name))
    });
    near.min_by_key(|(slips, _)| *slips).map(|(_, name)| name)
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
    fn the_first_of_equals_is_offered() {
        assert_eq!(nearest("cart", ["card", "care"]), Some("card"));
    }
}
