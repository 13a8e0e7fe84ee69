//! The parameters of message ids. `messageId` is our own id and must be correct. `inReplyTo` and `references` are
//! copied from other people's messages, and only their writers know what they mean.

use serde_json::Value;

use super::fields::{line, shown, structured, text};
use crate::failure::Failure;

/// The longest id that a header line has room for.
const MAX_ID: usize = 900;

/// The ids of other messages, opaque and in their order (RFC 5322, section 3.6.4: the parent's are copied): text in
/// whatever form a header had it, or an array. What cannot stand in a header is left out with a warning.
pub(super) fn foreign(key: &str, value: Value, warnings: &mut Vec<String>) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    for text in texts(key, value)? {
        let text = line(key, "a message id", &text)?;
        let tokens = tokens(&text);
        let has_brackets = tokens.iter().any(|token| matches!(token, Token::Bracketed(_)));
        for token in tokens {
            let id = match token {
                Token::Bracketed(id) => id,
                Token::Bare(id) if id.contains('@') => id,
                Token::Bare(word) if has_brackets => {
                    warnings.push(format!(
                        "parameter `{key}`: `{}` is no message id and is left out",
                        shown(&word)
                    ));
                    continue;
                }
                Token::Bare(word) => return Err(no_id(key, &word)),
            };
            if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
                warnings.push(format!(
                    "parameter `{key}`: `{}` cannot stand in a header and is left out",
                    shown(&id)
                ));
                continue;
            }
            ids.push(format!("<{id}>"));
        }
    }
    Ok(ids)
}

/// The step's own id: `<left@right>` (RFC 5322, section 3.6.4); the angle brackets are added where they are missing.
pub(super) fn own(value: Value) -> Result<Option<String>, Failure> {
    const KEY: &str = "messageId";
    let mut found = None;
    for text in texts(KEY, value)? {
        let text = line(KEY, "a message id", &text)?;
        for written in text.split([' ', '\t', ',']).filter(|id| !id.is_empty()) {
            if found.replace(checked(KEY, written)?).is_some() {
                return Err(Failure::invalid(KEY, "a message has one id"));
            }
        }
    }
    Ok(found)
}

fn texts(key: &str, value: Value) -> Result<Vec<String>, Failure> {
    match structured(key, value)? {
        Value::Array(elements) => elements
            .into_iter()
            .filter_map(|element| text(key, element).transpose())
            .collect(),
        other => Ok(Vec::from_iter(text(key, other)?)),
    }
}

fn checked(key: &str, written: &str) -> Result<String, Failure> {
    let bare = written
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap_or(written);
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b"<>@".contains(&b));
    match bare.split_once('@') {
        Some((left, right)) if is_part(left) && is_part(right) && bare.len() <= MAX_ID => Ok(format!("<{bare}>")),
        _ => Err(no_id(key, written)),
    }
}

fn no_id(key: &str, written: &str) -> Failure {
    Failure::invalid(
        key,
        format_args!(
            "`{}` is no message id; one looks like `<id@example.com>`",
            shown(written)
        ),
    )
}

enum Token {
    /// What stands between angle brackets, less the blanks that folding left there.
    Bracketed(String),
    /// A word outside of them.
    Bare(String),
}

/// The ids and words of a header's value; blanks, commas and comments separate them.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        match rest.chars().next() {
            None => return tokens,
            Some('(') => rest = behind_comment(rest),
            Some('<') => {
                let (id, after) = bracketed(&rest[1..]);
                tokens.push(Token::Bracketed(id));
                rest = after;
            }
            Some(_) => {
                let end = rest.find([' ', '\t', ',', '<', '(']).unwrap_or(rest.len());
                tokens.push(Token::Bare(rest[..end].to_owned()));
                rest = &rest[end..];
            }
        }
    }
}

/// The id up to its `>`, which does not count within quotes, and what follows.
fn bracketed(text: &str) -> (String, &str) {
    let mut id = String::new();
    let mut is_quoted = false;
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '>' if !is_quoted => return (id, &text[at + 1..]),
            ' ' | '\t' if !is_quoted => continue,
            '"' => is_quoted = !is_quoted,
            '\\' if is_quoted => {
                id.push(c);
                id.extend(characters.next().map(|(_, c)| c));
                continue;
            }
            _ => {}
        }
        id.push(c);
    }
    // A quote that is never closed is a character of an opaque id; a bracket that is never closed ends at the blank.
    if is_quoted && let Some((id, after)) = text.split_once('>') {
        return (id.replace([' ', '\t'], ""), after);
    }
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    (text[..end].to_owned(), &text[end..])
}

/// Behind the comment that the text begins with; one that is never closed goes to the end.
fn behind_comment(text: &str) -> &str {
    let (mut depth, mut is_escaped) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[at + 1..];
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ids(text: &str) -> (Vec<String>, usize) {
        let mut warnings = Vec::new();
        let ids = foreign("references", json!(text), &mut warnings).expect(text);
        (ids, warnings.len())
    }

    #[test]
    fn the_ids_of_others_are_copied_as_they_are() {
        for (text, expected) in [
            ("<a@x.example><b@x.example>", &["<a@x.example>", "<b@x.example>"][..]),
            ("<AAECAwQF>", &["<AAECAwQF>"]),
            ("a@b, <c> <d@e@f>", &["<a@b>", "<c>", "<d@e@f>"]),
            ("(of \\( Monday) <a@b> (the <first@of> one)", &["<a@b>"]),
            ("<\"a > b\"@x.example>", &["<\"a > b\"@x.example>"]),
            (
                "<a@[192.0.2.1]>\r\n <b@x.example>\r\n\t<c@x.example>",
                &["<a@[192.0.2.1]>", "<b@x.example>", "<c@x.example>"],
            ),
            ("<a.b\r\n c@x.example>", &["<a.bc@x.example>"]),
            ("<a\"b@x.example> <c@d>", &["<a\"b@x.example>", "<c@d>"]),
            ("<a@b> <cut@off", &["<a@b>", "<cut@off>"]),
            ("\n<a@b>\n", &["<a@b>"]),
        ] {
            assert_eq!(
                ids(text),
                (expected.iter().map(|id| (*id).to_owned()).collect(), 0),
                "{text}"
            );
        }
    }

    #[test]
    fn what_no_header_can_hold_is_left_out_and_told() {
        let long = format!("<a@b> <{}@c>", "x".repeat(MAX_ID));
        for text in ["Your mail of Monday <a@b>", "<a@b> <é@c>", "<a@b> <>", &long] {
            let (found, warnings) = ids(text);
            assert_eq!(found, ["<a@b>"], "{text}");
            assert!(warnings > 0, "{text}");
        }
    }
}
