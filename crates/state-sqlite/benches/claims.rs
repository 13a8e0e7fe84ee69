//! How many claims a second so many runs make at once, each synced before its message may leave: with the one writer that
//! they share, and with a store for each, that is a connection and a writer of its own over the same file.
//!
//! `claims FOLDER RUNS` prints `shared N` and `separate N`; `cargo xtask bench` calls it.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::Instant;

use pipepost_state::ledger::Part;
use pipepost_state::{Redact, StateStore as _};
use pipepost_state_sqlite::SqliteStore;

/// Claims of each run: enough for seconds, at each of the two rates.
const SHARED_CLAIMS: usize = 200;
const SEPARATE_CLAIMS: usize = 20;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    // Without arguments it is a test that it runs.
    let folder = arguments.first().map_or_else(std::env::temp_dir, Into::into);
    let runs = arguments.get(1).map_or(2, |runs| runs.parse().unwrap());
    let folder = tempfile::tempdir_in(folder).unwrap();
    let one = SqliteStore::new(folder.path().join("shared"));
    let shared = (0..runs).map(|_| one.clone()).collect();
    println!("shared {:.0}", rate(shared, SHARED_CLAIMS));
    let place = folder.path().join("separate");
    println!("separate {:.0}", rate(separate(&place, runs), SEPARATE_CLAIMS));
}

fn separate(place: &Path, runs: usize) -> Vec<SqliteStore> {
    (0..runs).map(|_| SqliteStore::new(place)).collect()
}

/// Claims a second of a run for each store, one claim at a time as DATA over one connection makes them.
fn rate(stores: Vec<SqliteStore>, claims: usize) -> f64 {
    let runs = stores.len();
    let begin = Arc::new(Barrier::new(runs + 1));
    let threads: Vec<_> = stores
        .into_iter()
        .enumerate()
        .map(|(run, store)| {
            let begin = Arc::clone(&begin);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let ledger = store
                        .open_ledger(&format!("run {run}"), Redact::nothing())
                        .await
                        .unwrap();
                    begin.wait();
                    for claim in 0..claims {
                        let part = Part {
                            key: format!("run {run}/{claim}"),
                            number: 0,
                        };
                        ledger.claim(vec![part]).await.unwrap();
                    }
                    ledger.close().await.unwrap();
                });
            })
        })
        .collect();
    begin.wait();
    let began = Instant::now();
    for thread in threads {
        thread.join().unwrap();
    }
    (runs * claims) as f64 / began.elapsed().as_secs_f64()
}
