//! Compares what a connector reports of its commits with what the host knows from the bytes and replies.
//!
//! The connector announces, writes, and reports; the host counts the bytes and reads the replies itself. Whatever a
//! connector claims or does not claim, a part ends as one of these: confirmed, refused, uncertain, not sent. A part is
//! `uncertain` when a claim does not agree with the bytes.

mod ahead;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use pipepost_core::{Failure, FailureKind};
use pipepost_state::ledger::{ClaimError, Ledger, Part, PartOutcome};
use serde_json::Value;

use self::ahead::Ahead;
use super::contract::latest::outcomes::Stop;
use super::kept::{Charge, Kept, KeptText};
use super::wire_log::{Announced, WireLog};

/// Parts that one call may have: with a hundred recipients in each, a million recipients.
const PARTS: usize = 10_000;

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
    /// The output that came with the part which completed the call: the call's own unless `settled` brings another.
    completed: Option<Kept>,
    /// The output while nobody knows how the call ends. Seldom wanted.
    in_doubt: Option<KeptText>,
    settled: Option<Result<Value, CallFailure>>,
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
pub struct CallFailure<Output = Value> {
    /// The kind, the message and the advice.
    pub failure: Failure,
    /// The output, as far as there is one.
    pub output: Option<Output>,
    /// What is left to do, as JSON.
    pub remainder: Option<String>,
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

/// The end of a call, after the host has judged it.
#[derive(Debug, Clone)]
pub struct CallEnd {
    /// The output, or the reason why there is none.
    pub result: Result<Value, CallFailure>,
    /// Whether a commit of something in the call was announced; if so, the call may not simply be tried again.
    pub announced: bool,
    /// Whether some of it was confirmed.
    pub confirmed: bool,
    /// Whether the connector settled the call before it was stopped.
    pub settled: bool,
}

/// Tracks what one `perform` commits.
pub(crate) struct CommitTracker {
    ledger: Arc<dyn Ledger>,
    calls: HashMap<u32, CallState>,
    wire_log: WireLog,
    /// Parts that are claimed and not announced.
    ahead: Ahead,
    /// How many parts are announced and not settled. Every wait on the connection asks for it.
    open: usize,
    /// How many parts are settled as uncertain.
    uncertain: usize,
    /// Success means that something was confirmed: true of connectors that hold a connection.
    must_commit: bool,
}

impl CommitTracker {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, calls: impl Iterator<Item = (u32, String)>, must_commit: bool) -> Self {
        let calls = calls
            .map(|(id, key)| {
                (
                    id,
                    CallState {
                        key,
                        parts: BTreeMap::new(),
                        completed: None,
                        in_doubt: None,
                        settled: None,
                    },
                )
            })
            .collect();
        Self {
            ledger,
            calls,
            wire_log: WireLog::default(),
            ahead: Ahead::default(),
            open: 0,
            uncertain: 0,
            must_commit,
        }
    }

    pub(crate) fn wire_log(&mut self) -> &mut WireLog {
        &mut self.wire_log
    }

    pub(crate) fn knows(&self, call: u32) -> bool {
        self.calls.contains_key(&call)
    }

    /// Whether anything announced is still open.
    pub(crate) fn has_open_parts(&self) -> bool {
        self.open > 0
    }

    /// How many more messages may end in what is written now: one for each part that is announced, or recorded as uncertain,
    /// and has none yet.
    pub(crate) fn messages_max(&self) -> u64 {
        self.accountable().saturating_sub(self.wire_log.unclaimed())
    }

    /// The messages that may be with the server beyond those that are confirmed, without one that nobody knows of.
    fn accountable(&self) -> u64 {
        (self.open + self.uncertain) as u64
    }

    /// Whether these parts may be announced, as far as the ledger's rules decide. An `Err` of the outer kind is a breach of the
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

