//! What is handed to others: the binary, its checksums, the list of its parts and their licences.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::remap::Remap;
use crate::run::{cargo, root, target};
use crate::{bill, plugins, run};

/// `cargo xtask dist`: everything into `target/dist`, built with the versions that the lock files hold, and without the paths
/// of the machine that builds.
pub(crate) fn build(arguments: &[String]) -> Result<()> {
    if !arguments.is_empty() {
        bail!("`cargo xtask dist` takes nothing");
    }
    // Before anything is built: it fails where a lock file is not up to date.
    let licences = licences()?;
    let remap = Remap::of_machine()?;
    let apart = target().join("dist-build");
    let connectors = plugins::build_apart(&apart, &remap)?;
    let binary = run::binary_apart(&apart, &connectors, &remap.encoded_flags())?;
    for folder in remap.left_in(&fs::read(&binary)?) {
        eprintln!("the binary names `{}`, a folder of this machine", folder.display());
    }
    let dist = target().join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).with_context(|| format!("`{}` cannot be emptied", dist.display()))?;
    }
    fs::create_dir_all(&dist)?;
    copy(&binary, &dist)?;
    for name in [
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "CHANGELOG.md",
        "SECURITY.md",
    ] {
        copy(&root().join(name), &dist)?;
    }
    fs::write(dist.join("LICENCES.txt"), licences)?;
    bill::write(&dist)?;
    fs::write(dist.join("SHA256SUMS"), checksums(&dist)?)?;
    println!("{}", dist.display());
    Ok(())
}

fn copy(from: &Path, folder: &Path) -> Result<()> {
    let name = from.file_name().unwrap_or_default();
    fs::copy(from, folder.join(name)).with_context(|| format!("`{}` cannot be copied", from.display()))?;
    Ok(())
}

/// What `sha256sum --check` reads.
fn checksums(folder: &Path) -> Result<String> {
    let mut lines = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let digest = Sha256::digest(fs::read(&path)?);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        lines.insert(name, hex);
    }
    Ok(lines.iter().map(|(name, hex)| format!("{hex}  {name}\n")).collect())
}

/// Each package that the binary or a connector is made of, with its version and licence.
fn licences() -> Result<String> {
    let mut lines = BTreeSet::new();
    for (folder, from, platform) in [
        (root(), "pipepost", host()?),
        (root().join("plugins"), "", plugins::TARGET.to_owned()),
    ] {
        let metadata = metadata(&folder, &platform)?;
        let used = used(&metadata, from);
        for package in metadata["packages"].as_array().into_iter().flatten() {
            let text = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
            if used.contains(package["id"].as_str().unwrap_or_default()) && !package["source"].is_null() {
                let licence = match text("license") {
                    none if none.is_empty() => bail!("`{}` states no licence", text("name")),
                    licence => licence,
                };
                lines.insert(format!("{} {}: {licence}\n", text("name"), text("version")));
            }
        }
    }
    Ok(lines.into_iter().collect())
}

/// What cargo knows of a workspace, at the versions that its lock file holds, for one platform: what other platforms
/// would need is not asked for, so that it takes no network after a build.
fn metadata(folder: &Path, platform: &str) -> Result<Value> {
    let output = cargo(folder)
        .args([
            "metadata",
            "--locked",
            "--format-version",
            "1",
            "--filter-platform",
            platform,
        ])
        .output()
        .context("cargo cannot be started")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The platform that is built for.
fn host() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .context("rustc cannot be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say its host")?.to_owned())
}

/// The packages that are reached from the package of this name without those for tests alone; from every member when
/// the name is empty.
fn used<'a>(metadata: &'a Value, from: &str) -> BTreeSet<&'a str> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let members: BTreeSet<_> = metadata["workspace_members"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut waiting: Vec<&str> = packages
        .filter(|package| from.is_empty() || package["name"] == from)
        .filter_map(|package| package["id"].as_str())
        .filter(|id| members.contains(id))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if seen.insert(id) {
            let dependencies = nodes
                .get(id)
                .and_then(|node| node["deps"].as_array())
                .into_iter()
                .flatten();
            let for_use = |dependency: &&Value| {
                let kinds = dependency["dep_kinds"].as_array();
                kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"] != "dev"))
            };
            waiting.extend(
                dependencies
                    .filter(for_use)
                    .filter_map(|dependency| dependency["pkg"].as_str()),
            );
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_only_tests_use_is_not_handed_out() {
        let metadata = json!({
            "packages": [{"name": "pipepost", "id": "p"}, {"name": "a", "id": "a"}, {"name": "t", "id": "t"}],
            "workspace_members": ["p"],
            "resolve": {"nodes": [
                {"id": "p", "deps": [
                    {"pkg": "a", "dep_kinds": [{"kind": null}]}, {"pkg": "t", "dep_kinds": [{"kind": "dev"}]},
                ]},
                {"id": "a", "deps": []}, {"id": "t", "deps": []},
            ]},
        });
        assert_eq!(used(&metadata, "pipepost"), BTreeSet::from(["a", "p"]));
    }

    #[test]
    fn the_licences_are_those_of_the_binary_and_the_connectors() {
        let text = licences().expect("the lock files are up to date");
        let lists = |name: &str| text.lines().any(|line| line.starts_with(&format!("{name} ")));
        assert!(lists("wasmtime") && lists("rustls") && lists("mime_guess"), "{text}");
        assert!(!lists("proptest") && !lists("pipepost-smtp"), "{text}");
    }

    #[test]
    fn checksums_are_in_the_form_that_sha256sum_reads() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("empty"), "").expect("written");
        assert_eq!(
            checksums(folder.path()).expect("read"),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  empty\n"
        );
    }
}
