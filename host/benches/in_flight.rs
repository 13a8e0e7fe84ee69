//! Many runs at once on one host, against a server that is slow to answer: what they hold in memory.
//!
//! `in_flight PORT RUNS`: prints the most proportional set size in bytes and the seconds that it took. `cargo xtask bench`
//! starts it with a server; without arguments (`cargo bench`) it does nothing.

#![allow(clippy::print_stdout, reason = "what it found goes to the benchmark that started it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pipepost::{Host, RunOptions, TimeLimit};
use pipepost_accounts::{Accounts, Environment};
use serde_json::json;

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    // `cargo bench` adds a flag of its own.
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [port, runs] = numbers[..] else {
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(port, runs))
}

async fn measure(port: usize, runs: usize) -> Result<(), Error> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("accounts.json");
    let account = json!({
        "label": "mail", "type": "smtp-auth-and-properties", "host": "127.0.0.1", "port": port,
        "auth": "false", "starttls_enable": "false", "limits": { "max_connections": runs },
    });
    std::fs::write(&file, account.to_string())?;
    let accounts = Accounts::load([&file], &Environment::process())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<String>())?;
    let host = Arc::new(Host::builder().accounts(accounts).build().await?);
    let document = json!({
        "name": "in flight", "versionMajor": 1, "versionMinor": 0,
        "flowSpec": { "start": [{
            "type": "connector", "name": "email-connector-v2", "stepName": "Send", "accountLabel": "mail",
            "params": {
                "from": "billing@example.com", "to": "jose@example.org", "subject": "Fatura de março {{ message.number }}",
                "text": "{{ message.text }}", "body": "<p>{{ message.text }}</p>",
                "isAuth": false, "isOverTLS": false, "failOnError": true,
            },
        }] },
    });
    let pipeline = Arc::new(
        host.prepare(&document.to_string())
            .map_err(|problems| problems.to_string())?,
    );

    let over = Arc::new(AtomicBool::new(false));
    let watcher = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                most = most.max(pss());
                std::thread::sleep(Duration::from_millis(50));
            }
            most
        }
    });
    let began = Instant::now();
    let tasks: Vec<_> = (0..runs)
        .map(|number| {
            let (host, pipeline) = (Arc::clone(&host), Arc::clone(&pipeline));
            tokio::spawn(async move {
                let message = json!({ "number": number, "text": "Serviço de integração: R$ 10,00. ".repeat(30) });
                let mut options = RunOptions::new(message);
                options.time_limit = TimeLimit::None;
                host.run(&pipeline, options)
                    .await
                    .result
                    .map(drop)
                    .map_err(|error| error.to_string())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let seconds = began.elapsed().as_secs_f64();
    over.store(true, Ordering::Relaxed);
    let most = watcher.join().map_err(|_| "the watcher is gone")?;
    println!("pss {most}\nseconds {seconds}");
    // Closing a thousand connections in order, one after another, is not what is measured.
    std::process::exit(0);
}

/// The process's proportional set size, in bytes: what is shared counts once in all.
fn pss() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1024
}
