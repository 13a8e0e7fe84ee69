//! The time that windows and pauses are counted by. It is the wall's, since they outlive the process.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch.
pub(super) type Moment = i64;

/// Tells the time. It may jump: see [`super::windows`].
pub(super) trait Clock: Send + Sync + fmt::Debug {
    /// Now, less what is beyond the last whole microsecond.
    fn now(&self) -> Moment;
}

/// The system's.
#[derive(Debug)]
pub(super) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }
}

/// As microseconds.
pub(super) fn length(duration: Duration) -> Moment {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// As a duration; none is shorter than nothing.
pub(super) fn duration(length: Moment) -> Duration {
    Duration::from_micros(u64::try_from(length).unwrap_or(0))
}
