//! The shutdown of a run: nothing new starts, what is in flight gets a grace to be confirmed, then everything is over.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How long what was announced may still be confirmed after a shutdown was requested.
pub const GRACE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Ends for good at this moment.
    ShuttingDown(Instant),
}

/// Requests a shutdown.
#[derive(Debug, Clone)]
pub struct ShutdownHandle {
    phase: watch::Sender<Phase>,
}

/// Learns of a shutdown.
#[derive(Debug, Clone)]
pub struct ShutdownToken {
    phase: watch::Receiver<Phase>,
}

/// Makes a handle and the token that learns of its requests.
pub fn channel() -> (ShutdownHandle, ShutdownToken) {
    let (sender, receiver) = watch::channel(Phase::Running);
    (ShutdownHandle { phase: sender }, ShutdownToken { phase: receiver })
}

impl ShutdownHandle {
    /// Requests the shutdown: nothing new starts from here on, and `grace` is left to what was announced. A second request
    /// can only shorten it.
    pub fn request(&self, grace: Duration) {
        let until = Instant::now() + grace;
        self.phase.send_modify(|phase| {
            *phase = match *phase {
                Phase::ShuttingDown(earlier) => Phase::ShuttingDown(earlier.min(until)),
                Phase::Running => Phase::ShuttingDown(until),
            };
        });
    }
}

impl ShutdownToken {
    /// Returns whether the shutdown was requested.
    pub fn is_requested(&self) -> bool {
        *self.phase.borrow() != Phase::Running
    }

    /// Waits until the shutdown is requested; for ever, when every handle was dropped.
    pub async fn requested(&self) {
        let mut phase = self.phase.clone();
        if phase.wait_for(|phase| *phase != Phase::Running).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the grace is over.
    pub async fn grace_over(&self) {
        let mut phase = self.phase.clone();
        loop {
            let Phase::ShuttingDown(until) = *phase.borrow_and_update() else {
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
        let (handle, token) = channel();
        assert!(!token.is_requested());
        let start = Instant::now();
        handle.request(Duration::from_secs(30));
        token.requested().await;
        handle.request(Duration::from_secs(60));
        handle.request(Duration::from_secs(5));
        token.grace_over().await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}
