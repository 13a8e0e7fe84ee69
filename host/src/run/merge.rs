//! Mail merge: one call for each element, handed over in large batches over several connections.
//!
//! Messages are made one batch at a time, so that the memory does not grow with the list. With `failOnError` they are
//! sent one by one, because no message may follow one that fails.

use std::collections::BTreeMap;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use pipepost_accounts::Limits;
use pipepost_core::{Failure, FailureKind};
use pipepost_flowspec::MergeItems;
use serde_json::{Value, json};

use super::RunError;
use super::calls::{Failed, Outcome, Target};
use super::clock::give_way;
use super::execute::{Execution, place};
use super::observe::Counter;
use super::scopes::Frame;

/// Most calls of one batch.
const BATCH_CALLS_MAX: usize = 256;

/// A batch is not made smaller than this to use more connections: each costs a sign-in.
const BATCH_CALLS_MIN: usize = 64;

/// One batch under way.
type Sending<'s> = Pin<Box<dyn Future<Output = (Range<usize>, Vec<Outcome>)> + Send + 's>>;

impl Execution<'_> {
    /// Performs the step for each element. One that fails does not stop the rest, unless failures end the run.
    pub(super) async fn merge(
        &self,
        target: &Target<'_>,
        frame: &Frame,
        items: &MergeItems,
        stops: bool,
    ) -> Result<Value, RunError> {
        let scopes = self
            .at(target.step, frame)
            .see(target.connector.account_label.as_deref(), None);
        let elements = match items.evaluate(&scopes) {
            Ok(elements) => elements,
            Err(reason) => {
                let failure = Failure::new(
                    FailureKind::Invalid,
                    format!("The parameter `{}`: {reason}.", items.parameter),
                );
                return self
                    .at(target.step, frame)
                    .end_in(stops, RunError::new(place(target.step), failure));
            }
        };
        let lanes = target
            .account
            .as_ref()
            .and_then(|account| account.limits().max_connections)
            .unwrap_or(Limits::MAX_CONNECTIONS_DEFAULT)
            .max(1) as usize;
        let (lanes, size) = if stops {
            (1, 1)
        } else {
            (
                lanes,
                elements.len().div_ceil(lanes).clamp(BATCH_CALLS_MIN, BATCH_CALLS_MAX),
            )
        };
        let target = &Target {
            lanes: lanes.min(elements.len().div_ceil(size)).max(1),
            ..*target
        };
        // Two batches more than there are connections: while the others are sent, the messages of one are made and the
        // parameters of the next.
        let ahead = if stops { 1 } else { lanes + 2 };
        let counter = self.counter(target.step, elements.len());
        let mut outcomes: Vec<Option<Outcome>> = elements.iter().map(|_| None).collect();
        let mut begun = 0;
        let mut stopped = false;
        let mut sending: FuturesUnordered<Sending<'_>> = FuturesUnordered::new();
        loop {
            while sending.len() < ahead && begun < elements.len() && !stopped && !self.clock.is_over() {
                let range = begun..(begun + size).min(elements.len());
                begun = range.end;
                sending.push(Box::pin(self.part(target, frame, &elements, range, &counter)));
            }
            let Some((range, ended)) = sending.next().await else {
                break;
            };
            stopped |= stops && ended.iter().any(Result::is_err);
            for (slot, outcome) in outcomes[range].iter_mut().zip(ended) {
                *slot = Some(outcome);
            }
        }
        let rest = || match stopped {
            true => Failure::new(
                FailureKind::Limit,
                "An earlier message failed, and `failOnError` stops the rest.",
            ),
            false => self.clock.over(),
        };
        let outcomes = outcomes.into_iter().map(|outcome| {
            outcome.unwrap_or_else(|| {
                let failure = rest();
                self.tally.count(Some(failure.kind));
                Err(failure.into())
            })
        });
        let outcomes = outcomes.collect();
        self.summary(target, frame, outcomes, stops)
    }

    /// Makes the messages of some elements, and hands them over together.
    async fn part(
        &self,
        target: &Target<'_>,
        frame: &Frame,
        elements: &[Value],
        range: Range<usize>,
        counter: &Arc<Counter>,
    ) -> (Range<usize>, Vec<Outcome>) {
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(range.len());
        let mut calls = Vec::with_capacity(range.len());
        for index in range.clone() {
            give_way().await;
            if self.clock.is_over() {
                let failure = self.clock.over();
                self.tally.count(Some(failure.kind));
                counter.one();
                outcomes.push(Some(Err(failure.into())));
                continue;
            }
            match self.resolve(target, frame, Some((index, &elements[index]))) {
                Ok(ready) => {
                    calls.push(Arc::new(ready));
                    outcomes.push(None);
                }
                Err(failure) => {
                    self.tally.count(Some(failure.kind));
                    counter.one();
                    outcomes.push(Some(Err(failure.into())));
                }
            }
        }
        let mut ended = self
            .sender
            .dispatch(target, frame, &calls, Some(counter))
            .await
            .into_iter();
        let outcomes: Vec<Outcome> = outcomes
            .into_iter()
            .filter_map(|outcome| outcome.or_else(|| ended.next()))
            .collect();
        counter.failed(outcomes.iter().filter(|outcome| outcome.is_err()).count() as u64);
        (range, outcomes)
    }

    fn summary(
        &self,
        target: &Target<'_>,
        frame: &Frame,
        outcomes: Vec<Outcome>,
        stops: bool,
    ) -> Result<Value, RunError> {
        let (mut sent, mut failed, mut uncertain) = (0_usize, 0_usize, 0_usize);
        let mut refused = 0;
        let mut wrongs = Wrongs::default();
        let mut results = Vec::with_capacity(outcomes.len());
        for (index, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(output) => {
                    sent += 1;
                    refused += self.note_refused(target, frame, &output);
                    results.push(output);
                }
                Err(wrong) => {
                    let is_uncertain = wrong.failure.kind == FailureKind::Uncertain;
                    *(if is_uncertain { &mut uncertain } else { &mut failed }) += 1;
                    results.push(wrong.output());
                    wrongs.add(index, wrong);
                }
            }
        }
        let total = results.len();
        let failure = wrongs.chief(stops).map(|(index, failure)| {
            let many = failed + uncertain;
            let message = format!(
                "{many} of {total} messages {} not confirmed as sent; item {}: {}",
                if many == 1 { "was" } else { "were" },
                index + 1,
                failure.message
            );
            Failure { message, ..failure }
        });
        let output = json!({
            "total": total,
            "sent": sent,
            "failed": failed,
            "uncertain": uncertain,
            "refusedRecipients": refused,
            "success": failure.is_none(),
            "failure": failure,
            "results": results,
        });
        match failure {
            None => Ok(output),
            Some(failure) if stops => Err(RunError::new(place(target.step), failure).with(output)),
            Some(failure) => {
                self.tally.tolerate(place(target.step), failure);
                Ok(output)
            }
        }
    }
}

/// Failures by their kind: how many, and the first of them.
#[derive(Default)]
struct Wrongs {
    kinds: BTreeMap<FailureKind, (usize, usize, Failure)>,
}

impl Wrongs {
    fn add(&mut self, index: usize, wrong: Failed) {
        let kind = wrong.failure.kind;
        let (count, ..) = self.kinds.entry(kind).or_insert((0, index, wrong.failure));
        *count += 1;
    }

    /// The failure that stands for all, with its element: the first, where it stopped the rest; else one that nobody
    /// can tell the outcome of, else the first of the most frequent kind.
    fn chief(mut self, stops: bool) -> Option<(usize, Failure)> {
        let uncertain = self.kinds.remove(&FailureKind::Uncertain);
        let others = self.kinds.into_values();
        let chief = if stops {
            others.chain(uncertain).min_by_key(|(_, index, _)| *index)
        } else {
            let most = others.max_by_key(|(count, index, _)| (*count, std::cmp::Reverse(*index)));
            uncertain.or(most)
        };
        chief.map(|(_, index, failure)| (index, failure))
    }
}
