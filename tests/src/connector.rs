//! Small components, to see what a host makes of them.
//!
//! They are made from the contract in `wit/` and a core module written by hand, so they need no compiler.

use std::fmt::Write as _;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::root;

/// A connector that describes itself and does nothing.
#[derive(Debug, Clone, Default)]
pub struct Tiny {
    name: String,
    aliases: Vec<String>,
    probes: Vec<String>,
}

impl Tiny {
    /// Called so.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// With another name by which documents call it.
    #[must_use]
    pub fn alias(mut self, alias: &str) -> Self {
        self.aliases.push(alias.to_owned());
        self
    }

    /// That imports an interface, such as `wasi:filesystem/types@0.2.0`, with the one function `probe`.
    #[must_use]
    pub fn importing(mut self, interface: &str) -> Self {
        self.probes.push(interface.to_owned());
        self
    }

    /// The component's bytes.
    pub fn component(&self) -> Vec<u8> {
        let mut resolve = Resolve::default();
        for package in ["wasi-clocks-0.2.0", "wasi-random-0.2.0", "pipepost-connector-0.1.0"] {
            resolve
                .push_dir(root().join("wit").join(package))
                .expect("the contract is WIT");
        }
        let package = resolve.push_str("tiny.wit", &self.world()).expect("the world is WIT");
        let world = resolve
            .select_world(&[package], Some("tiny"))
            .expect("the world is there");
        let mut module = wat::parse_str(self.module()).expect("the module is WAT");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
            .expect("the module takes its world");
        let mut encoder = ComponentEncoder::default()
            .validate(true)
            .module(&module)
            .expect("the module has its world");
        encoder.encode().expect("the module fits its world")
    }

    fn world(&self) -> String {
        let mut text = "package tests:tiny;\nworld tiny {\n".to_owned();
        for probe in &self.probes {
            let _ = writeln!(text, "  import {probe};");
        }
        text.push_str("  export pipepost:connector/step@0.1.0;\n}\n");
        for probe in &self.probes {
            let (package, rest) = probe.split_once('/').expect("namespace:package/interface@version");
            let (interface, version) = rest.split_once('@').expect("namespace:package/interface@version");
            let _ = writeln!(
                text,
                "package {package}@{version} {{ interface {interface} {{ probe: func(); }} }}"
            );
        }
        text
    }

    /// `describe` gives the address of a manifest: seven pairs of address and length (the canonical ABI's layout of
    /// `record manifest`), which stand in the memory from the start, as do the texts behind them.
    fn module(&self) -> String {
        let mut data = Data::default();
        let schema = r#"{"type":"object"}"#;
        let manifest = [
            data.text(&self.name),
            data.list(&self.aliases),
            data.text("0.1.0"),
            data.text("Does nothing."),
            data.text(schema),
            data.text(schema),
            data.list(&[]),
        ];
        let manifest = data.pairs(&manifest);
        let imports: String = self
            .probes
            .iter()
            .enumerate()
            .fold(String::new(), |mut text, (index, probe)| {
                let _ = writeln!(text, r#"(import "{probe}" "probe" (func $probe{index}))"#);
                text
            });
        let calls: String = (0..self.probes.len()).fold(String::new(), |mut text, index| {
            let _ = write!(text, "call $probe{index} ");
            text
        });
        format!(
            r#"(module
                {imports}
                (memory (export "memory") 2)
                (global $free (mut i32) (i32.const 65536))
                (data (i32.const {START}) "{bytes}")
                (func (export "cabi_realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32) (result i32)
                    (local $at i32)
                    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
                    (global.set $free (i32.add (local.get $at) (local.get $new)))
                    (local.get $at))
                (func (export "pipepost:connector/step@0.1.0#describe") (result i32) i32.const {manifest})
                (func (export "pipepost:connector/step@0.1.0#perform") (param i32 i32 i32 i32 i32) {calls}))"#,
            bytes = data.escaped(),
        )
    }
}

/// Where the data begins: an address of 0 is for mistakes.
const START: u32 = 1024;

/// The module's first memory.
#[derive(Default)]
struct Data(Vec<u8>);

impl Data {
    fn text(&mut self, text: &str) -> (u32, u32) {
        self.put(text.as_bytes(), text.len())
    }

    fn list(&mut self, texts: &[String]) -> (u32, u32) {
        let pairs: Vec<(u32, u32)> = texts.iter().map(|text| self.text(text)).collect();
        (self.pairs(&pairs), u32::try_from(texts.len()).expect("a short list"))
    }

    fn pairs(&mut self, pairs: &[(u32, u32)]) -> u32 {
        let bytes: Vec<u8> = pairs
            .iter()
            .flat_map(|(at, length)| [at.to_le_bytes(), length.to_le_bytes()].concat())
            .collect();
        self.put(&bytes, 0).0
    }

    /// At a multiple of four, which is what the layout asks for.
    fn put(&mut self, bytes: &[u8], length: usize) -> (u32, u32) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        let at = START + u32::try_from(self.0.len()).expect("a small memory");
        self.0.extend_from_slice(bytes);
        (at, u32::try_from(length).expect("a short text"))
    }

    fn escaped(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "\\{byte:02x}");
            text
        })
    }
}

/// A connector that means harm, as `cargo xtask hostile` has built it.
///
/// # Panics
/// When it was not built.
pub fn component(name: &str) -> Vec<u8> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), std::path::PathBuf::from);
    let path = target.join("hostile").join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("`cargo xtask hostile` makes `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The encoder validates, so a component that is made is a component; this one also has what it was asked for.
    #[test]
    fn a_component_imports_what_it_was_told_to() {
        let bytes = Tiny::new("tiny")
            .alias("small")
            .importing("wasi:filesystem/types@0.2.0")
            .component();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("wasi:filesystem/types@0.2.0") && text.contains("pipepost:connector/step@0.1.0"));
        assert!(!String::from_utf8_lossy(&Tiny::new("tiny").component()).contains("wasi:"));
    }
}
