//! The rules of ledgers.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Machine, SimClock, at_once};
use crate::StateError;
use crate::ledger::{
    ClaimError, Decision, Entry, Known, Ledger, LedgerReader, Message, Part, PartOutcome, Recorded, SettleError, State,
};
use crate::store::{Redact, StateStore};

type Held = Arc<dyn Ledger>;

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

async fn open(store: &impl StateStore, execution: &str) -> Held {
    let opened = at_once(store.open_ledger(execution, Redact::nothing())).await;
    opened.expect("nobody runs it")
}

async fn close(ledger: &Held) {
    at_once(ledger.close()).await.expect("a writable state");
}

async fn known(ledger: &Held, key: &str) -> Known {
    look_up(ledger, message(key)).await
}

async fn look_up(ledger: &Held, message: Message) -> Known {
    at_once(ledger.look_up(&[message]))
        .await
        .expect("a readable state")
        .remove(0)
}

async fn try_claim(ledger: &Held, parts: &[(&str, u32)]) -> Result<(), ClaimError> {
    let parts = parts.iter().map(|(key, number)| part(key, *number)).collect();
    at_once(ledger.claim(parts)).await
}

/// Looks every message up, and claims.
async fn claim(ledger: &Held, parts: &[(&str, u32)]) {
    for (key, _) in parts {
        known(ledger, key).await;
    }
    try_claim(ledger, parts).await.expect("nobody has claimed it");
}

/// Waits until all that was noted is written, as the next claim does.
async fn flush(ledger: &Held) {
    try_claim(ledger, &[("last", 0)]).await.expect("nobody has it");
    ledger.settle(&part("last", 0), PartOutcome::NotCommitted);
    try_claim(ledger, &[("after the last", 0)])
        .await
        .expect("nobody has it");
}

