use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::ledger::{Book, Decision, SettleError, State};

struct Fixture {
    directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a folder for temporary files");
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn open(&self) -> SqliteLedger {
        SqliteLedger::open(self.path(), "run").expect("nobody runs it")
    }

    fn book(&self) -> Book {
        Book::open(self.path()).expect("a state")
    }

    /// The connection that tests look behind with.
    fn database(&self) -> Connection {
        Connection::open(self.path().join(state::FILE)).expect("a state")
    }
}

fn message(key: &str) -> Message {
    Message {
        key: key.to_owned(),
        digest: "d".to_owned(),
        resend: false,
    }
}

fn part(key: &str, number: u32) -> Part {
    Part {
        key: key.to_owned(),
        number,
    }
}

async fn known(ledger: &SqliteLedger, key: &str) -> Known {
    ledger.look_up(&[message(key)]).await.remove(0)
}

async fn claim(ledger: &SqliteLedger, parts: &[(&str, u32)]) {
    for (key, _) in parts {
        known(ledger, key).await;
    }
    let parts = parts.iter().map(|(key, number)| part(key, *number)).collect();
    ledger.claim(parts).await.expect("nobody has claimed it");
}

/// The ledger as a crash leaves it: whatever was noted is written, and nothing is closed.
async fn crash(ledger: SqliteLedger) {
    // The next claim waits for all before it, and is not part of what is looked at.
    let last = part("last", 0);
    ledger.claim(vec![last.clone()]).await.expect("nobody has it");
    ledger.settle(&last, PartOutcome::NotCommitted);
    drop(ledger);
}

fn sent(output: &str) -> Recorded {
    Recorded {
        output: output.to_owned(),
        uncertain: false,
        remainder: None,
    }
}

fn uncertain(remainder: Option<&str>) -> Recorded {
    Recorded {
        output: "{\"accepted\":[]}".to_owned(),
        uncertain: true,
        remainder: remainder.map(str::to_owned),
    }
}

