//! The rules of runs.

use std::sync::Arc;
use std::time::Duration;

use super::{Machine, SimClock, at_once, seconds};
use crate::clock::{Clock as _, length};
use crate::runs::{
    Accepted, AccountWait, DEATHS_MAX, Decided, Lease, NewRun, PinnedDocument, QueueAgain, Room, Run, RunCounts,
    RunEnd, RunFailure, RunFilter, RunId, RunOrigin, RunState, RunStore, ScheduleNote, TraceContext,
};
use crate::store::StateStore as _;
use crate::{Answer, StateError};

/// The example of W3C's Trace Context.
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

type Runs = Arc<dyn RunStore>;

fn machine<M: Machine>() -> (M, Arc<SimClock>) {
    let clock = Arc::new(SimClock::default());
    (M::new(Arc::clone(&clock)), clock)
}

fn order(pipeline: &str, key: &str) -> NewRun {
    NewRun {
        id: RunId::next(),
        document: Arc::new(PinnedDocument {
            digest: format!("sha256:{pipeline}"),
            pipeline: pipeline.to_owned(),
            text: format!("{{\"name\":\"{pipeline}\"}}"),
            files: "{\"a.html\":\"x\"}".to_owned(),
        }),
        key: key.to_owned(),
        digest: "d".to_owned(),
        origin: RunOrigin::Api,
        message: "{\"card\":1}".to_owned(),
        shown: None,
        globals: Some("{\"month\":\"May\"}".to_owned()),
        trace: TraceContext::new(TRACE, Some("vendor=1")),
        due: None,
        expiration: None,
        retries: 0,
        allow_redelivery: true,
        unless_waiting: false,
        running_max: None,
    }
}

fn room(runs: usize) -> Room {
    Room {
        runs,
        others: runs,
        ..Room::default()
    }
}

fn done(output: &str) -> RunEnd {
    RunEnd {
        state: RunState::Done,
        output: Some(output.to_owned()),
        failure: None,
        counts: RunCounts {
            sent: 1,
            ..RunCounts::default()
        },
    }
}

fn failure(kind: &str) -> RunFailure {
    RunFailure {
        kind: kind.to_owned(),
        object: format!("{{\"kind\":\"{kind}\"}}"),
    }
}

fn failed(kind: &str) -> RunEnd {
    RunEnd {
        state: RunState::Failed,
        output: None,
        failure: Some(failure(kind)),
        counts: RunCounts::default(),
    }
}

async fn now<T>(answer: Answer<'_, Result<T, StateError>>) -> T {
    at_once(answer).await.expect("a usable state")
}

async fn queued(runs: &Runs, order: NewRun) -> Run {
    match now(runs.accept(order, false)).await {
        Accepted::Queued(run) => run,
        other => panic!("it is not new: {other:?}"),
    }
}

async fn begun(runs: &Runs, order: NewRun) -> Lease {
    match now(runs.accept(order, true)).await {
        Accepted::Begun(lease) => lease,
        other => panic!("it is not new: {other:?}"),
    }
}

async fn take(runs: &Runs, room: Room) -> Vec<Lease> {
    now(runs.take(room)).await
}

async fn found(runs: &Runs, id: &RunId) -> Run {
    now(runs.run(id)).await.expect("it was accepted")
}

/// See the name.
pub async fn a_run_is_known_by_its_key_and_content_in_every_process<M: Machine>() {
    let (machine, _) = machine::<M>();
    let runs = machine.process().runs();
    let first = queued(&runs, order("mail", "k")).await;
    assert_eq!((first.state, first.attempt), (RunState::Queued, 0));
    let runs = machine.process().runs();
    let again = now(runs.accept(order("mail", "k"), true)).await;
    assert_eq!(again, Accepted::Known(first.clone()));
    let other = NewRun {
        digest: "e".to_owned(),
        ..order("mail", "k")
    };
    assert_eq!(
        now(runs.accept(other, false)).await,
        Accepted::OtherContent(first.id.clone())
    );
    assert_eq!(now(runs.with_key("k")).await, Some(first.clone()));
    assert_eq!(now(runs.with_key("l")).await, None);
    let document = now(runs.document(&first.document)).await.expect("it is pinned");
    assert_eq!(*document, *order("mail", "k").document);
}

