//! Character references (HTML, section 13.5): the numeric ones, those of Latin-1, and others that emails use.

/// The names of U+00A0 to U+00FF, in order.
#[rustfmt::skip]
const LATIN_1: [&str; 96] = [
    "nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf", "laquo", "not",
    "shy", "reg", "macr", "deg", "plusmn", "sup2", "sup3", "acute", "micro", "para", "middot", "cedil", "sup1",
    "ordm", "raquo", "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc", "Atilde", "Auml",
    "Aring", "AElig", "Ccedil", "Egrave", "Eacute", "Ecirc", "Euml", "Igrave", "Iacute", "Icirc", "Iuml", "ETH",
    "Ntilde", "Ograve", "Oacute", "Ocirc", "Otilde", "Ouml", "times", "Oslash", "Ugrave", "Uacute", "Ucirc",
    "Uuml", "Yacute", "THORN", "szlig", "agrave", "aacute", "acirc", "atilde", "auml", "aring", "aelig", "ccedil",
    "egrave", "eacute", "ecirc", "euml", "igrave", "iacute", "icirc", "iuml", "eth", "ntilde", "ograve", "oacute",
    "ocirc", "otilde", "ouml", "divide", "oslash", "ugrave", "uacute", "ucirc", "uuml", "yacute", "thorn", "yuml",
];

/// Further names, sorted for the search.
#[rustfmt::skip]
const FURTHER: &[(&str, char)] = &[
    ("Dagger", '\u{2021}'), ("Delta", '\u{394}'), ("OElig", '\u{152}'), ("Omega", '\u{3a9}'),
    ("Prime", '\u{2033}'), ("Scaron", '\u{160}'), ("Sigma", '\u{3a3}'), ("Yuml", '\u{178}'), ("alpha", '\u{3b1}'),
    ("amp", '\u{26}'), ("apos", '\u{27}'), ("asymp", '\u{2248}'), ("bdquo", '\u{201e}'), ("beta", '\u{3b2}'),
    ("bull", '\u{2022}'), ("check", '\u{2713}'), ("circ", '\u{2c6}'), ("dagger", '\u{2020}'), ("darr", '\u{2193}'),
    ("delta", '\u{3b4}'), ("emsp", '\u{2003}'), ("ensp", '\u{2002}'), ("epsilon", '\u{3b5}'), ("euro", '\u{20ac}'),
    ("fnof", '\u{192}'), ("gamma", '\u{3b3}'), ("ge", '\u{2265}'), ("gt", '\u{3e}'), ("harr", '\u{2194}'),
    ("hearts", '\u{2665}'), ("hellip", '\u{2026}'), ("infin", '\u{221e}'), ("lambda", '\u{3bb}'),
    ("larr", '\u{2190}'), ("ldquo", '\u{201c}'), ("le", '\u{2264}'), ("lsaquo", '\u{2039}'), ("lsquo", '\u{2018}'),
    ("lt", '\u{3c}'), ("mdash", '\u{2014}'), ("minus", '\u{2212}'), ("mu", '\u{3bc}'), ("ndash", '\u{2013}'),
    ("ne", '\u{2260}'), ("oelig", '\u{153}'), ("omega", '\u{3c9}'), ("permil", '\u{2030}'), ("pi", '\u{3c0}'),
    ("prime", '\u{2032}'), ("quot", '\u{22}'), ("radic", '\u{221a}'), ("rarr", '\u{2192}'), ("rdquo", '\u{201d}'),
    ("rsaquo", '\u{203a}'), ("rsquo", '\u{2019}'), ("sbquo", '\u{201a}'), ("scaron", '\u{161}'),
    ("sigma", '\u{3c3}'), ("sum", '\u{2211}'), ("thinsp", '\u{2009}'), ("tilde", '\u{2dc}'), ("trade", '\u{2122}'),
    ("uarr", '\u{2191}'), ("zwj", '\u{200d}'), ("zwnj", '\u{200c}'), ("zwsp", '\u{200b}'),
];

/// What the numbers 0x80 to 0x9F stand for (HTML, section 13.2.5.80).
const WINDOWS: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";

/// The longest name of the tables.
const LONGEST: usize = 8;

/// The character that the reference at the start of the text stands for, and how long the reference is.
pub(super) fn at_start_of(text: &str) -> Option<(char, usize)> {
    let body = text.strip_prefix('&')?;
    if let Some(number) = body.strip_prefix('#') {
        return numeric(number).map(|(character, length)| (character, 2 + length));
    }
    let length = body
        .bytes()
        .take(LONGEST)
        .position(|b| !b.is_ascii_alphanumeric())
        .unwrap_or(LONGEST.min(body.len()));
    // Letters and digits only, so it ends at a character.
    let name = body.get(..length)?;
    let has_end = body.as_bytes().get(length) == Some(&b';');
    let character = match name {
        // Written without its semicolon often enough that every browser reads it.
        "amp" | "lt" | "gt" | "nbsp" | "quot" => named(name)?,
        _ if has_end => named(name)?,
        _ => return None,
    };
    Some((character, 1 + length + usize::from(has_end)))
}

/// The text with its references resolved.
pub(crate) fn resolved(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let (character, length) = at_start_of(&rest[at..]).unwrap_or(('&', 1));
        out.push(character);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    out
}

fn named(name: &str) -> Option<char> {
    if let Ok(found) = FURTHER.binary_search_by_key(&name, |(known, _)| known) {
        return Some(FURTHER[found].1);
    }
    let place = LATIN_1.iter().position(|known| *known == name)?;
    u8::try_from(0xA0 + place).ok().map(char::from)
}

/// Behind `&#`: digits, or `x` and hexadecimal ones; the semicolon may be missing.
fn numeric(text: &str) -> Option<(char, usize)> {
    let (digits, radix, skipped) = match text.strip_prefix(['x', 'X']) {
        Some(hexadecimal) => (hexadecimal, 16, 1),
        None => (text, 10, 0),
    };
    let length = digits
        .bytes()
        .take(8)
        .position(|b| !char::from(b).is_digit(radix))
        .unwrap_or(digits.len().min(8));
    let number = u32::from_str_radix(digits.get(..length)?, radix).ok()?;
    let end = usize::from(digits.as_bytes().get(length) == Some(&b';'));
    // Numbers of the Windows code page are what browsers read here, too.
    let character = match number {
        0x80..=0x9F => WINDOWS.chars().nth(number as usize - 0x80)?,
        0 | 0x0B | 0x0E..=0x1F | 0x7F => return None,
        number => char::from_u32(number)?,
    };
    Some((character, skipped + length + end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_no_name_is_longer_than_said() {
        assert!(FURTHER.is_sorted_by_key(|(name, _)| name));
        assert!(
            FURTHER
                .iter()
                .map(|(name, _)| name)
                .chain(&LATIN_1)
                .all(|name| name.len() <= LONGEST)
        );
    }

    #[test]
    fn resolves_named_and_numeric_references() {
        assert_eq!(
            resolved("&lt;a&gt; &amp;amp; &eacute;&yuml;&nbsp;&#233;&#xE9;&euro;"),
            "<a> &amp; éÿ\u{a0}éé€"
        );
        assert_eq!(
            resolved("a&b=c & &copy=1 &unknown; &#; &#x; &#0; &#x110000; &amp"),
            "a&b=c & &copy=1 &unknown; &#; &#x; &#0; &#x110000; &"
        );
        assert_eq!(resolved("&#150;&#x80;&#159;"), "–€Ÿ");
        assert_eq!(WINDOWS.chars().count(), 32);
    }
}
