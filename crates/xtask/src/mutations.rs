//! Mutations: each patch in `tests/mutations` breaks the product in one way that must not go unnoticed, and names the
//! test that notices.
//!
//! A patch is applied to a copy, and its test must fail there. It must have passed on the copy without the patch, and
//! the copy with it must compile, so that nothing else makes it red. A patch that no longer applies is a failure too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};

use crate::plugins;
use crate::run::{check, root, target};

struct Mutation {
    name: String,
    patch: PathBuf,
    /// What the patch makes wrong.
    sentence: String,
    /// The workspace of the test, within the repository.
    folder: String,
    /// What follows `cargo test`.
    test: Vec<String>,
}

/// `cargo xtask mutations [NAME...]`.
pub(crate) fn run(chosen: &[String]) -> Result<()> {
    let mut mutations = read()?;
    if let Some(stranger) = chosen.iter().find(|name| mutations.iter().all(|m| m.name != **name)) {
        bail!("there is no mutation `{stranger}` in tests/mutations");
    }
    mutations.retain(|mutation| chosen.is_empty() || chosen.contains(&mutation.name));

    let copy = target().join("mutations/copy");
    copy_to(&copy)?;
    lay_connectors_out()?;
    let mut rows = Vec::new();
    let mut sound = BTreeSet::new();
    for mutation in &mutations {
        eprintln!("== {}: {}", mutation.name, mutation.sentence);
        if sound.insert((&mutation.folder, &mutation.test)) {
            let before = test(&copy, mutation, &[]).output()?;
            if !before.status.success() {
                bail!(
                    "`{}` fails without any mutation:\n{}",
                    mutation.test.join(" "),
                    shown(&before)
                );
            }
            if !shown(&before).lines().any(ran_something) {
                bail!("`{}` runs no test", mutation.test.join(" "));
            }
        }
        rows.push((mutation, verdict(&copy, mutation)?));
    }
    let survived = rows.iter().filter(|(_, verdict)| *verdict != "caught").count();
    println!("{:<28} {:<12} by", "mutation", "verdict");
    for (mutation, verdict) in &rows {
        println!(
            "{:<28} {verdict:<12} cargo test {}",
            mutation.name,
            mutation.test.join(" ")
        );
    }
    println!("{} mutations, {survived} not caught", rows.len());
    if survived > 0 {
        bail!("{survived} of {} mutations were not caught", rows.len());
    }
    Ok(())
}

/// The host's tests look for connectors where their own build is. These are the sound ones: what a patch breaks in a
/// connector is noticed by the plugins' own tests.
fn lay_connectors_out() -> Result<()> {
    plugins::build()?;
    plugins::build_hostile()?;
    for name in ["connectors", "hostile"] {
        let (from, to) = (target().join(name), build().join(name));
        fs::create_dir_all(&to).with_context(|| format!("`{}` cannot be made", to.display()))?;
        for entry in fs::read_dir(&from).with_context(|| format!("`{}` cannot be read", from.display()))? {
            let path = entry?.path();
            let component = fs::read(&path)?;
            let there = to.join(path.file_name().unwrap_or_default());
            if fs::read(&there).ok().as_ref() != Some(&component) {
                fs::write(&there, component).with_context(|| format!("`{}` cannot be written", there.display()))?;
            }
        }
    }
    Ok(())
}

fn build() -> PathBuf {
    target().join("mutations/build")
}

/// What becomes of the copy with the patch in it; the copy is as before in the end.
fn verdict(copy: &Path, mutation: &Mutation) -> Result<&'static str> {
    let verdict = with(copy, mutation, || {
        let compiles = test(copy, mutation, &["--no-run"]).output()?;
        Ok(if !compiles.status.success() {
            eprintln!("{}", shown(&compiles));
            "no build"
        } else if test(copy, mutation, &[]).output()?.status.success() {
            "SURVIVED"
        } else {
            "caught"
        })
    })?;
    Ok(verdict.unwrap_or("stale patch"))
}

/// Does something with the copy while the mutation is applied to it. Nothing is returned where it no longer applies.
fn with<T>(copy: &Path, mutation: &Mutation, act: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
    if !git_apply(copy, mutation, &[])?.status.success() {
        return Ok(None);
    }
    let done = act();
    let back = git_apply(copy, mutation, &["--reverse"])?;
    if !back.status.success() {
        bail!("`{}` cannot be taken back: {}", mutation.patch.display(), shown(&back));
    }
    done.map(Some)
}

/// Builds the command with this mutation, for a control: what a test finds with it has to be wrong.
pub(crate) fn binary(name: &str) -> Result<PathBuf> {
    let mutation = read()?.into_iter().find(|mutation| mutation.name == name);
    let mutation = mutation.with_context(|| format!("there is no mutation `{name}` in tests/mutations"))?;
    let copy = target().join("mutations/copy");
    copy_to(&copy)?;
    lay_connectors_out()?;
    let built = with(&copy, &mutation, || {
        let mut cargo = crate::run::cargo(&copy);
        cargo
            .args(["build", "--package", "pipepost", "--bin", "pipepost"])
            .env("PIPEPOST_CONNECTORS", build().join("connectors"))
            .env("CARGO_TARGET_DIR", build());
        check(&mut cargo)
    })?;
    built.with_context(|| format!("the mutation `{name}` no longer applies"))?;
    Ok(build().join("debug/pipepost"))
}