/// See the name.
pub async fn a_run_has_one_performer_and_ends_once<M: Machine>() {
    let (machine, _) = machine::<M>();
    let (runs, other) = (machine.process().runs(), machine.process().runs());
    let run = queued(&runs, order("mail", "k")).await;
    let lease = take(&runs, room(8)).await.pop().expect("it waits");
    assert_eq!((&lease.run.id, lease.run.attempt), (&run.id, 1));
    assert_eq!(take(&other, room(8)).await, []);
    assert!(now(runs.finish(&lease, done("{\"n\":1}"))).await);
    assert!(!now(runs.finish(&lease, failed("limit"))).await, "it has ended");
    let ended = found(&other, &run.id).await;
    assert_eq!((ended.state, ended.counts.sent), (RunState::Done, 1));
    assert_eq!(ended.output.as_deref(), Some("{\"n\":1}"));
    assert_eq!(ended.owner, None);
    assert!(ended.ended.is_some());
    assert!(now(runs.cancel(&run.id, None)).await == Decided::NotNow(ended.clone()));
    assert!(now(runs.resume(&run.id)).await == Decided::NotNow(ended));
}

/// See the name.
pub async fn an_earlier_performer_writes_nothing_once_the_run_began_again<M: Machine>() {
    let (machine, _) = machine::<M>();
    let runs = machine.process().runs();
    let first = begun(&runs, order("mail", "k")).await;
    let again = QueueAgain {
        wait: Duration::ZERO,
        failure: None,
        counts: RunCounts::default(),
    };
    assert!(now(runs.queue_again(&first, again.clone())).await);
    let second = take(&runs, room(1)).await.pop().expect("it waits");
    assert!(second.run.epoch > first.run.epoch);
    assert!(!now(runs.finish(&first, done("1"))).await);
    assert!(!now(runs.queue_again(&first, again)).await);
    assert!(now(runs.finish(&second, done("2"))).await);
    assert_eq!(found(&runs, &first.run.id).await.output.as_deref(), Some("2"));
}

/// See the name.
pub async fn a_run_waits_for_its_time<M: Machine>() {
    let (machine, clock) = machine::<M>();
    let runs = machine.process().runs();
    let later = NewRun {
        due: Some(clock.now() + length(seconds(60))),
        expiration: Some(seconds(3600)),
        ..order("mail", "later")
    };
    let later = queued(&runs, later).await;
    assert_eq!(later.expires, Some(later.due + length(seconds(3600))));
    assert_eq!(take(&runs, room(8)).await, []);
    let length = now(runs.length()).await;
    assert_eq!((length.queued, length.next_due), (1, Some(later.due)));
    tokio::time::advance(seconds(60)).await;
    let lease = take(&runs, room(8)).await.pop().expect("it is due");
    let again = QueueAgain {
        wait: seconds(300),
        failure: Some(failure("transient")),
        counts: RunCounts::default(),
    };
    assert!(now(runs.queue_again(&lease, again)).await);
    let waits = found(&runs, &later.id).await;
    assert_eq!(waits.state, RunState::Queued);
    assert_eq!(waits.failure, Some(failure("transient")));
    assert_eq!(take(&runs, room(8)).await, []);
    tokio::time::advance(seconds(300)).await;
    assert_eq!(take(&runs, room(8)).await.len(), 1);
}

