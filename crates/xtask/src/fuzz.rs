//! The fuzzers: every target of `fuzz/`, for a while each, under cargo-fuzz.

use anyhow::{Context as _, Result, bail};

use crate::run::{check, root, target};

/// How long each target runs unless it is said otherwise, in seconds.
const SECONDS: &str = "60";

/// `cargo xtask fuzz [SECONDS] [TARGET...]`.
///
/// What a fuzzer finds on the way goes into a folder of its own under the target folder, not into the kept corpus: what
/// is worth keeping is given a name and put there by hand.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (seconds, chosen) = match arguments.split_first() {
        Some((first, rest)) if first.parse::<u64>().is_ok() => (first.as_str(), rest),
        _ => (SECONDS, arguments),
    };
    let known = targets()?;
    if let Some(stranger) = chosen.iter().find(|name| !known.contains(name)) {
        bail!("there is no target `{stranger}`; there are {}", known.join(", "));
    }
    let is_there = nightly().args(["fuzz", "--version"]).output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        bail!(
            "fuzzing takes a nightly toolchain and cargo-fuzz: \
             run `rustup toolchain install nightly` and `cargo install cargo-fuzz`"
        );
    }
    for name in if chosen.is_empty() { &known } else { chosen } {
        eprintln!("== fuzzing {name} for {seconds} s");
        let found = target().join("fuzz/found").join(name);
        std::fs::create_dir_all(&found).with_context(|| format!("`{}` cannot be made", found.display()))?;
        let kept = root().join("fuzz/corpus").join(name);
        check(
            nightly()
                .args(["fuzz", "run", "--target-dir"])
                .arg(target().join("fuzz"))
                .arg(name)
                // libFuzzer writes into the first folder and reads all of them.
                .args([&found, &kept])
                .args([
                    "--",
                    &format!("-max_total_time={seconds}"),
                    "-timeout=20",
                    "-rss_limit_mb=2048",
                ])
                // Texts beyond this say nothing new and cost time.
                .arg("-max_len=4096"),
        )?;
    }
    Ok(())
}

/// The targets have the names of their folders in the corpus.
fn targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz/corpus");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("`{}` cannot be read", folder.display()))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Cargo by rustup, with its nightly toolchain whatever runs this.
fn nightly() -> std::process::Command {
    let mut command = std::process::Command::new("cargo");
    command
        .arg("+nightly")
        .current_dir(root())
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN");
    command
}
