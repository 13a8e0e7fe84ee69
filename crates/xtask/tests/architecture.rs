//! What docs/architecture.md says of the crates is what cargo says; and what every document names is there.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The workspaces whose packages the picture shows.
const WORKSPACES: [&str; 2] = ["", "plugins"];

fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .ancestors()
        .nth(2)
        .expect("two folders below the top")
        .to_owned()
}

/// What cargo prints.
fn cargo(workspace: &str, arguments: &[&str]) -> String {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .current_dir(root().join(workspace))
        // Whoever builds with one set of features for the whole workspace still wants to see each package's own.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What cargo knows of a workspace.
fn metadata(workspace: &str) -> Value {
    let printed = cargo(workspace, &["metadata", "--format-version", "1", "--locked"]);
    serde_json::from_str(&printed).expect("JSON")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The folder of a package of this repository, from the top; none for one from a registry.
fn folder(package: &Value) -> Option<String> {
    if !package["source"].is_null() {
        return None;
    }
    let manifest = Path::new(text(&package["manifest_path"]));
    let folder = manifest.parent()?.strip_prefix(root()).ok()?;
    Some(folder.to_string_lossy().replace('\\', "/"))
}

/// Tests may use what they like.
fn is_for_tests(kind: &Value) -> bool {
    kind == "dev"
}

/// The rows of a table in docs/architecture.md: the first cell's name, and the names in the last.
fn table(header: &str) -> BTreeMap<String, BTreeSet<String>> {
    let document = fs::read_to_string(root().join("docs/architecture.md")).expect("the document");
    let names = |cell: &str| -> BTreeSet<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let (_, rows) = document
        .split_once(header)
        .unwrap_or_else(|| panic!("docs/architecture.md has no table `{header}`"));
    let rows: BTreeMap<_, _> = rows
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            let name = names(cells[0]).pop_first().expect("each row names a folder");
            (name, names(cells[cells.len() - 1]))
        })
        .collect();
    assert!(rows.len() > 5, "{rows:?}");
    rows
}

#[test]
fn the_crates_use_what_the_table_says() {
    let mut actual = BTreeMap::new();
    for workspace in WORKSPACES {
        let metadata = metadata(workspace);
        let folders: BTreeMap<&str, String> = array(&metadata["packages"])
            .iter()
            .filter_map(|package| Some((text(&package["name"]), folder(package)?)))
            .collect();
        for package in array(&metadata["packages"]) {
            let Some(name) = folder(package) else { continue };
            let uses: BTreeSet<String> = array(&package["dependencies"])
                .iter()
                .filter(|dependency| dependency["path"].is_string() && !is_for_tests(&dependency["kind"]))
                .map(|dependency| folders[text(&dependency["name"])].clone())
                .collect();
            actual.insert(name, uses);
        }
    }
    let written = table("| folder | what it holds | uses |");
    let shown = |(name, uses): (&String, &BTreeSet<String>)| format!("{name} uses {uses:?}");
    let wrong: Vec<String> = actual
        .iter()
        .filter(|(name, uses)| written.get(*name) != Some(*uses))
        .map(shown)
        .collect();
    let gone: Vec<&String> = written.keys().filter(|name| !actual.contains_key(*name)).collect();
    assert!(
        wrong.is_empty() && gone.is_empty(),
        "Is a new arrow wanted? Then write it into the table of docs/architecture.md.\n\
         cargo says, and the table does not:\n{}\nin the table, and not there: {gone:?}",
        wrong.join("\n")
    );
}

#[test]
fn no_crate_links_what_it_must_not() {
    let mut walls = table("| folder | never links, not even indirectly |");
    for workspace in WORKSPACES {
        for package in array(&metadata(workspace)["packages"]) {
            let Some(name) = folder(package) else { continue };
            // A plugin that is seen from the other workspace is none of its members.
            let is_member = name.starts_with("plugins/") == (workspace == "plugins");
            let Some(walls) = walls.remove(&name).filter(|_| is_member) else {
                continue;
            };
            let linked = linked(workspace, text(&package["name"]));
            let wrong: BTreeSet<&String> = walls.intersection(&linked).collect();
            assert!(wrong.is_empty(), "{name} links {wrong:?}");
        }
    }
    assert!(walls.is_empty(), "there are no such packages: {walls:?}");
}

