//! The page: the machine, the settings, the figures, and the goals.

mod served;
mod streamed;

use std::fmt::Write as _;
use std::process::Command;

use crate::claims::Claims;
use crate::clients::Client;
use crate::in_flight::{InFlight, RUNS};
use crate::instructions::Instructions;
use crate::rounds::Results;
use crate::rows::{Against, Bound, Figure, Goal, Place, Row};
use crate::serve::Found;
use crate::stats::{Spread, short};

const MIB: f64 = 1024.0 * 1024.0;

/// What a thousand runs in flight may hold.
const IN_FLIGHT: f64 = 160e6;

/// What is measured beside the clients that send and end.
pub(crate) struct Further {
    pub(crate) streaming: Vec<crate::streaming::Found>,
    pub(crate) served: Option<Found>,
    pub(crate) claims: Option<Claims>,
    pub(crate) instructions: Option<Instructions>,
    pub(crate) in_flight: Option<InFlight>,
}

/// Writes the page.
pub(crate) fn page(rows: &[Row], results: &Results, further: &Further, rounds: usize) -> String {
    let in_flight = further.in_flight.as_ref();
    let mut page = String::from(
        "# Benchmarks\n\nMade by `cargo xtask bench`; not written by hand. What the figures mean, and where a message's time goes, \
         stands in [performance.md](performance.md).\n\n",
    );
    let _ = write!(
        page,
        "Every figure is the median of {rounds} rounds, with the least and the most behind it. In each round every client does each \
         row's work once, one after another, so that all see the same machine; a ratio is formed within a round, and its median \
         is shown. After each run the server's count of messages is compared with what was sent.\n\n"
    );
    machine(&mut page);
    goals(&mut page, rows, results, further);
    for row in rows {
        figures(&mut page, row, results);
    }
    if let Some(found) = in_flight {
        let _ = write!(
            page,
            "## {RUNS} runs in flight\n\nOne process with the host as a library, {RUNS} runs of a pipeline started at once, each with an \
             account's connection and an instance of its own, to a server (the bench's own) that waits a second before each answer. \
             At most {} MiB (proportional set size; {} to {}); the last run ended after {} s, and all {RUNS} messages arrived.\n\n",
            short(found.pss.median / MIB),
            short(found.pss.least / MIB),
            short(found.pss.most / MIB),
            short(found.seconds.median),
        );
    }
    streamed::figures(&mut page, &further.streaming);
    if let Some(counted) = &further.instructions {
        instructions(&mut page, counted);
    }
    if let Some(claims) = &further.claims {
        served::claims(&mut page, claims);
    }
    if let Some(found) = &further.served {
        served::figures(&mut page, found);
    }
    settings(&mut page, rows);
    page
}

/// Instructions of the host for a message, at most, in thousands.
const HOST_MAX: f64 = 110.0;

fn instructions(page: &mut String, counted: &Instructions) {
    let _ = write!(
        page,
        "## Instructions a message\n\nCounted by callgrind: a merge of `pipepost run` to `smtp-sink`, DATA over one connection, the results \
         in the output, without the start of the process. In thousands; the digest is as it is without a processor's \
         instructions for SHA-256.\n\n\
         | host | system's libraries | connector | digest |\n| --- | --- | --- | --- |\n| {} | {} | {} | {} |\n\n",
        short(counted.host),
        short(counted.libraries),
        short(counted.connector),
        short(counted.digest),
    );
}

fn machine(page: &mut String) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let line = |text: &str, name: &str| -> String {
        let found = text.lines().find(|line| line.starts_with(name));
        found
            .and_then(|line| line.split_once(':'))
            .map_or("unknown", |(_, value)| value.trim())
            .to_owned()
    };
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        text.and_then(|text| text.lines().next().map(str::to_owned))
            .unwrap_or_else(|| "unknown".to_owned())
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = line(&read("/proc/meminfo"), "MemTotal")
        .trim_end_matches(" kB")
        .parse::<f64>()
        .unwrap_or_default();
    let _ = write!(
        page,
        "| | |\n| --- | --- |\n| machine | {processors} processors ({}), {:.0} GiB |\n| system | Linux {} |\n| Postfix | {} |\n| \
         nodemailer | 10.6.0 on node {} |\n| lettre | 0.11, release build |\n| Python | {} |\n| msmtp | {} |\n| load before the first round | {} |\n\n",
        line(&read("/proc/cpuinfo"), "model name"),
        memory / MIB,
        read("/proc/sys/kernel/osrelease").trim(),
        said("postconf", &["-h", "mail_version"]),
        said("node", &["--version"]),
        said("python3", &["--version"]),
        said("msmtp", &["--version"]),
        read("/proc/loadavg").split(' ').next().unwrap_or_default(),
    );
}

