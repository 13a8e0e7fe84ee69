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
    ShuttingDown {
        /// Ends for good at this moment.
        until: Instant,
        /// The time limit was reached, and nobody asked for the end.
        is_out_of_time: bool,
    },
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
        self.shut_down(grace, false);
    }

    /// Does the same because the time limit is reached: who waits then has waited for something that does not come.
    pub fn run_out_of_time(&self, grace: Duration) {
        self.shut_down(grace, true);
    }

    fn shut_down(&self, grace: Duration, by_time: bool) {
        let until = Instant::now() + grace;
        self.phase.send_modify(|phase| {
            let (until, is_out_of_time) = match *phase {
                Phase::ShuttingDown {
                    until: earlier,
                    is_out_of_time,
                } => (earlier.min(until), is_out_of_time),
                Phase::Running => (until, by_time),
            };
            *phase = Phase::ShuttingDown { until, is_out_of_time };
        });
    }
}

impl ShutdownToken {
    /// Checks whether the shutdown was requested.
    pub fn is_requested(&self) -> bool {
        *self.phase.borrow() != Phase::Running
    }

    /// Checks whether the shutdown was requested because the time limit was reached.
    pub fn is_out_of_time(&self) -> bool {
        matches!(
            *self.phase.borrow(),
            Phase::ShuttingDown {
                is_out_of_time: true,
                ..
            }
        )
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
            let Phase::ShuttingDown { until, .. } = *phase.borrow_and_update() else {
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

    #[tokio::test(start_paused = true)]
    async fn the_first_reason_counts() {
        let (handle, token) = channel();
        handle.run_out_of_time(Duration::from_secs(30));
        handle.request(Duration::ZERO);
        assert!(token.is_requested() && token.is_out_of_time());
        let (handle, token) = channel();
        handle.request(Duration::from_secs(30));
        handle.run_out_of_time(Duration::from_secs(30));
        assert!(token.is_requested() && !token.is_out_of_time());
    }
}
