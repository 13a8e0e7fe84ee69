//! Watching what a connector says of its commits against what the host knows of the bytes.
//!
//! The connector announces, writes, and reports; the host counts the bytes itself. Whatever a connector claims, or fails
//! to, a part ends as one of: confirmed, refused, uncertain, not sent. `uncertain` is what remains where a claim does not
//! agree with the bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::bindings::outcomes::Stop;
use crate::failure::{Failure, Kind};
use crate::ledger::{ClaimError, Ledger, Part, PartOutcome};

/// How much of what was received is kept to look for evidence in.
const RECEIVED: usize = 64 * 1024;

/// Parts that one call may have: with a hundred recipients in each, a million recipients.
const PARTS: usize = 10_000;

/// The bytes of an instance's connection, as the host counted them.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Bytes written on connections that are gone.
    settled_written: u64,
    /// Of the live connection.
    live: Option<Arc<std::sync::atomic::AtomicU64>>,
    live_base: u64,
    /// Bytes that the connector has read.
    read: u64,
    /// What was received lately, less its line ends.
    received: String,
    /// How much stood before that and is forgotten.
    forgotten: usize,
}

impl Traffic {
    /// From here on the counter of a live connection counts.
    pub(crate) fn follow(&mut self, counter: Arc<std::sync::atomic::AtomicU64>) {
        self.settled_written = self.written();
        self.live_base = counter.load(std::sync::atomic::Ordering::Relaxed);
        self.live = Some(counter);
    }

    /// Bytes that left so far.
    pub(crate) fn written(&self) -> u64 {
        let live = self.live.as_ref().map_or(0, |live| {
            live.load(std::sync::atomic::Ordering::Relaxed) - self.live_base
        });
        self.settled_written + live
    }

    /// The connector has read these bytes.
    pub(crate) fn received(&mut self, bytes: &[u8]) {
        self.read += bytes.len() as u64;
        let text = String::from_utf8_lossy(bytes);
        self.received.extend(text.chars().filter(|c| !matches!(c, '\r' | '\n')));
        if self.received.len() > 2 * RECEIVED {
            let mut cut = self.received.len() - RECEIVED;
            while !self.received.is_char_boundary(cut) {
                cut += 1;
            }
            self.received.drain(..cut);
            self.forgotten += cut;
        }
    }

    /// What is known at this moment, for a part that is announced now.
    fn now(&self) -> Announced {
        Announced {
            written: self.written(),
            read: self.read,
            mark: self.forgotten + self.received.len(),
        }
    }

    /// Looks for a reply among what was received since a part was announced, and takes it: one reply proves one refusal,
    /// unless it closes the session.
    fn take_evidence(&mut self, evidence: &str, since: Announced) -> bool {
        let wanted: String = evidence.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        let is_refusal = wanted.len() >= 3
            && matches!(wanted.as_bytes()[0], b'4' | b'5')
            && wanted.as_bytes()[1..3].iter().all(u8::is_ascii_digit);
        if !is_refusal {
            return false;
        }
        let start = since.mark.saturating_sub(self.forgotten);
        let Some(at) = self.received.get(start..).and_then(|since| since.find(&wanted)) else {
            return false;
        };
        // A 421 closes the session and so speaks for all that it leaves unanswered (RFC 5321, section 3.8).
        if !wanted.starts_with("421") {
            // Blotted out and not cut out, so that every mark stays where it is.
            let (from, to) = (start + at, start + at + wanted.len());
            self.received.replace_range(from..to, &"\0".repeat(wanted.len()));
        }
        true
    }
}

/// The traffic as it was when a part was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Announced {
    written: u64,
    read: u64,
    /// Where the next byte stood in what was received.
    mark: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Announced(Announced),
    Confirmed,
    Refused,
    Uncertain,
}

/// What the connector said about one call, judged.
#[derive(Debug)]
pub(crate) struct CallState {
    key: String,
    parts: BTreeMap<u32, Status>,
    settled: Option<Result<String, CallFailure>>,
}

impl CallState {
    /// Each part that is named is kept, here and in the ledger, so their number has a bound.
    fn check_room(&self, number: u32) -> Result<(), String> {
        if self.parts.len() < PARTS || self.parts.contains_key(&number) {
            Ok(())
        } else {
            Err(too_many_parts())
        }
    }
}

/// A failure as the connector reported it.
#[derive(Debug, Clone)]
pub(crate) struct CallFailure {
    pub(crate) failure: Failure,
    /// JSON: what there is of the output.
    pub(crate) output: Option<String>,
    /// JSON: what is left to do.
    pub(crate) remainder: Option<String>,
}

impl From<Failure> for CallFailure {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            output: None,
            remainder: None,
        }
    }
}

