//! A worker that was paused for longer than its lease, and wakes with everything in its memory as it was.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use pipepost_state::ledger::{ClaimError, Known, Message, Part};
use pipepost_state::{Redact, StateError, StateStore as _};
use pipepost_state_postgres::PostgresStore;
use pipepost_tests::{Partition, Postgres, PostgresOptions, Served, Sink};
use serde_json::{Value, json};

use crate::book;
use crate::machine::{Machine, folder, store};
use crate::orders::uncertain;

/// Messages of the run in whose midst the worker stops.
const MESSAGES: usize = 300;

/// How often it is tried to stop a worker in the midst of a run.
const TRIES: usize = 20;

#[test]
fn a_worker_that_wakes_after_its_lease_sends_nothing_more_of_what_others_took() {
    let Some(sink) = Sink::start() else { return };
    let Some(cluster) = Postgres::start(&PostgresOptions::default()) else {
        return;
    };
    let machines = [0, 1].map(|_| Machine::new(&[cluster.port()], sink.address()));
    let first = machines[0].start();
    book::keep(&cluster);
    let second = machines[1].start();
    let (id, subjects) = (0..TRIES)
        .find_map(|number| stopped_in_the_midst(&machines[0], &first, &cluster, &sink, number))
        .expect("one of the tries falls into the midst of a run");
    // The other one takes it over, and ends it.
    let run = loop {
        let run = second.run(&id);
        if !matches!(run["state"].as_str(), Some("queued" | "running")) {
            break run;
        }
        std::thread::yield_now();
    };
    assert!(matches!(run["state"].as_str(), Some("done" | "uncertain")), "{run}");
    machines[0].signal("CONT");
    // It goes on with what it believes to be its own, until nothing of it is under way any more.
    while !is_idle(&first) {
        std::thread::yield_now();
    }
    let after = second.run(&id);
    assert_eq!(
        (&after["state"], &after["messages"]),
        (&run["state"], &run["messages"]),
        "the end stays"
    );
    // It is a worker as any other from now on.
    first
        .post("welcome", &[], &json!({ "subjects": ["afterwards"] }))
        .with_status(200);
    let listed = uncertain(&second);
    drop((first, second));
    machines.iter().for_each(Machine::kill);
    drop(machines);
    let (_, wrong) = book::check(&cluster);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let arrived = sink.finish();
    let doubled: Vec<&String> = arrived
        .iter()
        .filter(|(_, count)| **count > 1)
        .map(|(subject, _)| subject)
        .collect();
    assert!(
        doubled.is_empty(),
        "{} messages were sent twice: {doubled:?}",
        doubled.len()
    );
    let lost: BTreeSet<&String> = subjects
        .iter()
        .filter(|subject| !arrived.contains_key(*subject) && !listed.contains(*subject))
        .collect();
    assert!(lost.is_empty(), "{} of {}: {run}", lost.len(), subjects.len());
    assert_eq!(arrived.get("afterwards"), Some(&1));
}

fn message(key: &str) -> Message {
    Message {
        key: key.to_owned(),
        digest: "digest".to_owned(),
        resend: false,
    }
}

fn part(key: &str) -> Part {
    Part {
        key: key.to_owned(),
        number: 0,
    }
}

/// How many parts of a message are written down as claimed.
fn claimed(cluster: &Postgres, key: &str) -> u64 {
    cluster.count(&format!(
        "SELECT count(*) FROM pipepost.parts WHERE message = '{key}' AND state = 'claimed'"
    ))
}

#[test]
fn a_claim_whose_answer_was_lost_is_asked_again_and_is_still_its_own() {
    let Some(cluster) = Postgres::start(&PostgresOptions::default()) else {
        return;
    };
    let way = Partition::before(SocketAddr::from((Ipv4Addr::LOCALHOST, cluster.port())));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let store = store(way.port(), "");
    let ledger = runtime
        .block_on(store.open_ledger("e", Redact::nothing()))
        .expect("nobody has it");
    assert_eq!(
        runtime
            .block_on(ledger.look_up(&[message("one"), message("two")]))
            .expect("a store that answers"),
        [Known::Nothing, Known::Nothing]
    );
    way.mute();
    let claim = {
        let ledger = Arc::clone(&ledger);
        runtime.spawn(async move { ledger.claim(vec![part("one")]).await })
    };
    while claimed(&cluster, "one") == 0 {
        std::thread::yield_now();
    }
    // It is written down, and nobody was told.
    way.sever();
    way.heal();
    assert_eq!(
        runtime.block_on(claim).expect("it does not panic"),
        Ok(()),
        "it is its own"
    );
    assert_eq!(claimed(&cluster, "one"), 1);
    let again = runtime.block_on(ledger.claim(vec![part("one")]));
    assert_eq!(again, Err(ClaimError::Claimed), "but once only");
    assert_eq!(runtime.block_on(ledger.claim(vec![part("two")])), Ok(()));
}

