//! The connectors that are built into the binary, so that one file is a whole installation.
//!
//! `cargo xtask build` makes the components and then builds what depends on this crate. A plain `cargo build` finds
//! none and works all the same: [`embedded`] is then empty.
#![forbid(unsafe_code)]

/// A component that was embedded when this crate was compiled.
#[derive(Debug, Clone, Copy)]
pub struct Embedded {
    /// Its file's name, less the ending: `email-v2`.
    pub name: &'static str,
    /// The component.
    pub bytes: &'static [u8],
}

/// All embedded components, by name.
pub fn embedded() -> &'static [Embedded] {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"))
}
