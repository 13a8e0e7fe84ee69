//! The plan of each statement that is asked again and again: it goes by an index, however much there is.

use std::collections::BTreeSet;

use pipepost_state::StateStore as _;
use pipepost_state_postgres::statements::HOT;
use pipepost_tests::{Postgres, PostgresOptions};
use serde_json::Value;

use crate::machine::store;

/// As much as makes an index worth its while.
const FILL: &str = "
INSERT INTO pipepost.workers (id, host, process, lease, seen)
    SELECT 'worker ' || n, 'host', n, 30000000, now() FROM generate_series(1, 2000) AS n;
INSERT INTO pipepost.executions (key, owner, epoch, begun, changed)
    SELECT 'execution ' || n, NULL, 1, n, n FROM generate_series(1, 20000) AS n;
INSERT INTO pipepost.messages (key, execution, digest, outcome, changed)
    SELECT 'message ' || n, 'execution ' || (n / 10), 'd', CASE WHEN n % 5000 = 0 THEN 'uncertain' ELSE 'sent' END, n
    FROM generate_series(1, 100000) AS n;
INSERT INTO pipepost.parts (message, number, state, epoch)
    SELECT 'message ' || n, 0, 'confirmed', 1 FROM generate_series(1, 100000) AS n;
INSERT INTO pipepost.documents (digest, pipeline, text, files, seen)
    SELECT 'document ' || n, 'pipeline ' || n, '{}', '{}', n FROM generate_series(1, 2000) AS n;
INSERT INTO pipepost.runs (id, pipeline, document, key, digest, origin, state, due, retries, attempt, deaths, allow_redelivery,
        redelivery, epoch, accepted, begun, ended, sent, failed, uncertain)
    SELECT 'run ' || n, 'pipeline ' || (n % 20), 'document ' || (n % 2000), 'key ' || n, 'd', 'rest',
        CASE WHEN n % 2000 = 0 THEN 'queued' WHEN n % 2001 = 0 THEN 'running' ELSE 'done' END,
        n, 0, 1, 0, true, false, 1, n, n, CASE WHEN n % 2000 = 0 OR n % 2001 = 0 THEN NULL ELSE n END, 1, 0, 0
    FROM generate_series(1, 100000) AS n;
INSERT INTO pipepost.schedules (pipeline) SELECT 'pipeline ' || n FROM generate_series(1, 2000) AS n;
INSERT INTO pipepost.quota_accounts (account, label)
    SELECT 'account ' || n, 'label ' || n FROM generate_series(1, 2000) AS n;
INSERT INTO pipepost.admissions (account, owner, ended)
    SELECT 'account ' || (n % 2000), 'worker ' || (n % 2000), CASE WHEN n % 100 = 0 THEN NULL ELSE n END
    FROM generate_series(1, 100000) AS n;
INSERT INTO pipepost.server_limits (account, label, server)
    SELECT 'account ' || n, 'label ' || n, 'server' FROM generate_series(1, 2000) AS n;
INSERT INTO pipepost.collections (name) SELECT 'collection ' || n FROM generate_series(1, 2000) AS n;
INSERT INTO pipepost.objects (collection, id, document)
    SELECT 'collection ' || (n % 2000), 'object ' || n, '{}' FROM generate_series(1, 50000) AS n;
INSERT INTO pipepost.grants (name, revision, sealed, changed)
    SELECT 'grant ' || n, 1, '', n FROM generate_series(1, 2000) AS n;
ANALYZE;
";

/// Tables that have a row for each worker, pipeline or document, and none for a message or a run: a few pages at most, which the
/// server reads whole where that is cheaper.
const SMALL: [&str; 4] = ["workers", "schedules", "documents", "incarnations"];

#[test]
fn every_statement_that_is_asked_again_and_again_goes_by_an_index() {
    let Some(cluster) = Postgres::start(&PostgresOptions::default()) else {
        return;
    };
    // It makes the tables.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let store = store(cluster.port(), "");
    runtime.block_on(store.probe()).expect("the store");
    cluster.superuser(FILL);
    assert!(HOT.len() > 10, "these are not all");
    let mut wrong = Vec::new();
    for (name, statement) in HOT {
        let plan = plan(&cluster, statement);
        let mut scanned = scanned(&plan);
        scanned.retain(|table| !SMALL.contains(&table.as_str()));
        if !scanned.is_empty() {
            wrong.push(format!("{name} reads the whole of {scanned:?}:\n{plan}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The test notices one.
    let plan = plan(&cluster, "SELECT key FROM pipepost.messages WHERE digest = $1::text");
    assert_eq!(scanned(&plan), BTreeSet::from(["messages".to_owned()]));
}

/// The plan of a statement for as many values as a worker gives at once. A worker prepares nothing, so the server plans
/// each statement for its values.
fn plan(cluster: &Postgres, statement: &str) -> Value {
    let last = (1..100)
        .rev()
        .find(|number| statement.contains(&format!("${number}::")));
    let values: Vec<String> = (1..=last.unwrap_or_default())
        .map(|number| value(statement, number))
        .collect();
    let given = if values.is_empty() {
        String::new()
    } else {
        format!("({})", values.join(", "))
    };
    let rows = cluster.superuser(&format!(
        "SET plan_cache_mode = force_custom_plan; PREPARE asked AS {statement}; EXPLAIN (FORMAT JSON) EXECUTE asked{given}"
    ));
    let text = rows.into_iter().flatten().flatten().next_back().expect("a plan");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A value for a parameter, of the type to which the statement casts it: of an array, as many as a claim has messages.
fn value(statement: &str, number: usize) -> String {
    let (_, cast) = statement
        .split_once(&format!("${number}::"))
        .expect("each parameter is cast");
    let kind: String = cast
        .chars()
        .take_while(|character| character.is_ascii_alphanumeric() || "[]".contains(*character))
        .collect();
    let one = |item: usize| match kind.trim_end_matches("[]") {
        "text" => format!("'message {item}'"),
        "bool" => "false".to_owned(),
        _ => item.to_string(),
    };
    match kind.strip_suffix("[]") {
        Some(_) => format!("ARRAY[{}]::{kind}", (1..=16).map(one).collect::<Vec<_>>().join(", ")),
        None => one(7),
    }
}

/// The tables that a plan reads from one end to the other.
fn scanned(plan: &Value) -> BTreeSet<String> {
    let mut tables = BTreeSet::new();
    let mut left = vec![plan];
    while let Some(node) = left.pop() {
        match node {
            Value::Array(values) => left.extend(values),
            Value::Object(fields) => {
                if node["Node Type"] == "Seq Scan" {
                    tables.extend(node["Relation Name"].as_str().map(str::to_owned));
                }
                left.extend(fields.values());
            }
            _ => {}
        }
    }
    tables
}
