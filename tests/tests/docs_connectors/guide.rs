//! README.md's first look, and the guide to writing a connector, followed word for word in a copy of the repository.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use pipepost_tests::{Scratch, root};

use super::document::{follow, run, section, surroundings};

#[test]
fn the_demo_shows_what_the_readme_shows() {
    let scratch = Scratch::new();
    follow(
        &section("README.md", "What it looks like"),
        scratch.folder(),
        &surroundings(),
    );
}

#[test]
fn a_connector_is_written_by_the_documents_alone() {
    let copy = fresh_copy();
    let surroundings = surroundings();
    follow(
        &section("docs/connectors.md", "Write one in five minutes"),
        &copy,
        &surroundings,
    );
    // It is also as tidy as everything else here has to be.
    let plugin = copy.join("plugins/hello");
    run("cargo fmt --check", &plugin, &surroundings);
    run(
        "cargo clippy --quiet --all-targets -- --deny warnings",
        &plugin,
        &surroundings,
    );
}

/// The repository as it is. The copy is always the same folder, and files that did not change are left alone: cargo
/// builds only what is new. It has a target folder of its own, because cargo cannot tell two copies of a workspace apart
/// in one, and `cargo xtask` would then run the other's.
fn fresh_copy() -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guide");
    bring(&root(), &copy);
    copy
}

/// Makes one path the same as another, and touches nothing that is the same already.
fn bring(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("a folder");
        for entry in entries(from) {
            bring(&entry.path(), &to.join(entry.file_name()));
        }
        for entry in entries(to) {
            if !from.join(entry.file_name()).exists() {
                let path = entry.path();
                let removed = if path.is_dir() {
                    fs::remove_dir_all(path)
                } else {
                    fs::remove_file(path)
                };
                removed.expect("what is gone goes");
            }
        }
        return;
    }
    let content = fs::read(from).expect("a file of the repository");
    if fs::read(to).ok().as_ref() != Some(&content) {
        fs::write(to, content).expect("written");
    }
}

/// What is in a folder, less what was built there and git's own.
fn entries(folder: &Path) -> Vec<DirEntry> {
    let entries = fs::read_dir(folder).expect("a folder");
    let entries = entries.map(|entry| entry.expect("an entry"));
    let is_source = |entry: &DirEntry| entry.file_name() != "target" && entry.file_name() != ".git";
    entries.filter(is_source).collect()
}