/// See the name.
pub async fn what_waits_follows_a_clock_that_is_set_back<M: Machine>() {
    const HOUR: i64 = 3_600_000_000;
    let (machine, clock) = machine::<M>();
    let runs = machine.process().runs();
    assert_eq!(now(runs.recover()).await, []);
    let queued_in = async |key: &str, wait: u64| {
        let order = NewRun {
            due: Some(clock.now() + length(seconds(wait))),
            expiration: Some(seconds(600)),
            ..order("mail", key)
        };
        queued(&runs, order).await
    };
    let (first, second) = (queued_in("at once", 0).await, queued_in("in a minute", 60).await);
    clock.set_by(-HOUR);
    now(runs.recover()).await;
    let followed = found(&runs, &second.id).await;
    assert_eq!(followed.due, clock.now() + length(seconds(60)));
    assert_eq!(followed.expires, second.expires.map(|expires| expires - HOUR));
    assert_eq!(followed.accepted, clock.now());
    // Once is enough.
    now(runs.recover()).await;
    assert_eq!(found(&runs, &second.id).await, followed);
    let ids = |leases: Vec<Lease>| -> Vec<RunId> { leases.into_iter().map(|lease| lease.run.id).collect() };
    assert_eq!(ids(take(&runs, room(8)).await), [first.id]);
    tokio::time::advance(seconds(60)).await;
    assert_eq!(ids(take(&runs, room(8)).await), [second.id]);
    // It was set back while nobody was there.
    let third = queued_in("while nobody was there", 0).await;
    clock.set_by(-HOUR);
    let runs = machine.process().runs();
    now(runs.recover()).await;
    assert_eq!(ids(take(&runs, room(8)).await), [third.id]);
}

/// See the name.
pub async fn a_retry_costs_one_of_the_retries_and_an_interruption_none<M: Machine>() {
    let (machine, _) = machine::<M>();
    let runs = machine.process().runs();
    let lease = begun(
        &runs,
        NewRun {
            retries: 2,
            ..order("mail", "k")
        },
    )
    .await;
    let mut again = QueueAgain {
        wait: Duration::ZERO,
        failure: None,
        counts: RunCounts::default(),
    };
    assert!(now(runs.queue_again(&lease, again.clone())).await);
    assert_eq!(found(&runs, &lease.run.id).await.retries, 2);
    let lease = take(&runs, room(1)).await.pop().expect("it waits");
    again.failure = Some(failure("quota"));
    assert!(now(runs.queue_again(&lease, again)).await);
    assert_eq!(found(&runs, &lease.run.id).await.retries, 1);
}

/// See the name.
pub async fn what_is_due_is_taken_in_turn_and_within_the_room_of_each_pipeline<M: Machine>() {
    let (machine, _) = machine::<M>();
    let runs = machine.process().runs();
    for number in 0..5 {
        queued(&runs, order("slow", &format!("slow {number}"))).await;
    }
    for number in 0..2 {
        queued(&runs, order("quick", &format!("quick {number}"))).await;
    }
    queued(&runs, order("full", "full 0")).await;
    let room = Room {
        runs: 4,
        by_pipeline: [("full".to_owned(), 0), ("slow".to_owned(), 3)].into(),
        others: 4,
        ..Room::default()
    };
    let mut taken: Vec<String> = take(&runs, room).await.into_iter().map(|lease| lease.run.key).collect();
    taken.sort();
    assert_eq!(taken, ["quick 0", "quick 1", "slow 0", "slow 1"]);
    assert_eq!(now(runs.length()).await.running, 4);
}

/// See the name.
pub async fn a_run_that_waits_is_cancelled_and_one_that_began_is_not<M: Machine>() {
    let (machine, _) = machine::<M>();
    let runs = machine.process().runs();
    let waits = queued(&runs, order("mail", "waits")).await;
    let lease = begun(&runs, order("mail", "begun")).await;
    let Decided::Done(cancelled) = now(runs.cancel(&waits.id, Some(failure("transient")))).await else {
        panic!("it waited");
    };
    assert_eq!((cancelled.state, cancelled.attempt), (RunState::Cancelled, 0));
    assert!(matches!(
        now(runs.cancel(&lease.run.id, None)).await,
        Decided::NotNow(_)
    ));
    assert_eq!(now(runs.cancel(&RunId::next(), None)).await, Decided::Unknown);
    assert_eq!(take(&runs, room(8)).await, []);
    assert!(matches!(now(runs.resume(&waits.id)).await, Decided::Done(_)));
    assert_eq!(take(&runs, room(8)).await.len(), 1);
    // One that waits for its time need not wait any more.
    let later = NewRun {
        due: Some(now(runs.length()).await.now + 1_000_000_000),
        ..order("mail", "later")
    };
    let later = queued(&runs, later).await;
    assert_eq!(take(&runs, room(8)).await, []);
    assert!(matches!(now(runs.resume(&later.id)).await, Decided::NotNow(_)));
    assert!(matches!(now(runs.hasten(&later.id)).await, Decided::Done(_)));
    assert_eq!(take(&runs, room(8)).await.len(), 1);
    assert!(matches!(now(runs.hasten(&later.id)).await, Decided::NotNow(_)));
}

