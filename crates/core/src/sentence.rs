//! Clauses as sentences.
//!
//! The `Display` of an error in these crates is a clause: it begins in lower case and has no full stop, so that another
//! text can go on from it. A [`Failure`](crate::Failure) is for people, and is made of whole sentences.

/// Returns the text with its first letter in upper case.
pub fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Returns the text with a full stop at its end, where it has none of `.`, `!`, `?` and `…` there. An empty text stays empty.
pub fn ended(text: &str) -> String {
    let text = text.trim_end();
    let is_ended = text.is_empty() || text.ends_with(['.', '!', '?', '…']);
    if is_ended { text.to_owned() } else { format!("{text}.") }
}

/// Returns a clause as a sentence: [`capitalised`] and [`ended`].
pub fn sentence(clause: &str) -> String {
    capitalised(&ended(clause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clause_becomes_a_sentence_once() {
        for (clause, shown) in [
            ("the host is missing", "The host is missing."),
            ("Is it there?", "Is it there?"),
            ("`to` is empty", "`to` is empty."),
            ("é is a letter too… ", "É is a letter too…"),
            ("", ""),
        ] {
            assert_eq!(sentence(clause), shown);
            assert_eq!(sentence(&sentence(clause)), shown);
        }
    }
}
