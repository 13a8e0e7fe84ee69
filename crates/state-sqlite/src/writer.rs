//! The one thread that writes: everything that waits for it at a moment, from all executions, goes into one
//! transaction.
//!
//! A transaction with a claim in it is synced before the claim is answered, and everything that was written before is
//! synced with it. A transaction that only settles or opens is not synced for that: it outlives the process at once. If
//! a power cut loses it, what was settled becomes uncertain, but is never sent twice; and who had opened what is gone
//! with its process.
//!
//! Jobs are written in the order in which they were given. When a transaction fails, each of its jobs is tried
//! separately, so that what cannot be written for one execution does not affect the others.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use pipepost_state::clock::{Clock, Moment, seconds};
use pipepost_state::ledger::{
    Claim, ClaimError, MessageEntry, Part, PartOutcome, RETENTION_SECONDS, Recorded, UPKEEP_SECONDS,
};
use pipepost_state::quota::{AccountKey, AccountRows};
use pipepost_state::{CommitObserver, Holder, Redact, StateError};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use tokio::sync::oneshot;

use crate::file::Identity;
use crate::ledger::Loaded;
use crate::owner::{self, Owner, is_alive};
use crate::quotas::WithinAccount;
use crate::{OnCommit, file, ledger};

/// Most jobs of one transaction.
const TRANSACTION_JOBS_MAX: usize = 4096;

/// How long notes that nobody waits for wait for a job that somebody waits for, to go into its transaction. A message is
/// settled a moment before its run ends or its successor is claimed.
const COMPANY_TIMEOUT: Duration = Duration::from_millis(2);

/// How often it is asked whether something is old enough to be forgotten, in seconds.
const UPKEEP_LOOK_SECONDS: i64 = 60;

/// Something to write.
pub(crate) enum Job {
    Open(Box<Open>),
    Look(Look),
    Note {
        execution: Arc<str>,
        note: Note,
        /// The claim was of what another has.
        refused: bool,
    },
    Change(Change),
    Work(Work),
    /// Ends the thread as a kill does.
    Crash,
}

/// Makes an execution this process's own.
pub(crate) struct Open {
    execution: Arc<str>,
    redact: Redact,
    result: Option<Result<Loaded, StateError>>,
    done: oneshot::Sender<Result<Loaded, StateError>>,
}

/// Reads what is known of some messages of an execution, after everything that was given before.
pub(crate) struct Look {
    execution: Arc<str>,
    keys: Vec<String>,
    found: Found,
    done: oneshot::Sender<Result<Found, StateError>>,
}

/// Messages by key.
pub(crate) type Found = Vec<(String, MessageEntry)>;

/// An entry of one execution.
pub(crate) enum Note {
    Claim(Claim, oneshot::Sender<Result<(), ClaimError>>),
    Settle(Part, PartOutcome),
    /// The part was confirmed, and with it the message ended so.
    Complete(Part, String, Recorded),
    Record(String, String, Recorded),
    /// The last one of an execution.
    Close(oneshot::Sender<Result<(), String>>),
    /// The last one of an execution that was not closed.
    Release,
}

/// A change of one account's limits and pauses.
pub(crate) struct Change {
    pub(crate) key: AccountKey,
    /// It outlives a power cut.
    pub(crate) durable: bool,
    /// May be called again when the first transaction fails.
    pub(crate) act: Act,
    pub(crate) done: oneshot::Sender<Result<(), StateError>>,
}

/// A change of anything else. It outlives a power cut.
pub(crate) struct Work {
    /// May be called again when the first transaction fails.
    pub(crate) act: WorkAct,
    pub(crate) done: oneshot::Sender<Result<(), StateError>>,
}

pub(crate) type WorkAct = Box<dyn FnMut(&Writing<'_>) -> Result<(), StateError> + Send>;

/// What a [`Work`] works with.
pub(crate) struct Writing<'w> {
    pub(crate) change: &'w Transaction<'w>,
    pub(crate) directory: &'w Path,
    /// This process's owner file.
    pub(crate) owner: &'w str,
    pub(crate) now: Moment,
    running: &'w RefCell<Running>,
}

/// Executions that this process runs, and since when, in seconds.
type Running = HashMap<Arc<str>, i64>;

