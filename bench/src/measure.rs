//! Running one client as a process, and what it cost.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use wait4::Wait4 as _;

/// How much is read of what a client says, in bytes.
const SAID_MAX: u64 = 64 * 1024;

/// What one run of a client took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// From its start to its end, in seconds.
    pub(crate) wall: f64,
    /// User and system time, in seconds.
    pub(crate) cpu: f64,
    /// The most memory that it held at once, in bytes.
    pub(crate) peak: u64,
    /// What the client itself says that sending took, without its own start, in seconds.
    pub(crate) sending: Option<f64>,
}

impl Cost {
    /// Sending alone where the client tells it, else the whole process. It never favours Pipepost, which tells nothing.
    pub(crate) fn seconds(&self) -> f64 {
        self.sending.unwrap_or(self.wall)
    }
}

/// Runs it to its end.
///
/// # Errors
/// When it cannot be started or fails, with what it said.
pub(crate) fn run(command: &mut Command, folder: &Path) -> Result<Cost> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let (out, err) = (folder.join("client.out"), folder.join("client.err"));
    command
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?);
    let began = Instant::now();
    let child = command
        .spawn()
        .with_context(|| format!("`{shown}` cannot be started"))?;
    let used = child.wait4()?;
    let wall = began.elapsed().as_secs_f64();
    // Its beginning: what is held here counts for the clients that are started afterwards.
    let mut said = Vec::new();
    File::open(&out)?.take(SAID_MAX).read_to_end(&mut said)?;
    let said = String::from_utf8_lossy(&said);
    if !used.status.success() {
        let complaint = std::fs::read_to_string(&err).unwrap_or_default();
        let tail = |text: &str| {
            text.chars()
                .rev()
                .take(600)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .collect::<String>()
        };
        bail!("`{shown}` failed: {} {}", tail(&said), tail(&complaint));
    }
    let sending = said
        .lines()
        .find_map(|line| line.strip_prefix("sending ")?.trim().parse().ok());
    let cpu: Duration = used.rusage.utime + used.rusage.stime;
    Ok(Cost {
        wall,
        cpu: cpu.as_secs_f64(),
        peak: used.rusage.maxrss,
        sending,
    })
}
