//! `pipepost-precompile FOLDER`: compiles each connector in the folder to machine code and writes it next to the component,
//! with its seal. `crates/embedded-connectors` embeds all three.
//!
//! `cargo xtask build` calls it. It is a program of its own because a build script that compiled connectors would need
//! wasmtime and its compiler once more, for the build scripts' own profile.
#![forbid(unsafe_code)]
// A program without a log, whose one sentence is for whoever builds.
#![allow(clippy::print_stderr)]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use pipepost_engine::connector::digest;
use pipepost_engine::precompile::precompile;

/// A dependency on the crate itself would have this program built anew whenever what it writes is embedded.
#[path = "../../embedded-connectors/src/seal.rs"]
#[allow(dead_code)]
mod seal;

use seal::Seal;

/// The kind of machine that this program was built for.
const TARGET: &str = env!("PRECOMPILE_TARGET");

fn main() -> ExitCode {
    match all(std::env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pipepost-precompile: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn all(arguments: Vec<OsString>) -> Result<()> {
    let [folder] = arguments.as_slice() else {
        bail!("name the folder of the components, and nothing else");
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for component in components(Path::new(folder))? {
        runtime
            .block_on(one(&component))
            .with_context(|| format!("`{}`", component.display()))?;
    }
    Ok(())
}

fn components(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("`{}` cannot be read", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

async fn one(path: &Path) -> Result<()> {
    let bytes = fs::read(path)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let artifact = precompile(&bytes, &name, TARGET).await?;
    let description = serde_json::to_string(&artifact.description)?;
    let (component, code) = (digest(&bytes), digest(&artifact.code));
    let seal = Seal {
        component: &component,
        code: &code,
        target: TARGET,
        description: &description,
    };
    write(&path.with_extension("cwasm"), &artifact.code)?;
    write(&path.with_extension("seal"), seal.to_text().as_bytes())
}

/// A file that did not change keeps its time, so that nothing is embedded anew for nothing.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).with_context(|| format!("`{}` cannot be written", path.display()))
}
