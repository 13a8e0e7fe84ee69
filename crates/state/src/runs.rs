//! The record of runs: what was accepted, what is under way, and how everything ended.
//!
//! A run is written down before anything of it is answered or begun, with the document that it is pinned to. A server
//! then takes it, performs it under the run's key in the ledger, and writes down its end. What a server that died had
//! under way is found by the next one: see [`Run::recover`].
//!
//! The order of calls: [`RunStore::serve`] and [`RunStore::recover`] once for each server; then [`RunStore::accept`]
//! for each order, [`RunStore::take`] for what is due, and for each [`Lease`] either [`RunStore::finish`] or
//! [`RunStore::queue_again`]. Whoever only looks or decides (a console, a command line) needs none of that.
//!
//! The rules of a run's states are written once, as methods of [`Run`]; a store reads a run, applies one of them, and
//! writes it back, all in one transaction.

mod memory;
mod run;
mod trace;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use memory::MemoryRuns;
pub use run::{
    DEATHS_MAX, Lease, NewRun, PinnedDocument, QueueAgain, Run, RunCounts, RunEnd, RunFailure, RunId, RunOrigin,
    RunState,
};
pub use trace::TraceContext;

use crate::Answer;
use crate::clock::Moment;
use crate::error::StateError;

/// The answer to an order.
#[derive(Debug, Clone, PartialEq)]
pub enum Accepted {
    /// A new run was written down, and waits.
    Queued(Run),
    /// A new run was written down, and is the caller's to perform.
    Begun(Lease),
    /// A run with this key and this content was written down before.
    Known(Run),
    /// A run with this key was written down before, with other content.
    OtherContent(RunId),
    /// Another run of the pipeline waits already, and the order allows no second one: nothing was written down.
    Skipped,
}

/// What a server has room for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Room {
    /// The number of runs in all.
    pub runs: usize,
    /// The number of runs of these pipelines.
    pub by_pipeline: BTreeMap<String, usize>,
    /// The number of runs of each other pipeline.
    pub others: usize,
    /// The most runs of these pipelines that may be under way at once, over all servers.
    pub shared: BTreeMap<String, usize>,
}

impl Room {
    /// Returns the number of runs of this pipeline that may begin.
    pub fn of(&self, pipeline: &str) -> usize {
        self.by_pipeline
            .get(pipeline)
            .copied()
            .unwrap_or(self.others)
            .min(self.runs)
    }

    /// Returns the same, where so many of its runs are under way over all servers.
    pub fn of_shared(&self, pipeline: &str, running: usize) -> usize {
        let left = self.shared.get(pipeline).map(|most| most.saturating_sub(running));
        self.of(pipeline).min(left.unwrap_or(usize::MAX))
    }
}

/// Which runs to list: all that meet every condition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunFilter {
    /// Only runs of this pipeline.
    pub pipeline: Option<String>,
    /// Only runs in this state.
    pub state: Option<RunState>,
    /// Only runs whose failure has this kind.
    pub kind: Option<String>,
    /// Only runs that were accepted at this moment or later.
    pub since: Option<Moment>,
    /// Only runs that were accepted before this moment.
    pub until: Option<Moment>,
    /// Only runs that have this text in their key, or in their message as it is shown.
    pub text: Option<String>,
    /// Only runs that were accepted before this one: the last one of the page before.
    pub after: Option<RunId>,
    /// The most runs to return.
    pub limit: usize,
}

/// How full the queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueLength {
    /// The number of runs that wait, due or not.
    pub queued: u64,
    /// The number of runs under way.
    pub running: u64,
    /// The earliest moment at which a waiting run of a pipeline that is not paused is due.
    pub next_due: Option<Moment>,
    /// The moment of the look, by the store's clock.
    pub now: Moment,
}

/// What a run waits for that waits for an account. Its failure names what helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountWait {
    /// The end of a pause.
    Pause,
    /// Room in the limit that the account states for itself.
    Limit,
}

impl AccountWait {
    /// Returns the kind of the remedy in the failure of a run that waits for this.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Pause => "resume-account",
            Self::Limit => "raise-account-limit",
        }
    }
}

/// The result of a decision about a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Decided {
    /// It was done. The run as it is now.
    Done(Run),
    /// The run is in a state in which it cannot be done.
    NotNow(Run),
    /// There is no such run.
    Unknown,
}

/// What is known of a pipeline's schedule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScheduleEntry {
    /// The pipeline's name.
    pub pipeline: String,
    /// The time for which it fired last, or was seen first.
    pub last: Option<Moment>,
    /// Whether nothing of the pipeline begins.
    pub paused: bool,
    /// The number of times that passed while nothing ran.
    pub missed: u64,
    /// The number of times at which an earlier run still waited.
    pub skipped: u64,
}

/// What to remember of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleNote {
    /// The time for which it fired, or that it has passed. Never set back.
    pub last: Moment,
    /// The number of times that passed while nothing ran, to add.
    pub missed: u64,
    /// The number of times at which an earlier run still waited, to add.
    pub skipped: u64,
}

