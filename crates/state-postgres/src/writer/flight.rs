//! One flight: the statements of everything that waits, and what becomes of the answers.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::Object;
use pipepost_state::clock::{Clock, SystemClock, length, seconds};
use pipepost_state::ledger::{ClaimError, LedgerState, RETENTION_SECONDS, UPKEEP_SECONDS};
use pipepost_state::{Holder, StateError};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};

use super::asking::{Incarnation, Values, claim, close, look, note, open};
use super::pending::Pending;
use super::{Claiming, Closing, Open, Tenure, Writer};
use crate::book::Desk;
use crate::database::Fault;
use crate::entries;
use crate::statements::{
    ENTRIES_BEGUN, FORGET_EXECUTIONS, GIVE_UP, HOLDERS, INCARNATE, INCARNATION, TAKE_OVER, UPKEEP, now,
};

/// An execution that was taken.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) epoch: i64,
    /// The messages whose end is not recorded: those that an earlier owner was at.
    pub(crate) state: LedgerState,
    /// There may be others.
    pub(crate) has_earlier: bool,
}

/// Ends transactions of accounts with limits: $1 their numbers, $2 the worker, $3 microseconds, $4 `synchronous_commit`.
/// A moment later than the clock says, which tells whole ones.
const END: &str = concat!(
    "WITH ended AS (
      UPDATE pipepost.admissions SET ended = ",
    now!("$3"),
    " + 1 WHERE id = ANY ($1::int8[]) AND owner = $2::text AND ended IS NULL
    )
    SELECT set_config('synchronous_commit', $4::text, true)"
);

/// How many executions are forgotten in one transaction.
const FORGET_MAX: i64 = 500;

/// How long forgetting them may take.
const FORGET_TIME_MAX: Duration = Duration::from_secs(60);

/// Whether a statement is synced when it is committed.
fn sync(is_synced: bool) -> &'static str {
    if is_synced { "on" } else { "off" }
}

/// The answers of a flight; none where there was nothing to ask.
struct Answers {
    noted: Option<Result<Incarnation, Fault>>,
    ended: Option<Result<(), Fault>>,
    /// With the server's incarnation, where something was written and synced.
    closed: Option<Result<Option<Incarnation>, Fault>>,
    looked: Option<Result<Vec<Row>, Fault>>,
    opened: Option<Result<Vec<Row>, Fault>>,
    claimed: Option<Result<Vec<Row>, Fault>>,
}

impl Writer {
    /// Writes what waits. Fails with the reason when the database could not be reached; what is not answered then still
    /// waits.
    pub(super) async fn fly(&mut self) -> Result<(), String> {
        // What was found lost since the last flight goes before whatever this one takes or claims.
        self.desk.unsynced.borrow_mut().give_back(&mut self.pending);
        let answers = match self.ask().await {
            Ok(answers) => answers,
            Err(fault) => return self.not_asked(fault),
        };
        let mut lost = None;
        let mut note_lost = |fault: Fault| match fault {
            Fault::Lost(reason) | Fault::NotNow(reason) | Fault::InTheWay(reason) => {
                lost = Some(reason);
                None
            }
            other => Some(other),
        };
        match answers.noted {
            None => {}
            Some(Ok(incarnation)) => {
                let (settled, recorded) = self.pending.take_notes();
                self.desk.unsynced.borrow_mut().noted(settled, recorded, incarnation);
            }
            Some(Err(fault)) => {
                if let Some(fault) = note_lost(fault) {
                    self.note_apart(fault).await?;
                }
            }
        }
        match answers.ended {
            None => {}
            Some(Ok(())) => self.ends_are_written(),
            Some(Err(fault)) => {
                if let Some(fault) = note_lost(fault) {
                    let error = self.desk.database.told(fault);
                    // They count as under way until this process is gone.
                    tracing::warn!("{error} The end of a message was not noted for its account's limits.");
                    self.ends_are_written();
                }
            }
        }
        match answers.looked {
            None => {}
            Some(Ok(rows)) => self.looked(&rows),
            Some(Err(fault)) => {
                if let Some(fault) = note_lost(fault) {
                    let error = self.desk.database.told(fault);
                    for look in self.pending.looks.drain(..) {
                        drop(look.done.send(Err(error.clone())));
                    }
                }
            }
        }
        // A claim that went wrong took the sync with it that the others count on: they are asked again.
        let (has_claims, is_synced) = (answers.claimed.is_some(), !matches!(answers.claimed, Some(Err(_))));
        match answers.claimed {
            None => {}
            Some(Ok(rows)) => self.claimed(&rows),
            Some(Err(fault)) => {
                if let Some(fault) = note_lost(fault) {
                    self.claim_apart(fault).await?;
                }
            }
        }
        if let Some(reason) = lost {
            return Err(reason);
        }
        // These wait too for what passes.
        let mut lost = None;
        match answers.closed {
            Some(Ok(written)) if is_synced => {
                if let Some(incarnation) = written {
                    self.synced(incarnation);
                }
                self.closed(&Ok(()));
            }
            Some(Err(Fault::Lost(reason) | Fault::NotNow(reason) | Fault::InTheWay(reason))) => lost = Some(reason),
            Some(Err(fault)) => {
                let error = self.desk.database.told(fault).to_string();
                self.closed(&Err(error));
            }
            _ => {}
        }
        match answers.opened {
            Some(Ok(rows)) if is_synced => {
                // Of a flight with claims, those are what is synced.
                if let (false, Some(row)) = (has_claims, rows.first()) {
                    self.synced(row.get(4));
                }
                self.opened(&rows).await?;
            }
            Some(Err(Fault::Lost(reason) | Fault::NotNow(reason) | Fault::InTheWay(reason))) => lost = Some(reason),
            Some(Err(fault)) => {
                let error = self.desk.database.told(fault);
                for open in self.pending.opens.drain(..) {
                    drop(open.done.send(Err(error.clone())));
                }
            }
            _ => {}
        }
        self.desk.unsynced.borrow_mut().give_back(&mut self.pending);
        lost.map_or(Ok(()), Err)
    }

