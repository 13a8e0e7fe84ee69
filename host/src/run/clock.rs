//! The limits of one run as a whole: its time, and the number of tracks that it may have under way.
//!
//! A run that waits is woken by its alarm. A run that only evaluates would not notice it. So the limits are also
//! checked before each step, each iteration and each message, and between them the run lets other work go on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pipepost_core::shutdown::{GRACE, ShutdownHandle, ShutdownToken};
use pipepost_core::{Failure, FailureKind, Remedy};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Tracks of one run that may be under way at a time: executions side by side, and iterations of loops.
const TRACKS_MAX: usize = 10_000;

/// Tracks of parallel executions within one another: the results of all of them become one message.
const PARALLEL_TRACKS_MAX: usize = 10_000;

/// Why a run ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overrun {
    Time,
    Tracks,
    Depth,
}

/// Knows when nothing new may begin any more, and why.
#[derive(Debug)]
pub(super) struct RunClock {
    limit: Option<Duration>,
    until: Option<Instant>,
    shutdown: ShutdownHandle,
    token: ShutdownToken,
    overrun: OnceLock<Overrun>,
    tracks: AtomicUsize,
}

impl RunClock {
    /// Starts the time of a run.
    pub(super) fn new(limit: Option<Duration>, shutdown: ShutdownHandle, token: ShutdownToken) -> Arc<Self> {
        Arc::new(Self {
            limit,
            until: limit.and_then(|limit| Instant::now().checked_add(limit)),
            shutdown,
            token,
            overrun: OnceLock::new(),
            tracks: AtomicUsize::new(0),
        })
    }

    /// When nothing new begins any more; none without a limit.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Learns of the run's end.
    pub(super) fn token(&self) -> &ShutdownToken {
        &self.token
    }

    /// Whether nothing new may begin. Reads the time itself: a run that does not wait would miss its alarm.
    pub(super) fn is_over(&self) -> bool {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            self.end(Overrun::Time);
        }
        self.token.is_requested()
    }

    /// Ends the run at its time limit, from a task of its own, which lasts as long as what is returned.
    pub(super) fn alarm(self: &Arc<Self>) -> Option<Alarm> {
        let until = self.until?;
        let clock = Arc::clone(self);
        let task = tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            clock.end(Overrun::Time);
        });
        Some(Alarm(task.abort_handle()))
    }

    /// At a bound nothing new starts; what was announced may still be confirmed.
    fn end(&self, overrun: Overrun) {
        if !self.token.is_requested() && self.overrun.set(overrun).is_ok() {
            match overrun {
                Overrun::Time => self.shutdown.run_out_of_time(GRACE),
                Overrun::Tracks | Overrun::Depth => self.shutdown.request(GRACE),
            }
        }
    }

    /// Begins a track. It counts as long as what is returned lasts.
    ///
    /// # Errors
    /// Fails with the kind `limit`, which ends the run, when too many are under way.
    pub(super) fn track(&self) -> Result<Track<'_>, Failure> {
        let track = Track(&self.tracks);
        if self.tracks.fetch_add(1, Ordering::Relaxed) >= TRACKS_MAX {
            self.end(Overrun::Tracks);
            return Err(self.over());
        }
        Ok(track)
    }

    /// Counts executions side by side that are to begin within others.
    ///
    /// # Errors
    /// Fails with the kind `limit`, which ends the run, when there are too many.
    pub(super) fn fan_out(&self, so_far: &AtomicUsize, more: usize) -> Result<(), Failure> {
        let before = so_far.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > PARALLEL_TRACKS_MAX {
            self.end(Overrun::Tracks);
            return Err(self.over());
        }
        Ok(())
    }

    /// Whether somebody ended the run early, and not one of its own bounds.
    pub(super) fn was_interrupted(&self) -> bool {
        self.token.is_requested() && self.overrun.get().is_none()
    }

    /// Ends the run for a value that nests too deeply.
    pub(super) fn end_for_depth(&self) {
        self.end(Overrun::Depth);
    }

    /// Why nothing begins any more.
    pub(super) fn over(&self) -> Failure {
        match (self.overrun.get(), self.limit) {
            (Some(Overrun::Tracks), _) => Failure::new(
                FailureKind::Limit,
                format!("The run has more than {TRACKS_MAX} tracks under way within one another, and was ended."),
            )
            .advise("Nest fewer parallel steps, or let a loop go over what they share out."),
            (Some(Overrun::Depth), _) => Failure::new(
                FailureKind::Limit,
                "A value of the run nests too deeply; this step did not start.",
            ),
            (Some(Overrun::Time), Some(limit)) => Failure::new(
                FailureKind::Limit,
                format!(
                    "The run's time limit of {} s is over; this step did not start.",
                    limit.as_secs_f64()
                ),
            )
            .advise("Give it more, in the document's triggerSpec.timeout or for one run.")
            .with_remedy(Remedy::RaiseTimeLimit),
            _ => Failure::new(
                FailureKind::Transient,
                "The run was interrupted; this step did not start.",
            ),
        }
    }
}

/// The task that ends a run at its time limit.
#[derive(Debug)]
pub(super) struct Alarm(AbortHandle);

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A track under way.
#[derive(Debug)]
pub(super) struct Track<'c>(&'c AtomicUsize);

impl Drop for Track<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets other work of the process go on, every so often.
pub(super) async fn give_way() {
    tokio::task::coop::consume_budget().await;
}

#[cfg(test)]
mod tests {
    use pipepost_core::shutdown::channel;

    use super::*;

    fn clock(limit: Option<Duration>) -> Arc<RunClock> {
        let (handle, token) = channel();
        RunClock::new(limit, handle, token)
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_is_over_for_those_who_look_and_for_those_who_wait() {
        let looking = clock(Some(Duration::from_secs(1)));
        assert!(!looking.is_over());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(looking.is_over());
        let over = looking.over();
        assert_eq!(
            (over.kind, over.remedy),
            (FailureKind::Limit, Some(Remedy::RaiseTimeLimit))
        );

        let waiting = clock(Some(Duration::from_secs(1)));
        let alarm = waiting.alarm();
        waiting.token().requested().await;
        assert_eq!(waiting.over().kind, FailureKind::Limit);
        drop(alarm);
    }

    #[tokio::test]
    async fn an_interrupted_run_is_not_told_that_its_time_is_over() {
        let (handle, token) = channel();
        let clock = RunClock::new(Some(Duration::ZERO), handle.clone(), token);
        handle.request(GRACE);
        assert!(clock.is_over());
        assert_eq!(clock.over().kind, FailureKind::Transient);
    }

    #[tokio::test]
    async fn tracks_are_counted_while_they_last() {
        let clock = clock(None);
        let mut tracks: Vec<_> = (0..TRACKS_MAX).map(|_| clock.track().expect("room")).collect();
        tracks.pop();
        tracks.push(clock.track().expect("room again"));
        assert_eq!(clock.track().expect_err("full").kind, FailureKind::Limit);
        assert!(clock.is_over());
    }
}