/// What is in doubt, by its key; the list says the same, and so do its pages.
async fn uncertain_keys(store: &impl StateStore) -> Vec<String> {
    let reader = store.reader();
    let mut entries = at_once(reader.open()).await.expect("a state");
    let listed = at_once(reader.list(None)).await.expect("a state");
    let mut paged: Vec<Entry> = Vec::new();
    loop {
        let after = paged.last().map(|entry| entry.key.as_str());
        let page = at_once(reader.page(None, after, 1)).await.expect("a state");
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, listed);
    let is_open = |entry: &&Entry| entry.state != State::Sent;
    assert_eq!(
        entries.iter().collect::<Vec<_>>(),
        listed.iter().filter(is_open).collect::<Vec<_>>()
    );
    let unknown = at_once(reader.page(None, Some("no such message"), 1)).await;
    assert!(unknown.expect("a state").is_empty());
    entries.retain(|entry| entry.state == State::Uncertain);
    entries.into_iter().map(|entry| entry.key).collect()
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

async fn show(reader: &Arc<dyn LedgerReader>, key: &str) -> Entry {
    at_once(reader.show(key)).await.expect("a state").expect("it is there")
}

async fn settle(reader: &Arc<dyn LedgerReader>, key: &str, decision: Decision) -> Result<Entry, SettleError> {
    at_once(reader.settle(key, decision)).await
}

fn machine<M: Machine>() -> (M, Arc<SimClock>) {
    let clock = Arc::new(SimClock::default());
    (M::new(Arc::clone(&clock)), clock)
}

/// See the name.
pub async fn what_was_recorded_comes_back_in_the_next_process<M: Machine>() {
    let (machine, _) = machine::<M>();
    let ledger = open(&machine.process(), "run").await;
    claim(&ledger, &[("a", 0), ("b", 0)]).await;
    for key in ["a", "b"] {
        ledger.settle(&part(key, 0), PartOutcome::Confirmed(None));
        ledger.record(key, sent("{\"n\":1}"));
    }
    close(&ledger).await;
    let ledger = open(&machine.process(), "run").await;
    assert_eq!(known(&ledger, "a").await, Known::Ended(sent("{\"n\":1}")));
    let other = Message {
        digest: "e".to_owned(),
        ..message("b")
    };
    assert_eq!(look_up(&ledger, other).await, Known::OtherContent);
    assert_eq!(known(&ledger, "c").await, Known::Nothing);
}

/// See the name.
pub async fn a_claim_is_all_or_nothing<M: Machine>() {
    let (machine, _) = machine::<M>();
    let ledger = open(&machine.process(), "run").await;
    assert_eq!(try_claim(&ledger, &[("a", 0)]).await, Ok(()));
    assert_eq!(
        try_claim(&ledger, &[("a", 1), ("a", 0)]).await,
        Err(ClaimError::Claimed)
    );
    assert_eq!(try_claim(&ledger, &[("a", 1)]).await, Ok(()));
}

/// See the name.
pub async fn a_part_that_is_named_twice_is_claimed_by_nobody<M: Machine>() {
    let (machine, _) = machine::<M>();
    let ledger = open(&machine.process(), "run").await;
    assert_eq!(
        try_claim(&ledger, &[("a", 0), ("a", 0)]).await,
        Err(ClaimError::Claimed)
    );
    assert_eq!(try_claim(&ledger, &[("a", 0)]).await, Ok(()));
}

/// See the name.
pub async fn only_what_was_not_committed_may_be_claimed_again<M: Machine>() {
    let (machine, _) = machine::<M>();
    let ledger = open(&machine.process(), "run").await;
    for (outcome, again) in [
        (PartOutcome::NotCommitted, Ok(())),
        (PartOutcome::Confirmed(None), Err(ClaimError::Claimed)),
        (PartOutcome::Uncertain, Err(ClaimError::Claimed)),
    ] {
        let key = format!("{outcome:?}");
        assert_eq!(try_claim(&ledger, &[(&key, 0)]).await, Ok(()));
        ledger.settle(&part(&key, 0), outcome);
        assert_eq!(try_claim(&ledger, &[(&key, 0)]).await, again);
    }
}

/// See the name.
pub async fn another_content_is_refused_once_something_was_committed_and_not_before<M: Machine>() {
    let (machine, _) = machine::<M>();
    let ledger = open(&machine.process(), "run").await;
    let first = message("a");
    let other = Message {
        digest: "e".to_owned(),
        ..first.clone()
    };
    assert_eq!(look_up(&ledger, first.clone()).await, Known::Nothing);
    assert_eq!(look_up(&ledger, other.clone()).await, Known::Nothing);
    assert_eq!(look_up(&ledger, first).await, Known::Nothing);
    try_claim(&ledger, &[("a", 0)]).await.expect("nobody has it");
    assert_eq!(look_up(&ledger, other.clone()).await, Known::OtherContent);
    ledger.settle(&part("a", 0), PartOutcome::NotCommitted);
    assert_eq!(look_up(&ledger, other).await, Known::Nothing);
}

/// See the name.
pub async fn an_uncertain_message_is_sent_again_only_when_asked_for<M: Machine>() {
    let (machine, _) = machine::<M>();
    let ledger = open(&machine.process(), "run").await;
    for (key, remainder, again) in [
        ("a", None, Known::Nothing),
        ("b", Some("[1]"), Known::Left("[1]".to_owned())),
    ] {
        claim(&ledger, &[(key, 0)]).await;
        ledger.settle(&part(key, 0), PartOutcome::Uncertain);
        ledger.record(key, uncertain(remainder));
        assert_eq!(known(&ledger, key).await, Known::Ended(uncertain(remainder)));
        assert_eq!(try_claim(&ledger, &[(key, 0)]).await, Err(ClaimError::Claimed));
        let asked = Message {
            resend: true,
            ..message(key)
        };
        assert_eq!(look_up(&ledger, asked).await, again);
        assert_eq!(try_claim(&ledger, &[(key, 0)]).await, Ok(()));
    }
}

/// See the name.
pub async fn what_was_confirmed_is_not_sent_again_with_the_rest<M: Machine>() {
    let (machine, _) = machine::<M>();
    let ledger = open(&machine.process(), "run").await;
    let asked = Message {
        resend: true,
        ..message("a")
    };
    claim(&ledger, &[("a", 0), ("a", 1)]).await;
    ledger.settle(&part("a", 0), PartOutcome::Confirmed(None));
    ledger.settle(&part("a", 1), PartOutcome::Uncertain);
    // What is left is not known.
    ledger.record("a", uncertain(None));
    assert_eq!(look_up(&ledger, asked.clone()).await, Known::Ended(uncertain(None)));
    ledger.record("a", uncertain(Some("[1]")));
    assert_eq!(look_up(&ledger, asked).await, Known::Left("[1]".to_owned()));
    assert_eq!(try_claim(&ledger, &[("a", 0)]).await, Err(ClaimError::Claimed));
    assert_eq!(try_claim(&ledger, &[("a", 1)]).await, Ok(()));
}

/// See the name.
pub async fn the_part_that_completes_a_message_brings_its_output<M: Machine>() {
    let (machine, _) = machine::<M>();
    let ledger = open(&machine.process(), "run").await;
    claim(&ledger, &[("a", 0), ("a", 1)]).await;
    ledger.settle(&part("a", 0), PartOutcome::Confirmed(None));
    assert!(matches!(known(&ledger, "a").await, Known::Ended(ended) if ended.uncertain));
    ledger.settle(&part("a", 1), PartOutcome::Confirmed(Some("{\"n\":1}".to_owned())));
    assert_eq!(known(&ledger, "a").await, Known::Ended(sent("{\"n\":1}")));
}

/// See the name.
pub async fn a_claim_that_a_crash_left_open_is_uncertain<M: Machine>() {
    let (machine, _) = machine::<M>();
    let process = machine.process();
    let ledger = open(&process, "run").await;
    let parts = [
        ("open", 0),
        ("refused", 0),
        ("confirmed", 0),
        ("in part", 0),
        ("in part", 1),
    ];
    claim(&ledger, &parts).await;
    ledger.settle(&part("refused", 0), PartOutcome::NotCommitted);
    ledger.settle(
        &part("confirmed", 0),
        PartOutcome::Confirmed(Some("{\"n\":2}".to_owned())),
    );
    ledger.settle(&part("in part", 0), PartOutcome::Confirmed(None));
    flush(&ledger).await;
    machine.crash(process);
    drop(ledger);

    let process = machine.process();
    let ledger = open(&process, "run").await;
    assert!(matches!(known(&ledger, "open").await, Known::Ended(ended) if ended.uncertain));
    assert_eq!(known(&ledger, "refused").await, Known::Nothing);
    assert_eq!(known(&ledger, "confirmed").await, Known::Ended(sent("{\"n\":2}")));
    assert!(matches!(known(&ledger, "in part").await, Known::Ended(ended) if ended.uncertain));
    assert_eq!(try_claim(&ledger, &[("open", 0)]).await, Err(ClaimError::Claimed));
    close(&ledger).await;
    let reader = process.reader();
    let entries = at_once(reader.list(Some("run"))).await.expect("a state");
    let mut states: Vec<(&str, State)> = entries.iter().map(|entry| (entry.key.as_str(), entry.state)).collect();
    states.sort_by_key(|(key, _)| *key);
    let expected = [
        ("after the last", State::Uncertain),
        ("confirmed", State::Sent),
        ("in part", State::Uncertain),
        ("open", State::Uncertain),
    ];
    assert_eq!(states, expected);
    assert!(at_once(reader.list(Some("another"))).await.expect("a state").is_empty());
}

/// See the name.
pub async fn what_was_said_of_a_message_in_doubt_outlives_a_crash_until_its_end_is_recorded<M: Machine>() {
    let (machine, _) = machine::<M>();
    let process = machine.process();
    let redact = Redact::with(|output| output.replace("secret", "***"));
    let ledger = at_once(process.open_ledger("run", redact))
        .await
        .expect("nobody runs it");
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
    flush(&ledger).await;
    machine.crash(process);
    drop(ledger);

    let process = machine.process();
    let ledger = open(&process, "run").await;
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
    close(&ledger).await;

    let reader = process.reader();
    assert_eq!(show(&reader, "open").await.output, Some(expected));
    assert_eq!(show(&reader, "ended").await.output, Some(json!({"n": 1})));
    let settled = settle(&reader, "open", Decision::Sent).await.expect("it is uncertain");
    assert_eq!(
        settled.output,
        Some(json!({"to": "ann", "subject": "a ***", "success": true, "outcome": "sent", "decided": true}))
    );
    let settled = settle(&reader, "refused", Decision::NotSent)
        .await
        .expect("it is uncertain");
    assert_eq!(settled.output, None);
}

/// See the name.
pub async fn what_may_not_be_written_down_is_in_no_output_that_is_kept<M: Machine>() {
    let (machine, _) = machine::<M>();
    let process = machine.process();
    let redact = Redact::with(|output| output.replace("secret", "***"));
    let ledger = at_once(process.open_ledger("run", redact))
        .await
        .expect("nobody runs it");
    claim(&ledger, &[("recorded", 0), ("uncertain", 0), ("completed", 0)]).await;
    let output = "{\"subject\":\"a secret\"}";
    ledger.settle(&part("recorded", 0), PartOutcome::Confirmed(None));
    ledger.record("recorded", sent(output));
    ledger.settle(&part("uncertain", 0), PartOutcome::Uncertain);
    let doubtful = Recorded {
        output: output.to_owned(),
        ..uncertain(None)
    };
    ledger.record("uncertain", doubtful);
    ledger.settle(&part("completed", 0), PartOutcome::Confirmed(Some(output.to_owned())));
    // The run itself goes on with what it has made.
    assert_eq!(known(&ledger, "recorded").await, Known::Ended(sent(output)));
    flush(&ledger).await;
    machine.crash(process);
    drop(ledger);
    let process = machine.process();
    let ledger = open(&process, "run").await;
    for key in ["recorded", "uncertain", "completed"] {
        let kept = known(&ledger, key).await;
        assert!(
            matches!(&kept, Known::Ended(ended) if ended.output == "{\"subject\":\"a ***\"}"),
            "{key}: {kept:?}"
        );
        let shown = show(&process.reader(), key).await.output;
        assert_eq!(shown, Some(json!({"subject": "a ***"})), "{key}");
    }
}

/// See the name.
pub async fn one_owner_runs_an_execution_at_a_time<M: Machine>() {
    let (machine, _) = machine::<M>();
    let (process, other) = (machine.process(), machine.process());
    let ledger = open(&process, "run").await;
    for process in [&process, &other] {
        let error = at_once(process.open_ledger("run", Redact::nothing())).await.map(drop);
        let error = error.expect_err("it is taken");
        assert!(matches!(error, StateError::Taken { .. }), "{error}");
        let error = error.to_string();
        assert!(
            error.contains("`run`") && error.contains(&std::process::id().to_string()),
            "{error}"
        );
    }
    open(&other, "another").await;
    close(&ledger).await;
    // At once, and without waiting for anything.
    open(&other, "run").await;
}

/// See the name.
pub async fn a_ledger_that_is_dropped_frees_its_execution<M: Machine>() {
    let (machine, _) = machine::<M>();
    let process = machine.process();
    let ledger = open(&process, "run").await;
    claim(&ledger, &[("a", 0)]).await;
    drop(ledger);
    let ledger = open(&process, "run").await;
    assert!(matches!(known(&ledger, "a").await, Known::Ended(ended) if ended.uncertain));
    assert_eq!(try_claim(&ledger, &[("a", 0)]).await, Err(ClaimError::Claimed));
}

/// See the name.
pub async fn a_message_of_another_execution_is_not_claimed<M: Machine>() {
    let (machine, _) = machine::<M>();
    let process = machine.process();
    let (one, other) = (open(&process, "one").await, open(&process, "other").await);
    claim(&one, &[("one/a", 0)]).await;
    claim(&other, &[("other/a", 0)]).await;
    one.settle(&part("one/a", 0), PartOutcome::Confirmed(None));
    one.record("one/a", sent("{}"));
    close(&one).await;
    assert_eq!(known(&other, "other/a").await, known(&other, "other/a").await);
    let entries = at_once(process.reader().list(None)).await.expect("a state");
    let owners: Vec<(&str, &str)> = entries
        .iter()
        .map(|entry| (entry.execution.as_str(), entry.key.as_str()))
        .collect();
    assert_eq!(owners, [("one", "one/a"), ("other", "other/a")]);
    assert_eq!(
        uncertain_keys(&process).await,
        [""; 0],
        "one is sent, and one is under way"
    );
    close(&other).await;
    assert_eq!(uncertain_keys(&process).await, ["other/a"]);
}

/// See the name.
pub async fn a_person_settles_what_nobody_can_tell<M: Machine>() {
    let (machine, _) = machine::<M>();
    let process = machine.process();
    let ledger = open(&process, "run").await;
    let parts = [("was", 0), ("was not", 0), ("in part", 0), ("in part", 1), ("fine", 0)];
    claim(&ledger, &parts).await;
    ledger.settle(&part("in part", 0), PartOutcome::Confirmed(None));
    ledger.settle(&part("fine", 0), PartOutcome::Confirmed(None));
    ledger.record("fine", sent("{}"));
    for key in ["was", "was not"] {
        ledger.settle(&part(key, 0), PartOutcome::Uncertain);
        ledger.record(key, uncertain(Some("[7]")));
    }
    let reader = machine.process().reader();
    let running = settle(&reader, "was", Decision::Sent).await;
    assert!(matches!(running, Err(SettleError::Running(_))), "{running:?}");
    close(&ledger).await;

    assert!(
        settle(&reader, "was", Decision::Sent)
            .await
            .expect("it is uncertain")
            .decided
    );
    let entry = settle(&reader, "was not", Decision::NotSent)
        .await
        .expect("it is uncertain");
    assert_eq!(entry.state, State::NotSent);
    let in_part = settle(&reader, "in part", Decision::NotSent).await;
    assert!(matches!(in_part, Err(SettleError::InPart(_))), "{in_part:?}");
    let twice = settle(&reader, "was", Decision::NotSent).await;
    assert!(matches!(twice, Err(SettleError::NotUncertain { .. })), "{twice:?}");
    let unknown = settle(&reader, "nobody", Decision::Sent).await;
    assert!(matches!(unknown, Err(SettleError::Unknown(_))), "{unknown:?}");
    assert_eq!(show(&reader, "fine").await.state, State::Sent);
    assert_eq!(show(&reader, "was not").await.state, State::NotSent);

    let ledger = open(&process, "run").await;
    assert!(matches!(known(&ledger, "was").await, Known::Ended(ended) if !ended.uncertain));
    assert_eq!(known(&ledger, "was not").await, Known::Left("[7]".to_owned()));
    claim(&ledger, &[("was not", 0)]).await;
    assert!(!show(&reader, "was not").await.decided, "it is being sent again");
}

/// See the name.
pub async fn a_message_that_is_sent_again_is_uncertain_until_it_is_claimed_again<M: Machine>() {
    let (machine, _) = machine::<M>();
    let process = machine.process();
    let ledger = open(&process, "run").await;
    claim(&ledger, &[("a", 0)]).await;
    ledger.settle(&part("a", 0), PartOutcome::Uncertain);
    ledger.record("a", uncertain(None));
    let again = Message {
        resend: true,
        ..message("a")
    };
    assert_eq!(look_up(&ledger, again.clone()).await, Known::Nothing);
    flush(&ledger).await;
    machine.crash(process);
    drop(ledger);
    let process = machine.process();
    let ledger = open(&process, "run").await;
    assert_eq!(known(&ledger, "a").await, Known::Ended(uncertain(None)));
    assert_eq!(look_up(&ledger, again).await, Known::Nothing);
    try_claim(&ledger, &[("a", 0)]).await.expect("it was given free");
    ledger.settle(&part("a", 0), PartOutcome::Confirmed(None));
    ledger.record("a", sent("{}"));
    close(&ledger).await;
    let ledger = open(&process, "run").await;
    assert_eq!(known(&ledger, "a").await, Known::Ended(sent("{}")));
}

/// See the name.
pub async fn settled_executions_are_forgotten_after_thirty_days_and_uncertain_ones_never<M: Machine>() {
    let (machine, clock) = machine::<M>();
    let process = machine.process();
    let run = async |execution: &str, outcome: Recorded| {
        let ledger = open(&process, execution).await;
        claim(&ledger, &[(execution, 0)]).await;
        ledger.record(execution, outcome);
        close(&ledger).await;
    };
    run("old", sent("{}")).await;
    run("doubtful", uncertain(None)).await;
    clock.pass_days(20);
    run("young", sent("{}")).await;
    clock.pass_days(11);
    close(&open(&process, "new").await).await;
    let entries = at_once(process.reader().list(None)).await.expect("a state");
    let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["doubtful", "young"]);
    assert_eq!(uncertain_keys(&process).await, ["doubtful"]);
}

