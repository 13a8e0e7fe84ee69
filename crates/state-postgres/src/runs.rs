//! Runs that several workers perform.
//!
//! Every change is one transaction, synced before it is answered. Whoever takes what waits leaves out what another worker
//! is about to take. A run that is under way belongs to the worker that is written beside it, in the epoch of this
//! beginning; whoever lost it writes nothing down any more.

mod rows;

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::Object;
use pipepost_state::clock::{Moment, length};
use pipepost_state::runs::{
    Accepted, AccountWait, Decided, Lease, NewRun, PinnedDocument, QueueAgain, QueueLength, Room, Run, RunEnd,
    RunFailure, RunFilter, RunId, RunState, RunStore, ScheduleEntry, ScheduleNote, TraceContext,
};
use pipepost_state::{Answer, StateError};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Transaction};

use crate::book::{Book, Desk};
use crate::database::Fault;
use crate::statements::{
    ACCEPT, ACCEPTED, ACCOUNT_GOES_ON, AHEAD, BY_ID, BY_ID_TO_CHANGE, BY_KEY, DOCUMENT, FINISH, FORGET_DOCUMENTS,
    FORGET_PAYLOADS, FORGET_RUNS, FORGET_WORKERS, KNOWN, LENGTH, LIST, LOCK_PIPELINE, LOCK_PIPELINES, MAKE_PIPELINES,
    NOTE_SCHEDULE, NOW, PAUSE_PIPELINE, PROBE, PROBE_RUN, RECOVER, SCHEDULES, SIGNS_AHEAD, TAKE, UPDATE,
};

/// How long it is believed that a document is in the database, before it is given once more. Documents that no run needs
/// are kept for longer.
const DOCUMENT_FRESH: Duration = Duration::from_secs(10 * 60);

/// How long a document is kept that no run needs.
const DOCUMENT_KEPT: Duration = Duration::from_secs(60 * 60);

/// How many bounds of an answer pass until nobody asks any more what became of an order.
const BOUNDS: u32 = 2;

/// How long to wait before it is asked again.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// How many rows are forgotten in one transaction.
const FORGET_MAX: i64 = 5000;

/// How long forgetting may take.
const FORGET_TIME_MAX: Duration = Duration::from_secs(10 * 60);

/// The runs of a database.
#[derive(Debug)]
pub(crate) struct PostgresRuns {
    book: Arc<Book>,
}

type Values<'v> = Vec<(&'v (dyn ToSql + Sync), Type)>;

impl PostgresRuns {
    pub(crate) fn new(book: Arc<Book>) -> Self {
        Self { book }
    }

