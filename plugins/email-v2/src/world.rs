//! The functions that the conversation needs from its host, as traits over the contract's own types. The component
//! passes in the real host, and a test its own.

use pipepost_sdk::outcomes::InDoubt;
pub use pipepost_sdk::outcomes::Stop;
pub use pipepost_sdk::transport::{Facts, TransportError};
pub use pipepost_sdk::{Part, Security};

use crate::files::Files;

/// A connection that the host opened.
pub trait Connection {
    /// Returns what is known of the connection now.
    fn facts(&self) -> Facts;
    /// Returns what the instance that released the connection left for this one.
    fn resume_state(&self) -> Vec<u8>;
    /// Sets the deadline of the following operations, in milliseconds from now.
    fn set_deadline(&self, deadline_ms: u32);
    /// Returns at least one byte, at most `max_bytes`.
    ///
    /// # Errors
    /// A [`TransportError`], as for all methods below.
    fn read(&self, max_bytes: u32) -> Result<Vec<u8>, TransportError>;
    /// Writes all bytes.
    ///
    /// # Errors
    /// A [`TransportError`].
    fn write(&self, bytes: &[u8]) -> Result<(), TransportError>;
    /// Starts TLS, after the `220`.
    ///
    /// # Errors
    /// A [`TransportError`].
    fn start_tls(&self) -> Result<(), TransportError>;
    /// Performs the whole sign-in; returns the server's last reply.
    ///
    /// # Errors
    /// A [`TransportError`].
    fn sign_in(&self, mechanism: &str) -> Result<Vec<u8>, TransportError>;
    /// Gives the connection back for reuse, with what the next user needs to know, and with the bytes to write if it is
    /// closed after all.
    fn release(self, resume_state: &[u8], close_bytes: &[u8]);
}

/// The functions of the host.
pub trait HostApi {
    /// The type of the host's connections.
    type Connection: Connection;

    /// Checks whether [`open`](HostApi::open) would begin at once, and would not wait for another batch's connection.
    fn connection_available(&mut self) -> bool {
        true
    }
    /// Opens a connection.
    ///
    /// # Errors
    /// A [`TransportError`].
    fn open(&mut self, host: &str, port: u16, security: Security) -> Result<Self::Connection, TransportError>;
    /// Announces what the next write commits, with the output in doubt of each call that was not announced before.
    ///
    /// # Errors
    /// The reason why none of it may be written.
    fn committing(&mut self, parts: &[Part], in_doubt: &[InDoubt]) -> Result<(), Stop>;
    /// Returns how many parts may be claimed ahead of their announcement now; 0 where claims wait for nothing.
    fn room_ahead(&mut self) -> u32 {
        0
    }
    /// Claims parts that are announced soon, with their outputs in doubt as for [`committing`](HostApi::committing). It
    /// does not wait.
    fn claim_ahead(&mut self, _parts: &[Part], _in_doubt: &[InDoubt]) {}
    /// Reports that the server confirmed a part. `output` is the step's output as JSON, if this part completes the
    /// message.
    fn confirmed(&mut self, part: Part, output: Option<&str>);
    /// Reports that the server refused a part with this reply.
    fn refused(&mut self, part: Part, evidence: &str);
    /// Ends a call. With no output, the confirmed output is used.
    fn settled(&mut self, call: u32, outcome: Result<Option<&str>, &pipepost_sdk::Failure>);
    /// Returns the run's files, for a call.
    fn files(&self, call: u32) -> Box<dyn Files>;
    /// Logs something odd about a call that is not a reason to refuse it.
    fn warn(&mut self, call: u32, message: &str);
    /// Returns the seconds since the Unix epoch.
    fn now(&self) -> u64;
    /// Returns random bits.
    fn random(&mut self) -> u64;
}