/// How a call ended, after the host has judged it.
#[derive(Debug, Clone)]
pub(crate) struct CallEnd {
    pub(crate) result: Result<String, CallFailure>,
    /// Something of it was announced as committing, so it may not simply be tried again.
    pub(crate) announced: bool,
    /// Some of it was confirmed.
    pub(crate) confirmed: bool,
    /// The connector settled it, and was not stopped before.
    pub(crate) settled: bool,
}

/// The watch over one `perform`.
pub(crate) struct Watch {
    ledger: Arc<dyn Ledger>,
    calls: HashMap<u32, CallState>,
    traffic: Traffic,
    /// Success means that something was confirmed: true of connectors that hold a connection.
    must_commit: bool,
}

impl Watch {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, calls: impl Iterator<Item = (u32, String)>, must_commit: bool) -> Self {
        let calls = calls
            .map(|(id, key)| {
                (
                    id,
                    CallState {
                        key,
                        parts: BTreeMap::new(),
                        settled: None,
                    },
                )
            })
            .collect();
        Self {
            ledger,
            calls,
            traffic: Traffic::default(),
            must_commit,
        }
    }

    pub(crate) fn traffic(&mut self) -> &mut Traffic {
        &mut self.traffic
    }

    pub(crate) fn knows(&self, call: u32) -> bool {
        self.calls.contains_key(&call)
    }

    /// Whether anything announced is still open.
    pub(crate) fn has_open_parts(&self) -> bool {
        self.calls
            .values()
            .flat_map(|call| call.parts.values())
            .any(|status| matches!(status, Status::Announced(_)))
    }

    /// Whether these parts may be announced, as far as the books decide. An `Err` of the outer kind is a breach of the
    /// contract.
    pub(crate) fn check(&self, parts: &[(u32, u32)]) -> Result<Result<Vec<Part>, Stop>, String> {
        if parts.len() > PARTS {
            return Err(too_many_parts());
        }
        let mut claims = Vec::with_capacity(parts.len());
        for (call, number) in parts {
            let state = self.calls.get(call).ok_or_else(|| unknown_call(*call))?;
            if state.settled.is_some() {
                return Err(format!("it announced a part of call {call}, which it had settled"));
            }
            if state.parts.get(number).is_some_and(|status| *status != Status::Refused) {
                return Ok(Err(Stop::Claimed));
            }
            state.check_room(*number)?;
            claims.push(Part {
                key: state.key.clone(),
                number: *number,
            });
        }
        Ok(Ok(claims))
    }

    /// Whether something of the call was announced, and not refused since.
    pub(crate) fn is_announced(&self, call: u32) -> bool {
        let state = self.calls.get(&call);
        state.is_some_and(|state| state.parts.values().any(|status| *status != Status::Refused))
    }

    /// The connector announces. An `Err` of the outer kind is a breach of the contract.
    pub(crate) async fn committing(&mut self, parts: &[(u32, u32)]) -> Result<Result<(), Stop>, String> {
        let claims = match self.check(parts)? {
            Ok(claims) => claims,
            Err(stop) => return Ok(Err(stop)),
        };
        // Before the answer, because this may be dropped while it waits: then the claim is settled as not sent.
        let announced = Status::Announced(self.traffic.now());
        let before: Vec<Option<Status>> = parts.iter().map(|part| self.set(*part, Some(announced))).collect();
        let stop = match self.ledger.claim(claims).await {
            Ok(()) => return Ok(Ok(())),
            Err(ClaimError::Claimed) => Stop::Claimed,
            Err(ClaimError::Unrecorded(reason)) => {
                tracing::error!(%reason, "the ledger could not be written");
                Stop::Unrecorded
            }
        };
        // In reverse, should a part have been named twice.
        for (part, before) in parts.iter().zip(before).rev() {
            self.set(*part, before);
        }
        Ok(Err(stop))
    }

    /// Sets where a part stands, and answers where it stood.
    fn set(&mut self, (call, number): (u32, u32), status: Option<Status>) -> Option<Status> {
        let parts = &mut self.calls.get_mut(&call)?.parts;
        match status {
            Some(status) => parts.insert(number, status),
            None => parts.remove(&number),
        }
    }

    /// The connector says that a part was confirmed, and with which output it completed the call.
    pub(crate) fn confirmed(&mut self, call: u32, number: u32, output: Option<String>) -> Result<(), String> {
        self.judge(call, number, output, |traffic, announced| {
            if traffic.written() > announced.written && traffic.read > announced.read {
                Status::Confirmed
            } else {
                Status::Uncertain
            }
        })
    }

    /// The connector says that a part was refused, and by which reply.
    pub(crate) fn refused(&mut self, call: u32, number: u32, evidence: &str) -> Result<(), String> {
        self.judge(call, number, None, |traffic, announced| {
            if traffic.take_evidence(evidence, announced) || traffic.written() == announced.written {
                Status::Refused
            } else {
                Status::Uncertain
            }
        })
    }

    fn judge(
        &mut self,
        call: u32,
        number: u32,
        output: Option<String>,
        verdict: impl FnOnce(&mut Traffic, Announced) -> Status,
    ) -> Result<(), String> {
        let state = self.calls.get_mut(&call).ok_or_else(|| unknown_call(call))?;
        state.check_room(number)?;
        let part = Part {
            key: state.key.clone(),
            number,
        };
        let status = match state.parts.get(&number) {
            Some(Status::Announced(announced)) => verdict(&mut self.traffic, *announced),
            // What was settled stays settled; what was never announced cannot be believed.
            Some(settled) => *settled,
            None => Status::Uncertain,
        };
        state.parts.insert(number, status);
        self.ledger.settle(&part, ledger_outcome(status, output));
        Ok(())
    }

    /// The connector says that a call is over.
    pub(crate) fn settle(&mut self, call: u32, outcome: Result<String, CallFailure>) -> Result<(), String> {
        let state = self.calls.get_mut(&call).ok_or_else(|| unknown_call(call))?;
        if state.settled.is_some() {
            return Err(format!("it settled call {call} twice"));
        }
        state.settled = Some(outcome);
        Ok(())
    }

    /// Closes the books: every open part is settled by what the bytes say, every call gets its one end. `stopped` is the
    /// failure of calls that were never settled.
    pub(crate) fn close(mut self, stopped: &Failure) -> HashMap<u32, CallEnd> {
        let written = self.traffic.written();
        let mut ends = HashMap::new();
        for (id, mut state) in std::mem::take(&mut self.calls) {
            for (number, status) in &mut state.parts {
                if let Status::Announced(announced) = *status {
                    *status = if written > announced.written {
                        Status::Uncertain
                    } else {
                        Status::Refused
                    };
                    let part = Part {
                        key: state.key.clone(),
                        number: *number,
                    };
                    self.ledger.settle(&part, ledger_outcome(*status, None));
                }
            }
            ends.insert(id, self.end(state, stopped));
        }
        ends
    }

    fn end(&self, state: CallState, stopped: &Failure) -> CallEnd {
        let announced = !state.parts.is_empty();
        let settled = state.settled.is_some();
        let uncertain = state.parts.values().any(|status| *status == Status::Uncertain);
        let confirmed = state.parts.values().any(|status| *status == Status::Confirmed);
        let result = match state.settled {
            Some(Ok(output)) if uncertain || (self.must_commit && !confirmed) => Err(CallFailure {
                output: Some(output),
                ..unproven().into()
            }),
            Some(Err(failure)) if uncertain && failure.failure.kind != Kind::Uncertain => Err(CallFailure {
                failure: unproven(),
                ..failure
            }),
            Some(result) => result,
            None if uncertain || confirmed => {
                let message = format!("{} The message may have been sent and may not.", stopped.message);
                Err(Failure::new(Kind::Uncertain, message).into())
            }
            None => Err(stopped.clone().into()),
        };
        CallEnd {
            result,
            announced,
            confirmed,
            settled,
        }
    }
}

