//! Machine code as a file in memory, which wasmtime maps.
//!
//! wasmtime copies code that it gets as bytes, into memory that is new: a page fault for every 4 KiB, whether the code there
//! runs or not. A file it maps, and the pages that are needed come in groups. One write fills the file.

/// A file in memory, with its path.
#[cfg(target_os = "linux")]
pub(crate) struct Mapped(std::fs::File);

#[cfg(target_os = "linux")]
impl Mapped {
    /// Returns the path by which this process, and no other, opens the file.
    pub(crate) fn path(&self) -> String {
        use std::os::fd::AsRawFd as _;
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }
}

/// Returns a file with these bytes that cannot be changed; none where the system gives none.
#[cfg(target_os = "linux")]
pub(crate) fn file(bytes: &[u8]) -> Option<Mapped> {
    use std::io::Write as _;

    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = std::fs::File::from(memfd_create("connector", flags).ok()?);
    file.write_all(bytes).ok()?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&file, seals).ok()?;
    Some(Mapped(file))
}

/// There is no such file elsewhere.
#[cfg(not(target_os = "linux"))]
pub(crate) struct Mapped(std::convert::Infallible);

#[cfg(not(target_os = "linux"))]
impl Mapped {
    pub(crate) fn path(&self) -> String {
        match self.0 {}
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn file(_: &[u8]) -> Option<Mapped> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write as _;

    #[test]
    fn the_file_holds_the_bytes_and_nobody_changes_them() {
        let file = super::file(b"machine code").expect("a file in memory");
        assert_eq!(std::fs::read(file.path()).expect("it is there"), b"machine code");
        let again = OpenOptions::new().write(true).open(file.path());
        if let Ok(mut again) = again {
            again.write_all(b"other code").expect_err("it is sealed");
            again.set_len(0).expect_err("it is sealed");
        }
        assert_eq!(std::fs::read(file.path()).expect("it is there"), b"machine code");
    }
}
