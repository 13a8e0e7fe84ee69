//! Performs what was accepted: bounds how much is under way, takes what is due, and writes down how it ended.
//!
//! A run is written down before it begins. If there is room it begins at once; else it waits in the state, and is taken
//! when room is free or its time has come. A run's end is written down before anybody hears of it.

mod perform;
mod room;
mod shares;
mod starter;
mod waiters;
mod waiting;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pipepost_core::json::read_back;
use pipepost_core::shutdown::{GRACE, ShutdownHandle};
use pipepost_state::StateError;
use pipepost_state::clock::{Clock, Moment, SystemClock, duration, length};
use pipepost_state::runs::{
    Accepted, AccountWait, Decided, Lease, NewRun, QueueAgain, Room, Run, RunFailure, RunId, RunState, RunStore,
};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::perform::{Prepared, WentOn};
use self::room::{Rooms, Slot};
use self::shares::Shares;
pub use self::starter::{ExecuteOrder, PublishOrder, StartFailure, Starter};
pub use self::waiters::EndWaiter;
use self::waiters::Waiters;
use self::waiting::{Taking, Waiting};
use crate::journal::{Journal, LineLevel};
use crate::metrics::Metrics;
use crate::pipelines::Pipelines;
use crate::trigger::Trigger;

/// How often the state is asked what is due, if nothing says that something is: another process may have changed it.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// How long to wait before a state that could not be used is tried again.
pub const STATE_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How much a clock is set back that nobody has to follow: it is disciplined in small steps all the time.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// How many runs of one pipeline are under way at once, where the document says nothing: the platform's smallest size.
const DEFAULT_CONSUMERS: usize = 10;

/// How many bytes of a run's reason the log has: a pipeline may throw whatever it likes.
const WHY_MAX: usize = 1000;

/// How a run ended, for those who wait for it.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The run as it was written down.
    pub run: Run,
    /// The last message, whole.
    pub output: Option<Value>,
}

/// The answer to an order.
#[derive(Debug)]
pub enum Submitted {
    /// It is under way, or waits. Tells its end, if it ends while this process runs.
    New(Run, EndWaiter),
    /// The order is known.
    Known(Run),
    /// The key belongs to other content.
    OtherContent(RunId),
    /// Another run of the pipeline waits already.
    Skipped,
}

/// Documents of earlier texts that were prepared, by their digests.
#[derive(Debug, Default)]
struct Pinned {
    prepared: HashMap<String, Prepared>,
    /// It changes with the accounts: what was prepared before is not kept.
    generation: u64,
}

/// What came of a look for what waits.
#[derive(Debug, Clone, Copy, Default)]
struct Took {
    /// There may be more to take at once.
    may_be_more: bool,
    /// How long to wait for what is due next, or for another look; none if that is not known anew.
    next_due: Option<Duration>,
}

/// What is told of every run.
#[derive(Debug)]
pub struct Watching {
    /// Steps, log and events.
    pub journal: Arc<Journal>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// The most that a dispatcher takes.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// The number of runs under way at once.
    pub concurrency: usize,
    /// The number of runs that wait at once.
    pub queued: u64,
}

/// Performs runs.
#[derive(Debug)]
pub struct Dispatcher {
    runs: Arc<dyn RunStore>,
    watching: Watching,
    pipelines: Arc<Pipelines>,
    rooms: Arc<Rooms>,
    queue_max: u64,
    wake: Notify,
    /// What may wait in the state.
    waiting: Mutex<Waiting>,
    waiters: Waiters,
    under_way: Mutex<HashMap<RunId, ShutdownHandle>>,
    pinned: Mutex<Pinned>,
    /// When accounts went on of late, as a person or a change of theirs said.
    going_on: Mutex<HashMap<(String, AccountWait), Instant>>,
    /// How many runs wait, as far as this process knows.
    queued: AtomicU64,
    /// When the state was last asked how many wait.
    counted: Mutex<Option<Instant>>,
    is_draining: AtomicBool,
    /// What is under way is asked to end.
    is_ending: AtomicBool,
    is_usable: AtomicBool,
}

