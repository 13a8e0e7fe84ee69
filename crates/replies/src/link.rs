//! The link that a server gives in its reply, if it is safe to show to a person.
//!
//! A reply is not to be trusted. So the link must be `https`, hold only the characters of a URI (RFC 3986), have a
//! plain host without user information, and have a bounded length.

use crate::normal::{LONGEST, head, is_repeated_code};
use crate::provider::is_beneath;

/// Gmail's sign-in links run to some hundreds of octets.
const LONGEST_LINK: usize = 2048;
/// No honest reply holds more links; each one that is looked at costs up to twice [`LONGEST_LINK`].
const MOST_LINKS: usize = 16;
const SCHEME: &str = "https://";

/// The first usable link of the text; with `beneath`, the first one whose host is that name or lies beneath it.
pub(crate) fn first_link(text: &str, beneath: Option<&str>) -> Option<String> {
    let text = head(text, LONGEST);
    text.match_indices(SCHEME).take(MOST_LINKS).find_map(|(at, _)| {
        let bracketed = text[..at].ends_with('<');
        let link = if bracketed { in_brackets(&text[at..]) } else { None };
        let link = link.unwrap_or_else(|| bare(&text[at..]));
        let host = host_of(&link)?;
        let usable = link.len() <= LONGEST_LINK && beneath.is_none_or(|name| is_beneath(host, name));
        usable.then_some(link)
    })
}

/// A link between `<` and `>` may be broken over lines (RFC 3986, appendix C), and each line may repeat the reply's
/// codes: Gmail does both. The host must be whole on the first line.
fn in_brackets(text: &str) -> Option<String> {
    let (inside, _) = head(text, 2 * LONGEST_LINK).split_once('>')?;
    let mut words = inside.split_ascii_whitespace();
    let first = words.next()?;
    if !first[SCHEME.len()..].contains(['/', '?']) {
        return None;
    }
    let rest = words.filter(|word| !is_repeated_code(word) && !is_code(word));
    let link: String = std::iter::once(first).chain(rest).collect();
    link.bytes().all(is_uri_octet).then_some(link)
}

/// A link in running text ends where the characters of a URI end, less the sentence's own punctuation.
fn bare(text: &str) -> String {
    let text = head(text, LONGEST_LINK + 1);
    let end = text.bytes().position(|b| !is_uri_octet(b)).unwrap_or(text.len());
    text[..end]
        .trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '\''])
        .to_owned()
}

/// The host of a link, if it is a plain DNS name with a dot: no address, no user information.
fn host_of(link: &str) -> Option<&str> {
    let rest = link.strip_prefix(SCHEME)?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host = authority.strip_suffix(":443").unwrap_or(authority);
    let plain = host
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    let named = host
        .rsplit('.')
        .next()
        .is_some_and(|top| top.bytes().any(|b| b.is_ascii_alphabetic()));
    (plain && named && host.contains('.') && !host.starts_with('.')).then_some(host)
}

fn is_code(word: &str) -> bool {
    matches!(word.as_bytes(), [b'4' | b'5', b'0'..=b'5', b'0'..=b'9'])
}

/// The characters of RFC 3986, section 2: unreserved, reserved, and the percent sign.
fn is_uri_octet(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_broken_over_lines_is_put_together() {
        let text = "<https://accounts.google.com/signin/continue?sarp=1&plt=AKgn\r\n534-5.7.14 sbv2> Please log in";
        let link = first_link(text, Some("google.com"));
        assert_eq!(
            link.as_deref(),
            Some("https://accounts.google.com/signin/continue?sarp=1&plt=AKgnsbv2")
        );
    }

    #[test]
    fn a_link_ends_with_its_sentence() {
        let link = first_link("Visit https://aka.ms/smtp_auth_disabled, please", None);
        assert_eq!(link.as_deref(), Some("https://aka.ms/smtp_auth_disabled"));
        assert_eq!(
            first_link("(see https://example.com/a.b).", None).as_deref(),
            Some("https://example.com/a.b")
        );
        assert_eq!(
            first_link("https://example.com/a>b", None).as_deref(),
            Some("https://example.com/a")
        );
        assert_eq!(
            first_link("https://example.com/a\u{1b}[31m", None).as_deref(),
            Some("https://example.com/a")
        );
    }

    #[test]
    fn what_could_mislead_is_no_link() {
        for text in [
            "http://example.com/",
            "javascript:alert(1)",
            "https://accounts.google.com@evil.example/",
            "https://localhost/",
            "https://10.0.0.1/",
            "https://[::1]/",
            "https://example.com:8443/",
            "https://",
            "https://\u{1b}[2J",
            "https://ехample.com/",
            "<https://accounts.google\n.com/signin>",
        ] {
            assert_eq!(first_link(text, Some("google.com")), None, "{text:?}");
        }
        assert_eq!(first_link("https://google.com.evil.example/", Some("google.com")), None);
        assert_eq!(
            first_link(&format!("https://example.com/{}", "a".repeat(3000)), None),
            None
        );
    }

    #[test]
    fn a_refused_link_does_not_hide_the_next_one() {
        let text = "https://evil.example/ https://support.google.com/mail/?p=BadCredentials q1 - gsmtp";
        let link = first_link(text, Some("google.com"));
        assert_eq!(
            link.as_deref(),
            Some("https://support.google.com/mail/?p=BadCredentials")
        );
    }
}
