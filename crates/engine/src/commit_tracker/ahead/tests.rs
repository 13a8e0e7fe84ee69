use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use pipepost_core::{Failure, FailureKind};
use pipepost_net::Answers::Content;
use pipepost_state::ledger::{Known, MemoryLedger, Message, PartOutcome, Recorded};
use pipepost_state::{Answer, StateError};
use tokio::sync::Semaphore;

use super::*;
use crate::commit_tracker::{CommitTracker, Stop};

/// A ledger whose disk answers when it is let.
struct Disk {
    books: MemoryLedger,
    answers: Semaphore,
    /// What was noted, in its order: claims, and parts that were not committed.
    notes: Mutex<Vec<String>>,
}

impl Disk {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            books: MemoryLedger::default(),
            answers: Semaphore::new(0),
            notes: Mutex::default(),
        })
    }

    fn note(&self, note: String) {
        self.notes.lock().expect("nobody panics with it").push(note);
    }

    fn notes(&self) -> Vec<String> {
        self.notes.lock().expect("nobody panics with it").clone()
    }
}

impl Ledger for Disk {
    fn is_durable(&self) -> bool {
        true
    }

    fn look_up<'l>(&'l self, messages: &'l [Message]) -> Answer<'l, Result<Vec<Known>, StateError>> {
        self.books.look_up(messages)
    }

    fn claim(&self, parts: Vec<Part>) -> Answer<'_, Result<(), ClaimError>> {
        Box::pin(async move {
            let keys: Vec<&str> = parts.iter().map(|part| part.key.as_str()).collect();
            self.note(format!("claim {}", keys.join(" ")));
            let claimed = self.books.claim(parts).await;
            self.answers.acquire().await.expect("it is not closed").forget();
            claimed
        })
    }

    fn settle(&self, part: &Part, outcome: PartOutcome) {
        self.note(format!("{} {outcome:?}", part.key));
        self.books.settle(part, outcome);
    }

    fn record(&self, key: &str, recorded: Recorded) {
        self.books.record(key, recorded);
    }

    fn close(&self) -> Answer<'_, Result<(), String>> {
        self.books.close()
    }
}

/// Calls 0 to 3 on one connection, whose messages are counted.
fn tracker(disk: &Arc<Disk>) -> (CommitTracker, Arc<AtomicU64>, Arc<AtomicU64>) {
    let ledger: Arc<dyn Ledger> = Arc::clone(disk) as Arc<dyn Ledger>;
    let calls = (0..4).map(|id| (id, format!("k{id}")));
    let mut tracker = CommitTracker::new(ledger, calls, true);
    let (bytes, messages) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    tracker
        .wire_log()
        .follow_counters(Arc::clone(&bytes), Arc::clone(&messages));
    (tracker, bytes, messages)
}

