//! The repository itself, for tests of what its source may not hold.

use std::fs;
use std::path::{Path, PathBuf};

/// The repository's top folder.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Every line of Rust below a folder of the repository that is not a comment and not in a test: file, line number, line.
///
/// Tests are what follows a line `mod tests {`, and files named `tests.rs` or in a folder `tests` or `benches`.
pub fn lines_of_code(folder: &str) -> Vec<(PathBuf, usize, String)> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "there is no code in `{folder}`");
    found
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, usize, String)>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("`{}`: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder that can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "tests" || name == "tests.rs" || name == "benches" {
            continue;
        }
        if path.is_dir() {
            collect(&path, found);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).expect("source is UTF-8");
            // Where a file has tests of its own, they stand last.
            let code = text.lines().enumerate().take_while(|(_, line)| *line != "mod tests {");
            for (index, line) in code {
                if !line.trim_start().starts_with("//") {
                    found.push((path.clone(), index + 1, line.to_owned()));
                }
            }
        }
    }
}
