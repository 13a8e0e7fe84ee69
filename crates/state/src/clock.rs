//! The time by which windows, pauses and retention are counted. It is wall-clock time, because they outlive the
//! process.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment, in microseconds since the Unix epoch.
pub type Moment = i64;

/// A clock that gives the current time. It may jump: see [`crate::quota::windows`].
pub trait Clock: Send + Sync + fmt::Debug {
    /// Returns the current time, rounded down to a microsecond.
    fn now(&self) -> Moment;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }
}

/// Converts a duration to microseconds.
pub fn length(duration: Duration) -> Moment {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Converts microseconds to a duration; a negative length becomes zero.
pub fn duration(length: Moment) -> Duration {
    Duration::from_micros(u64::try_from(length).unwrap_or(0))
}

/// Converts a moment to whole seconds since the Unix epoch.
pub fn seconds(moment: Moment) -> i64 {
    moment.div_euclid(1_000_000)
}
