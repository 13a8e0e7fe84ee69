//! The bill of materials: every part of the binary and of each connector, in CycloneDX, by cargo-cyclonedx.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::plugins;
use crate::run::{cargo, check, has_subcommand, root, target};

/// `cargo xtask sbom`: the bill alone, into `target/sbom`.
pub(crate) fn alone(arguments: &[String]) -> Result<()> {
    if !arguments.is_empty() {
        bail!("`cargo xtask sbom` takes nothing");
    }
    let folder = target().join("sbom");
    fs::create_dir_all(&folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    if write(&folder)? {
        println!("{}", folder.display());
        return Ok(());
    }
    bail!("there is no cargo-cyclonedx here")
}

/// One file for the binary, and one for each connector within it. False where the tool is not there, which is said.
pub(crate) fn write(folder: &Path) -> Result<bool> {
    if !has_subcommand("cyclonedx") {
        eprintln!("skipped: the bill of materials takes `cargo install --locked cargo-cyclonedx`");
        return Ok(false);
    }
    for (package, platform) in parts()? {
        let name = package.file_name().unwrap_or_default().to_string_lossy();
        let name = if name == "host" { "pipepost".into() } else { name };
        // It writes one file beside each manifest of the workspace, whichever is asked for; and a workspace has members
        // outside its folder.
        let made = describe(&package, platform);
        let text = fs::read_to_string(package.join(BESIDE));
        remove_beside_manifests(&root())?;
        made?;
        let text = text.with_context(|| format!("cargo-cyclonedx wrote nothing of `{name}`"))?;
        fs::write(folder.join(format!("{name}.cdx.json")), portable(&text, &root()))?;
    }
    Ok(true)
}

const BESIDE: &str = "bill-of-materials.json";

/// The packages that are handed out: folder, and platform where it is not this machine's.
fn parts() -> Result<Vec<(PathBuf, Option<&'static str>)>> {
    let folder = root().join("plugins");
    let connectors = plugins::names(&folder)?.into_iter();
    let connectors = connectors.map(|name| (folder.join(name), Some(plugins::TARGET)));
    Ok([(root().join("host"), None)].into_iter().chain(connectors).collect())
}

fn describe(package: &Path, platform: Option<&str>) -> Result<()> {
    let mut command = cargo(package);
    command
        .args(["cyclonedx", "--format", "json", "--spec-version", "1.5", "--quiet"])
        .args([
            "--override-filename",
            BESIDE.trim_end_matches(".json"),
            "--manifest-path",
        ])
        .arg(package.join("Cargo.toml"));
    if let Some(platform) = platform {
        command.args(["--target", platform]);
    }
    check(&mut command)
}

/// Names our own packages by their place in the repository, and not on the machine that made the bill.
fn portable(text: &str, root: &Path) -> String {
    text.replace(&format!("{}/", root.display()), "/")
}

fn remove_beside_manifests(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            remove_beside_manifests(&path)?;
        } else if name == BESIDE {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_and_every_connector_have_a_bill() {
        let names: Vec<_> = parts()
            .expect("folders")
            .into_iter()
            .map(|(folder, ..)| folder.strip_prefix(root()).expect("below").to_owned())
            .collect();
        for name in ["host", "plugins/email-v2", "plugins/json-to-csv"] {
            assert!(names.contains(&PathBuf::from(name)), "{name} is not among {names:?}");
        }
    }

    #[test]
    fn a_bill_names_no_folder_of_the_machine_that_made_it() {
        let text = r#"{"bom-ref": "path+file:///home/ada/pipepost/host#pipepost@0.1.0"}"#;
        assert_eq!(
            portable(text, Path::new("/home/ada/pipepost")),
            r#"{"bom-ref": "path+file:///host#pipepost@0.1.0"}"#
        );
    }

    #[test]
    fn what_the_tool_leaves_beside_manifests_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("crates/one");
        fs::create_dir_all(&inner).expect("made");
        for name in [BESIDE, "Cargo.toml"] {
            fs::write(inner.join(name), "").expect("written");
        }
        remove_beside_manifests(folder.path()).expect("removed");
        assert!(!inner.join(BESIDE).exists() && inner.join("Cargo.toml").exists());
    }
}
