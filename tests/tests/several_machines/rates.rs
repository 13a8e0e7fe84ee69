//! What the store can do: claims and runs a second with 1, 2, 4 and 8 workers, with ten million messages in the book, and
//! while retention and vacuum work. These are measurements, so they are run by hand, in a release build, on a quiet machine:
//!
//! ```sh
//! cargo test --release -p pipepost-tests --test several_machines -- --ignored --nocapture --test-threads 1 rates
//! ```
//!
//! `PIPEPOST_RATES_SECONDS` is the length of each measurement, `PIPEPOST_RATES_WORKERS` lists the numbers of workers,
//! `PIPEPOST_RATES_SETTLED` is how many settled messages are in the book, `PIPEPOST_RATES_RUNS` how many runs are performed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pipepost_state::ledger::{Message, Part, PartOutcome, Recorded};
use pipepost_state::{Redact, StateStore as _};
use pipepost_state_postgres::PostgresStore;
use pipepost_state_postgres::statements::HOT;
use pipepost_tests::{Postgres, PostgresOptions, Scratch, Served};
use serde_json::json;

use crate::machine::{folder, store};

/// Executions of a worker at once, as runs of a server.
const EXECUTIONS: usize = 16;

/// Messages of a claim.
const BATCH: usize = 16;

/// Claims of an execution: it has 160 messages.
const CLAIMS: usize = 10;

/// The database as somebody would set it who has two cores and some memory for it.
const SETTINGS: &str = "shared_buffers = 512MB
max_wal_size = 4GB
min_wal_size = 2GB
checkpoint_timeout = 15min
autovacuum_naptime = 5s
";

fn variable(name: &str, usual: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| usual.to_owned())
}

fn number(name: &str, usual: usize) -> usize {
    variable(name, &usual.to_string()).parse().expect("a number")
}

fn seconds() -> Duration {
    Duration::from_secs(number("PIPEPOST_RATES_SECONDS", 10) as u64)
}

fn workers() -> Vec<usize> {
    let listed = variable("PIPEPOST_RATES_WORKERS", "1 2 4 8");
    listed
        .split_whitespace()
        .map(|number| number.parse().expect("a number"))
        .collect()
}

fn say(text: &str) {
    // Not `eprintln!`, which the test runner keeps to itself when a test passes.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn cluster() -> Option<Postgres> {
    let options = PostgresOptions {
        settings: SETTINGS,
        ..PostgresOptions::default()
    };
    let cluster = Postgres::start(&options)?;
    // A log that is written for the first time grows, and later its files are used again: the first measurement alone would
    // pay for it.
    claims(&cluster, 4);
    cluster.superuser("TRUNCATE pipepost.messages, pipepost.parts, pipepost.executions");
    cluster.superuser("CHECKPOINT");
    Some(cluster)
}

/// What a number of workers did together.
#[derive(Debug, Clone, Copy)]
struct Rate {
    done: f64,
    elapsed: f64,
    /// Processor time, in seconds.
    of_workers: f64,
    of_database: f64,
}

impl Rate {
    fn a_second(&self) -> f64 {
        self.done / self.elapsed
    }

    fn row(&self, workers: usize, one: f64) -> String {
        format!(
            "| {workers} | {:.0} | {:.2} | {:.2} | {:.2} | {:.0} |",
            self.a_second(),
            self.a_second() / one,
            self.of_workers / self.elapsed,
            self.of_database / self.elapsed,
            self.done / (self.of_workers + self.of_database),
        )
    }
}

#[test]
#[ignore = "a measurement"]
fn rates_of_claims() {
    let Some(cluster) = cluster() else { return };
    say("claims of 16 messages, each message claimed, settled and recorded:");
    say(
        "| workers | messages/s | of one worker's | cores of workers | cores of the database | messages per core-second |",
    );
    let mut one = None;
    for count in workers() {
        let rate = claims(&cluster, count);
        let one = *one.get_or_insert(rate.a_second());
        say(&rate.row(count, one));
    }
}

#[test]
#[ignore = "a measurement"]
fn rates_of_claims_in_a_book_of_ten_million() {
    let Some(cluster) = cluster() else { return };
    let settled = number("PIPEPOST_RATES_SETTLED", 10_000_000);
    let count = workers().into_iter().max().unwrap_or(1).min(4);
    let empty = claims(&cluster, count);
    fill(&cluster, settled);
    let full = claims(&cluster, count);
    // Once more, so that what was cold is warm.
    let warm = claims(&cluster, count);
    let size = |table: &str| cluster.count(&format!("SELECT pg_total_relation_size('pipepost.{table}')")) / 1_000_000;
    say(&format!(
        "{count} workers: {:.0} messages/s in an empty book, {:.0} with {settled} settled messages in it, {:.0} when warm: {:.2} \
         of empty; messages {} MB, parts {} MB with their indexes",
        empty.a_second(),
        full.a_second(),
        warm.a_second(),
        warm.a_second() / empty.a_second(),
        size("messages"),
        size("parts"),
    ));
}

