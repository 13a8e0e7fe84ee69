//! The one form of a reply's text for which the table's patterns are written.

use crate::EnhancedCode;

/// No reply of a server is longer than this, in octets; what follows is not looked at.
pub(crate) const LONGEST: usize = 64 * 1024;

/// The text in lower case, with one blank for each run of white space, and without the codes that servers repeat on
/// every line (`535-5.7.8`, `5.7.8`): so a phrase is found wherever the server, or a log, has broken the line.
pub(crate) fn normal_text(text: &str) -> String {
    let text = head(text, LONGEST);
    let mut normal = String::with_capacity(text.len());
    for word in text.split_whitespace().filter(|word| !is_repeated_code(word)) {
        if !normal.is_empty() {
            normal.push(' ');
        }
        normal.extend(word.chars().map(|c| c.to_ascii_lowercase()));
    }
    normal
}

/// Whether a word is what stands before each line of a reply: an enhanced code, or a code and an enhanced code joined
/// by a hyphen.
pub(crate) fn is_repeated_code(word: &str) -> bool {
    let enhanced = match word.as_bytes() {
        [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9', b'-', ..] => &word[4..],
        _ => word,
    };
    enhanced_code(enhanced).is_some()
}

/// An enhanced code that is the whole word (RFC 3463, section 2).
pub(crate) fn enhanced_code(word: &str) -> Option<EnhancedCode> {
    let mut parts = word.split('.');
    let class = number(parts.next()?, 1)?;
    let subject = number(parts.next()?, 3)?;
    let detail = number(parts.next()?, 3)?;
    if parts.next().is_some() || !matches!(class, 2 | 4 | 5) {
        return None;
    }
    Some((class as u8, subject, detail))
}

fn number(digits: &str, most: usize) -> Option<u16> {
    if digits.is_empty() || digits.len() > most || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// At most `most` octets of the text, cut between characters.
pub(crate) fn head(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_survives_the_lines_that_it_is_broken_over() {
        let text = "5.7.14 Please log in via your web browser and\r\n534-5.7.14 then try\t again.";
        assert_eq!(
            normal_text(text),
            "please log in via your web browser and then try again."
        );
    }

    #[test]
    fn only_whole_words_are_codes() {
        assert_eq!(enhanced_code("5.7.139"), Some((5, 7, 139)));
        for word in [
            "5.7", "5.7.8.1", "3.7.8", "5.7.1390", "5..8", "+5.7.8", "5.7.8.", "", "5.7.８",
        ] {
            assert_eq!(enhanced_code(word), None, "{word}");
        }
        assert!(!is_repeated_code("192.168.0.1"));
        assert!(is_repeated_code("550-5.1.1"));
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(head("aé", 2), "a");
        assert_eq!(head("aé", 9), "aé");
    }
}