impl Dispatcher {
    /// Makes one for the runs of this state, with at most this much under way.
    pub fn new(runs: Arc<dyn RunStore>, pipelines: Arc<Pipelines>, most: Most, watching: Watching) -> Arc<Self> {
        Arc::new(Self {
            runs,
            watching,
            pipelines,
            rooms: Arc::new(Rooms::new(most.concurrency)),
            queue_max: most.queued,
            wake: Notify::new(),
            waiting: Mutex::new(Waiting {
                unknown: true,
                ..Waiting::default()
            }),
            waiters: Waiters::default(),
            under_way: Mutex::default(),
            pinned: Mutex::default(),
            going_on: Mutex::default(),
            queued: AtomicU64::new(0),
            counted: Mutex::default(),
            is_draining: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            is_usable: AtomicBool::new(true),
        })
    }

    /// Returns the record of runs.
    pub fn runs(&self) -> &Arc<dyn RunStore> {
        &self.runs
    }

    /// Returns how many runs are under way.
    pub fn running(&self) -> usize {
        self.rooms.used()
    }

    /// Returns how many runs wait, as far as this process knows.
    pub fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed)
    }

    /// Returns whether so many runs wait that no further one may.
    pub fn is_full(&self) -> bool {
        self.queued() >= self.queue_max
    }

    /// Returns whether an order with this key can be given: there is room for a run that waits, or its run is known and needs
    /// none.
    ///
    /// # Errors
    /// Fails when the state cannot be used.
    pub async fn has_place_for(&self, key: &str) -> Result<bool, StateError> {
        if !self.is_full() {
            return Ok(true);
        }
        let known = self.runs.with_key(key).await;
        self.note_use(&known);
        Ok(known?.is_some())
    }

    /// Returns whether the state could be used the last time.
    pub fn is_usable(&self) -> bool {
        self.is_usable.load(Ordering::Relaxed)
    }

    /// Returns whether nothing new begins.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Writes an order down. It begins at once if there is room.
    ///
    /// # Errors
    /// Fails when the state cannot be used. Then nothing was begun, unless the error says that it may have been done.
    pub async fn submit(self: &Arc<Self>, order: NewRun) -> Result<Submitted, StateError> {
        self.submit_for(order, None).await
    }

    /// Does the same for a run that waits for the other one's end and lends it its place.
    async fn submit_for(self: &Arc<Self>, order: NewRun, lender: Option<RunId>) -> Result<Submitted, StateError> {
        // On a task of its own: a caller that hangs up while its run is written down must not leave one that nobody
        // performs.
        let dispatcher = Arc::clone(self);
        let submitted = tokio::spawn(async move { dispatcher.accept(order, lender).await }).await;
        submitted.unwrap_or_else(|error| Err(StateError::unusable("the record of runs", error)))
    }

    async fn accept(self: &Arc<Self>, order: NewRun, lender: Option<RunId>) -> Result<Submitted, StateError> {
        let lent = lender.and_then(|lender| self.lent_slot(&order, &lender));
        let slot = lent.or_else(|| self.slot_for(&order));
        let waiter = self.waiters.wait_for(&order.id);
        let is_due = order.due.is_none();
        let accepted = self.runs.accept(order, slot.is_some()).await;
        self.note_use(&accepted);
        match accepted? {
            Accepted::Begun(lease) => {
                let run = lease.run.clone();
                self.watching.reached(&run);
                if let Some(slot) = slot {
                    self.begin(lease, slot);
                }
                Ok(Submitted::New(run, waiter))
            }
            Accepted::Queued(run) => {
                drop(slot);
                self.watching.reached(&run);
                self.queued.fetch_add(1, Ordering::Relaxed);
                if is_due {
                    self.one_waits(&run.pipeline);
                } else {
                    self.something_waits();
                }
                Ok(Submitted::New(run, waiter))
            }
            Accepted::Known(run) => Ok(Submitted::Known(run)),
            Accepted::OtherContent(other) => Ok(Submitted::OtherContent(other)),
            Accepted::Skipped => Ok(Submitted::Skipped),
        }
    }

    /// Lets a run that failed or was cancelled go on under its key. Tells its end, if it can go on.
    ///
    /// # Errors
    /// Fails when the state cannot be used.
    pub async fn resume(self: &Arc<Self>, id: &RunId) -> Result<(Decided, Option<EndWaiter>), StateError> {
        let waiter = self.waiters.wait_for(id);
        let decided = self.runs.resume(id).await;
        self.note_use(&decided);
        match decided? {
            Decided::Done(run) => {
                self.one_waits(&run.pipeline);
                Ok((Decided::Done(run), Some(waiter)))
            }
            decided => Ok((decided, None)),
        }
    }

    /// Has the runs due that wait for this of an account, which it has now, and those that find out later that they waited for
    /// it. What cannot be done now comes when it was to come.
    pub async fn account_goes_on(&self, label: &str, wait: AccountWait) {
        self.going_on().insert((label.to_owned(), wait), Instant::now());
        self.hasten_for_account(label, wait).await;
    }

    /// What an attempt that began at this moment waits for now, if that came while it was under way.
    async fn went_on_meanwhile(&self, began: Instant) {
        let meanwhile: Vec<(String, AccountWait)> = {
            let going_on = self.going_on();
            let meanwhile = going_on.iter().filter(|(_, at)| **at >= began);
            meanwhile.map(|(of, _)| of.clone()).collect()
        };
        for (label, wait) in meanwhile {
            self.hasten_for_account(&label, wait).await;
        }
    }

    async fn hasten_for_account(&self, label: &str, wait: AccountWait) {
        let hastened = self.runs.account_goes_on(label, wait).await;
        self.note_use(&hastened);
        self.something_waits();
    }

    fn going_on(&self) -> MutexGuard<'_, HashMap<(String, AccountWait), Instant>> {
        self.going_on.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a run begin that waits for its time.
    ///
    /// # Errors
    /// Fails when the state cannot be used.
    pub async fn hasten(&self, id: &RunId) -> Result<Decided, StateError> {
        let decided = self.runs.hasten(id).await;
        self.note_use(&decided);
        if let Ok(Decided::Done(run)) = &decided {
            self.one_waits(&run.pipeline);
        }
        decided
    }

    /// Ends a run that waits. A run that is under way goes on.
    ///
    /// # Errors
    /// Fails when the state cannot be used.
    pub async fn cancel(&self, id: &RunId, failure: Option<RunFailure>) -> Result<Decided, StateError> {
        let decided = self.runs.cancel(id, failure).await;
        self.note_use(&decided);
        if let Ok(Decided::Done(run)) = &decided {
            self.tell(Ended {
                run: run.clone(),
                output: None,
            });
        }
        decided
    }

    /// Tells those who wait for runs that another server performed.
    pub(crate) async fn tell_of_others(&self) {
        let waited_for: Vec<RunId> = {
            let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            let mut runs = self.waiters.runs();
            runs.retain(|id| !under_way.contains_key(id));
            runs
        };
        for id in waited_for {
            // What is under way here by now tells its end itself.
            let Ok(Some(run)) = self.runs.run(&id).await else {
                continue;
            };
            let is_here = self
                .under_way
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains_key(&id);
            if run.state.is_end() && !is_here {
                let output = run.output.as_deref().and_then(|text| read_back(text).ok());
                self.tell(Ended { run, output });
            }
        }
    }

    /// Asks a run that is under way to end early: nothing new of it starts. Returns whether it is under way here.
    pub fn end_early(&self, id: &RunId) -> bool {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        match under_way.get(id) {
            Some(handle) => {
                handle.request(GRACE);
                true
            }
            None => false,
        }
    }

    /// Notices that something may be due: a person or another process changed the state.
    pub fn something_waits(&self) {
        self.waiting().unknown = true;
        self.wake.notify_one();
    }

    fn one_waits(&self, pipeline: &str) {
        self.waiting().of.insert(pipeline.to_owned());
        self.wake.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something waits that could begin now, as far as this process knows.
    fn is_worth_a_look(&self) -> bool {
        let served = self.pipelines.current();
        let waiting = self.waiting();
        // Each run that ends asks, and nearly always nothing waits.
        if waiting.unknown || waiting.of.is_empty() {
            return waiting.unknown;
        }
        let shares = Shares::now(&self.rooms, &served);
        let lent = self.rooms.lent();
        // A place that is lent is no share of anybody.
        let has_room = |pipeline: &String| {
            shares.left(pipeline) > 0
                || lent.contains_key(pipeline) && self.rooms.used_by(pipeline) < self.consumers(pipeline)
        };
        waiting.of.iter().any(has_room)
    }

    /// Takes what is due and performs it, until [`Dispatcher::drain`].
    pub async fn work(self: Arc<Self>) {
        let mut looked = (SystemClock.now(), std::time::Instant::now());
        // When to look for whatever there is, however much happens until then.
        let mut next_look = Instant::now();
        while !self.is_draining() {
            let went_by = std::mem::replace(&mut looked, (SystemClock.now(), std::time::Instant::now()));
            if is_set_back(went_by, looked) {
                self.follow_clock().await;
            }
            if Instant::now() >= next_look {
                self.waiting().unknown = true;
                next_look = Instant::now() + POLL_INTERVAL;
            }
            match self.take().await {
                Ok(took) => {
                    if let Some(pause) = took.next_due {
                        next_look = Instant::now() + pause;
                    }
                    if took.may_be_more {
                        continue;
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "the state cannot be used; nothing begins");
                    next_look = Instant::now() + STATE_RETRY_INTERVAL;
                }
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(next_look) => {}
            }
        }
    }

    /// What waits must not wait until the time comes again at which it was written down.
    async fn follow_clock(&self) {
        tracing::warn!("the clock was set back; what waits follows it");
        let recovered = self.runs.recover().await;
        self.note_use(&recovered);
        self.waiting().unknown = true;
    }

    /// Takes what is due.
    async fn take(self: &Arc<Self>) -> Result<Took, StateError> {
        if !self.is_usable() {
            self.probe().await?;
        }
        if (self.rooms.free() == 0 && self.rooms.lent().is_empty()) || !self.is_worth_a_look() {
            return Ok(Took::default());
        }
        let leases = self.take_waiting().await;
        self.waiting().taking = None;
        let mut is_empty = leases?;
        is_empty &= !self.take_for_those_who_wait().await?;
        // While there is always more to take, what waits is still counted now and then: others may have changed it.
        let is_counted = self.counted().is_some_and(|counted| counted.elapsed() < POLL_INTERVAL);
        let next_due = match is_empty || !is_counted {
            true => Some(self.look_ahead().await?),
            false => None,
        };
        Ok(Took {
            may_be_more: !is_empty,
            next_due,
        })
    }

    /// Takes what is known to wait, and begins it; or whatever there is, where that is not known. Returns whether there was
    /// nothing.
    async fn take_waiting(self: &Arc<Self>) -> Result<bool, StateError> {
        let served = self.pipelines.current();
        let shared = served
            .pipelines
            .iter()
            .filter_map(|(name, served)| Some((name.clone(), served.trigger.running_max()?)));
        let (before, is_all, room) = {
            // Whatever is accepted from here on says so again, and whatever has begun before is counted.
            let mut waiting = self.waiting();
            let (of, unknown) = (std::mem::take(&mut waiting.of), std::mem::take(&mut waiting.unknown));
            let shares = Shares::now(&self.rooms, &served);
            let left = |pipeline: &String| (pipeline.clone(), shares.left(pipeline));
            let by_pipeline = match unknown {
                true => served.pipelines.keys().chain(shares.under_way()).map(left).collect(),
                // Orders for the others begin meanwhile, and must not find their room taken.
                false => of.iter().map(left).collect(),
            };
            let room = Room {
                runs: shares.at_once(),
                by_pipeline,
                // Of a pipeline that is served no more.
                others: if unknown { shares.left("") } else { 0 },
                shared: shared.collect(),
            };
            let places = match unknown {
                true => room.runs,
                false => room.by_pipeline.values().sum::<usize>().min(room.runs),
            };
            waiting.taking = Some(Taking {
                of: of.clone(),
                unknown,
                places,
            });
            (of, unknown, room)
        };
        let leases = if room.runs == 0 {
            Vec::new()
        } else {
            let leases = self.runs.take(room.clone()).await;
            self.note_use(&leases);
            leases?
        };
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        for lease in &leases {
            *taken.entry(lease.run.pipeline.clone()).or_default() += 1;
        }
        {
            let mut waiting = self.waiting();
            if leases.len() == room.runs {
                waiting.unknown |= is_all;
                waiting.of.extend(before);
            }
            // What filled its room may have left something behind.
            let of_room = |pipeline: &String| taken.get(pipeline).copied().unwrap_or_default() >= room.of(pipeline);
            let full = room.by_pipeline.keys().chain(taken.keys()).filter(|name| of_room(name));
            waiting.of.extend(full.cloned());
        }
        self.count_taken(leases.len());
        let is_empty = leases.is_empty();
        for lease in leases {
            let slot = self.rooms.force(&lease.run.pipeline, self.on_free());
            self.begin(lease, slot);
        }
        Ok(is_empty)
    }

    fn counted(&self) -> MutexGuard<'_, Option<Instant>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what waits, and returns how long to wait for what is due next.
    async fn look_ahead(&self) -> Result<Duration, StateError> {
        let length = self.runs.length().await;
        self.note_use(&length);
        let length = length?;
        self.queued.store(length.queued, Ordering::Relaxed);
        *self.counted() = Some(Instant::now());
        // By the state's own clock, which may be another machine's.
        let now = length.now;
        // What is due and was not taken has no room, and is taken when there is some.
        let ahead = length.next_due.filter(|due| *due > now);
        Ok(ahead.map_or(POLL_INTERVAL, |due| duration(due - now).min(POLL_INTERVAL)))
    }

    /// Counts runs that wait no more. The next look ahead counts them in the state.
    fn count_taken(&self, taken: usize) {
        let taken = taken as u64;
        let less = |queued: u64| Some(queued.saturating_sub(taken));
        // It always changes to something.
        let _ = self.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Takes runs of pipelines for which runs under way wait, onto the places that these lend. The oldest come first: with
    /// each that ends, the one that is waited for is nearer. Returns whether there was one.
    async fn take_for_those_who_wait(self: &Arc<Self>) -> Result<bool, StateError> {
        let mut has_taken = false;
        for pipeline in self.rooms.lent().into_keys() {
            let taken = self.take_for_one_who_waits(&pipeline).await;
            self.waiting().taking = None;
            has_taken |= taken?;
        }
        Ok(has_taken)
    }

    async fn take_for_one_who_waits(self: &Arc<Self>, pipeline: &str) -> Result<bool, StateError> {
        let count = {
            let mut waiting = self.waiting();
            let consumers = self.consumers(pipeline);
            // A lender may have lent its place for another pipeline meanwhile.
            let lent = self.rooms.lent().get(pipeline).copied().unwrap_or_default();
            let count = consumers.saturating_sub(self.rooms.used_by(pipeline)).min(lent);
            waiting.taking = Some(Taking {
                of: [pipeline.to_owned()].into(),
                unknown: false,
                places: 0,
            });
            count
        };
        if count == 0 {
            return Ok(false);
        }
        let room = Room {
            runs: count,
            by_pipeline: BTreeMap::from([(pipeline.to_owned(), count)]),
            others: 0,
            shared: self.shared_limit(pipeline),
        };
        let leases = self.runs.take(room).await;
        self.note_use(&leases);
        let leases = leases?;
        self.count_taken(leases.len());
        if leases.is_empty() {
            return Ok(false);
        }
        self.waiting().of.insert(pipeline.to_owned());
        for lease in leases {
            let slot = self.rooms.borrow(None, pipeline, usize::MAX, self.on_free());
            let slot = slot.unwrap_or_else(|| self.rooms.force(pipeline, self.on_free()));
            self.begin(lease, slot);
        }
        Ok(true)
    }

    /// How many runs of a pipeline may be under way.
    fn consumers(&self, pipeline: &str) -> usize {
        self.pipelines
            .get(pipeline)
            .map_or(DEFAULT_CONSUMERS, |served| consumers(&served.trigger))
    }

    /// The limit of a pipeline's runs over all servers, if it has one.
    fn shared_limit(&self, pipeline: &str) -> BTreeMap<String, usize> {
        let served = self.pipelines.get(pipeline);
        let most = served.and_then(|served| served.trigger.running_max());
        most.map(|most| (pipeline.to_owned(), most)).into_iter().collect()
    }

    /// Room for an order that may begin at once.
    fn slot_for(self: &Arc<Self>, order: &NewRun) -> Option<Slot> {
        if order.due.is_some() || order.unless_waiting || self.is_draining() {
            return None;
        }
        let pipeline = &order.document.pipeline;
        let served = self.pipelines.current();
        let waiting = self.waiting();
        let shares = Shares::now(&self.rooms, &served);
        // It gets in line behind those of its own pipeline. A queue of another one is none of its business, as long as a
        // place is left for each pipeline that has something to begin.
        if waiting.is_in_line(pipeline) || shares.left(pipeline) == 0 {
            return None;
        }
        let others = waiting.of.iter().filter(|name| shares.left(name) > 0).count();
        let places = waiting.taking.as_ref().map_or(0, |taking| taking.places);
        if self.rooms.free() <= others + places {
            return None;
        }
        self.rooms.reserve(pipeline, self.consumers(pipeline), self.on_free())
    }

    /// The place of the run that gives an order and waits for it. Nobody else may have it, so the order need not get in
    /// line.
    fn lent_slot(self: &Arc<Self>, order: &NewRun, lender: &RunId) -> Option<Slot> {
        if self.is_draining() {
            return None;
        }
        let pipeline = &order.document.pipeline;
        self.rooms
            .borrow(Some(lender), pipeline, self.consumers(pipeline), self.on_free())
    }

    fn on_free(self: &Arc<Self>) -> Box<dyn Fn() + Send + Sync> {
        let dispatcher = Arc::downgrade(self);
        Box::new(move || {
            if let Some(dispatcher) = dispatcher.upgrade() {
                dispatcher.wake.notify_one();
            }
        })
    }

    /// Prepares documents of earlier texts anew before they are performed again: their accounts changed.
    pub(crate) fn forget_prepared(&self) {
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        pinned.generation += 1;
        pinned.prepared.clear();
    }

    fn tell(&self, ended: Ended) {
        self.watching.ended(&ended.run);
        self.waiters.tell(ended);
    }

    /// Notes that the state could not be used, if so. That it can be used again is for [`Dispatcher::probe`] to say: a full
    /// disk can be read, and takes changes that change nothing.
    fn note_use<T>(&self, result: &Result<T, StateError>) {
        let Err(error) = result else { return };
        // Said once, and not by everybody who finds out.
        if self.is_usable.swap(false, Ordering::Relaxed) {
            tracing::error!(%error, "nothing begins until the state can be used again");
            self.wake.notify_one();
        }
    }

    /// Finds out whether the state can be used again.
    async fn probe(&self) -> Result<(), StateError> {
        self.runs.probe().await?;
        tracing::info!("the state can be used again");
        self.is_usable.store(true, Ordering::Relaxed);
        self.waiting().unknown = true;
        Ok(())
    }

    /// Begins nothing new.
    pub fn stop_taking(&self) {
        self.is_draining.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Begins nothing new, gives what is under way `grace` to end, and waits for it.
    pub async fn drain(&self, grace: Duration) {
        self.stop_taking();
        self.is_ending.store(true, Ordering::Release);
        {
            let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            for handle in under_way.values() {
                handle.request(grace);
            }
        }
        self.rooms.until_empty().await;
    }

    /// Performs a run on a task of its own.
    fn begin(self: &Arc<Self>, lease: Lease, slot: Slot) {
        let dispatcher = Arc::clone(self);
        tokio::spawn(async move {
            let begun = Instant::now();
            let id = lease.run.id.clone();
            let pipeline = lease.run.pipeline.clone();
            dispatcher.watching.begins(&lease.run);
            tracing::debug!(run = %id, pipeline = lease.run.pipeline, attempt = lease.run.attempt, "begins");
            match perform::perform(&dispatcher, lease).await {
                WentOn::Ended(ended) => {
                    tell_ended(&ended.run, begun.elapsed());
                    dispatcher.watching.metrics.observe_run(&pipeline, begun.elapsed());
                    dispatcher.tell(*ended);
                }
                // Whoever waits for it is told so by the end of its channel.
                WentOn::Waits => dispatcher.waiters.send_away(&id),
                WentOn::WaitsForState => {}
            }
            drop(slot);
        });
    }
}

impl Watching {
    /// A run was accepted.
    fn reached(&self, run: &Run) {
        self.metrics
            .count_run(&run.pipeline, run.origin.as_str(), RunState::Queued.as_str());
        if run.state == RunState::Queued {
            self.journal.tell_run(run);
        }
    }

    /// An attempt begins.
    fn begins(&self, run: &Run) {
        self.metrics
            .count_run(&run.pipeline, run.origin.as_str(), RunState::Running.as_str());
        let text = match run.redelivery {
            true => format!("attempt {} begins, after its process died", run.attempt),
            false => format!("attempt {} begins", run.attempt),
        };
        self.journal.log(&run.id, LineLevel::Info, text);
        self.journal.tell_run(run);
    }

    /// A run waits for another try.
    fn waits_again(&self, run: &Run, again: &QueueAgain) {
        let why = again.failure.as_ref().map_or("it was interrupted".to_owned(), sentence);
        let text = format!("waits {} s for another attempt: {why}", again.wait.as_secs());
        self.journal.log(&run.id, LineLevel::Warn, text);
        let waiting = Run {
            state: RunState::Queued,
            ..run.clone()
        };
        self.journal.tell_run(&waiting);
    }

    /// A run ended.
    fn ended(&self, run: &Run) {
        self.metrics
            .count_run(&run.pipeline, run.origin.as_str(), run.state.as_str());
        let (level, why) = match (&run.failure, run.state) {
            (Some(failure), _) => (LineLevel::Error, format!(": {}", sentence(failure))),
            (None, RunState::Done) => (LineLevel::Info, String::new()),
            (None, _) => (LineLevel::Warn, String::new()),
        };
        let counts = run.counts;
        let text = format!(
            "{}; messages sent {}, failed {}, uncertain {}{why}",
            run.state.as_str(),
            counts.sent,
            counts.failed,
            counts.uncertain
        );
        self.journal.log(&run.id, level, text);
        if counts.uncertain > 0 {
            self.journal.tell_doubt(run);
        }
        self.journal.tell_run(run);
    }
}

/// Says in the log how a run ended. A failure's sentence has what others wrote in it, so it is a field: those are escaped.
fn tell_ended(run: &Run, elapsed: Duration) {
    let (pipeline, state) = (run.pipeline.as_str(), run.state.as_str());
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    if !matches!(run.state, RunState::Failed | RunState::Uncertain) {
        tracing::info!(run = %run.id, pipeline, state, milliseconds, "ended");
        return;
    }
    let (kind, why) = match &run.failure {
        Some(failure) => {
            let mut why = sentence(failure);
            why.truncate(why.floor_char_boundary(WHY_MAX));
            (failure.kind.as_str(), why)
        }
        None => (
            state,
            format!("{} messages may or may not have been sent", run.counts.uncertain),
        ),
    };
    tracing::warn!(run = %run.id, pipeline, state, kind, why, milliseconds, "ended");
}

/// A failure's own sentence.
fn sentence(failure: &RunFailure) -> String {
    let object = read_back(&failure.object).unwrap_or_default();
    let message = object.get("message").and_then(Value::as_str);
    message.unwrap_or(&failure.kind).to_owned()
}

/// Whether the clock shows an earlier time than the time that went by allows.
fn is_set_back((then, begun): (Moment, std::time::Instant), (now, looked): (Moment, std::time::Instant)) -> bool {
    let expected = then.saturating_add(length(looked.duration_since(begun)));
    expected.saturating_sub(now) > length(CLOCK_TOLERANCE)
}

/// How many runs of a pipeline may be under way.
fn consumers(trigger: &Trigger) -> usize {
    trigger.running_max().unwrap_or(DEFAULT_CONSUMERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_set_back_when_it_shows_less_than_what_went_by() {
        let begun = std::time::Instant::now();
        let after = |seconds: u64| begun + Duration::from_secs(seconds);
        let second: Moment = 1_000_000;
        assert!(!is_set_back((100 * second, begun), (105 * second, after(5))));
        assert!(
            !is_set_back((100 * second, begun), (104 * second, after(5))),
            "a small step"
        );
        assert!(
            !is_set_back((100 * second, begun), (9_000 * second, after(5))),
            "it was set forward"
        );
        assert!(
            is_set_back((100 * second, begun), (100 * second, after(5))),
            "by five seconds"
        );
        assert!(is_set_back((9_000 * second, begun), (100 * second, after(5))));
    }
}