#[test]
#[ignore = "a measurement"]
fn rates_of_claims_while_retention_and_vacuum_work() {
    let Some(cluster) = cluster() else { return };
    let forget = HOT
        .iter()
        .find(|(name, _)| *name == "forget executions")
        .expect("it is one of them")
        .1;
    let alone = claims(&cluster, 2);
    say(&format!(
        "2 workers: {:.0} messages/s without retention",
        alone.a_second()
    ));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let retention = scope.spawn(|| {
            // Everything that was settled some seconds ago is old.
            let forget = format!("PREPARE forget AS {forget}; EXECUTE forget(NULL, 3, 200)");
            while !is_over.load(Ordering::SeqCst) {
                cluster.superuser(&forget);
            }
        });
        for round in 1..=5 {
            let rate = claims(&cluster, 2);
            let told = |question: &str| cluster.count(question);
            say(&format!(
                "round {round}: {:.0} messages/s ({:.2} of without); {} messages in the book, {} dead rows, messages and parts are {} MB; \
                 vacuumed {} times",
                rate.a_second(),
                rate.a_second() / alone.a_second(),
                told("SELECT count(*) FROM pipepost.messages"),
                told("SELECT sum(n_dead_tup) FROM pg_stat_user_tables WHERE relname IN ('messages', 'parts')"),
                told(
                    "SELECT (pg_total_relation_size('pipepost.messages') + pg_total_relation_size('pipepost.parts')) / 1000000"
                ),
                told("SELECT sum(autovacuum_count) FROM pg_stat_user_tables WHERE relname IN ('messages', 'parts')"),
            ));
        }
        is_over.store(true, Ordering::SeqCst);
        retention.join().expect("retention works");
    });
}

#[test]
#[ignore = "a measurement"]
fn rates_of_runs() {
    let Some(cluster) = cluster() else { return };
    let runs = number("PIPEPOST_RATES_RUNS", 3_000);
    say("runs that log a line, ordered over HTTP with a key, without waiting:");
    say("| workers | runs/s | of one worker's | cores of workers | cores of the database | runs per core-second |");
    let mut one = None;
    for count in workers() {
        let rate = performed(&cluster, count, runs);
        let one = *one.get_or_insert(rate.a_second());
        say(&rate.row(count, one));
    }
}

/// So many workers claim for the time, each a process of its own.
fn claims(cluster: &Postgres, count: usize) -> Rate {
    let mut children: Vec<Worker> = (0..count).map(|_| Worker::start(cluster)).collect();
    children.iter_mut().for_each(|child| drop(child.line()));
    let before = cluster.processor_time();
    let begun = Instant::now();
    children.iter_mut().for_each(Worker::go);
    let told: Vec<String> = children.iter_mut().map(Worker::line).collect();
    let elapsed = begun.elapsed().as_secs_f64();
    drop(children);
    let sum = |column: usize| -> f64 {
        let numbers = told
            .iter()
            .filter_map(|line| line.split_whitespace().nth(column)?.parse::<f64>().ok());
        numbers.sum()
    };
    Rate {
        done: sum(1),
        elapsed,
        of_workers: sum(2),
        of_database: cluster.processor_time() - before,
    }
}

/// This test's own program, as a worker.
struct Worker {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Worker {
    fn start(cluster: &Postgres) -> Self {
        let program = std::env::current_exe().expect("a running test has a file");
        let mut child = Command::new(program)
            .args(["--ignored", "--exact", "--nocapture", "rates::one_worker_that_claims"])
            .env("PIPEPOST_RATES_PORT", cluster.port().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, lines }
    }

    /// The next line that is meant for the one who measures.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(
                self.lines.read_line(&mut line).is_ok_and(|count| count > 0),
                "a worker ended"
            );
            // The test runner's own words stand before the first one.
            if let Some((_, told)) = line.split_once("rates: ") {
                return told.trim().to_owned();
            }
        }
    }

    fn go(&mut self) {
        let input = self.child.stdin.as_mut().expect("a pipe");
        input.write_all(b"go\n").expect("it waits");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A worker of [`claims`], in a process of its own.
#[test]
#[ignore = "a part of a measurement"]
#[expect(clippy::print_stdout, reason = "the one who measures reads it")]
fn one_worker_that_claims() {
    let Ok(port) = std::env::var("PIPEPOST_RATES_PORT") else {
        return;
    };
    let store = store(port.parse().expect("a port"), "");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        store.probe().await.expect("the store");
        println!("rates: ready");
        let mut line = String::new();
        let _ = std::io::stdin().read_line(&mut line);
        let end = Instant::now() + seconds();
        let used = own_processor_time();
        let name = std::process::id();
        let tasks: Vec<_> = (0..EXECUTIONS)
            .map(|task| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut done = 0;
                    while Instant::now() < end {
                        done += execution(&store, &format!("rates-{name}-{task}-{done}")).await;
                    }
                    done
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += task.await.expect("it does not panic");
        }
        println!("rates: claimed {done} {}", own_processor_time() - used);
    });
}

