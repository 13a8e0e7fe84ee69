//! Finds the name that was probably meant.

pub(crate) use pipepost_suggest::nearest;

/// The advice that names it.
pub(crate) fn advise<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(written, known).map(|name| format!("the nearest known is `{name}`"))
}
