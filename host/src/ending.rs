//! The end of a run: nothing new starts, what is in flight gets a grace to be confirmed, then everything is over.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How long what was announced may still be confirmed after a run's end was called.
pub const GRACE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Ends for good at this moment.
    Ending(Instant),
}

/// Calls a run's end.
#[derive(Debug, Clone)]
pub struct EndCall {
    phase: watch::Sender<Phase>,
}

/// Told of a run's end.
#[derive(Debug, Clone)]
pub struct Ending {
    phase: watch::Receiver<Phase>,
}

/// A run that goes on until its end is called.
pub fn ending() -> (EndCall, Ending) {
    let (sender, receiver) = watch::channel(Phase::Running);
    (EndCall { phase: sender }, Ending { phase: receiver })
}

impl EndCall {
    /// Nothing new starts from here on; `grace` is left to what was announced. A second call can only shorten it.
    pub fn end_within(&self, grace: Duration) {
        let until = Instant::now() + grace;
        self.phase.send_modify(|phase| {
            *phase = match *phase {
                Phase::Ending(earlier) => Phase::Ending(earlier.min(until)),
                Phase::Running => Phase::Ending(until),
            };
        });
    }
}

impl Ending {
    /// Whether the end was called.
    pub fn is_ending(&self) -> bool {
        *self.phase.borrow() != Phase::Running
    }

    /// Waits until the end is called. Never, if nobody is left who could.
    pub async fn called(&self) {
        let mut phase = self.phase.clone();
        if phase.wait_for(|phase| *phase != Phase::Running).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the grace is over.
    pub async fn over(&self) {
        let mut phase = self.phase.clone();
        loop {
            let Phase::Ending(until) = *phase.borrow_and_update() else {
                if phase.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                // The grace was shortened.
                changed = phase.changed() => if changed.is_err() {
                    tokio::time::sleep_until(until).await;
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_grace_counts_from_the_call_and_can_only_shrink() {
        let (call, ending) = ending();
        assert!(!ending.is_ending());
        let start = Instant::now();
        call.end_within(Duration::from_secs(30));
        ending.called().await;
        call.end_within(Duration::from_secs(60));
        call.end_within(Duration::from_secs(5));
        ending.over().await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}
