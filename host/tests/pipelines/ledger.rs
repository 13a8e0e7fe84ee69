//! Named executions: run again, they repeat nothing, and what nobody can tell waits for somebody.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use pipepost::state::ledger::{Decision, Entry, LedgerReader, State};
use pipepost::state::{Redact, StateStore as _};
use pipepost::{FailureKind, Remedy, RunOptions};
use pipepost_inbox::Script;
use pipepost_state_sqlite::SqliteStore;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::fixture::{Fixture, email, report, steps};

fn once(further: Value) -> Value {
    let mut params = json!({ "to": "a@example.com", "subject": "once", "body": "x" });
    for (name, value) in further.as_object().expect("parameters") {
        params[name] = value.clone();
    }
    steps(json!([email(params)]))
}

fn merge(count: usize) -> Value {
    let items: Vec<String> = (0..count).map(|n| format!("r{n}@example.com")).collect();
    steps(json!([email(
        json!({ "items": items, "to": "{{ item }}", "subject": "to {{ item }}", "body": "x" })
    )]))
}

/// The connection is lost when the content of the first message has left, once.
fn lost() -> Script {
    let script = r#"{"rules": [{"at": "content", "obey": true, "times": 1, "do": ["close"]}]}"#;
    Script::from_json(script).expect("a script")
}

fn reader(bench: &Fixture) -> Arc<dyn LedgerReader> {
    SqliteStore::new(bench.state()).reader()
}

async fn entries(bench: &Fixture) -> Vec<Entry> {
    reader(bench).list(None).await.expect("a state")
}

fn message_ids(bench: &Fixture) -> BTreeSet<String> {
    let messages = bench.inbox.messages();
    messages.iter().filter_map(|message| message.message_id()).collect()
}

#[tokio::test]
async fn what_was_sent_is_not_sent_by_another_run_of_the_execution() {
    let bench = Fixture::new(Script::new()).await;
    let first = bench.named("orders-7", &once(json!({})), json!({})).await;
    let first = first.result.expect("an output");
    let again = bench.named("orders-7", &once(json!({})), json!({})).await;
    assert_eq!(again.exit_code(), 0);
    let mut again = again.result.expect("an output");
    assert_eq!(again["replayed"], true);
    again.as_object_mut().expect("an object").shift_remove("replayed");
    assert_eq!(again, first);
    assert_eq!(bench.said("MAIL FROM"), 1);

    bench.named("orders-8", &once(json!({})), json!({})).await;
    assert_eq!(bench.subjects(), ["once", "once"]);
    assert_eq!(message_ids(&bench).len(), 2);
    let keys: Vec<(String, State)> = entries(&bench)
        .await
        .into_iter()
        .map(|entry| (entry.execution, entry.state))
        .collect();
    assert_eq!(
        keys,
        [
            ("orders-7".to_owned(), State::Sent),
            ("orders-8".to_owned(), State::Sent)
        ]
    );
}

#[tokio::test]
async fn another_content_is_refused_by_another_run_and_another_way_of_trying_is_not() {
    let bench = Fixture::new(Script::new()).await;
    bench.named("x", &once(json!({})), json!({})).await;
    let other = bench
        .named(
            "x",
            &once(json!({ "subject": "twice", "failOnError": true })),
            json!({}),
        )
        .await;
    assert_eq!(other.exit_code(), pipepost::exit_code(FailureKind::Configuration));
    let same = once(json!({ "retry": 7, "onUncertain": "resend", "failOnError": true }));
    let same = bench.named("x", &same, json!({})).await;
    assert_eq!(same.result.expect("an output")["replayed"], true);
    assert_eq!(bench.subjects(), ["once"]);
}

