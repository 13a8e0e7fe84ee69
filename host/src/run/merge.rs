//! Mail merge: one call for each element, handed over in large batches over several connections.
//!
//! Elements are taken and messages are made one batch at a time, so that the memory does not grow with the list. With
//! `failOnError` they are sent one by one, because no message may follow one that fails.

mod lanes;
mod message_rows;
mod quotes;
mod reader;
mod results;
mod rows;
mod text;

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use pipepost_accounts::Account;
use pipepost_core::{Failure, FailureKind};
use pipepost_double_braces::Context;
use pipepost_flowspec::{GroupBy, Items, MergeItems, RowsFile};
use pipepost_net::Connections;
use serde_json::Value;

use self::lanes::Lanes;
pub(crate) use self::message_rows::MessageRows;
use self::results::{RESULTS_MAX, Results, Source};
use self::rows::{Chunk, Cursor, Elements, FileRows};
use super::RunError;
use super::calls::{Outcome, PreparedCall, Target};
use super::clock::give_way;
use super::execute::{Execution, place};
use super::groups::Groups;
use super::observe::Counter;
use super::scopes::Frame;

/// Most calls of one batch.
const BATCH_CALLS_MAX: usize = 256;

/// A batch is not made smaller than this to use more connections: each costs a sign-in.
const BATCH_CALLS_MIN: usize = 64;

/// A batch takes no further element once its elements, or the parameters of its calls, have so much, in octets.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Where many connections are used, batches are made smaller so that all of them have about so much together, in octets.
const IN_FLIGHT_BYTES: usize = 16 << 20;

/// And not smaller than this, in octets.
const BATCH_BYTES_MIN: usize = 64 * 1024;

/// How many elements are grouped before others have their turn.
const ELEMENTS_AT_ONCE: usize = 256;

/// One batch under way.
type Sending<'s> = Pin<Box<dyn Future<Output = (Chunk<'s>, Vec<Outcome>)> + Send + 's>>;

