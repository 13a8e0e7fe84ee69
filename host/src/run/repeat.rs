//! The loop: a track for each element of an array, one after the other or ten at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use pipepost_double_braces::to_text;
use pipepost_flowspec::{Elements, ForEach, Step};
use serde_json::{Value, json};

use super::RunError;
use super::batch_coalescer::BatchCoalescer;
use super::clock::give_way;
use super::execute::{Execution, Running, place, succeeded, without_value};
use super::observe::Counter;
use super::scopes::Frame;

/// Iterations of a parallel loop at once.
const ITERATIONS_AT_ONCE_MAX: usize = 10;

/// How the iterations went so far.
#[derive(Default)]
struct Tally {
    success: usize,
    failed: usize,
    /// Nothing begins any more; the error is the loop's own where there is one.
    stopped: Option<Result<(), RunError>>,
}

/// How one iteration went.
enum Iterated {
    /// By its last step's word.
    Ended(bool),
    /// An error that nothing was there for: it ends the loop.
    Unhandled(RunError),
    /// An error where errors were to be handled: it ends the loop and goes up.
    Broken(RunError),
}

impl Execution<'_> {
    pub(super) async fn for_each(&self, step: &Step, each: &ForEach, frame: &mut Frame) -> Result<Value, RunError> {
        let elements = match self.elements(step, each, frame) {
            Ok(elements) => elements,
            Err(error) => return self.at(step, frame).end_in(each.fail_on_error, error),
        };
        let total = elements.len();
        let counter = self.counter(step, total);
        let mut inner = frame.clone();
        inner.refused = Arc::default();
        let tally = if each.parallel {
            self.side_by_side(step, each, &inner, elements, &counter).await
        } else {
            self.one_by_one(step, each, &mut inner, elements, &counter).await
        };
        frame.steps = Arc::clone(&inner.steps);
        frame.session = Arc::clone(&inner.session);
        match tally.stopped {
            Some(Err(error)) => Err(error),
            _ => {
                let mut output = json!({ "total": total, "success": tally.success, "failed": tally.failed });
                let refused = inner.refused.load(Ordering::Relaxed);
                if refused > 0 {
                    frame.refused.fetch_add(refused, Ordering::Relaxed);
                    output["refusedRecipients"] = refused.into();
                }
                Ok(output)
            }
        }
    }

    /// What the loop goes over; nothing where there is no array.
    fn elements(&self, step: &Step, each: &ForEach, frame: &Frame) -> Result<Vec<Value>, RunError> {
        let value = match &each.elements {
            Elements::Expression(template) => {
                let value = template.evaluate(&self.at(step, frame).see(None, None));
                value.map_err(|error| without_value(step, "expression", &error))?
            }
            Elements::JsonPath(path) => {
                let found = path.find(&frame.message);
                found
                    .map_err(|error| without_value(step, "jsonPath", &error))?
                    .into_value()
            }
        };
        Ok(match value {
            Value::Array(elements) => elements,
            Value::String(text) => serde_json::from_str(&text).unwrap_or_default(),
            _ => Vec::new(),
        })
    }

    async fn one_by_one(
        &self,
        step: &Step,
        each: &ForEach,
        frame: &mut Frame,
        elements: Vec<Value>,
        counter: &Counter,
    ) -> Tally {
        let mut tally = Tally::default();
        let total = elements.len();
        for (index, element) in elements.into_iter().enumerate() {
            let identity = identity(each, index, &element);
            let mut inner = frame.iteration(element);
            inner.count(step, index, total);
            let iterated = self.iteration(step, each, &frame.key(step), index, &mut inner).await;
            frame.steps = inner.steps;
            frame.session = inner.session;
            self.take(step, &mut tally, &identity, total, iterated, counter);
            if tally.stopped.is_some() {
                break;
            }
        }
        tally
    }

    async fn side_by_side(
        &self,
        step: &Step,
        each: &ForEach,
        frame: &Frame,
        elements: Vec<Value>,
        counter: &Counter,
    ) -> Tally {
        let mut tally = Tally::default();
        let total = elements.len();
        let coalescer = Arc::new(BatchCoalescer::default());
        let path = frame.key(step);
        let mut waiting = elements.into_iter().enumerate();
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < ITERATIONS_AT_ONCE_MAX
                && tally.stopped.is_none()
                && let Some((index, element)) = waiting.next()
            {
                let identity = identity(each, index, &element);
                let mut inner = frame.iteration(element);
                inner.count(step, index, total);
                inner.coalescer = Some(Arc::clone(&coalescer));
                coalescer.enter();
                let (path, coalescer) = (&path, &coalescer);
                let iteration = async move {
                    let iterated = self.iteration(step, each, path, index, &mut inner).await;
                    coalescer.leave();
                    (identity, iterated)
                };
                running.push(Box::pin(iteration));
            }
            let Some((identity, iterated)) = running.next().await else {
                return tally;
            };
            self.take(step, &mut tally, &identity, total, iterated, counter);
        }
    }

    async fn iteration(&self, step: &Step, each: &ForEach, path: &str, index: usize, inner: &mut Frame) -> Iterated {
        inner.path = format!("{path}/{index}");
        give_way().await;
        if self.clock.is_over() {
            return Iterated::Broken(RunError::new(place(step), self.clock.over()));
        }
        let _track = match self.clock.track() {
            Ok(track) => track,
            Err(failure) => return Iterated::Broken(RunError::new(place(step), failure)),
        };
        let process: Running<'_> = self.branch(each.tracks.on_process, inner);
        let error = match process.await {
            Ok(()) => return Iterated::Ended(succeeded(&inner.message)),
            Err(error) if self.clock.is_over() => return Iterated::Broken(error),
            Err(error) => error,
        };
        let Some(on_exception) = each.tracks.on_exception else {
            return Iterated::Unhandled(error);
        };
        tracing::debug!(%error, index, "goes to onException");
        inner.message = Arc::new(error.object);
        inner.path = format!("{path}/{index}-exception");
        match self.branch(on_exception, inner).await {
            Ok(()) => Iterated::Ended(succeeded(&inner.message)),
            Err(error) => Iterated::Broken(error),
        }
    }

    fn take(
        &self,
        step: &Step,
        tally: &mut Tally,
        identity: &str,
        total: usize,
        iterated: Iterated,
        counter: &Counter,
    ) {
        match iterated {
            Iterated::Ended(true) => tally.success += 1,
            Iterated::Ended(false) => {
                tally.failed += 1;
                counter.failed(1);
            }
            Iterated::Unhandled(error) => {
                tally.failed += 1;
                counter.failed(1);
                let mut failure = error.tolerated();
                failure.message = format!("The loop stopped at {identity} of {total}: {error}");
                failure.advice = Some("An onException branch would let it go on.".to_owned());
                self.tally.tolerate(place(step), failure);
                tally.stopped.get_or_insert(Ok(()));
            }
            Iterated::Broken(error) => {
                tally.failed += 1;
                counter.failed(1);
                if !matches!(tally.stopped, Some(Err(_))) {
                    tally.stopped = Some(Err(error));
                }
            }
        }
        counter.one();
    }
}

/// What tells an element from the others, for people.
fn identity(each: &ForEach, index: usize, element: &Value) -> String {
    let name = each.item_identifier.as_ref();
    let value = name.and_then(|name| Some((name, element.get(name)?)));
    match value {
        Some((name, value)) => format!("item {} ({name} {})", index + 1, to_text(value)),
        None => format!("item {}", index + 1),
    }
}