    /// Looks something up with a statement without values.
    fn read<T: Send + 'static>(
        &self,
        statement: &'static str,
        read: impl FnOnce(Vec<Row>) -> Result<T, StateError> + Send + 'static,
    ) -> Answer<'static, Result<T, StateError>> {
        self.book.act(async move |desk| {
            let ask = async |client: &mut Object| Ok(client.query_typed(statement, &[]).await?);
            Ok(read(desk.database.soon(ask).await?)?)
        })
    }

    /// Looks a run up.
    fn one(&self, statement: &'static str, value: String) -> Answer<'static, Result<Option<Run>, StateError>> {
        self.book.act(async move |desk| {
            let ask =
                async |client: &mut Object| Ok(client.query_typed_opt(statement, &[(&value, Type::TEXT)]).await?);
            let row = desk.database.soon(ask).await?;
            Ok(row.map(|row| rows::read(&row)).transpose()?)
        })
    }

    /// Writes down how a run goes on, if it is still this performer's. After a lost answer the same is asked again, and
    /// finds what it wrote.
    fn ended(&self, lease: &Lease, wait: Option<Duration>, run: Run) -> Answer<'static, Result<bool, StateError>> {
        let lease = lease.clone();
        self.book.act(async move |desk| {
            let wait = wait.map(length);
            let drops_shown = lease.run.shown.is_some() && run.shown.is_none();
            // As it was, it need not be sent once more.
            let message = run.message.as_ref().filter(|_| drops_shown);
            let (id, retries, moment) = (lease.run.id.as_str(), i64::from(run.retries), desk.moment());
            let (state, kind, failure) = (run.state.as_str(), kind_of(&run), failure_of(&run));
            let counts = [run.counts.sent, run.counts.failed, run.counts.uncertain].map(rows::signed);
            let values: Values<'_> = vec![
                (&id, Type::TEXT),
                (&lease.run.epoch, Type::INT8),
                (&lease.run.owner, Type::TEXT),
                (&state, Type::TEXT),
                (&wait, Type::INT8),
                (&retries, Type::INT8),
                (&run.output, Type::TEXT),
                (&kind, Type::TEXT),
                (&failure, Type::TEXT),
                (&counts[0], Type::INT8),
                (&counts[1], Type::INT8),
                (&counts[2], Type::INT8),
                (&message, Type::TEXT),
                (&drops_shown, Type::BOOL),
                (&moment, Type::INT8),
            ];
            let mut was_lost = false;
            loop {
                let write = async |client: &mut Object| {
                    let row = client.query_typed_one(FINISH, &values).await?;
                    let (written, found): (bool, bool) = (row.get(0), row.get(1));
                    Ok(written || was_lost && found)
                };
                match desk.database.soon(write).await {
                    Err(Fault::Lost(_) | Fault::NotNow(_)) if !was_lost => was_lost = true,
                    Err(Fault::InTheWay(_)) => {}
                    Ok(is_mine) => {
                        desk.leases.borrow_mut().remove(lease.run.id.as_str());
                        if wait.is_some() || desk.limited.borrow().contains(&lease.run.pipeline) {
                            // Another worker may have waited for its place.
                            desk.tell_queued();
                        }
                        return Ok(is_mine);
                    }
                    Err(fault) => return Err(fault),
                }
            }
        })
    }

    /// Applies a rule to one run.
    fn decide(
        &self,
        id: &RunId,
        act: impl Fn(&mut Run, Moment) -> bool + Send + 'static,
    ) -> Answer<'static, Result<Decided, StateError>> {
        let id = id.as_str().to_owned();
        self.book.act(async move |desk| {
            let moment = desk.moment();
            let was_asked = Cell::new(false);
            let decide = async |client: &mut Object| {
                was_asked.set(true);
                let change = begin(client).await?;
                let values: Values<'_> = vec![(&id, Type::TEXT), (&moment, Type::INT8)];
                let Some(row) = change.query_typed_opt(BY_ID_TO_CHANGE, &values).await? else {
                    return Ok(Decided::Unknown);
                };
                let mut run = rows::read(&row)?;
                if !act(&mut run, row.get(rows::AFTER)) {
                    return Ok(Decided::NotNow(run));
                }
                update(&change, &run).await?;
                change.commit().await?;
                Ok(Decided::Done(run))
            };
            let decided = match desk.database.soon(decide).await {
                Err(Fault::Lost(reason)) if was_asked.get() => {
                    let place = desk.database.address.place();
                    return Err(Fault::Not(StateError::unanswered(place, reason)));
                }
                other => other?,
            };
            if let Decided::Done(run) = &decided
                && !run.state.is_end()
            {
                desk.tell_queued();
            }
            Ok(decided)
        })
    }
}

fn kind_of(run: &Run) -> Option<&str> {
    run.failure.as_ref().map(|failure| failure.kind.as_str())
}

fn failure_of(run: &Run) -> Option<&str> {
    run.failure.as_ref().map(|failure| failure.object.as_str())
}

/// Begins a transaction that is synced when it is committed.
async fn begin(client: &mut Object) -> Result<deadpool_postgres::Transaction<'_>, Fault> {
    let change = client.transaction().await?;
    change.batch_execute("SET LOCAL synchronous_commit = on").await?;
    Ok(change)
}

