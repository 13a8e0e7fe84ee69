//! `pipepost serve` under load: requests that wait for their message, requests that do not, a slow provider among ten, and
//! what the service holds while nothing happens.

mod load;
mod server;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use self::load::{Answered, Requests, ask, post};
use self::server::{Place, Served, account, body, pipeline};
use crate::clients::Clients;
use crate::servers::{Chunking, Server as _, SmtpSink, expect};
use crate::stats::Spread;

/// Callers at once, each with a connection.
pub(crate) const CALLERS: usize = 16;

/// Pipelines and accounts of a service that has nothing to do.
pub(crate) const IDLE: usize = 50;

/// Runs that wait for the slow provider.
pub(crate) const QUEUED: usize = 10_000;

/// Providers, one of which is slow.
pub(crate) const PROVIDERS: usize = 10;

/// How long the slow provider takes for each answer.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a service is left in peace before its memory is looked at.
const PEACE: Duration = Duration::from_secs(2);

/// The rows of this kind, as `--only` names them.
pub(crate) const ROWS: [&str; 4] = ["serve", "serve-async", "serve-idle", "serve-slow"];

/// What many answers came to.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    /// Answers a second, round by round.
    pub(crate) rate: Vec<f64>,
    /// The time within which half of the answers came, in milliseconds.
    pub(crate) half: Vec<f64>,
    /// The time within which 99 of 100 answers came, in milliseconds.
    pub(crate) most: Vec<f64>,
    /// The server's processor time, in microseconds for each answer.
    pub(crate) cpu: Vec<f64>,
}

impl Rate {
    fn add(&mut self, answered: &Answered, cpu: f64) {
        self.rate.push(answered.rate());
        self.half.push(answered.percentile(0.5));
        self.most.push(answered.percentile(0.99));
        self.cpu.push(cpu * 1e6 / answered.times.len() as f64);
    }
}

/// What was found. Lists have a figure for each round, and are empty where nothing was measured.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Requests that wait until their message is sent.
    pub(crate) waiting: Rate,
    /// The same, with express and nodemailer.
    pub(crate) express: Rate,
    /// Requests that do not wait.
    pub(crate) accepted: Rate,
    /// Runs of requests that do not wait, to their ends, a second.
    pub(crate) performed: Vec<f64>,
    /// Bytes of a service that has nothing to do (proportional set size).
    pub(crate) pss: Vec<f64>,
    /// Milliseconds from the start until it is ready.
    pub(crate) start: Vec<f64>,
    /// 99 of 100 answers of the fast providers came within so many milliseconds, without a queue and with one.
    pub(crate) alone: Vec<f64>,
    pub(crate) beside: Vec<f64>,
}

/// How much is asked.
pub(crate) struct Sizes {
    pub(crate) waiting: usize,
    pub(crate) accepted: usize,
    pub(crate) queued: usize,
    pub(crate) beside: usize,
}

impl Sizes {
    /// So many times fewer than usual.
    pub(crate) fn divided(by: usize) -> Self {
        let some = |count: usize| (count / by).max(CALLERS);
        Self {
            waiting: some(4000),
            accepted: some(8000),
            queued: some(QUEUED),
            beside: some(1800),
        }
    }
}

/// Measures the rows that `wants` names, round by round. With `ours` the peer takes no part.
pub(crate) fn measure(
    clients: &Clients,
    wants: impl Fn(&str) -> bool,
    rounds: usize,
    sizes: &Sizes,
    ours: bool,
) -> Result<Option<Found>> {
    if !ROWS.iter().any(|row| wants(row)) {
        return Ok(None);
    }
    let sink = SmtpSink::start(&clients.folder)?;
    let bench = Bench { clients, sink, sizes };
    let mut found = Found::default();
    // Caches fill, and the connectors are compiled; nothing of it is kept.
    bench.warm()?;
    for round in 1..=rounds {
        if wants("serve") {
            bench.waiting(&mut found.waiting)?;
            tell(round, "serve", "pipepost", &found.waiting);
            if !ours {
                bench.express(&mut found.express)?;
                tell(round, "serve", "express", &found.express);
            }
        }
        if wants("serve-async") {
            bench.accepted(&mut found)?;
            tell(round, "serve-async", "pipepost", &found.accepted);
            eprintln!("{:>42} performed {:>7.0}/s", "", found.performed.last().unwrap_or(&0.0));
        }
        if wants("serve-idle") {
            bench.idle(&mut found)?;
            eprintln!(
                "round {round}  serve-idle      {:.1} MB PSS, ready after {:.0} ms",
                found.pss.last().unwrap_or(&0.0) / 1e6,
                found.start.last().unwrap_or(&0.0)
            );
        }
        if wants("serve-slow") {
            bench.slow(&mut found)?;
            eprintln!(
                "round {round}  serve-slow      p99 {:.1} ms alone, {:.1} ms beside {} runs for a slow provider",
                found.alone.last().unwrap_or(&0.0),
                found.beside.last().unwrap_or(&0.0),
                sizes.queued
            );
        }
    }
    Ok(Some(found))
}

fn tell(round: usize, row: &str, who: &str, rate: &Rate) {
    let last = |figures: &[f64]| figures.last().copied().unwrap_or_default();
    eprintln!(
        "round {round}  {row:<14}  {who:<9} {:>7.0}/s  half {:.1} ms  p99 {:.1} ms  cpu {:.0} µs",
        last(&rate.rate),
        last(&rate.half),
        last(&rate.most),
        last(&rate.cpu)
    );
}

/// The median of some figures with the least and the most; none where nothing was measured.
pub(crate) fn spread(figures: &[f64]) -> Option<Spread> {
    Spread::of(figures.iter().copied())
}

