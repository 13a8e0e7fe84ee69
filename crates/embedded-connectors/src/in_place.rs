//! Machine code that runs where it lies in the binary: the system reads of it what is needed, and all processes share it.
//!
//! A copy of it costs a fifth of a process that sends one message.

use std::sync::Arc;

use wasmtime::CustomCodeMemory;

/// Returns what an engine needs to run the embedded connectors where they lie; none where that is not possible.
///
/// It is for [`wasmtime::Config::with_custom_code_memory`], and serves all other code of that engine as well.
#[cfg(target_os = "linux")]
pub fn code_memory() -> Option<Arc<dyn CustomCodeMemory>> {
    let mut codes = super::embedded().iter().filter_map(|embedded| embedded.precompiled);
    let are_possible = codes.all(|precompiled| is_possible(precompiled.code));
    are_possible.then(|| Arc::new(Publisher) as Arc<dyn CustomCodeMemory>)
}

/// There is none elsewhere.
#[cfg(not(target_os = "linux"))]
pub fn code_memory() -> Option<Arc<dyn CustomCodeMemory>> {
    None
}

/// Checks whether bytes begin with a page.
#[cfg(target_os = "linux")]
pub(crate) fn is_possible(bytes: &[u8]) -> bool {
    bytes.as_ptr().addr().is_multiple_of(rustix::param::page_size())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_possible(_: &[u8]) -> bool {
    false
}

/// Makes pages executable, and never writable.
#[cfg(target_os = "linux")]
struct Publisher;

#[cfg(target_os = "linux")]
impl CustomCodeMemory for Publisher {
    fn required_alignment(&self) -> usize {
        rustix::param::page_size()
    }

    fn publish_executable(&self, code: *const u8, length: usize) -> wasmtime::Result<()> {
        protect(
            code,
            length,
            rustix::mm::MprotectFlags::READ | rustix::mm::MprotectFlags::EXEC,
        )
    }

    /// wasmtime gives back what it has mapped itself right after this.
    fn unpublish_executable(&self, code: *const u8, length: usize) -> wasmtime::Result<()> {
        protect(code, length, rustix::mm::MprotectFlags::READ)
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn protect(code: *const u8, length: usize, flags: rustix::mm::MprotectFlags) -> wasmtime::Result<()> {
    // SAFETY: only wasmtime has a `Publisher`, behind a trait that it calls with pages of code that it owns or was given, when
    // nobody writes to them any more, and before anybody runs them or after all have. They stay readable.
    unsafe { rustix::mm::mprotect(code.cast_mut().cast(), length, flags)? };
    Ok(())
}
