//! Looks for built components and embeds them, with the machine code that `pipepost-precompile` made of them. It never
//! builds any: `cargo xtask build` does, in the plugins' own workspace and for their own target.
//!
//! Machine code is embedded only when its seal names the digests of this very component and of this very code, and the
//! processor and the system that is built for. Otherwise the component is embedded without it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use sha2::{Digest as _, Sha256};

#[path = "src/seal.rs"]
mod seal;

use seal::Seal;

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
        let Ok(bytes) = fs::read(&path) else {
            println!("cargo::error={} cannot be read", path.display());
            continue;
        };
        let digest = digest(&bytes);
        let precompiled = precompiled(&path, &digest);
        // Writing into a String cannot fail.
        let _ = writeln!(
            source,
            "    Embedded {{ name: {name:?}, bytes: include_bytes!({:?}), digest: {digest:?}, precompiled: {precompiled} }},",
            path.display().to_string(),
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

/// The expression for what was compiled of the component at `path`; `None` where there is nothing, or nothing that fits.
fn precompiled(path: &Path, component: &str) -> String {
    let (code, sealed) = (path.with_extension("cwasm"), path.with_extension("seal"));
    for path in [&code, &sealed] {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let (Ok(bytes), Ok(text)) = (fs::read(&code), fs::read_to_string(&sealed)) else {
        return "None".to_owned();
    };
    let fits = Seal::parse(&text).and_then(|seal| {
        let target = env::var("TARGET").unwrap_or_default();
        seal.check(component, &digest(&bytes), &target).map(|()| seal)
    });
    match fits {
        Ok(seal) => format!(
            "Some(Precompiled {{
                description: {:?},
                code: {{
                    static CODE: &Pages<[u8]> = &Pages(*include_bytes!({:?}));
                    &CODE.0
                }},
                is_used: {{
                    static IS_USED: AtomicBool = AtomicBool::new(false);
                    &IS_USED
                }},
            }})",
            seal.description,
            code.display().to_string()
        ),
        Err(reason) => {
            println!(
                "cargo::warning=the connector {} is embedded without its machine code, which {reason}",
                path.display()
            );
            "None".to_owned()
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
