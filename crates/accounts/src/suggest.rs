//! The words of messages: what was written, quoted; the known name closest to it.

pub(crate) use pipepost_suggest::nearest;

/// The tail of a sentence about an unknown name: `; did you mean "port"?` or `; known are ...`.
pub(crate) fn advice<'a>(written: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(written, known.clone()) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => format!("known are {}", known.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// What somebody wrote, in quotes: short, on one line, control characters spelled out.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 40;
    let dots = if text.chars().count() > MOST { "..." } else { "" };
    let start: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    format!("\"{start}{dots}\"")
}