/// Why no further message begins.
enum Stopped {
    /// An earlier one failed, and failures end the run.
    ByFailure,
    /// The time is over, or somebody ends the run.
    ByRun,
    /// What the merge needs besides the connector is gone.
    Broken(Failure),
}

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
        let opened = self
            .merge_elements(items, &scopes)
            .and_then(|elements| Ok((self.merge_results(target, frame, &scopes, &elements)?, elements)));
        let (mut results, mut elements) = match opened {
            Ok(opened) => opened,
            Err(failure) => {
                return self
                    .at(target.step, frame)
                    .end_in(stops, RunError::new(place(target.step), failure));
            }
        };
        let mut keys = None;
        if let Some(group_by) = &items.group_by {
            match self.grouped(target, frame, group_by, &elements).await {
                Ok(groups) => {
                    let (found, groups) = groups.into_parts();
                    keys = Some(found);
                    elements = Elements::List(groups.into());
                }
                Err(error) if self.clock.is_over() => return Err(error),
                Err(error) => return self.at(target.step, frame).end_in(stops, error),
            }
        }
        let target = &Target {
            groups: keys.as_deref(),
            ..*target
        };
        let read = match &elements {
            Elements::List(_) => None,
            Elements::File(rows) => rows.progress(),
        };
        let counter = self.counter_of_rows(target.step, read);
        let mut cursor = elements.cursor();
        let stopped = self
            .work_through(target, frame, &mut cursor, &mut results, &counter, stops)
            .await;
        match &stopped {
            None | Some(Stopped::Broken(_)) => {}
            Some(stopped) => {
                self.leave_out(target, frame, stopped, &mut cursor, &mut results, &counter)
                    .await
            }
        }
        let broken = match stopped {
            Some(Stopped::Broken(failure)) => Some(failure),
            Some(_) if cursor.is_endless() => {
                let message = "What followed on standard input was not read.";
                Some(Failure::new(FailureKind::Limit, message))
            }
            _ => cursor.trouble().map(|reason| {
                let message = format!("The parameter `{}`: {reason}.", items.parameter);
                Failure::new(FailureKind::Invalid, message)
            }),
        };
        let flushed = results.flush().map_err(|error| unwritable(&error)).err();
        let summary = results.summary(stops, broken.or(flushed));
        if let Some(results) = summary.apart {
            *self.results.lock().unwrap_or_else(PoisonError::into_inner) = Some(results);
        }
        match summary.failure {
            None => Ok(summary.output),
            Some(failure) if stops => Err(RunError::new(place(target.step), failure).with(summary.output)),
            Some(failure) => {
                self.tally.tolerate(place(target.step), failure);
                Ok(summary.output)
            }
        }
    }

    /// The elements: a list, or a file that is opened.
    fn merge_elements<'i>(&self, items: &'i MergeItems, scopes: &'i dyn Context) -> Result<Elements<'i>, Failure> {
        let stayed = self.message_rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        let found = match stayed.map(FileRows::of_message) {
            Some(rows) => rows.map(Elements::File),
            None => self.evaluated(items, scopes),
        };
        found.map_err(|reason| {
            let message = format!("The parameter `{}`: {reason}.", items.parameter);
            Failure::new(FailureKind::Invalid, message)
        })
    }

    fn evaluated<'i>(&self, items: &'i MergeItems, scopes: &'i dyn Context) -> Result<Elements<'i>, String> {
        match items.evaluate(scopes) {
            Ok(Items::List(elements)) => Ok(Elements::List(elements)),
            Ok(Items::File(file)) => {
                let is_input = file.name == RowsFile::STANDARD_INPUT && self.has_input;
                if is_input && self.input_was_read.swap(true, Ordering::Relaxed) {
                    return Err("the rows of standard input were read by a merge before".to_owned());
                }
                FileRows::open(&file, &self.files, self.has_input).map(Elements::File)
            }
            Err(reason) => Err(reason),
        }
    }

    /// Groups the elements by what the expression gives for each.
    async fn grouped(
        &self,
        target: &Target<'_>,
        frame: &Frame,
        group_by: &GroupBy,
        elements: &Elements<'_>,
    ) -> Result<Groups, RunError> {
        let invalid = |reason: String| {
            let message = format!("The parameter `{}`{reason}.", group_by.parameter);
            RunError::new(place(target.step), Failure::new(FailureKind::Invalid, message))
        };
        let Elements::List(elements) = elements else {
            return Err(invalid(
                ": the rows of a file are sent as they are read, and not grouped".to_owned(),
            ));
        };
        let mut groups = Groups::default();
        for (index, element) in elements.iter().enumerate() {
            if index % ELEMENTS_AT_ONCE == 0 {
                give_way().await;
                if self.clock.is_over() {
                    return Err(RunError::new(place(target.step), self.clock.over()));
                }
            }
            let scopes = self
                .at(target.step, frame)
                .see(target.connector.account_label.as_deref(), Some(element));
            let value = group_by.expression.evaluate(&scopes);
            let value = value.map_err(|error| invalid(format!(", item {}: {error}", index + 1)))?;
            groups.add(value, element);
        }
        Ok(groups)
    }

    /// Where the results go.
    fn merge_results(
        &self,
        target: &Target<'_>,
        frame: &Frame,
        scopes: &dyn Context,
        elements: &Elements<'_>,
    ) -> Result<Results, Failure> {
        let Some((parameter, template)) = &target.connector.results else {
            if self.results_apart && frame.ends_run {
                return Ok(Results::apart());
            }
            return match elements {
                Elements::List(elements) if elements.len() > RESULTS_MAX => Err(too_many()),
                _ => Ok(Results::in_output()),
            };
        };
        let described = template.evaluate(scopes).map_err(|error| {
            let message = format!("The parameter `{parameter}{}`: {}.", error.pointer, error.error);
            Failure::new(FailureKind::Invalid, message)
        })?;
        let source = match elements {
            Elements::List(_) => Source {
                delimiter: b',',
                ..Source::default()
            },
            Elements::File(rows) => Source {
                name: rows.name.as_deref(),
                columns: Arc::clone(&rows.columns),
                delimiter: rows.delimiter,
                is_csv: rows.is_csv,
                encoding: rows.encoding,
            },
        };
        Results::in_files(parameter, &described, &self.files, source)
    }

    /// Sends until the elements end, or something ends it before.
    async fn work_through<'s>(
        &'s self,
        target: &'s Target<'s>,
        frame: &'s Frame,
        cursor: &mut Cursor<'s>,
        results: &mut Results,
        counter: &'s Arc<Counter>,
        stops: bool,
    ) -> Option<Stopped> {
        let total = tokio::select! {
            total = cursor.total(Lanes::usual(target.account) * BATCH_CALLS_MAX) => total,
            () = self.clock.token().requested() => None,
        };
        let connections = &self.sender.host.connections;
        let mut lanes = match stops {
            true => Lanes::one(),
            false => Lanes::begin(target.account, connections, total),
        };
        let mut taken = 0;
        let lets_go = !results.needs_elements();
        let mut stopped = self.clock.is_over().then_some(Stopped::ByRun);
        let mut is_over = false;
        let mut sending: FuturesUnordered<Sending<'s>> = FuturesUnordered::new();
        loop {
            if lanes.is_unknown() && taken > 0 && sending.is_empty() {
                lanes = lanes.settled();
            }
            let finds_out = lanes.is_unknown() && taken > 0;
            let takes = sending.len() < lanes.ahead() && !is_over && stopped.is_none() && !finds_out;
            if !takes && sending.is_empty() {
                return stopped;
            }
            // Who waits for rows hears of batches that end, and of the run's end.
            let chunk = tokio::select! {
                biased;
                Some(ended) = sending.next() => {
                    stopped = self.take_batch(target, frame, results, ended, stops).or(stopped);
                    continue;
                }
                known = round_trip(connections, target.account), if finds_out => {
                    lanes = match target.account {
                        Some(account) => lanes.at(known, account, connections),
                        None => lanes.settled(),
                    };
                    let total = cursor.total(lanes.ahead() * BATCH_CALLS_MAX).await;
                    lanes = lanes.sharing(total.map(|total| total.saturating_sub(taken)), 1);
                    continue;
                }
                chunk = cursor.next(lanes.size, lanes.bytes()), if takes => chunk,
                () = self.clock.token().requested(), if takes => {
                    stopped = Some(Stopped::ByRun);
                    continue;
                }
            };
            let Some(chunk) = chunk else {
                is_over = true;
                continue;
            };
            taken = chunk.range().end;
            if let Some(total) = cursor.total(0).await {
                counter.set_total(total);
            }
            if self.clock.is_over() {
                stopped = Some(Stopped::ByRun);
            } else if results.are_held() && chunk.range().end > RESULTS_MAX {
                stopped = Some(Stopped::Broken(too_many()));
            }
            match &stopped {
                None => {
                    let way = Way {
                        lanes: lanes.used,
                        bytes: lanes.bytes(),
                        lets_go,
                    };
                    sending.push(Box::pin(self.part(target, way, frame, chunk, counter)));
                }
                Some(stopped) => {
                    self.leave_chunk(target, frame, stopped, &chunk, results, counter).await;
                }
            }
        }
    }

    /// Takes what became of a batch.
    fn take_batch(
        &self,
        target: &Target<'_>,
        frame: &Frame,
        results: &mut Results,
        (chunk, ended): (Chunk<'_>, Vec<Outcome>),
        stops: bool,
    ) -> Option<Stopped> {
        let has_failed = ended.iter().any(Result::is_err);
        let mut written = Ok(());
        for (index, outcome) in chunk.range().zip(ended) {
            if let Ok(output) = &outcome {
                results.refused += self.note_refused(target, frame, output);
            }
            let added = results.add(index, chunk.element(index), outcome);
            written = written.and(added);
        }
        match written.and_then(|()| results.flush()) {
            Err(error) => Some(Stopped::Broken(unwritable(&error))),
            Ok(()) => (stops && has_failed).then_some(Stopped::ByFailure),
        }
    }

    /// Counts the elements that nothing was begun for, to the last one, so that none is missing in the results.
    async fn leave_out(
        &self,
        target: &Target<'_>,
        frame: &Frame,
        stopped: &Stopped,
        cursor: &mut Cursor<'_>,
        results: &mut Results,
        counter: &Arc<Counter>,
    ) {
        loop {
            // Whoever feeds standard input may never end.
            let chunk = match cursor.is_endless() {
                true => cursor.rest(BATCH_CALLS_MAX, BATCH_BYTES_MAX),
                false => cursor.next(BATCH_CALLS_MAX, BATCH_BYTES_MAX).await,
            };
            let Some(chunk) = chunk else { return };
            give_way().await;
            self.leave_chunk(target, frame, stopped, &chunk, results, counter).await;
        }
    }

    /// Nothing is begun for these elements. What an earlier run made of their messages is in the ledger, and stands.
    async fn leave_chunk(
        &self,
        target: &Target<'_>,
        frame: &Frame,
        stopped: &Stopped,
        chunk: &Chunk<'_>,
        results: &mut Results,
        counter: &Arc<Counter>,
    ) {
        let failure = match stopped {
            Stopped::ByFailure => Failure::new(
                FailureKind::Limit,
                "An earlier message failed, and `failOnError` stops the rest.",
            ),
            Stopped::ByRun => self.clock.over(),
            Stopped::Broken(failure) => failure.clone(),
        };
        let mut made = Made::default();
        for index in chunk.range() {
            match chunk.element(index) {
                Some(Ok(element)) if self.sender.is_kept => match self.resolve(target, frame, Some((index, element))) {
                    Ok(call) => made.add(call),
                    Err(_) => made.places.push(Some(self.sender.given_up(target, &failure))),
                },
                _ => made.places.push(Some(self.sender.given_up(target, &failure))),
            }
        }
        let ended = self.sender.left(target, &made.calls, &failure).await;
        self.let_go(frame, &made);
        for (index, outcome) in chunk.range().zip(made.with(ended)) {
            counter.one();
            // A file that cannot be written was told of when it broke, or will be when it is flushed.
            let _ = results.add(index, chunk.element(index), outcome);
        }
    }

    /// Makes the messages of some elements, and hands them over: together, unless they are long.
    async fn part<'c>(
        &self,
        target: &Target<'_>,
        way: Way,
        frame: &Frame,
        mut chunk: Chunk<'c>,
        counter: &Arc<Counter>,
    ) -> (Chunk<'c>, Vec<Outcome>) {
        let target = &Target {
            lanes: way.lanes,
            ..*target
        };
        let range = chunk.range();
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(range.len());
        let mut made = Made::default();
        for index in range {
            give_way().await;
            match self.message_of(target, frame, &chunk, index) {
                Ok(ready) => made.add(ready),
                Err(failure) => {
                    self.sender.count(target, Some(failure.kind));
                    counter.one();
                    made.places.push(Some(Err(failure.into())));
                }
            }
            if made.bytes >= way.bytes {
                outcomes.extend(self.hand_over(target, frame, std::mem::take(&mut made), counter).await);
            }
        }
        if way.lets_go {
            chunk.let_go();
        }
        outcomes.extend(self.hand_over(target, frame, made, counter).await);
        counter.failed(outcomes.iter().filter(|outcome| outcome.is_err()).count() as u64);
        (chunk, outcomes)
    }

    /// Makes the message of an element.
    fn message_of(
        &self,
        target: &Target<'_>,
        frame: &Frame,
        chunk: &Chunk<'_>,
        index: usize,
    ) -> Result<PreparedCall, Failure> {
        // What was sent before is known by its content.
        if self.clock.is_over() && !self.sender.is_kept {
            return Err(self.clock.over());
        }
        match chunk.element(index) {
            Some(Ok(element)) => self.resolve(target, frame, Some((index, element))),
            Some(Err(bad)) => {
                let message = format!("The row cannot be read: {}.", bad.reason);
                Err(Failure::new(FailureKind::Invalid, message))
            }
            None => Err(Failure::new(FailureKind::Invalid, "The row is not there any more.")),
        }
    }

    /// Hands messages over together. Returns an outcome for each place.
    async fn hand_over(
        &self,
        target: &Target<'_>,
        frame: &Frame,
        made: Made,
        counter: &Arc<Counter>,
    ) -> impl Iterator<Item = Outcome> + use<> {
        let ended = if made.calls.is_empty() {
            Vec::new()
        } else {
            self.sender.dispatch(target, frame, &made.calls, Some(counter)).await
        };
        self.let_go(frame, &made);
        made.with(ended)
    }

    /// Takes messages out of the ledger's memory, unless the run comes back to them.
    fn let_go(&self, frame: &Frame, made: &Made) {
        if !frame.repeats {
            let keys: Vec<String> = made.calls.iter().map(|call| call.key.clone()).collect();
            self.sender.ledger.let_go(&keys);
        }
    }
}