impl Writing<'_> {
    /// Makes an execution this process's own, if nobody has ever had it. Returns whether that was so: then nothing is
    /// known of it.
    pub(crate) fn begin_execution(&self, key: &str) -> rusqlite::Result<bool> {
        let now = seconds(self.now);
        let made = self
            .change
            .prepare_cached(
                "INSERT INTO executions (key, owner, process, begun, changed) VALUES (?1, ?2, ?3, ?4, ?4)
                 ON CONFLICT (key) DO NOTHING",
            )?
            .execute(params![key, self.owner, std::process::id(), now])?;
        if made == 1 {
            self.running.borrow_mut().insert(key.into(), now);
        }
        Ok(made == 1)
    }
}

pub(crate) type Act = Box<dyn FnMut(&mut dyn AccountRows, Moment) -> Result<(), StateError> + Send>;

impl Job {
    pub(crate) fn open(execution: &str, redact: Redact, done: oneshot::Sender<Result<Loaded, StateError>>) -> Self {
        Self::Open(Box::new(Open {
            execution: execution.into(),
            redact,
            result: None,
            done,
        }))
    }

    pub(crate) fn look(
        execution: &Arc<str>,
        keys: Vec<String>,
        done: oneshot::Sender<Result<Found, StateError>>,
    ) -> Self {
        Self::Look(Look {
            execution: Arc::clone(execution),
            keys,
            found: Vec::new(),
            done,
        })
    }

    pub(crate) fn note(execution: &Arc<str>, note: Note) -> Self {
        Self::Note {
            execution: Arc::clone(execution),
            note,
            refused: false,
        }
    }

    /// Whether it is synced before it is answered.
    fn is_durable(&self) -> bool {
        match self {
            Self::Work(_) => true,
            Self::Note { note, .. } => matches!(note, Note::Claim(..) | Note::Close(_)),
            Self::Change(change) => change.durable,
            Self::Open(_) | Self::Look(_) | Self::Crash => false,
        }
    }

    /// Whether nobody waits for it.
    fn is_patient(&self) -> bool {
        let Self::Note { note, .. } = self else { return false };
        matches!(
            note,
            Note::Settle(..) | Note::Complete(..) | Note::Record(..) | Note::Release
        )
    }
}

pub(crate) struct Writer {
    directory: PathBuf,
    clock: Arc<dyn Clock>,
    on_commit: Option<OnCommit>,
    observer: Option<Arc<dyn CommitObserver>>,
    open: Option<Opened>,
    running: Running,
    /// When it was last asked what is old, in seconds.
    looked: Option<i64>,
    /// The last transaction failed.
    is_failing: bool,
}

/// The file, once it is open.
struct Opened {
    connection: Connection,
    owner: Owner,
    /// Which file it is.
    identity: Identity,
    /// How the connection is set: whether each commit is synced.
    synced: bool,
}

/// What one transaction works with.
struct Within<'w> {
    change: &'w Transaction<'w>,
    directory: &'w Path,
    owner: &'w str,
    clock: &'w Arc<dyn Clock>,
    running: &'w RefCell<Running>,
}

impl Writer {
    pub(crate) fn new(
        directory: &Path,
        clock: Arc<dyn Clock>,
        on_commit: Option<OnCommit>,
        observer: Option<Arc<dyn CommitObserver>>,
    ) -> Self {
        Self {
            directory: directory.to_owned(),
            clock,
            on_commit,
            observer,
            open: None,
            running: Running::new(),
            looked: None,
            is_failing: false,
        }
    }

    /// Works until its last sender is gone.
    pub(crate) fn work(&mut self, jobs: &Receiver<Job>) {
        // What could not be written waits for the next transaction.
        let mut waiting: Vec<Job> = Vec::new();
        loop {
            let is_over = match jobs.recv() {
                Ok(job) => {
                    waiting.push(job);
                    false
                }
                Err(_) => true,
            };
            collect(jobs, &mut waiting);
            let until = Instant::now() + COMPANY_TIMEOUT;
            while !is_over && waiting.iter().all(Job::is_patient) {
                let Ok(job) = jobs.recv_timeout(until.saturating_duration_since(Instant::now())) else {
                    break;
                };
                waiting.push(job);
                collect(jobs, &mut waiting);
            }
            if waiting.iter().any(|job| matches!(job, Job::Crash)) {
                if let Some(open) = self.open.take() {
                    open.owner.crash();
                }
                return;
            }
            if !waiting.is_empty() {
                waiting = self.process(waiting);
            }
            if is_over {
                return;
            }
        }
    }

