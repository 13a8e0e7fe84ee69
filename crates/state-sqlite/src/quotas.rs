//! Limits and pauses that processes share.
//!
//! Each change is part of a transaction that begins by taking the file's only write lock, so that no two processes
//! check at the same time and then both admit. An admission under a limit per day is synced before it is answered: it
//! counts even after a power cut. An admission under a limit per second is not synced, because no machine restarts
//! within that second. An end is not synced either: without it, the admission reads as one of a process that is gone,
//! and ends when that is noticed.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pipepost_state::clock::Moment;
use pipepost_state::quota::windows::{self, Decision};
use pipepost_state::quota::{
    AccountKey, AccountRows, Admission, Availability, Pause, PauseCause, PauseEntry, QuotaStore, SendLimits, Standing,
    Usage,
};
use pipepost_state::{Answer, StateError};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use tokio::sync::{oneshot, watch};

use crate::owner::is_alive;
use crate::writer::{Act, Change, Job};
use crate::{Book, FILE, blocking, file};

/// How often a message that waits for another process's asks again: a file wakes nobody.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

const PAUSE: &str = "SELECT begun, until, kind, why FROM pauses WHERE account = ?1";

/// Windows and pauses in a state directory.
#[derive(Debug)]
pub(crate) struct SqliteQuotas {
    book: Arc<Book>,
    /// What pauses are looked up with, opened when it is first needed.
    reading: Arc<Mutex<Option<Connection>>>,
    /// Told of each end in this process.
    ended: watch::Sender<u64>,
}

impl SqliteQuotas {
    pub(crate) fn new(book: Arc<Book>) -> Self {
        Self {
            book,
            reading: Arc::default(),
            ended: watch::Sender::new(0),
        }
    }

    /// Changes one account's rows, alone. What fails is not kept.
    async fn change<T: Send + 'static>(
        &self,
        key: &AccountKey,
        durable: bool,
        mut act: impl FnMut(&mut dyn AccountRows, Moment) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let slot = Arc::new(Mutex::new(None));
        let filled = Arc::clone(&slot);
        let act: Act = Box::new(move |rows, now| {
            let done = act(rows, now)?;
            *filled.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
            Ok(())
        });
        let (done, answer) = oneshot::channel();
        let key = key.clone();
        self.book.give(Job::Change(Change {
            key,
            durable,
            act,
            done,
        }))?;
        let lost = || StateError::unusable(self.book.directory.display(), "it gave no answer");
        answer.await.unwrap_or_else(|_| Err(lost()))?;
        let done = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        done.ok_or_else(lost)
    }

    /// Reads an account's pause, over or not. Makes nothing that is not there.
    async fn read_pause(&self, key: &AccountKey) -> Result<Option<Pause>, StateError> {
        let (reading, directory) = (Arc::clone(&self.reading), self.book.directory.clone());
        let account = key.account.clone();
        blocking(self.book.directory.clone(), move || {
            let mut reading = reading.lock().unwrap_or_else(PoisonError::into_inner);
            if reading.is_none() {
                if !directory.join(FILE).exists() {
                    return Ok(None);
                }
                *reading = Some(file::open_to_look(&directory)?);
            }
            let Some(connection) = reading.as_ref() else {
                return Ok(None);
            };
            let read = || {
                let mut select = connection.prepare_cached(PAUSE)?;
                select.query_row([account], pause_of).optional()
            };
            read().map_err(|error| StateError::unusable(directory.join(FILE).display(), error))
        })
        .await
    }
}

/// Waits until something ends here, or this long; without a time, until another process may have ended something.
async fn until_worth_asking(mut ended: watch::Receiver<u64>, wait: Option<Duration>) {
    tokio::select! {
        () = tokio::time::sleep(wait.unwrap_or(POLL_INTERVAL)) => {}
        // An error means that the store is gone, and it is asked again to say so.
        _ = ended.changed() => {}
    }
}

