//! What ends a command from outside: signals, and a reader that is gone.

use std::io;

/// The signals that ask a command to end, from the moment this is made: none is missed between two calls of [`next`].
///
/// [`next`]: Signals::next
#[cfg(unix)]
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Listens for SIGINT and SIGTERM.
    pub(super) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next of them.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Ctrl+C, which is all that there is here.
#[cfg(not(unix))]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Nothing can fail before the first wait.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for the next Ctrl+C.
    pub(super) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The signal that asks to read everything anew.
#[cfg(unix)]
pub(super) struct Reload(Option<tokio::signal::unix::Signal>);

/// Listens for SIGHUP.
#[cfg(unix)]
pub(super) fn reload() -> Reload {
    use tokio::signal::unix::{SignalKind, signal};
    Reload(signal(SignalKind::hangup()).ok())
}

#[cfg(unix)]
impl Reload {
    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }
}

/// There is none here.
#[cfg(not(unix))]
pub(super) struct Reload;

#[cfg(not(unix))]
pub(super) fn reload() -> Reload {
    Reload
}

#[cfg(not(unix))]
impl Reload {
    /// Never over.
    pub(super) async fn next(&mut self) {
        std::future::pending().await
    }
}

/// Waits until nobody reads standard output any more. Never over where it is a file, or a thing that has no reader.
#[cfg(unix)]
pub(super) async fn reader_gone() {
    use std::os::fd::AsFd as _;

    use tokio::io::Interest;
    use tokio::net::unix::pipe::Sender;
    // Nothing is written by this, and standard output, which others may share, stays blocking.
    if let Ok(out) = io::stdout().as_fd().try_clone_to_owned()
        && let Ok(out) = Sender::from_owned_fd_unchecked(out)
        && out.ready(Interest::ERROR).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

#[cfg(not(unix))]
pub(super) async fn reader_gone() {
    std::future::pending().await
}
