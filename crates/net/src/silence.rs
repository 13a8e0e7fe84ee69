//! Servers that say nothing: what was waited for when the run's time was over, and a port where TLS begins at once.

use std::fmt;
use std::time::Duration;

use pipepost_core::Endpoint;
use pipepost_core::shutdown::ShutdownToken;
use tokio::time::Instant;

use crate::connection::ConnectionError;
use crate::dial::DialError;

/// How long a wait has to last until the end of the run's time counts as the server's silence. A server that works needs
/// less for any answer.
pub const SILENCE: Duration = Duration::from_secs(1);

/// How long a server has for its greeting before it is asked whether TLS begins at its port. Those that are slow on
/// purpose wait longer, and look for what comes too early at port 25 only.
pub(crate) const SHY: Duration = Duration::from_secs(2);

/// How long the answer to that may take.
pub(crate) const TLS_ANSWER: Duration = Duration::from_secs(3);

/// What a connection waits for while it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// The name's address, or an answer to TCP's first packet.
    Connection,
    /// The server's part of the TLS handshake.
    Handshake,
    /// The sign-in of the account's first connection, which comes before all others.
    FirstSignIn,
}

impl Awaited {
    /// Waits for `act`, and for no longer than the run has time.
    pub(crate) async fn unless_over<T>(
        self,
        endpoint: &Endpoint,
        ending: Option<&ShutdownToken>,
        act: impl Future<Output = T>,
    ) -> Result<T, ConnectionError> {
        let Some(ending) = ending else { return Ok(act.await) };
        let began = Instant::now();
        tokio::select! {
            biased;
            done = act => Ok(done),
            () = ending.requested() => Err(if is_silence(ending, began) {
                self.silent(endpoint)
            } else {
                ConnectionError::Ending
            }),
        }
    }
}

impl Awaited {
    /// The error of whoever has waited too long.
    pub(crate) fn silent(self, endpoint: &Endpoint) -> ConnectionError {
        let endpoint = endpoint.clone();
        match self {
            Self::Connection => DialError::TimedOut { endpoint }.into(),
            awaited => ConnectionError::Silent { endpoint, awaited },
        }
    }
}

/// Checks whether somebody who has waited since `began`, and whose run is ending, met a server that says nothing.
pub fn is_silence(ending: &ShutdownToken, began: Instant) -> bool {
    ending.is_out_of_time() && began.elapsed() >= SILENCE
}

/// As the end of a sentence that begins with the server's name.
impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "does not answer",
            Self::Handshake => {
                "took the connection and did not answer the TLS handshake: most often TLS does not begin with the first \
                 byte at that port (port 465 begins with TLS, port 587 in clear), or a firewall passes nothing on"
            }
            Self::FirstSignIn => "has not answered the account's first connection, which signs in before all others",
        })
    }
}
