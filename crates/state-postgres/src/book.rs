//! What all handles of a store share: one thread, with a runtime of its own, on which everything is asked and answered.
//!
//! A caller may end at any moment, and what was begun for it goes on; nor does it matter which runtime a caller has, or
//! whether it has one. The thread ends when its last handle is dropped: it writes down what is left, and says that this
//! worker is gone.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pipepost_state::clock::{Clock, Moment, seconds};
use pipepost_state::{Answer, CommitObserver, StateError};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::LocalSet;

use crate::address::Address;
use crate::database::{Database, Dial, Fault, Trust};
use crate::listen;
use crate::worker::{self, Worker};
use crate::writer::{self, Job, Unsynced};

/// How long the thread may take to write down what is left when its store is dropped.
const ENDING_MAX: Duration = Duration::from_secs(5);

/// The handle of the thread.
#[derive(Debug)]
pub(crate) struct Book {
    address: Address,
    trust: Trust,
    clock: Option<Arc<dyn Clock>>,
    observer: Option<Arc<dyn CommitObserver>>,
    /// Told of each end of transactions in this process that was written down: how many there were.
    pub(crate) ended: watch::Sender<u64>,
    /// How many such ends were given to the one who writes.
    ends: AtomicU64,
    /// Told when something may be due.
    pub(crate) queued: watch::Sender<u64>,
    running: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing was needed yet.
    #[default]
    Idle,
    Running {
        acts: mpsc::UnboundedSender<Act>,
        jobs: mpsc::UnboundedSender<Job>,
        thread: Option<JoinHandle<()>>,
    },
    Ended,
}

/// What is done on the thread need not be able to leave it.
type Doing = Pin<Box<dyn Future<Output = ()>>>;

/// Something to do on the thread.
pub(crate) enum Act {
    Do(Box<dyn FnOnce(Rc<Desk>) -> Doing + Send>),
    /// Ends as a kill does, after the worker's lease.
    Crash,
}

/// What the thread works with.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) database: Database,
    pub(crate) worker: Worker,
    clock: Option<Arc<dyn Clock>>,
    /// Told of each commit that claims.
    pub(crate) observer: Option<Arc<dyn CommitObserver>>,
    /// Documents that are in the database, and since when that is known.
    pub(crate) documents: RefCell<HashMap<String, Instant>>,
    /// What was noted and may not be on a disk yet.
    pub(crate) unsynced: RefCell<Unsynced>,
    /// Told when some of it was lost.
    pub(crate) has_lost_notes: Notify,
    /// Runs that this process performs.
    pub(crate) leases: RefCell<HashSet<String>>,
    /// The server's time at the last look for runs whose performer is gone.
    pub(crate) looked: Cell<Option<Moment>>,
    /// Pipelines whose runs are limited over all workers.
    pub(crate) limited: RefCell<HashSet<String>>,
    /// Told when a run waits that another worker may take.
    pub(crate) queued_here: Notify,
}

impl Desk {
    /// Returns the moment to use in place of the database's own clock, if there is one.
    pub(crate) fn moment(&self) -> Option<Moment> {
        self.clock.as_ref().map(|clock| clock.now())
    }

    /// Lets the other workers know that a run waits.
    pub(crate) fn tell_queued(&self) {
        self.queued_here.notify_one();
    }

    /// Returns the clock to use in place of the database's own, if there is one.
    pub(crate) fn clock(&self) -> Option<&Arc<dyn Clock>> {
        self.clock.as_ref()
    }

    /// Returns the same in whole seconds.
    pub(crate) fn second(&self) -> Option<i64> {
        self.moment().map(seconds)
    }
}

impl Book {
    pub(crate) fn new(
        address: Address,
        trust: Trust,
        clock: Option<Arc<dyn Clock>>,
        observer: Option<Arc<dyn CommitObserver>>,
    ) -> Self {
        Self {
            address,
            trust,
            clock,
            observer,
            ended: watch::Sender::new(0),
            ends: AtomicU64::new(0),
            queued: watch::Sender::new(0),
            running: Mutex::default(),
        }
    }

    pub(crate) fn place(&self) -> &str {
        self.address.place()
    }

    /// Makes another one, not yet begun, that tells this observer.
    pub(crate) fn observed_by(&self, observer: Arc<dyn CommitObserver>) -> Self {
        Self::new(
            self.address.clone(),
            self.trust.clone(),
            self.clock.clone(),
            Some(observer),
        )
    }

    /// How often a worker gives a sign of life, and looks for those who gave none.
    pub(crate) fn sign_interval(&self) -> Duration {
        worker::sign_interval(self.address.lease)
    }

    fn gone(&self) -> StateError {
        StateError::unusable(self.place(), "it is closed")
    }

    /// Does something on the thread. It goes on if the answer is not waited for.
    pub(crate) fn act<T, F>(
        &self,
        act: impl FnOnce(Rc<Desk>) -> F + Send + 'static,
    ) -> Answer<'static, Result<T, StateError>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + 'static,
    {
        let (done, answer) = oneshot::channel();
        let boxed = Act::Do(Box::new(move |desk: Rc<Desk>| {
            Box::pin(async move {
                let result = act(Rc::clone(&desk)).await.map_err(|fault| desk.database.told(fault));
                // Whoever no longer listens need not be told.
                drop(done.send(result));
            })
        }));
        let gone = self.gone();
        if let Err(error) = self.send(|acts, _| acts.send(boxed).is_ok()) {
            return Box::pin(ready(Err(error)));
        }
        Box::pin(async move { answer.await.unwrap_or(Err(gone)) })
    }

