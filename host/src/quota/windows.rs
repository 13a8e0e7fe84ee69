//! The rules of the sliding windows, once for every shelf.
//!
//! An admission counts from its beginning until a window after its end, since nobody here knows when in between the server
//! takes the message; one that failed counts too. So a limit is kept exactly, and not always filled.
//!
//! A clock that was set back makes what ended look younger than it is, and never older; what would have ended in the future
//! ends now. A pause then lasts as long from now as it was to last in all. A clock that was set forward moves the windows
//! with it: nobody here can tell that from time that has passed.

use std::time::Duration;

use pipepost_accounts::Limits;

use super::clock::{Moment, duration, length};
use super::shelf::{Pause, Rows};
use crate::state::StateError;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What becomes of a wish to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The numbers of the admissions.
    Admitted(Vec<i64>),
    /// Until an admission ends, or this long.
    Wait(Option<Duration>),
    Pausing(Pause),
    /// The limit of a day is reached; there is room again at this moment.
    DayIsFull(Moment),
}

/// What may be sent before anything has to wait for another day.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    Pausing(Pause),
    /// So many, and the next after them at this moment.
    Room(usize, Moment),
}

/// A window as it stands.
struct Window {
    most: usize,
    length: Moment,
    under_way: usize,
    ended: usize,
}

impl Window {
    fn of(rows: &mut dyn Rows, most: u32, window: Duration, now: Moment) -> Result<Self, StateError> {
        let length = length(window);
        Ok(Self {
            most: usize::try_from(most).unwrap_or(usize::MAX).max(1),
            length,
            under_way: rows.under_way()?,
            ended: rows.ended_after(now - length)?,
        })
    }

    fn room(&self) -> usize {
        self.most.saturating_sub(self.under_way + self.ended)
    }

    /// When there will be room for `count`, as far as what has ended decides; none: what is under way has to end first.
    fn opens(&self, rows: &mut dyn Rows, count: usize) -> Result<Option<Moment>, StateError> {
        let Some(others) = self.most.checked_sub(self.under_way + count) else {
            return Ok(None);
        };
        Ok(rows.end_before_latest(others)?.map(|end| end + self.length))
    }
}

/// Whether these limits count messages at all.
pub(crate) fn counts(limits: Limits) -> bool {
    limits.messages_per_second.is_some() || limits.messages_per_day.is_some()
}

/// Makes what is kept agree with the clock, and lets go of what is of no more use.
fn tidy(rows: &mut dyn Rows, limits: Limits, now: Moment) -> Result<(), StateError> {
    rows.bring_back_to(now + 1)?;
    let longest = if limits.messages_per_day.is_some() { DAY } else { SECOND };
    rows.forget(now - length(longest))
}

/// The pause that stands at this moment.
pub(super) fn pause(rows: &mut dyn Rows, now: Moment) -> Result<Option<Pause>, StateError> {
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
    Ok(Some(pause))
}

/// Admits `count` at once, or says why not.
pub(super) fn admit(
    rows: &mut dyn Rows,
    limits: Limits,
    count: usize,
    clock: &dyn super::clock::Clock,
) -> Result<Word, StateError> {
    // Asked here, where nobody else changes anything: what others have written lies before it.
    let now = clock.now();
    if let Some(pause) = pause(rows, now)? {
        return Ok(Word::Pausing(pause));
    }
    tidy(rows, limits, now)?;
    let mut opens = now;
    for (most, window, is_day) in [
        (limits.messages_per_day, DAY, true),
        (limits.messages_per_second, SECOND, false),
    ] {
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
            return Ok(Word::DayIsFull(room_at.unwrap_or(now + state.length)));
        }
        match room_at {
            Some(room_at) => opens = room_at,
            None => return Ok(Word::Wait(None)),
        }
    }
    if opens > now {
        return Ok(Word::Wait(Some(duration(opens - now))));
    }
    let admitted = (0..count).map(|_| rows.add()).collect::<Result<_, _>>()?;
    Ok(Word::Admitted(admitted))
}

/// How much of a day's limit is left.
pub(super) fn look(
    rows: &mut dyn Rows,
    limits: Limits,
    clock: &dyn super::clock::Clock,
) -> Result<Outlook, StateError> {
    let now = clock.now();
    if let Some(pause) = pause(rows, now)? {
        return Ok(Outlook::Pausing(pause));
    }
    rows.end_the_dead(now + 1)?;
    tidy(rows, limits, now)?;
    let Some(most) = limits.messages_per_day else {
        return Ok(Outlook::Room(usize::MAX, now));
    };
    let day = Window::of(rows, most, DAY, now)?;
    let next = match day.room() {
        0 => day.opens(rows, 1)?,
        _ => rows.first_end_after(now - day.length)?.map(|end| end + day.length),
    };
    Ok(Outlook::Room(day.room(), next.unwrap_or(now + day.length)))
}
