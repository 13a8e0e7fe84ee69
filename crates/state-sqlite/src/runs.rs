//! Runs in a state directory.
//!
//! Every change is a job of the one thread that writes, and is synced before it is answered. Whoever looks has a
//! connection of its own and waits for nobody.

mod rows;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use pipepost_state::clock::{Moment, seconds};
use pipepost_state::runs::{
    Accepted, AccountWait, Decided, Lease, NewRun, PinnedDocument, QueueAgain, QueueLength, Room, Run, RunEnd,
    RunFailure, RunFilter, RunId, RunStore, ScheduleEntry, ScheduleNote,
};
use pipepost_state::{Answer, Holder, StateError};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::writer::{Job, Note, Work, Writing};
use crate::{Book, FILE, blocking, file};

/// Within the state directory: locked by the process that serves its runs, with its number in it.
const LOCK: &str = "serve.lock";

/// The runs of a state directory.
#[derive(Debug)]
pub(crate) struct SqliteRuns {
    book: Arc<Book>,
    /// What is looked up with, opened when it is first needed.
    reading: Arc<Mutex<Option<Connection>>>,
}

impl SqliteRuns {
    pub(crate) fn new(book: Arc<Book>) -> Self {
        Self {
            book,
            reading: Arc::default(),
        }
    }

    fn lost(&self) -> StateError {
        StateError::unusable(self.book.directory.display(), "it gave no answer")
    }

    /// Changes something in one step. `act` may be called again when the first transaction fails.
    fn change<'s, T: Send + 'static>(
        &'s self,
        mut act: impl FnMut(&Writing<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'s, Result<T, StateError>> {
        Box::pin(async move {
            let slot = Arc::new(Mutex::new(None));
            let filled = Arc::clone(&slot);
            let place = self.book.directory.clone();
            let (done, answer) = oneshot::channel();
            self.book.give(Job::Work(Work {
                act: Box::new(move |writing| {
                    let result = act(writing).map_err(|error| StateError::unusable(place.display(), error))?;
                    *filled.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                    Ok(())
                }),
                done,
            }))?;
            answer.await.unwrap_or_else(|_| Err(self.lost()))?;
            let done = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            done.ok_or_else(|| self.lost())
        })
    }

    /// Looks something up.
    fn read<'s, T: Send + 'static>(
        &'s self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'s, Result<T, StateError>> {
        let (reading, directory) = (Arc::clone(&self.reading), self.book.directory.clone());
        Box::pin(blocking(self.book.directory.clone(), move || {
            let mut reading = reading.lock().unwrap_or_else(PoisonError::into_inner);
            if reading.is_none() {
                *reading = Some(file::open_to_look(&directory)?);
            }
            let Some(connection) = reading.as_ref() else {
                return Err(StateError::unusable(directory.display(), "it is not open"));
            };
            look(connection).map_err(|error| StateError::unusable(directory.join(FILE).display(), error))
        }))
    }

    fn ended<'s>(
        &'s self,
        lease: &'s Lease,
        mut act: impl FnMut(&mut Run, Moment) + Send + 'static,
    ) -> Answer<'s, Result<bool, StateError>> {
        let key = Arc::from(&*lease.run.key);
        let lease = lease.clone();
        Box::pin(async move {
            if self.book.take_begun(&key) {
                // It ended without a look into its ledger.
                self.book.give(Job::note(&key, Note::Release))?;
            }
            self.change(move |writing| {
                let held = rows::run(writing.change, &lease.run.id)?.filter(|run| run.is_held_by(&lease));
                let Some(mut run) = held else { return Ok(false) };
                act(&mut run, writing.now);
                rows::update(writing.change, &run)?;
                Ok(true)
            })
            .await
        })
    }

    /// Begins the execution of a run that begins for the first time, and returns its key if nothing was known of it: its
    /// ledger then needs no transaction of its own.
    fn begin_execution(writing: &Writing<'_>, lease: &Lease) -> rusqlite::Result<Option<String>> {
        let is_first = lease.run.attempt == 1;
        let is_new = is_first && writing.begin_execution(&lease.run.key)?;
        Ok(is_new.then(|| lease.run.key.clone()))
    }

    fn decide<'s>(
        &'s self,
        id: &'s RunId,
        mut act: impl FnMut(&mut Run, Moment) -> bool + Send + 'static,
    ) -> Answer<'s, Result<Decided, StateError>> {
        let id = id.clone();
        self.change(move |writing| {
            let Some(mut run) = rows::run(writing.change, &id)? else {
                return Ok(Decided::Unknown);
            };
            if !act(&mut run, writing.now) {
                return Ok(Decided::NotNow(run));
            }
            rows::update(writing.change, &run)?;
            Ok(Decided::Done(run))
        })
    }

    fn lock(book: &Book) -> Result<(), StateError> {
        let place = || book.directory.display();
        let unusable = |error: std::io::Error| StateError::unusable(place(), error);
        file::make(&book.directory).map_err(unusable)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let mut file = options.open(book.directory.join(LOCK)).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let process = process_in(&mut file);
                return Err(StateError::Served {
                    place: place().to_string(),
                    holder: Holder { machine: None, process },
                });
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        file.set_len(0).map_err(unusable)?;
        write!(file, "{}", std::process::id()).map_err(unusable)?;
        *book.serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }
}

