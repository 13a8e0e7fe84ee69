//! Mail merges over long lists: the rate and the memory by the number of rows, from a file of rows and from the input.

use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::clients::{Client, Clients, Task};
use crate::letter;
use crate::measure::{self, Cost};
use crate::servers::{self, SmtpSink};
use crate::stats::Spread;

/// One length of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length {
    pub(crate) name: &'static str,
    pub(crate) rows: usize,
    /// The rows are an array in the input, and not a file.
    pub(crate) is_input: bool,
    /// What it may hold in memory, in bytes.
    pub(crate) peak_max: Option<f64>,
}

const fn length(name: &'static str, rows: usize, is_input: bool, peak_max: Option<f64>) -> Length {
    Length {
        name,
        rows,
        is_input,
        peak_max,
    }
}

const LENGTHS: [Length; 4] = [
    length("stream-10000", 10_000, false, None),
    length("stream-100000", 100_000, false, None),
    length("stream-1000000", 1_000_000, false, Some(128e6)),
    length("array-200000", 200_000, true, Some(400e6)),
];

/// The rate of the longest file, by that of the shortest, is at least this.
pub(crate) const LINEAR: f64 = 0.95;

/// What was found for one length.
pub(crate) struct Found {
    pub(crate) length: Length,
    /// Messages a second, over the process's whole life.
    pub(crate) rates: Vec<f64>,
    pub(crate) rate: Spread,
    /// In bytes.
    pub(crate) peak: Spread,
}

/// The rate of one length by that of another, in the same round.
pub(crate) fn ratio(found: &[Found], of: &str, by: &str) -> Option<Spread> {
    let rates = |name: &str| found.iter().find(|one| one.length.name == name).map(|one| &one.rates);
    let (of, by) = (rates(of)?, rates(by)?);
    Spread::of(of.iter().zip(by).map(|(of, by)| of / by))
}

/// Measures the lengths that are wanted, in turn. The lists are on the disk of `clients`: in memory they would count for it.
pub(crate) fn measure(
    clients: &Clients,
    wants: impl Fn(&str) -> bool,
    rounds: usize,
    divide: usize,
) -> Result<Vec<Found>> {
    let wanted: Vec<Length> = LENGTHS.into_iter().filter(|length| wants(length.name)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let sink = SmtpSink::start(&clients.folder)?;
    let folder = tempfile::Builder::new()
        .prefix("streaming-")
        .tempdir_in(&clients.disk)?;
    let mut costs: Vec<Vec<(usize, Cost)>> = vec![Vec::new(); wanted.len()];
    for round in 1..=rounds {
        for (length, costs) in wanted.iter().zip(&mut costs) {
            let rows = (length.rows / divide).max(1);
            let cost = one(clients, &sink, folder.path(), length, rows)?;
            eprintln!(
                "round {round}/{rounds}  {:<14} {rows:>9} rows  {:>9.3} s  {:>9.0}/s  {:>4} MB",
                length.name,
                cost.wall,
                rows as f64 / cost.wall,
                cost.peak / 1_000_000,
            );
            costs.push((rows, cost));
        }
    }
    let found = wanted.into_iter().zip(costs).map(|(length, costs)| {
        let rates: Vec<f64> = costs.iter().map(|(rows, cost)| *rows as f64 / cost.wall).collect();
        Ok(Found {
            length,
            rate: Spread::of(rates.iter().copied()).context("at least one round")?,
            rates,
            peak: Spread::of(costs.iter().map(|(_, cost)| cost.peak as f64)).context("at least one round")?,
        })
    });
    found.collect()
}

fn one(clients: &Clients, sink: &SmtpSink, folder: &Path, length: &Length, rows: usize) -> Result<Cost> {
    let task = Task {
        port: sink.port,
        messages: if length.is_input { rows } else { 1 },
        connections: 5,
        authority: None,
        attachment: None,
    };
    let mut command = clients.command(Client::Pipepost, &task)?;
    if length.is_input {
        let input = folder.join("input.json");
        std::fs::rename(clients.folder.join("input.json"), &input)
            .or_else(|_| std::fs::copy(clients.folder.join("input.json"), &input).map(drop))?;
        // The last one counts.
        command = again(&command, &[("--input", &input)]);
    } else {
        let file = folder.join("rows.csv");
        let mut out = BufWriter::new(std::fs::File::create(&file)?);
        writeln!(out, "subject,text,html")?;
        for number in 0..rows {
            let fields = [letter::subject(number), letter::text(number), letter::html(number)];
            let fields = fields.map(|field| format!("\"{}\"", field.replace('"', "\"\"")));
            writeln!(out, "{}", fields.join(","))?;
        }
        out.flush()?;
        let mut document = letter::pipeline(false, None);
        let params = &mut document["flowSpec"]["start"][0]["params"];
        params["items"] = serde_json::json!({ "file": "rows.csv" });
        params["results"] = serde_json::json!({ "file": "results.ndjson" });
        std::fs::write(clients.folder.join("pipeline.json"), document.to_string())?;
        command.arg("--files").arg(folder);
    }
    let before = servers::Server::stored(sink);
    let cost = measure::run(&mut command, &clients.folder)?;
    servers::expect(sink, before, rows)?;
    Ok(cost)
}

/// The same command with other values of some options.
fn again(command: &std::process::Command, others: &[(&str, &Path)]) -> std::process::Command {
    let mut made = std::process::Command::new(command.get_program());
    let mut value = None;
    for word in command.get_args() {
        made.arg(value.take().unwrap_or(word));
        value = others
            .iter()
            .find(|(name, _)| word == *name)
            .map(|(_, path)| path.as_os_str());
    }
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            made.env(name, value);
        }
    }
    made
}