    /// Something of this flight was synced: with it, all that was noted before.
    fn synced(&self, incarnation: Incarnation) {
        let mut unsynced = self.desk.unsynced.borrow_mut();
        // Without a note it is still known that the server has an incarnation.
        let last = unsynced.last().unwrap_or_default();
        unsynced.synced(last, incarnation);
    }

    fn ends_are_written(&mut self) {
        self.pending.ends.clear();
        let notes = std::mem::take(&mut self.pending.end_notes);
        self.ended.send_modify(|ends| *ends += notes);
    }

    /// Nothing was asked, or nothing was heard.
    fn not_asked(&mut self, fault: Fault) -> Result<(), String> {
        match fault {
            Fault::Lost(reason) | Fault::NotNow(reason) | Fault::InTheWay(reason) => Err(reason),
            other => {
                // No server that may be used: everybody is told so.
                let error = self.desk.database.told(other);
                for open in self.pending.opens.drain(..) {
                    drop(open.done.send(Err(error.clone())));
                }
                for look in self.pending.looks.drain(..) {
                    drop(look.done.send(Err(error.clone())));
                }
                for claim in self.pending.claims.drain(..) {
                    drop(claim.done.send(Err(ClaimError::Unrecorded(error.to_string()))));
                }
                Err(error.to_string())
            }
        }
    }

