//! Building the connectors: each package under `plugins/` becomes a component in `target/connectors`, and each under
//! `tests/hostile/` one in `target/hostile`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use wit_component::ComponentEncoder;

use crate::remap::Remap;
use crate::run::{cargo, check, root, target};

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Builds every plugin and makes a component of each. Files that did not change keep their time, so that nothing is
/// embedded anew for nothing.
pub(crate) fn build() -> Result<()> {
    let modules = target().join("plugins");
    components(
        &root().join("plugins"),
        "pipepost",
        &modules,
        &target().join("connectors"),
        None,
    )
}

/// Builds the connectors for others in a folder of their own, without this machine's paths. Answers where the components
/// are.
pub(crate) fn build_apart(folder: &Path, remap: &Remap) -> Result<PathBuf> {
    let (modules, connectors) = (folder.join("plugins"), folder.join("connectors"));
    components(&root().join("plugins"), "pipepost", &modules, &connectors, Some(remap))?;
    Ok(connectors)
}

/// Builds the connectors that mean harm, for the tests of the sandbox. Nothing embeds them.
pub(crate) fn build_hostile() -> Result<()> {
    let modules = target().join("plugins");
    components(&hostile(), "hostile", &modules, &target().join("hostile"), None)
}

/// The workspace of the connectors that mean harm.
pub(crate) fn hostile() -> PathBuf {
    root().join("tests").join("hostile")
}

/// Makes a component of each package in a workspace whose packages are called `{prefix}-{folder}`.
fn components(folder: &Path, prefix: &str, modules: &Path, components: &Path, remap: Option<&Remap>) -> Result<()> {
    add_target()?;
    let names = names(folder)?;
    for name in &names {
        // Each by itself: built together they would share their dependencies' features, and the digest of one would
        // depend on which others there are.
        let package = format!("{prefix}-{name}");
        let mut build = cargo(folder);
        build
            .args([
                "build",
                "--quiet",
                "--release",
                "--lib",
                "--target",
                TARGET,
                "--package",
                &package,
            ])
            .env("CARGO_TARGET_DIR", modules);
        if let Some(remap) = remap {
            // What the builder sets is for the builder's own processor.
            build.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
            build.args(["--locked", "--config", &remap.configuration(TARGET)]);
        }
        check(&mut build)?;
    }

    fs::create_dir_all(components).with_context(|| format!("`{}` cannot be made", components.display()))?;
    for name in &names {
        let module = modules
            .join(TARGET)
            .join("release")
            .join(format!("{prefix}_{}.wasm", name.replace('-', "_")));
        componentise(&module, &components.join(format!("{name}.wasm")))?;
    }
    remove_strangers(components, &names)
}

/// The folders that hold a package: a connector's name is its folder's.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("`{}` cannot be read", folder.display()))? {
        let path = entry?.path();
        if path.join("Cargo.toml").is_file()
            && let Some(name) = path.file_name()
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// A core module with its embedded WIT becomes a component that imports what the module uses, and not one interface more.
fn componentise(module: &Path, component: &Path) -> Result<()> {
    let name = module.display();
    let bytes = fs::read(module).with_context(|| format!("`{name}` was not built"))?;
    let encoded = ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .with_context(|| format!("`{name}` holds no bindings to the contract"))?
        .encode()
        .with_context(|| format!("`{name}` makes no component"))?;
    if fs::read(component).is_ok_and(|old| old == encoded) {
        return Ok(());
    }
    fs::write(component, encoded).with_context(|| format!("`{}` cannot be written", component.display()))
}

/// What is left of a plugin that is gone would be embedded for ever.
fn remove_strangers(components: &Path, names: &[String]) -> Result<()> {
    for entry in fs::read_dir(components)? {
        let path: PathBuf = entry?.path();
        let known = path
            .file_stem()
            .is_some_and(|stem| names.iter().any(|name| stem == name.as_str()));
        if !known {
            fs::remove_file(&path).with_context(|| format!("`{}` cannot be removed", path.display()))?;
        }
    }
    Ok(())
}

/// Makes sure that the compiler can make WebAssembly.
fn add_target() -> Result<()> {
    if has_target() {
        return Ok(());
    }
    eprintln!("adding the target {TARGET}");
    let added = Command::new("rustup").args(["target", "add", TARGET]).status();
    if added.is_ok_and(|status| status.success()) && has_target() {
        return Ok(());
    }
    bail!(
        "the Rust target {TARGET} is missing and `rustup target add {TARGET}` did not bring it. \
         Install rustup (https://rustup.rs) and run that command, or see \"Without rustup\" in docs/building.md"
    )
}

fn has_target() -> bool {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    output.is_ok_and(|output| {
        let path = String::from_utf8_lossy(&output.stdout);
        fs::read_dir(path.trim()).is_ok_and(|mut entries| entries.next().is_some())
    })
}