/// See the name.
pub async fn many_executions_at_once_keep_their_claims_apart<M: Machine>() {
    let (machine, _) = machine::<M>();
    let process = machine.process();
    let mut ledgers = Vec::new();
    for number in 0..8 {
        ledgers.push(open(&process, &format!("run {number}")).await);
    }
    let work = ledgers.iter().enumerate().map(|(number, ledger)| async move {
        for message in 0..16 {
            let key = format!("run {number}/{message}");
            claim(ledger, &[(&key, 0)]).await;
            ledger.settle(&part(&key, 0), PartOutcome::Confirmed(None));
            ledger.record(&key, sent("{}"));
        }
    });
    let mut work: Vec<_> = work.map(Box::pin).collect();
    // All at once, so that they share commits.
    std::future::poll_fn(|context| {
        work.retain_mut(|one| one.as_mut().poll(context).is_pending());
        if work.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    for ledger in &ledgers {
        close(ledger).await;
    }
    let entries = at_once(process.reader().list(None)).await.expect("a state");
    assert_eq!(entries.len(), 8 * 16);
    assert!(entries.iter().all(|entry| entry.state == State::Sent));
    assert!(
        entries
            .iter()
            .all(|entry| entry.key.starts_with(&format!("{}/", entry.execution)))
    );
}
