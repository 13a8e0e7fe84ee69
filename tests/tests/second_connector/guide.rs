//! The guide to writing a connector, followed word for word in a copy of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use pipepost_tests::root;

use super::document::{follow, run, section, surroundings};

#[test]
fn a_connector_is_written_by_the_documents_alone() {
    let copy = fresh_copy();
    let surroundings = surroundings();
    follow(&section("README.md", "Writing a connector"), &copy, &surroundings);

    let copy = fresh_copy();
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

/// The repository without connectors. It is always the same folder, and files that did not change are left alone: cargo
/// builds only what is new. It has a target folder of its own, because cargo cannot tell two copies of a workspace apart
/// in one, and `cargo xtask` would then run the other's.
fn fresh_copy() -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guide");
    let _ = fs::remove_dir_all(copy.join("plugins/hello"));
    for part in [
        "Cargo.toml",
        "Cargo.lock",
        ".cargo",
        "clippy.toml",
        "rustfmt.toml",
        "README.md",
        "crates",
        "host",
        "tests",
        "examples",
        "wit",
        "plugins/Cargo.lock",
        "plugins/clippy.toml",
    ] {
        bring(&root().join(part), &copy.join(part));
    }
    // The other connectors take their time to build, and the documents are not about them.
    let workspace = fs::read_to_string(root().join("plugins/Cargo.toml")).expect("the plugins' workspace");
    let members = workspace
        .lines()
        .find(|line| line.starts_with("members = "))
        .expect("it has members on one line");
    let workspace = workspace.replace(members, "members = [\"../crates/guest\"]");
    fs::write(copy.join("plugins/Cargo.toml"), workspace).expect("written");
    copy
}

/// Makes one path the same as another, and touches nothing that is the same already.
fn bring(from: &Path, to: &Path) {
    if from.is_dir() {
        if from.file_name().is_some_and(|name| name == "target") {
            return;
        }
        fs::create_dir_all(to).expect("a folder");
        for entry in fs::read_dir(from).expect("a folder").flatten() {
            bring(&entry.path(), &to.join(entry.file_name()));
        }
        for entry in fs::read_dir(to).expect("a folder").flatten() {
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
        fs::create_dir_all(to.parent().expect("within the copy")).expect("a folder");
        fs::write(to, content).expect("written");
    }
}
