//! Sidecar files: texts in the document's own folder, `{"file": "invoice.html"}`.

use std::path::{Component, Path};

/// Reads a text file beside the document; no name leads out of its folder.
///
/// # Errors
/// A clause that says which file and why.
pub(crate) fn read(folder: Option<&Path>, name: &str) -> Result<String, String> {
    let invalid = |reason: &str| format!("the file `{name}` {reason}");
    let Some(folder) = folder else {
        return Err(invalid("cannot be read: this document does not lie in a folder"));
    };
    let plain = Path::new(name)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !plain || name.is_empty() {
        return Err(invalid("must lie beside the document, under a relative name"));
    }
    let path = folder.join(name);
    let inside =
        matches!((folder.canonicalize(), path.canonicalize()), (Ok(folder), Ok(path)) if path.starts_with(&folder));
    if path.exists() && !inside {
        return Err(invalid("lies outside the document's folder, behind a link"));
    }
    let text = std::fs::read_to_string(&path);
    // A mark of the byte order says how the file is written and is no part of its text (RFC 3629, section 6).
    let text = text.map(|text| text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text));
    text.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => invalid("is not there, beside the document"),
        std::io::ErrorKind::InvalidData => invalid("is not text in UTF-8"),
        _ => invalid(&format!("cannot be read: {error}")),
    })
}
