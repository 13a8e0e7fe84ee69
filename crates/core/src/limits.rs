//! What one sandbox may use.

use std::time::Duration;

/// The limits of a sandbox. An instance that exceeds one of them is ended, and the step fails with a failure of kind
/// `limit` that names the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory: usize,
    /// CPU time of one `perform`, in addition to [`Limits::cpu_per_call`].
    pub cpu: Duration,
    /// CPU time of one `perform` for each of its calls.
    pub cpu_per_call: Duration,
    /// Instances alive at the same time in the process; further instances wait for a free place.
    pub instances: u32,
    /// Bytes of JSON that one call may pass or receive.
    pub json: usize,
    /// Log lines of one `perform`.
    pub log_lines: u32,
    /// Bytes of one log line; a longer line is cut.
    pub log_line: usize,
    /// Resources (connections, files) that one instance may hold at the same time.
    pub resources: usize,
    /// Bytes of files that one instance may create.
    pub new_files: u64,
    /// Connections that one `perform` may open, one after another, in addition to two for each of its calls.
    pub connections: u32,
    /// Bytes of JSON that the host keeps for one `perform`: results, what is in doubt, remainders. It is at least twice
    /// [`Limits::json`], and grows by four times the bytes of the calls' parameters.
    pub kept_bytes: u64,
    /// JSON values that the host keeps for one `perform`; 500,000 take about 50 MB of memory. It grows by half the bytes of
    /// the calls' parameters, up to [`Limits::kept_values_for_calls`].
    pub kept_values: u64,
    /// JSON values that are kept beyond [`Limits::kept_values`] for calls with large parameters.
    pub kept_values_for_calls: u64,
    /// Bytes of everything that a connector says of itself together.
    pub manifest: usize,
    /// Bytes of a connector's name, and of any text of its manifest that is not a schema.
    pub manifest_text: usize,
    /// Aliases and account types that a connector may list.
    pub manifest_names: usize,
    /// JSON values in one schema of a connector.
    pub schema_values: u64,
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
            kept_bytes: 64 << 20,
            kept_values: 500_000,
            kept_values_for_calls: 2_000_000,
            manifest: 2 << 20,
            manifest_text: 1000,
            manifest_names: 100,
            schema_values: 20_000,
        }
    }
}
