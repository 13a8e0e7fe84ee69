//! The time that windows, pauses and retention are counted by. It is the wall's, since they outlive the process.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch.
pub type Moment = i64;

/// Tells the time. It may jump: see [`crate::quota::windows`].
pub trait Clock: Send + Sync + fmt::Debug {
    /// Returns the time now, without the part of a microsecond.
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

/// Returns a duration as microseconds.
pub fn length(duration: Duration) -> Moment {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Returns microseconds as a duration; a negative length is none.
pub fn duration(length: Moment) -> Duration {
    Duration::from_micros(u64::try_from(length).unwrap_or(0))
}

/// Returns whole seconds since the Unix epoch.
pub fn seconds(moment: Moment) -> i64 {
    moment.div_euclid(1_000_000)
}
