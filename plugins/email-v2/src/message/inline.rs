//! The pictures of an HTML body: its `cid:` references (RFC 2392), the inline attachments that they mean, and its
//! `data:` pictures (RFC 2397).

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr_iter, memmem, memrchr, memrchr2};

use crate::address::is_atext;
use crate::html;
use crate::parameters::{Attachment, Disposition, Source, data_uri, percent_decoded};

/// The longest reference that is looked at; a file name is shorter, percent-encoding included.
const LONGEST_REFERENCE: usize = 1024;
/// How far back the attribute of a list of references is looked for.
const LONGEST_LIST: usize = 4096;
/// The quotes of a style sheet that stands in an attribute.
const QUOTES: [&str; 6] = ["&quot;", "&#34;", "&#x22;", "&apos;", "&#39;", "&#x27;"];

/// One `cid:` of the body.
struct Reference {
    /// Where it stands in the body, without `cid:`.
    place: Range<usize>,
    /// What it means: character references and percent-encoding undone.
    name: String,
}

/// The body with its references made to fit, and the Content-ID of each inline attachment.
pub(super) struct Matched<'a> {
    pub(super) html: Cow<'a, str>,
    /// One for each of the attachments, in their order, without angle brackets.
    pub(super) ids: Vec<String>,
}

/// Gives each inline attachment its Content-ID: the one that it asks for, else one that no other message has, since mail
/// clients keep pictures by their ids. The body's references are changed to it. `unique` is what makes it unique.
pub(super) fn match_references<'a>(
    html: &'a str,
    inline: &[&Attachment],
    unique: &str,
    warnings: &mut Vec<String>,
) -> Matched<'a> {
    let references = references(html);
    let ids: Vec<String> = inline
        .iter()
        .enumerate()
        .map(|(i, attachment)| match &attachment.content_id {
            Some(id) => id.clone(),
            None => invented(i, unique),
        })
        .collect();
    let mut is_shown = vec![false; inline.len()];
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    for reference in &references {
        let shown: String = reference.name.chars().filter(|c| !c.is_control()).take(80).collect();
        let Some((found, is_one_of_several)) = meant(reference, inline) else {
            warnings.push(format!(
                "the body shows `cid:{shown}`, and no INLINE attachment has that name"
            ));
            continue;
        };
        if is_one_of_several {
            warnings.push(format!(
                "the body shows `cid:{shown}`, and several INLINE attachments have that name: it shows `{}`; a \
                 `contentId` or its path tells another one",
                inline[found].name
            ));
        }
        is_shown[found] = true;
        if html[reference.place.clone()] != ids[found] {
            changes.push((reference.place.clone(), ids[found].clone()));
        }
    }
    for (attachment, _) in inline.iter().zip(&is_shown).filter(|(_, is_shown)| !**is_shown) {
        warnings.push(format!(
            "the inline attachment `{}` is not shown: nothing in the body refers to `cid:{}`",
            attachment.name,
            attachment.content_id.as_deref().unwrap_or(&attachment.shown_name)
        ));
    }
    Matched {
        html: changed(html, changes),
        ids,
    }
}

/// The attachment that a reference means: by its id, its name as written, the name that is shown, or the last part of its
/// path. And whether others have the same.
fn meant(reference: &Reference, inline: &[&Attachment]) -> Option<(usize, bool)> {
    let name = reference.name.as_str();
    let ways: [&dyn Fn(&Attachment) -> bool; 4] = [
        &|attachment| attachment.content_id.as_deref() == Some(name),
        &|attachment| attachment.name == name,
        &|attachment| attachment.shown_name == name,
        &|attachment| attachment.base_name() == name,
    ];
    ways.iter().find_map(|is_meant| {
        let mut found = (0..inline.len()).filter(|&i| is_meant(inline[i]));
        found.next().map(|first| (first, found.next().is_some()))
    })
}