/// The next process, as soon as the last one's thread has let go.
fn reopen(fixture: &Fixture) -> SqliteLedger {
    loop {
        match SqliteLedger::open(fixture.path(), "run") {
            Ok(ledger) => return ledger,
            Err(StateError::Taken { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn what_was_recorded_comes_back_in_the_next_process() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    claim(&ledger, &[("a", 0), ("b", 0)]).await;
    for key in ["a", "b"] {
        ledger.settle(&part(key, 0), PartOutcome::Confirmed(None));
        ledger.record(key, sent("{\"n\":1}"));
    }
    ledger.close().await.expect("a writable state");
    let ledger = fixture.open();
    assert_eq!(known(&ledger, "a").await, Known::Ended(sent("{\"n\":1}")));
    let other = Message {
        digest: "e".to_owned(),
        ..message("b")
    };
    assert_eq!(ledger.look_up(&[other]).await, [Known::OtherContent]);
    assert_eq!(known(&ledger, "c").await, Known::Nothing);
}

#[tokio::test]
async fn a_claim_that_a_crash_left_open_is_uncertain() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    claim(
        &ledger,
        &[
            ("open", 0),
            ("refused", 0),
            ("confirmed", 0),
            ("in part", 0),
            ("in part", 1),
        ],
    )
    .await;
    ledger.settle(&part("refused", 0), PartOutcome::NotCommitted);
    ledger.settle(
        &part("confirmed", 0),
        PartOutcome::Confirmed(Some("{\"n\":2}".to_owned())),
    );
    ledger.settle(&part("in part", 0), PartOutcome::Confirmed(None));
    crash(ledger).await;
    let ledger = reopen(&fixture);
    assert!(matches!(known(&ledger, "open").await, Known::Ended(ended) if ended.uncertain));
    assert_eq!(known(&ledger, "refused").await, Known::Nothing);
    assert_eq!(known(&ledger, "confirmed").await, Known::Ended(sent("{\"n\":2}")));
    assert!(matches!(known(&ledger, "in part").await, Known::Ended(ended) if ended.uncertain));
    assert_eq!(ledger.claim(vec![part("open", 0)]).await, Err(ClaimError::Claimed));
    drop(ledger);
    let book = fixture.book();
    let states: Vec<(String, State)> = book
        .list(Some("run"))
        .expect("a state")
        .into_iter()
        .map(|entry| (entry.key, entry.state))
        .filter(|(_, state)| *state != State::UnderWay)
        .collect();
    assert!(states.iter().all(|(key, _)| key != "refused"), "{states:?}");
}

#[tokio::test]
async fn what_was_said_of_a_message_in_doubt_outlives_a_crash_until_its_end_is_recorded() {
    let fixture = Fixture::new();
    let ledger = fixture.open().hiding(|output| output.replace("secret", "***"));
    for key in ["open", "ended", "refused"] {
        known(&ledger, key).await;
        ledger.in_doubt(
            key,
            r#"{"to":"ann","subject":"a secret","success":true,"outcome":"sent"}"#,
        );
    }
    claim(&ledger, &[("open", 0), ("open", 1), ("ended", 0), ("refused", 0)]).await;
    ledger.settle(&part("ended", 0), PartOutcome::Confirmed(None));
    ledger.record("ended", sent("{\"n\":1}"));
    // Claimed again, it is told of again.
    ledger.settle(&part("refused", 0), PartOutcome::NotCommitted);
    ledger.in_doubt("refused", r#"{"to":"bob"}"#);
    claim(&ledger, &[("refused", 0)]).await;
    crash(ledger).await;

    let ledger = reopen(&fixture);
    let output = |known: Known| -> Value {
        match known {
            Known::Ended(ended) => serde_json::from_str(&ended.output).expect("JSON"),
            other => panic!("{other:?}"),
        }
    };
    let expected = json!({"to": "ann", "subject": "a ***", "success": false, "outcome": "uncertain"});
    assert_eq!(output(known(&ledger, "open").await), expected);
    assert_eq!(output(known(&ledger, "ended").await), json!({"n": 1}));
    assert_eq!(output(known(&ledger, "refused").await)["to"], "bob");
    ledger.close().await.expect("a writable state");

    let mut book = fixture.book();
    let shown = |book: &Book, key: &str| book.show(key).expect("a state").expect("it is there").output;
    assert_eq!(shown(&book, "open"), Some(expected));
    assert_eq!(shown(&book, "ended"), Some(json!({"n": 1})));
    let settled = book.settle("open", Decision::Sent).expect("it is uncertain");
    assert_eq!(
        settled.output,
        Some(json!({"to": "ann", "subject": "a ***", "success": true, "outcome": "sent", "decided": true}))
    );
    let settled = book.settle("refused", Decision::NotSent).expect("it is uncertain");
    assert_eq!(settled.output, None);
}

#[tokio::test]
async fn one_process_runs_an_execution_at_a_time() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    let error = SqliteLedger::open(fixture.path(), "run")
        .expect_err("it is taken")
        .to_string();
    assert!(
        error.contains("`run`") && error.contains(&std::process::id().to_string()),
        "{error}"
    );
    SqliteLedger::open(fixture.path(), "another").expect("nobody runs that");
    ledger.close().await.expect("a writable state");
    // At once, and without waiting for anything.
    fixture.open();
}

#[tokio::test]
async fn an_owner_that_is_gone_is_none() {
    let fixture = Fixture::new();
    fixture.open().close().await.expect("a writable state");
    let stale = fixture.path().join("owners").join("0123456789abcdef");
    std::fs::write(&stale, "").expect("a writable folder");
    fixture
        .database()
        .execute("UPDATE executions SET owner = '0123456789abcdef'", [])
        .expect("a state");
    fixture.open();
    assert!(!stale.exists());
}

#[tokio::test]
async fn a_person_settles_what_nobody_can_tell() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    claim(
        &ledger,
        &[("was", 0), ("was not", 0), ("in part", 0), ("in part", 1), ("fine", 0)],
    )
    .await;
    ledger.settle(&part("in part", 0), PartOutcome::Confirmed(None));
    ledger.settle(&part("fine", 0), PartOutcome::Confirmed(None));
    ledger.record("fine", sent("{}"));
    for key in ["was", "was not"] {
        ledger.settle(&part(key, 0), PartOutcome::Uncertain);
        ledger.record(key, uncertain(Some("[7]")));
    }
    let mut book = fixture.book();
    let running = book.settle("was", Decision::Sent);
    assert!(matches!(running, Err(SettleError::Running(_))), "{running:?}");
    ledger.close().await.expect("a writable state");

    assert!(book.settle("was", Decision::Sent).expect("it is uncertain").decided);
    let entry = book.settle("was not", Decision::NotSent).expect("it is uncertain");
    assert_eq!(entry.state, State::NotSent);
    let in_part = book.settle("in part", Decision::NotSent);
    assert!(matches!(in_part, Err(SettleError::InPart(_))), "{in_part:?}");
    let twice = book.settle("was", Decision::NotSent);
    assert!(matches!(twice, Err(SettleError::NotUncertain { .. })), "{twice:?}");
    assert!(matches!(
        book.settle("nobody", Decision::Sent),
        Err(SettleError::Unknown(_))
    ));
    assert_eq!(
        book.show("fine").expect("a state").expect("it is there").state,
        State::Sent
    );

    let ledger = fixture.open();
    assert!(matches!(known(&ledger, "was").await, Known::Ended(ended) if !ended.uncertain));
    assert_eq!(known(&ledger, "was not").await, Known::Left("[7]".to_owned()));
    claim(&ledger, &[("was not", 0)]).await;
}

#[tokio::test]
async fn a_message_that_is_sent_again_is_uncertain_until_it_is_claimed_again() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    claim(&ledger, &[("a", 0)]).await;
    ledger.settle(&part("a", 0), PartOutcome::Uncertain);
    ledger.record("a", uncertain(None));
    let again = Message {
        resend: true,
        ..message("a")
    };
    assert_eq!(ledger.look_up(std::slice::from_ref(&again)).await, [Known::Nothing]);
    crash(ledger).await;
    let ledger = reopen(&fixture);
    assert_eq!(known(&ledger, "a").await, Known::Ended(uncertain(None)));
    assert_eq!(ledger.look_up(&[again]).await, [Known::Nothing]);
    ledger.claim(vec![part("a", 0)]).await.expect("it was given free");
    ledger.settle(&part("a", 0), PartOutcome::Confirmed(None));
    ledger.record("a", sent("{}"));
    ledger.close().await.expect("a writable state");
    assert_eq!(known(&fixture.open(), "a").await, Known::Ended(sent("{}")));
}

#[tokio::test]
async fn settled_executions_are_forgotten_after_thirty_days_and_uncertain_ones_never() {
    let fixture = Fixture::new();
    for (execution, outcome) in [
        ("old", sent("{}")),
        ("doubtful", uncertain(None)),
        ("young", sent("{}")),
    ] {
        let ledger = SqliteLedger::open(fixture.path(), execution).expect("nobody runs it");
        claim(&ledger, &[(execution, 0)]).await;
        ledger.record(execution, outcome);
        ledger.close().await.expect("a writable state");
    }
    let age = "UPDATE messages SET changed = changed - 31 * 86400 WHERE key <> 'young'";
    let database = fixture.database();
    database.execute(age, []).expect("a state");
    database
        .execute(
            "UPDATE executions SET changed = changed - 31 * 86400 WHERE key <> 'young'",
            [],
        )
        .expect("a state");
    fixture.open();
    let keys: Vec<String> = fixture
        .book()
        .list(None)
        .expect("a state")
        .into_iter()
        .map(|entry| entry.key)
        .collect();
    assert_eq!(keys, ["doubtful", "young"]);
}

#[tokio::test]
async fn what_cannot_be_written_is_not_claimed() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    known(&ledger, "a").await;
    fixture.database().execute("DROP TABLE parts", []).expect("a state");
    let refused = ledger.claim(vec![part("a", 0)]).await;
    assert!(matches!(refused, Err(ClaimError::Unrecorded(_))), "{refused:?}");
    assert_eq!(known(&ledger, "a").await, Known::Nothing);
}
