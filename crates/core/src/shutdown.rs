//! The shutdown of a run: nothing new starts, what is in flight gets a grace period to be confirmed, then everything
//! ends.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The time in which announced parts may still be confirmed after a shutdown was requested.
pub const GRACE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Ends for good at this moment.
    ShuttingDown(Instant),
}

/// A handle that requests a shutdown.
#[derive(Debug, Clone)]
pub struct ShutdownHandle {
    phase: watch::Sender<Phase>,
}

/// A token that shows whether a shutdown was requested.
#[derive(Debug, Clone)]
pub struct ShutdownToken {
    phase: watch::Receiver<Phase>,
}

/// Makes a handle, and the token that shows its requests.
pub fn channel() -> (ShutdownHandle, ShutdownToken) {
    let (sender, receiver) = watch::channel(Phase::Running);
    (ShutdownHandle { phase: sender }, ShutdownToken { phase: receiver })
}

impl ShutdownHandle {
    /// Requests the shutdown. From now on nothing new starts, and announced parts have `grace` to be confirmed. A
    /// second request can only shorten that time.
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
    /// Checks whether the shutdown was requested.
    pub fn is_requested(&self) -> bool {
        *self.phase.borrow() != Phase::Running
    }

    /// Waits until the shutdown is requested. It waits for ever when every handle was dropped.
    pub async fn requested(&self) {
        let mut phase = self.phase.clone();
        if phase.wait_for(|phase| *phase != Phase::Running).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the grace period is over.
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
