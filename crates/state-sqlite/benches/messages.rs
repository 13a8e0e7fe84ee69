//! What the ledger takes for a message from its claim to its record, as a merge over eight connections gives it work:
//! messages a second, and the processor's time for each, of which nothing is the sending's.
//!
//! `messages FOLDER MESSAGES` names where the file lies and how many messages each of the eight has.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::time::Instant;

use pipepost_state::ledger::{Ledger, Message, Part, PartOutcome, Recorded};
use pipepost_state::{Redact, StateStore as _};
use pipepost_state_sqlite::SqliteStore;

/// Connections, each of which claims for itself.
const CONNECTIONS: usize = 8;

/// Messages of a claim.
const WINDOW: usize = 16;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    // Without arguments it is a test that it runs.
    let folder = arguments.first().map_or_else(std::env::temp_dir, Into::into);
    let each = arguments.get(1).map_or(WINDOW, |each| each.parse().unwrap());
    let folder = tempfile::tempdir_in(folder).unwrap();
    let store = SqliteStore::new(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (begun, used) = (Instant::now(), processor_time());
    runtime.block_on(async {
        let ledger: Arc<dyn Ledger> = store.open_ledger("merge", Redact::nothing()).await.unwrap();
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|connection| tokio::spawn(connection_of(Arc::clone(&ledger), connection, each)))
            .collect();
        for connection in connections {
            connection.await.unwrap();
        }
        ledger.close().await.unwrap();
    });
    let (took, used) = (begun.elapsed().as_secs_f64(), processor_time() - used);
    let messages = (CONNECTIONS * each) as f64;
    println!(
        "{:.0} messages a second, {:.1} µs of the processor for each",
        messages / took,
        used * 1e6 / messages
    );
}

async fn connection_of(ledger: Arc<dyn Ledger>, connection: usize, messages: usize) {
    let output = |number: usize| {
        format!(
            "{{\"success\":true,\"messageId\":\"<{number:016x}.{connection}@example.com>\",\"accepted\":[\"someone@example.org\"],\
             \"response\":\"250 2.0.0 Ok: queued as {number:08x}\"}}"
        )
    };
    for first in (0..messages).step_by(WINDOW) {
        let keys: Vec<String> = (first..messages.min(first + WINDOW))
            .map(|number| format!("merge/start#0/{}", number * CONNECTIONS + connection))
            .collect();
        let asked: Vec<Message> = keys
            .iter()
            .map(|key| Message {
                key: key.clone(),
                digest: "0123456789abcdef0123456789abcdef".to_owned(),
                resend: false,
            })
            .collect();
        ledger.look_up(&asked).await.expect("a readable state");
        for key in &keys {
            ledger.in_doubt(key, &output(0));
        }
        let part = |key: &String| Part {
            key: key.clone(),
            number: 0,
        };
        ledger.claim(keys.iter().map(part).collect()).await.unwrap();
        for (number, key) in keys.iter().enumerate() {
            let output = output(first + number);
            ledger.settle(&part(key), PartOutcome::Confirmed(Some(output.clone())));
            ledger.record(
                key,
                Recorded {
                    output,
                    uncertain: false,
                    remainder: None,
                },
            );
        }
        ledger.let_go(&keys);
    }
}

/// Seconds of the processor that this process has used, as `/proc` tells it.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
    let ticks = after
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