impl QuotaStore for SqliteQuotas {
    fn look<'q>(&'q self, key: &'q AccountKey, limits: SendLimits) -> Answer<'q, Result<Availability, StateError>> {
        Box::pin(async move {
            if !limits.is_some() {
                // A look at the pause, and no transaction unless the clock was set back or the pause is over.
                let now = self.book.clock.now();
                match self.read_pause(key).await? {
                    None => return Ok(Availability::Room(None)),
                    Some(pause) if pause.begun <= now && now < pause.until => {
                        return Ok(Availability::Paused(windows::standing(pause, now)));
                    }
                    Some(_) => {}
                }
            }
            self.change(key, false, move |rows, now| windows::look(rows, limits, now))
                .await
        })
    }

    fn usage<'q>(&'q self, key: &'q AccountKey, limits: SendLimits) -> Answer<'q, Result<Usage, StateError>> {
        Box::pin(async move {
            if !limits.is_some() {
                return Ok(Usage::default());
            }
            self.change(key, false, move |rows, now| windows::usage(rows, limits, now))
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
            let ended = self.ended.subscribe();
            let durable = limits.per_day.is_some();
            let decision = self
                .change(key, durable, move |rows, now| windows::admit(rows, limits, count, now))
                .await?;
            Ok(match decision {
                Decision::Admitted(numbers) => Admission::Admitted(numbers),
                Decision::Wait(wait) => Admission::Wait(Box::pin(until_worth_asking(ended, wait))),
                Decision::Paused(standing) => Admission::Paused(standing),
                Decision::DayFull(coming) => Admission::DayFull(coming),
            })
        })
    }

    fn end(&self, key: &AccountKey, admissions: Vec<i64>) {
        let (key, ended) = (key.clone(), self.ended.clone());
        let (done, _) = oneshot::channel();
        let act: Act = Box::new(move |rows, now| {
            // A moment later than the clock says, which tells whole ones.
            let noted = admissions.iter().try_for_each(|number| rows.end(*number, now + 1));
            ended.send_modify(|ends| *ends += 1);
            noted
        });
        let durable = false;
        if let Err(error) = self.book.give(Job::Change(Change {
            key,
            durable,
            act,
            done,
        })) {
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
        Box::pin(async move {
            self.change(key, true, move |rows, now| {
                windows::begin_pause(rows, cause, lasts, &why, now)
            })
            .await
        })
    }

    fn resume<'q>(&'q self, label: &'q str) -> Answer<'q, Result<Vec<PauseEntry>, StateError>> {
        let (directory, label) = (self.book.directory.clone(), label.to_owned());
        let now = self.book.clock.now();
        Box::pin(blocking(self.book.directory.clone(), move || {
            let connection = file::open(&directory)?;
            let run = || {
                let mut delete =
                    connection.prepare("DELETE FROM pauses WHERE label = ?1 RETURNING label, until, why")?;
                let ended = delete.query_map(params![label], |row| {
                    let until: i64 = row.get(1)?;
                    let entry = PauseEntry {
                        label: row.get(0)?,
                        until: jiff::Timestamp::from_microsecond(until).unwrap_or_default(),
                        why: row.get(2)?,
                    };
                    Ok((until, entry))
                })?;
                ended.collect::<rusqlite::Result<Vec<_>>>()
            };
            let ended = run().map_err(|error| StateError::unusable(directory.join(FILE).display(), error))?;
            let held = ended.into_iter().filter(|(until, _)| now < *until);
            Ok(held.map(|(_, entry)| entry).collect())
        }))
    }
}

fn pause_of(row: &Row<'_>) -> rusqlite::Result<Pause> {
    let cause: String = row.get(2)?;
    Ok(Pause {
        begun: row.get(0)?,
        until: row.get(1)?,
        cause: PauseCause::from_name(&cause),
        why: row.get(3)?,
    })
}

/// One account's rows, within a transaction.
pub(crate) struct WithinAccount<'t> {
    pub(crate) directory: &'t Path,
    pub(crate) change: &'t Transaction<'t>,
    pub(crate) owner: &'t str,
    pub(crate) key: &'t AccountKey,
}

