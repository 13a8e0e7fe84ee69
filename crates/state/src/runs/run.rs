//! A run, and the rules of its states.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{AccountWait, TraceContext};
use crate::clock::{Moment, length};

/// How many times a run may end the process that performs it, before it is not tried again.
pub const DEATHS_MAX: u32 = 5;

/// A run's name: a UUID of version 7 (RFC 9562, section 5.7), so that the order of ids is the order of acceptance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(String);

impl RunId {
    /// Makes a new one.
    pub fn next() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }

    /// Reads one; returns `None` for a text that is none.
    pub fn parse(text: &str) -> Option<Self> {
        let id = uuid::Uuid::try_parse(text).ok()?;
        Some(Self(id.to_string()))
    }

    /// Returns it in the hyphenated form, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RunState {
    /// It waits for its time or for room.
    Queued,
    /// A server performs it.
    Running,
    /// It ended as it should.
    Done,
    /// It ended in a failure.
    Failed,
    /// It ended, and for at least one message nobody can tell whether it was sent.
    Uncertain,
    /// It was ended before it began.
    Cancelled,
}

impl RunState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Uncertain,
        Self::Cancelled,
    ];

    /// Returns the name that is written down and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Uncertain => "uncertain",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads a name that [`RunState::as_str`] returned.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Returns whether nothing more happens by itself.
    pub const fn is_end(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// What started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunOrigin {
    /// A request to the pipeline's `http` trigger.
    Http,
    /// A request to the pipeline's `rest` trigger.
    Rest,
    /// The pipeline's schedule.
    Schedule,
    /// An event.
    Event,
    /// A request to the API.
    Api,
    /// Another pipeline.
    Pipeline,
}

impl RunOrigin {
    /// Every origin.
    pub const ALL: [Self; 6] = [
        Self::Http,
        Self::Rest,
        Self::Schedule,
        Self::Event,
        Self::Api,
        Self::Pipeline,
    ];

    /// Returns the name that is written down and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Rest => "rest",
            Self::Schedule => "schedule",
            Self::Event => "event",
            Self::Api => "api",
            Self::Pipeline => "pipeline",
        }
    }

    /// Reads a name that [`RunOrigin::as_str`] returned.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.as_str() == name)
    }
}

/// A pipeline document with the files beside it, as it was when a run was accepted. The keys of messages are made of
/// places in the document, so a run goes on with the document with which it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedDocument {
    /// The digest of the text and the files.
    pub digest: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The document.
    pub text: String,
    /// The files that it names: a JSON object of relative names and texts.
    pub files: String,
}

/// An order for a run.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    /// The run's name.
    pub id: RunId,
    /// The document to perform.
    pub document: Arc<PinnedDocument>,
    /// The key under which the order is known: a second order with it is no second run. It is also the execution's key
    /// in the ledger.
    pub key: String,
    /// The digest of what was ordered. Under the same key it has to be the same.
    pub digest: String,
    /// What ordered it.
    pub origin: RunOrigin,
    /// The first step's message (JSON).
    pub message: String,
    /// The message as people may see it (JSON), if that is something else.
    pub shown: Option<String>,
    /// The values of `{{ global.name }}` that are this run's own (a JSON object), if any.
    pub globals: Option<String>,
    /// The trace in which it was ordered, if the order says one.
    pub trace: Option<TraceContext>,
    /// The moment before which it does not begin; none for now.
    pub due: Option<Moment>,
    /// How long after it is due a retry may still begin.
    pub expiration: Option<Duration>,
    /// How many times a failure that may pass is tried again.
    pub retries: u32,
    /// Whether the run may begin again after its process died.
    pub allow_redelivery: bool,
    /// Whether the order is dropped while another run of the pipeline waits.
    pub unless_waiting: bool,
    /// The most runs of the pipeline that may be under way at once, over all servers; none if each server has its own limit.
    /// Beyond it, the run waits.
    pub running_max: Option<usize>,
}

/// The reason why a run did not end as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFailure {
    /// The failure's kind.
    pub kind: String,
    /// The failure as it is reported (JSON).
    pub object: String,
}

/// The numbers of messages by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunCounts {
    /// The number of messages that were sent.
    pub sent: u64,
    /// The number of messages that were certainly not sent.
    pub failed: u64,
    /// The number of messages of which nobody can tell.
    pub uncertain: u64,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnd {
    /// The state: [`RunState::Done`], [`RunState::Failed`] or [`RunState::Uncertain`].
    pub state: RunState,
    /// The last message as people may see it (JSON), if there is one.
    pub output: Option<String>,
    /// The reason, if it did not end as it should.
    pub failure: Option<RunFailure>,
    /// The numbers of messages.
    pub counts: RunCounts,
}

/// The way in which a run waits again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueAgain {
    /// How long it waits at least.
    pub wait: Duration,
    /// The failure after which it is tried again; none if it was only interrupted, which costs none of its retries.
    pub failure: Option<RunFailure>,
    /// The numbers of messages so far.
    pub counts: RunCounts,
}

