use std::sync::atomic::{AtomicU64, Ordering};

use pipepost_net::Answers::{Command, Content};
use pipepost_state::ledger::MemoryLedger;
use serde_json::json;

use super::*;
use crate::wire_log;

/// What left on the one connection.
#[derive(Default)]
struct Wire {
    bytes: Arc<AtomicU64>,
    messages: Arc<AtomicU64>,
}

impl Wire {
    /// Bytes that end no message.
    fn command(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A message to its end.
    fn message(&self) {
        self.command(10);
        self.messages.fetch_add(1, Ordering::Relaxed);
    }

    fn carries(&self, tracker: &mut CommitTracker) {
        let (bytes, messages) = (Arc::clone(&self.bytes), Arc::clone(&self.messages));
        tracker.wire_log().follow_counters(bytes, messages);
    }
}

fn tracker() -> (CommitTracker, Wire) {
    let wire = Wire::default();
    let mut tracker = CommitTracker::new(
        Arc::new(MemoryLedger::default()),
        [(7, "key".to_owned())].into_iter(),
        true,
    );
    wire.carries(&mut tracker);
    (tracker, wire)
}

fn failed(kind: FailureKind) -> Result<Option<Kept>, CallFailure<Kept>> {
    Err(CallFailure {
        failure: Failure::new(kind, "It failed."),
        output: None,
        remainder: None,
    })
}

fn told(value: &Value) -> KeptText {
    let (text, charge) = (value.to_string(), Charge::default());
    KeptText { text, charge }
}

fn kept(value: Value) -> Kept {
    let charge = Charge::default();
    Kept { value, charge }
}

fn end(tracker: CommitTracker) -> CallEnd {
    tracker
        .close(&Failure::new(FailureKind::Limit, "Stopped."))
        .remove(&7)
        .expect("every call ends")
}

fn kind(end: &CallEnd) -> Option<FailureKind> {
    end.result.as_ref().err().map(|failure| failure.failure.kind)
}

#[tokio::test]
async fn announced_written_answered_and_confirmed_is_a_success() {
    let (mut tracker, wire) = tracker();
    tracker.committing(&[(7, 0)]).await.expect("in order").expect("granted");
    wire.message();
    tracker.wire_log().received(b"250 ok\r\n", &[Content]);
    tracker.confirmed(7, 0, None).expect("in order");
    tracker.settle(7, Ok(Some(kept(json!({}))))).expect("in order");
    assert_eq!(kind(&end(tracker)), None);
}

#[tokio::test]
async fn what_the_next_one_writes_on_a_connection_that_was_given_back_counts_for_nobody_here() {
    let (mut tracker, wire) = tracker();
    tracker.committing(&[(7, 0)]).await.expect("in order").expect("granted");
    wire.message();
    tracker.wire_log().received(b"250 ok\r\n", &[Content]);
    tracker.confirmed(7, 0, None).expect("in order");
    tracker.settle(7, Ok(Some(kept(json!({}))))).expect("in order");
    tracker.wire_log().leave();
    // Another instance has the connection before the books of this one are closed.
    wire.message();
    assert_eq!(tracker.wire_log().unclaimed(), 0);
    assert_eq!(kind(&end(tracker)), None);
}

#[tokio::test]
async fn a_success_that_was_not_announced_written_or_answered_is_uncertain() {
    let (mut silent, _) = tracker();
    silent.settle(7, Ok(Some(kept(json!({}))))).expect("in order");
    assert_eq!(kind(&end(silent)), Some(FailureKind::Uncertain));

    let (mut unwritten, _) = tracker();
    unwritten
        .committing(&[(7, 0)])
        .await
        .expect("in order")
        .expect("granted");
    unwritten.wire_log().received(b"250 ok\r\n", &[Content]);
    unwritten.confirmed(7, 0, None).expect("in order");
    unwritten.settle(7, Ok(Some(kept(json!({}))))).expect("in order");
    assert_eq!(kind(&end(unwritten)), Some(FailureKind::Uncertain));

    let (mut unanswered, wire) = tracker();
    unanswered
        .committing(&[(7, 0)])
        .await
        .expect("in order")
        .expect("granted");
    wire.message();
    unanswered.confirmed(7, 0, None).expect("in order");
    unanswered.settle(7, Ok(Some(kept(json!({}))))).expect("in order");
    assert_eq!(kind(&end(unanswered)), Some(FailureKind::Uncertain));
}

#[tokio::test]
async fn a_refusal_needs_the_reply_that_was_received() {
    for (evidence, expected) in [
        ("550 5.7.1 no", FailureKind::Refused),
        ("550 5.7.1 invented", FailureKind::Uncertain),
        ("250 ok", FailureKind::Uncertain),
        ("", FailureKind::Uncertain),
    ] {
        let (mut tracker, wire) = tracker();
        tracker.committing(&[(7, 0)]).await.expect("in order").expect("granted");
        wire.message();
        tracker
            .wire_log()
            .received(b"250 ok\r\n550 5.7.1 no\r\n", &[Command, Content]);
        tracker.refused(7, 0, evidence).expect("in order");
        tracker.settle(7, failed(FailureKind::Refused)).expect("in order");
        assert_eq!(kind(&end(tracker)), Some(expected), "{evidence:?}");
    }
}

#[tokio::test]
async fn a_reply_from_before_the_announcement_proves_nothing() {
    let (mut tracker, wire) = tracker();
    tracker.wire_log().received(b"550 5.7.1 no\r\n", &[Command]);
    tracker.committing(&[(7, 0)]).await.expect("in order").expect("granted");
    wire.message();
    tracker.wire_log().received(b"250 ok\r\n", &[Content]);
    tracker.refused(7, 0, "550 5.7.1 no").expect("in order");
    tracker.settle(7, failed(FailureKind::Refused)).expect("in order");
    assert_eq!(kind(&end(tracker)), Some(FailureKind::Uncertain));
}

#[tokio::test]
async fn a_reply_is_found_behind_much_that_was_forgotten_and_taken() {
    let (mut tracker, wire) = tracker();
    for number in 0..3 {
        // More than is kept.
        let line = format!("550 {}\r\n", "x".repeat(4000));
        let times = 2 * wire_log::REFUSAL_BYTES_MAX / line.len();
        tracker
            .wire_log()
            .received(line.repeat(times).as_bytes(), &vec![Command; times]);
        tracker
            .committing(&[(7, number)])
            .await
            .expect("in order")
            .expect("granted");
        wire.message();
        tracker.wire_log().received(b"450 later\r\n", &[Content]);
        tracker.refused(7, number, "450 later").expect("in order");
    }
    tracker.settle(7, failed(FailureKind::Transient)).expect("in order");
    assert_eq!(kind(&end(tracker)), Some(FailureKind::Transient));
}

#[tokio::test]
async fn one_reply_proves_one_refusal() {
    let (mut tracker, wire) = tracker();
    tracker
        .committing(&[(7, 0), (7, 1)])
        .await
        .expect("in order")
        .expect("granted");
    wire.message();
    tracker.wire_log().received(b"550 5.7.1 no\r\n", &[Content]);
    tracker.refused(7, 0, "550 5.7.1 no").expect("in order");
    tracker.refused(7, 1, "550 5.7.1 no").expect("in order");
    tracker.settle(7, failed(FailureKind::Refused)).expect("in order");
    assert_eq!(kind(&end(tracker)), Some(FailureKind::Uncertain));
}

#[tokio::test]
async fn a_421_proves_the_refusal_of_all_that_it_found_unanswered() {
    let (mut tracker, wire) = tracker();
    tracker
        .committing(&[(7, 0), (7, 1)])
        .await
        .expect("in order")
        .expect("granted");
    wire.message();
    tracker.wire_log().received(b"421 4.3.0 closing\r\n", &[Content]);
    tracker.refused(7, 0, "421 4.3.0 closing").expect("in order");
    tracker.refused(7, 1, "421 4.3.0 closing").expect("in order");
    tracker.settle(7, failed(FailureKind::Transient)).expect("in order");
    assert_eq!(kind(&end(tracker)), Some(FailureKind::Transient));
}

#[tokio::test]
async fn what_a_stopped_connector_leaves_open_is_settled_by_the_bytes() {
    let (mut unwritten, _) = tracker();
    unwritten
        .committing(&[(7, 0)])
        .await
        .expect("in order")
        .expect("granted");
    assert_eq!(kind(&end(unwritten)), Some(FailureKind::Limit));

    let (mut written, wire) = tracker();
    written.committing(&[(7, 0)]).await.expect("in order").expect("granted");
    wire.command(1);
    assert_eq!(kind(&end(written)), Some(FailureKind::Uncertain));
}

#[tokio::test]
async fn uncertain_is_never_folded_into_another_failure() {
    let (mut tracker, wire) = tracker();
    tracker.committing(&[(7, 0)]).await.expect("in order").expect("granted");
    wire.message();
    tracker.settle(7, failed(FailureKind::Transient)).expect("in order");
    assert_eq!(kind(&end(tracker)), Some(FailureKind::Uncertain));
}

#[tokio::test]
async fn a_call_has_so_many_parts_and_not_one_more() {
    let (mut tracker, _) = tracker();
    let parts: Vec<(u32, u32)> = (0..).take(PARTS).map(|number| (7, number)).collect();
    tracker
        .committing(&parts)
        .await
        .expect("as many as there may be")
        .expect("granted");
    tracker.confirmed(7, 5, None).expect("one of them");
    let more = u32::try_from(PARTS).expect("not that many");
    assert!(tracker.committing(&[(7, more)]).await.is_err());
    assert!(tracker.confirmed(7, more, None).is_err());
    assert!(tracker.refused(7, more, "550 no").is_err());
}

#[tokio::test]
async fn a_part_is_announced_once() {
    let (mut tracker, wire) = tracker();
    tracker.committing(&[(7, 0)]).await.expect("in order").expect("granted");
    assert!(matches!(tracker.committing(&[(7, 0)]).await, Ok(Err(Stop::Claimed))));
    wire.command(1);
    assert!(tracker.committing(&[(8, 0)]).await.is_err());
    assert!(tracker.confirmed(8, 0, None).is_err());
}

#[tokio::test]
async fn what_was_said_of_a_call_in_doubt_is_told_when_the_connector_is_stopped_and_only_then() {
    let said = json!({"to": "ann@example.test", "success": false});
    for (written, expected) in [(1, Some(said.clone())), (0, None)] {
        let (mut tracker, wire) = tracker();
        tracker.in_doubt(7, told(&said)).expect("in order");
        tracker.committing(&[(7, 0)]).await.expect("in order").expect("granted");
        wire.command(written);
        let failure = end(tracker).result.expect_err("nothing was confirmed");
        assert_eq!(failure.output, expected);
    }
    let (mut tracker, _) = tracker();
    assert!(tracker.in_doubt(8, told(&said)).is_err(), "there is no such call");
}

#[tokio::test]
async fn a_part_of_a_reply_is_not_a_reply() {
    // What a connector would take for a 4yz stands in the middle of a 250.
    for evidence in ["434", "4 1764349999", "450", "50 2.0.0 OK 434"] {
        let (mut tracker, wire) = tracker();
        tracker.committing(&[(7, 0)]).await.expect("in order").expect("granted");
        wire.message();
        tracker
            .wire_log()
            .received(b"250 2.0.0 OK 434 1764349999\r\n", &[Content]);
        tracker.refused(7, 0, evidence).expect("in order");
        tracker.settle(7, failed(FailureKind::Refused)).expect("in order");
        assert_eq!(kind(&end(tracker)), Some(FailureKind::Uncertain), "{evidence}");
    }
    // And a part of a refusal is not the refusal.
    for (evidence, expected) in [
        ("550-5.7.1 no\n550 5.7.1 at all", FailureKind::Refused),
        ("550-5.7.1 no\r\n550 5.7.1 at all\r\n", FailureKind::Refused),
        ("550 5.7.1 at all", FailureKind::Uncertain),
        ("550-5.7.1 no", FailureKind::Uncertain),
        ("5", FailureKind::Uncertain),
    ] {
        let (mut tracker, wire) = tracker();
        tracker.committing(&[(7, 0)]).await.expect("in order").expect("granted");
        wire.message();
        tracker.wire_log().received(b"550-5.7.1 no\r\n550 5.", &[]);
        tracker.wire_log().received(b"7.1 at all\r\n", &[Content]);
        tracker.refused(7, 0, evidence).expect("in order");
        tracker.settle(7, failed(FailureKind::Refused)).expect("in order");
        assert_eq!(kind(&end(tracker)), Some(expected), "{evidence:?}");
    }
}

#[tokio::test]
async fn one_reply_confirms_one_part() {
    let (mut tracker, wire) = tracker();
    tracker
        .committing(&[(7, 0), (7, 1)])
        .await
        .expect("in order")
        .expect("granted");
    wire.message();
    tracker.wire_log().received(b"250 ok\r\n", &[Content]);
    tracker.confirmed(7, 0, None).expect("in order");
    tracker.confirmed(7, 1, None).expect("in order");
    tracker.settle(7, Ok(None)).expect("in order");
    assert_eq!(kind(&end(tracker)), Some(FailureKind::Uncertain));
}

#[tokio::test]
async fn only_a_positive_reply_to_what_left_since_confirms() {
    for (before, after, expected) in [
        ("", "250 ok\r\n", None),
        ("250 ok\r\n", "", Some(FailureKind::Uncertain)),
        ("", "354 go on\r\n", Some(FailureKind::Uncertain)),
        ("", "550 no\r\n", Some(FailureKind::Uncertain)),
        ("", "250 not to its en", Some(FailureKind::Uncertain)),
        ("", "nonsense\r\n250 ok\r\n", Some(FailureKind::Uncertain)),
    ] {
        let (mut tracker, wire) = tracker();
        wire.command(10);
        tracker.committing(&[(7, 0)]).await.expect("in order").expect("granted");
        // Read after the announcement, and before anything left.
        tracker
            .wire_log()
            .received(before.as_bytes(), &[Command][..before.len().min(1)]);
        wire.message();
        tracker.wire_log().received(after.as_bytes(), &[Content]);
        tracker.confirmed(7, 0, None).expect("in order");
        tracker.settle(7, Ok(None)).expect("in order");
        assert_eq!(kind(&end(tracker)), expected, "{before:?} {after:?}");
    }
}

#[tokio::test]
async fn a_reply_on_another_connection_proves_nothing() {
    let (mut tracker, wire) = tracker();
    tracker.committing(&[(7, 0)]).await.expect("in order").expect("granted");
    wire.message();
    let next = Wire::default();
    next.carries(&mut tracker);
    next.command(6);
    tracker.wire_log().received(b"250 ok\r\n", &[Command]);
    tracker.confirmed(7, 0, None).expect("in order");
    tracker.settle(7, Ok(None)).expect("in order");
    assert_eq!(kind(&end(tracker)), Some(FailureKind::Uncertain));
}

#[tokio::test]
async fn success_without_an_output_is_the_output_that_was_confirmed() {
    for (settled, expected) in [
        (Ok(None), json!({ "to": "ann" })),
        (Ok(Some(kept(json!("another")))), json!("another")),
    ] {
        let (mut tracker, wire) = tracker();
        tracker.committing(&[(7, 0)]).await.expect("in order").expect("granted");
        wire.message();
        tracker.wire_log().received(b"250 ok\r\n", &[Content]);
        let output = json!({ "to": "ann" });
        let text = output.to_string();
        tracker.confirmed(7, 0, Some((kept(output), text))).expect("in order");
        tracker.settle(7, settled).expect("in order");
        assert_eq!(end(tracker).result.expect("confirmed"), expected);
    }
    // A failure without one too: what was done for good is in it.
    let (mut tracker, wire) = tracker();
    tracker.committing(&[(7, 0)]).await.expect("in order").expect("granted");
    wire.message();
    tracker.wire_log().received(b"250 ok\r\n", &[Content]);
    let output = json!({ "success": true });
    tracker
        .confirmed(7, 0, Some((kept(output.clone()), output.to_string())))
        .expect("in order");
    tracker.settle(7, failed(FailureKind::Transient)).expect("in order");
    assert_eq!(end(tracker).result.expect_err("failed").output, Some(output));
}

#[tokio::test]
async fn a_reply_to_a_command_confirms_nothing() {
    // The server refuses the message, and answers the NOOP behind it.
    for (read, answers, expected) in [
        ("250 noop\r\n", vec![Command], Some(FailureKind::Uncertain)),
        (
            "550 no\r\n250 noop\r\n",
            vec![Content, Command],
            Some(FailureKind::Uncertain),
        ),
        ("250 noop\r\n250 taken\r\n", vec![Command, Content], None),
    ] {
        let (mut tracker, wire) = tracker();
        tracker.committing(&[(7, 0)]).await.expect("in order").expect("granted");
        wire.message();
        tracker.wire_log().received(read.as_bytes(), &answers);
        tracker.confirmed(7, 0, None).expect("in order");
        tracker.settle(7, Ok(None)).expect("in order");
        assert_eq!(kind(&end(tracker)), expected, "{read:?}");
    }
}

#[tokio::test]
async fn a_message_from_before_the_announcement_confirms_nothing() {
    let (mut tracker, wire) = tracker();
    tracker.committing(&[(7, 0)]).await.expect("in order").expect("granted");
    wire.message();
    tracker.committing(&[(7, 1)]).await.expect("in order").expect("granted");
    wire.command(6);
    tracker.wire_log().received(b"250 taken\r\n", &[Content]);
    tracker.confirmed(7, 1, None).expect("in order");
    assert_eq!(tracker.wire_log().unclaimed(), 1);
    tracker.confirmed(7, 0, None).expect("in order");
    assert_eq!(tracker.wire_log().unclaimed(), 0);
    tracker.settle(7, Ok(None)).expect("in order");
    assert_eq!(kind(&end(tracker)), Some(FailureKind::Uncertain));
}

#[tokio::test]
async fn no_refusal_is_believed_of_a_message_that_the_server_took_or_may_take() {
    for (read, answers, expected) in [
        ("550 no\r\n", vec![Content], FailureKind::Refused),
        ("550 no\r\n", vec![Command], FailureKind::Uncertain),
        (
            "250 taken\r\n550 no\r\n",
            vec![Content, Command],
            FailureKind::Uncertain,
        ),
        (
            "550 no\r\n250 taken\r\n",
            vec![Command, Content],
            FailureKind::Uncertain,
        ),
    ] {
        let (mut tracker, wire) = tracker();
        tracker.committing(&[(7, 0)]).await.expect("in order").expect("granted");
        wire.message();
        tracker.wire_log().received(read.as_bytes(), &answers);
        tracker.refused(7, 0, "550 no").expect("in order");
        tracker.settle(7, failed(FailureKind::Refused)).expect("in order");
        assert_eq!(kind(&end(tracker)), Some(expected), "{read:?}");
    }
    // One of two was taken: only one can be refused, whichever the connector names.
    let (mut tracker, wire) = tracker();
    let parts = [(7, 0), (7, 1)];
    tracker.committing(&parts).await.expect("in order").expect("granted");
    wire.message();
    wire.message();
    let read = b"250 taken\r\n550 no\r\n550 no\r\n";
    tracker.wire_log().received(read, &[Content, Content, Command]);
    tracker.refused(7, 0, "550 no").expect("in order");
    tracker.refused(7, 1, "550 no").expect("in order");
    tracker.settle(7, failed(FailureKind::Refused)).expect("in order");
    assert_eq!(kind(&end(tracker)), Some(FailureKind::Uncertain));
}

#[tokio::test]
async fn a_message_may_leave_for_each_part_that_is_announced() {
    let (mut tracker, wire) = tracker();
    assert_eq!(tracker.messages_max(), 0);
    let parts = [(7, 0), (7, 1)];
    tracker.committing(&parts).await.expect("in order").expect("granted");
    assert_eq!(tracker.messages_max(), 2);
    wire.message();
    assert_eq!(tracker.messages_max(), 1);
    tracker.wire_log().received(b"250 taken\r\n", &[Content]);
    tracker.confirmed(7, 0, None).expect("in order");
    assert_eq!(tracker.messages_max(), 1);
    wire.message();
    tracker.wire_log().received(b"450 later\r\n", &[Content]);
    assert_eq!(tracker.messages_max(), 1, "it is free again for another try");
    tracker.refused(7, 1, "450 later").expect("in order");
    assert_eq!(tracker.messages_max(), 0);
}

#[tokio::test]
async fn what_a_421_found_unanswered_is_with_no_server() {
    let (mut tracker, wire) = tracker();
    let parts = [(7, 0), (7, 1)];
    tracker.committing(&parts).await.expect("in order").expect("granted");
    wire.message();
    wire.message();
    assert_eq!(tracker.wire_log().unclaimed(), 2);
    tracker.wire_log().received(b"421 4.3.0 closing\r\n", &[Content]);
    assert_eq!(tracker.wire_log().unclaimed(), 0);
    // A server that goes on all the same proves nothing more.
    tracker.wire_log().received(b"250 taken\r\n", &[Content]);
    tracker.confirmed(7, 0, None).expect("in order");
    tracker.refused(7, 1, "421 4.3.0 closing").expect("in order");
    tracker.settle(7, Ok(None)).expect("in order");
    assert_eq!(kind(&end(tracker)), Some(FailureKind::Uncertain));
}