impl WithinAccount<'_> {
    fn unusable(&self, error: &rusqlite::Error) -> StateError {
        StateError::unusable(self.directory.join(FILE).display(), error)
    }

    fn execute(&self, statement: &str, values: impl rusqlite::Params) -> Result<(), StateError> {
        let run = || self.change.prepare_cached(statement)?.execute(values);
        run().map(drop).map_err(|error| self.unusable(&error))
    }

    fn one<T: rusqlite::types::FromSql>(
        &self,
        query: &str,
        values: impl rusqlite::Params,
    ) -> Result<Option<T>, StateError> {
        let run = || {
            let mut select = self.change.prepare_cached(query)?;
            select.query_row(values, |row| row.get(0)).optional()
        };
        run().map_err(|error| self.unusable(&error))
    }

    fn count(&self, query: &str, values: impl rusqlite::Params) -> Result<usize, StateError> {
        let count: Option<i64> = self.one(query, values)?;
        Ok(count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0))
    }
}

impl AccountRows for WithinAccount<'_> {
    fn under_way(&mut self) -> Result<usize, StateError> {
        let query = "SELECT count(*) FROM admissions WHERE account = ?1 AND ended IS NULL";
        self.count(query, [&self.key.account])
    }

    fn ended_after(&mut self, moment: Moment) -> Result<usize, StateError> {
        let query = "SELECT count(*) FROM admissions WHERE account = ?1 AND ended > ?2";
        self.count(query, params![self.key.account, moment])
    }

    fn end_before_latest(&mut self, count: usize) -> Result<Option<Moment>, StateError> {
        let query = "SELECT ended FROM admissions WHERE account = ?1 AND ended IS NOT NULL
                     ORDER BY ended DESC LIMIT 1 OFFSET ?2";
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.one(query, params![self.key.account, count])
    }

    fn first_end_after(&mut self, moment: Moment) -> Result<Option<Moment>, StateError> {
        let query = "SELECT ended FROM admissions WHERE account = ?1 AND ended > ?2 ORDER BY ended LIMIT 1";
        self.one(query, params![self.key.account, moment])
    }

    fn bring_back_to(&mut self, moment: Moment) -> Result<(), StateError> {
        let statement = "UPDATE admissions SET ended = ?2 WHERE account = ?1 AND ended > ?2";
        self.execute(statement, params![self.key.account, moment])
    }

    fn end_the_dead(&mut self, moment: Moment) -> Result<(), StateError> {
        let owners = || {
            let mut select = self.change.prepare_cached(
                "SELECT DISTINCT owner FROM admissions WHERE account = ?1 AND ended IS NULL AND owner <> ?2",
            )?;
            let rows = select.query_map([self.key.account.as_str(), self.owner], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        };
        let owners = owners().map_err(|error| self.unusable(&error))?;
        for owner in owners {
            if !is_alive(self.directory, &owner) {
                let statement = "UPDATE admissions SET ended = ?2 WHERE owner = ?1 AND ended IS NULL";
                self.execute(statement, params![owner, moment])?;
            }
        }
        Ok(())
    }

    fn forget(&mut self, moment: Moment) -> Result<(), StateError> {
        let statement = "DELETE FROM admissions WHERE account = ?1 AND ended <= ?2";
        self.execute(statement, params![self.key.account, moment])
    }

    fn add(&mut self) -> Result<i64, StateError> {
        let statement = "INSERT INTO admissions (account, owner) VALUES (?1, ?2)";
        self.execute(statement, [self.key.account.as_str(), self.owner])?;
        Ok(self.change.last_insert_rowid())
    }

    fn end(&mut self, admission: i64, at: Moment) -> Result<(), StateError> {
        // A process that took this one for dead has ended it before; then a number may stand for another admission.
        let statement = "UPDATE admissions SET ended = ?3 WHERE id = ?1 AND owner = ?2";
        self.execute(statement, params![admission, self.owner, at])
    }

    fn pause(&mut self) -> Result<Option<Pause>, StateError> {
        let run = || {
            let mut select = self.change.prepare_cached(PAUSE)?;
            select.query_row([&self.key.account], pause_of).optional()
        };
        run().map_err(|error| self.unusable(&error))
    }

    fn set_pause(&mut self, pause: Option<&Pause>) -> Result<(), StateError> {
        match pause {
            None => self.execute("DELETE FROM pauses WHERE account = ?1", [&self.key.account]),
            Some(pause) => self.execute(
                "INSERT OR REPLACE INTO pauses (account, label, begun, until, kind, why) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    self.key.account,
                    self.key.label,
                    pause.begun,
                    pause.until,
                    pause.cause.as_str(),
                    pause.why
                ],
            ),
        }
    }
}