/// Asks a future once.
fn is_pending<F: Future>(future: Pin<&mut F>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn stopped() -> Failure {
    Failure::new(FailureKind::Limit, "Stopped.")
}

#[tokio::test]
async fn what_is_claimed_ahead_is_not_claimed_again_and_its_announcement_waits_for_the_disk() {
    let disk = Disk::new();
    let (mut tracker, ..) = tracker(&disk);
    tracker.claim_ahead(&[(0, 0), (1, 0)]).expect("in order");
    assert_eq!(disk.notes(), ["claim k0 k1"], "it is noted at once");
    {
        let mut announcement = std::pin::pin!(tracker.committing(&[(0, 0)]));
        assert!(
            is_pending(announcement.as_mut()),
            "nothing is announced before the disk has it"
        );
        disk.answers.add_permits(1);
        announcement.await.expect("in order").expect("granted");
    }
    tracker.committing(&[(1, 0)]).await.expect("in order").expect("granted");
    assert_eq!(disk.notes(), ["claim k0 k1"]);
    // Announced once.
    assert_eq!(tracker.committing(&[(1, 0)]).await, Ok(Err(Stop::Claimed)));
}

#[tokio::test]
async fn a_part_that_was_claimed_and_not_announced_was_not_sent_whatever_the_others_wrote() {
    let disk = Disk::new();
    disk.answers.add_permits(9);
    let (mut tracker, bytes, messages) = tracker(&disk);
    tracker.claim_ahead(&[(0, 0), (1, 0), (2, 0)]).expect("in order");
    tracker.committing(&[(0, 0)]).await.expect("in order").expect("granted");
    assert_eq!(tracker.messages_max(), 1, "a claim ahead lets no message leave");
    bytes.fetch_add(9, Ordering::Relaxed);
    messages.fetch_add(1, Ordering::Relaxed);
    tracker.wire_log().received(b"250 ok\r\n", &[Content]);
    tracker.confirmed(0, 0, None).expect("in order");
    tracker.settle(0, Ok(None)).expect("in order");
    // The second is announced and written, and then the connection is lost.
    tracker.committing(&[(1, 0)]).await.expect("in order").expect("granted");
    bytes.fetch_add(9, Ordering::Relaxed);
    messages.fetch_add(1, Ordering::Relaxed);
    let mut ends = tracker.close(&stopped());
    let mut end = |call: u32| {
        let end = ends.remove(&call).expect("every call ends");
        (end.announced, end.result.err().map(|failed| failed.failure.kind))
    };
    assert_eq!(end(0), (true, None));
    assert_eq!(end(1), (true, Some(FailureKind::Uncertain)));
    assert_eq!(end(2), (false, Some(FailureKind::Limit)), "it may be tried again");
    let notes = disk.notes();
    assert!(notes.contains(&"k2 NotCommitted".to_owned()), "{notes:?}");
    assert!(notes.contains(&"k1 Uncertain".to_owned()), "{notes:?}");
}

#[tokio::test]
async fn claims_ahead_and_what_is_announced_are_bounded_together() {
    let disk = Disk::new();
    disk.answers.add_permits(9);
    let (mut durable, ..) = tracker(&disk);
    assert_eq!(durable.room_ahead(3), 3);
    durable.committing(&[(0, 0)]).await.expect("in order").expect("granted");
    durable.claim_ahead(&[(1, 0)]).expect("in order");
    assert_eq!(durable.room_ahead(3), 1);
    assert_eq!(durable.room_ahead(1), 0);
    durable.committing(&[(1, 0)]).await.expect("in order").expect("granted");
    assert_eq!(durable.room_ahead(3), 1, "it is counted once");

    let memory: Arc<dyn Ledger> = Arc::new(MemoryLedger::default());
    let tracker = CommitTracker::new(memory, [(0, "k0".to_owned())].into_iter(), true);
    assert_eq!(tracker.room_ahead(16), 0, "nothing is won in memory");
}

#[tokio::test]
async fn what_another_has_claimed_is_found_out_when_it_is_announced() {
    let disk = Disk::new();
    disk.answers.add_permits(9);
    let (mut tracker, ..) = tracker(&disk);
    let others = Part {
        key: "k1".to_owned(),
        number: 0,
    };
    disk.books.claim(vec![others]).await.expect("nobody has it");
    tracker.claim_ahead(&[(0, 0), (1, 0)]).expect("in order");
    tracker
        .committing(&[(0, 0)])
        .await
        .expect("in order")
        .expect("granted by itself");
    assert_eq!(tracker.committing(&[(1, 0)]).await, Ok(Err(Stop::Claimed)));
    assert_eq!(disk.notes(), ["claim k0 k1", "claim k0", "claim k1"]);
    // What was claimed already, or settled, or twice, is left out.
    tracker.settle(2, Ok(None)).expect("in order");
    tracker
        .claim_ahead(&[(0, 0), (2, 0), (3, 0), (3, 0)])
        .expect("in order");
    assert_eq!(disk.notes().last().map(String::as_str), Some("claim k3"));
    assert!(tracker.claim_ahead(&[(9, 0)]).is_err(), "there is no such call");
}

#[tokio::test]
async fn an_announcement_that_is_given_up_while_it_waits_leaves_nothing_claimed() {
    let disk = Disk::new();
    let (mut tracker, ..) = tracker(&disk);
    tracker.claim_ahead(&[(0, 0), (1, 0)]).expect("in order");
    {
        let mut announcement = std::pin::pin!(tracker.committing(&[(0, 0)]));
        assert!(is_pending(announcement.as_mut()));
    }
    tracker.close(&stopped());
    let mut notes = disk.notes();
    notes.sort();
    assert_eq!(notes, ["claim k0 k1", "k0 NotCommitted", "k1 NotCommitted"]);
}
