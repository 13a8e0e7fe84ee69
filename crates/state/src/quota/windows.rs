//! The rules of the sliding windows, shared by every store.
//!
//! An admission counts from its beginning until one window after its end, because it is not known here when in between
//! the server takes the message. An admission that failed counts too. So a limit is never exceeded, but is not always
//! used up.
//!
//! After a clock was set back, the ends of admissions look more recent than they are, never older; ends in the future
//! are set to now. A pause then lasts, from now, as long as it was to last in total. After a clock was set forward, the
//! windows move with it: it is not possible here to distinguish that from time that has passed.
//!
//! `now` is read within the change, where nobody else changes anything: so what others have written is before it.

use std::time::Duration;

use super::{AccountRows, Availability, Coming, Pause, PauseCause, SendLimits, Standing, Usage, WindowUse};
use crate::clock::{Moment, duration, length};
use crate::error::StateError;

/// The length of the shorter window.
pub const SECOND: Duration = Duration::from_secs(1);
/// The length of the longer window.
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The result of a request to send, before a store adds what ends a wait.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// The numbers of the admissions.
    Admitted(Vec<i64>),
    /// Wait until an admission ends, or this long.
    Wait(Option<Duration>),
    /// The account pauses.
    Paused(Standing),
    /// The limit of a day is reached. There is room again at this moment.
    DayFull(Coming),
}

/// A window as it stands.
struct Window {
    most: usize,
    length: Moment,
    under_way: usize,
    ended: usize,
}

impl Window {
    fn of(rows: &mut dyn AccountRows, most: u32, window: Duration, now: Moment) -> Result<Self, StateError> {
        let length = length(window);
        let window = Self {
            most: usize::try_from(most).unwrap_or(usize::MAX).max(1),
            length,
            under_way: rows.under_way()?,
            ended: rows.ended_after(now - length)?,
        };
        Ok(window)
    }

    fn room(&self) -> usize {
        self.most.saturating_sub(self.under_way + self.ended)
    }

    /// Returns when there will be room for `count`, as far as what has ended decides; none: what is under way has to end
    /// first.
    fn opens(&self, rows: &mut dyn AccountRows, count: usize) -> Result<Option<Moment>, StateError> {
        let Some(others) = self.most.checked_sub(self.under_way + count) else {
            return Ok(None);
        };
        Ok(rows.end_before_latest(others)?.map(|end| end + self.length))
    }
}

fn coming(at: Moment, now: Moment) -> Coming {
    Coming {
        at,
        wait: duration(at - now),
    }
}

/// Returns a pause with the time that is left of it at this moment.
pub fn standing(pause: Pause, now: Moment) -> Standing {
    Standing {
        end: coming(pause.until, now),
        pause,
    }
}

/// Makes what is kept agree with the clock, and lets go of what is of no more use.
fn tidy(rows: &mut dyn AccountRows, limits: SendLimits, now: Moment) -> Result<(), StateError> {
    rows.bring_back_to(now + 1)?;
    let longest = if limits.per_day.is_some() { DAY } else { SECOND };
    rows.forget(now - length(longest))
}

/// Returns the pause that is in force at this moment.
///
/// # Errors
/// Fails when the state cannot be used.
pub fn pause(rows: &mut dyn AccountRows, now: Moment) -> Result<Option<Standing>, StateError> {
    let Some(mut pause) = rows.pause()? else {
        return Ok(None);
    };
    if pause.begun > now {
        pause.until -= pause.begun - now;
        pause.begun = now;
        rows.set_pause(Some(&pause))?;
    }
    if pause.until <= now {
        rows.set_pause(None)?;
        return Ok(None);
    }
    Ok(Some(standing(pause, now)))
}

