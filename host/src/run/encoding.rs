//! Text in the encoding of a file.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

/// The octets of a text, and whether the encoding has all of its characters; the others are references to them as in HTML.
pub(super) fn encode<'t>(text: &'t str, encoding: &'static Encoding) -> (Cow<'t, [u8]>, bool) {
    // The Encoding Standard has no encoders for these, and files are still wanted in them.
    let wide = |order: fn(u16) -> [u8; 2]| (text.encode_utf16().flat_map(order).collect(), true);
    if encoding == UTF_16LE {
        return wide(u16::to_le_bytes);
    }
    if encoding == UTF_16BE {
        return wide(u16::to_be_bytes);
    }
    let (octets, used, lacks) = encoding.encode(text);
    (octets, !lacks && used == encoding)
}
