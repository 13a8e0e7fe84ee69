//! What everything is made of: licences, sources, unsafe code.

use std::process::Command;

use anyhow::Result;

use crate::run::{cargo, check, has_subcommand, root};

/// Every workspace, from the top folder; each has a lock file of its own.
const WORKSPACES: [&str; 4] = ["", "plugins", "fuzz", "tests/hostile"];

/// cargo-deny over every workspace where it is installed, and in plain sight where it is not.
pub(crate) fn deny() -> Result<()> {
    if !has_subcommand("deny") {
        eprintln!(
            "skipped: cargo-deny is not installed (`cargo install --locked cargo-deny`): licences, duplicates, sources and known vulnerabilities are not checked"
        );
        return Ok(());
    }
    // The database of advisories comes over the network. Where it cannot be had nothing is known.
    let fetched = in_workspace("", &["fetch", "db"]).output();
    let advisories = fetched.is_ok_and(|output| output.status.success());
    if !advisories {
        eprintln!("skipped: the database of advisories cannot be had: known vulnerabilities are not checked");
    }
    for folder in WORKSPACES {
        check(&mut in_workspace(folder, &["check", "licenses", "bans", "sources"]))?;
        if advisories {
            check(&mut in_workspace(folder, &["check", "advisories"]))?;
        }
    }
    Ok(())
}

/// cargo-deny in a workspace, with the one configuration for all and at the versions of its lock file.
fn in_workspace(folder: &str, arguments: &[&str]) -> Command {
    let mut command = cargo(&root().join(folder));
    command
        .args(["deny", "--log-level", "error", "--locked", "--config"])
        .arg(root().join("deny.toml"))
        .args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use crate::run::root;

    /// The crate that holds the bindings, which take unsafe code and run inside the sandbox.
    const BINDINGS: &str = "crates/sdk";

    /// The crate of the host that loads machine code which was compiled before.
    const MACHINE_CODE: &str = "crates/embedded-connectors";

    /// The packages of every workspace.
    fn packages(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                packages(&path, found);
            }
        }
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        if manifest.contains("[package]") {
            found.push(folder.to_owned());
        }
    }

    #[test]
    fn every_crate_root_forbids_unsafe_code_but_the_bindings_and_the_loader() {
        let mut found = Vec::new();
        packages(&root(), &mut found);
        assert!(found.len() >= 15, "{found:?}");
        let mut missing = Vec::new();
        for package in found {
            let name = package
                .strip_prefix(root())
                .expect("below")
                .to_string_lossy()
                .into_owned();
            // The connectors that mean harm are no part of what is handed out: they are run, and never linked.
            if name.starts_with("tests/hostile") {
                continue;
            }
            // `fuzz_target!` exports an unsafe function: that package is a line a target, and checked for it below.
            if [BINDINGS, MACHINE_CODE, "fuzz"].contains(&name.as_str()) {
                continue;
            }
            for path in ["src/lib.rs", "src/main.rs"].map(|path| package.join(path)) {
                match fs::read_to_string(&path) {
                    Ok(text) if !text.contains("#![forbid(unsafe_code)]") => missing.push(path),
                    _ => {}
                }
            }
        }
        assert!(missing.is_empty(), "without #![forbid(unsafe_code)]: {missing:?}");
    }

    #[test]
    fn machine_code_is_loaded_and_made_executable_by_one_unsafe_block_each() {
        let read = |name: &str| fs::read_to_string(root().join(MACHINE_CODE).join(name)).expect("text");
        assert!(read("src/lib.rs").contains("#![deny(unsafe_code)]"));
        for name in ["src/lib.rs", "src/in_place.rs"] {
            let text = read(name);
            let count = |what: &str| text.matches(what).count();
            assert_eq!((count("unsafe {"), count("allow(unsafe_code)")), (1, 1), "{name}");
        }
        let mut all = String::new();
        sources(&root().join(MACHINE_CODE), &mut all);
        assert_eq!(all.matches("unsafe {").count(), 2, "in another file");
    }

    #[test]
    fn the_fuzzers_hold_nothing_but_their_macro() {
        for entry in fs::read_dir(root().join("fuzz/fuzz_targets")).expect("a folder") {
            let text = fs::read_to_string(entry.expect("an entry").path()).expect("text");
            let code: Vec<_> = text
                .lines()
                .filter(|line| !line.starts_with("//!") && !line.is_empty())
                .collect();
            assert!(
                matches!(code.as_slice(), ["#![no_main]", call] if call.starts_with("libfuzzer_sys::fuzz_target!(")),
                "{text}"
            );
        }
    }

    /// All Rust source below a folder, as one text.
    fn sources(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                sources(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(&path).expect("text"));
            }
        }
    }

    #[test]
    fn every_test_that_a_document_names_exists() {
        let mut code = String::new();
        sources(&root(), &mut code);
        let is_name = |word: &&str| {
            word.contains('_')
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        for (document, section, least) in [
            ("SECURITY.md", "## The walls", 40),
            ("docs/architecture.md", "## Invariants", 25),
        ] {
            let text = fs::read_to_string(root().join(document)).expect("the document");
            let (_, text) = text.split_once(section).expect("the section");
            let text = match document {
                "SECURITY.md" => text,
                _ => text.split("\n## ").next().unwrap_or(text),
            };
            let names: Vec<_> = text.split('`').skip(1).step_by(2).filter(is_name).collect();
            assert!(names.len() > least, "{document}: {names:?}");
            let missing: Vec<_> = names
                .iter()
                .filter(|name| !["(", "<"].iter().any(|end| code.contains(&format!("fn {name}{end}"))))
                .collect();
            assert!(
                missing.is_empty(),
                "{document} names tests that are not there: {missing:?}"
            );
        }
    }

    #[test]
    fn every_lock_file_names_the_public_registry_alone() {
        for workspace in super::WORKSPACES {
            let lock = root().join(workspace).join("Cargo.lock");
            let text = fs::read_to_string(&lock).expect("a lock file");
            let strangers: Vec<_> = text
                .lines()
                .filter_map(|line| line.strip_prefix("source = "))
                .filter(|source| *source != "\"registry+https://github.com/rust-lang/crates.io-index\"")
                .collect();
            assert!(strangers.is_empty(), "{}: {strangers:?}", lock.display());
        }
    }
}
