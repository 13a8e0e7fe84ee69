//! `pipepost state copy`: a book that began in a directory goes on in a database, and comes back.

use std::path::Path;

use pipepost_tests::{Postgres, PostgresOptions, Served, Sink};
use rusqlite::Connection;
use serde_json::json;

use crate::machine::folder;

/// What a process that was killed left, and what people and servers did before: a row of each kind.
const MORE: &str = r#"
INSERT INTO executions (key, owner, process, begun, changed) VALUES ('killed', 'gone', 7, 1, 2), ('empty', NULL, 7, 1, 2);
INSERT INTO messages (key, execution, digest, outcome, output, remainder, decided, changed, in_doubt) VALUES
  ('killed/start/0#1', 'killed', 'd', NULL, NULL, NULL, 0, 3, '{"subject":"ünder way"}'),
  ('killed/start/0#0', 'killed', 'd', 'sent', '{"success":true}', NULL, 0, 3, NULL),
  ('killed/start/0#2', 'killed', 'd', NULL, NULL, '{"left":["a"]}', 1, 3, NULL);
INSERT INTO parts (message, number, state, output, changed) VALUES
  ('killed/start/0#0', 0, 'confirmed', NULL, 3), ('killed/start/0#1', 0, 'claimed', NULL, 3),
  ('killed/start/0#1', 1, 'confirmed', '{"success":true}', 3);
INSERT INTO pauses (account, label, begun, until, kind, why) VALUES ('["a"]', 'a', 1, 4102444800000000, 'quota', 'full');
INSERT INTO admissions (account, owner, ended) VALUES ('["a"]', 'gone', 5), ('["a"]', 'gone', NULL);
INSERT INTO server_limits (account, label, server, messages, suspected, messages_learned, connections, connections_learned)
  VALUES ('["a"]', 'a', 'mail.example.test:587', 100, 1, 5, NULL, NULL);
INSERT INTO objects (collection, id, document) VALUES ('orders', 'one', '{"n":1}'), ('orders', 'two', '{"n":2}'), ('a', 'b', '{}');
DELETE FROM objects WHERE id = 'b';
INSERT INTO schedules (pipeline, last, paused, missed, skipped) VALUES ('nightly', 5, 1, 2, 3);
"#;

/// Everything in a file, as far as it means something elsewhere.
fn book(directory: &Path) -> Vec<String> {
    let connection = Connection::open(directory.join("pipepost.sqlite")).expect("a state");
    let mut told = Vec::new();
    for (table, columns) in [
        ("executions", "key, begun, changed"),
        ("messages", "key, execution, digest, outcome, output, remainder, in_doubt, decided, changed"),
        ("parts", "message, number, state, output"),
        ("documents", "digest, pipeline, text, files"),
        (
            "runs",
            "id, pipeline, document, key, digest, origin, message, shown, globals, state, due, expires, retries, attempt, deaths,
             allow_redelivery, redelivery, epoch, accepted, begun, ended, output, kind, failure, sent, failed, uncertain,
             trace_parent, trace_state",
        ),
        ("schedules", "pipeline, last, paused, missed, skipped"),
        ("pauses", "account, label, begun, until, kind, why"),
        ("admissions", "account, ended"),
        ("server_limits", "account, label, server, messages, suspected, messages_learned, connections, connections_learned"),
        ("objects", "number, collection, id, document"),
        ("sqlite_sequence", "name, seq"),
    ] {
        let which = match table {
            // The numbers that were given to other rows mean nothing.
            "sqlite_sequence" => "WHERE name = 'objects'",
            // A row for each pipeline of which somebody took a run, which says nothing else.
            "schedules" => "WHERE pipeline <> 'welcome'",
            _ => "",
        };
        let statement = format!("SELECT '{table}', {columns} FROM {table} {which} ORDER BY {columns}");
        let mut select = connection.prepare(&statement).expect("a statement");
        let width = select.column_count();
        let rows = select.query_map([], |row| {
            let values: Result<Vec<_>, _> = (0..width).map(|column| row.get::<_, rusqlite::types::Value>(column)).collect();
            Ok(format!("{:?}", values?))
        });
        told.extend(rows.expect("rows").map(|row| row.expect("a row")));
    }
    told
}

