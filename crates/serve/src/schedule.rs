//! When a scheduled pipeline starts: cron expressions, time zones, changes of the clock, and what was missed.
//!
//! Six and seven fields are Quartz (`second minute hour day month weekday [year]`, 1 is Sunday), five are Unix cron (0 and 7
//! are Sunday). The calendar is croner's. What a change of the clock does is decided here: a schedule that names its hours
//! is a list of wall-clock times, so a time that is skipped comes at once after the change, and one that comes twice counts
//! once. A schedule of every hour is an interval and runs through both hours.
//!
//! Nothing here reads a clock: the caller says what time it is.

mod expression;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

pub use self::expression::ScheduleError;
use self::expression::{Expression, Kind};

/// How old a missed time may be and still start a run.
pub const MISSED_AT_MOST: SignedDuration = SignedDuration::from_hours(1);

/// Up to how many missed times are counted.
pub const COUNTED_AT_MOST: u64 = 10_000;

/// A cron expression in its time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    expression: Expression,
    zone: TimeZone,
    zone_name: String,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Due {
    /// The time that starts a run.
    pub fire: Option<Timestamp>,
    /// How many times passed and start none: at most [`COUNTED_AT_MOST`].
    pub missed: u64,
}

impl Schedule {
    /// Reads an expression, for the zone with this IANA name (UTC where there is none).
    ///
    /// # Errors
    /// A [`ScheduleError`] that says which field is wrong, or that no time from `now` on matches.
    pub fn new(expression: &str, zone: Option<&str>, now: Timestamp) -> Result<Self, ScheduleError> {
        let zone_name = zone.unwrap_or("UTC").to_owned();
        let unknown = || ScheduleError::Zone(zone_name.clone());
        let zone = TimeZone::get(&zone_name).map_err(|_| unknown())?;
        if zone.is_unknown() {
            return Err(unknown());
        }
        let schedule = Self {
            expression: Expression::new(expression)?,
            zone,
            zone_name,
        };
        match schedule.next_after(now) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never(expression.to_owned())),
        }
    }

    /// Returns the expression as it was written.
    pub fn expression(&self) -> &str {
        self.expression.as_str()
    }

    /// Returns the zone's name.
    pub fn zone(&self) -> &str {
        &self.zone_name
    }

    /// Returns the first time after `after`; returns `None` if there is none.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match self.expression.kind() {
            Kind::Interval => {
                let zoned = after.to_zoned(self.zone.clone());
                let next = self.expression.cron().find_next_occurrence(&zoned, false).ok()?;
                Some(next.timestamp())
            }
            Kind::WallClock => {
                let mut civil = after.to_zoned(self.zone.clone()).datetime();
                loop {
                    civil = self.expression.cron().find_next_occurrence(&civil, false).ok()?;
                    // In the second of two equal hours, what the first one had is over.
                    let instant = self.instant(civil)?;
                    if instant > after {
                        return Some(instant);
                    }
                }
            }
        }
    }

    /// Returns the next `count` times after `after`.
    pub fn next_times(&self, after: Timestamp, count: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_after(after), |&last| self.next_after(last))
            .take(count)
            .collect()
    }

    /// Returns what is to be done at `now`, when everything up to `last` was done. Of the times between, the newest starts a
    /// run if it is younger than [`MISSED_AT_MOST`]; the others are counted.
    ///
    /// A clock that was set back makes `last` later than `now`: then nothing is due, and the times that come again have the
    /// keys of the runs that they started before.
    pub fn due(&self, last: Timestamp, now: Timestamp) -> Due {
        let mut passed: u64 = 0;
        let mut time = last;
        while passed <= COUNTED_AT_MOST {
            match self.next_after(time) {
                Some(next) if next <= now => {
                    passed += 1;
                    time = next;
                }
                _ => break,
            }
        }
        // After so many that they are not counted to the end, the newest is still found.
        let not_too_old = now.checked_sub(MISSED_AT_MOST).unwrap_or(Timestamp::MIN);
        let mut fire = None;
        let mut time = last.max(not_too_old);
        while let Some(next) = self.next_after(time).filter(|&next| next <= now) {
            fire = Some(next);
            time = next;
        }
        Due {
            fire,
            missed: (passed - u64::from(fire.is_some() && passed > 0)).min(COUNTED_AT_MOST),
        }
    }

    /// The moment of a wall-clock time: the first of two, and where there is none, the moment of the change.
    fn instant(&self, civil: DateTime) -> Option<Timestamp> {
        let offset = match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Fold { before, .. } => before,
            AmbiguousOffset::Gap { after, .. } => {
                // Read with the offset that is not yet in force, the time lies before the change.
                let before_the_change = after.to_timestamp(civil).ok()?;
                let change = self.zone.following(before_the_change).next()?;
                return Some(change.timestamp());
            }
        };
        offset.to_timestamp(civil).ok()
    }
}

#[cfg(test)]
mod tests;