/// A run, as it is written down. Times are microseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The run's name.
    pub id: RunId,
    /// The pipeline's name.
    pub pipeline: String,
    /// The digest of the document to which it is pinned.
    pub document: String,
    /// The key under which the order is known, which is the execution's key in the ledger.
    pub key: String,
    /// The digest of what was ordered.
    pub digest: String,
    /// What ordered it.
    pub origin: RunOrigin,
    /// The first step's message (JSON). After the end it is as people may see it, and some time later it is forgotten.
    pub message: Option<String>,
    /// The message as people may see it (JSON), if that is something else.
    pub shown: Option<String>,
    /// The values of `{{ global.name }}` that are this run's own (a JSON object), if any.
    pub globals: Option<String>,
    /// The trace in which it was ordered, if the order said one: every attempt is a part of it.
    pub trace: Option<TraceContext>,
    /// What it is doing.
    pub state: RunState,
    /// The moment before which it does not begin.
    pub due: Moment,
    /// The moment after which it is not tried again.
    pub expires: Option<Moment>,
    /// How many more times a failure that may pass is tried again.
    pub retries: u32,
    /// The number of times that it began.
    pub attempt: u32,
    /// The number of times that its process died.
    pub deaths: u32,
    /// Whether it may begin again after its process died.
    pub allow_redelivery: bool,
    /// Whether it began before in a process that died.
    pub redelivery: bool,
    /// Who performs it.
    pub owner: Option<String>,
    /// Raised at each beginning.
    pub epoch: i64,
    /// The moment at which it was accepted.
    pub accepted: Moment,
    /// The moment at which it began last.
    pub begun: Option<Moment>,
    /// The moment at which it ended.
    pub ended: Option<Moment>,
    /// The last message as people may see it (JSON).
    pub output: Option<String>,
    /// The reason why it failed, or why it waits again.
    pub failure: Option<RunFailure>,
    /// The numbers of messages.
    pub counts: RunCounts,
}

/// A run under way: the right to write down its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The run as it began.
    pub run: Run,
}

impl Run {
    /// Makes the run that an order asks for. It waits.
    pub fn new(order: NewRun, now: Moment) -> Self {
        let due = order.due.unwrap_or(now);
        Self {
            id: order.id,
            pipeline: order.document.pipeline.clone(),
            document: order.document.digest.clone(),
            key: order.key,
            digest: order.digest,
            origin: order.origin,
            message: Some(order.message),
            shown: order.shown,
            globals: order.globals,
            trace: order.trace,
            state: RunState::Queued,
            due,
            expires: order.expiration.map(|time| due.max(now).saturating_add(length(time))),
            retries: order.retries,
            attempt: 0,
            deaths: 0,
            allow_redelivery: order.allow_redelivery,
            redelivery: false,
            owner: None,
            epoch: 0,
            accepted: now,
            begun: None,
            ended: None,
            output: None,
            failure: None,
            counts: RunCounts::default(),
        }
    }

    /// Returns whether this performer, and nobody after it, has the run.
    pub fn is_held_by(&self, lease: &Lease) -> bool {
        self.state == RunState::Running && self.epoch == lease.run.epoch && self.owner == lease.run.owner
    }

    /// Returns the message as people may see it.
    pub fn shown(&self) -> Option<&str> {
        self.shown.as_deref().or(self.message.as_deref())
    }

    /// Begins, for this performer.
    pub fn begin(&mut self, owner: &str, now: Moment) {
        self.state = RunState::Running;
        self.owner = Some(owner.to_owned());
        self.epoch += 1;
        self.attempt += 1;
        self.begun = Some(now);
        self.ended = None;
    }

    /// Ends.
    pub fn finish(&mut self, end: RunEnd, now: Moment) {
        self.output = end.output;
        self.failure = end.failure;
        self.counts = end.counts;
        self.end(end.state, now);
    }

    /// Waits again.
    pub fn queue_again(&mut self, again: QueueAgain, now: Moment) {
        self.state = RunState::Queued;
        self.owner = None;
        self.due = now.saturating_add(length(again.wait));
        self.counts = again.counts;
        if again.failure.is_some() {
            self.retries = self.retries.saturating_sub(1);
        }
        self.failure = again.failure;
    }

    /// Goes on after its process died: it waits again, or fails if the document forbids a second delivery, or if it
    /// has ended [`DEATHS_MAX`] processes. What it sent is in the ledger in any case.
    pub fn recover(&mut self, now: Moment) {
        self.owner = None;
        self.deaths += 1;
        self.redelivery = true;
        let failure = |kind: &str, message: &str, advice: &str| {
            let object = serde_json::json!({ "kind": kind, "message": message, "advice": advice });
            Some(RunFailure {
                kind: kind.to_owned(),
                object: object.to_string(),
            })
        };
        if self.deaths >= DEATHS_MAX {
            self.failure = failure(
                "limit",
                "The run ended its host five times, and is not tried again by itself.",
                "Find out what ends the process, then continue the run.",
            );
            self.end(RunState::Failed, now);
        } else if self.allow_redelivery {
            self.state = RunState::Queued;
            self.due = now;
        } else {
            self.failure = failure(
                "transient",
                "The process ended while it performed this run, and the document does not allow redelivery.",
                "Continue the run; what it sent is not sent again.",
            );
            self.end(RunState::Failed, now);
        }
    }