#[test]
fn a_claim_whose_answer_was_lost_to_a_lease_is_not_granted_and_nothing_more_is() {
    let Some(cluster) = Postgres::start(&PostgresOptions::default()) else {
        return;
    };
    let way = Partition::before(SocketAddr::from((Ipv4Addr::LOCALHOST, cluster.port())));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (store_cut_off, other) = (store(way.port(), "?lease=2"), store(cluster.port(), "?lease=2"));
    let open = |store: &PostgresStore| runtime.block_on(store.open_ledger("e", Redact::nothing()));
    let ledger = open(&store_cut_off).expect("nobody has it");
    runtime
        .block_on(ledger.look_up(&[message("one"), message("two")]))
        .expect("a store that answers");
    way.mute();
    let claim = {
        let ledger = Arc::clone(&ledger);
        runtime.spawn(async move { ledger.claim(vec![part("one")]).await })
    };
    while claimed(&cluster, "one") == 0 {
        std::thread::yield_now();
    }
    way.cut();
    // Another worker takes it when the lease is over, and cannot tell whether it was sent.
    let taken = loop {
        match open(&other) {
            Ok(ledger) => break ledger,
            Err(StateError::Taken { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    };
    let known = runtime
        .block_on(taken.look_up(&[message("one"), message("two")]))
        .expect("a store that answers");
    assert!(matches!(&known[0], Known::Ended(ended) if ended.uncertain), "{known:?}");
    assert_eq!(known[1], Known::Nothing);
    way.sever();
    way.heal();
    let claim = runtime.block_on(claim).expect("it does not panic");
    assert!(claim.is_err(), "it is another's by now");
    let more = runtime.block_on(ledger.claim(vec![part("two")]));
    assert!(matches!(more, Err(ClaimError::Unrecorded(_))), "{more:?}");
    assert_eq!(runtime.block_on(taken.claim(vec![part("two")])), Ok(()));
}

/// Stops the worker in the midst of a run. Gives the run and its messages; none if it was done before.
fn stopped_in_the_midst(
    machine: &Machine,
    served: &Served,
    cluster: &Postgres,
    sink: &Sink,
    number: usize,
) -> Option<(String, Vec<String>)> {
    let subjects: Vec<String> = (0..MESSAGES)
        .map(|item| format!("try {number} message {item}"))
        .collect();
    let before = sink.count();
    // The other worker would take it, if it waited.
    let reply = served.post(
        "welcome",
        &[("Prefer", "respond-async")],
        &json!({ "subjects": subjects }),
    );
    let id = reply.with_status(202).json()["id"].as_str().expect("an id").to_owned();
    while sink.count() <= before + number {
        std::thread::yield_now();
    }
    machine.signal("STOP");
    let confirmed = format!(
        "SELECT count(*) FROM pipepost.messages AS message JOIN pipepost.runs AS run ON run.key = message.execution
         WHERE run.id = '{id}' AND run.state = 'running'"
    );
    let claimed = cluster.count(&confirmed);
    // Enough is left to claim for whoever wakes.
    if claimed > 0 && claimed < MESSAGES as u64 / 2 {
        return Some((id, subjects));
    }
    machine.signal("CONT");
    served.run_until(&id, "done");
    None
}

/// Whether nothing is under way in this process.
fn is_idle(served: &Served) -> bool {
    let told = served.api("GET", "/metrics", &Value::Null).with_status(200);
    let running = told
        .body
        .lines()
        .find_map(|line| line.strip_prefix("pipepost_runs_running "));
    running.expect("it counts them") == "0"
}

#[test]
fn a_worker_that_stood_still_has_missed_nothing_that_another_one_fired() {
    let Some(cluster) = Postgres::start(&PostgresOptions::default()) else {
        return;
    };
    let scratches = [0, 1].map(|_| folder(&cluster.url(), 25));
    let log = json!({ "type": "connector", "name": "log-connector", "params": { "message": "tick" } });
    let tick = json!({
        "triggerSpec": { "type": "scheduler", "cronExpression": "0/2 * * * * ?" },
        "flowSpec": { "start": [log] },
    });
    for scratch in &scratches {
        scratch.write("pipelines/tick.json", tick.to_string());
    }
    let [still, other] = scratches.each_ref().map(|scratch| Served::start(scratch, &[]));
    let fired = || cluster.count("SELECT count(*) FROM pipepost.runs WHERE pipeline = 'tick'");
    let until_fired = |more: u64| {
        let before = fired();
        while fired() < before + more {
            std::thread::yield_now();
        }
    };
    until_fired(1);
    still.running().signal("STOP");
    until_fired(4);
    still.running().signal("CONT");
    until_fired(2);
    for served in [&still, &other] {
        let told = served.api("GET", "/metrics", &Value::Null).with_status(200).body;
        let missed = r#"pipepost_schedule_missed_total{pipeline="tick"} 0"#;
        assert!(told.contains(missed), "{told}");
    }
}
