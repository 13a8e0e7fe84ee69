//! Watching what a connector says of its commits against what the host knows of the bytes.
//!
//! The connector announces, writes, and reports; the host counts the bytes itself. Whatever a connector claims, or fails
//! to, a part ends as one of: confirmed, refused, uncertain, not sent. `uncertain` is what remains where a claim does not
//! agree with the bytes.

mod traffic;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use pipepost_core::{Failure, FailureKind};
use pipepost_state::ledger::{ClaimError, Ledger, Part, PartOutcome};
use serde_json::Value;
use traffic::Announced;
pub(crate) use traffic::Traffic;

use crate::bindings::outcomes::Stop;

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
    /// The output, in words and as a value, that came with the part which completed the call: it comes again when the
    /// call is settled, and is not read twice.
    completed: Option<(String, Value)>,
    /// JSON, not read yet: the output while nobody knows how the call ends. Seldom wanted.
    in_doubt: Option<String>,
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
pub(crate) struct CallFailure {
    pub(crate) failure: Failure,
    /// What there is of the output.
    pub(crate) output: Option<Value>,
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
    pub(crate) result: Result<Value, CallFailure>,
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
    /// How many parts are announced and not settled. Every wait on the connection asks for it.
    open: usize,
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
            traffic: Traffic::default(),
            open: 0,
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
        self.open > 0
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

    /// The connector says what is to be told of a call while nobody knows how it ends.
    pub(crate) fn in_doubt(&mut self, call: u32, output: String) -> Result<(), String> {
        let state = self.calls.get_mut(&call).ok_or_else(|| unknown_call(call))?;
        self.ledger.in_doubt(&state.key, &output);
        state.in_doubt = Some(output);
        Ok(())
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
        let before = match status {
            Some(status) => parts.insert(number, status),
            None => parts.remove(&number),
        };
        let is_open = |status: Option<Status>| usize::from(matches!(status, Some(Status::Announced(_))));
        self.open = self.open + is_open(status) - is_open(before);
        before
    }

    /// The connector says that a part was confirmed, and with which output it completed the call.
    pub(crate) fn confirmed(&mut self, call: u32, number: u32, output: Option<(String, Value)>) -> Result<(), String> {
        let text = output.as_ref().map(|(text, _)| text.clone());
        self.judge(call, number, text, |traffic, announced| {
            if traffic.wrote_since(announced) && traffic.read_since(announced) {
                Status::Confirmed
            } else {
                Status::Uncertain
            }
        })?;
        if let (Some(state), Some(output)) = (self.calls.get_mut(&call), output) {
            state.completed = Some(output);
        }
        Ok(())
    }

    /// The value of an output that came before, in the same words.
    pub(crate) fn completed(&mut self, call: u32, text: &str) -> Option<Value> {
        let (said, value) = self.calls.get_mut(&call)?.completed.take()?;
        (said == text).then_some(value)
    }

    /// The connector says that a part was refused, and by which reply.
    pub(crate) fn refused(&mut self, call: u32, number: u32, evidence: &str) -> Result<(), String> {
        self.judge(call, number, None, |traffic, announced| {
            if traffic.take_evidence(evidence, announced) || !traffic.wrote_since(announced) {
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
        self.set((call, number), Some(status));
        self.ledger.settle(&part, ledger_outcome(status, output));
        Ok(())
    }

    /// The connector says that a call is over.
    pub(crate) fn settle(&mut self, call: u32, outcome: Result<Value, CallFailure>) -> Result<(), String> {
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
        let mut ends = HashMap::new();
        for (id, mut state) in std::mem::take(&mut self.calls) {
            for (number, status) in &mut state.parts {
                if let Status::Announced(announced) = *status {
                    *status = if self.traffic.wrote_since(announced) {
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
            Some(Err(failure)) if uncertain && failure.failure.kind != FailureKind::Uncertain => Err(CallFailure {
                failure: unproven(),
                ..failure
            }),
            Some(result) => result,
            None if uncertain || confirmed => {
                let message = format!("{} The message may have been sent and may not.", stopped.message);
                let in_doubt = state.in_doubt.as_deref();
                Err(CallFailure {
                    output: in_doubt.and_then(|output| serde_json::from_str(output).ok()),
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