fn goals(page: &mut String, rows: &[Row], results: &Results, further: &Further) {
    page.push_str("## Goals\n\n| work | goal | found | reached |\n| --- | --- | --- | --- |\n");
    if let Some(counted) = &further.instructions {
        let found = counted.host + counted.libraries;
        let _ = writeln!(
            page,
            "| instructions of the host a message | at most {} thousand | {} | {} |",
            short(HOST_MAX),
            short(found),
            yes(found <= HOST_MAX),
        );
    }
    for row in rows {
        for goal in &row.goals {
            let Some(ratio) = results.ratio(rows, row, goal) else {
                continue;
            };
            let (wanted, reached) = match goal.bound {
                Bound::AtLeast(least) => (format!("at least {least}"), ratio.median >= least),
                Bound::AtMost(most) => (format!("at most {most}"), ratio.median <= most),
            };
            let (wanted, found) = match goal.against {
                Against::Bytes(bytes) => (
                    format!("at most {} MiB", short(bytes / MIB)),
                    format!("{} MiB", short(ratio.median * bytes / MIB)),
                ),
                Against::Seconds(seconds) => (
                    format!("{}at most {} ms", whose(goal.of), short(seconds * 1000.0)),
                    format!("{} ms", spread(&ratio, seconds * 1000.0)),
                ),
                _ => {
                    let whose = whose(goal.of);
                    (
                        format!("{whose}{wanted} times {}", other(goal, rows)),
                        spread(&ratio, 1.0),
                    )
                }
            };
            let _ = writeln!(page, "| {} | {wanted} | {found} | {} |", row.title, yes(reached));
        }
    }
    if let Some(found) = &further.in_flight {
        let _ = writeln!(
            page,
            "| {RUNS} runs in flight against a slow server | at most {} MiB | {} MiB | {} |",
            short(IN_FLIGHT / MIB),
            short(found.pss.median / MIB),
            yes(found.pss.median <= IN_FLIGHT),
        );
    }
    streamed::goals(page, &further.streaming);
    served::goals(page, further);
    page.push('\n');
}

/// Which of ours a goal is about, where that is not the usual one.
fn whose(of: Client) -> String {
    match of {
        Client::Ledger => "with the ledger on, ".to_owned(),
        of if of.is_ours() && of != Client::Pipepost => format!("{}: ", of.name()),
        _ => String::new(),
    }
}

fn other(goal: &Goal, rows: &[Row]) -> String {
    let what = match goal.figure {
        Figure::Rate => "the rate of",
        Figure::Time | Figure::Life => "the time of",
        Figure::Cpu => "the processor time of",
        Figure::Peak => "the memory of",
    };
    match goal.against {
        Against::Peer(peer) => format!("{what} {}", peer.name()),
        Against::OurRow(name) => {
            let title = rows.iter().find(|row| row.name == name).map_or(name, |row| row.title);
            format!("{what} our own \"{title}\"")
        }
        Against::Bytes(_) | Against::Seconds(_) => String::new(),
    }
}

fn figures(page: &mut String, row: &Row, results: &Results) {
    let _ = write!(page, "## {}\n\n{}.\n\n", capital(row.title), place(row.place));
    let (head, figure, scale) = match row.figure {
        Figure::Rate => ("messages a second", Figure::Rate, 1.0),
        Figure::Time => ("ms of sending", Figure::Time, 1000.0),
        other => ("ms of the whole process", other, 1000.0),
    };
    let _ = write!(
        page,
        "| client | messages | {head} | pipepost's ratio | processor µs a message | peak MiB |\n| --- | --- | --- | --- | --- | --- |\n"
    );
    for (client, messages) in &row.clients {
        let of = |figure| Spread::of(results.figures(row, *client, figure));
        let (Some(main), Some(cpu), Some(peak)) = (of(figure), of(Figure::Cpu), of(Figure::Peak)) else {
            continue;
        };
        let goal = Goal {
            of: Client::Pipepost,
            figure,
            against: Against::Peer(*client),
            bound: Bound::AtLeast(0.0),
        };
        let ratio = (*client != Client::Pipepost)
            .then(|| results.ratio(&[], row, &goal))
            .flatten();
        let _ = writeln!(
            page,
            "| {} | {messages} | {} | {} | {} | {} |",
            client.name(),
            spread(&main, scale),
            ratio.map_or_else(|| "–".to_owned(), |ratio| spread(&ratio, 1.0)),
            short(cpu.median * 1e6 / *messages as f64),
            short(peak.median / MIB),
        );
    }
    page.push('\n');
}

fn place(place: Place) -> &'static str {
    match place {
        Place::Sink => "To Postfix's `smtp-sink` (one thread; it offers PIPELINING and not CHUNKING)",
        Place::Tls => "To `smtp-sink` behind stunnel, TLS 1.3 from the first byte",
        Place::Chunking => {
            "To the bench's own sink, a small Rust program that offers PIPELINING and CHUNKING and keeps a count alone"
        }
        Place::FarSink => "To `smtp-sink` behind the bench's proxy, which delays each direction by 20 ms",
        Place::FarPostfix => {
            "To Postfix's smtpd, whose queue ends in `discard`, behind the bench's proxy, which delays each direction by 20 ms"
        }
    }
}

fn settings(page: &mut String, rows: &[Row]) {
    page.push_str(
        "## Settings\n\nThe message is the same for all: text and HTML, about 2 KB, a non-ASCII subject, built anew each time (smtp-source \
         and msmtp build none). Where a client tells how long sending took, that counts, without its start; Pipepost's figure is always \
         the whole process.\n\n| client | settings |\n| --- | --- |\n",
    );
    let mut seen: Vec<Client> = rows
        .iter()
        .flat_map(|row| row.clients.iter().map(|(client, _)| *client))
        .collect();
    seen.sort();
    seen.dedup();
    for client in seen {
        let _ = writeln!(page, "| {} | {} |", client.name(), client.settings());
    }
}

fn spread(spread: &Spread, scale: f64) -> String {
    format!(
        "{} ({} to {})",
        short(spread.median * scale),
        short(spread.least * scale),
        short(spread.most * scale)
    )
}

fn yes(reached: bool) -> &'static str {
    if reached { "yes" } else { "no" }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