#[tokio::test]
async fn what_may_have_been_sent_waits_for_somebody_to_settle_it() {
    let bench = Fixture::new(lost()).await;
    for _ in 0..2 {
        let report = bench.named("x", &once(json!({})), json!({})).await;
        assert_eq!(report.exit_code(), pipepost::exit_code(FailureKind::Uncertain));
    }
    assert_eq!(bench.said("MAIL FROM"), 1);
    let doubtful = entries(&bench).await.remove(0);
    assert_eq!(doubtful.state, State::Uncertain);
    assert_eq!(
        doubtful.output.expect("what there is")["uncertain"],
        json!(["a@example.com"])
    );

    reader(&bench)
        .settle(&doubtful.key, Decision::Sent)
        .await
        .expect("it is uncertain");
    let report = bench.named("x", &once(json!({})), json!({})).await;
    assert_eq!(report.exit_code(), 0);
    assert_eq!(report.result.expect("an output")["decided"], true);
    assert_eq!(bench.said("MAIL FROM"), 1);
}

#[tokio::test]
async fn what_somebody_settles_as_not_sent_goes_out_in_the_next_run() {
    let bench = Fixture::new(lost()).await;
    bench.named("x", &once(json!({})), json!({})).await;
    let key = entries(&bench).await.remove(0).key;
    let report = bench.named("x", &once(json!({})), json!({})).await;
    let (place, failure) = report.tolerated.first().expect("it is not sent again");
    let remedy = Remedy::SettleMessage { key: key.clone() };
    assert_eq!(failure.remedy, Some(remedy), "{place}");
    assert!(!failure.to_string().contains("pipepost"), "{failure}");
    reader(&bench)
        .settle(&key, Decision::NotSent)
        .await
        .expect("it is uncertain");
    let report = bench.named("x", &once(json!({})), json!({})).await;
    assert_eq!(report.result.expect("an output")["outcome"], "sent");
    assert_eq!(bench.said("MAIL FROM"), 2);
    assert_eq!(message_ids(&bench).len(), 1);
}

#[tokio::test]
async fn a_rerun_sends_again_what_may_have_been_sent_only_when_the_pipeline_asks() {
    let bench = Fixture::new(lost()).await;
    bench.named("x", &once(json!({})), json!({})).await;
    let report = bench
        .named("x", &once(json!({ "onUncertain": "resend" })), json!({}))
        .await;
    let output = report.result.expect("an output");
    assert_eq!(
        (&output["outcome"], &output["replayed"]),
        (&json!("sent"), &Value::Null)
    );
    assert_eq!(bench.said("MAIL FROM"), 2);
    // The same one, so that the mailbox can tell.
    assert_eq!(message_ids(&bench).len(), 1);
    assert_eq!(entries(&bench).await[0].state, State::Sent);
}

