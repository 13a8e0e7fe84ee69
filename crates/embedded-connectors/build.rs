//! Looks for built components and embeds them. It never builds any: `cargo xtask build` does, in the plugins' own
//! workspace and for their own target.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-env-changed=PIPEPOST_CONNECTORS");
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let directory =
        env::var_os("PIPEPOST_CONNECTORS").map_or_else(|| manifest.join("../../target/connectors"), PathBuf::from);
    println!("cargo::rerun-if-changed={}", directory.display());

    let mut components: Vec<PathBuf> = fs::read_dir(&directory)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    components.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    components.sort();

    let mut source = String::from("&[\n");
    for path in components {
        let path = path.canonicalize().unwrap_or(path);
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // Writing into a String cannot fail.
        let _ = writeln!(
            source,
            "    Embedded {{ name: {name:?}, bytes: include_bytes!({:?}) }},",
            path.display().to_string()
        );
    }
    source.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("embedded.rs");
    if let Err(error) = fs::write(&out, source) {
        println!(
            "cargo::error=the list of connectors cannot be written to {}: {error}",
            out.display()
        );
    }
}