/// See the name.
pub async fn what_waits_for_an_account_goes_on_and_nothing_else_does<M: Machine>() {
    let (machine, _) = machine::<M>();
    let runs = machine.process().runs();
    let waits = |key: &'static str, object: &'static str| {
        let runs = &runs;
        async move {
            let lease = begun(runs, order("mail", key)).await;
            let again = QueueAgain {
                wait: Duration::from_secs(3600),
                failure: Some(RunFailure {
                    kind: "quota".to_owned(),
                    object: object.to_owned(),
                }),
                counts: RunCounts::default(),
            };
            assert!(now(runs.queue_again(&lease, again)).await);
            lease.run.id
        }
    };
    let pause = r#"{"message":"x","remedy":{"kind":"resume-account","account":"mail"}}"#;
    let goes_on = waits("goes on", pause).await;
    let cancelled = waits("cancelled", pause).await;
    waits(
        "another account",
        r#"{"remedy":{"kind":"resume-account","account":"shop"}}"#,
    )
    .await;
    waits(
        "its limit",
        r#"{"remedy":{"kind":"raise-account-limit","account":"mail"}}"#,
    )
    .await;
    waits("something else", r#"{"message":"no remedy"}"#).await;
    assert!(matches!(now(runs.cancel(&cancelled, None)).await, Decided::Done(_)));
    let before = found(&runs, &goes_on).await;
    assert_eq!(now(runs.account_goes_on("mail", AccountWait::Pause)).await, 1);
    let taken = take(&runs, room(8)).await;
    assert_eq!(taken.len(), 1);
    assert_eq!((&taken[0].run.id, taken[0].run.retries), (&goes_on, before.retries + 1));
    assert_eq!(found(&runs, &cancelled).await.state, RunState::Cancelled);
    assert_eq!(now(runs.account_goes_on("mail", AccountWait::Limit)).await, 1);
    assert_eq!(take(&runs, room(8)).await.len(), 1);
}

/// See the name.
pub async fn a_run_that_failed_goes_on_with_its_whole_message_when_asked_to<M: Machine>() {
    let (machine, _) = machine::<M>();
    let runs = machine.process().runs();
    let masked = || NewRun {
        shown: Some("{\"card\":\"***\"}".to_owned()),
        ..order("mail", "k")
    };
    let lease = begun(&runs, masked()).await;
    assert!(now(runs.finish(&lease, failed("transient"))).await);
    let run = found(&runs, &lease.run.id).await;
    assert_eq!(run.failure, Some(failure("transient")));
    assert_eq!(run.shown(), Some("{\"card\":\"***\"}"));
    assert!(matches!(now(runs.resume(&run.id)).await, Decided::Done(_)));
    let lease = take(&runs, room(1)).await.pop().expect("it waits");
    assert_eq!(lease.run.message.as_deref(), Some("{\"card\":1}"));
    assert_eq!(lease.run.globals.as_deref(), Some("{\"month\":\"May\"}"));
    assert_eq!(lease.run.trace, TraceContext::new(TRACE, Some("vendor=1")));
    assert!(now(runs.finish(&lease, done("2"))).await);
    let run = found(&runs, &run.id).await;
    assert_eq!(
        run.message.as_deref(),
        Some("{\"card\":\"***\"}"),
        "it is needed no more"
    );
    assert_eq!((run.shown, run.failure), (None, None));
}

/// See the name.
pub async fn what_a_dead_server_had_under_way_waits_again_or_fails_as_its_document_says<M: Machine>() {
    if !M::OUTLIVES_A_CRASH {
        return;
    }
    let (machine, _) = machine::<M>();
    let process = machine.process();
    let runs = process.runs();
    let again = begun(&runs, order("mail", "again")).await.run;
    let once = NewRun {
        allow_redelivery: false,
        ..order("mail", "once")
    };
    let once = begun(&runs, once).await.run;
    let other = machine.process().runs();
    assert_eq!(now(other.recover()).await, [], "its performer lives");
    machine.crash(process);
    let recovered = now(other.recover()).await;
    assert_eq!(recovered.len(), 2);
    let again = found(&other, &again.id).await;
    assert_eq!(
        (again.state, again.redelivery, again.deaths),
        (RunState::Queued, true, 1)
    );
    let once = found(&other, &once.id).await;
    assert_eq!(once.state, RunState::Failed);
    assert_eq!(once.failure.map(|failure| failure.kind).as_deref(), Some("transient"));
    assert!(matches!(now(other.resume(&once.id)).await, Decided::Done(_)));
}

/// See the name.
pub async fn a_run_that_ended_its_server_five_times_is_not_tried_again<M: Machine>() {
    if !M::OUTLIVES_A_CRASH {
        return;
    }
    let (machine, _) = machine::<M>();
    let id = queued(&machine.process().runs(), order("mail", "k")).await.id;
    for death in 1..=DEATHS_MAX {
        let process = machine.process();
        let runs = process.runs();
        assert_eq!(take(&runs, room(1)).await.len(), 1, "death {death}");
        machine.crash(process);
        assert_eq!(now(machine.process().runs().recover()).await.len(), 1);
    }
    let run = found(&machine.process().runs(), &id).await;
    assert_eq!((run.state, run.attempt), (RunState::Failed, DEATHS_MAX));
    assert_eq!(run.failure.map(|failure| failure.kind).as_deref(), Some("limit"));
}

/// See the name.
pub async fn while_a_run_of_the_pipeline_waits_a_further_one_is_skipped_when_asked_to<M: Machine>() {
    let (machine, _) = machine::<M>();
    let runs = machine.process().runs();
    let tick = |key: &str| NewRun {
        unless_waiting: true,
        ..order("digest", key)
    };
    let first = queued(&runs, tick("1")).await;
    assert_eq!(now(runs.accept(tick("2"), false)).await, Accepted::Skipped);
    assert_eq!(
        now(runs.accept(tick("1"), false)).await,
        Accepted::Known(first),
        "it is the same tick"
    );
    let lease = take(&runs, room(1)).await.pop().expect("it waits");
    queued(&runs, tick("3")).await;
    assert!(now(runs.finish(&lease, done("1"))).await);
    assert_eq!(now(runs.with_key("2")).await, None);
}

/// See the name.
pub async fn a_pipeline_that_pauses_begins_nothing<M: Machine>() {
    let (machine, _) = machine::<M>();
    let runs = machine.process().runs();
    queued(&runs, order("mail", "k")).await;
    now(runs.pause_pipeline("mail", true)).await;
    assert_eq!(take(&runs, room(8)).await, []);
    assert_eq!(now(runs.length()).await.next_due, None);
    // Nor does an order that would begin at once.
    let accepted = now(runs.accept(order("mail", "at once"), true)).await;
    assert!(matches!(accepted, Accepted::Queued(_)), "{accepted:?}");
    let runs = machine.process().runs();
    assert!(now(runs.schedules()).await.iter().all(|entry| entry.paused));
    now(runs.pause_pipeline("mail", false)).await;
    assert_eq!(take(&runs, room(8)).await.len(), 2);
}

/// See the name.
pub async fn what_a_schedule_did_is_known_to_the_next_process_and_is_never_set_back<M: Machine>() {
    let (machine, _) = machine::<M>();
    let runs = machine.process().runs();
    for (last, missed, skipped) in [(20, 1, 0), (10, 2, 5)] {
        let note = ScheduleNote { last, missed, skipped };
        now(runs.note_schedule("digest", note)).await;
    }
    let entries = now(machine.process().runs().schedules()).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].last, Some(20));
    assert_eq!((entries[0].missed, entries[0].skipped), (3, 5));
}

