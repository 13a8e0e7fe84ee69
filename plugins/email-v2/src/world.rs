//! What the conversation needs of its host, as traits over the contract's own types: the component gives the real host, a
//! test its own.

use pipepost_sdk::outcomes::InDoubt;
pub use pipepost_sdk::outcomes::Stop;
pub use pipepost_sdk::transport::{Facts, TransportError};
pub use pipepost_sdk::{Part, Security};

use crate::files::Files;

/// One connection.
pub trait Connection {
    /// Returns what is known of it now.
    fn facts(&self) -> Facts;
    /// Returns what the instance that released it left.
    fn resume_state(&self) -> Vec<u8>;
    /// Sets the deadline of what follows, in milliseconds from now.
    fn set_deadline(&self, deadline_ms: u32);
    /// Returns at least one byte, at most `max_bytes`.
    ///
    /// # Errors
    ///
    /// A [`TransportError`], as for everything below.
    fn read(&self, max_bytes: u32) -> Result<Vec<u8>, TransportError>;
    /// Writes all bytes.
    ///
    /// # Errors
    ///
    /// A [`TransportError`].
    fn write(&self, bytes: &[u8]) -> Result<(), TransportError>;
    /// Starts TLS, after the `220`.
    ///
    /// # Errors
    ///
    /// A [`TransportError`].
    fn start_tls(&self) -> Result<(), TransportError>;
    /// Performs the whole sign-in; returns the server's last reply.
    ///
    /// # Errors
    ///
    /// A [`TransportError`].
    fn sign_in(&self, mechanism: &str) -> Result<Vec<u8>, TransportError>;
    /// Gives it back warm, with what the next one needs to know, and with what to write when it is closed after all.
    fn release(self, resume_state: &[u8], close_bytes: &[u8]);
}

/// The host.
pub trait HostApi {
    /// Its connections.
    type Connection: Connection;

    /// Returns whether [`open`](HostApi::open) would begin at once, and not wait for another batch's connection.
    fn connection_available(&mut self) -> bool {
        true
    }
    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// A [`TransportError`].
    fn open(&mut self, host: &str, port: u16, security: Security) -> Result<Self::Connection, TransportError>;
    /// Announces what the next write commits, with the output in doubt of each call that was not announced before.
    ///
    /// # Errors
    ///
    /// Why none of it may be written.
    fn committing(&mut self, parts: &[Part], in_doubt: &[InDoubt]) -> Result<(), Stop>;
    /// Reports that the server confirmed a part. With the step's output as JSON, where the message is complete with it.
    fn confirmed(&mut self, part: Part, output: Option<&str>);
    /// Reports that the server refused a part with this reply.
    fn refused(&mut self, part: Part, evidence: &str);
    /// Ends a call. No output: the one that was confirmed.
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
