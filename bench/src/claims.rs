//! Thirty-two runs at once that write down what they are about to send: with the one writer that they share, and with a
//! connection and a writer for each.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::stats::Spread;

/// Runs at once.
pub(crate) const RUNS: usize = 32;

/// Claims a second.
pub(crate) struct Claims {
    /// With one writer for all.
    pub(crate) shared: Spread,
    /// With a connection and a writer for each run.
    pub(crate) separate: Spread,
    /// The one divided by the other, in the same round.
    pub(crate) ratio: Spread,
}

/// Has the bench of the store do it, with its files in `disk`.
pub(crate) fn measure(program: &Path, disk: &Path, rounds: usize) -> Result<Claims> {
    let (mut shared, mut separate) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let output = Command::new(program)
            .arg(disk)
            .arg(RUNS.to_string())
            .output()
            .context("the bench of the claims cannot be started")?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("the claims failed: {said}{}", String::from_utf8_lossy(&output.stderr));
        }
        let figure = |name: &str| -> Result<f64> {
            let line = said.lines().find_map(|line| line.strip_prefix(name));
            Ok(line.with_context(|| format!("no `{name}` in {said}"))?.trim().parse()?)
        };
        shared.push(figure("shared ")?);
        separate.push(figure("separate ")?);
        eprintln!("round {round}  claims  {}", said.trim().replace('\n', "  "));
    }
    let ratios: Vec<f64> = shared.iter().zip(&separate).map(|(one, other)| one / other).collect();
    let spread = |figures: Vec<f64>| Spread::of(figures).context("at least one round");
    Ok(Claims {
        shared: spread(shared)?,
        separate: spread(separate)?,
        ratio: spread(ratios)?,
    })
}
