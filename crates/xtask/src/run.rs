//! Running cargo and what it builds.

use std::ffi::OsStr;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// The repository's top folder.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_owned()
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A cargo command in a folder of the repository.
pub(crate) fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder);
    command
}

/// Whether cargo has this subcommand.
pub(crate) fn has_subcommand(subcommand: &str) -> bool {
    Command::new("cargo")
        .args([subcommand, "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Runs a command to its end and fails when it does.
pub(crate) fn check(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command
        .status()
        .with_context(|| format!("`{shown}` cannot be started"))?;
    if !status.success() {
        bail!("`{shown}` failed");
    }
    Ok(())
}

/// Runs a command to its end, passing its standard output on as it comes. Returns whether it succeeded, and that output.
pub(crate) fn watched(command: &mut Command) -> Result<(bool, String)> {
    let shown = show(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{shown}` cannot be started"))?;
    let mut output = Vec::new();
    if let Some(mut pipe) = child.stdout.take() {
        let mut chunk = [0; 8192];
        loop {
            let count = pipe.read(&mut chunk)?;
            if count == 0 {
                break;
            }
            output.extend_from_slice(&chunk[..count]);
            let mut stdout = io::stdout().lock();
            stdout.write_all(&chunk[..count])?;
            stdout.flush()?;
        }
    }
    let status = child.wait()?;
    Ok((status.success(), String::from_utf8_lossy(&output).into_owned()))
}

fn show(command: &Command) -> String {
    let name = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// What builds the binary, with these connectors in it.
fn build_with(connectors: &Path) -> Command {
    let mut build = cargo(&root());
    build.args(["build", "--quiet", "--bin", "pipepost"]);
    build.env("PIPEPOST_CONNECTORS", connectors);
    build
}

/// Compiles the connectors to machine code, so that the binary need not. `build` builds the program that does it, into
/// `programs`; it has to choose what is built beside it so that wasmtime is compiled once for this program and the binary.
fn precompile(mut build: Command, programs: &Path, connectors: &Path) -> Result<()> {
    build.args(["--bin", PRECOMPILE]);
    check(&mut build)?;
    let program = programs.join(format!("{PRECOMPILE}{}", std::env::consts::EXE_SUFFIX));
    check(Command::new(program).arg(connectors))
}

/// The program that compiles connectors.
const PRECOMPILE: &str = "pipepost-precompile";

/// Builds the binary with the connectors in it.
pub(crate) fn binary(release: bool) -> Result<PathBuf> {
    let connectors = target().join("connectors");
    let mut first = cargo(&root());
    first.args(["build", "--quiet"]);
    if release {
        first.args(["--release", "--package", "pipepost", "--package", PRECOMPILE]);
    } else {
        eprintln!("building the host (the first time takes a few minutes: wasmtime and its compiler)");
        // The test is a small one of a crate that links little. It is here for the features of the tests' dependencies.
        first.args(["--workspace", "--test", "jayway"]);
    }
    precompile(first, &folder(release), &connectors)?;
    let mut build = build_with(&connectors);
    if release {
        build.args(["--package", "pipepost", "--release"]);
    } else {
        // The whole workspace, and something that takes the tests' dependencies: so the features are those of the tests,
        // and wasmtime is compiled once for both.
        build.args(["--workspace", "--bench", "in_flight"]);
    }
    check(&mut build)?;
    Ok(path(release))
}

/// Builds the binary for others into a folder of its own, with the compiler's `flags` as cargo encodes them: other flags
/// in the usual folder would have everything in it built anew, there and back.
pub(crate) fn binary_apart(folder: &Path, connectors: &Path, flags: &OsStr) -> Result<PathBuf> {
    let apart = |build: &mut Command| {
        build.args(["--package", "pipepost", "--release", "--locked"]);
        build.env("CARGO_TARGET_DIR", folder);
        build.env("CARGO_ENCODED_RUSTFLAGS", flags);
    };
    let mut first = cargo(&root());
    first.args(["build", "--quiet", "--package", PRECOMPILE]);
    apart(&mut first);
    precompile(first, &folder.join("release"), connectors)?;
    let mut build = build_with(connectors);
    apart(&mut build);
    check(&mut build)?;
    Ok(folder.join("release").join(name()))
}

fn folder(release: bool) -> PathBuf {
    target().join(if release { "release" } else { "debug" })
}

fn path(release: bool) -> PathBuf {
    folder(release).join(name())
}

fn name() -> String {
    format!("pipepost{}", std::env::consts::EXE_SUFFIX)
}

/// Runs the built binary; its exit code becomes ours.
pub(crate) fn execute(command: &str, arguments: &[String]) -> Result<()> {
    let binary = path(false);
    let status = Command::new(&binary)
        .arg(command)
        .args(arguments)
        .status()
        .with_context(|| format!("`{}` cannot be started", binary.display()))?;
    if !status.success() {
        std::process::exit(status.code().unwrap_or(1));
    }
    Ok(())
}
