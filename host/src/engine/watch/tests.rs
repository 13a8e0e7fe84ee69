use std::sync::atomic::{AtomicU64, Ordering};

use pipepost_state::ledger::MemoryLedger;
use serde_json::json;

use super::*;

fn watch() -> (Watch, Arc<AtomicU64>) {
    let counter = Arc::new(AtomicU64::new(0));
    let mut watch = Watch::new(
        Arc::new(MemoryLedger::default()),
        [(7, "key".to_owned())].into_iter(),
        true,
    );
    watch.traffic().follow(Arc::clone(&counter));
    (watch, counter)
}

fn end(watch: Watch) -> CallEnd {
    watch
        .close(&Failure::new(FailureKind::Limit, "Stopped."))
        .remove(&7)
        .expect("every call ends")
}

fn kind(end: &CallEnd) -> Option<FailureKind> {
    end.result.as_ref().err().map(|failure| failure.failure.kind)
}

#[tokio::test]
async fn announced_written_answered_and_confirmed_is_a_success() {
    let (mut watch, counter) = watch();
    watch.committing(&[(7, 0)]).await.expect("in order").expect("granted");
    counter.fetch_add(10, Ordering::Relaxed);
    watch.traffic().received(b"250 ok\r\n");
    watch.confirmed(7, 0, None).expect("in order");
    watch.settle(7, Ok(json!({}))).expect("in order");
    assert_eq!(kind(&end(watch)), None);
}

#[tokio::test]
async fn a_success_that_was_not_announced_written_or_answered_is_uncertain() {
    let (mut silent, _) = watch();
    silent.settle(7, Ok(json!({}))).expect("in order");
    assert_eq!(kind(&end(silent)), Some(FailureKind::Uncertain));

    let (mut unwritten, _) = watch();
    unwritten
        .committing(&[(7, 0)])
        .await
        .expect("in order")
        .expect("granted");
    unwritten.traffic().received(b"250 ok\r\n");
    unwritten.confirmed(7, 0, None).expect("in order");
    unwritten.settle(7, Ok(json!({}))).expect("in order");
    assert_eq!(kind(&end(unwritten)), Some(FailureKind::Uncertain));

    let (mut unanswered, counter) = watch();
    unanswered
        .committing(&[(7, 0)])
        .await
        .expect("in order")
        .expect("granted");
    counter.fetch_add(10, Ordering::Relaxed);
    unanswered.confirmed(7, 0, None).expect("in order");
    unanswered.settle(7, Ok(json!({}))).expect("in order");
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
        let (mut watch, counter) = watch();
        watch.committing(&[(7, 0)]).await.expect("in order").expect("granted");
        counter.fetch_add(10, Ordering::Relaxed);
        watch.traffic().received(b"250 ok\r\n550 5.7.1 no\r\n");
        watch.refused(7, 0, evidence).expect("in order");
        watch
            .settle(7, Err(Failure::new(FailureKind::Refused, "Refused.").into()))
            .expect("in order");
        assert_eq!(kind(&end(watch)), Some(expected), "{evidence:?}");
    }
}

#[tokio::test]
async fn a_reply_from_before_the_announcement_proves_nothing() {
    let (mut watch, counter) = watch();
    watch.traffic().received(b"550 5.7.1 no\r\n");
    watch.committing(&[(7, 0)]).await.expect("in order").expect("granted");
    counter.fetch_add(10, Ordering::Relaxed);
    watch.traffic().received(b"250 ok\r\n");
    watch.refused(7, 0, "550 5.7.1 no").expect("in order");
    watch
        .settle(7, Err(Failure::new(FailureKind::Refused, "Refused.").into()))
        .expect("in order");
    assert_eq!(kind(&end(watch)), Some(FailureKind::Uncertain));
}

#[tokio::test]
async fn a_reply_is_found_behind_much_that_was_forgotten_and_taken() {
    let (mut watch, counter) = watch();
    for number in 0..3 {
        watch.traffic().received(&[b'x'; traffic::RECEIVED]);
        watch
            .committing(&[(7, number)])
            .await
            .expect("in order")
            .expect("granted");
        counter.fetch_add(10, Ordering::Relaxed);
        watch.traffic().received(b"450 later\r\n");
        watch.refused(7, number, "450 later").expect("in order");
    }
    watch
        .settle(7, Err(Failure::new(FailureKind::Transient, "Refused.").into()))
        .expect("in order");
    assert_eq!(kind(&end(watch)), Some(FailureKind::Transient));
}