    /// Keeps what a person can look for while nobody knows how a call ends. Returns what the one before it took of the
    /// budget.
    pub(crate) fn in_doubt(&mut self, call: u32, output: KeptText) -> Result<Charge, String> {
        let state = self.calls.get_mut(&call).ok_or_else(|| unknown_call(call))?;
        self.ledger.in_doubt(&state.key, &output.text);
        let before = state.in_doubt.replace(output);
        Ok(before.map_or_else(Charge::default, |before| before.charge))
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
        let announced = Status::Announced(self.wire_log.now());
        let before: Vec<Option<Status>> = parts.iter().map(|part| self.set(*part, Some(announced))).collect();
        self.ahead.finish(parts).await;
        // What was claimed ahead is in the ledger.
        let (claimed, new): (Vec<_>, Vec<_>) = parts
            .iter()
            .copied()
            .zip(claims)
            .partition(|(part, _)| self.ahead.is_claimed(*part));
        let new: Vec<Part> = new.into_iter().map(|(_, claim)| claim).collect();
        let written = if new.is_empty() {
            Ok(())
        } else {
            self.ledger.claim(new).await
        };
        let stop = match written {
            Ok(()) => {
                claimed.iter().for_each(|(part, _)| self.ahead.take(*part));
                return Ok(Ok(()));
            }
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

    /// How many parts may be claimed ahead, when a crash may make so many messages uncertain: none where a claim waits for
    /// nothing.
    pub(crate) fn room_ahead(&self, uncertain_max: usize) -> usize {
        if !self.ledger.is_durable() {
            return 0;
        }
        uncertain_max.saturating_sub(self.open + self.ahead.len())
    }

    /// The connector claims parts that it will announce. Those that cannot be claimed are left for their announcement, which
    /// says why. An `Err` is a breach of the contract.
    pub(crate) fn claim_ahead(&mut self, parts: &[(u32, u32)]) -> Result<(), String> {
        let mut claims = Vec::with_capacity(parts.len());
        for (call, number) in parts {
            let state = self.calls.get(call).ok_or_else(|| unknown_call(*call))?;
            state.check_room(*number)?;
            let is_known = state.settled.is_some() || state.parts.contains_key(number);
            if !is_known && self.ahead.add((*call, *number)) {
                claims.push((
                    (*call, *number),
                    Part {
                        key: state.key.clone(),
                        number: *number,
                    },
                ));
            }
        }
        if !claims.is_empty() {
            self.ahead.begin(&self.ledger, claims);
        }
        Ok(())
    }

    /// Sets where a part stands, and answers where it stood.
    fn set(&mut self, (call, number): (u32, u32), status: Option<Status>) -> Option<Status> {
        let parts = &mut self.calls.get_mut(&call)?.parts;
        let before = match status {
            Some(status) => parts.insert(number, status),
            None => parts.remove(&number),
        };
        let is_open = |status: Option<Status>| usize::from(matches!(status, Some(Status::Announced(_))));
        self.open = self.open + is_open(status) - is_open(before);
        let is_uncertain = |status: Option<Status>| usize::from(status == Some(Status::Uncertain));
        self.uncertain = self.uncertain + is_uncertain(status) - is_uncertain(before);
        before
    }

    /// The connector says that a part was confirmed, and with which output it completed the call. Returns what the output
    /// before it took of the budget.
    pub(crate) fn confirmed(
        &mut self,
        call: u32,
        number: u32,
        output: Option<(Kept, String)>,
    ) -> Result<Charge, String> {
        let (output, text) = output.unzip();
        self.judge(call, number, text, |wire_log, announced| {
            if wire_log.take_confirmation(announced) {
                Status::Confirmed
            } else {
                Status::Uncertain
            }
        })?;
        let state = self.calls.get_mut(&call).filter(|state| state.settled.is_none());
        Ok(match (state, output) {
            (Some(state), Some(output)) => state.completed.replace(output).map(|before| before.charge),
            (None, Some(output)) => Some(output.charge),
            (_, None) => None,
        }
        .unwrap_or_default())
    }

    /// The connector says that a part was refused, and by which reply. Every message that the server has taken, or may take,
    /// must then belong to another part.
    pub(crate) fn refused(&mut self, call: u32, number: u32, evidence: &str) -> Result<(), String> {
        let others = self.accountable().saturating_sub(1);
        self.judge(call, number, None, |wire_log, announced| {
            let is_accounted_for = wire_log.unclaimed() <= others;
            let is_proven = wire_log.take_refusal(evidence, announced) && is_accounted_for;
            if is_proven || !wire_log.wrote_since(announced) {
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
        verdict: impl FnOnce(&mut WireLog, Announced) -> Status,
    ) -> Result<(), String> {
        let state = self.calls.get_mut(&call).ok_or_else(|| unknown_call(call))?;
        state.check_room(number)?;
        let part = Part {
            key: state.key.clone(),
            number,
        };
        let status = match state.parts.get(&number) {
            Some(Status::Announced(announced)) => verdict(&mut self.wire_log, *announced),
            // What was settled stays settled; what was never announced cannot be believed.
            Some(settled) => *settled,
            None => Status::Uncertain,
        };
        self.set((call, number), Some(status));
        self.ledger.settle(&part, ledger_outcome(status, output));
        Ok(())
    }

    /// The connector says that a call is over. An output that it does not give is the one that came with the last
    /// confirmation. Returns what is not kept any longer.
    pub(crate) fn settle(
        &mut self,
        call: u32,
        outcome: Result<Option<Kept>, CallFailure<Kept>>,
    ) -> Result<[Charge; 2], String> {
        let state = self.calls.get_mut(&call).ok_or_else(|| unknown_call(call))?;
        if state.settled.is_some() {
            return Err(format!("it settled call {call} twice"));
        }
        let in_doubt = state.in_doubt.take().map(|told| told.charge);
        let completed = state.completed.take();
        let (own, before) = match &outcome {
            Ok(Some(_)) | Err(CallFailure { output: Some(_), .. }) => (None, completed.map(|output| output.charge)),
            Ok(None) | Err(_) => (completed.map(|output| output.value), None),
        };
        state.settled = Some(match outcome {
            Ok(output) => Ok(output.map(|output| output.value).or(own).unwrap_or_default()),
            Err(failed) => Err(CallFailure {
                failure: failed.failure,
                output: failed.output.map(|output| output.value).or(own),
                remainder: failed.remainder,
            }),
        });
        Ok([in_doubt.unwrap_or_default(), before.unwrap_or_default()])
    }

    /// Closes the books: every open part is settled by what the bytes say, every call gets its one end. `stopped` is the
    /// failure of calls that were never settled.
    pub(crate) fn close(mut self, stopped: &Failure) -> HashMap<u32, CallEnd> {
        self.check_counts();
        // Announced by nobody, so no byte of it left.
        for (call, number) in self.ahead.drain() {
            if let Some(state) = self.calls.get(&call).filter(|state| !state.parts.contains_key(&number)) {
                let part = Part {
                    key: state.key.clone(),
                    number,
                };
                self.ledger.settle(&part, PartOutcome::NotCommitted);
            }
        }
        let submitted = self.calls.len();
        let mut ends = HashMap::with_capacity(submitted);
        for (id, mut state) in std::mem::take(&mut self.calls) {
            for (number, status) in &mut state.parts {
                if let Status::Announced(announced) = *status {
                    *status = if self.wire_log.wrote_since(announced) {
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
            debug_assert!(
                !state
                    .parts
                    .values()
                    .any(|status| matches!(status, Status::Announced(_))),
                "a closed call has an open part"
            );
            ends.insert(id, self.end(state, stopped));
        }
        debug_assert_eq!(ends.len(), submitted, "every call ends exactly once");
        ends
    }

    /// "Never twice, never lost" rests on these counts.
    fn check_counts(&self) {
        let is_open = |status: &&Status| matches!(status, Status::Announced(_));
        let open = || {
            self.calls
                .values()
                .map(|state| state.parts.values().filter(is_open).count())
        };
        debug_assert_eq!(self.open, open().sum::<usize>(), "open parts are counted");
        debug_assert!(
            self.wire_log.unclaimed() <= self.accountable(),
            "a message is with the server that no part accounts for"
        );
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
            Some(Err(failure)) if uncertain && failure.failure.kind != FailureKind::Uncertain => Err(CallFailure {
                failure: unproven(),
                ..failure
            }),
            Some(result) => result,
            None if uncertain || confirmed => {
                let message = format!("{} The message may have been sent and may not.", stopped.message);
                Err(CallFailure {
                    output: state.in_doubt.and_then(|told| serde_json::from_str(&told.text).ok()),
                    ..Failure::new(FailureKind::Uncertain, message).into()
                })
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
        FailureKind::Uncertain,
        "What the connector reports does not agree with what was written and received: the message may have been sent and may not.",
    )
    .advise("Look for it in the sender's Sent folder or the server's log before sending it again.")
}

#[cfg(test)]
mod tests;