/// Writes what can change in a run.
async fn update(change: &Transaction<'_>, run: &Run) -> Result<(), Fault> {
    let (id, state) = (run.id.as_str(), run.state.as_str());
    let numbers = [run.retries, run.attempt, run.deaths].map(i64::from);
    let (kind, failure) = (kind_of(run), failure_of(run));
    let counts = [run.counts.sent, run.counts.failed, run.counts.uncertain].map(rows::signed);
    let values: Values<'_> = vec![
        (&id, Type::TEXT),
        (&run.message, Type::TEXT),
        (&run.shown, Type::TEXT),
        (&run.globals, Type::TEXT),
        (&state, Type::TEXT),
        (&run.due, Type::INT8),
        (&run.expires, Type::INT8),
        (&numbers[0], Type::INT8),
        (&numbers[1], Type::INT8),
        (&numbers[2], Type::INT8),
        (&run.redelivery, Type::BOOL),
        (&run.owner, Type::TEXT),
        (&run.epoch, Type::INT8),
        (&run.begun, Type::INT8),
        (&run.ended, Type::INT8),
        (&run.output, Type::TEXT),
        (&kind, Type::TEXT),
        (&failure, Type::TEXT),
        (&counts[0], Type::INT8),
        (&counts[1], Type::INT8),
        (&counts[2], Type::INT8),
    ];
    change.execute_typed(UPDATE, &values).await?;
    Ok(())
}

/// Brings back the times of what was written down while the server's clock was ahead: it was set, or another server with
/// another clock took its place.
async fn follow_clock(change: &Transaction<'_>, now: Moment) -> Result<(), Fault> {
    change.batch_execute(SIGNS_AHEAD).await?;
    loop {
        let ahead = change.query_typed(AHEAD, &[(&now, Type::INT8)]).await?;
        if ahead.is_empty() {
            return Ok(());
        }
        for row in &ahead {
            let mut run = rows::read(row)?;
            run.follow_clock(now);
            let id = run.id.as_str();
            let accepted: Values<'_> = vec![(&id, Type::TEXT), (&run.accepted, Type::INT8)];
            change.execute_typed(ACCEPTED, &accepted).await?;
            update(change, &run).await?;
        }
    }
}

/// Takes while nobody else counts how many runs of these pipelines are under way: each statement sees what was committed
/// before it began, and the last one begins when the rows are locked.
async fn take_limited(client: &Client, pipelines: &[&String], values: &Values<'_>) -> Result<Vec<Row>, Fault> {
    let which: Values<'_> = vec![(&pipelines, Type::TEXT_ARRAY)];
    let (begun, made, locked, taken, committed) = tokio::join!(
        biased;
        client.batch_execute("BEGIN"),
        client.execute_typed(MAKE_PIPELINES, &which),
        client.query_typed(LOCK_PIPELINES, &which),
        client.query_typed(TAKE, values),
        client.batch_execute("COMMIT"),
    );
    begun?;
    made?;
    locked?;
    let taken = taken?;
    committed?;
    Ok(taken)
}