#[tokio::test]
async fn one_reply_proves_one_refusal() {
    let (mut watch, counter) = watch();
    watch
        .committing(&[(7, 0), (7, 1)])
        .await
        .expect("in order")
        .expect("granted");
    counter.fetch_add(10, Ordering::Relaxed);
    watch.traffic().received(b"550 5.7.1 no\r\n");
    watch.refused(7, 0, "550 5.7.1 no").expect("in order");
    watch.refused(7, 1, "550 5.7.1 no").expect("in order");
    watch
        .settle(7, Err(Failure::new(FailureKind::Refused, "Refused.").into()))
        .expect("in order");
    assert_eq!(kind(&end(watch)), Some(FailureKind::Uncertain));
}

#[tokio::test]
async fn a_421_proves_the_refusal_of_all_that_it_found_unanswered() {
    let (mut watch, counter) = watch();
    watch
        .committing(&[(7, 0), (7, 1)])
        .await
        .expect("in order")
        .expect("granted");
    counter.fetch_add(10, Ordering::Relaxed);
    watch.traffic().received(b"421 4.3.0 closing\r\n");
    watch.refused(7, 0, "421 4.3.0 closing").expect("in order");
    watch.refused(7, 1, "421 4.3.0 closing").expect("in order");
    watch
        .settle(7, Err(Failure::new(FailureKind::Transient, "Closed.").into()))
        .expect("in order");
    assert_eq!(kind(&end(watch)), Some(FailureKind::Transient));
}

#[tokio::test]
async fn what_a_stopped_connector_leaves_open_is_settled_by_the_bytes() {
    let (mut unwritten, _) = watch();
    unwritten
        .committing(&[(7, 0)])
        .await
        .expect("in order")
        .expect("granted");
    assert_eq!(kind(&end(unwritten)), Some(FailureKind::Limit));

    let (mut written, counter) = watch();
    written.committing(&[(7, 0)]).await.expect("in order").expect("granted");
    counter.fetch_add(1, Ordering::Relaxed);
    assert_eq!(kind(&end(written)), Some(FailureKind::Uncertain));
}

#[tokio::test]
async fn uncertain_is_never_folded_into_another_failure() {
    let (mut watch, counter) = watch();
    watch.committing(&[(7, 0)]).await.expect("in order").expect("granted");
    counter.fetch_add(10, Ordering::Relaxed);
    watch
        .settle(7, Err(Failure::new(FailureKind::Transient, "Lost.").into()))
        .expect("in order");
    assert_eq!(kind(&end(watch)), Some(FailureKind::Uncertain));
}

#[tokio::test]
async fn a_call_has_so_many_parts_and_not_one_more() {
    let (mut watch, _) = watch();
    let parts: Vec<(u32, u32)> = (0..).take(PARTS).map(|number| (7, number)).collect();
    watch
        .committing(&parts)
        .await
        .expect("as many as there may be")
        .expect("granted");
    watch.confirmed(7, 5, None).expect("one of them");
    let more = u32::try_from(PARTS).expect("not that many");
    assert!(watch.committing(&[(7, more)]).await.is_err());
    assert!(watch.confirmed(7, more, None).is_err());
    assert!(watch.refused(7, more, "550 no").is_err());
}

#[tokio::test]
async fn a_part_is_announced_once() {
    let (mut watch, counter) = watch();
    watch.committing(&[(7, 0)]).await.expect("in order").expect("granted");
    assert!(matches!(watch.committing(&[(7, 0)]).await, Ok(Err(Stop::Claimed))));
    counter.fetch_add(1, Ordering::Relaxed);
    assert!(watch.committing(&[(8, 0)]).await.is_err());
    assert!(watch.confirmed(8, 0, None).is_err());
}

#[tokio::test]
async fn what_was_said_of_a_call_in_doubt_is_told_when_the_connector_is_stopped_and_only_then() {
    let said = json!({"to": "ann@example.test", "success": false});
    for (written, expected) in [(1, Some(said.clone())), (0, None)] {
        let (mut watch, counter) = watch();
        watch.in_doubt(7, said.to_string()).expect("in order");
        watch.committing(&[(7, 0)]).await.expect("in order").expect("granted");
        counter.fetch_add(written, Ordering::Relaxed);
        let failure = end(watch).result.expect_err("nothing was confirmed");
        assert_eq!(failure.output, expected);
    }
    let (mut watch, _) = watch();
    assert!(watch.in_doubt(8, said.to_string()).is_err(), "there is no such call");
}
