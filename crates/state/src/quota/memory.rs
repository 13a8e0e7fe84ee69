//! Limits and pauses within a process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::windows::{self, Decision};
use super::{
    AccountKey, AccountRows, Admission, Availability, Pause, PauseCause, PauseEntry, QuotaStore, SendLimits, Standing,
    Usage,
};
use crate::Answer;
use crate::clock::{Clock, Moment, SystemClock};
use crate::error::StateError;

/// A store that keeps limits and pauses in memory, as long as it exists.
#[derive(Debug)]
pub struct MemoryQuotas {
    accounts: Mutex<HashMap<AccountKey, Account>>,
    clock: Arc<dyn Clock>,
    /// Told of each end.
    ended: watch::Sender<u64>,
}

impl Default for MemoryQuotas {
    fn default() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }
}

#[derive(Debug, Default)]
struct Account {
    last: i64,
    /// By number; none: under way.
    admissions: BTreeMap<i64, Option<Moment>>,
    pause: Option<Pause>,
}

impl MemoryQuotas {
    /// Makes a store that uses this clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            accounts: Mutex::default(),
            clock,
            ended: watch::Sender::new(0),
        }
    }

    fn change<T>(
        &self,
        key: &AccountKey,
        act: impl FnOnce(&mut dyn AccountRows, Moment) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        act(accounts.entry(key.clone()).or_default(), self.clock.now())
    }
}

/// Returns a wait that ends with the next end, or after this long.
pub(crate) async fn until_worth_asking(mut ended: watch::Receiver<u64>, wait: Option<Duration>) {
    let over = async {
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = over => {}
        // An error means that the store is gone, and it is asked again to say so.
        _ = ended.changed() => {}
    }
}

impl QuotaStore for MemoryQuotas {
    fn look<'q>(&'q self, key: &'q AccountKey, limits: SendLimits) -> Answer<'q, Result<Availability, StateError>> {
        let looked = self.change(key, |rows, now| windows::look(rows, limits, now));
        Box::pin(std::future::ready(looked))
    }

    fn usage<'q>(&'q self, key: &'q AccountKey, limits: SendLimits) -> Answer<'q, Result<Usage, StateError>> {
        let used = match limits.is_some() {
            true => self.change(key, |rows, now| windows::usage(rows, limits, now)),
            false => Ok(Usage::default()),
        };
        Box::pin(std::future::ready(used))
    }

    fn admit<'q>(
        &'q self,
        key: &'q AccountKey,
        limits: SendLimits,
        count: usize,
    ) -> Answer<'q, Result<Admission, StateError>> {
        // Made before the look, so that an end between the two is not missed.
        let ended = self.ended.subscribe();
        let decision = self.change(key, |rows, now| windows::admit(rows, limits, count, now));
        let admission = decision.map(|decision| match decision {
            Decision::Admitted(numbers) => Admission::Admitted(numbers),
            Decision::Wait(wait) => Admission::Wait(Box::pin(until_worth_asking(ended, wait))),
            Decision::Paused(standing) => Admission::Paused(standing),
            Decision::DayFull(coming) => Admission::DayFull(coming),
        });
        Box::pin(std::future::ready(admission))
    }

    fn end(&self, key: &AccountKey, admissions: Vec<i64>) {
        let ended = self.change(key, |rows, now| {
            // A moment later than the clock says, which tells whole ones.
            admissions.iter().try_for_each(|number| rows.end(*number, now + 1))
        });
        if let Err(error) = ended {
            tracing::warn!("{error} The end of a message was not noted for its account's limits.");
        }
        self.ended.send_modify(|ends| *ends += 1);
    }

    fn pause<'q>(
        &'q self,
        key: &'q AccountKey,
        cause: PauseCause,
        lasts: Duration,
        why: &'q str,
    ) -> Answer<'q, Result<Standing, StateError>> {
        let begun = self.change(key, |rows, now| windows::begin_pause(rows, cause, lasts, why, now));
        Box::pin(std::future::ready(begun))
    }

    fn resume<'q>(&'q self, label: &'q str) -> Answer<'q, Result<Vec<PauseEntry>, StateError>> {
        let now = self.clock.now();
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let named = accounts.iter_mut().filter(|(key, _)| key.label == label);
        let ended = named.filter_map(|(key, account)| {
            let pause = account.pause.take().filter(|pause| now < pause.until)?;
            Some(PauseEntry {
                label: key.label.clone(),
                until: jiff::Timestamp::from_microsecond(pause.until).unwrap_or_default(),
                why: pause.why,
            })
        });
        Box::pin(std::future::ready(Ok(ended.collect())))
    }
}

impl Account {
    fn ends(&self) -> impl Iterator<Item = Moment> {
        self.admissions.values().filter_map(|end| *end)
    }
}

impl AccountRows for Account {
    fn under_way(&mut self) -> Result<usize, StateError> {
        Ok(self.admissions.values().filter(|end| end.is_none()).count())
    }

    fn ended_after(&mut self, moment: Moment) -> Result<usize, StateError> {
        Ok(self.ends().filter(|end| *end > moment).count())
    }

    fn end_before_latest(&mut self, count: usize) -> Result<Option<Moment>, StateError> {
        let mut ends: Vec<Moment> = self.ends().collect();
        ends.sort_unstable_by(|one, other| other.cmp(one));
        Ok(ends.get(count).copied())
    }

    fn first_end_after(&mut self, moment: Moment) -> Result<Option<Moment>, StateError> {
        Ok(self.ends().filter(|end| *end > moment).min())
    }

    fn bring_back_to(&mut self, moment: Moment) -> Result<(), StateError> {
        for end in self.admissions.values_mut().flatten() {
            *end = (*end).min(moment);
        }
        Ok(())
    }

    fn end_the_dead(&mut self, _moment: Moment) -> Result<(), StateError> {
        Ok(())
    }

    fn forget(&mut self, moment: Moment) -> Result<(), StateError> {
        self.admissions.retain(|_, end| end.is_none_or(|end| end > moment));
        Ok(())
    }

    fn add(&mut self) -> Result<i64, StateError> {
        self.last += 1;
        self.admissions.insert(self.last, None);
        Ok(self.last)
    }

    fn end(&mut self, admission: i64, at: Moment) -> Result<(), StateError> {
        if let Some(end) = self.admissions.get_mut(&admission) {
            debug_assert_eq!(*end, None, "an admission ends once");
            *end = Some(at);
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<Option<Pause>, StateError> {
        Ok(self.pause.clone())
    }

    fn set_pause(&mut self, pause: Option<&Pause>) -> Result<(), StateError> {
        self.pause = pause.cloned();
        Ok(())
    }
}