    /// Gives the one who writes a job.
    pub(crate) fn give(&self, job: Job) -> Result<(), StateError> {
        self.send(|_, jobs| jobs.send(job).is_ok())
    }

    /// Notes that transactions have ended.
    pub(crate) fn end_admissions(&self, admissions: Vec<i64>) -> Result<(), StateError> {
        self.ends.fetch_add(1, Ordering::SeqCst);
        self.give(Job::End(admissions))
    }

    /// Returns what ends when everything that has ended here is written down.
    pub(crate) fn until_ends_are_written(&self) -> impl Future<Output = ()> + use<> {
        let (given, mut ended) = (self.ends.load(Ordering::SeqCst), self.ended.subscribe());
        async move {
            // An error means that the store is gone, and whoever asks next hears so.
            drop(ended.wait_for(|ended| *ended >= given).await);
        }
    }

    fn send(
        &self,
        send: impl FnOnce(&mpsc::UnboundedSender<Act>, &mpsc::UnboundedSender<Job>) -> bool,
    ) -> Result<(), StateError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*running, State::Idle) {
            *running = self.start()?;
        }
        match &*running {
            State::Running { acts, jobs, .. } if send(acts, jobs) => Ok(()),
            _ => Err(self.gone()),
        }
    }

    fn start(&self) -> Result<State, StateError> {
        let unusable = |error: std::io::Error| StateError::unusable(self.place(), error);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(unusable)?;
        let (acts, acts_given) = mpsc::unbounded_channel();
        let (jobs, jobs_given) = mpsc::unbounded_channel();
        let (address, trust, clock) = (self.address.clone(), self.trust.clone(), self.clock.clone());
        let (ended, queued, observer) = (self.ended.clone(), self.queued.clone(), self.observer.clone());
        let thread = thread::Builder::new()
            .name("pipepost-state".into())
            .spawn(move || {
                let dial = Dial::new(&address, &trust);
                let desk = Rc::new(Desk {
                    worker: Worker::new(address.lease),
                    database: Database::new(address, &trust),
                    clock,
                    observer,
                    documents: RefCell::default(),
                    unsynced: RefCell::default(),
                    has_lost_notes: Notify::new(),
                    leases: RefCell::default(),
                    looked: Cell::default(),
                    limited: RefCell::default(),
                    queued_here: Notify::new(),
                });
                let local = LocalSet::new();
                local.block_on(&runtime, work(desk, dial, acts_given, jobs_given, ended, queued));
                // What still waits for the server is given up.
                drop(local);
                runtime.shutdown_background();
            })
            .map_err(unusable)?;
        Ok(State::Running {
            acts,
            jobs,
            thread: Some(thread),
        })
    }

    /// Ends the thread in order.
    pub(crate) fn leave(&self) {
        self.end(None);
    }

    /// Ends the thread as a kill does.
    pub(crate) fn crash(&self) {
        self.end(Some(Act::Crash));
    }

    fn end(&self, last: Option<Act>) {
        let state = std::mem::replace(
            &mut *self.running.lock().unwrap_or_else(PoisonError::into_inner),
            State::Ended,
        );
        let State::Running { acts, jobs, thread } = state else {
            return;
        };
        if let Some(last) = last {
            drop(acts.send(last));
        }
        drop((acts, jobs));
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that speaks with the database ended in a panic");
        }
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        self.end(None);
    }
}

async fn work(
    desk: Rc<Desk>,
    dial: Dial,
    mut acts: mpsc::UnboundedReceiver<Act>,
    jobs: mpsc::UnboundedReceiver<Job>,
    ended: watch::Sender<u64>,
    queued: watch::Sender<u64>,
) {
    let signs = tokio::task::spawn_local(worker::give_signs(Rc::clone(&desk)));
    let listening = tokio::task::spawn_local(listen::listen(Rc::clone(&desk), dial, queued));
    let telling = tokio::task::spawn_local(listen::tell(Rc::clone(&desk)));
    let writing = tokio::task::spawn_local(writer::work(Rc::clone(&desk), jobs, ended));
    let mut crashes = false;
    while let Some(act) = acts.recv().await {
        match act {
            Act::Do(act) => drop(tokio::task::spawn_local(act(Rc::clone(&desk)))),
            Act::Crash => {
                crashes = true;
                break;
            }
        }
    }
    signs.abort();
    listening.abort();
    telling.abort();
    let over = async {
        if crashes {
            writing.abort();
            return desk.worker.die(&desk.database).await;
        }
        // It ends when it has written what it was given.
        drop(writing.await);
        desk.worker.leave(&desk.database).await
    };
    match tokio::time::timeout(ENDING_MAX, over).await {
        Ok(Ok(())) => {}
        // The others find out by the lease.
        Ok(Err(fault)) => tracing::debug!(?fault, "this worker's end was not written down"),
        Err(_) => tracing::debug!("this worker's end was not written down in time"),
    }
}