    /// Writes jobs and answers them; returns those that are still to be written.
    fn process(&mut self, mut jobs: Vec<Job>) -> Vec<Job> {
        match self.write(&mut jobs) {
            Ok(()) => self.finish(jobs, &Ok(())),
            Err(_) if jobs.len() > 1 && self.open.is_some() => {
                let mut kept = Vec::new();
                for job in jobs {
                    let mut alone = vec![job];
                    let result = self.write(&mut alone);
                    kept.extend(self.finish(alone, &result));
                }
                kept
            }
            Err(error) => self.finish(jobs, &Err(error)),
        }
    }

    fn opened(&mut self) -> Result<&mut Opened, StateError> {
        if self.open.is_none() {
            let connection = file::open(&self.directory)?;
            let unusable = |error| StateError::unusable(self.directory.display(), error);
            self.open = Some(Opened {
                connection,
                identity: Identity::of(&self.directory).map_err(unusable)?,
                owner: Owner::new(&self.directory)?,
                synced: true,
            });
        }
        self.open
            .as_mut()
            .ok_or_else(|| StateError::unusable(self.directory.display(), "it is not open"))
    }

    fn write(&mut self, jobs: &mut [Job]) -> Result<(), StateError> {
        let place = self.directory.clone();
        let unusable = |error: rusqlite::Error| StateError::unusable(place.display(), error);
        let (clock, on_commit) = (Arc::clone(&self.clock), self.on_commit.clone());
        let running = RefCell::new(self.running.clone());
        let now = seconds(clock.now());
        let begins = jobs.iter().any(|job| matches!(job, Job::Open(_) | Job::Work(_)));
        let looks = begins
            && self
                .looked
                .is_none_or(|looked| !(0..UPKEEP_LOOK_SECONDS).contains(&(now - looked)));
        let synced = jobs.iter().any(Job::is_durable);
        let watched = self
            .observer
            .clone()
            .filter(|_| synced)
            .map(|observer| (observer, Instant::now()));
        let opened = self.opened()?;
        if !Identity::of(&place).is_ok_and(|found| found == opened.identity) {
            let reason =
                "its file was removed or replaced while it was in use; put it back, or end this process and begin anew";
            return Err(StateError::unusable(place.display(), reason));
        }
        if synced != opened.synced {
            let how = if synced { "full" } else { "normal" };
            opened
                .connection
                .pragma_update(None, "synchronous", how)
                .map_err(unusable)?;
            opened.synced = synced;
        }
        let change = opened
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(unusable)?;
        let mut within = Within {
            change: &change,
            directory: &place,
            owner: opened.owner.name(),
            clock: &clock,
            running: &running,
        };
        if looks {
            within.keep_up().map_err(unusable)?;
        }
        for job in jobs {
            within.apply(job)?;
        }
        if let Some(OnCommit(act)) = on_commit {
            act();
        }
        change.commit().map_err(unusable)?;
        if let Some((observer, begun)) = watched {
            observer.committed(begun.elapsed());
        }
        self.running = running.into_inner();
        if looks {
            self.looked = Some(now);
        }
        Ok(())
    }

