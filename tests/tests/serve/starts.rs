//! A server that is killed at each step of its start, over a state that an older version left with runs in it: the next one
//! finds the state whole, of the old format or of the new one, and performs what was accepted once.

use std::path::{Path, PathBuf};

use pipepost_tests::{Running, Scratch, Served, root};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::fixture::{Fixture, sending, subject};

/// The format that the state has before: the first one with runs.
const OLD: i64 = 6;

/// A run that waits, one whose server died before it sent anything, and one whose server died.
const RUNS: [(&str, &str, u32); 3] = [
    ("01890a5d-ac96-774b-bcce-b302099a8051", "queued", 0),
    ("01890a5d-ac96-774b-bcce-b302099a8052", "running", 1),
    ("01890a5d-ac96-774b-bcce-b302099a8053", "running", 3),
];

fn file(scratch: &Scratch) -> PathBuf {
    scratch.folder().join("state/pipepost.sqlite")
}

/// Makes the state of the older version, with runs of this document.
fn old_state(scratch: &Scratch, document: &Value) {
    std::fs::create_dir_all(scratch.folder().join("state")).expect("a writable folder");
    let database = Connection::open(file(scratch)).expect("a file");
    for version in 1..=OLD {
        let path = root().join(format!("crates/state-sqlite/src/migrations/{version}.sql"));
        let text = std::fs::read_to_string(path).expect("a migration");
        database.execute_batch(&text).expect("an old state");
    }
    database.pragma_update(None, "user_version", OLD).expect("an old state");
    database
        .execute(
            "INSERT INTO documents (digest, pipeline, text, files) VALUES ('old', 'welcome', ?1, '{}')",
            [document.to_string()],
        )
        .expect("a document");
    for (id, state, attempt) in RUNS {
        let owner = (state == "running").then_some("0123456789abcdef");
        database
            .execute(
                "INSERT INTO runs (id, pipeline, document, key, digest, origin, message, state, due, retries, attempt, deaths,
                   allow_redelivery, redelivery, owner, epoch, accepted, sent, failed, uncertain)
                 VALUES (?1, 'welcome', 'old', ?1, 'd', 'api', ?2, ?3, 1, 0, ?4, 0, 1, 0, ?5, ?4, 1, 0, 0, 0)",
                rusqlite::params![id, json!({ "body": subject(id) }).to_string(), state, attempt, owner],
            )
            .expect("a run");
    }
}

fn version(file: &Path) -> Option<i64> {
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    database.pragma_query_value(None, "user_version", |row| row.get(0)).ok()
}

/// Whether a start has come to a step.
type Step = fn(&Scratch) -> bool;

/// What a start leaves behind on its way, in order.
const STEPS: [(&str, Step); 5] = [
    ("it has begun", |_| true),
    ("the state is open", |scratch| {
        scratch.folder().join("state/pipepost.sqlite-shm").exists()
    }),
    ("the state is locked", |scratch| {
        scratch.folder().join("state/serve.lock").exists()
    }),
    ("the state has the new format", |scratch| {
        version(&file(scratch)) > Some(OLD)
    }),
    ("it has an owner's file", |scratch| {
        let owners = std::fs::read_dir(scratch.folder().join("state/owners"));
        owners.is_ok_and(|mut owners| owners.next().is_some())
    }),
];

/// Kills a start at a step.
fn kill_at(scratch: &Scratch, step: Step) {
    let running = scratch.start(&Served::arguments());
    while !step(scratch) {
        std::thread::yield_now();
    }
    killed(running);
}

fn killed(running: Running) {
    running.signal("KILL");
    drop(running);
}

/// The state is whole, and every run of it is performed once.
fn is_whole(fixture: &Fixture, name: &str) {
    let database = Connection::open(file(&fixture.scratch)).expect("a state");
    let whole: String = database
        .pragma_query_value(None, "integrity_check", |row| row.get(0))
        .expect("a state");
    assert_eq!(whole, "ok", "{name}");
    let count: i64 = database
        .query_row("SELECT count(*) FROM runs", [], |row| row.get(0))
        .expect("a state");
    assert_eq!(count, 3, "{name}");
    drop(database);
    let served = Served::start(&fixture.scratch, &[]);
    for (id, _, _) in RUNS {
        let run = loop {
            let run = served.run(id);
            if !matches!(run["state"].as_str(), Some("queued" | "running")) {
                break run;
            }
            std::thread::yield_now();
        };
        // What was under way when it was killed is for a person to look into.
        let arrived = fixture.arrived(id);
        match run["state"].as_str() {
            Some("done") => assert_eq!(arrived, 1, "{name}: {run}"),
            Some("uncertain") => assert!(arrived <= 1, "{name}: {run}"),
            _ => panic!("{name}: {run}"),
        }
    }
    served.post("welcome", &[], &subject(name)).with_status(200);
}

#[test]
fn a_start_is_killed_at_each_step_of_its_way() {
    let document = sending(&json!({ "type": "rest" }));
    for (name, step) in STEPS {
        let fixture = Fixture::new().pipeline("welcome", &document);
        old_state(&fixture.scratch, &document);
        kill_at(&fixture.scratch, step);
        is_whole(&fixture, name);
    }
    for line in ["triggers ", "ready "] {
        let fixture = Fixture::new().pipeline("welcome", &document);
        old_state(&fixture.scratch, &document);
        let running = fixture.scratch.start(&Served::arguments());
        running.says(line);
        killed(running);
        is_whole(&fixture, line);
    }
}

#[test]
fn a_start_is_killed_again_and_again() {
    let document = sending(&json!({ "type": "rest" }));
    let fixture = Fixture::new().pipeline("welcome", &document);
    old_state(&fixture.scratch, &document);
    for (_, step) in STEPS.iter().chain(&STEPS[..3]) {
        kill_at(&fixture.scratch, *step);
    }
    is_whole(&fixture, "again and again");
}
