//! SASLprep (RFC 4013): user names and passwords in the one spelling that both sides hash.

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

/// Returns `text` as SCRAM hashes it, or `None` when it holds a character that is prohibited.
///
/// Right-to-left text is not checked for its order (RFC 3454, section 6), and unassigned characters pass: a server that
/// refuses either says so itself.
pub(super) fn prepared(text: &str) -> Option<Zeroizing<String>> {
    if text.is_ascii() {
        return (!text.contains(|c: char| c.is_ascii_control())).then(|| Zeroizing::new(text.to_owned()));
    }
    // Room for whatever normalizing makes of it, so that no shorter copy stays behind in freed memory.
    let mut prepared = Zeroizing::new(String::with_capacity(text.len() * 18));
    let mapped = text.chars().filter(|c| !is_mapped_to_nothing(*c));
    prepared.extend(mapped.map(|c| if is_space(c) { ' ' } else { c }).nfkc());
    (!prepared.contains(is_prohibited)).then_some(prepared)
}

/// RFC 3454, table C.1.2.
fn is_space(c: char) -> bool {
    matches!(
        c,
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

/// RFC 3454, table B.1, without what is a space already.
fn is_mapped_to_nothing(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{1806}' | '\u{180b}'..='\u{180d}' | '\u{200c}' | '\u{200d}' | '\u{2060}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
    )
}

/// RFC 3454, tables C.2.1 to C.9; surrogates are in no text of Rust's.
fn is_prohibited(c: char) -> bool {
    c.is_control()
        || u32::from(c) & 0xfffe == 0xfffe
        || matches!(
            c,
            '\u{340}' | '\u{341}' | '\u{6dd}' | '\u{70f}' | '\u{180e}' | '\u{200e}' | '\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2061}'..='\u{2063}' | '\u{206a}'..='\u{206f}' | '\u{2ff0}'..='\u{2ffb}'
                | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fff9}'..='\u{fffd}'
                | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}' | '\u{f0000}'..
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard() {
        // RFC 4013, section 3.
        for (text, expected) in [
            ("I\u{ad}X", Some("IX")),
            ("user", Some("user")),
            ("USER", Some("USER")),
            ("\u{aa}", Some("a")),
            ("\u{2168}", Some("IX")),
            ("\u{7}", None),
            ("a\u{a0}b", Some("a b")),
            ("Zu\u{308}rich", Some("Z\u{fc}rich")),
            ("a\u{e000}", None),
            (
                "\u{fdfa}",
                Some(
                    "\u{635}\u{644}\u{649} \u{627}\u{644}\u{644}\u{647} \u{639}\u{644}\u{64a}\u{647} \u{648}\u{633}\u{644}\u{645}",
                ),
            ),
        ] {
            assert_eq!(prepared(text).as_deref().map(String::as_str), expected, "{text:?}");
        }
    }
}
