//! Tells the program which kind of machine it was built for: the binary that it compiles connectors for is built for the
//! same.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!(
        "cargo::rustc-env=PRECOMPILE_TARGET={}",
        std::env::var("TARGET").unwrap_or_default()
    );
}