fn read() -> Result<Vec<Mutation>> {
    let folder = root().join("tests/mutations");
    let mut mutations = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("`{}` cannot be read", folder.display()))? {
        let patch = entry?.path();
        if patch.extension().is_some_and(|extension| extension == "patch") {
            let text = fs::read_to_string(&patch)?;
            mutations.push(parse(&patch, &text).with_context(|| format!("`{}`", patch.display()))?);
        }
    }
    mutations.sort_by(|one, other| one.name.cmp(&other.name));
    if mutations.is_empty() {
        bail!("`{}` holds no patch", folder.display());
    }
    Ok(mutations)
}

/// A sentence, then `Folder:` and `Test:`, then the patch: git passes over what stands before it.
fn parse(patch: &Path, text: &str) -> Result<Mutation> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim).with_context(|| format!("it has no line `{name}`"))
    };
    Ok(Mutation {
        name: patch.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        patch: patch.to_owned(),
        sentence: text.lines().next().unwrap_or_default().to_owned(),
        folder: value("Folder:")?.to_owned(),
        test: value("Test:")?.split_whitespace().map(str::to_owned).collect(),
    })
}

/// Every file that git knows or would take, as it is now. What did not change keeps its time, so that cargo builds it
/// once.
fn copy_to(copy: &Path) -> Result<()> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .context("`git` cannot be started")?;
    if !listed.status.success() {
        bail!("the files are not listed by git: {}", shown(&listed));
    }
    let mut wanted = BTreeSet::new();
    for name in String::from_utf8_lossy(&listed.stdout)
        .split('\0')
        .filter(|name| !name.is_empty())
    {
        // A file that was removed and not yet from the index.
        let Ok(bytes) = fs::read(root().join(name)) else {
            continue;
        };
        let path = copy.join(name);
        if fs::read(&path).ok().as_ref() != Some(&bytes) {
            fs::create_dir_all(path.parent().unwrap_or(copy))?;
            fs::write(&path, bytes).with_context(|| format!("`{}` cannot be written", path.display()))?;
        }
        wanted.insert(path);
    }
    remove_others(copy, &wanted)
}

fn remove_others(folder: &Path, wanted: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, wanted)?;
        } else if !wanted.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn git_apply(copy: &Path, mutation: &Mutation, more: &[&str]) -> Result<Output> {
    Command::new("git")
        .arg("apply")
        .args(more)
        .arg(&mutation.patch)
        .current_dir(copy)
        // The copy lies within the repository, and is not to be taken for a part of it.
        .env("GIT_CEILING_DIRECTORIES", copy.parent().unwrap_or(copy))
        .output()
        .context("`git` cannot be started")
}

fn test(copy: &Path, mutation: &Mutation, more: &[&str]) -> Command {
    let mut command = crate::run::cargo(&copy.join(&mutation.folder));
    let (options, filter): (Vec<_>, Vec<_>) = split(&mutation.test);
    command
        .arg("test")
        .args(options)
        .args(more)
        .args(filter)
        .env("PIPEPOST_CONNECTORS", build().join("connectors"))
        .env("CARGO_TARGET_DIR", build());
    command
}

/// The names of tests come last: what is neither an option nor the value of one.
fn split(words: &[String]) -> (Vec<&String>, Vec<&String>) {
    let mut after_option = false;
    words.iter().partition(|word| {
        let is_option = word.starts_with("--") || after_option;
        after_option = word.starts_with("--") && !matches!(word.as_str(), "--lib" | "--release");
        is_option
    })
}

fn ran_something(line: &str) -> bool {
    line.starts_with("test result: ok.") && !line.contains(" 0 passed")
}

fn shown(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// That every patch still applies is quickly known; `cargo xtask test` asks for it.
pub(crate) fn apply_all() -> Result<()> {
    for mutation in read()? {
        let mut git = Command::new("git");
        git.args(["apply", "--check"]).arg(&mutation.patch).current_dir(root());
        check(&mut git).with_context(|| format!("the mutation `{}` no longer applies", mutation.name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_before_the_names_of_tests() {
        let words: Vec<String> = "--package a --lib one two".split(' ').map(str::to_owned).collect();
        let (options, filter) = split(&words);
        assert_eq!(options, ["--package", "a", "--lib"]);
        assert_eq!(filter, ["one", "two"]);
    }

    #[test]
    fn a_patch_says_what_it_breaks_and_who_notices() {
        let text = "It breaks.\n\nFolder: plugins\nTest: --package a b\n\ndiff --git a/x b/x\n";
        let mutation = parse(Path::new("tests/mutations/name.patch"), text).expect("whole");
        assert_eq!(
            (mutation.name.as_str(), mutation.sentence.as_str()),
            ("name", "It breaks.")
        );
        assert_eq!((mutation.folder.as_str(), mutation.test.len()), ("plugins", 3));
        assert!(parse(Path::new("x.patch"), "It breaks.\nFolder: .\n").is_err());
    }

    #[test]
    fn a_run_of_no_test_is_no_proof() {
        assert!(ran_something("test result: ok. 1 passed; 0 failed"));
        assert!(!ran_something("test result: ok. 0 passed; 0 failed"));
    }
}