fn ledger_outcome(status: Status, output: Option<String>) -> PartOutcome {
    match status {
        Status::Confirmed => PartOutcome::Confirmed(output),
        Status::Refused => PartOutcome::NotCommitted,
        Status::Uncertain | Status::Announced(_) => PartOutcome::Uncertain,
    }
}

fn unknown_call(call: u32) -> String {
    format!("it named call {call}, which is not of this batch")
}

fn too_many_parts() -> String {
    format!("it named more than {PARTS} parts of a call")
}

fn unproven() -> Failure {
    Failure::new(
        Kind::Uncertain,
        "What the connector reports does not agree with what was written and received: the message may have been sent and may not.",
    )
    .advise("Look for it in the sender's Sent folder or the server's log before sending it again.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::RunLedger;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn watch() -> (Watch, Arc<AtomicU64>) {
        let counter = Arc::new(AtomicU64::new(0));
        let mut watch = Watch::new(
            Arc::new(RunLedger::default()),
            [(7, "key".to_owned())].into_iter(),
            true,
        );
        watch.traffic().follow(Arc::clone(&counter));
        (watch, counter)
    }

    fn end(watch: Watch) -> CallEnd {
        watch
            .close(&Failure::new(Kind::Limit, "Stopped."))
            .remove(&7)
            .expect("every call ends")
    }

    fn kind(end: &CallEnd) -> Option<Kind> {
        end.result.as_ref().err().map(|failure| failure.failure.kind)
    }

    #[tokio::test]
    async fn announced_written_answered_and_confirmed_is_a_success() {
        let (mut watch, counter) = watch();
        watch.committing(&[(7, 0)]).await.expect("in order").expect("granted");
        counter.fetch_add(10, Ordering::Relaxed);
        watch.traffic().received(b"250 ok\r\n");
        watch.confirmed(7, 0, None).expect("in order");
        watch.settle(7, Ok("{}".into())).expect("in order");
        assert_eq!(kind(&end(watch)), None);
    }

    #[tokio::test]
    async fn a_success_that_was_not_announced_written_or_answered_is_uncertain() {
        let (mut silent, _) = watch();
        silent.settle(7, Ok("{}".into())).expect("in order");
        assert_eq!(kind(&end(silent)), Some(Kind::Uncertain));

        let (mut unwritten, _) = watch();
        unwritten
            .committing(&[(7, 0)])
            .await
            .expect("in order")
            .expect("granted");
        unwritten.traffic().received(b"250 ok\r\n");
        unwritten.confirmed(7, 0, None).expect("in order");
        unwritten.settle(7, Ok("{}".into())).expect("in order");
        assert_eq!(kind(&end(unwritten)), Some(Kind::Uncertain));

        let (mut unanswered, counter) = watch();
        unanswered
            .committing(&[(7, 0)])
            .await
            .expect("in order")
            .expect("granted");
        counter.fetch_add(10, Ordering::Relaxed);
        unanswered.confirmed(7, 0, None).expect("in order");
        unanswered.settle(7, Ok("{}".into())).expect("in order");
        assert_eq!(kind(&end(unanswered)), Some(Kind::Uncertain));
    }

    #[tokio::test]
    async fn a_refusal_needs_the_reply_that_was_received() {
        for (evidence, expected) in [
            ("550 5.7.1 no", Kind::Refused),
            ("550 5.7.1 invented", Kind::Uncertain),
            ("250 ok", Kind::Uncertain),
            ("", Kind::Uncertain),
        ] {
            let (mut watch, counter) = watch();
            watch.committing(&[(7, 0)]).await.expect("in order").expect("granted");
            counter.fetch_add(10, Ordering::Relaxed);
            watch.traffic().received(b"250 ok\r\n550 5.7.1 no\r\n");
            watch.refused(7, 0, evidence).expect("in order");
            watch
                .settle(7, Err(Failure::new(Kind::Refused, "Refused.").into()))
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
            .settle(7, Err(Failure::new(Kind::Refused, "Refused.").into()))
            .expect("in order");
        assert_eq!(kind(&end(watch)), Some(Kind::Uncertain));
    }

    #[tokio::test]
    async fn a_reply_is_found_behind_much_that_was_forgotten_and_taken() {
        let (mut watch, counter) = watch();
        for number in 0..3 {
            watch.traffic().received(&[b'x'; RECEIVED]);
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
            .settle(7, Err(Failure::new(Kind::Transient, "Refused.").into()))
            .expect("in order");
        assert_eq!(kind(&end(watch)), Some(Kind::Transient));
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
            .settle(7, Err(Failure::new(Kind::Refused, "Refused.").into()))
            .expect("in order");
        assert_eq!(kind(&end(watch)), Some(Kind::Uncertain));
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
            .settle(7, Err(Failure::new(Kind::Transient, "Closed.").into()))
            .expect("in order");
        assert_eq!(kind(&end(watch)), Some(Kind::Transient));
    }

    #[tokio::test]
    async fn what_a_stopped_connector_leaves_open_is_settled_by_the_bytes() {
        let (mut unwritten, _) = watch();
        unwritten
            .committing(&[(7, 0)])
            .await
            .expect("in order")
            .expect("granted");
        assert_eq!(kind(&end(unwritten)), Some(Kind::Limit));

        let (mut written, counter) = watch();
        written.committing(&[(7, 0)]).await.expect("in order").expect("granted");
        counter.fetch_add(1, Ordering::Relaxed);
        assert_eq!(kind(&end(written)), Some(Kind::Uncertain));
    }

    #[tokio::test]
    async fn uncertain_is_never_folded_into_another_failure() {
        let (mut watch, counter) = watch();
        watch.committing(&[(7, 0)]).await.expect("in order").expect("granted");
        counter.fetch_add(10, Ordering::Relaxed);
        watch
            .settle(7, Err(Failure::new(Kind::Transient, "Lost.").into()))
            .expect("in order");
        assert_eq!(kind(&end(watch)), Some(Kind::Uncertain));
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
}