    /// Brings the times of a run that waits back to a clock that was set back since they were written, so that it does not
    /// wait until the old time comes again. Returns whether that was so.
    pub fn follow_clock(&mut self, now: Moment) -> bool {
        let written = self.begun.map_or(self.accepted, |begun| begun.max(self.accepted));
        let ahead = written.saturating_sub(now);
        if self.state != RunState::Queued || ahead <= 0 {
            return false;
        }
        self.due = self.due.saturating_sub(ahead);
        self.expires = self.expires.map(|expires| expires.saturating_sub(ahead));
        self.accepted = self.accepted.min(now);
        self.begun = self.begun.map(|begun| begun.min(now));
        true
    }

    /// Ends without a beginning. Returns whether it waited.
    pub fn cancel(&mut self, failure: Option<RunFailure>, now: Moment) -> bool {
        if self.state != RunState::Queued {
            return false;
        }
        self.failure = failure;
        self.end(RunState::Cancelled, now);
        true
    }

    /// Waits for its time no more. Returns whether it did.
    pub fn hasten(&mut self, now: Moment) -> bool {
        let waits = self.state == RunState::Queued && self.due > now;
        if waits {
            self.due = now;
        }
        waits
    }

    /// Waits no more for this of an account. The attempt that found it so did not count. Returns whether it waited for it.
    pub fn account_goes_on(&mut self, label: &str, wait: AccountWait, now: Moment) -> bool {
        let failure = self.failure.as_ref();
        let object = failure.and_then(|failure| serde_json::from_str::<serde_json::Value>(&failure.object).ok());
        let remedy = object.as_ref().map(|object| &object["remedy"]);
        let waits = remedy.is_some_and(|remedy| remedy["kind"] == wait.remedy() && remedy["account"] == label);
        if !waits || !self.hasten(now) {
            return false;
        }
        self.retries = self.retries.saturating_add(1);
        true
    }

    /// Waits again after it failed or was cancelled, or after somebody settled its uncertain messages. Returns whether it can:
    /// its message must still be there.
    pub fn resume(&mut self, now: Moment) -> bool {
        let is_over = matches!(self.state, RunState::Failed | RunState::Cancelled | RunState::Uncertain);
        if !is_over || self.message.is_none() {
            return false;
        }
        self.state = RunState::Queued;
        self.due = now;
        self.expires = None;
        self.deaths = 0;
        self.ended = None;
        self.failure = None;
        self.output = None;
        true
    }

    /// What nobody performs again need not be kept whole.
    fn end(&mut self, state: RunState, now: Moment) {
        self.state = state;
        self.owner = None;
        self.ended = Some(now);
        if state == RunState::Done
            && let Some(shown) = self.shown.take()
        {
            self.message = Some(shown);
        }
    }

    /// Forgets its message and output.
    pub fn forget_payloads(&mut self) {
        (self.message, self.shown, self.globals, self.output) = (None, None, None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Moment = 3_600_000_000;

    fn waiting(due: Option<Moment>, now: Moment) -> Run {
        let document = PinnedDocument {
            digest: String::new(),
            pipeline: "mail".to_owned(),
            text: String::new(),
            files: String::new(),
        };
        let order = NewRun {
            id: RunId::next(),
            document: Arc::new(document),
            key: String::new(),
            digest: String::new(),
            origin: RunOrigin::Api,
            message: String::new(),
            shown: None,
            globals: None,
            trace: None,
            due,
            expiration: Some(Duration::from_secs(3600)),
            retries: 1,
            allow_redelivery: true,
            unless_waiting: false,
            running_max: None,
        };
        Run::new(order, now)
    }

    #[test]
    fn a_run_that_waits_follows_a_clock_that_was_set_back() {
        // Accepted at 10, to begin at once; then it is 8 again.
        let mut run = waiting(None, 10 * HOUR);
        assert!(!run.follow_clock(10 * HOUR), "the clock went on");
        assert!(run.follow_clock(8 * HOUR));
        assert_eq!(
            (run.accepted, run.due, run.expires),
            (8 * HOUR, 8 * HOUR, Some(9 * HOUR))
        );
        assert!(!run.follow_clock(8 * HOUR), "once");
        // It was to wait for an hour, and does.
        let mut run = waiting(Some(11 * HOUR), 10 * HOUR);
        assert!(run.follow_clock(8 * HOUR));
        assert_eq!((run.due, run.expires), (9 * HOUR, Some(10 * HOUR)));
        // It waits for its second attempt.
        let mut run = waiting(None, 7 * HOUR);
        run.begin("us", 10 * HOUR);
        run.queue_again(
            QueueAgain {
                wait: Duration::from_secs(60),
                failure: None,
                counts: RunCounts::default(),
            },
            10 * HOUR,
        );
        assert!(run.follow_clock(8 * HOUR));
        assert_eq!((run.accepted, run.due - 8 * HOUR), (7 * HOUR, 60_000_000));
        run.begin("us", 8 * HOUR);
        assert!(!run.follow_clock(HOUR), "it does not wait");
    }
}
