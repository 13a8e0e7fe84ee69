//! Texts that stand beside the document: `{"file": "invoice.html"}`.

use std::path::{Component, Path};

use crate::failure::{Failure, Kind};

/// Reads a text file beside the document; no name leads out of its folder.
pub(super) fn read(folder: Option<&Path>, name: &str) -> Result<String, Failure> {
    let invalid = |reason: &str| Failure::new(Kind::Invalid, format!("The file `{name}` {reason}."));
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
    text.map_err(|error| {
        Failure::new(
            Kind::Invalid,
            format!("The file `{}` cannot be read: {error}.", path.display()),
        )
    })
}