/// What is in a package's own build, by name: with the features that it asks for itself, and not those of its workspace.
fn linked(workspace: &str, package: &str) -> BTreeSet<String> {
    let arguments = [
        "tree",
        "--locked",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ];
    let names: BTreeSet<String> = cargo(workspace, &[&arguments[..], &["--package", package]].concat())
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    assert!(names.contains(package), "{names:?}");
    names
}

#[test]
fn a_wall_is_seen_from_behind_other_crates() {
    let linked = linked("", "pipepost");
    // The host reaches the first by way of wasmtime, and the second in its tests only.
    assert!(linked.contains("cranelift-codegen"), "{linked:?}");
    assert!(!linked.contains("divan"), "{linked:?}");
}

/// The documents, from the top.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["", "docs", "docs/decisions"] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 10, "{found:?}");
    found
}

/// A heading's name in links, as GitHub forms it.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).expect("text");
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
            .map(|(link, _)| link)
        {
            if link.contains("://") {
                continue;
            }
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => document.clone(),
                path => document.parent().expect("a folder").join(path),
            };
            let leads = target.exists()
                && (fragment.is_empty()
                    || fs::read_to_string(&target)
                        .expect("text")
                        .lines()
                        .any(|line| line.starts_with('#') && anchor(line) == fragment));
            if !leads {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Names that the documents make up, and the past, which the changelog may speak of.
fn may_be_missing(document: &Path, path: &str) -> bool {
    path.starts_with("plugins/hello") || document.ends_with("CHANGELOG.md")
}

#[test]
fn every_path_that_a_document_names_exists() {
    const TOPS: [&str; 10] = [
        "bench/",
        "crates/",
        "docs/",
        "examples/",
        "fuzz/",
        "host/",
        "plugins/",
        "server/",
        "tests/",
        "wit/",
    ];
    let mut missing = Vec::new();
    let mut named = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).expect("text");
        for line in text.lines() {
            for word in line.split('`').skip(1).step_by(2) {
                let is_path = TOPS.iter().any(|top| word.starts_with(top))
                    && !word.contains(|c: char| c.is_whitespace() || "*{}<>:".contains(c));
                if is_path {
                    named += 1;
                    if !root().join(word).exists() && !may_be_missing(&document, word) {
                        missing.push(format!("{}: {word}", document.display()));
                    }
                }
            }
        }
    }
    assert!(named > 30, "only {named} paths were found");
    assert!(missing.is_empty(), "{missing:#?}");
}

/// A file in a folder of tests that no `mod` names is never compiled, and nobody notices.
#[test]
fn no_test_file_is_forgotten() {
    let mut forgotten = Vec::new();
    let mut seen = 0;
    for folder in test_folders(&root()) {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let below = entry.expect("an entry").path();
            if !below.is_dir() {
                continue;
            }
            let around = sources(&folder);
            let mods = format!("{around}{}", sources(&below));
            for entry in fs::read_dir(&below).expect("a folder") {
                let path = entry.expect("an entry").path();
                let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                if path.extension().is_none_or(|extension| extension != "rs") || stem == "main" || stem == "mod" {
                    continue;
                }
                seen += 1;
                if !mods.contains(&format!("mod {stem};")) {
                    forgotten.push(path);
                }
            }
        }
    }
    assert!(seen > 40, "only {seen} files were found");
    assert!(forgotten.is_empty(), "no `mod` names {forgotten:?}");
}

/// Every folder `tests` of a package.
fn test_folders(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !path.is_dir() || name == "target" || name.starts_with('.') {
            continue;
        }
        // The folder `tests` at the top is a package itself.
        if name == "tests" && folder.join("Cargo.toml").exists() && !path.join("Cargo.toml").exists() {
            found.push(path.clone());
        }
        found.extend(test_folders(&path));
    }
    found
}

/// The Rust files of one folder, as one text.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).expect("text"));
        }
    }
    text
}