/// A record of runs, shared by all that hold it.
///
/// What an implementation has to guarantee:
///
/// - Whatever is answered outlives a crash and a power cut.
/// - Each method is one step: it happens as a whole, or not at all.
/// - A run has one performer at a time. Each beginning raises the run's epoch, and an end is accepted only from the
///   performer with that epoch.
/// - The store's own clock decides what is due.
///
/// Every answer fails when the state cannot be used.
pub trait RunStore: Send + Sync + fmt::Debug {
    /// Begins to serve the runs of this state, until the store is dropped or its process ends.
    ///
    /// The answer fails with [`StateError::Served`] if this kind of state has one server at a time, and has one.
    fn serve(&self) -> Answer<'_, Result<(), StateError>>;

    /// Writes down a run, unless its key is known. With `begin` it is under way at once, for the caller to perform, unless
    /// its pipeline pauses.
    fn accept(&self, run: NewRun, begin: bool) -> Answer<'_, Result<Accepted, StateError>>;

    /// Takes runs that are due, for the caller to perform: the oldest of each pipeline first, and the pipelines in turn.
    fn take(&self, room: Room) -> Answer<'_, Result<Vec<Lease>, StateError>>;

    /// Writes down the end of a run. Returns whether the run was still this performer's.
    fn finish<'s>(&'s self, lease: &'s Lease, end: RunEnd) -> Answer<'s, Result<bool, StateError>>;

    /// Lets a run wait again. Returns whether the run was still this performer's.
    fn queue_again<'s>(&'s self, lease: &'s Lease, again: QueueAgain) -> Answer<'s, Result<bool, StateError>>;

    /// Applies [`Run::recover`] to each run whose performer is gone, and returns them as they are now. Applies
    /// [`Run::follow_clock`] to those that wait.
    fn recover(&self) -> Answer<'_, Result<Vec<Run>, StateError>>;

    /// Returns how often [`RunStore::recover`] is to be called again; `None` where a state has one server at a time, so that
    /// nobody else can be gone.
    fn recover_interval(&self) -> Option<Duration> {
        None
    }

    /// Waits until another server says that a run waits. It may never be told: a look now and then finds the same.
    fn until_another_queues(&self) -> Answer<'_, ()> {
        Box::pin(std::future::pending())
    }

    /// Ends a run that waits, without performing it. The failure says why.
    fn cancel<'s>(&'s self, id: &'s RunId, failure: Option<RunFailure>) -> Answer<'s, Result<Decided, StateError>>;

    /// Applies [`Run::hasten`]: a run that waits for its time is due now.
    fn hasten<'s>(&'s self, id: &'s RunId) -> Answer<'s, Result<Decided, StateError>>;

    /// Applies [`Run::account_goes_on`] to all runs. Returns how many of them are due now.
    fn account_goes_on<'s>(&'s self, label: &'s str, wait: AccountWait) -> Answer<'s, Result<u64, StateError>>;

    /// Lets a run that failed, or that was cancelled, wait again under its key: what it sent is not sent again.
    fn resume<'s>(&'s self, id: &'s RunId) -> Answer<'s, Result<Decided, StateError>>;

    /// Returns a run.
    fn run<'s>(&'s self, id: &'s RunId) -> Answer<'s, Result<Option<Run>, StateError>>;

    /// Returns the run with this key.
    fn with_key<'s>(&'s self, key: &'s str) -> Answer<'s, Result<Option<Run>, StateError>>;

    /// Returns runs, the one that was accepted last first.
    fn list(&self, filter: RunFilter) -> Answer<'_, Result<Vec<Run>, StateError>>;

    /// Returns the document to which runs are pinned by this digest.
    fn document<'s>(&'s self, digest: &'s str) -> Answer<'s, Result<Option<Arc<PinnedDocument>>, StateError>>;

    /// Returns how full the queue is.
    fn length(&self) -> Answer<'_, Result<QueueLength, StateError>>;

    /// Forgets the messages and outputs of runs that ended before `payloads`, and the runs that ended before `runs`.
    /// Keeps what is uncertain. Returns the number of runs that it forgot.
    fn forget(&self, payloads: Moment, runs: Moment) -> Answer<'_, Result<u64, StateError>>;

    /// Finds out whether runs can be written down. A store that can be read while it cannot be written (a full disk) writes
    /// something.
    ///
    /// The answer may fail when the state cannot be used.
    fn probe(&self) -> Answer<'_, Result<(), StateError>> {
        Box::pin(async move { self.length().await.map(drop) })
    }

    /// Returns what is known of each pipeline's schedule.
    fn schedules(&self) -> Answer<'_, Result<Vec<ScheduleEntry>, StateError>>;

    /// Remembers something of a pipeline's schedule.
    fn note_schedule<'s>(&'s self, pipeline: &'s str, note: ScheduleNote) -> Answer<'s, Result<(), StateError>>;

    /// Pauses a pipeline, or ends its pause. While it pauses, nothing of it is taken.
    fn pause_pipeline<'s>(&'s self, pipeline: &'s str, paused: bool) -> Answer<'s, Result<(), StateError>>;
}

/// How long to wait before a try is repeated, if nothing says it: 1, 5 and 15 minutes, then an hour.
pub fn backoff(attempt: u32) -> Duration {
    let minutes = match attempt {
        0 | 1 => 1,
        2 => 5,
        3 => 15,
        _ => 60,
    };
    Duration::from_secs(minutes * 60)
}
