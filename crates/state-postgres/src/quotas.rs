//! Limits and pauses that machines share.
//!
//! Each change locks the account's row first, so that no two workers check at the same time and then both admit. What the
//! rules need is read in one statement, and what they changed is written with the commit. An admission under a limit per
//! day is synced before it is answered: it counts even after a power cut. An admission under a limit per second is not
//! synced, because no server restarts within that second. An end is not synced either: without it, the admission reads as
//! one of a worker that is gone, and ends when that is noticed.

mod rows;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Object;
use pipepost_state::clock::Moment;
use pipepost_state::quota::windows::{self, Decision};
use pipepost_state::quota::{
    AccountKey, AccountRows, Admission, Availability, Pause, PauseCause, PauseEntry, QuotaStore, SendLimits, Standing,
    Usage,
};
use pipepost_state::{Answer, StateError};
use rows::Rows;
use tokio::sync::watch;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use crate::book::{Book, Desk};
use crate::database::Fault;
use crate::statements::{ADMISSIONS, ADMIT, LOCK_ACCOUNT, PAUSE, RESUME, SET_PAUSE};

/// How often a message that waits for another worker's asks again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Windows and pauses in a database.
#[derive(Debug)]
pub(crate) struct PostgresQuotas {
    book: Arc<Book>,
}

impl PostgresQuotas {
    pub(crate) fn new(book: Arc<Book>) -> Self {
        Self { book }
    }

    /// Changes one account's rows, alone. What fails is not kept. At most `count` admissions are added.
    fn change<T: Send + 'static>(
        &self,
        key: &AccountKey,
        durable: bool,
        count: usize,
        act: impl FnMut(&mut dyn AccountRows, Moment) -> Result<T, StateError> + Send + 'static,
    ) -> Answer<'static, Result<T, StateError>> {
        let key = key.clone();
        let mut act = act;
        // What has ended before counts as ended.
        let ends = self.book.until_ends_are_written();
        self.book.act(async move |desk| {
            let patience = desk.database.address.patience();
            if tokio::time::timeout(patience, ends).await.is_err() {
                return Err(Fault::Lost("what has ended was not written down in time".to_owned()));
            }
            let worker = match count {
                0 => desk.worker.id(),
                _ => desk.worker.known(&desk.database).await?,
            };
            loop {
                let change = async |client: &mut Object| {
                    let client: &Client = client;
                    let changed = change(client, &desk, worker, &key, durable, count, &mut act).await;
                    if changed.is_err() {
                        // The error that matters is the first.
                        drop(client.batch_execute("ROLLBACK").await);
                    }
                    changed
                };
                match desk.database.soon(change).await {
                    Err(Fault::InTheWay(_)) => {}
                    other => return other,
                }
            }
        })
    }
}

async fn change<T>(
    client: &Client,
    desk: &Desk,
    worker: &str,
    key: &AccountKey,
    durable: bool,
    count: usize,
    act: &mut impl FnMut(&mut dyn AccountRows, Moment) -> Result<T, StateError>,
) -> Result<T, Fault> {
    let begin = if durable {
        "BEGIN; SET LOCAL synchronous_commit = on"
    } else {
        "BEGIN; SET LOCAL synchronous_commit = off"
    };
    let (moment, fresh) = (desk.moment(), i64::try_from(count).unwrap_or(i64::MAX));
    let whose: [(&(dyn ToSql + Sync), Type); 2] = [(&key.account, Type::TEXT), (&key.label, Type::TEXT)];
    let look: [(&(dyn ToSql + Sync), Type); 4] = [
        (&key.account, Type::TEXT),
        (&worker, Type::TEXT),
        (&fresh, Type::INT8),
        (&moment, Type::INT8),
    ];
    // The look comes after the lock, and so does its moment.
    let (begun, locked, looked) = tokio::join!(
        biased;
        client.batch_execute(begin),
        client.query_typed_one(LOCK_ACCOUNT, &whose),
        client.query_typed_one(ADMISSIONS, &look),
    );
    begun?;
    let pause = pause_of(&locked?);
    let looked = looked?;
    let mut rows = Rows::new(pause, &looked);
    let result = act(&mut rows, looked.get(0))?;
    rows.write(client, key, worker).await?;
    Ok(result)
}

/// Waits until something ends here, or this long; without a time, until another worker may have ended something.
async fn until_worth_asking(mut ended: watch::Receiver<u64>, wait: Option<Duration>) {
    tokio::select! {
        () = tokio::time::sleep(wait.unwrap_or(POLL_INTERVAL)) => {}
        // An error means that the store is gone, and it is asked again to say so.
        _ = ended.changed() => {}
    }
}