    /// Tells those who wait, and returns what is still to be written.
    fn finish(&mut self, jobs: Vec<Job>, result: &Result<(), StateError>) -> Vec<Job> {
        // Said once, and not for each job.
        match (result, std::mem::replace(&mut self.is_failing, result.is_err())) {
            (Err(error), false) => tracing::error!(%error, "the state could not be written"),
            (Ok(()), true) => tracing::warn!("the state can be written again"),
            _ => {}
        }
        let reason = || match result {
            Err(StateError::Unusable { reason, .. }) => reason.clone(),
            Err(error) => error.to_string(),
            Ok(()) => String::new(),
        };
        let mut kept = Vec::new();
        for job in jobs {
            // Whoever no longer listens need not be told.
            match job {
                Job::Open(open) => {
                    let Open {
                        execution,
                        result: state,
                        done,
                        ..
                    } = *open;
                    let lost = || Err(StateError::unusable(self.directory.display(), "it gave no answer"));
                    let answer = match result {
                        Ok(()) => state.unwrap_or_else(lost),
                        Err(error) => Err(error.clone()),
                    };
                    let is_owned = answer.is_ok();
                    if done.send(answer).is_err() && is_owned {
                        kept.push(Job::note(&execution, Note::Release));
                    }
                }
                Job::Look(look) => drop(look.done.send(result.clone().map(|()| look.found))),
                Job::Note {
                    execution,
                    note,
                    refused,
                } => match (note, result) {
                    (Note::Claim(_, done), Ok(())) => {
                        drop(done.send(if refused { Err(ClaimError::Claimed) } else { Ok(()) }));
                    }
                    (Note::Claim(_, done), Err(_)) => drop(done.send(Err(ClaimError::Unrecorded(reason())))),
                    (Note::Close(done), Ok(())) => drop(done.send(Ok(()))),
                    (Note::Close(done), Err(_)) => {
                        drop(done.send(Err(reason())));
                        kept.push(Job::note(&execution, Note::Release));
                    }
                    (_, Ok(())) => {}
                    (note, Err(_)) => kept.push(Job::note(&execution, note)),
                },
                Job::Change(change) => drop(change.done.send(result.clone())),
                Job::Work(work) => drop(work.done.send(result.clone())),
                Job::Crash => {}
            }
        }
        kept
    }
}

/// Adds what waits already.
fn collect(jobs: &Receiver<Job>, waiting: &mut Vec<Job>) {
    while waiting.len() < TRANSACTION_JOBS_MAX {
        match jobs.try_recv() {
            Ok(job) => waiting.push(job),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
        }
    }
}