async fn accept(client: &Client, desk: &Desk, order: &NewRun, begin: bool) -> Result<Accepted, Fault> {
    let document = &order.document;
    let is_known = desk
        .documents
        .borrow()
        .get(&document.digest)
        .is_some_and(|known| known.elapsed() < DOCUMENT_FRESH);
    let text = (!is_known).then_some(&document.text);
    let worker = desk.worker.id();
    let (id, origin, expiration) = (order.id.as_str(), order.origin.as_str(), order.expiration.map(length));
    let (retries, moment) = (i64::from(order.retries), desk.moment());
    let running_max = order.running_max.map(|most| i64::try_from(most).unwrap_or(i64::MAX));
    let trace_parent = order.trace.as_ref().map(TraceContext::parent);
    let trace_state = order.trace.as_ref().and_then(TraceContext::state);
    let values: Values<'_> = vec![
        (&id, Type::TEXT),
        (&document.pipeline, Type::TEXT),
        (&document.digest, Type::TEXT),
        (&order.key, Type::TEXT),
        (&order.digest, Type::TEXT),
        (&origin, Type::TEXT),
        (&order.message, Type::TEXT),
        (&order.shown, Type::TEXT),
        (&order.globals, Type::TEXT),
        (&order.due, Type::INT8),
        (&expiration, Type::INT8),
        (&retries, Type::INT8),
        (&order.allow_redelivery, Type::BOOL),
        (&order.unless_waiting, Type::BOOL),
        (&begin, Type::BOOL),
        (&worker, Type::TEXT),
        (&moment, Type::INT8),
        (&text, Type::TEXT),
        (&document.files, Type::TEXT),
        (&trace_parent, Type::TEXT),
        (&trace_state, Type::TEXT),
        (&running_max, Type::INT8),
    ];
    let made = client.query_typed_opt(ACCEPT, &values).await?;
    if let Some(row) = made {
        if !is_known {
            let mut documents = desk.documents.borrow_mut();
            documents.retain(|_, known| known.elapsed() < DOCUMENT_FRESH);
            documents.insert(document.digest.clone(), Instant::now());
        }
        let run = rows::read(&row)?;
        return Ok(if run.owner.is_some() {
            Accepted::Begun(Lease { run })
        } else {
            Accepted::Queued(run)
        });
    }
    // The row is locked, which is written down: so the answer waits for the standbys as the one before it did.
    Ok(
        match client.query_typed_opt(KNOWN, &[(&order.key, Type::TEXT)]).await? {
            Some(row) => {
                let known = rows::read(&row)?;
                if known.id == order.id && known.owner.as_deref() == Some(worker) {
                    // It was written down before, and the answer was lost.
                    Accepted::Begun(Lease { run: known })
                } else if known.id == order.id && known.state == RunState::Queued {
                    Accepted::Queued(known)
                } else if known.digest == order.digest {
                    Accepted::Known(known)
                } else {
                    Accepted::OtherContent(known.id)
                }
            }
            None => Accepted::Skipped,
        },
    )
}

