//! What one sandbox may use.

use std::time::Duration;

/// What a sandbox may use. Each limit ends the instance that goes past it, and the run's step with a failure of kind
/// `limit` that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory: usize,
    /// CPU time of one `perform`, besides [`Limits::cpu_per_call`].
    pub cpu: Duration,
    /// CPU time of one `perform` for each of its calls.
    pub cpu_per_call: Duration,
    /// Instances alive at once in the process; further ones wait for a place.
    pub instances: u32,
    /// Bytes of JSON that one call may give or get.
    pub json: usize,
    /// Lines of log of one `perform`.
    pub log_lines: u32,
    /// Bytes of one log line; what is longer is cut.
    pub log_line: usize,
    /// Resources (connections, files) that one instance may hold at once.
    pub resources: usize,
    /// Bytes of files that one instance may make.
    pub new_files: u64,
    /// Connections that one `perform` may open, one after another, besides two for each of its calls.
    pub connections: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            cpu: Duration::from_secs(5),
            cpu_per_call: Duration::from_millis(50),
            instances: 1000,
            json: 32 << 20,
            log_lines: 1000,
            log_line: 4096,
            resources: 256,
            new_files: 1 << 30,
            connections: 20,
        }
    }
}