struct Bench<'b> {
    clients: &'b Clients,
    sink: SmtpSink,
    sizes: &'b Sizes,
}

impl Bench<'_> {
    fn place(&self) -> Place<'_> {
        Place {
            folder: &self.clients.folder,
            disk: &self.clients.disk,
        }
    }

    fn pipepost(&self) -> Result<Served> {
        Served::pipepost(&self.clients.pipepost, &self.place())
    }

    /// One pipeline, whose runs may all be under way at once.
    fn one_pipeline(&self) -> Result<Served> {
        self.place().fill(
            &[("invoice".to_owned(), pipeline("mail", Some(CALLERS)))],
            &[account("mail", self.sink.port, CALLERS)],
        )?;
        self.pipepost()
    }

    fn warm(&self) -> Result<()> {
        let served = self.one_pipeline()?;
        let before = self.sink.stored();
        ask(
            served.address,
            &letters("invoice", &served, false),
            CALLERS,
            CALLERS,
            200,
        )?;
        expect(&self.sink, before, CALLERS)
    }

    fn waiting(&self, rate: &mut Rate) -> Result<()> {
        let served = self.one_pipeline()?;
        self.answered(&served, rate)
    }

    fn express(&self, rate: &mut Rate) -> Result<()> {
        let clients = self.clients;
        let served = Served::express(&clients.scripts, &clients.folder, self.sink.port, CALLERS)?;
        self.answered(&served, rate)
    }

    /// Requests that wait for their message. The sink counts what arrived.
    fn answered(&self, served: &Served, rate: &mut Rate) -> Result<()> {
        let requests = letters("invoice", served, false);
        let before = self.sink.stored();
        // Connections are made, and code is compiled where somebody compiles while it runs.
        let first = CALLERS * 8;
        ask(served.address, &requests, first, CALLERS, 200)?;
        let cpu = served.cpu();
        let answered = ask(served.address, &requests, self.sizes.waiting, CALLERS, 200)?;
        rate.add(&answered, served.cpu() - cpu);
        expect(&self.sink, before, first + self.sizes.waiting)
    }

    /// Requests that do not wait, and their runs to the last one's end.
    fn accepted(&self, found: &mut Found) -> Result<()> {
        let served = self.one_pipeline()?;
        let before = self.sink.stored();
        let requests = letters("invoice", &served, true);
        let count = self.sizes.accepted;
        let (cpu, began) = (served.cpu(), std::time::Instant::now());
        let answered = ask(served.address, &requests, count, CALLERS, 202)?;
        found.accepted.add(&answered, served.cpu() - cpu);
        expect(&self.sink, before, count)?;
        found.performed.push(count as f64 / began.elapsed().as_secs_f64());
        Ok(())
    }

    fn idle(&self, found: &mut Found) -> Result<()> {
        let label = |number: usize| format!("mail{number}");
        let pipelines: Vec<_> = (0..IDLE)
            .map(|number| (format!("invoice{number}"), pipeline(&label(number), None)))
            .collect();
        let accounts: Vec<_> = (0..IDLE)
            .map(|number| account(&label(number), self.sink.port, CALLERS))
            .collect();
        self.place().fill(&pipelines, &accounts)?;
        let served = self.pipepost()?;
        found.start.push(served.start.as_secs_f64() * 1e3);
        std::thread::sleep(PEACE);
        found.pss.push(served.pss()?);
        Ok(())
    }

    /// Nine fast providers and a slow one: the callers of the fast ones, without and with a queue for the slow one.
    fn slow(&self, found: &mut Found) -> Result<()> {
        let slow = Chunking::start(PAUSE)?;
        let name = |number: usize| format!("provider{number}");
        let pipelines: Vec<_> = (0..PROVIDERS)
            .map(|number| (name(number), pipeline(&name(number), None)))
            .collect();
        let port = |number: usize| if number == 0 { slow.port } else { self.sink.port };
        let accounts: Vec<_> = (0..PROVIDERS)
            .map(|number| account(&name(number), port(number), 4))
            .collect();
        self.place().fill(&pipelines, &accounts)?;
        let served = self.pipepost()?;
        let fast = PROVIDERS - 1;
        let token = served.token.clone();
        let requests: Requests = Arc::new(move |number| {
            let path = format!("/pipeline/provider{}", 1 + number % fast);
            post(&path, token.as_deref(), "", &body(number))
        });
        let before = self.sink.stored();
        let count = self.sizes.beside;
        // As many runs that ended: a book with more in it is slower, whoever they were for.
        let ended = letters("provider1", &served, true);
        ask(served.address, &ended, self.sizes.queued, CALLERS, 202)?;
        expect(&self.sink, before, self.sizes.queued)?;
        ask(served.address, &requests, fast * 8, fast, 200)?;
        let alone = ask(served.address, &requests, count, fast, 200)?;
        found.alone.push(alone.percentile(0.99));
        let queue = letters("provider0", &served, true);
        ask(served.address, &queue, self.sizes.queued, CALLERS, 202)?;
        let beside = ask(served.address, &requests, count, fast, 200)?;
        found.beside.push(beside.percentile(0.99));
        expect(&self.sink, before, self.sizes.queued + fast * 8 + 2 * count)
    }
}

/// Requests for this pipeline, each with a letter of its own.
fn letters(pipeline: &str, served: &Served, without_waiting: bool) -> Requests {
    let (path, token) = (format!("/pipeline/{pipeline}"), served.token.clone());
    let further = if without_waiting {
        "Prefer: respond-async\r\n"
    } else {
        ""
    };
    Arc::new(move |number| post(&path, token.as_deref(), further, &body(number)))
}