impl Within<'_> {
    fn apply(&mut self, job: &mut Job) -> Result<(), StateError> {
        let place = self.directory;
        let unusable = |error: rusqlite::Error| StateError::unusable(place.display(), error);
        let now = seconds(self.clock.now());
        match job {
            Job::Open(open) => {
                open.result = None;
                let taken = self.take(&open.execution, now).map_err(unusable)?;
                open.result = Some(match taken {
                    Some(taken) => Err(taken),
                    None => Ok(self.load(open, now).map_err(unusable)?),
                });
                Ok(())
            }
            Job::Look(look) => {
                look.found = ledger::look(self.change, &look.execution, &look.keys).map_err(unusable)?;
                Ok(())
            }
            Job::Note {
                execution,
                note,
                refused,
            } => {
                let execution: &str = execution;
                match note {
                    Note::Claim(claim_of, _) => {
                        *refused = !claim(self.change, execution, claim_of, now).map_err(unusable)?;
                        Ok(())
                    }
                    Note::Settle(part, outcome) => settle(self.change, execution, part, outcome, now),
                    Note::Complete(part, digest, recorded) => {
                        settle(self.change, execution, part, &PartOutcome::Confirmed(None), now)
                            .and_then(|()| record(self.change, execution, &part.key, digest, recorded, now))
                    }
                    Note::Record(key, digest, recorded) => record(self.change, execution, key, digest, recorded, now)
                        .and_then(|()| forget_outputs_of_parts(self.change, key)),
                    Note::Close(_) | Note::Release => {
                        self.running.borrow_mut().remove(execution);
                        self.change
                            .prepare_cached(
                                "UPDATE executions SET owner = NULL, changed = ?2 WHERE key = ?1 AND owner = ?3",
                            )
                            .and_then(|mut update| update.execute(params![execution, now, self.owner]))
                            .map(drop)
                    }
                }
                .map_err(unusable)
            }
            Job::Change(change) => (change.act)(
                &mut WithinAccount {
                    directory: self.directory,
                    change: self.change,
                    owner: self.owner,
                    key: &change.key,
                },
                self.clock.now(),
            ),
            Job::Work(work) => (work.act)(&Writing {
                change: self.change,
                directory: self.directory,
                owner: self.owner,
                now: self.clock.now(),
                running: self.running,
            }),
            Job::Crash => Ok(()),
        }
    }

    /// Takes an execution, or returns who has it.
    fn take(&mut self, execution: &Arc<str>, now: i64) -> rusqlite::Result<Option<StateError>> {
        let taken = |process: u32, begun: i64| StateError::Taken {
            execution: execution.to_string(),
            holder: Holder { machine: None, process },
            since: jiff::Timestamp::from_second(begun).unwrap_or_default(),
        };
        if let Some(begun) = self.running.borrow().get(execution) {
            return Ok(Some(taken(std::process::id(), *begun)));
        }
        let known: Option<(Option<String>, u32, i64)> = self
            .change
            .query_row(
                "SELECT owner, process, begun FROM executions WHERE key = ?1",
                [&**execution],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        if let Some((Some(other), process, begun)) = known
            && other != self.owner
            && is_alive(self.directory, &other)
        {
            return Ok(Some(taken(process, begun)));
        }
        self.change.execute(
            "INSERT INTO executions (key, owner, process, begun, changed) VALUES (?1, ?2, ?3, ?4, ?4)
             ON CONFLICT (key) DO UPDATE SET
               owner = excluded.owner, process = excluded.process, begun = excluded.begun, changed = excluded.changed",
            params![&**execution, self.owner, std::process::id(), now],
        )?;
        self.running.borrow_mut().insert(Arc::clone(execution), now);
        Ok(None)
    }

    /// Reads what is known of an execution that was just taken.
    fn load(&self, open: &Open, now: i64) -> rusqlite::Result<Loaded> {
        // Claimed by an owner that is gone, and never settled.
        self.change.execute(
            "UPDATE parts SET state = 'uncertain' WHERE state = 'claimed'
             AND message IN (SELECT key FROM messages WHERE execution = ?1)",
            [&*open.execution],
        )?;
        let mut loaded = ledger::load(
            self.change,
            &open.execution,
            Arc::clone(self.clock),
            open.redact.clone(),
        )?;
        // The owner before ended between the last word on a message and the record of it.
        for (key, digest, recorded) in loaded.open.record_completed() {
            record(self.change, &open.execution, &key, &digest, &recorded, now)?;
            forget_outputs_of_parts(self.change, &key)?;
        }
        Ok(loaded)
    }

    /// Forgets now and then what is old: see [`RETENTION_SECONDS`].
    fn keep_up(&self) -> rusqlite::Result<()> {
        let now = seconds(self.clock.now());
        let last: Option<i64> = self
            .change
            .query_row("SELECT at FROM upkeep WHERE name = 'forget'", [], |row| row.get(0))
            .optional()?;
        if last.is_some_and(|last| (0..UPKEEP_SECONDS).contains(&(now - last))) {
            return Ok(());
        }
        self.change
            .execute("INSERT OR REPLACE INTO upkeep (name, at) VALUES ('forget', ?1)", [now])?;
        owner::sweep(self.directory);
        forget(self.change, self.directory, now)
    }
}

