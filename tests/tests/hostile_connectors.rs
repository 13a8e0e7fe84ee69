//! Connectors that mean harm, through the real binary. What they may do at all is tested in `host/tests/sandbox/`; here is
//! what only a process of its own shows.

mod hostile_connectors {
    // How much memory the worst of them makes the process take.
    #[cfg(target_os = "linux")]
    mod memory;
}
