//! The rounds: every row, every client in turn, again and again.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::clients::{Client, Clients, Task};
use crate::measure::{self, Cost};
use crate::rows::{Against, Figure, Goal, Place, Row};
use crate::servers::{self, Chunking, Delay, Postfix, Server, SmtpSink, Stunnel};
use crate::stats::Spread;

/// Half of the round trip of the far servers.
const ONE_WAY: Duration = Duration::from_millis(20);

/// The size of the attachment.
const ATTACHMENT: usize = 25_000_000;

/// Every server that a row names.
pub(crate) struct Servers {
    sink: SmtpSink,
    tls: Stunnel,
    chunking: Chunking,
    far_sink: Delay,
    postfix: Option<(Postfix, Delay)>,
}

impl Servers {
    pub(crate) fn start(folder: &Path, with_postfix: bool) -> Result<Self> {
        let sink = SmtpSink::start(folder)?;
        let far_sink = Delay::start(sink.port, ONE_WAY)?;
        let postfix = if with_postfix {
            let postfix = Postfix::start(&folder.join("postfix"))?;
            let far = Delay::start(postfix.port, ONE_WAY)?;
            Some((postfix, far))
        } else {
            None
        };
        Ok(Self {
            tls: Stunnel::start(folder)?,
            chunking: Chunking::start(Duration::ZERO)?,
            far_sink,
            postfix,
            sink,
        })
    }

    fn at(&self, place: Place) -> Result<(&dyn Server, u16)> {
        Ok(match place {
            Place::Sink => (&self.sink, self.sink.port),
            Place::Tls => (&self.tls, self.tls.port),
            Place::Chunking => (&self.chunking, self.chunking.port),
            Place::FarSink => (&self.sink, self.far_sink.port),
            Place::FarPostfix => {
                let (postfix, far) = self.postfix.as_ref().context("Postfix was not started")?;
                (postfix, far.port)
            }
        })
    }
}

/// What every client took in every round.
#[derive(Debug, Default)]
pub(crate) struct Results {
    costs: BTreeMap<(&'static str, Client), Vec<Cost>>,
}

impl Results {
    /// One figure of one client in one row, round by round.
    pub(crate) fn figures(&self, row: &Row, client: Client, figure: Figure) -> Vec<f64> {
        let messages = row
            .clients
            .iter()
            .find(|(other, _)| *other == client)
            .map_or(0, |(_, count)| *count);
        let costs = self
            .costs
            .get(&(row.name, client))
            .map(Vec::as_slice)
            .unwrap_or_default();
        let of = |cost: &Cost| match figure {
            Figure::Rate => messages as f64 / cost.seconds(),
            Figure::Time => cost.seconds(),
            Figure::Life => cost.wall,
            Figure::Cpu => cost.cpu,
            Figure::Peak => cost.peak as f64,
        };
        costs.iter().map(of).collect()
    }

    /// Ours divided by what a goal holds it against, round by round.
    pub(crate) fn ratio(&self, rows: &[Row], row: &Row, goal: &Goal) -> Option<Spread> {
        let ours = self.figures(row, goal.of, goal.figure);
        let theirs = match goal.against {
            Against::Peer(peer) => self.figures(row, peer, goal.figure),
            Against::OurRow(name) => {
                let other = rows.iter().find(|other| other.name == name)?;
                self.figures(other, Client::Pipepost, goal.figure)
            }
            Against::Bytes(most) | Against::Seconds(most) => vec![most; ours.len()],
        };
        Spread::of(ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs))
    }
}

/// Runs everything.
pub(crate) fn run(rows: &[Row], clients: &Clients, servers: &Servers, rounds: usize) -> Result<Results> {
    let attachment = clients.folder.join("files/big.bin");
    std::fs::create_dir_all(clients.folder.join("files"))?;
    write_noise(&attachment, ATTACHMENT)?;
    let mut results = Results::default();
    // Nothing of this is kept: caches fill, and the connectors are compiled.
    for row in rows {
        if let Some((client, _)) = row.clients.first() {
            one(row, (*client, 1), clients, servers, &attachment)?;
        }
    }
    for round in 1..=rounds {
        for row in rows {
            for entry in &row.clients {
                let cost = one(row, *entry, clients, servers, &attachment)
                    .with_context(|| format!("{} in the row `{}`", entry.0.name(), row.title))?;
                eprintln!(
                    "round {round}/{rounds}  {:<14} {:<16} {:>7} messages  {:>9.4} s  {:>9.0}/s  cpu {:.3} s  {:>4} MB",
                    row.name,
                    entry.0.name(),
                    entry.1,
                    cost.seconds(),
                    entry.1 as f64 / cost.seconds(),
                    cost.cpu,
                    cost.peak / 1_000_000,
                );
                results.costs.entry((row.name, entry.0)).or_default().push(cost);
            }
        }
    }
    Ok(results)
}

fn one(
    row: &Row,
    (client, messages): (Client, usize),
    clients: &Clients,
    servers: &Servers,
    attachment: &Path,
) -> Result<Cost> {
    let (server, port) = servers.at(row.place)?;
    let authority: Option<PathBuf> = (row.place == Place::Tls).then(|| servers.tls.authority.clone());
    let task = Task {
        port,
        messages,
        connections: row.connections,
        authority,
        attachment: row.attachment.then(|| attachment.to_owned()),
    };
    let before = server.stored();
    let cost = measure::run(&mut clients.command(client, &task)?, &clients.folder)?;
    servers::expect(server, before, if client.sends() { messages } else { 0 })?;
    Ok(cost)
}

/// Bytes that nobody can compress or guess, and that are the same in every bench.
fn write_noise(path: &Path, count: usize) -> Result<()> {
    let mut generator = fastrand::Rng::with_seed(25);
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for _ in 0..count {
        file.write_all(&[generator.u8(..)])?;
    }
    Ok(file.flush()?)
}
