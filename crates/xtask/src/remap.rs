//! The folders of the machine that builds, out of what is handed to others.
//!
//! The compiler writes the path of each source into panic messages. In a release they would name the builder's home, and
//! make every machine's connectors differ in their digests. Debugging goes on as before: a development build keeps them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::run::{root, target};

/// Which folder is called what, the more general before the more special: of several that fit, the compiler takes the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remap(Vec<(PathBuf, &'static str)>);

impl Remap {
    /// Of this machine: the repository, what is built, the sources of the dependencies and of the standard library.
    pub(crate) fn of_machine() -> Result<Self> {
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
        let home = home.context("there is no home directory: name cargo's with CARGO_HOME")?;
        Ok(Self::of(&root(), &target(), &home, &sysroot()?))
    }

    fn of(root: &Path, target: &Path, cargo_home: &Path, sysroot: &Path) -> Self {
        let mut names = vec![
            (sysroot.join("lib/rustlib/src/rust"), "/rustc"),
            (cargo_home.to_owned(), "/cargo"),
        ];
        // One folder for each registry, called after its host.
        let registries = fs::read_dir(cargo_home.join("registry").join("src"));
        let mut registries: Vec<PathBuf> = registries
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        registries.sort();
        names.extend(registries.into_iter().map(|folder| (folder, "/cargo")));
        names.push((root.to_owned(), "/pipepost"));
        names.push((target.to_owned(), "/pipepost/target"));
        Self(names)
    }

    /// As `CARGO_ENCODED_RUSTFLAGS` takes it, behind the flags that are set already: that variable stands for all of
    /// `RUSTFLAGS` too.
    pub(crate) fn encoded_flags(&self) -> OsString {
        self.behind(
            std::env::var_os("CARGO_ENCODED_RUSTFLAGS"),
            std::env::var("RUSTFLAGS").ok().as_deref(),
        )
    }

    fn behind(&self, encoded: Option<OsString>, plain: Option<&str>) -> OsString {
        let set = encoded.unwrap_or_else(|| {
            let words: Vec<&str> = plain.unwrap_or_default().split_whitespace().collect();
            words.join("\x1f").into()
        });
        let mut flags = set;
        for flag in self.flags() {
            if !flags.is_empty() {
                flags.push("\x1f");
            }
            flags.push(flag);
        }
        flags
    }

    /// As `cargo --config` takes it, behind the flags that the workspace's own configuration has for `target`: it joins
    /// arrays, where the variables would replace them.
    pub(crate) fn configuration(&self, target: &str) -> String {
        let flags: Vec<String> = self.flags().map(|flag| flag.to_string_lossy().into_owned()).collect();
        // Texts in JSON are texts in TOML.
        format!("target.{target}.rustflags={}", json!(flags))
    }

    fn flags(&self) -> impl Iterator<Item = OsString> {
        self.0.iter().map(|(folder, name)| {
            let mut flag = OsString::from("--remap-path-prefix=");
            flag.push(folder);
            flag.push("=");
            flag.push(name);
            flag
        })
    }

    /// The folders whose paths stand in a file all the same.
    pub(crate) fn left_in(&self, bytes: &[u8]) -> Vec<&Path> {
        let holds = |folder: &Path| {
            let path = folder.as_os_str().as_encoded_bytes();
            !path.is_empty() && bytes.windows(path.len()).any(|part| part == path)
        };
        let folders = self.0.iter().map(|(folder, _)| folder.as_path());
        folders.filter(|folder| holds(folder)).collect()
    }
}

/// Where the compiler has its standard library.
fn sysroot() -> Result<PathBuf> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .context("rustc cannot be started")?;
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(flags: &OsString) -> Vec<String> {
        let text = flags.to_string_lossy();
        text.split('\x1f').map(str::to_owned).collect()
    }

    #[test]
    fn what_the_builder_set_stays_and_blanks_in_a_path_do_no_harm() {
        let remap = Remap(vec![("/home/an ne".into(), "/cargo")]);
        let ours = "--remap-path-prefix=/home/an ne=/cargo";
        assert_eq!(words(&remap.behind(None, None)), [ours]);
        assert_eq!(
            words(&remap.behind(None, Some(" -C  target-cpu=native"))),
            ["-C", "target-cpu=native", ours]
        );
        let encoded = Some("-C\x1fopt-level=1".into());
        assert_eq!(
            words(&remap.behind(encoded, Some("ignored"))),
            ["-C", "opt-level=1", ours]
        );
    }

    #[test]
    fn a_workspaces_own_flags_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for (name, text) in [
            (
                "Cargo.toml",
                "[package]\nname = \"p\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n",
            ),
            ("src/lib.rs", ""),
            (
                ".cargo/config.toml",
                "[target.wasm32-unknown-unknown]\nrustflags = [\"--cfg\", \"own\"]\n",
            ),
        ] {
            fs::create_dir_all(path(name).parent().expect("a folder")).expect("made");
            fs::write(path(name), text).expect("written");
        }
        let remap = Remap(vec![("/home/an \"ne\"".into(), "/cargo")]);
        let output = crate::run::cargo(folder.path())
            .args([
                "-Zunstable-options",
                "config",
                "get",
                "target.wasm32-unknown-unknown.rustflags",
            ])
            .args([
                "--format",
                "json-value",
                "--config",
                &remap.configuration("wasm32-unknown-unknown"),
            ])
            .env("RUSTC_BOOTSTRAP", "1")
            .output()
            .expect("cargo");
        let text = String::from_utf8_lossy(&output.stdout);
        let flags: Vec<String> = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!(flags, ["--cfg", "own", "--remap-path-prefix=/home/an \"ne\"=/cargo"]);
    }

    #[test]
    fn the_compiler_writes_none_of_the_folders() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let sources = [
            "repo/host/lib.rs",
            "repo/target/out/made.rs",
            "home/registry/src/mirror-1/dep/lib.rs",
        ];
        for source in sources {
            fs::create_dir_all(path(source).parent().expect("a folder")).expect("made");
            fs::write(path(source), "pub fn here() -> &'static str { file!() }").expect("written");
        }
        let remap = Remap::of(&path("repo"), &path("repo/target"), &path("home"), &path("toolchain"));
        let expected = [
            "/pipepost/host/lib.rs",
            "/pipepost/target/out/made.rs",
            "/cargo/dep/lib.rs",
        ];
        for (source, expected) in sources.into_iter().zip(expected) {
            let built = path("built.rlib");
            let mut rustc = Command::new("rustc");
            rustc.args(["--edition=2024", "--crate-type=rlib", "--crate-name=dep", "-o"]);
            rustc.arg(&built).arg(path(source));
            let built_with = |rustc: &mut Command| {
                assert!(rustc.status().expect("rustc").success());
                fs::read(&built).expect("built")
            };
            let plain = built_with(&mut rustc);
            assert!(!remap.left_in(&plain).is_empty(), "{source}: nothing to take out");
            let remapped = built_with(rustc.args(words(&remap.behind(None, None))));
            assert_eq!(remap.left_in(&remapped), Vec::<&Path>::new(), "{source}");
            let holds = |text: &str| remapped.windows(text.len()).any(|part| part == text.as_bytes());
            assert!(holds(expected) && !holds("mirror-1"), "{source}");
        }
    }
}
