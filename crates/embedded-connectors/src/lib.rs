//! The connectors that are built into the binary, so that one file is a whole installation.
//!
//! `cargo xtask build` makes the components, compiles them to machine code, and then builds what depends on this crate. A
//! plain `cargo build` finds no components and works without them: [`embedded`] is then empty. Without machine code, a
//! component is compiled when it is loaded.
//!
//! This is the only crate of the host that allows unsafe code, in two functions: one has machine code run as it is, so the
//! bytes that it passes on must be what wasmtime has compiled. They are private to this crate, they are constants of the
//! binary, and the build script has compared their digest with the one that was written when they were compiled. Whoever can
//! change them can change the rest of the binary too. The other one makes pages executable for wasmtime. See "Machine code
//! that was compiled before" in SECURITY.md.
#![deny(unsafe_code)]

mod in_place;
mod mapped;
#[cfg(test)]
mod seal;

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime::Engine;
use wasmtime::component::Component;

pub use self::in_place::code_memory;

/// A component that was embedded when this crate was compiled.
#[derive(Debug, Clone, Copy)]
pub struct Embedded {
    /// Its file's name, less the ending: `email-v2`.
    pub name: &'static str,
    /// The component.
    pub bytes: &'static [u8],
    /// The SHA-256 digest of the component: `sha256:` and 64 hexadecimal digits.
    pub digest: &'static str,
    /// What was compiled of it, if anything was.
    pub precompiled: Option<Precompiled>,
}

/// The machine code of an embedded component.
#[derive(Clone, Copy)]
pub struct Precompiled {
    /// The component's own description and its imports and exports, as JSON.
    pub description: &'static str,
    /// Set by the build script alone.
    code: &'static [u8],
    /// A component of this process runs the code where it lies: wasmtime knows a place of code once.
    is_used: &'static AtomicBool,
}

/// Bytes that begin with a page, of which the processor may be told that they are code.
#[cfg_attr(target_arch = "x86_64", repr(C, align(4096)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(65536)))]
struct Pages<T: ?Sized>(T);

impl std::fmt::Debug for Precompiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Precompiled")
            .field("bytes", &self.code.len())
            .finish_non_exhaustive()
    }
}

impl Precompiled {
    /// Returns the machine code, to look at.
    pub fn code(&self) -> &'static [u8] {
        self.code
    }

    /// Loads the component without compiling it. The first time, and with an engine that has this crate's [`code_memory`], the
    /// code stays where it is in the binary; else it is copied.
    ///
    /// # Errors
    /// Fails when the code was made by another version of wasmtime, with other settings than this engine's, or for another
    /// processor. The component can then be compiled.
    #[allow(unsafe_code)]
    pub fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: `code` is what `Component::serialize` or `Engine::precompile_component` has returned. Nobody outside of
        // this crate can make a `Precompiled`, the build script makes one only of bytes whose digest is that of their seal,
        // and a constant of the binary does not change and lives as long as the process. The file holds the same bytes, is
        // sealed against any change, and has no name under which another file could take its place. That version, settings
        // and processor fit is checked by wasmtime before it uses any of it.
        unsafe {
            if in_place::is_possible(self.code) && !self.is_used.swap(true, Ordering::AcqRel) {
                let in_place = Component::deserialize_raw(engine, NonNull::from(self.code));
                if in_place.is_ok() {
                    return in_place;
                }
                self.is_used.store(false, Ordering::Release);
            }
            let file = mapped::file(self.code);
            let copied = || Component::deserialize(engine, self.code);
            match &file {
                Some(file) => Component::deserialize_file(engine, file.path()).or_else(|_| copied()),
                None => copied(),
            }
        }
    }
}

/// All embedded components, by name.
pub fn embedded() -> &'static [Embedded] {
    static EMBEDDED: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
    EMBEDDED
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::seal::Seal;
    use super::*;

    const COMPONENT: &str = "sha256:aa";
    const CODE: &str = "sha256:bb";
    const TARGET: &str = "x86_64-unknown-linux-gnu";

    fn seal() -> Seal<'static> {
        Seal {
            component: COMPONENT,
            code: CODE,
            target: TARGET,
            description: "{}",
        }
    }

    #[test]
    fn a_seal_is_read_as_it_was_written() {
        let text = seal().to_text();
        assert_eq!(Seal::parse(&text), Ok(seal()));
        assert!(Seal::parse("sha256:aa\nsha256:bb\n").is_err());
        assert!(Seal::parse(&format!("{text}more\n")).is_err());
    }

    #[test]
    fn machine_code_of_another_component_or_target_or_that_was_changed_is_not_embedded() {
        assert_eq!(seal().check(COMPONENT, CODE, TARGET), Ok(()));
        for (component, code, target) in [
            ("sha256:ac", CODE, TARGET),
            (COMPONENT, "sha256:bc", TARGET),
            (COMPONENT, CODE, "aarch64-unknown-linux-gnu"),
        ] {
            assert!(
                seal().check(component, code, target).is_err(),
                "{component} {code} {target}"
            );
        }
    }

    #[test]
    fn the_digests_are_those_of_the_bytes() {
        for connector in embedded() {
            let digest: String = Sha256::digest(connector.bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(connector.digest, format!("sha256:{digest}"), "{}", connector.name);
        }
    }

    #[test]
    fn code_begins_with_a_page() {
        for precompiled in embedded().iter().filter_map(|connector| connector.precompiled) {
            assert!(precompiled.code.as_ptr().addr().is_multiple_of(4096), "{precompiled:?}");
        }
    }

    #[test]
    fn code_for_other_settings_is_refused_before_any_of_it_is_used() {
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(false);
        let engine = Engine::new(&config).expect("an engine");
        for precompiled in embedded().iter().filter_map(|connector| connector.precompiled) {
            assert!(precompiled.load(&engine).is_err(), "{precompiled:?}");
        }
    }
}
