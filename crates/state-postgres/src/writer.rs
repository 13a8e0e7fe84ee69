//! The one who writes the ledger: everything that waits at a moment, from all executions, goes out in one flight of
//! statements over one connection, without waiting in between.
//!
//! What was settled goes first and is not synced: it is kept until a commit that is synced came after it, and written again
//! where a crash of the server may have lost it. If this process is lost too, what was settled becomes uncertain, and is never
//! sent twice. The last statement that has to be durable is synced, which makes those before it durable with
//! it; nobody is answered earlier. When an answer is lost, the same is asked again: each statement tells whose the rows
//! are. When that takes too long, a claim is answered as unrecorded, and nothing is sent.

mod asking;
mod flight;
mod pending;
mod unsynced;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use flight::Opened;
use pending::Pending;
use pipepost_state::ledger::{Claim, ClaimError, MessageEntry, Part, PartOutcome, Recorded};
use pipepost_state::{Redact, StateError};
use tokio::sync::{mpsc, oneshot, watch};
pub(crate) use unsynced::Unsynced;

use crate::book::Desk;
use crate::worker;

/// Most jobs of one flight.
const JOBS_MAX: usize = 4096;

/// How long to wait before the database is asked again that could not be reached.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// How many bounds of an answer a caller waits, before it is told that the database cannot be reached.
const BOUNDS: u32 = 2;

/// One ownership of an execution.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Tenure {
    pub(crate) execution: Arc<str>,
    pub(crate) epoch: i64,
}

/// Something to write.
pub(crate) enum Job {
    Open(Open),
    Claim(Claiming),
    Settle(Tenure, Part, PartOutcome),
    Record(Tenure, String, String, Recorded),
    Close(Closing),
    Look(Look),
    /// Transactions of accounts with limits that have ended.
    End(Vec<i64>),
}

/// Makes an execution this process's own.
pub(crate) struct Open {
    pub(crate) execution: Arc<str>,
    pub(crate) redact: Redact,
    pub(crate) done: oneshot::Sender<Result<Opened, StateError>>,
    pub(crate) asked: Instant,
}

/// Claims parts.
pub(crate) struct Claiming {
    pub(crate) tenure: Tenure,
    pub(crate) claim: Claim,
    pub(crate) done: oneshot::Sender<Result<(), ClaimError>>,
    pub(crate) asked: Instant,
    /// It was asked, so it may be written down though nobody was told.
    pub(crate) was_asked: bool,
}

/// Reads what is known of some messages of an execution, after all that was noted.
pub(crate) struct Look {
    pub(crate) execution: Arc<str>,
    pub(crate) keys: Vec<String>,
    pub(crate) done: oneshot::Sender<Result<Vec<(String, MessageEntry)>, StateError>>,
    pub(crate) asked: Instant,
}

/// Gives an execution up. Nobody may wait for it.
pub(crate) struct Closing {
    pub(crate) tenure: Tenure,
    pub(crate) done: Option<oneshot::Sender<Result<(), String>>>,
    /// It is synced before it is answered.
    pub(crate) is_durable: bool,
    pub(crate) asked: Instant,
}

/// The one who writes.
struct Writer {
    desk: Rc<Desk>,
    pending: Pending,
    /// Executions that this process runs, and since when, in seconds.
    running: HashMap<Arc<str>, i64>,
    ended: watch::Sender<u64>,
    /// When old executions were forgotten last, as far as this process knows, in seconds.
    upkeep: Option<i64>,
    /// Something was taken, and the answer was lost: since when it was not given up.
    stray: Option<Instant>,
}

/// Works until its last sender is gone and everything is written.
pub(crate) async fn work(desk: Rc<Desk>, mut jobs: mpsc::UnboundedReceiver<Job>, ended: watch::Sender<u64>) {
    let mut writer = Writer {
        desk,
        pending: Pending::default(),
        running: HashMap::new(),
        ended,
        upkeep: None,
        stray: None,
    };
    let mut is_over = false;
    loop {
        if writer.pending.is_empty() {
            let next = tokio::select! {
                biased;
                next = jobs.recv() => next,
                () = writer.until_strays_are_old() => {
                    writer.give_strays_up().await;
                    continue;
                }
                () = writer.desk.has_lost_notes.notified() => {
                    writer.desk.unsynced.borrow_mut().give_back(&mut writer.pending);
                    continue;
                }
            };
            match next {
                Some(job) => writer.pending.add(job),
                None if writer.is_settled().await => return,
                None => is_over = true,
            }
        }
        while writer.pending.len() < JOBS_MAX {
            match jobs.try_recv() {
                Ok(job) => writer.pending.add(job),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    is_over = true;
                    break;
                }
            }
        }
        let Err(reason) = writer.fly().await else { continue };
        writer.give_up(&reason);
        if writer.pending.is_empty() {
            continue;
        }
        // What comes in meanwhile finds the database as it is.
        if is_over {
            tokio::time::sleep(RETRY_INTERVAL).await;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_INTERVAL) => {}
            job = jobs.recv() => match job {
                Some(job) => writer.pending.add(job),
                None => is_over = true,
            },
        }
    }
}

impl Writer {
    /// Finds out whether everything that was noted is there to stay; what is not waits again.
    async fn is_settled(&mut self) -> bool {
        if self.desk.unsynced.borrow().last().is_some() && worker::sign(&self.desk).await.is_ok() {
            self.desk.unsynced.borrow_mut().give_back(&mut self.pending);
        }
        self.pending.is_empty()
    }

    /// Tells those who have waited too long.
    fn give_up(&mut self, reason: &str) {
        let bound = self.desk.database.address.patience() * BOUNDS;
        let is_late = |asked: Instant| asked.elapsed() >= bound;
        let place = self.desk.database.address.place();
        for late in self.pending.opens.extract_if(.., |open| is_late(open.asked)) {
            // It may have been taken all the same.
            self.stray.get_or_insert_with(Instant::now);
            // Whoever no longer listens need not be told, here and below.
            drop(late.done.send(Err(StateError::unreachable(place, reason))));
        }
        for late in self.pending.looks.extract_if(.., |look| is_late(look.asked)) {
            drop(late.done.send(Err(StateError::unreachable(place, reason))));
        }
        let late: Vec<Claiming> = self
            .pending
            .claims
            .extract_if(.., |claim| is_late(claim.asked))
            .collect();
        for late in late {
            // Nothing is sent, so what may stand there is no claim; but one that takes the place of an uncertain one
            // leaves that as it may be.
            if late.was_asked && late.claim.reopened.is_empty() {
                for part in &late.claim.parts {
                    self.pending
                        .settle(&late.tenure, part.clone(), PartOutcome::NotCommitted);
                }
            }
            let reason = format!("the database cannot be reached: {reason}");
            drop(late.done.send(Err(ClaimError::Unrecorded(reason))));
        }
        for closing in &mut self.pending.closes {
            if is_late(closing.asked)
                && let Some(done) = closing.done.take()
            {
                // It stays to be written; and the lease ends it in any case.
                drop(done.send(Err(format!("the database cannot be reached: {reason}"))));
            }
        }
    }
}