/// Begins a pause, and returns the pause that is then in force. A pause that ends within a second of the existing one
/// does not replace it, because a batch that fails as a whole reports the same for each message.
///
/// # Errors
/// Fails when the state cannot be used.
pub fn begin_pause(
    rows: &mut dyn AccountRows,
    cause: PauseCause,
    lasts: Duration,
    why: &str,
    now: Moment,
) -> Result<Standing, StateError> {
    let until = now + length(lasts);
    if let Some(known) = pause(rows, now)?
        && known.pause.until + length(SECOND) >= until
    {
        return Ok(known);
    }
    let pause = Pause {
        begun: now,
        until,
        cause,
        why: why.to_owned(),
    };
    rows.set_pause(Some(&pause))?;
    Ok(standing(pause, now))
}

/// Admits `count` transactions at once, or returns the reason why not.
///
/// # Errors
/// Fails when the state cannot be used.
pub fn admit(
    rows: &mut dyn AccountRows,
    limits: SendLimits,
    count: usize,
    now: Moment,
) -> Result<Decision, StateError> {
    if let Some(standing) = pause(rows, now)? {
        return Ok(Decision::Paused(standing));
    }
    tidy(rows, limits, now)?;
    let mut opens = now;
    for (most, window, is_day) in [(limits.per_day, DAY, true), (limits.per_second, SECOND, false)] {
        let Some(most) = most else { continue };
        let mut state = Window::of(rows, most, window, now)?;
        if state.room() < count && state.under_way > 0 {
            rows.end_the_dead(now + 1)?;
            state = Window::of(rows, most, window, now)?;
        }
        if state.room() >= count {
            continue;
        }
        let room_at = state.opens(rows, count)?;
        if is_day {
            return Ok(Decision::DayFull(coming(room_at.unwrap_or(now + state.length), now)));
        }
        match room_at {
            Some(room_at) => opens = room_at,
            None => return Ok(Decision::Wait(None)),
        }
    }
    if opens > now {
        return Ok(Decision::Wait(Some(duration(opens - now))));
    }
    let before = rows.under_way()?;
    let admitted: Vec<i64> = (0..count).map(|_| rows.add()).collect::<Result<_, _>>()?;
    debug_assert_eq!(
        rows.under_way()?,
        before + count,
        "each admission counts as one under way"
    );
    Ok(Decision::Admitted(admitted))
}

/// Returns how much of its limits an account has used.
///
/// # Errors
/// Fails when the state cannot be used.
pub fn usage(rows: &mut dyn AccountRows, limits: SendLimits, now: Moment) -> Result<Usage, StateError> {
    if !limits.is_some() {
        return Ok(Usage::default());
    }
    rows.end_the_dead(now + 1)?;
    tidy(rows, limits, now)?;
    let mut used = |most: Option<u32>, length: Duration| {
        let Some(most) = most else { return Ok(None) };
        let window = Window::of(rows, most, length, now)?;
        Ok(Some(WindowUse {
            used: window.under_way + window.ended,
            most: window.most,
        }))
    };
    Ok(Usage {
        second: used(limits.per_second, SECOND)?,
        day: used(limits.per_day, DAY)?,
    })
}

/// Returns how much of a day's limit is left.
///
/// # Errors
/// Fails when the state cannot be used.
pub fn look(rows: &mut dyn AccountRows, limits: SendLimits, now: Moment) -> Result<Availability, StateError> {
    if let Some(standing) = pause(rows, now)? {
        return Ok(Availability::Paused(standing));
    }
    if !limits.is_some() {
        return Ok(Availability::Room(None));
    }
    rows.end_the_dead(now + 1)?;
    tidy(rows, limits, now)?;
    let Some(most) = limits.per_day else {
        return Ok(Availability::Room(None));
    };
    let day = Window::of(rows, most, DAY, now)?;
    let next = match day.room() {
        0 => day.opens(rows, 1)?,
        _ => rows.first_end_after(now - day.length)?.map(|end| end + day.length),
    };
    Ok(Availability::Room(Some((
        day.room(),
        coming(next.unwrap_or(now + day.length), now),
    ))))
}