#[tokio::test]
async fn a_run_that_was_cut_short_is_finished_by_the_next() {
    // One recipient's message is refused for now, and the pipeline has no patience.
    let script = r#"{"rules": [{"at": "rcpt", "contains": "<r3@", "times": 1, "do": [{"reply": "451 4.3.0 later"}]}]}"#;
    let bench = Fixture::new(Script::from_json(script).expect("a script")).await;
    let mut document = merge(8);
    document["flowSpec"]["start"][0]["params"]["retry"] = json!(false);
    let report = bench.named("news", &document, json!({})).await;
    assert_eq!((report.counts.sent, report.counts.failed), (7, 1));
    let report = bench.named("news", &document, json!({})).await;
    assert_eq!(report.exit_code(), 0);
    assert_eq!(report.counts.sent, 1);
    let output = report.result.expect("an output");
    assert_eq!(output["sent"], 8);
    assert_eq!(
        bench.subjects(),
        (0..8).map(|n| format!("to r{n}@example.com")).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn one_lost_connection_makes_no_more_uncertain_than_the_account_allows() {
    let script = r#"{"rules": [{"at": "content", "obey": true, "nth": 5, "connection": 1, "do": ["close"]}]}"#;
    for (most, further) in [(3, json!({ "limits": { "max_uncertain": 3 } })), (16, json!({}))] {
        let bench = Fixture::with(Script::from_json(script).expect("a script"), further).await;
        let report = bench.named("news", &merge(60), json!({})).await;
        let uncertain = report.counts.uncertain;
        assert!((1..=most).contains(&uncertain), "{uncertain} uncertain");
        assert_eq!(report.counts.sent + uncertain, 60, "{:?}", report.counts);
        let doubtful = entries(&bench)
            .await
            .iter()
            .filter(|entry| entry.state == State::Uncertain)
            .count();
        assert_eq!(doubtful as u64, uncertain);
        let rerun = bench.named("news", &merge(60), json!({})).await;
        assert_eq!(rerun.exit_code(), pipepost::exit_code(FailureKind::Uncertain));
        let output = rerun.result.expect("an output");
        assert_eq!(output["uncertain"], uncertain);
        let distinct: BTreeSet<String> = bench.subjects().into_iter().collect();
        assert_eq!(distinct.len(), bench.subjects().len(), "something arrived twice");
    }
}

#[tokio::test]
async fn an_execution_that_somebody_else_runs_is_left_alone() {
    let bench = Fixture::new(Script::new()).await;
    let other = SqliteStore::new(bench.state());
    let other = other.open_ledger("x", Redact::nothing()).await.expect("nobody runs it");
    let report = bench.named("x", &once(json!({})), json!({})).await;
    assert_eq!(report.exit_code(), pipepost::exit_code(FailureKind::Transient));
    let error = report.result.expect_err("it is taken").to_string();
    assert!(error.contains("`x` is being run by another process"), "{error}");
    assert_eq!(bench.said("MAIL FROM"), 0);
    drop(other);
}

/// A disk that is slower than the server: nothing is committed before the server has taken whatever was claimed until then.
#[tokio::test]
async fn no_crash_at_any_commit_leaves_more_uncertain_than_the_account_allows_however_slow_the_disk_is() {
    for connections in [1, 3] {
        most_left_open(connections, true).await;
        most_left_open(connections, false).await;
    }
}

async fn most_left_open(connections: usize, chunking: bool) {
    const WINDOW: usize = 4;
    const MESSAGES: usize = 600;
    let folder = tempfile::tempdir().expect("a directory");
    let fixture: Arc<OnceLock<Weak<Fixture>>> = Arc::default();
    let left_open: Arc<Mutex<Vec<usize>>> = Arc::default();
    let (server, seen, file) = (
        Arc::clone(&fixture),
        Arc::clone(&left_open),
        folder.path().join(pipepost_state_sqlite::FILE),
    );
    let store = SqliteStore::new(folder.path()).before_commits(move || {
        let Some(fixture) = server.get().and_then(Weak::upgrade) else {
            return;
        };
        let database = Connection::open(&file).expect("a state");
        let count = |which: &str| {
            let query = format!("SELECT count(*) FROM parts WHERE {which}");
            let counted = database.query_row(&query, [], |row| row.get::<_, u32>(0));
            counted.expect("a table") as usize
        };
        let claimed = count("1");
        while fixture.inbox.messages().len() < claimed {
            std::thread::yield_now();
        }
        // What a kill at this moment leaves.
        let mut left_open = seen.lock().expect("no panic while it is held");
        left_open.push(count("state = 'claimed'"));
    });
    let mut further = json!({ "limits": { "max_uncertain": WINDOW, "max_connections": connections } });
    if !chunking {
        further["properties"] = json!({ "mail.smtp.chunksize": "-1" });
    }
    let bench = Fixture::built(Script::new(), further, |builder| builder.state(Arc::new(store))).await;
    let bench = Arc::new(bench);
    fixture.set(Arc::downgrade(&bench)).expect("set once");
    let mut options = RunOptions::new(json!({}));
    options.execution = Some("news".to_owned());
    let report = report(&bench.host, &merge(MESSAGES), options).await;
    assert_eq!(report.counts.sent as usize, MESSAGES, "{:?}", report.counts);
    let left_open = left_open.lock().expect("no panic while it is held").clone();
    let most = left_open.iter().max().copied().unwrap_or_default();
    assert!(left_open.len() > MESSAGES / (WINDOW * connections), "{left_open:?}");
    assert!(
        most <= WINDOW * connections,
        "a kill would leave {most} messages uncertain on {connections} connections: {left_open:?}"
    );
}
