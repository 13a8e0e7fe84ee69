//! One account's rows: read before the rules look at them, and written back as far as they were changed.

use pipepost_state::StateError;
use pipepost_state::clock::Moment;
use pipepost_state::quota::{AccountKey, AccountRows, Pause};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

use super::{ADMIT, SET_PAUSE};
use crate::database::Fault;

/// An account's rows in memory.
#[derive(Debug)]
pub(super) struct Rows {
    /// The numbers of admissions that have not ended.
    under_way: Vec<i64>,
    /// Those of workers that are gone.
    dead: Vec<i64>,
    /// The ends of the others, in their order.
    ends: Vec<Moment>,
    /// Numbers for new admissions.
    fresh: Vec<i64>,
    pause: Option<Pause>,
    added: Vec<i64>,
    /// When the dead ones ended.
    buried: Option<Moment>,
    /// No end is later.
    latest: Option<Moment>,
    /// Every end is later.
    forgotten: Option<Moment>,
    sets_pause: bool,
}

impl Rows {
    pub(super) fn new(pause: Option<Pause>, looked: &Row) -> Self {
        Self {
            under_way: looked.get(1),
            dead: looked.get(2),
            ends: looked.get(3),
            fresh: looked.get(4),
            pause,
            added: Vec::new(),
            buried: None,
            latest: None,
            forgotten: None,
            sets_pause: false,
        }
    }

    /// Writes what was changed, and commits.
    pub(super) async fn write(self, client: &Client, key: &AccountKey, worker: &str) -> Result<(), Fault> {
        let pause = self.pause.as_ref();
        let admit: [(&(dyn ToSql + Sync), Type); 7] = [
            (&key.account, Type::TEXT),
            (&worker, Type::TEXT),
            (&self.added, Type::INT8_ARRAY),
            (&self.dead, Type::INT8_ARRAY),
            (&self.buried, Type::INT8),
            (&self.latest, Type::INT8),
            (&self.forgotten, Type::INT8),
        ];
        let (begun, until) = (pause.map(|pause| pause.begun), pause.map(|pause| pause.until));
        let cause = pause.map(|pause| pause.cause.as_str());
        let why = pause.map(|pause| pause.why.as_str());
        let set: [(&(dyn ToSql + Sync), Type); 5] = [
            (&key.account, Type::TEXT),
            (&begun, Type::INT8),
            (&until, Type::INT8),
            (&cause, Type::TEXT),
            (&why, Type::TEXT),
        ];
        let is_changed =
            !self.added.is_empty() || self.buried.is_some() || self.latest.is_some() || self.forgotten.is_some();
        let (admitted, paused, committed) = tokio::join!(
            biased;
            async {
                if !is_changed { return Ok::<(), Error>(()) }
                client.query_typed(ADMIT, &admit).await.map(drop)
            },
            async {
                if !self.sets_pause { return Ok::<(), Error>(()) }
                client.execute_typed(SET_PAUSE, &set).await.map(drop)
            },
            client.batch_execute("COMMIT"),
        );
        admitted?;
        paused?;
        committed?;
        Ok(())
    }
}

impl AccountRows for Rows {
    fn under_way(&mut self) -> Result<usize, StateError> {
        Ok(self.under_way.len())
    }

    fn ended_after(&mut self, moment: Moment) -> Result<usize, StateError> {
        Ok(self.ends.len() - self.ends.partition_point(|end| *end <= moment))
    }

    fn end_before_latest(&mut self, count: usize) -> Result<Option<Moment>, StateError> {
        let place = self.ends.len().checked_sub(count + 1);
        Ok(place.and_then(|place| self.ends.get(place)).copied())
    }

    fn first_end_after(&mut self, moment: Moment) -> Result<Option<Moment>, StateError> {
        let place = self.ends.partition_point(|end| *end <= moment);
        Ok(self.ends.get(place).copied())
    }

    fn bring_back_to(&mut self, moment: Moment) -> Result<(), StateError> {
        for end in self.ends.iter_mut().rev().take_while(|end| **end > moment) {
            *end = moment;
            self.latest = Some(moment);
        }
        Ok(())
    }

    fn end_the_dead(&mut self, moment: Moment) -> Result<(), StateError> {
        let dead = &self.dead;
        let before = self.under_way.len();
        self.under_way.retain(|id| !dead.contains(id));
        let buried = before - self.under_way.len();
        if buried > 0 {
            self.buried = Some(moment);
            self.ends.extend(std::iter::repeat_n(moment, buried));
            self.ends.sort_unstable();
        }
        Ok(())
    }

    fn forget(&mut self, moment: Moment) -> Result<(), StateError> {
        let old = self.ends.partition_point(|end| *end <= moment);
        if old > 0 {
            self.ends.drain(..old);
            self.forgotten = Some(moment);
        }
        Ok(())
    }

    fn add(&mut self) -> Result<i64, StateError> {
        let fresh = self.fresh.pop();
        let id = fresh.ok_or_else(|| StateError::unusable("the database", "it has no number for an admission"))?;
        self.added.push(id);
        self.under_way.push(id);
        Ok(id)
    }

    fn end(&mut self, _admission: i64, _at: Moment) -> Result<(), StateError> {
        // Ends are noted without a look at the account.
        Ok(())
    }

    fn pause(&mut self) -> Result<Option<Pause>, StateError> {
        Ok(self.pause.clone())
    }

    fn set_pause(&mut self, pause: Option<&Pause>) -> Result<(), StateError> {
        self.pause = pause.cloned();
        self.sets_pause = true;
        Ok(())
    }
}