/// Settled messages live thirty days, uncertain ones until somebody settles them. An execution is forgotten as a whole:
/// run again with half of it forgotten, it would send that half twice.
fn forget(change: &Transaction<'_>, directory: &Path, now: i64) -> rusqlite::Result<()> {
    let before = now - RETENTION_SECONDS;
    let mut select =
        change.prepare("SELECT DISTINCT owner FROM executions WHERE owner IS NOT NULL AND changed < ?1")?;
    let owners: HashSet<String> = select
        .query_map([before], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for owner in owners {
        if !is_alive(directory, &owner) {
            change.execute("UPDATE executions SET owner = NULL WHERE owner = ?1", [owner])?;
        }
    }
    change.execute(
        "DELETE FROM executions WHERE owner IS NULL AND changed < ?1
         AND NOT EXISTS (
           SELECT 1 FROM messages WHERE execution = executions.key AND (outcome IS NOT 'sent' OR changed >= ?1))",
        [before],
    )?;
    Ok(())
}

/// Makes a message's row, where there is none.
const ADD_MESSAGE: &str = "INSERT INTO messages (key, execution, digest, changed) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (key) DO NOTHING";

/// Returns whether it could be claimed. The memory has asked the same before; this asks for all executions.
fn claim(change: &Transaction<'_>, execution: &str, claim: &Claim, now: i64) -> rusqlite::Result<bool> {
    let mut taken = change.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM parts WHERE message = ?1 AND number = ?2 AND NOT ?4)
            OR EXISTS (SELECT 1 FROM messages WHERE key = ?1 AND execution <> ?3)",
    )?;
    for part in &claim.parts {
        let reopened = claim.reopened.contains(&part.key);
        if taken.query_row(params![part.key, part.number, execution, reopened], |row| row.get(0))? {
            return Ok(false);
        }
    }
    let mut reopen = change.prepare_cached("DELETE FROM parts WHERE message = ?1 AND state <> 'confirmed'")?;
    for key in &claim.reopened {
        reopen.execute([key])?;
    }
    let mut message = change.prepare_cached(
        "INSERT INTO messages (key, execution, digest, changed, in_doubt) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (key) DO UPDATE SET
           digest = excluded.digest, changed = excluded.changed, outcome = NULL, output = NULL, remainder = NULL,
           decided = 0, in_doubt = COALESCE(excluded.in_doubt, in_doubt)",
    )?;
    let mut insert =
        change.prepare_cached("INSERT INTO parts (message, number, state, changed) VALUES (?1, ?2, 'claimed', ?3)")?;
    for ((part, digest), in_doubt) in claim.parts.iter().zip(&claim.digests).zip(&claim.in_doubt) {
        message.execute(params![part.key, execution, digest, now, in_doubt])?;
        insert.execute(params![part.key, part.number, now])?;
    }
    Ok(true)
}

fn settle(
    change: &Transaction<'_>,
    execution: &str,
    part: &Part,
    outcome: &PartOutcome,
    now: i64,
) -> rusqlite::Result<()> {
    let (state, output) = match outcome {
        PartOutcome::Confirmed(output) => ("confirmed", output.as_deref()),
        PartOutcome::Uncertain => ("uncertain", None),
        PartOutcome::NotCommitted => {
            change
                .prepare_cached("DELETE FROM parts WHERE message = ?1 AND number = ?2")?
                .execute(params![part.key, part.number])?;
            // A message of which nothing was committed may have another content next time.
            change
                .prepare_cached(
                    "DELETE FROM messages WHERE key = ?1 AND outcome IS NULL
                     AND NOT EXISTS (SELECT 1 FROM parts WHERE message = ?1)",
                )?
                .execute([&part.key])?;
            return Ok(());
        }
    };
    // A part that was claimed has its row.
    let changed = change
        .prepare_cached("UPDATE parts SET state = ?3, output = ?4, changed = ?5 WHERE message = ?1 AND number = ?2")?
        .execute(params![part.key, part.number, state, output, now])?;
    if changed > 0 {
        return Ok(());
    }
    // One that was never announced has none yet.
    change
        .prepare_cached(ADD_MESSAGE)?
        .execute(params![part.key, execution, "", now])?;
    change
        .prepare_cached("INSERT INTO parts (message, number, state, output, changed) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![part.key, part.number, state, output, now])?;
    Ok(())
}

fn record(
    change: &Transaction<'_>,
    execution: &str,
    key: &str,
    digest: &str,
    recorded: &Recorded,
    now: i64,
) -> rusqlite::Result<()> {
    let outcome = if recorded.uncertain { "uncertain" } else { "sent" };
    let values = params![
        key,
        execution,
        digest,
        outcome,
        recorded.output,
        recorded.remainder,
        now
    ];
    // A message of which something was claimed has its row.
    let changed = change
        .prepare_cached(
            "UPDATE messages SET digest = ?3, outcome = ?4, output = ?5, remainder = ?6, changed = ?7, in_doubt = NULL
             WHERE key = ?1",
        )?
        .execute(values)?;
    if changed > 0 {
        return Ok(());
    }
    change
        .prepare_cached(
            "INSERT INTO messages (key, execution, digest, outcome, output, remainder, changed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(values)?;
    Ok(())
}

/// What a part said of its message stands in the message's row now.
fn forget_outputs_of_parts(change: &Transaction<'_>, key: &str) -> rusqlite::Result<()> {
    change
        .prepare_cached("UPDATE parts SET output = NULL WHERE message = ?1 AND output IS NOT NULL")?
        .execute([key])?;
    Ok(())
}
