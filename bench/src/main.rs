//! Measures Pipepost and its peers in turn, and writes what came of it as a page of Markdown.
//!
//! `cargo xtask bench` builds everything and calls this. It is not a load generator for other servers: it starts its
//! own, on loopback, and ends them.
#![forbid(unsafe_code)]

mod certificate;
mod claims;
mod clients;
mod in_flight;
mod instructions;
mod letter;
mod measure;
mod report;
mod rounds;
mod rows;
mod serve;
mod servers;
mod stats;
mod streaming;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clients::{Client, Clients};
use rows::Place;

const HELP: &str = "\
pipepost-bench --pipepost BINARY --scripts FOLDER --sends BINARY [--claims BINARY] [--root FOLDER] [--rounds N] [--only ROW,...] [--divide N] [--out FILE]

  --rounds N       how often everything is measured; 5
  --only ROW,...   some rows: data-1, data-8, chunking-1, tls-1, sandbox, far-chunking, far-data, cold, large, in-flight, claims,
                   instructions, serve, serve-async, serve-idle, serve-slow, stream-10000, stream-100000, stream-1000000, array-200000
  --divide N       N times fewer messages, to see that everything runs
  --ours           our own client alone, for work on it
  --out FILE       where the page goes; none: it is printed
";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("lettre") => clients::lettre::main(&clients::task(&arguments[1])?),
        Some("--help" | "-h" | "help") => {
            print!("{HELP}");
            Ok(())
        }
        Some("native") => clients::native::main(&clients::task(&arguments[1])?),
        _ => bench(&Options::parse(arguments)?),
    }
}

#[derive(Debug)]
struct Options {
    pipepost: PathBuf,
    scripts: PathBuf,
    sends: PathBuf,
    claims: Option<PathBuf>,
    root: Option<PathBuf>,
    rounds: usize,
    only: Vec<String>,
    divide: usize,
    ours: bool,
    out: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: Vec<String>) -> Result<Self> {
        let mut options = Self {
            pipepost: PathBuf::new(),
            scripts: PathBuf::new(),
            sends: PathBuf::new(),
            claims: None,
            root: None,
            rounds: 5,
            only: Vec::new(),
            divide: 1,
            ours: false,
            out: None,
        };
        let mut words = arguments.into_iter();
        while let Some(flag) = words.next() {
            if flag == "--ours" {
                options.ours = true;
                continue;
            }
            let value = words
                .next()
                .with_context(|| format!("`{flag}` has no value\n\n{HELP}"))?;
            match flag.as_str() {
                "--pipepost" => options.pipepost = value.into(),
                "--scripts" => options.scripts = value.into(),
                "--sends" => options.sends = value.into(),
                "--claims" => options.claims = Some(value.into()),
                "--root" => options.root = Some(value.into()),
                "--rounds" => options.rounds = value.parse()?,
                "--only" => options.only = value.split(',').map(str::to_owned).collect(),
                "--divide" => options.divide = value.parse::<usize>()?.max(1),
                "--out" => options.out = Some(value.into()),
                _ => bail!("`{flag}` is unknown\n\n{HELP}"),
            }
        }
        Ok(options)
    }

    fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == row)
    }
}

fn bench(options: &Options) -> Result<()> {
    let mut rows = rows::all();
    rows.retain(|row| options.wants(row.name));
    for row in &mut rows {
        if options.ours {
            row.clients.retain(|(client, _)| {
                matches!(
                    client,
                    Client::Pipepost | Client::Ledger | Client::Sandboxed | Client::Native
                )
            });
        }
        for (_, messages) in &mut row.clients {
            *messages = (*messages / options.divide).max(1);
        }
    }
    // In memory, where there is such a place: no disk is to be measured.
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = tempfile::Builder::new().prefix("pipepost-bench-").tempdir_in(parent)?;
    open_to_all(folder.path())?;
    let clients = Clients {
        pipepost: options.pipepost.canonicalize().context("the binary of `--pipepost`")?,
        scripts: options.scripts.clone(),
        folder: folder.path().to_owned(),
        sends: options.sends.clone(),
        disk: options.scripts.clone(),
    };
    let results = if rows.is_empty() {
        rounds::Results::default()
    } else {
        let with_postfix = rows.iter().any(|row| row.place == Place::FarPostfix);
        let servers = rounds::Servers::start(folder.path(), with_postfix)?;
        rounds::run(&rows, &clients, &servers, options.rounds)?
    };
    let sizes = serve::Sizes::divided(options.divide);
    let further = report::Further {
        streaming: streaming::measure(&clients, |row| options.wants(row), options.rounds, options.divide)?,
        served: serve::measure(&clients, |row| options.wants(row), options.rounds, &sizes, options.ours)?,
        claims: match &options.claims {
            Some(program) if options.wants("claims") => Some(claims::measure(program, &clients.disk, options.rounds)?),
            _ => None,
        },
        instructions: match options.wants("instructions") {
            true => instructions::measure(&clients)?,
            false => None,
        },
        in_flight: match &options.root {
            Some(root) if options.wants("in-flight") => Some(in_flight::measure(root, options.rounds)?),
            _ => None,
        },
    };
    let page = report::page(&rows, &results, &further, options.rounds);
    match &options.out {
        Some(path) => std::fs::write(path, page)?,
        None => println!("{page}"),
    }
    Ok(())
}

/// The servers run as users of their own.
fn open_to_all(folder: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(
        folder,
        std::fs::Permissions::from_mode(0o755),
    )?)
}