/// Claims, settles and records the messages of one execution, as a step does that sends them. Answers how many.
async fn execution(store: &PostgresStore, name: &str) -> usize {
    let ledger = store
        .open_ledger(name, Redact::nothing())
        .await
        .expect("nobody else has it");
    let output: Arc<str> = Arc::from(
        json!({ "success": true, "messageId": "<0123456789@example.test>", "to": "someone@example.test" }).to_string(),
    );
    for batch in 0..CLAIMS {
        let keys: Vec<String> = (0..BATCH)
            .map(|item| format!("{name}/start/0#{}", batch * BATCH + item))
            .collect();
        let messages: Vec<Message> = keys
            .iter()
            .map(|key| Message {
                key: key.clone(),
                digest: "0123456789abcdef0123456789abcdef".to_owned(),
                resend: false,
            })
            .collect();
        ledger.look_up(&messages).await.expect("a readable state");
        let part = |key: &String| Part {
            key: key.clone(),
            number: 0,
        };
        ledger
            .claim(keys.iter().map(part).collect())
            .await
            .expect("nobody else claims it");
        for key in &keys {
            ledger.settle(&part(key), PartOutcome::Confirmed(Some(output.to_string())));
            ledger.record(
                key,
                Recorded {
                    output: output.to_string(),
                    uncertain: false,
                    remainder: None,
                },
            );
        }
        ledger.let_go(&keys);
    }
    ledger.close().await.expect("it is written");
    CLAIMS * BATCH
}

/// So many servers perform so many runs.
fn performed(cluster: &Postgres, count: usize, runs: usize) -> Rate {
    let document = json!({
        "triggerSpec": { "type": "rest", "consumers": 16 },
        "flowSpec": { "start": [{ "type": "connector", "name": "log-connector", "params": { "message": "a line" } }] },
    });
    let folders: Vec<Scratch> = (0..count).map(|_| folder(&cluster.url(), 9)).collect();
    let servers: Vec<Served> = folders
        .iter()
        .map(|scratch| {
            scratch.write("pipelines/welcome.json", document.to_string());
            Served::start(scratch, &[])
        })
        .collect();
    let of_workers = || -> f64 {
        servers
            .iter()
            .map(|served| processor_time(&served.running().id().to_string()))
            .sum()
    };
    let ended = || cluster.count("SELECT count(*) FROM pipepost.runs WHERE state = 'done'");
    let (before, workers_before, database_before) = (ended(), of_workers(), cluster.processor_time());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..8 {
            let servers = &servers;
            scope.spawn(move || {
                for number in (client..runs).step_by(8) {
                    let served = &servers[number % servers.len()];
                    served
                        .post("welcome", &[("Prefer", "respond-async")], &json!({ "number": number }))
                        .with_status(202);
                }
            });
        }
    });
    while ended() < before + runs as u64 {
        // Counting costs what is measured.
        std::thread::sleep(Duration::from_millis(20));
    }
    let elapsed = begun.elapsed().as_secs_f64();
    Rate {
        done: runs as f64,
        elapsed,
        of_workers: of_workers() - workers_before,
        of_database: cluster.processor_time() - database_before,
    }
}

/// Writes this many settled messages into the book, a million at a time.
fn fill(cluster: &Postgres, settled: usize) {
    const STEP: usize = 1_000_000;
    let output = r#"{"success": true, "messageId": "<0123456789@example.test>", "to": "someone@example.test"}"#;
    for first in (0..settled).step_by(STEP) {
        let last = (first + STEP).min(settled);
        cluster.superuser(&format!(
            "INSERT INTO pipepost.executions (key, owner, epoch, begun, changed)
                SELECT 'settled-' || n, NULL, 1, extract(epoch FROM now())::int8, extract(epoch FROM now())::int8
                FROM generate_series({}, {}) AS n ON CONFLICT DO NOTHING;
             INSERT INTO pipepost.messages (key, execution, digest, outcome, output, changed)
                SELECT 'settled-' || (n / 160) || '/start/0#' || (n % 160), 'settled-' || (n / 160),
                    '0123456789abcdef0123456789abcdef', 'sent', '{output}', extract(epoch FROM now())::int8
                FROM generate_series({first}, {last} - 1) AS n;
             INSERT INTO pipepost.parts (message, number, state, epoch)
                SELECT 'settled-' || (n / 160) || '/start/0#' || (n % 160), 0, 'confirmed', 1
                FROM generate_series({first}, {last} - 1) AS n",
            first / 160,
            last / 160,
        ));
        say(&format!("{last} settled messages are in the book"));
    }
    for table in ["executions", "messages", "parts"] {
        cluster.superuser(&format!("VACUUM ANALYZE pipepost.{table}"));
    }
    cluster.superuser("CHECKPOINT");
}

fn own_processor_time() -> f64 {
    processor_time("self")
}

/// The processor time of a process, in seconds.
fn processor_time(process: &str) -> f64 {
    pipepost_tests::postgres::processor_time(process)
}