impl RunStore for PostgresRuns {
    fn serve(&self) -> Answer<'_, Result<(), StateError>> {
        self.book
            .act(async move |desk| desk.worker.known(&desk.database).await.map(drop))
    }

    fn accept(&self, run: NewRun, begin: bool) -> Answer<'_, Result<Accepted, StateError>> {
        self.book.act(async move |desk| {
            if begin {
                desk.worker.known(&desk.database).await?;
                // Nobody gives it up while it is asked for: see `recover`.
                desk.leases.borrow_mut().insert(run.id.as_str().to_owned());
            }
            let was_asked = Cell::new(false);
            let act = async |client: &mut Object| {
                was_asked.set(true);
                let is_limited = begin && run.running_max.is_some();
                if !run.unless_waiting && !is_limited {
                    return accept(client, &desk, &run, begin).await;
                }
                // One at a time looks whether another one waits, or how many are under way.
                let change = self::begin(client).await?;
                change
                    .execute_typed(LOCK_PIPELINE, &[(&run.document.pipeline, Type::TEXT)])
                    .await?;
                let accepted = accept(change.client(), &desk, &run, begin).await?;
                change.commit().await?;
                Ok(accepted)
            };
            let over = Instant::now() + desk.database.address.patience() * BOUNDS;
            let mut is_doubtful = false;
            let accepted = loop {
                let fault = match desk.database.soon(&act).await {
                    Ok(accepted) => break Ok(accepted),
                    Err(fault) => fault,
                };
                // Without an answer it may stand there, and be performed. It is asked again, and finds what it wrote.
                is_doubtful |= was_asked.get() && matches!(fault, Fault::Lost(_));
                if !is_doubtful {
                    break Err(fault);
                }
                if Instant::now() >= over {
                    let place = desk.database.address.place();
                    break Err(Fault::Not(StateError::unanswered(place, fault.reason())));
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
            };
            if !matches!(accepted, Ok(Accepted::Begun(_))) {
                desk.leases.borrow_mut().remove(run.id.as_str());
            }
            if matches!(accepted, Ok(Accepted::Queued(_))) {
                desk.tell_queued();
            }
            accepted
        })
    }

    fn take(&self, room: Room) -> Answer<'_, Result<Vec<Lease>, StateError>> {
        self.book.act(async move |desk| {
            let worker = desk.worker.known(&desk.database).await?;
            let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            let (runs, others, moment) = (count(room.runs), count(room.others), desk.moment());
            let pipelines: Vec<&String> = room.by_pipeline.keys().collect();
            let rooms: Vec<i64> = room.by_pipeline.values().map(|most| count(*most)).collect();
            let shared: Vec<&String> = room.shared.keys().collect();
            let shared_most: Vec<i64> = room.shared.values().map(|most| count(*most)).collect();
            let take = async |client: &mut Object| {
                let values: Values<'_> = vec![
                    (&worker, Type::TEXT),
                    (&moment, Type::INT8),
                    (&runs, Type::INT8),
                    (&pipelines, Type::TEXT_ARRAY),
                    (&rooms, Type::INT8_ARRAY),
                    (&others, Type::INT8),
                    (&shared, Type::TEXT_ARRAY),
                    (&shared_most, Type::INT8_ARRAY),
                ];
                if shared.is_empty() {
                    return Ok(client.query_typed(TAKE, &values).await?);
                }
                let taken = take_limited(client, &shared, &values).await;
                if taken.is_err() {
                    // The error that matters is the first.
                    drop(client.batch_execute("ROLLBACK").await);
                }
                taken
            };
            let rows = desk.database.soon(take).await?;
            let mut leases = Vec::with_capacity(rows.len());
            for row in &rows {
                let run = rows::read(row)?;
                desk.leases.borrow_mut().insert(run.id.as_str().to_owned());
                leases.push(Lease { run });
            }
            desk.limited.borrow_mut().extend(room.shared.into_keys());
            leases.sort_by(|one, other| (one.run.due, &one.run.id).cmp(&(other.run.due, &other.run.id)));
            Ok(leases)
        })
    }

    fn finish<'s>(&'s self, lease: &'s Lease, end: RunEnd) -> Answer<'s, Result<bool, StateError>> {
        let mut run = lease.run.clone();
        run.finish(end, 0);
        self.ended(lease, None, run)
    }

    fn queue_again<'s>(&'s self, lease: &'s Lease, again: QueueAgain) -> Answer<'s, Result<bool, StateError>> {
        let mut run = lease.run.clone();
        let wait = again.wait;
        run.queue_again(again, 0);
        self.ended(lease, Some(wait), run)
    }

    fn recover(&self) -> Answer<'_, Result<Vec<Run>, StateError>> {
        self.book.act(async move |desk| {
            let (worker, moment, steady) = (desk.worker.id(), desk.moment(), desk.worker.is_steady());
            // Twice as long as an answer may take.
            let lost = length(desk.database.address.lease);
            let held: Vec<String> = desk.leases.borrow().iter().cloned().collect();
            let recover = async |client: &mut Object| {
                let change = begin(client).await?;
                let now: Moment = change.query_typed_one(NOW, &[(&moment, Type::INT8)]).await?.get(0);
                // A process that begins cannot know what the clock showed before.
                if desk.looked.get().is_none_or(|looked| now < looked) {
                    follow_clock(&change, now).await?;
                }
                let values: Values<'_> = vec![
                    (&worker, Type::TEXT),
                    (&moment, Type::INT8),
                    (&steady, Type::BOOL),
                    (&held, Type::TEXT_ARRAY),
                    (&lost, Type::INT8),
                ];
                let rows = change.query_typed(RECOVER, &values).await?;
                let mut recovered = Vec::with_capacity(rows.len());
                for row in &rows {
                    let (now, is_own): (Moment, bool) = (row.get(rows::AFTER), row.get(rows::AFTER + 1));
                    let mut run = rows::read(row)?;
                    if is_own {
                        // It was taken, and the answer was lost: nobody has begun with it.
                        let counts = run.counts;
                        run.queue_again(
                            QueueAgain {
                                wait: Duration::ZERO,
                                failure: None,
                                counts,
                            },
                            now,
                        );
                    } else {
                        run.recover(now);
                    }
                    update(&change, &run).await?;
                    recovered.push(run);
                }
                if steady {
                    change.batch_execute(FORGET_WORKERS).await?;
                }
                change.commit().await?;
                desk.looked.set(Some(now));
                Ok(recovered)
            };
            let recovered = desk.database.soon(recover).await?;
            if !recovered.is_empty() {
                desk.tell_queued();
            }
            Ok(recovered)
        })
    }

    fn recover_interval(&self) -> Option<Duration> {
        Some(self.book.sign_interval())
    }

    fn until_another_queues(&self) -> Answer<'_, ()> {
        let mut queued = self.book.queued.subscribe();
        Box::pin(async move {
            if queued.changed().await.is_err() {
                // The store is gone.
                std::future::pending().await
            }
        })
    }

    fn cancel<'s>(&'s self, id: &'s RunId, failure: Option<RunFailure>) -> Answer<'s, Result<Decided, StateError>> {
        self.decide(id, move |run, now| run.cancel(failure.clone(), now))
    }

    fn hasten<'s>(&'s self, id: &'s RunId) -> Answer<'s, Result<Decided, StateError>> {
        self.decide(id, Run::hasten)
    }

    fn account_goes_on<'s>(&'s self, label: &'s str, wait: AccountWait) -> Answer<'s, Result<u64, StateError>> {
        let label = label.to_owned();
        self.book.act(async move |desk| {
            let (remedy, moment) = (wait.remedy(), desk.moment());
            let write = async |client: &mut Object| {
                let values: Values<'_> = vec![(&label, Type::TEXT), (&remedy, Type::TEXT), (&moment, Type::INT8)];
                let row = client.query_typed_one(ACCOUNT_GOES_ON, &values).await?;
                Ok(row.get::<_, i64>(0))
            };
            let count = desk.database.soon(write).await?;
            if count > 0 {
                desk.tell_queued();
            }
            Ok(u64::try_from(count).unwrap_or_default())
        })
    }

    fn resume<'s>(&'s self, id: &'s RunId) -> Answer<'s, Result<Decided, StateError>> {
        self.decide(id, Run::resume)
    }

    fn run<'s>(&'s self, id: &'s RunId) -> Answer<'s, Result<Option<Run>, StateError>> {
        self.one(BY_ID, id.as_str().to_owned())
    }

    fn with_key<'s>(&'s self, key: &'s str) -> Answer<'s, Result<Option<Run>, StateError>> {
        self.one(BY_KEY, key.to_owned())
    }

    fn list(&self, filter: RunFilter) -> Answer<'_, Result<Vec<Run>, StateError>> {
        self.book.act(async move |desk| {
            let list = async |client: &mut Object| {
                let (statement, values) = rows::list(LIST, &filter);
                let values: Values<'_> = values
                    .iter()
                    .map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone()))
                    .collect();
                Ok(client.query_typed(&statement, &values).await?)
            };
            let rows = desk.database.soon(list).await?;
            Ok(rows.iter().map(rows::read).collect::<Result<_, _>>()?)
        })
    }

    fn document<'s>(&'s self, digest: &'s str) -> Answer<'s, Result<Option<Arc<PinnedDocument>>, StateError>> {
        let digest = digest.to_owned();
        self.book.act(async move |desk| {
            let find =
                async |client: &mut Object| Ok(client.query_typed_opt(DOCUMENT, &[(&digest, Type::TEXT)]).await?);
            let row = desk.database.soon(find).await?;
            Ok(row.map(|row| {
                Arc::new(PinnedDocument {
                    digest: row.get(0),
                    pipeline: row.get(1),
                    text: row.get(2),
                    files: row.get(3),
                })
            }))
        })
    }

    fn length(&self) -> Answer<'_, Result<QueueLength, StateError>> {
        self.book.act(async move |desk| {
            let moment = desk.moment();
            let ask = async |client: &mut Object| Ok(client.query_typed_one(LENGTH, &[(&moment, Type::INT8)]).await?);
            let row = desk.database.soon(ask).await?;
            Ok(QueueLength {
                queued: rows::whole(&row, 0),
                running: rows::whole(&row, 1),
                next_due: row.get(2),
                now: row.get(3),
            })
        })
    }

    fn forget(&self, payloads: Moment, runs: Moment) -> Answer<'_, Result<u64, StateError>> {
        self.book.act(async move |desk| {
            let moment = desk.moment();
            let mut forgotten = 0;
            for (statement, before) in [(FORGET_RUNS, runs), (FORGET_PAYLOADS, payloads)] {
                loop {
                    let forget = async |client: &mut Object| {
                        let values: Values<'_> = vec![(&before, Type::INT8), (&FORGET_MAX, Type::INT8)];
                        Ok(client.execute_typed(statement, &values).await?)
                    };
                    let count = desk.database.with(FORGET_TIME_MAX, forget).await?;
                    if statement == FORGET_RUNS {
                        forgotten += count;
                    }
                    if count < FORGET_MAX.unsigned_abs() {
                        break;
                    }
                }
            }
            let kept = length(DOCUMENT_KEPT);
            let forget = async |client: &mut Object| {
                let values: Values<'_> = vec![(&moment, Type::INT8), (&kept, Type::INT8)];
                client.execute_typed(FORGET_DOCUMENTS, &values).await?;
                Ok(())
            };
            desk.database.with(FORGET_TIME_MAX, forget).await?;
            Ok(forgotten)
        })
    }

    fn probe(&self) -> Answer<'_, Result<(), StateError>> {
        self.book.act(async move |desk| {
            let second = desk.second();
            let write = async |client: &mut Object| {
                let change = begin(client).await?;

                change
                    .batch_execute(&format!("SAVEPOINT run; {PROBE_RUN}; ROLLBACK TO run"))
                    .await?;
                change.execute_typed(PROBE, &[(&second, Type::INT8)]).await?;
                change.commit().await?;
                Ok(())
            };
            desk.database.soon(write).await
        })
    }

    fn schedules(&self) -> Answer<'_, Result<Vec<ScheduleEntry>, StateError>> {
        self.read(SCHEDULES, |rows| {
            let read = |row: &Row| ScheduleEntry {
                pipeline: row.get(0),
                last: row.get(1),
                paused: row.get(2),
                missed: rows::whole(row, 3),
                skipped: rows::whole(row, 4),
            };
            Ok(rows.iter().map(read).collect())
        })
    }

    fn note_schedule<'s>(&'s self, pipeline: &'s str, note: ScheduleNote) -> Answer<'s, Result<(), StateError>> {
        let pipeline = pipeline.to_owned();
        self.book.act(async move |desk| {
            let (missed, skipped) = (rows::signed(note.missed), rows::signed(note.skipped));
            let write = async |client: &mut Object| {
                let values: Values<'_> = vec![
                    (&pipeline, Type::TEXT),
                    (&note.last, Type::INT8),
                    (&missed, Type::INT8),
                    (&skipped, Type::INT8),
                ];
                client.query_typed(NOTE_SCHEDULE, &values).await?;
                Ok(())
            };
            desk.database.soon(write).await
        })
    }

    fn pause_pipeline<'s>(&'s self, pipeline: &'s str, paused: bool) -> Answer<'s, Result<(), StateError>> {
        let pipeline = pipeline.to_owned();
        self.book.act(async move |desk| {
            let write = async |client: &mut Object| {
                let values: Values<'_> = vec![(&pipeline, Type::TEXT), (&paused, Type::BOOL)];
                client.query_typed(PAUSE_PIPELINE, &values).await?;
                Ok(())
            };
            desk.database.soon(write).await?;
            if !paused {
                desk.tell_queued();
            }
            Ok(())
        })
    }
}
