//! The page's part about `pipepost serve` and its ledger.

use std::fmt::Write as _;

use super::{Further, MIB, spread, yes};
use crate::claims::{self, Claims};
use crate::serve::{self, CALLERS, Found, IDLE, PROVIDERS, QUEUED, Rate};
use crate::stats::{Spread, short};

/// Runs a second of callers that wait.
const WAITING: f64 = 1500.0;
/// Within which 99 of 100 of their answers come, in milliseconds.
const WAITING_MOST: f64 = 60.0;
/// Acceptances a second of callers that do not wait.
const ACCEPTED: f64 = 4000.0;
/// What an idle service may hold.
const IDLE_BYTES: f64 = 40.0 * 1e6;
/// How long a start may take, in milliseconds.
const START: f64 = 150.0;
/// How many times longer the answers of the others may take while runs wait for a slow provider.
const UNHARMED: f64 = 1.5;
/// Claims with one writer for all, against claims with a writer for each run.
const CLAIMS: f64 = 8.0;

/// One line of the goals for each that was measured.
pub(super) fn goals(page: &mut String, further: &Further) {
    if let Some(claims) = &further.claims {
        let _ = writeln!(
            page,
            "| {} runs claim at once, one writer for all | at least {CLAIMS} times the rate of a writer for each | {} | {} |",
            claims::RUNS,
            spread(&claims.ratio, 1.0),
            yes(claims.ratio.median >= CLAIMS),
        );
    }
    let Some(found) = &further.served else { return };
    let mut line = |work: &str, goal: String, figures: &[f64], scale: f64, unit: &str, holds: &dyn Fn(f64) -> bool| {
        if let Some(figures) = serve::spread(figures) {
            let (shown, reached) = (spread(&figures, scale), yes(holds(figures.median)));
            let _ = writeln!(page, "| {work} | {goal} | {shown}{unit} | {reached} |");
        }
    };
    let waiting = format!("serve: a request is answered when its message is sent, {CALLERS} callers");
    line(
        &waiting,
        format!("at least {} runs a second, each synced", short(WAITING)),
        &found.waiting.rate,
        1.0,
        "",
        &|rate| rate >= WAITING,
    );
    line(
        &waiting,
        format!("99 of 100 answers within {WAITING_MOST} ms"),
        &found.waiting.most,
        1.0,
        " ms",
        &|most| most < WAITING_MOST,
    );
    line(
        &waiting,
        "more than nodemailer behind express, which writes nothing down".to_owned(),
        &ratios(&found.waiting.rate, &found.express.rate),
        1.0,
        " times",
        &|ratio| ratio > 1.0,
    );
    line(
        &format!("serve: a request is accepted (`Prefer: respond-async`), {CALLERS} callers"),
        format!("at least {} a second, each synced", short(ACCEPTED)),
        &found.accepted.rate,
        1.0,
        "",
        &|rate| rate >= ACCEPTED,
    );
    let idle = format!("serve: {IDLE} pipelines, {IDLE} accounts, nothing to do");
    line(
        &idle,
        format!("at most {:.0} MB", IDLE_BYTES / 1e6),
        &found.pss,
        1e-6,
        " MB",
        &|bytes| bytes <= IDLE_BYTES,
    );
    line(
        &idle,
        format!("ready {START} ms after its start"),
        &found.start,
        1.0,
        " ms",
        &|start| start <= START,
    );
    line(
        &format!("serve: {QUEUED} runs wait for one slow provider of {PROVIDERS}"),
        format!(
            "99 of 100 answers of the others within {UNHARMED} times what they take beside as many that have ended"
        ),
        &ratios(&found.beside, &found.alone),
        1.0,
        " times",
        &|ratio| ratio <= UNHARMED,
    );
}

/// The one divided by the other, round by round.
fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}

/// What claims came to.
pub(super) fn claims(page: &mut String, claims: &Claims) {
    let _ = write!(
        page,
        "## {} runs claim at once\n\nEach run claims one message after another, and each claim is on the disk before it is answered. With \
         one writer for all runs: {} claims a second. With a connection and a writer for each run over the same file, as before \
         there was one for all: {}. The ratio within a round: {}.\n\n",
        claims::RUNS,
        spread(&claims.shared, 1.0),
        spread(&claims.separate, 1.0),
        spread(&claims.ratio, 1.0),
    );
}

/// What the service did.
pub(super) fn figures(page: &mut String, found: &Found) {
    let _ = write!(
        page,
        "## Serving\n\n`pipepost serve` with its defaults, a token, and its state on the disk; the callers, the service and `smtp-sink` share the \
         two cores. A pipeline of one step sends the letter of the request, over one account with up to {CALLERS} connections, and \
         {CALLERS} of its runs may be under way. A run is on the disk before it begins, its claim before its message leaves, and its end \
         before it is answered. Each of the {CALLERS} callers keeps its connection and asks again as soon as it was answered.\n\n"
    );
    let rows: [(&str, &Rate); 3] = [
        ("pipepost serve, answered when sent", &found.waiting),
        ("express and nodemailer, answered when sent", &found.express),
        ("pipepost serve, `Prefer: respond-async`", &found.accepted),
    ];
    if rows.iter().any(|(_, rate)| !rate.rate.is_empty()) {
        page.push_str(
            "| server | answers a second | half within ms | 99 of 100 within ms | processor µs an answer |\n| --- | --- | --- | --- | --- |\n",
        );
    }
    for (name, rate) in rows {
        let of = |figures: &[f64]| serve::spread(figures);
        let (Some(rate_of), Some(half), Some(most), Some(cpu)) =
            (of(&rate.rate), of(&rate.half), of(&rate.most), of(&rate.cpu))
        else {
            continue;
        };
        let figures: Vec<String> = [rate_of, half, most].iter().map(|figure| spread(figure, 1.0)).collect();
        let _ = writeln!(page, "| {name} | {} | {} |", figures.join(" | "), short(cpu.median));
    }
    page.push('\n');
    let mut sentence = |figures: Option<Spread>, write: &dyn Fn(Spread) -> String| {
        if let Some(figures) = figures {
            page.push_str(&write(figures));
            page.push_str("\n\n");
        }
    };
    sentence(serve::spread(&found.performed), &|rate| {
        format!(
            "The runs that nobody waited for were performed meanwhile and afterwards: {} a second from the first request to the last \
             message.",
            spread(&rate, 1.0)
        )
    });
    sentence(serve::spread(&found.pss), &|bytes| {
        format!(
            "With {IDLE} pipelines, {IDLE} accounts and nothing to do it holds {} MiB (proportional set size).",
            spread(&bytes, 1.0 / MIB)
        )
    });
    sentence(serve::spread(&found.start), &|start| {
        format!(
            "It is ready {} ms after its start, with the connectors in the cache.",
            spread(&start, 1.0)
        )
    });
    sentence(serve::spread(&found.alone), &|alone| {
        let beside = serve::spread(&found.beside).map_or_else(String::new, |beside| spread(&beside, 1.0));
        format!(
            "Ten pipelines with an account each, one of them at a provider that takes a second for each answer. Callers of the nine others \
             get 99 of 100 answers within {} ms, and within {beside} ms while {QUEUED} runs wait for the slow one.",
            spread(&alone, 1.0)
        )
    });
}