/// World-unique (RFC 2045, section 7), and in no need of any encoding wherever it stands.
fn invented(number: usize, unique: &str) -> String {
    let mut id = format!("inline{number}.");
    id.extend(unique.chars().map(|c| if is_safe(c) { c } else { '-' }));
    id
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

/// A colon as HTML may write it (HTML, section 13.5).
const COLONS: [&str; 4] = ["&#58;", "&#x3a;", "&#x3A;", "&colon;"];

/// The `cid:` URLs of attributes, style sheets and lists of pictures.
fn references(html: &str) -> Vec<Reference> {
    let bytes = html.as_bytes();
    let mut references = Vec::new();
    let colons = memchr_iter(b':', bytes).map(|at| (at, 1));
    // An attribute's value may have the colon as a character reference, too. Most bodies hold none of any kind.
    let written_out = COLONS
        .iter()
        .filter(|_| memchr(b'&', bytes).is_some())
        .flat_map(|colon| memmem::find_iter(bytes, colon.as_bytes()).map(|at| (at, colon.len())));
    let mut places: Vec<(usize, usize)> = colons
        .chain(written_out)
        .filter(|(at, _)| {
            at.checked_sub(3)
                .is_some_and(|from| bytes[from..*at].eq_ignore_ascii_case(b"cid"))
        })
        .collect();
    places.sort_unstable();
    for (colon, length) in places {
        let (scheme, start) = (colon - 3, colon + length);
        let Some(length) = length_of_url(html, scheme, start, LONGEST_REFERENCE) else {
            continue;
        };
        let written = html[start..start + length].trim_ascii_end();
        if !written.is_empty() {
            references.push(Reference {
                name: decoded(written),
                place: start..start + written.len(),
            });
        }
    }
    references
}

/// How long the URL is whose scheme begins at `scheme`, from `start` on; none where no URL stands. It stands behind a
/// quote, a `=` or a `(`, and in `srcset` behind a comma.
fn length_of_url(html: &str, scheme: usize, start: usize, longest: usize) -> Option<usize> {
    let before = html[..scheme].trim_ascii_end();
    let rest = &html[start..html.floor_char_boundary(html.len().min(start + longest))];
    let bytes = rest.as_bytes();
    let until = |ends: &[u8]| bytes.iter().position(|byte| ends.contains(byte));
    // Looked for from behind first: what never ends is found out once, and not read again from each beginning.
    let closes = |end: u8| memrchr(end, bytes).and_then(|_| memchr(end, bytes));
    if let Some(quote) = QUOTES.iter().find(|quote| ends_with_ignoring_case(before, quote)) {
        let written = &before[before.len() - quote.len()..];
        return memmem::find(bytes, written.as_bytes());
    }
    match before.as_bytes().last()? {
        quote @ (b'"' | b'\'') => {
            let end = closes(*quote)?;
            let is_list = is_in_list(before);
            Some(if is_list { end_in_list(&rest[..end]) } else { end })
        }
        b'(' => closes(b')'),
        b'=' => until(b" \t\r\n>"),
        b',' => {
            let from = before.len().saturating_sub(LONGEST_LIST);
            let opening = memrchr2(b'"', b'\'', &before.as_bytes()[from..]).map(|at| from + at + 1)?;
            let end = until(b"\"'")?;
            is_in_list(&before[..opening]).then(|| end_in_list(&rest[..end]))
        }
        _ => None,
    }
}

/// Whether the text ends where the value of a `srcset` begins.
fn is_in_list(before: &str) -> bool {
    let name = before[..before.len() - 1].trim_ascii_end();
    name.strip_suffix('=')
        .is_some_and(|name| ends_with_ignoring_case(name.trim_ascii_end(), "srcset"))
}

/// A URL of a `srcset` ends at a blank, or at a comma before one.
fn end_in_list(rest: &str) -> usize {
    let end = rest.find([' ', '\t', '\r', '\n']).unwrap_or(rest.len());
    rest[..end].trim_end_matches(',').len()
}

fn ends_with_ignoring_case(text: &str, end: &str) -> bool {
    let start = text.len().checked_sub(end.len());
    start
        .and_then(|start| text.get(start..))
        .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

fn decoded(written: &str) -> String {
    let resolved = html::entities::resolved(written);
    String::from_utf8(percent_decoded(&resolved)).unwrap_or(resolved)
}

/// The pictures that stand in the body as `data:`: each becomes an inline attachment, and the body refers to it.
pub(super) fn take_data_images(html: &str) -> (Cow<'_, str>, Vec<Attachment>) {
    let mut attachments = Vec::new();
    let mut changes = Vec::new();
    for (place, uri) in data_images(html) {
        let Some((octets, Some(media_type))) = data_uri(&uri) else {
            continue;
        };
        let essence = media_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let kind = essence.strip_prefix("image/").unwrap_or_default();
        let extension = kind
            .split(['+', '.'])
            .next()
            .unwrap_or_default()
            .trim_start_matches("x-");
        let name = format!("picture{}.{extension}", attachments.len() + 1);
        let source = Source::Bytes(octets);
        let known = attachments.iter().position(|other: &Attachment| other.source == source);
        let name = match known {
            Some(known) => attachments[known].name.clone(),
            None => {
                attachments.push(Attachment {
                    name: name.clone(),
                    shown_name: name.clone(),
                    disposition: Disposition::Inline,
                    content_id: None,
                    media_type: Some(essence),
                    charset: None,
                    media_type_parameters: Vec::new(),
                    source,
                });
                name
            }
        };
        changes.push((place, format!("cid:{name}")));
    }
    (changed(html, changes), attachments)
}

/// How many pictures stand in the body as `data:`.
pub(super) fn count_data_images(html: &str) -> usize {
    data_images(html).len()
}

/// Where they stand, and their URIs. None lies within another one, so the body is read once.
fn data_images(html: &str) -> Vec<(Range<usize>, String)> {
    let bytes = html.as_bytes();
    let mut found = Vec::new();
    let mut from = 0;
    // Colons are few.
    while let Some(colon) = memchr(b':', &bytes[from..]).map(|at| from + at) {
        from = colon + 1;
        let is_data = |scheme: &usize| {
            bytes[*scheme].eq_ignore_ascii_case(&b'd')
                && bytes[*scheme + 1..colon] == *b"ata"
                && bytes[colon + 1..].starts_with(b"image/")
        };
        let Some(scheme) = colon.checked_sub(4).filter(is_data) else {
            continue;
        };
        // What has no end here has none further on, and neither has what follows.
        let Some(length) = length_of_url(html, scheme, scheme, html.len()) else {
            continue;
        };
        let written = html[scheme..scheme + length].trim_ascii_end();
        let place = scheme..scheme + written.len();
        from = from.max(place.end);
        found.push((place, html::entities::resolved(written)));
    }
    found
}

/// What can stand between the angle brackets of a Content-ID and behind `cid:` alike, without any encoding.
pub(crate) fn is_id(name: &str) -> bool {
    !name.is_empty() && name.len() <= 200 && name.chars().all(is_safe)
}

fn is_safe(c: char) -> bool {
    c.is_ascii() && !"%#?&'`/=".contains(c) && (is_atext(c) || matches!(c, '.' | '@'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::{Disposition, Source};

    fn inline(name: &str) -> Attachment {
        Attachment {
            name: name.into(),
            shown_name: name.rsplit('/').next().unwrap_or(name).into(),
            disposition: Disposition::Inline,
            content_id: None,
            media_type: None,
            charset: None,
            media_type_parameters: Vec::new(),
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
    fn every_file_has_an_id_of_its_own_and_the_body_follows() {
        let html = r#"<img src="cid:my%20logo.png"><img src='Cid:a&amp;b.png'><img src="cid:img/日本.png"><img src=cid:my&#32;logo.png>"#;
        let (out, ids, warnings) = matched(html, &["my logo.png", "img/日本.png", "x/a&b.png"]);
        assert_eq!(ids, [0, 1, 2].map(|i| format!("inline{i}.k@example.com")));
        assert_eq!(
            out,
            r#"<img src="cid:inline0.k@example.com"><img src='Cid:inline2.k@example.com'><img src="cid:inline1.k@example.com"><img src=cid:inline0.k@example.com>"#
        );
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn style_sheets_and_lists_of_pictures_refer_too() {
        for (html, expected) in [
            (
                "<td style='background:url(cid:a.png)'>",
                "<td style='background:url(cid:ID)'>",
            ),
            (
                "<td style=\"background:url( cid:a.png )\">",
                "<td style=\"background:url( cid:ID )\">",
            ),
            (
                "<td style=\"background:url(&quot;cid:a.png&quot;)\">",
                "<td style=\"background:url(&quot;cid:ID&quot;)\">",
            ),
            (
                "<td style=\"background:url(&#39; cid:a.png&#39;)\">",
                "<td style=\"background:url(&#39; cid:ID&#39;)\">",
            ),
            (
                "<style>.a{background:url('cid:a.png')}</style>",
                "<style>.a{background:url('cid:ID')}</style>",
            ),
            (
                "<img srcset=\"cid:a.png 1x, cid:a.png 2x,\ncid:a.png\">",
                "<img srcset=\"cid:ID 1x, cid:ID 2x,\ncid:ID\">",
            ),
            (
                "<source srcset = 'https://x.example/b.png 1x, cid:a.png 2x'>",
                "<source srcset = 'https://x.example/b.png 1x, cid:ID 2x'>",
            ),
            (
                "<!--[if mso]><v:fill src=\" cid:a.png\"/><![endif]-->",
                "<!--[if mso]><v:fill src=\" cid:ID\"/><![endif]-->",
            ),
        ] {
            let (out, _, warnings) = matched(html, &["a.png"]);
            assert_eq!(out, expected.replace("ID", "inline0.k@example.com"));
            assert!(warnings.is_empty(), "{html}: {warnings:?}");
        }
    }

    #[test]
    fn an_id_of_its_own_stays() {
        let mut own = inline("logo.png");
        own.content_id = Some("ii_1".into());
        let mut warnings = Vec::new();
        let matched = match_references(
            "<img src='cid:ii_1'><img src='cid:logo.png'>",
            &[&own],
            "k@x",
            &mut warnings,
        );
        assert_eq!(matched.html, "<img src='cid:ii_1'><img src='cid:ii_1'>");
        assert_eq!((matched.ids, warnings), (vec!["ii_1".to_owned()], vec![]));
    }

    #[test]
    fn equal_names_have_two_ids_and_a_path_tells_them_apart() {
        let (_, ids, warnings) = matched("<img src='cid:logo.png'>", &["a/logo.png", "b/logo.png"]);
        assert_ne!(ids[0], ids[1]);
        assert!(warnings.len() == 2 && warnings[0].contains("several"), "{warnings:?}");
        let (out, ids, warnings) = matched(
            "<img src='cid:b/logo.png'><img src='cid:a/logo.png'>",
            &["a/logo.png", "b/logo.png"],
        );
        assert_eq!(out, format!("<img src='cid:{}'><img src='cid:{}'>", ids[1], ids[0]));
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn what_has_no_counterpart_is_warned_of() {
        let (out, _, warnings) = matched(r#"<p>cid:prose, cid:more</p><img src="cid:a.png">"#, &["b.png"]);
        assert_eq!(out, r#"<p>cid:prose, cid:more</p><img src="cid:a.png">"#);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(
            warnings[0].contains("`cid:a.png`") && warnings[1].contains("`b.png`"),
            "{warnings:?}"
        );
    }

    #[test]
    fn pictures_in_the_body_become_attachments_when_asked() {
        let html = "<img src=\"data:image/png;base64,iVBORw0KGgo=\"><p>data:image/png;base64,AA</p><img src='Data:image/svg+xml,%3Csvg/%3E'><img src=\"data:image/png;base64,iVBORw0KGgo=\">";
        assert_eq!(count_data_images(html), 3);
        let (out, pictures) = take_data_images(html);
        assert_eq!(
            out,
            "<img src=\"cid:picture1.png\"><p>data:image/png;base64,AA</p><img src='cid:picture2.svg'><img src=\"cid:picture1.png\">"
        );
        assert_eq!(pictures.len(), 2);
        assert_eq!(pictures[1].source, Source::Bytes(b"<svg/>".to_vec()));
    }
}
