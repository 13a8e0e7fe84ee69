//! The character sets of East Asia, limited to the standards that their names mean.
//!
//! The encoder is that of the Web, whose sets are those of old browsers: each holds characters that vendors added to
//! the standard set of the same name. A reader that follows the standard cannot show them, so this module treats them
//! as missing.

use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GBK, ISO_2022_JP, SHIFT_JIS};

/// Whether the octets, which the text was encoded to, are within the standard set.
pub(super) fn holds(charset: &'static Encoding, text: &str, octets: &[u8]) -> bool {
    if text.is_ascii() {
        return true;
    }
    if charset == ISO_2022_JP {
        // Its two-octet characters are those of EUC-JP, less the highest bits. Half-width kana were made wide ones.
        return !text.chars().any(is_half_width_kana) && pairs_of(text, EUC_JP, is_jis);
    }
    if charset == SHIFT_JIS {
        return pairs_of(text, EUC_JP, is_jis);
    }
    if charset == EUC_JP {
        return pairs(octets, is_jis);
    }
    if charset == EUC_KR {
        return pairs(octets, |first, second| first >= 0xA1 && second >= 0xA1);
    }
    if charset == GBK {
        return !text.contains('\u{20ac}');
    }
    if charset == BIG5 {
        return pairs(octets, is_big5);
    }
    true
}

/// JIS X 0208: rows 1 to 8 and 16 to 84. Row 13 is NEC's, rows 89 to 92 are what NEC took of IBM's.
fn is_jis(first: u8, second: u8) -> bool {
    // A half-width kana (JIS X 0201) behind its shift.
    if first == 0x8E {
        return true;
    }
    let row = first.wrapping_sub(0xA0);
    second >= 0xA1 && (matches!(row, 1..=8) || matches!(row, 16..=84))
}

/// Levels 1 and 2 and the symbols, less what ETEN and Hong Kong added.
fn is_big5(first: u8, second: u8) -> bool {
    match (first, second) {
        (0xA1..=0xA2, _) => true,
        (0xA3, second) => second <= 0xBF,
        (0xA4..=0xC5, _) => true,
        (0xC6, second) => second <= 0x7E,
        (0xC9..=0xF8, _) => true,
        (0xF9, second) => second <= 0xD5,
        _ => false,
    }
}

fn pairs_of(text: &str, charset: &'static Encoding, is_standard: impl Fn(u8, u8) -> bool) -> bool {
    // The yen and the overline are in the sets of single octets; EUC-JP has none of these.
    let text: String = text.chars().filter(|c| !matches!(c, '\u{a5}' | '\u{203e}')).collect();
    let (octets, _, lacks) = charset.encode(&text);
    !lacks && pairs(&octets, is_standard)
}

/// Whether every pair of octets passes; octets below 0x80 stand alone.
fn pairs(octets: &[u8], is_standard: impl Fn(u8, u8) -> bool) -> bool {
    let mut octets = octets.iter().copied();
    while let Some(first) = octets.next() {
        if first < 0x80 {
            continue;
        }
        match octets.next() {
            Some(second) if is_standard(first, second) => {}
            _ => return false,
        }
    }
    true
}

fn is_half_width_kana(c: char) -> bool {
    matches!(c, '\u{ff61}'..='\u{ff9f}')
}