/// The number that the process wrote which holds the lock; 0 where the system lets nobody read it.
fn process_in(file: &mut File) -> u32 {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    read.ok().and_then(|_| text.trim().parse().ok()).unwrap_or_default()
}

impl RunStore for SqliteRuns {
    fn serve(&self) -> Answer<'_, Result<(), StateError>> {
        let book = Arc::clone(&self.book);
        Box::pin(blocking(self.book.directory.clone(), move || Self::lock(&book)))
    }

    fn accept(&self, run: NewRun, begin: bool) -> Answer<'_, Result<Accepted, StateError>> {
        Box::pin(async move {
            let change = self.change(move |writing| {
                let accepted = rows::accept(writing, &run, begin)?;
                let begun = match &accepted {
                    Accepted::Begun(lease) => Self::begin_execution(writing, lease)?,
                    _ => None,
                };
                Ok((accepted, begun))
            });
            let (accepted, begun) = change.await?;
            begun.iter().for_each(|key| self.book.note_begun(key));
            Ok(accepted)
        })
    }

    fn take(&self, room: Room) -> Answer<'_, Result<Vec<Lease>, StateError>> {
        Box::pin(async move {
            let change = self.change(move |writing| {
                let leases = rows::take(writing, &room)?;
                let begun = leases.iter().map(|lease| Self::begin_execution(writing, lease));
                let begun: Vec<_> = begun.collect::<rusqlite::Result<_>>()?;
                Ok((leases, begun))
            });
            let (leases, begun) = change.await?;
            begun.iter().flatten().for_each(|key| self.book.note_begun(key));
            Ok(leases)
        })
    }

    fn finish<'s>(&'s self, lease: &'s Lease, end: RunEnd) -> Answer<'s, Result<bool, StateError>> {
        self.ended(lease, move |run, now| run.finish(end.clone(), now))
    }

    fn queue_again<'s>(&'s self, lease: &'s Lease, again: QueueAgain) -> Answer<'s, Result<bool, StateError>> {
        self.ended(lease, move |run, now| run.queue_again(again.clone(), now))
    }

    fn recover(&self) -> Answer<'_, Result<Vec<Run>, StateError>> {
        self.change(rows::recover)
    }

    fn cancel<'s>(&'s self, id: &'s RunId, failure: Option<RunFailure>) -> Answer<'s, Result<Decided, StateError>> {
        self.decide(id, move |run, now| run.cancel(failure.clone(), now))
    }

    fn hasten<'s>(&'s self, id: &'s RunId) -> Answer<'s, Result<Decided, StateError>> {
        self.decide(id, Run::hasten)
    }

    fn account_goes_on<'s>(&'s self, label: &'s str, wait: AccountWait) -> Answer<'s, Result<u64, StateError>> {
        let label = label.to_owned();
        self.change(move |writing| rows::account_goes_on(writing, &label, wait))
    }

    fn resume<'s>(&'s self, id: &'s RunId) -> Answer<'s, Result<Decided, StateError>> {
        self.decide(id, Run::resume)
    }

    fn run<'s>(&'s self, id: &'s RunId) -> Answer<'s, Result<Option<Run>, StateError>> {
        let id = id.clone();
        self.read(move |connection| rows::run(connection, &id))
    }

    fn with_key<'s>(&'s self, key: &'s str) -> Answer<'s, Result<Option<Run>, StateError>> {
        let key = key.to_owned();
        self.read(move |connection| rows::with_key(connection, &key))
    }

    fn list(&self, filter: RunFilter) -> Answer<'_, Result<Vec<Run>, StateError>> {
        self.read(move |connection| rows::list(connection, &filter))
    }

    fn document<'s>(&'s self, digest: &'s str) -> Answer<'s, Result<Option<Arc<PinnedDocument>>, StateError>> {
        let digest = digest.to_owned();
        self.read(move |connection| rows::document(connection, &digest))
    }

    fn length(&self) -> Answer<'_, Result<QueueLength, StateError>> {
        let clock = Arc::clone(&self.book.clock);
        self.read(move |connection| rows::length(connection, clock.now()))
    }

    fn forget(&self, payloads: Moment, runs: Moment) -> Answer<'_, Result<u64, StateError>> {
        self.change(move |writing| rows::forget(writing.change, payloads, runs))
    }

    fn probe(&self) -> Answer<'_, Result<(), StateError>> {
        self.change(|writing| {
            let statement = "INSERT OR REPLACE INTO upkeep (name, at) VALUES ('probe', ?1)";
            writing.change.execute(statement, [seconds(writing.now)]).map(drop)
        })
    }

    fn schedules(&self) -> Answer<'_, Result<Vec<ScheduleEntry>, StateError>> {
        self.read(rows::schedules)
    }

    fn note_schedule<'s>(&'s self, pipeline: &'s str, note: ScheduleNote) -> Answer<'s, Result<(), StateError>> {
        let pipeline = pipeline.to_owned();
        self.change(move |writing| rows::note_schedule(writing.change, &pipeline, note))
    }

    fn pause_pipeline<'s>(&'s self, pipeline: &'s str, paused: bool) -> Answer<'s, Result<(), StateError>> {
        let pipeline = pipeline.to_owned();
        self.change(move |writing| rows::pause_pipeline(writing.change, &pipeline, paused))
    }
}
