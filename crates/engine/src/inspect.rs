//! Reads from a component's bytes what it imports and exports.
//!
//! The answer comes from the binary itself, not from what the component says. A component can reach only what is among
//! its imports, so this list is all of its authority before any grant narrows it.

use serde::{Deserialize, Serialize};
use wasmparser::{ComponentExternalKind, ComponentTypeRef, Encoding, Parser, Payload};

/// The imports and exports of a component, as its bytes name them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interfaces {
    /// Names such as `pipepost:mail/transport@0.1.0`, in the binary's order.
    pub imports: Vec<String>,
    /// Names such as `pipepost:connector/step@0.1.0`.
    pub exports: Vec<String>,
}

/// The reason why bytes are not a component.
#[derive(Debug, thiserror::Error)]
pub enum NotAComponent {
    /// The bytes are a core module: compiled, but not turned into a component.
    #[error("it is a core WebAssembly module and not a component; `cargo xtask build` makes components of modules")]
    CoreModule,
    /// The bytes are not WebAssembly, or they are damaged.
    #[error("it is not WebAssembly, or it is damaged ({0})")]
    Malformed(String),
}

/// Reads the names of a component's top-level imports and exports.
///
/// # Errors
/// Fails when the bytes are not a component.
pub fn interfaces(bytes: &[u8]) -> Result<Interfaces, NotAComponent> {
    let malformed = |error: wasmparser::BinaryReaderError| {
        // What follows its first line is for a developer of parsers.
        let what = error
            .message()
            .lines()
            .next()
            .unwrap_or_default()
            .trim_end_matches([':', ' ']);
        NotAComponent::Malformed(what.to_owned())
    };
    let mut found = Interfaces::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(malformed)? {
            Payload::Version {
                encoding: Encoding::Module,
                ..
            } if depth == 0 => return Err(NotAComponent::CoreModule),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    let import = import.map_err(malformed)?;
                    if is_authority(&import.ty) {
                        found.imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    let export = export.map_err(malformed)?;
                    if export.kind == ComponentExternalKind::Instance {
                        found.exports.push(export.name.name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// A type import names a type and reaches nothing; anything else (an instance, a function, a module, a value) counts.
fn is_authority(import: &ComponentTypeRef) -> bool {
    !matches!(import, ComponentTypeRef::Type(_))
}
