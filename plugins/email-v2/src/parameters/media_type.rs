//! A media type as it is written: `text/csv; header=present; charset="Windows-1252"` (RFC 2045, section 5.1).

use super::fields::{shown, tidy_or_controls};
use crate::failure::Failure;

/// A media type and its parameters, less those that the message itself has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MediaType {
    /// `type/subtype`, in lower case.
    pub(super) essence: String,
    /// The character set, where one is named.
    pub(super) charset: Option<String>,
    /// The file's name, where one is named.
    pub(super) name: Option<String>,
    /// The rest, names in lower case, values without quotes.
    pub(super) parameters: Vec<(String, String)>,
}

impl MediaType {
    pub(super) fn parse(place: &str, written: &str) -> Result<Self, Failure> {
        let wrong = || Failure::invalid(place, format_args!("`{}` is no media type", shown(written)));
        let written = tidy_or_controls(written).ok_or_else(wrong)?;
        let (essence, mut rest) = written.split_once(';').unwrap_or((&written, ""));
        let essence = essence.trim().to_ascii_lowercase();
        match essence.split_once('/') {
            Some((kind, subtype)) if is_restricted(kind) && is_restricted(subtype) && essence.len() <= 127 => {}
            _ => return Err(wrong()),
        }
        let mut media_type = Self {
            essence,
            ..Self::default()
        };
        loop {
            rest = rest.trim_start_matches([' ', '\t', ';']);
            if rest.is_empty() {
                return Ok(media_type);
            }
            let (name, after) = rest.split_once('=').ok_or_else(wrong)?;
            let name = name.trim().to_ascii_lowercase();
            let (value, after) = value(after.trim_start()).ok_or_else(wrong)?;
            if !is_token(&name) || name.len() > 60 || value.len() > 900 {
                return Err(wrong());
            }
            match name.as_str() {
                "charset" if is_charset(&value) => media_type.charset = Some(value),
                "charset" => {
                    return Err(Failure::invalid(
                        place,
                        format_args!("`{}` names no character set", shown(&written)),
                    ));
                }
                "name" => media_type.name = Some(value).filter(|name| !name.trim().is_empty()),
                _ if media_type.parameters.iter().any(|(known, _)| *known == name) => return Err(wrong()),
                _ => media_type.parameters.push((name, value)),
            }
            rest = after.trim_start();
            if !rest.is_empty() && !rest.starts_with(';') {
                return Err(wrong());
            }
        }
    }
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        let value = &text[..end];
        // Looser than a token: `profile=http://x.example/` is written so and means no harm, as it goes out in quotes.
        let is_plain = !value.is_empty() && !value.contains(['"', '\\']);
        return is_plain.then(|| (value.to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// RFC 6838, section 4.2.
fn is_restricted(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
}

/// RFC 2045, section 5.1; with the `*` of RFC 2231.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b))
}

/// RFC 2978, section 2.3, less what no name has and what would have to be quoted.
fn is_charset(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 40
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&+-^_`~.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_is_kept() {
        let written =
            "Text/Calendar; charset=utf-8;method=REQUEST ; x=\"a;\\\"b\"; name=\"i n.ics\";profile=http://x.example/;";
        let media_type = MediaType::parse("p", written).expect("a media type");
        let parameters = [("method", "REQUEST"), ("x", "a;\"b"), ("profile", "http://x.example/")];
        assert_eq!(
            media_type,
            MediaType {
                essence: "text/calendar".into(),
                charset: Some("utf-8".into()),
                name: Some("i n.ics".into()),
                parameters: parameters.map(|(name, value)| (name.into(), value.into())).into(),
            }
        );
    }

    #[test]
    fn what_is_none_is_refused() {
        for written in [
            "text",
            "text/",
            "te xt/plain",
            "text/plain; x",
            "text/plain; x=",
            "text/plain; x=\"a",
            "text/plain; x=\"a\" b=c",
            "text/plain; x y=a",
            "text/plain; x=a; X=b",
            "text/plain; charset=\"a b\"",
            "text/plain; x=a\r\nX: y",
            "text/plain; x=\"a\0\"",
        ] {
            assert!(MediaType::parse("p", written).is_err(), "{written}");
        }
    }
}