/// How batches are sent.
#[derive(Clone, Copy)]
struct Way {
    /// How many of them side by side.
    lanes: usize,
    /// How much one has at most, in octets.
    bytes: usize,
    /// Its elements are not needed any more once its messages are made.
    lets_go: bool,
}

/// Messages that were made, and not handed over yet.
#[derive(Default)]
struct Made {
    calls: Vec<Arc<PreparedCall>>,
    /// One for each element: why it made no message; none for one that did.
    places: Vec<Option<Outcome>>,
    /// How long the parameters of the calls are together, in octets.
    bytes: usize,
}

impl Made {
    fn add(&mut self, call: PreparedCall) {
        self.bytes += call.parameters_len();
        self.calls.push(Arc::new(call));
        self.places.push(None);
    }

    /// Every element's outcome, where the calls ended so.
    fn with(self, ended: Vec<Outcome>) -> impl Iterator<Item = Outcome> {
        let mut ended = ended.into_iter();
        let places = self.places.into_iter();
        places.filter_map(move |outcome| outcome.or_else(|| ended.next()))
    }
}

/// Waits until it is known how far the account's server is.
async fn round_trip(connections: &Connections, account: Option<&Arc<Account>>) -> Duration {
    match account {
        Some(account) => connections.round_trip_known(account).await,
        None => std::future::pending().await,
    }
}

/// An output cannot hold the results of so many messages.
fn too_many() -> Failure {
    let message = format!("An output holds the results of at most {RESULTS_MAX} messages.");
    Failure::new(FailureKind::Limit, message)
        .advise("Send the results to a file: `\"results\": {\"file\": \"results.ndjson\"}`.")
}

fn unwritable(error: &std::io::Error) -> Failure {
    let message = format!("The results cannot be written ({error}), so nothing further was sent.");
    Failure::new(FailureKind::Configuration, message)
}
