//! The test command: formatting, lints, documentation, and every test of both workspaces.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::run::{cargo, check, root, target};
use crate::{mutations, plugins, run, supply};

/// Runs everything; `--filter TEXT` only the tests whose names hold TEXT.
pub(crate) fn all(arguments: &[String]) -> Result<()> {
    let filter = match arguments {
        [] => None,
        [flag, text] if flag == "--filter" => Some(text.as_str()),
        _ => bail!("`cargo xtask test` takes nothing but `--filter TEXT`"),
    };
    plugins::build()?;
    plugins::build_hostile()?;
    // The tests run the real binary.
    run::binary(false)?;
    if filter.is_none() {
        for folder in [root(), root().join("plugins")] {
            lint(&folder)?;
        }
        lint_hostile()?;
        say("licences, duplicates, sources, advisories; and that every mutation applies");
        supply::deny()?;
        mutations::apply_all()?;
    }
    for folder in [root(), root().join("plugins")] {
        let mut test = in_workspace(&folder, &["test", "--workspace", "--quiet", "--no-fail-fast"]);
        if let Some(text) = filter {
            test.arg(text);
        }
        say(&format!(
            "tests of {}",
            folder.file_name().unwrap_or_default().to_string_lossy()
        ));
        check(&mut test)?;
    }
    Ok(())
}

/// The tests that `test` leaves out because they take minutes.
pub(crate) fn soak(arguments: &[String]) -> Result<()> {
    if !arguments.is_empty() {
        bail!("`cargo xtask soak` takes nothing");
    }
    plugins::build()?;
    run::binary(false)?;
    let arguments = [
        "test",
        "--package",
        "pipepost-tests",
        "--test",
        "ledger",
        "--",
        "--ignored",
    ];
    check(&mut in_workspace(&root(), &arguments))
}

fn lint(folder: &Path) -> Result<()> {
    say(&format!(
        "formatting, lints and documentation of {}",
        folder.file_name().unwrap_or_default().to_string_lossy()
    ));
    check(cargo(folder).args(["fmt", "--all", "--check"]))?;
    imports(folder)?;
    check(
        in_workspace(folder, &["clippy", "--workspace", "--all-targets", "--quiet"]).args(["--", "--deny", "warnings"]),
    )?;
    check(in_workspace(folder, &["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "--deny warnings"))
}

/// Checks the order of `use`: std, then other crates, then this one, one statement a module. Only a nightly rustfmt knows
/// these two options, so a machine without one skips this.
fn imports(folder: &Path) -> Result<()> {
    let nightly_fmt = || {
        // Not `$CARGO`, which is one toolchain's own.
        let mut command = Command::new("rustup");
        command.args(["run", "nightly", "cargo", "fmt"]).current_dir(folder);
        command
    };
    let version = nightly_fmt().arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: the order of `use` is checked by a nightly rustfmt, and there is none here");
        return Ok(());
    }
    let options = "group_imports=StdExternalCrate,imports_granularity=Module";
    check(nightly_fmt().args(["--all", "--", "--check", "--config", options]))
}

/// The connectors that mean harm have a meaning on their own target alone, and no documentation to build.
fn lint_hostile() -> Result<()> {
    let folder = plugins::hostile();
    say("formatting and lints of tests/hostile");
    check(cargo(&folder).args(["fmt", "--all", "--check"]))?;
    imports(&folder)?;
    check(
        in_workspace(
            &folder,
            &["clippy", "--workspace", "--quiet", "--target", plugins::TARGET],
        )
        .args(["--", "--deny", "warnings"]),
    )
}

/// A cargo command that shares one target folder a workspace with the builds before it.
fn in_workspace(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = cargo(folder);
    command
        .args(arguments)
        .env("PIPEPOST_CONNECTORS", target().join("connectors"));
    if folder != root() {
        command.env("CARGO_TARGET_DIR", target().join("plugins"));
    }
    command
}

fn say(what: &str) {
    eprintln!("== {what}");
}
