//! The parameter `listUnsubscribe` (RFC 2369, RFC 8058).

use serde_json::Value;

use super::fields::{boolean, line, shown, structured};
use crate::failure::Failure;
use crate::segments::{Segment, Segments, as_text};

const KEY: &str = "listUnsubscribe";
/// The longest target that a header line has room for.
const MAX_TARGET: usize = 900;

/// The addresses at which a recipient unsubscribes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListUnsubscribe {
    /// `https:`, `http:` and `mailto:` addresses, without angle brackets.
    pub targets: Vec<String>,
    /// True when a POST to the `https:` address is enough (RFC 8058).
    pub one_click: bool,
}

/// Text (several separated by commas), an array, or `{url, mailto, oneClick}`. An `https:` address is one-click unless
/// `oneClick` says no.
pub(super) fn list_unsubscribe(value: Value) -> Result<Option<ListUnsubscribe>, Failure> {
    let mut one_click = None;
    let mut targets = Vec::new();
    match Segments::from_value(value) {
        Ok(segments) => targets.extend(several(&filled(&segments))?),
        Err(value) => match structured(KEY, value)? {
            Value::Null => return Ok(None),
            Value::Array(elements) => {
                for element in elements {
                    match Segments::from_value(element) {
                        Ok(segments) => targets.extend(one(&filled(&segments))?),
                        Err(element) => targets.extend(several(&as_text(&element))?),
                    }
                }
            }
            Value::Object(mut object) => {
                one_click = boolean(KEY, Segments::plain(object.remove("oneClick").unwrap_or_default()))?;
                let written = [object.remove("url"), object.remove("mailto")];
                if let Some(unknown) = object.keys().next() {
                    return Err(Failure::invalid(
                        KEY,
                        format_args!("it has `url`, `mailto` and `oneClick`, and no `{}`", shown(unknown)),
                    ));
                }
                // Each is one target, whatever commas it holds.
                for value in written.into_iter().flatten() {
                    let text = match Segments::from_value(value) {
                        Ok(segments) => filled(&segments),
                        Err(value) => as_text(&value).into_owned(),
                    };
                    targets.extend(one(&text)?);
                }
            }
            other => targets.extend(several(&as_text(&other))?),
        },
    }
    let has_https = targets.iter().any(|target| target.starts_with("https:"));
    match (targets.is_empty(), one_click, has_https) {
        (true, _, _) => Ok(None),
        (_, Some(true), false) => Err(Failure::invalid(KEY, "one click needs an `https:` address")),
        (_, wish, has_https) => Ok(Some(ListUnsubscribe {
            targets,
            one_click: wish.unwrap_or(true) && has_https,
        })),
    }
}

/// The text, in which no value ends the address that it stands in.
fn filled(segments: &Segments) -> String {
    let mut out = String::new();
    for segment in segments.iter() {
        match segment {
            Segment::Text(text) => out.push_str(text),
            Segment::Value(value) => {
                let target = out.rsplit(['<', ',']).next().unwrap_or_default().trim_start();
                // A list of recipients and further fields would hide in an address to write to (RFC 6068).
                let is_mail = !target.is_empty() && !target.get(..4).is_some_and(|s| s.eq_ignore_ascii_case("http"));
                let keeps = |c: char| {
                    if is_mail {
                        c.is_ascii_alphanumeric() || "-._~@+!$'*%".contains(c)
                    } else {
                        c.is_ascii_graphic() && !"<>,\"{}|\\^`".contains(c)
                    }
                };
                push_encoded(&mut out, as_text(value).trim(), keeps);
            }
        }
    }
    out
}

/// Percent-encodes what is not kept (RFC 3986, section 2.1); control characters stay, to be refused.
fn push_encoded(out: &mut String, text: &str, keeps: impl Fn(char) -> bool) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for c in text.chars() {
        if keeps(c) || c.is_control() {
            out.push(c);
            continue;
        }
        for octet in c.encode_utf8(&mut [0; 4]).bytes() {
            out.push('%');
            out.push(char::from(HEX[usize::from(octet >> 4)]));
            out.push(char::from(HEX[usize::from(octet & 15)]));
        }
    }
}

