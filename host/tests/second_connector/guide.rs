//! The guide to writing a connector, followed word for word in a copy of the repository.

use std::fs;
use std::path::Path;

use pipepost::engine::{GRANTABLE, Limits};

use crate::document::{follow, repository, section, surroundings, target, text};

#[test]
fn a_connector_is_written_by_the_document_alone() {
    // Always the same folder, and files that did not change are left alone: cargo builds only what is new.
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guide");
    let _ = fs::remove_dir_all(copy.join("plugins/hello"));
    for part in [
        "Cargo.toml",
        "Cargo.lock",
        ".cargo",
        "crates",
        "host",
        "tests",
        "examples",
        "wit",
    ] {
        bring(&repository().join(part), &copy.join(part));
    }
    // The other connectors take their time to build, and the document is not about them.
    for part in ["Cargo.lock", "clippy.toml"] {
        bring(
            &repository().join("plugins").join(part),
            &copy.join("plugins").join(part),
        );
    }
    let workspace = fs::read_to_string(repository().join("plugins/Cargo.toml")).expect("the plugins' workspace");
    let members = workspace
        .lines()
        .find(|line| line.starts_with("members = "))
        .expect("it has members on one line");
    let workspace = workspace.replace(members, "members = [\"../crates/guest\"]");
    fs::write(copy.join("plugins/Cargo.toml"), workspace).expect("written");

    let mut surroundings = surroundings();
    // What is built on the way is shared with the repository, and what comes of it stays in the copy.
    surroundings.push(("CARGO_BUILD_BUILD_DIR", target().display().to_string()));
    follow(&section("Write one in five minutes"), &copy, &surroundings);
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

#[test]
fn the_document_names_what_there_is() {
    let text = text();
    for import in GRANTABLE {
        let name = import.split('@').next().unwrap_or(import);
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
    let annotations = repository().join("crates/flowspec/src/parameters/annotations.rs");
    let source = fs::read_to_string(annotations).expect("the keywords' source");
    let keywords = source.split('"').filter(|word| word.starts_with("x-pipepost-"));
    let mut count = 0;
    for keyword in keywords {
        assert!(text.contains(&format!("| `{keyword}` |")), "{keyword}");
        count += 1;
    }
    assert!(count > 4, "the keywords have moved");
    let each = fs::read_to_string(repository().join("crates/guest/src/each.rs")).expect("the trait's source");
    assert!(each.contains("fn call(call: &Call, parameters: Self::Parameters) -> Result<Self::Output, Failure>;"));
    let Limits {
        memory,
        cpu,
        cpu_per_call,
        json,
        log_lines,
        resources,
        new_files,
        ..
    } = Limits::default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for fact in [
        format!("{} MiB of memory", memory >> 20),
        format!(
            "{} s of CPU time and {} ms more",
            cpu.as_secs(),
            cpu_per_call.as_millis()
        ),
        format!("{log_lines} lines of log"),
        format!("{resources} open handles"),
        format!("{} GiB of new files", new_files >> 30),
        format!("{} MiB for each result", json >> 20),
    ] {
        assert!(text.contains(&fact), "{fact}");
    }
}
