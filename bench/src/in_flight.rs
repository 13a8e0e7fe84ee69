//! A thousand runs at once against a server that is slow to answer: what they hold in memory.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::servers::{Chunking, expect};
use crate::stats::Spread;

/// Runs at once.
pub(crate) const RUNS: usize = 1000;

/// How long the server takes for each answer: long enough for all runs to wait at once.
const PAUSE: Duration = Duration::from_secs(1);

/// What was found.
pub(crate) struct InFlight {
    /// The most proportional set size of the process, in bytes.
    pub(crate) pss: Spread,
    /// From the first start to the last end, in seconds.
    pub(crate) seconds: Spread,
}

/// Runs the host's own bench so often: it holds a host as a library would.
pub(crate) fn measure(root: &Path, rounds: usize) -> Result<InFlight> {
    let (mut pss, mut seconds) = (Vec::new(), Vec::new());
    let server = Chunking::start(PAUSE)?;
    for _ in 0..rounds {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .current_dir(root)
            .args([
                "bench",
                "--quiet",
                "--package",
                "pipepost",
                "--bench",
                "in_flight",
                "--",
            ])
            .args([server.port.to_string(), RUNS.to_string()]);
        let before = crate::servers::Server::stored(&server);
        let output = command.output().context("cargo cannot be started")?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!(
                "the runs in flight failed: {said}{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        expect(&server, before, RUNS)?;
        let figure = |name: &str| -> Result<f64> {
            let line = said.lines().find_map(|line| line.strip_prefix(name));
            Ok(line.with_context(|| format!("no `{name}` in {said}"))?.trim().parse()?)
        };
        pss.push(figure("pss ")?);
        seconds.push(figure("seconds ")?);
        eprintln!(
            "{RUNS} runs in flight: {:.0} MB, {:.1} s",
            pss.last().unwrap_or(&0.0) / 1e6,
            seconds.last().unwrap_or(&0.0)
        );
    }
    Ok(InFlight {
        pss: Spread::of(pss).context("at least one round")?,
        seconds: Spread::of(seconds).context("at least one round")?,
    })
}