/// Targets one after the other. A comma belongs to the one that it stands in, unless another one begins behind it: within
/// angle brackets always (RFC 2369, section 2).
fn several(text: &str) -> Result<Vec<String>, Failure> {
    let text = line(KEY, "an address to unsubscribe", text)?;
    let mut targets = Vec::new();
    let mut rest = text.as_str();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Ok(targets);
        }
        let end = match rest.strip_prefix('<') {
            Some(inner) => inner.find('>').map_or(rest.len(), |end| end + 2),
            None => end_of_bare(rest),
        };
        targets.push(target(&rest[..end])?);
        rest = &rest[end..];
        if !rest.is_empty() && !rest.trim_start().starts_with([',', '<']) {
            return Err(no_target(&text));
        }
    }
}

fn end_of_bare(text: &str) -> usize {
    let begins_one = |after: &str| {
        let word = after.trim_start_matches([' ', '\t']);
        let has_scheme = ["https:", "http:", "mailto:", "<"].iter().any(|scheme| {
            word.get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        });
        has_scheme || word.len() < after.len() || after.is_empty()
    };
    let commas = text.match_indices(',').map(|(at, _)| at);
    commas
        .into_iter()
        .find(|at| begins_one(&text[at + 1..]))
        .unwrap_or(text.len())
}

fn one(text: &str) -> Result<Option<String>, Failure> {
    let text = line(KEY, "an address to unsubscribe", text)?;
    if text.is_empty() {
        Ok(None)
    } else {
        target(&text).map(Some)
    }
}

fn target(written: &str) -> Result<String, Failure> {
    let written = written.trim();
    let bare = written
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap_or(written)
        .trim();
    let is_address_alone = !bare.contains(':') && bare.contains('@');
    let target = if is_address_alone {
        format!("mailto:{bare}")
    } else {
        bare.to_owned()
    };
    let scheme = target.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let mut clean = String::with_capacity(target.len());
    push_encoded(&mut clean, &target, |c| c.is_ascii());
    let is_clean = clean.bytes().all(|b| b.is_ascii_graphic() && !b"<>".contains(&b));
    match scheme.as_str() {
        "https" | "http" | "mailto" if is_clean && clean.len() <= MAX_TARGET => {
            Ok(format!("{scheme}{}", &clean[scheme.len()..]))
        }
        _ => Err(no_target(written)),
    }
}

fn no_target(written: &str) -> Failure {
    Failure::invalid(
        KEY,
        format_args!(
            "`{}` is no address to unsubscribe at; write an `https:` or `mailto:` one",
            shown(written)
        ),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn targets(value: Value) -> Vec<String> {
        let shown = value.to_string();
        let read = list_unsubscribe(value).unwrap_or_else(|failure| panic!("{shown}: {failure}"));
        read.map(|found| found.targets).unwrap_or_default()
    }

    #[test]
    fn a_comma_belongs_to_the_address_that_it_stands_in() {
        let url = "https://x.example/u?to=7,ana@y.example";
        for written in [
            json!({ "url": url }),
            json!(url),
            json!(format!("<{url}>")),
            json!([url]),
            json!(format!("[\"{url}\"]")),
        ] {
            assert_eq!(targets(written), [url]);
        }
        let two = [url.to_owned(), "mailto:u@x.example,v@x.example".to_owned()];
        for written in [
            json!(format!("{url}, mailto:u@x.example,v@x.example")),
            json!(format!("<{url}>,<mailto:u@x.example,v@x.example>")),
            json!(format!("{url},mailto:u@x.example,v@x.example,")),
            json!({"url": url, "mailto": "u@x.example,v@x.example"}),
        ] {
            assert_eq!(targets(written), two);
        }
        assert_eq!(targets(json!("https://x.example/é")), ["https://x.example/%C3%A9"]);
    }

    #[test]
    fn a_value_is_within_one_address() {
        let with = |before: &str, value: &str, after: &str| {
            targets(json!({"segments": [{"text": before}, {"value": value}, {"text": after}]}))
        };
        assert_eq!(
            with("<https://x.example/", "a>, <mailto:eve@evil.example", ">"),
            ["https://x.example/a%3E%2C%20%3Cmailto:eve@evil.example"]
        );
        assert_eq!(
            with(
                "https://x.example/?u=",
                "a,https://evil.example",
                ", mailto:u@x.example"
            ),
            ["https://x.example/?u=a%2Chttps://evil.example", "mailto:u@x.example"]
        );
        assert_eq!(
            with("mailto:u+", "a@x.example,eve@evil.example?cc=b", "@x.example"),
            ["mailto:u+a@x.example%2Ceve@evil.example%3Fcc%3Db@x.example"]
        );
        assert!(
            list_unsubscribe(json!({"segments": [{"text": "https://x.example/"}, {"value": "a\r\nX: y"}]})).is_err()
        );
    }
}
