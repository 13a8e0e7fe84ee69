//! The instructions of a message, counted by callgrind: the same on every machine, and whatever else it does.
//!
//! A merge of many messages is counted, and one of few, so that the start of the process is in neither. What callgrind
//! runs has no instructions for SHA-256, which the product's digest of a message takes where a processor has them; it is
//! a line of its own.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::clients::{Client, Clients, Task};
use crate::servers::{self, SmtpSink};

/// Messages of the two merges.
const FEW: usize = 200;
const MANY: usize = 1200;

/// Instructions a message, in thousands.
#[derive(Debug, Default)]
pub(crate) struct Instructions {
    /// The host: the binary, without the machine code of connectors.
    pub(crate) host: f64,
    /// The connector.
    pub(crate) connector: f64,
    /// The system's libraries: mostly copies.
    pub(crate) libraries: f64,
    /// The digest of a message's content.
    pub(crate) digest: f64,
}

/// Counts them; none where there is no valgrind.
pub(crate) fn measure(clients: &Clients) -> Result<Option<Instructions>> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("instructions are not counted: there is no valgrind");
        return Ok(None);
    }
    let sink = SmtpSink::start(&clients.folder)?;
    let (few, many) = (count(clients, &sink, FEW)?, count(clients, &sink, MANY)?);
    let messages = (MANY - FEW) as f64;
    let a_message = |of: fn(&Instructions) -> f64| (of(&many) - of(&few)) / messages / 1000.0;
    Ok(Some(Instructions {
        host: a_message(|counted| counted.host),
        connector: a_message(|counted| counted.connector),
        libraries: a_message(|counted| counted.libraries),
        digest: a_message(|counted| counted.digest),
    }))
}

fn count(clients: &Clients, sink: &SmtpSink, messages: usize) -> Result<Instructions> {
    let task = Task {
        port: sink.port,
        messages,
        connections: 1,
        authority: None,
        attachment: None,
    };
    let sending = clients.command(Client::Pipepost, &task)?;
    let counts = clients.folder.join("callgrind.out");
    let mut command = Command::new("valgrind");
    command
        // Machine code that lies in a file never changes; what is made in memory may.
        .args(["--tool=callgrind", "--smc-check=all-non-file", "--quiet"])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(sending.get_program())
        .args(sending.get_args());
    for (name, value) in sending.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let before = servers::Server::stored(sink);
    let output = command.output().context("valgrind cannot be started")?;
    if !output.status.success() {
        bail!(
            "it does not run under valgrind: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    servers::expect(sink, before, messages)?;
    read(&counts)
}

/// Adds up callgrind's file by what the instructions belong to: a line of costs after each `ob=` (a file of machine code) and
/// `fn=` (a function), where the line after `calls=` is somebody else's cost.
fn read(counts: &Path) -> Result<Instructions> {
    let text = std::fs::read_to_string(counts)?;
    let mut names = HashMap::new();
    let (mut object, mut function) = (String::new(), String::new());
    let mut found = Instructions::default();
    let mut is_of_call = false;
    for line in text.lines() {
        if let Some(named) = line.strip_prefix("ob=") {
            object = name(&mut names, "ob", named);
        } else if let Some(named) = line.strip_prefix("fn=") {
            function = name(&mut names, "fn", named);
        } else if let Some(named) = line.strip_prefix("cob=") {
            name(&mut names, "ob", named);
        } else if let Some(named) = line.strip_prefix("cfn=") {
            name(&mut names, "fn", named);
        } else if line.starts_with("calls=") {
            is_of_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '*')) {
            if std::mem::take(&mut is_of_call) {
                continue;
            }
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<f64>().ok());
            let cost = cost.with_context(|| format!("`{line}` of callgrind has no cost"))?;
            *match (object.as_str(), function.contains("sha2::")) {
                (_, true) => &mut found.digest,
                // Machine code that belongs to no file, or to no part of one that has functions.
                ("???", _) => &mut found.connector,
                (object, _) if object.contains("/lib") => &mut found.libraries,
                _ => &mut found.host,
            } += cost;
        }
    }
    Ok(found)
}

/// A name as callgrind writes it: with its number the first time, and by its number from then on.
fn name(names: &mut HashMap<(&'static str, String), String>, kind: &'static str, named: &str) -> String {
    let Some((number, name)) = named.split_once(')') else {
        return named.to_owned();
    };
    let key = (kind, number.to_owned());
    match name.trim() {
        "" => names.get(&key).cloned().unwrap_or_default(),
        name => {
            names.insert(key, name.to_owned());
            name.to_owned()
        }
    }
}