impl QuotaStore for PostgresQuotas {
    fn look<'q>(&'q self, key: &'q AccountKey, limits: SendLimits) -> Answer<'q, Result<Availability, StateError>> {
        Box::pin(async move {
            if !limits.is_some() {
                // A look at the pause, and no transaction unless the clock was set back or the pause is over.
                let account = key.account.clone();
                let found = self.book.act(async move |desk| {
                    let moment = desk.moment();
                    let look = async |client: &mut Object| {
                        let values: [(&(dyn ToSql + Sync), Type); 2] = [(&account, Type::TEXT), (&moment, Type::INT8)];
                        let row = client.query_typed_opt(PAUSE, &values).await?;
                        Ok(row.map(|row| (pause_of(&row), row.get::<_, Moment>(4))))
                    };
                    desk.database.soon(look).await
                });
                match found.await? {
                    None | Some((None, _)) => return Ok(Availability::Room(None)),
                    Some((Some(pause), now)) if pause.begun <= now && now < pause.until => {
                        return Ok(Availability::Paused(windows::standing(pause, now)));
                    }
                    Some(_) => {}
                }
            }
            self.change(key, false, 0, move |rows, now| windows::look(rows, limits, now))
                .await
        })
    }

    fn usage<'q>(&'q self, key: &'q AccountKey, limits: SendLimits) -> Answer<'q, Result<Usage, StateError>> {
        Box::pin(async move {
            if !limits.is_some() {
                return Ok(Usage::default());
            }
            self.change(key, false, 0, move |rows, now| windows::usage(rows, limits, now))
                .await
        })
    }

    fn admit<'q>(
        &'q self,
        key: &'q AccountKey,
        limits: SendLimits,
        count: usize,
    ) -> Answer<'q, Result<Admission, StateError>> {
        Box::pin(async move {
            // Made before the look, so that an end between the two is not missed.
            let ended = self.book.ended.subscribe();
            let durable = limits.per_day.is_some();
            let decision = self
                .change(key, durable, count, move |rows, now| {
                    windows::admit(rows, limits, count, now)
                })
                .await?;
            Ok(match decision {
                Decision::Admitted(numbers) => Admission::Admitted(numbers),
                Decision::Wait(wait) => Admission::Wait(Box::pin(until_worth_asking(ended, wait))),
                Decision::Paused(standing) => Admission::Paused(standing),
                Decision::DayFull(coming) => Admission::DayFull(coming),
            })
        })
    }

    fn end(&self, _key: &AccountKey, admissions: Vec<i64>) {
        if let Err(error) = self.book.end_admissions(admissions) {
            // It counts as under way, and once this process is gone as ended then.
            tracing::warn!("{error} The end of a message was not noted for its account's limits.");
        }
    }

    fn pause<'q>(
        &'q self,
        key: &'q AccountKey,
        cause: PauseCause,
        lasts: Duration,
        why: &'q str,
    ) -> Answer<'q, Result<Standing, StateError>> {
        let why = why.to_owned();
        self.change(key, true, 0, move |rows, now| {
            windows::begin_pause(rows, cause, lasts, &why, now)
        })
    }

    fn resume<'q>(&'q self, label: &'q str) -> Answer<'q, Result<Vec<PauseEntry>, StateError>> {
        let label = label.to_owned();
        self.book.act(async move |desk| {
            let moment = desk.moment();
            let resume = async |client: &mut Object| {
                let values: [(&(dyn ToSql + Sync), Type); 2] = [(&label, Type::TEXT), (&moment, Type::INT8)];
                let rows = client.query_typed(RESUME, &values).await?;
                let entry = |row: &Row| PauseEntry {
                    label: row.get(0),
                    until: jiff::Timestamp::from_microsecond(row.get(1)).unwrap_or_default(),
                    why: row.get(2),
                };
                Ok(rows.iter().map(entry).collect())
            };
            desk.database.soon(resume).await
        })
    }
}

/// Reads a pause from the first four columns, over or not.
fn pause_of(row: &Row) -> Option<Pause> {
    let begun: Option<Moment> = row.get(0);
    let cause: Option<&str> = row.get(2);
    Some(Pause {
        begun: begun?,
        until: row.get::<_, Option<Moment>>(1)?,
        cause: PauseCause::from_name(cause.unwrap_or_default()),
        why: row.get::<_, Option<String>>(3).unwrap_or_default(),
    })
}
