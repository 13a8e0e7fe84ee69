//! The test command: formatting, lints, documentation, features, and every test of both workspaces.

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
        features()?;
        say("licences, duplicates, sources, advisories; and that every mutation applies");
        supply::deny()?;
        mutations::apply_all()?;
    }
    let mut summary = Summary::default();
    let mut failed = Vec::new();
    for folder in [root(), root().join("plugins")] {
        let mut test = in_workspace(&folder, &["test", "--workspace", "--quiet", "--no-fail-fast"]);
        if let Some(text) = filter {
            test.arg(text);
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        say(&format!("tests of {name}"));
        let (passed, output) = run::watched(&mut test)?;
        summary.add(&output);
        if !passed {
            failed.push(name);
        }
    }
    // What a machine that reads the end of a log looks for, in the words of the test runner.
    println!("{summary}");
    if !failed.is_empty() {
        bail!("tests of {} failed: see above", failed.join(" and "));
    }
    Ok(())
}

/// The tests that `test` leaves out because they take minutes. With `--minutes N` only the server that works for so long.
pub(crate) fn soak(arguments: &[String]) -> Result<()> {
    let minutes = match arguments {
        [] => None,
        [flag, minutes] if flag == "--minutes" && minutes.parse::<f64>().is_ok_and(|minutes| minutes > 0.0) => {
            Some(minutes)
        }
        _ => bail!("`cargo xtask soak` takes `--minutes N` and nothing else"),
    };
    plugins::build()?;
    run::binary(false)?;
    let all = ["--test", "ledger", "--test", "serve", "--", "--ignored"];
    let long = ["--test", "serve", "--", "--ignored", "a_day_of_work"];
    let which = if minutes.is_some() { &long[..] } else { &all[..] };
    let arguments = [&["test", "--package", "pipepost-tests"], which].concat();
    let mut command = in_workspace(&root(), &arguments);
    if let Some(minutes) = minutes {
        command.env("PIPEPOST_SOAK_MINUTES", minutes);
    }
    check(&mut command)
}

/// Everything goes wrong while several workers send, at length. `PIPEPOST_CHAOS_MESSAGES`, `PIPEPOST_CHAOS_FAULTS` and
/// `PIPEPOST_SEED` change it.
pub(crate) fn chaos(arguments: &[String]) -> Result<()> {
    let is_control = match arguments {
        [] => false,
        [only] if only == "--control" => true,
        _ => bail!("`cargo xtask chaos` takes `--control` or nothing"),
    };
    plugins::build()?;
    let mut command = in_workspace(
        &root(),
        &[
            "test",
            "--package",
            "pipepost-tests",
            "--test",
            "several_machines",
            "--",
            "--ignored",
            "chaos::",
        ],
    );
    if is_control {
        command
            .env("PIPEPOST_BIN", mutations::binary("claim-unfenced")?)
            .env("PIPEPOST_CHAOS_CONTROL", "1");
    } else {
        // In a release build more of it is sending.
        command.env("PIPEPOST_BIN", run::binary(true)?);
    }
    check(&mut command)
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

/// Lints and tests what the default features leave out. The whole workspace is named each time, so that the dependencies
/// have the features that they have in every other build, and are not built once more.
fn features() -> Result<()> {
    say("lints and examples without the command line, without traces, and with the keyring");
    let lints = |features: &[&str]| {
        let mut lint = in_workspace(&root(), &["clippy", "--workspace", "--all-targets", "--quiet"]);
        lint.args(features).args(["--", "--deny", "warnings"]);
        check(&mut lint)
    };
    lints(&["--no-default-features"])?;
    lints(&["--no-default-features", "--features", "pipepost/cli"])?;
    lints(&["--features", "pipepost/keyring"])?;
    let embedding = ["test", "--workspace", "--no-default-features", "--quiet", "--examples"];
    check(&mut in_workspace(&root(), &embedding))?;
    let keyring = [
        "test",
        "--package",
        "pipepost-accounts",
        "--features",
        "keyring",
        "--lib",
        "--quiet",
        "keyring",
    ];
    check(&mut in_workspace(&root(), &keyring))
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

/// The test runner's own lines, added up.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    binaries: u64,
    failed_binaries: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Summary {
    /// Adds every line such as `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; ...`.
    fn add(&mut self, output: &str) {
        for line in output.lines() {
            let Some(result) = line.trim().strip_prefix("test result: ") else {
                continue;
            };
            self.binaries += 1;
            self.failed_binaries += u64::from(!result.starts_with("ok."));
            for count in result.split(['.', ';']) {
                let mut words = count.split_whitespace();
                let (Some(Ok(number)), Some(what)) = (words.next().map(str::parse::<u64>), words.next()) else {
                    continue;
                };
                match what {
                    "passed" => self.passed += number,
                    "failed" => self.failed += number,
                    "ignored" => self.ignored += number,
                    _ => {}
                }
            }
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            binaries,
            failed_binaries,
            passed,
            failed,
            ignored,
        } = self;
        let word = if *failed_binaries == 0 { "ok" } else { "FAILED" };
        write!(
            f,
            "all {binaries} test binaries together:\ntest result: {word}. {passed} passed; {failed} failed; {ignored} ignored"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_adds_the_runners_lines() {
        let mut summary = Summary::default();
        summary.add(
            "\nrunning 3 tests\n...\ntest result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.01s\n",
        );
        assert_eq!(
            summary.to_string(),
            "all 1 test binaries together:\ntest result: ok. 12 passed; 0 failed; 1 ignored"
        );
        summary
            .add("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 3.20s");
        assert_eq!(
            summary.to_string(),
            "all 2 test binaries together:\ntest result: FAILED. 14 passed; 1 failed; 1 ignored"
        );
    }
}