    /// Sends all statements, and waits for their answers.
    async fn ask(&mut self) -> Result<Answers, Fault> {
        if self.desk.unsynced.borrow().needs_incarnation() {
            self.ask_incarnation(INCARNATE).await?;
        }
        if !self.pending.opens.is_empty() {
            self.desk.worker.known(&self.desk.database).await?;
            self.refuse_own();
            self.are_notes_there().await?;
            self.keep_up().await?;
        }
        let desk = &self.desk;
        for claim in &mut self.pending.claims {
            claim.was_asked = true;
        }
        let pending = &self.pending;
        let (worker, moment, second) = (desk.worker.id(), desk.moment(), desk.second());
        let ask = async |client: &mut Object| {
            let client: &Client = client;
            let has = |is_empty: bool| !is_empty;
            let (has_claims, has_opens) = (has(pending.claims.is_empty()), has(pending.opens.is_empty()));
            let has_durable_closes = pending.closes.iter().any(|closing| closing.is_durable);
            // In this order.
            let (noted, ended, looked, closed, opened, claimed) = tokio::join!(
                biased;
                async {
                    let has_notes = has(pending.settled.is_empty() && pending.recorded.is_empty());
                    if !has_notes { return None }
                    Some(note(client, pending, second, "off").await)
                },
                async {
                    if pending.end_notes == 0 { return None }
                    let values: Values<'_> = vec![
                        (&pending.ends, Type::INT8_ARRAY),
                        (&worker, Type::TEXT),
                        (&moment, Type::INT8),
                        (&"off", Type::TEXT),
                    ];
                    Some(client.query_typed(END, &values).await.map(drop))
                },
                async {
                    if pending.looks.is_empty() {
                        return None;
                    }
                    Some(look(client, &pending.looks).await)
                },
                async {
                    if pending.closes.is_empty() { return None }
                    let is_synced = has_durable_closes && !has_opens && !has_claims;
                    let closed = close(client, &pending.closes, worker, second, sync(is_synced)).await;
                    Some(closed.map(|(count, incarnation)| (is_synced && count > 0).then_some(incarnation)))
                },
                async {
                    if !has_opens { return None }
                    Some(open(client, &pending.opens, worker, second, sync(!has_claims)).await)
                },
                async {
                    if !has_claims { return None }
                    let begun = Instant::now();
                    let claimed = claim(client, &pending.claims, worker, second).await;
                    if let (Some(observer), true) = (&desk.observer, claimed.is_ok()) {
                        observer.committed(begun.elapsed());
                    }
                    Some(claimed)
                },
            );
            let (noted, ended, looked) = (noted.map(done), ended.map(done), looked.map(done));
            let (closed, opened, claimed) = (closed.map(done), opened.map(done), claimed.map(done));
            let answers = Answers {
                noted,
                ended,
                looked,
                closed,
                opened,
                claimed,
            };
            for fault in answers.faults().into_iter().flatten() {
                desk.database.noticed(fault);
            }
            match answers.lost() {
                Some(reason) if client.is_closed() => Err(Fault::Lost(reason)),
                _ => Ok(answers),
            }
        };
        desk.database.soon(ask).await
    }

    /// Finds out whether what was noted of an execution is there before its next owner takes it, for whom only a confirmation
    /// counts of what comes later.
    async fn are_notes_there(&mut self) -> Result<(), Fault> {
        let is_noted = {
            let executions = self.pending.opens.iter().map(|open| &*open.execution).collect();
            self.desk.unsynced.borrow().holds_any(&executions)
        };
        if is_noted {
            self.ask_incarnation(INCARNATION).await?;
        }
        Ok(())
    }

    /// Asks for the server's incarnation. What another one may have lost goes with this flight.
    async fn ask_incarnation(&mut self, statement: &str) -> Result<(), Fault> {
        let ask = async |client: &mut Object| Ok(client.query_typed_one(statement, &[]).await?.get(0));
        let incarnation = self.desk.database.soon(ask).await?;
        let mut unsynced = self.desk.unsynced.borrow_mut();
        unsynced.seen(incarnation);
        unsynced.give_back(&mut self.pending);
        Ok(())
    }

    /// Tells those who ask for what this process already runs, and lets the second of two wait for the first.
    fn refuse_own(&mut self) {
        let mut asked: HashSet<Arc<str>> = HashSet::new();
        let (running, closes) = (&self.running, &self.pending.closes);
        // What is given up in this flight is given up before it is taken again.
        let is_given_up = |execution: &Arc<str>| closes.iter().any(|close| close.tenure.execution == *execution);
        let refused = self.pending.opens.extract_if(.., |open| {
            running.contains_key(&open.execution) && !is_given_up(&open.execution)
                || !asked.insert(Arc::clone(&open.execution))
        });
        for open in refused {
            let begun = self.running.get(&open.execution).copied();
            let error = taken(&open.execution, None, std::process::id(), begun.unwrap_or_default());
            drop(open.done.send(Err(error)));
        }
    }

    /// Waits until what was taken without an answer has waited for a lease: then no statement of then is on its way any more.
    pub(super) fn until_strays_are_old(&self) -> impl Future<Output = ()> + use<> {
        let left = self
            .stray
            .map(|since| self.desk.database.address.lease.saturating_sub(since.elapsed()));
        async move {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Gives up what this worker owns and does not run.
    pub(super) async fn give_strays_up(&mut self) {
        let desk = &self.desk;
        let runs: Vec<&str> = self.running.keys().map(|key| &**key).collect();
        let (worker, lease) = (desk.worker.id(), length(desk.database.address.lease));
        let give_up = async |client: &mut Object| {
            let values: Values<'_> = vec![(&worker, Type::TEXT), (&runs, Type::TEXT_ARRAY), (&lease, Type::INT8)];
            client.query_typed(GIVE_UP, &values).await?;
            Ok(())
        };
        self.stray = match desk.database.soon(give_up).await {
            Ok(()) => None,
            Err(_) => Some(Instant::now()),
        };
    }

    /// Forgets now and then what is old: see [`RETENTION_SECONDS`]. One piece at once, and what is left meanwhile.
    async fn keep_up(&mut self) -> Result<(), Fault> {
        let clock = self.desk.second();
        let now = clock.unwrap_or_else(|| seconds(SystemClock.now()));
        let is_fresh = |last: i64| (0..UPKEEP_SECONDS).contains(&(now - last));
        if self.upkeep.is_some_and(is_fresh) {
            return Ok(());
        }
        let ask = async |client: &mut Object| {
            let values: Values<'_> = vec![(&clock, Type::INT8), (&UPKEEP_SECONDS, Type::INT8)];
            Ok(client.query_typed_opt(UPKEEP, &values).await?.is_some())
        };
        let is_due = self.desk.database.soon(ask).await?;
        self.upkeep = Some(now);
        if is_due && forget(&self.desk, clock).await? {
            let desk = Rc::clone(&self.desk);
            tokio::task::spawn_local(async move { while matches!(forget(&desk, clock).await, Ok(true)) {} });
        }
        Ok(())
    }

    /// Hands over what was read.
    fn looked(&mut self, rows: &[Row]) {
        let found: HashMap<String, _> = entries::read(rows)
            .into_iter()
            .map(|found| (found.key, (found.execution, found.entry)))
            .collect();
        for look in self.pending.looks.drain(..) {
            let own = look.keys.into_iter().filter_map(|key| {
                let (execution, entry) = found.get(&key)?;
                (**execution == *look.execution).then(|| (key, entry.clone()))
            });
            drop(look.done.send(Ok(own.collect())));
        }
    }

    /// Answers claims.
    fn claimed(&mut self, rows: &[Row]) {
        let mut verdicts: HashMap<i32, (bool, bool)> = HashMap::new();
        for row in rows {
            verdicts.insert(row.get(0), (row.get(1), row.get(2)));
        }
        let granted = rows.iter().find(|row| !row.get::<_, bool>(1) && !row.get::<_, bool>(2));
        if let Some(row) = granted {
            self.synced(row.get(5));
        }
        for (claim, number) in self.pending.claims.drain(..).zip(0_i32..) {
            let answer = match verdicts.get(&number) {
                Some((false, false)) => {
                    self.desk.unsynced.borrow_mut().claimed(&claim.claim.parts);
                    Ok(())
                }
                Some((true, _)) => Err(ClaimError::Unrecorded(
                    "another worker has taken the execution over".to_owned(),
                )),
                Some((false, true)) => Err(ClaimError::Claimed),
                None => Err(ClaimError::Unrecorded("the database gave no answer".to_owned())),
            };
            drop(claim.done.send(answer));
        }
    }

    /// Claims one after the other, since something stood in the way of all together.
    async fn claim_apart(&mut self, fault: Fault) -> Result<(), String> {
        if self.pending.claims.len() == 1 {
            for claim in self.pending.claims.drain(..) {
                drop(claim.done.send(Err(refusal(&fault))));
            }
            return Ok(());
        }
        let claims: Vec<Claiming> = self.pending.claims.drain(..).collect();
        let mut claims = claims.into_iter();
        while let Some(alone) = claims.next() {
            self.pending.claims.push(alone);
            let (desk, pending) = (&self.desk, &self.pending);
            let (worker, second) = (desk.worker.id(), desk.second());
            let ask = async |client: &mut Object| Ok(claim(client, &pending.claims, worker, second).await?);
            match desk.database.soon(ask).await {
                Ok(rows) => self.claimed(&rows),
                Err(Fault::Lost(reason) | Fault::NotNow(reason) | Fault::InTheWay(reason)) => {
                    self.pending.claims.extend(claims);
                    return Err(reason);
                }
                Err(fault) => {
                    for claim in self.pending.claims.drain(..) {
                        drop(claim.done.send(Err(refusal(&fault))));
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes notes one after the other, since one of them cannot be written.
    async fn note_apart(&mut self, fault: Fault) -> Result<(), String> {
        tracing::error!(
            reason = fault.reason(),
            "notes on messages could not be written together"
        );
        let settled = std::mem::take(&mut self.pending.settled);
        let recorded = std::mem::take(&mut self.pending.recorded);
        let mut apart: Vec<Pending> = Vec::new();
        for (part, note) in settled {
            apart.push(Pending {
                settled: [(part, note)].into(),
                ..Pending::default()
            });
        }
        for (key, note) in recorded {
            apart.push(Pending {
                recorded: [(key, note)].into(),
                ..Pending::default()
            });
        }
        let mut apart = apart.into_iter();
        while let Some(alone) = apart.next() {
            let second = self.desk.second();
            let ask = async |client: &mut Object| Ok(note(client, &alone, second, "off").await?);
            match self.desk.database.soon(ask).await {
                Ok(incarnation) => {
                    let mut alone = alone;
                    let (settled, recorded) = alone.take_notes();
                    self.desk.unsynced.borrow_mut().noted(settled, recorded, incarnation);
                }
                Err(Fault::Lost(reason) | Fault::NotNow(reason) | Fault::InTheWay(reason)) => {
                    for left in std::iter::once(alone).chain(apart) {
                        self.pending.settled.extend(left.settled);
                        self.pending.recorded.extend(left.recorded);
                    }
                    return Err(reason);
                }
                Err(fault) => {
                    // It stays claimed, which reads as uncertain.
                    tracing::error!(
                        reason = fault.reason(),
                        "the end of a message could not be written down"
                    );
                }
            }
        }
        Ok(())
    }

    fn closed(&mut self, result: &Result<(), String>) {
        for closing in self.pending.closes.drain(..) {
            self.running.remove(&closing.tenure.execution);
            if let Some(done) = closing.done {
                drop(done.send(result.clone()));
            }
        }
    }

    /// Reads what is known of the executions that were taken, and hands them over.
    async fn opened(&mut self, rows: &[Row]) -> Result<(), String> {
        let taken_now: HashMap<String, (i64, i64)> =
            rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
        // The first time there is nothing to read.
        let old: Vec<(&str, i64)> = taken_now
            .iter()
            .filter(|(_, (epoch, _))| *epoch > 1)
            .map(|(key, (epoch, _))| (key.as_str(), *epoch))
            .collect();
        let (keys, epochs): (Vec<&str>, Vec<i64>) = old.into_iter().unzip();
        let others: Vec<&str> = self
            .pending
            .opens
            .iter()
            .map(|open| &*open.execution)
            .filter(|key| !taken_now.contains_key(*key))
            .collect();
        let ask = async |client: &mut Object| {
            let client: &Client = client;
            let (doubtful, found, holders) = tokio::join!(
                biased;
                async {
                    if keys.is_empty() { return Ok(Vec::new()) }
                    let values: Values<'_> = vec![
                        (&keys, Type::TEXT_ARRAY),
                        (&epochs, Type::INT8_ARRAY),
                        (&"off", Type::TEXT),
                    ];
                    client.query_typed(TAKE_OVER, &values).await
                },
                async {
                    if keys.is_empty() { return Ok(Vec::new()) }
                    client.query_typed(ENTRIES_BEGUN, &[(&keys, Type::TEXT_ARRAY)]).await
                },
                async {
                    if others.is_empty() { return Ok(Vec::new()) }
                    client.query_typed(HOLDERS, &[(&others, Type::TEXT_ARRAY)]).await
                },
            );
            doubtful?;
            Ok((found?, holders?))
        };
        // An execution may have a million messages.
        let bound = self.desk.database.address.patience() * 4;
        let answer = match keys.is_empty() && others.is_empty() {
            true => Ok((Vec::new(), Vec::new())),
            false => self.desk.database.with(bound, ask).await,
        };
        let (found, holders) = match answer {
            Ok(found) => found,
            Err(Fault::Lost(reason) | Fault::NotNow(reason) | Fault::InTheWay(reason)) => return Err(reason),
            Err(fault) => {
                let error = self.desk.database.told(fault);
                for open in self.pending.opens.drain(..) {
                    drop(open.done.send(Err(error.clone())));
                }
                return Ok(());
            }
        };
        let mut entries: HashMap<String, HashMap<_, _>> = HashMap::new();
        for found in entries::read(&found) {
            entries
                .entry(found.execution)
                .or_default()
                .insert(found.key, found.entry);
        }
        let mut running: HashMap<String, StateError> = HashMap::new();
        for row in holders {
            let (key, begun): (String, i64) = (row.get(0), row.get(1));
            let (host, process): (Option<String>, Option<i64>) = (row.get(2), row.get(3));
            let process = process
                .and_then(|process| u32::try_from(process).ok())
                .unwrap_or_default();
            let error = taken(&key, host, process, begun);
            running.insert(key, error);
        }
        for open in std::mem::take(&mut self.pending.opens) {
            let Open {
                execution,
                redact,
                done,
                ..
            } = open;
            let Some((epoch, begun)) = taken_now.get(&*execution).copied() else {
                let error = running.remove(&*execution);
                let given_up = || taken(&execution, None, 0, 0);
                drop(done.send(Err(error.unwrap_or_else(given_up))));
                continue;
            };
            let clock: Arc<dyn Clock> = match self.desk.clock() {
                Some(clock) => Arc::clone(clock),
                None => Arc::new(SystemClock),
            };
            let messages = entries.remove(&*execution).unwrap_or_default();
            let mut state = LedgerState::with(messages, clock, redact);
            let tenure = Tenure {
                execution: Arc::clone(&execution),
                epoch,
            };
            // The owner before ended between the last word on a message and the record of it.
            for (key, digest, recorded) in state.record_completed() {
                self.pending.recorded.insert(key, (tenure.clone(), digest, recorded));
            }
            self.running.insert(Arc::clone(&execution), begun);
            if done
                .send(Ok(Opened {
                    epoch,
                    state,
                    // The first take makes the execution.
                    has_earlier: epoch > 1,
                }))
                .is_err()
            {
                self.pending.closes.push(Closing {
                    tenure,
                    done: None,
                    is_durable: false,
                    asked: Instant::now(),
                });
            }
        }
        Ok(())
    }
}

/// Forgets some executions, and returns whether there may be more. Settled messages live thirty days, uncertain ones until
/// somebody settles them. An execution is forgotten as a whole: run again with half of it forgotten, it would send that half
/// twice.
async fn forget(desk: &Desk, clock: Option<i64>) -> Result<bool, Fault> {
    let forget = async |client: &mut Object| {
        let values: Values<'_> = vec![
            (&clock, Type::INT8),
            (&RETENTION_SECONDS, Type::INT8),
            (&FORGET_MAX, Type::INT8),
        ];
        Ok(client.execute_typed(FORGET_EXECUTIONS, &values).await?)
    };
    let forgotten = desk.database.with(FORGET_TIME_MAX, forget).await?;
    Ok(forgotten >= FORGET_MAX.unsigned_abs())
}

impl Answers {
    fn lost(&self) -> Option<String> {
        let of = |answer: Option<&Fault>| match answer {
            Some(Fault::Lost(reason)) => Some(reason.clone()),
            _ => None,
        };
        self.faults().into_iter().find_map(of)
    }

    fn faults(&self) -> [Option<&Fault>; 6] {
        let [looked, opened, claimed] = [&self.looked, &self.opened, &self.claimed].map(fault);
        [
            fault(&self.noted),
            fault(&self.ended),
            fault(&self.closed),
            looked,
            opened,
            claimed,
        ]
    }
}

/// Why something that was asked was not done.
fn fault<T>(answer: &Option<Result<T, Fault>>) -> Option<&Fault> {
    answer.as_ref()?.as_ref().err()
}

fn done<T>(answer: Result<T, Error>) -> Result<T, Fault> {
    answer.map_err(Fault::from)
}

/// What a claim alone is answered.
fn refusal(fault: &Fault) -> ClaimError {
    match fault {
        // Another execution claimed the same at the same moment.
        Fault::Refused(error) if error.code() == Some(&SqlState::DIVISION_BY_ZERO) => ClaimError::Claimed,
        Fault::Refused(error) => ClaimError::Unrecorded(
            error
                .as_db_error()
                .map_or_else(|| error.to_string(), |error| error.message().to_owned()),
        ),
        Fault::Not(error) => ClaimError::Unrecorded(error.to_string()),
        Fault::Lost(reason) | Fault::NotNow(reason) | Fault::InTheWay(reason) => ClaimError::Unrecorded(reason.clone()),
    }
}

fn taken(execution: &str, machine: Option<String>, process: u32, begun: i64) -> StateError {
    StateError::Taken {
        execution: execution.to_owned(),
        holder: Holder { machine, process },
        since: jiff::Timestamp::from_second(begun).unwrap_or_default(),
    }
}
