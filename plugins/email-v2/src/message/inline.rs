//! The `cid:` references of an HTML body (RFC 2392), and the inline attachments that they mean.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use crate::address::is_atext;
use crate::parameters::Attachment;

/// The longest reference that is looked at; a file name is shorter, percent-encoding included.
const LONGEST_REFERENCE: usize = 1024;

/// One `cid:` of the body.
struct Reference {
    /// Where it stands in the body, without `cid:`.
    place: Range<usize>,
    /// What it means: percent-encoding undone.
    name: String,
}

/// The body with its references made to fit, and the Content-ID of each inline attachment.
pub(super) struct Matched<'a> {
    pub(super) html: Cow<'a, str>,
    /// One for each of the attachments, in their order, without angle brackets.
    pub(super) ids: Vec<String>,
}

/// Gives each inline attachment its Content-ID: its name where a Content-ID can be that, else one that the body's
/// references are changed to. `unique` is what makes an invented one unique.
pub(super) fn match_references<'a>(
    html: &'a str,
    inline: &[&Attachment],
    unique: &str,
    warnings: &mut Vec<String>,
) -> Matched<'a> {
    let references = references(html);
    let mut ids = Vec::with_capacity(inline.len());
    let mut is_matched = vec![false; references.len()];
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    for (i, attachment) in inline.iter().enumerate() {
        let means =
            |reference: &Reference| reference.name == attachment.name || reference.name == attachment.file_name();
        let mut own = references
            .iter()
            .enumerate()
            .filter(|(_, reference)| means(reference))
            .peekable();
        let id = match own.peek() {
            Some((_, first)) if is_id(&first.name) => first.name.clone(),
            None if is_id(attachment.file_name()) => attachment.file_name().to_owned(),
            _ => format!("inline{i}.{unique}"),
        };
        if own.peek().is_none() {
            warnings.push(format!(
                "the inline attachment `{}` is not shown: nothing in the body refers to `cid:{}`",
                attachment.name,
                attachment.file_name()
            ));
        }
        for (n, reference) in own {
            if !is_matched[n] && html[reference.place.clone()] != id {
                changes.push((reference.place.clone(), id.clone()));
            }
            is_matched[n] = true;
        }
        ids.push(id);
    }
    for (reference, _) in references
        .iter()
        .zip(&is_matched)
        .filter(|(_, is_matched)| !**is_matched)
    {
        let shown: String = reference.name.chars().filter(|c| !c.is_control()).take(80).collect();
        warnings.push(format!(
            "the body shows `cid:{shown}`, and no INLINE attachment has that name"
        ));
    }
    Matched {
        html: changed(html, changes),
        ids,
    }
}

fn changed(html: &str, mut changes: Vec<(Range<usize>, String)>) -> Cow<'_, str> {
    if changes.is_empty() {
        return Cow::Borrowed(html);
    }
    changes.sort_by_key(|(place, _)| place.start);
    let mut out = String::with_capacity(html.len() + changes.len() * 32);
    let mut from = 0;
    for (place, id) in changes {
        out.push_str(&html[from..place.start]);
        out.push_str(&id);
        from = place.end;
    }
    out.push_str(&html[from..]);
    Cow::Owned(out)
}

/// The `cid:` URLs of attributes and style sheets: those behind a quote, a `=` or a `(`.
fn references(html: &str) -> Vec<Reference> {
    let bytes = html.as_bytes();
    let mut references = Vec::new();
    for colon in memmem::find_iter(bytes, b"id:") {
        let Some(scheme) = colon.checked_sub(1) else { continue };
        if !bytes[scheme].eq_ignore_ascii_case(&b'c') || scheme == 0 {
            continue;
        }
        let ends: &[u8] = match bytes[scheme - 1] {
            b'"' => b"\"",
            b'\'' => b"'",
            b'(' => b")",
            b'=' => b" \t\r\n>",
            _ => continue,
        };
        let start = colon + 3;
        let window = &bytes[start..bytes.len().min(start + LONGEST_REFERENCE)];
        let Some(length) = window.iter().position(|byte| ends.contains(byte)) else {
            continue;
        };
        let place = start..start + length;
        // Both ends stand before an ASCII octet, so they are character boundaries.
        if let Some(written) = html.get(place.clone()).filter(|written| !written.is_empty()) {
            references.push(Reference {
                name: percent_decoded(written),
                place,
            });
        }
    }
    references
}

fn percent_decoded(written: &str) -> String {
    let bytes = written.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let octet = match (bytes[i], written.get(i + 1..i + 3)) {
            (b'%', Some(hex)) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u8::from_str_radix(hex, 16).ok(),
            _ => None,
        };
        out.push(octet.unwrap_or(bytes[i]));
        i += if octet.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).unwrap_or_else(|_| written.to_owned())
}

/// What can stand between the angle brackets of a Content-ID and behind `cid:` alike, without any encoding.
fn is_id(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && name
            .chars()
            .all(|c| c.is_ascii() && !"%#?&'`/=".contains(c) && (is_atext(c) || matches!(c, '.' | '@')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::{Disposition, Source};

    fn inline(name: &str) -> Attachment {
        Attachment {
            name: name.into(),
            disposition: Disposition::Inline,
            media_type: None,
            charset: None,
            source: Source::File,
        }
    }

    fn matched(html: &str, names: &[&str]) -> (String, Vec<String>, Vec<String>) {
        let attachments: Vec<Attachment> = names.iter().map(|name| inline(name)).collect();
        let mut warnings = Vec::new();
        let matched = match_references(
            html,
            &attachments.iter().collect::<Vec<_>>(),
            "k@example.com",
            &mut warnings,
        );
        (matched.html.into_owned(), matched.ids, warnings)
    }

    #[test]
    fn a_plain_name_is_its_own_id() {
        let html = r#"<img src="cid:logo.png"><td style='background:url(CID:bg.jpg)'>"#;
        let html = html.replace("CID:", "Cid:");
        let (out, ids, warnings) = matched(&html, &["img/logo.png", "bg.jpg"]);
        assert_eq!(
            (out, ids, warnings),
            (html, vec!["logo.png".into(), "bg.jpg".into()], vec![])
        );
    }

    #[test]
    fn other_names_get_an_id_and_the_body_follows() {
        let html = r#"<img src="cid:my%20logo.png"><img src='cid:日本.png'><img src="cid:my logo.png">"#;
        let (out, ids, warnings) = matched(html, &["my logo.png", "日本.png"]);
        assert_eq!(ids, ["inline0.k@example.com", "inline1.k@example.com"]);
        assert_eq!(
            out,
            r#"<img src="cid:inline0.k@example.com"><img src='cid:inline1.k@example.com'><img src="cid:inline0.k@example.com">"#
        );
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn what_has_no_counterpart_is_warned_of() {
        let (out, ids, warnings) = matched(r#"<p>cid:prose</p><img src="cid:a.png">"#, &["b.png"]);
        assert_eq!(out, r#"<p>cid:prose</p><img src="cid:a.png">"#);
        assert_eq!(ids, ["b.png"]);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(
            warnings[0].contains("`b.png`") && warnings[1].contains("`cid:a.png`"),
            "{warnings:?}"
        );
    }
}