#[test]
fn a_book_moves_from_a_directory_into_a_database_and_back_as_a_whole() {
    let Some(sink) = Sink::start() else { return };
    let Some(cluster) = Postgres::start(&PostgresOptions::default()) else {
        return;
    };
    let scratch = folder("unused", sink.address().port());
    let [old, back, none] = ["old", "back", "none"].map(|name| scratch.folder().join(name));
    let text = |path: &Path| path.display().to_string();
    let (database, wrong) = (cluster.url(), "postgres://pipepost@127.0.0.1:1/none".to_owned());
    let copy = |from: &str, to: &str| scratch.pipepost(&["state", "copy", from, to]);
    let order = json!({ "subjects": ["one", "two"] });
    let key = [("Idempotency-Key", "k")];

    let served = Served::start(&scratch, &["--state", &text(&old)]);
    let first = served.post("welcome", &key, &order).with_status(200).json();
    copy(&text(&old), &database)
        .with_code(75)
        .says(&["is in use by another process", "try again"]);
    served.end("TERM");
    let file = Connection::open(old.join("pipepost.sqlite")).expect("a state");
    file.execute_batch(MORE).expect("a state");
    drop(file);
    std::fs::create_dir(old.join("refresh-tokens")).expect("a writable folder");
    let token = "0123456789abcdef0123456789abcdef";
    std::fs::write(old.join("refresh-tokens").join(token), [1, 2, 3]).expect("a writable folder");

    copy(&text(&none), &database)
        .with_code(66)
        .is_a_sentence("a state that is not there");
    copy(&text(&old), &text(&old)).with_code(64).says(&["the same state"]);
    copy(&text(&old), &wrong).with_code(75).says(&["cannot be reached"]);
    let copied = copy(&text(&old), &database).with_code(0);
    for words in [
        "3 executions, 5 messages",
        "1 run, 1 schedule, 1 pause of an account",
        "2 objects, 1 refresh token.",
    ] {
        assert!(copied.stdout.contains(words), "{}", copied.stdout);
    }
    copied.says(&["use only the new state"]);
    copy(&text(&old), &database).with_code(65).says(&["is not empty"]);

    // It is a book like any other: what is known is known, and what was under way when its process was killed is uncertain.
    let served = Served::start(&scratch, &["--state", &database]);
    let again = served.post("welcome", &key, &order).with_status(200);
    assert_eq!(
        (again.header("idempotency-replayed"), again.json()),
        (Some("true"), first)
    );
    let copying = copy(&database, &text(&none)).with_code(75);
    copying.says(&["is in use by the process"]);
    copy(&wrong, &text(&none)).with_code(75).says(&["cannot be reached"]);
    assert!(!none.join("pipepost.sqlite").exists(), "it would be taken for a state");
    served.end("TERM");
    let state = ["--state", &database];
    let listed = scratch
        .pipepost(&["ledger", "list", "--uncertain", state[0], state[1]])
        .with_code(0);
    assert!(listed.stdout.contains("killed/start/0#1"), "{}", listed.stdout);
    listed.says(&["1 uncertain"]);

    let copied = copy(&database, &text(&back)).with_code(0);
    assert!(copied.stdout.contains("3 executions, 5 messages"), "{}", copied.stdout);
    let (before, after) = (book(&old), book(&back));
    let differ: Vec<_> = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after)
        .collect();
    assert!(differ.is_empty() && before.len() == after.len(), "{differ:?}");
    let kept = std::fs::read(back.join("refresh-tokens").join(token)).expect("it was copied too");
    assert_eq!(kept, [1, 2, 3]);
    let counted = sink.finish();
    assert_eq!(counted.values().collect::<Vec<_>>(), [&1, &1], "{counted:?}");
}