/// See the name.
pub async fn runs_are_listed_page_by_page_the_last_one_first<M: Machine>() {
    let (machine, clock) = machine::<M>();
    let runs = machine.process().runs();
    let begin = clock.now();
    for number in 0..5 {
        let lease = begun(&runs, order(["a", "b"][number % 2], &format!("key {number}"))).await;
        let end = if number == 3 { failed("quota") } else { done("{}") };
        assert!(now(runs.finish(&lease, end)).await);
        tokio::time::advance(seconds(1)).await;
    }
    let keys = async |filter: RunFilter| -> Vec<String> {
        let listed = now(runs.list(filter)).await;
        listed.into_iter().map(|run| run.key).collect()
    };
    let page = |after: Option<RunId>| RunFilter {
        limit: 2,
        after,
        ..RunFilter::default()
    };
    assert_eq!(keys(page(None)).await, ["key 4", "key 3"]);
    let third = now(runs.with_key("key 3")).await.expect("it is there").id;
    assert_eq!(keys(page(Some(third))).await, ["key 2", "key 1"]);
    let all = || RunFilter {
        limit: 10,
        ..RunFilter::default()
    };
    let of_a = RunFilter {
        pipeline: Some("a".to_owned()),
        ..all()
    };
    assert_eq!(keys(of_a).await, ["key 4", "key 2", "key 0"]);
    let amiss = RunFilter {
        state: Some(RunState::Failed),
        kind: Some("quota".to_owned()),
        ..all()
    };
    assert_eq!(keys(amiss).await, ["key 3"]);
    let between = RunFilter {
        since: Some(begin + length(seconds(1))),
        until: Some(begin + length(seconds(3))),
        ..all()
    };
    assert_eq!(keys(between).await, ["key 2", "key 1"]);
    let text = RunFilter {
        text: Some("ey 1".to_owned()),
        ..all()
    };
    assert_eq!(keys(text).await, ["key 1"]);
}

