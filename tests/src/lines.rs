//! The lines of a child process, as they come.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Nothing that a test waits for takes this long; only a hang does.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Reads lines on a thread of its own, so that waiting for one has an end.
pub(crate) struct Lines {
    /// Shared by threads that wait for different lines.
    coming: Mutex<Receiver<String>>,
    seen: Arc<Mutex<String>>,
}

impl Lines {
    pub(crate) fn of(source: impl Read + Send + 'static) -> Self {
        Self::until(source, "")
    }

    /// As if the source ended at the line `last`, for a source that has no end of its own.
    pub(crate) fn until(source: impl Read + Send + 'static, last: &'static str) -> Self {
        let (sender, coming) = mpsc::channel();
        let seen = Arc::new(Mutex::new(String::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8_lossy(&line).into_owned();
                if !last.is_empty() && line == last {
                    break;
                }
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
                drop(log);
                // Nobody waits any more; what comes is still worth showing when a test fails.
                let _ = sender.send(line);
            }
        });
        Self {
            coming: Mutex::new(coming),
            seen,
        }
    }

    /// The next line; none at the end.
    ///
    /// # Panics
    /// When nothing comes for as long as no test has to wait.
    pub(crate) fn next(&self) -> Option<String> {
        let coming = self.coming.lock().unwrap_or_else(PoisonError::into_inner);
        match coming.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("a peer said nothing for {PATIENCE:?}; before:\n{}", self.seen()),
        }
    }

    /// Everything up to now.
    pub(crate) fn seen(&self) -> String {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
