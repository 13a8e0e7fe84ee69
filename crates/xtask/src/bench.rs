//! The bench command: builds ours for speed, the peers that are Rust or JavaScript, and hands over to `bench/`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::run::{cargo, check, root, target};
use crate::{plugins, run};

/// Builds everything, and measures; `arguments` go to the bench (`cargo xtask bench --help` lists them).
///
/// With `--pieces` it measures the small pieces alone, with divan.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    plugins::build()?;
    if arguments.iter().any(|argument| argument == "--pieces") {
        return pieces();
    }
    eprintln!("building the host in release (the first time takes many minutes)");
    let binary = run::binary(true)?;
    built("pipepost", "in_flight")?;
    let sends = built("pipepost", "sends")?;
    let claims = built("pipepost-state-sqlite", "claims")?;
    let folder = target().join("bench");
    let bench = root().join("bench");
    check(
        cargo(&bench)
            .args(["build", "--quiet", "--release"])
            .env("CARGO_TARGET_DIR", &folder),
    )?;
    let scripts = scripts()?;
    let mut command = std::process::Command::new(folder.join("release").join("pipepost-bench"));
    command
        .arg("--pipepost")
        .arg(binary)
        .arg("--scripts")
        .arg(scripts)
        .arg("--sends")
        .arg(sends)
        .arg("--claims")
        .arg(claims)
        .arg("--root")
        .arg(root())
        .env("PIPEPOST_CONNECTORS", target().join("connectors"));
    let partial = ["--only", "--divide", "--ours", "--out"];
    if !arguments.iter().any(|argument| partial.contains(&argument.as_str())) {
        command.arg("--out").arg(root().join("docs").join("benchmarks.md"));
    }
    check(command.args(arguments))
}

/// Builds one of a crate's benches, and answers where it is.
fn built(package: &str, name: &str) -> Result<PathBuf> {
    let output = cargo(&root())
        .args(["bench", "--quiet", "--package", package, "--bench", name, "--no-run"])
        .arg("--message-format=json")
        .env("PIPEPOST_CONNECTORS", target().join("connectors"))
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("`cargo` cannot be started")?;
    let said = String::from_utf8_lossy(&output.stdout);
    // One line of JSON for each thing that was built; the bench's names its executable.
    let key = "\"executable\":\"";
    let mut lines = said
        .lines()
        .filter(|line| line.contains(&format!("\"name\":\"{name}\"")));
    let path = lines.find_map(|line| line.split_once(key)?.1.split('"').next());
    path.map(PathBuf::from)
        .with_context(|| format!("the bench `{name}` was not built"))
}

/// The scripts of the peers, with what they need from npm beside them.
fn scripts() -> Result<PathBuf> {
    let folder = target().join("bench").join("peers");
    fs::create_dir_all(&folder)?;
    let source = root().join("bench").join("peers");
    let mut changed = !folder.join("node_modules").is_dir();
    for name in [
        "package.json",
        "package-lock.json",
        "express.mjs",
        "nodemailer.mjs",
        "smtplib_peer.py",
    ] {
        let text = fs::read(source.join(name)).with_context(|| format!("`{name}` cannot be read"))?;
        let old = fs::read(folder.join(name)).unwrap_or_default();
        changed |= name == "package-lock.json" && old != text;
        fs::write(folder.join(name), text)?;
    }
    if changed {
        check(
            std::process::Command::new("npm")
                .args(["ci", "--silent"])
                .current_dir(&folder),
        )?;
    }
    Ok(folder)
}

fn pieces() -> Result<()> {
    for (folder, package) in [
        (root(), "pipepost-smtp"),
        (root().join("plugins"), "pipepost-email-v2"),
        (root(), "pipepost-state-sqlite"),
        (root(), "pipepost"),
    ] {
        let mut command = cargo(&folder);
        command
            .args(["bench", "--quiet", "--package", package, "--benches"])
            .env("PIPEPOST_CONNECTORS", target().join("connectors"));
        if folder != root() {
            command.env("CARGO_TARGET_DIR", target().join("plugins"));
        }
        check(&mut command)?;
    }
    Ok(())
}