/// See the name.
pub async fn messages_are_forgotten_before_their_runs_and_what_is_uncertain_never<M: Machine>() {
    let (machine, clock) = machine::<M>();
    let runs = machine.process().runs();
    let mut ids = Vec::new();
    for (key, state) in [("done", RunState::Done), ("uncertain", RunState::Uncertain)] {
        let lease = begun(&runs, order(key, key)).await;
        assert!(now(runs.finish(&lease, RunEnd { state, ..done("{}") })).await);
        ids.push(lease.run.id);
    }
    let waits = queued(&runs, order("waits", "waits")).await.id;
    clock.pass_days(1);
    assert_eq!(now(runs.forget(clock.now(), 0)).await, 0);
    assert_eq!(found(&runs, &ids[0]).await.message, None);
    assert_eq!(found(&runs, &ids[0]).await.output, None);
    assert!(found(&runs, &ids[1]).await.message.is_some());
    assert_eq!(now(runs.forget(clock.now(), clock.now())).await, 1);
    assert_eq!(now(runs.run(&ids[0])).await, None);
    assert_eq!(now(runs.document("sha256:done")).await, None);
    assert!(now(runs.document("sha256:waits")).await.is_some());
    assert!(now(runs.run(&ids[1])).await.is_some() && now(runs.run(&waits)).await.is_some());
}

/// See the name.
pub async fn the_runs_of_a_pipeline_are_limited_over_all_that_perform_them<M: Machine>() {
    let (machine, _) = machine::<M>();
    let (runs, other) = (machine.process().runs(), machine.process().runs());
    let limited = |key: &str| NewRun {
        running_max: Some(2),
        ..order("slow", key)
    };
    let first = begun(&runs, limited("1")).await;
    let second = begun(&other, limited("2")).await;
    for (runs, key) in [(&runs, "3"), (&other, "4")] {
        let accepted = now(runs.accept(limited(key), true)).await;
        assert!(matches!(accepted, Accepted::Queued(_)), "{accepted:?}");
    }
    queued(&runs, order("quick", "5")).await;
    let room = || Room {
        shared: [("slow".to_owned(), 2)].into(),
        ..room(8)
    };
    let keys = |leases: &[Lease]| -> Vec<String> { leases.iter().map(|lease| lease.run.key.clone()).collect() };
    assert_eq!(keys(&take(&other, room()).await), ["5"]);
    assert!(now(runs.finish(&first, done("1"))).await);
    // At once, so that neither sees what the other is about to take.
    let (one, two) = tokio::join!(runs.take(room()), other.take(room()));
    let taken = [one.expect("a state"), two.expect("a state")].concat();
    assert_eq!(keys(&taken), ["3"]);
    assert!(now(other.finish(&second, done("2"))).await);
    assert_eq!(keys(&take(&runs, room()).await), ["4"]);
}
