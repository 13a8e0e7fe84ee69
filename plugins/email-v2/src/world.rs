//! What the conversation needs of the world outside, as traits: the component gives the host's, a test its own.

use std::fmt;

use crate::failure::Failure;
use crate::files::Files;

/// How TLS begins on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// With the first byte (RFC 8314).
    Tls,
    /// By STARTTLS (RFC 3207).
    StartTls,
    /// Never.
    None,
}

/// What the host knows of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// TLS is on.
    pub secured: bool,
    /// It is signed in.
    pub signed_in: bool,
    /// The name to say in EHLO.
    pub client_name: String,
    /// An earlier instance released it.
    pub warm: bool,
    /// How long it lay in the pool, in milliseconds.
    pub idle: u64,
}

/// Why the transport did not do as asked. Texts are sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireError {
    /// Not granted.
    Denied(String),
    /// The name does not resolve.
    Unresolved(String),
    /// Nobody took the connection.
    Refused(String),
    /// The deadline has passed.
    TimedOut,
    /// The run is ending.
    Ending,
    /// The peer closed.
    Closed,
    /// No TLS, or none to be trusted.
    Tls(String),
    /// The credentials are of no use.
    Credentials(String),
    /// Anything else.
    Io(String),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text)
            | Self::Unresolved(text)
            | Self::Refused(text)
            | Self::Tls(text)
            | Self::Credentials(text)
            | Self::Io(text) => f.write_str(text),
            Self::TimedOut => f.write_str("The server did not answer in time."),
            Self::Ending => f.write_str("The run ended before this message was sent."),
            Self::Closed => f.write_str("The server closed the connection."),
        }
    }
}

/// One connection.
pub trait Wire {
    /// What is known of it now.
    fn facts(&self) -> Facts;
    /// What the one who released it left.
    fn memo(&self) -> Vec<u8>;
    /// The deadline of what follows, in milliseconds from now.
    fn arm(&self, milliseconds: u32);
    /// At least one byte, at most `max`.
    ///
    /// # Errors
    ///
    /// A [`WireError`], as for everything below.
    fn read(&self, max: u32) -> Result<Vec<u8>, WireError>;
    /// All of it.
    ///
    /// # Errors
    ///
    /// A [`WireError`].
    fn write(&self, bytes: &[u8]) -> Result<(), WireError>;
    /// TLS, after the `220`.
    ///
    /// # Errors
    ///
    /// A [`WireError`].
    fn start_tls(&self) -> Result<(), WireError>;
    /// The whole sign-in; the answer is the server's last reply.
    ///
    /// # Errors
    ///
    /// A [`WireError`].
    fn sign_in(&self, mechanism: &str) -> Result<Vec<u8>, WireError>;
    /// Gives it back warm, with a memo, and with what to say when it is closed after all.
    fn release(self, memo: &[u8], farewell: &[u8]);
}

/// One committing act: a call, and a number within it.
pub type Part = (u32, u32);

/// Why an announcement was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The run is ending.
    Ending,
    /// It was committed before.
    Claimed,
    /// The ledger could not be written.
    Unrecorded,
    /// The account sends nothing now.
    Held,
}

/// How a call failed: the failure, how long to wait in seconds, and the step's output as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFailure {
    /// Why.
    pub failure: Failure,
    /// How long to wait before another try is worth it, in seconds.
    pub wait: Option<u32>,
    /// What is left to do, as JSON.
    pub remainder: Option<String>,
    /// What there is of the step's output, as JSON.
    pub output: Option<String>,
}

/// The host.
pub trait World {
    /// Its connections.
    type Wire: Wire;

    /// Whether [`open`](World::open) would begin at once, and not wait for another batch's connection.
    fn available(&mut self) -> bool {
        true
    }
    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// A [`WireError`].
    fn open(&mut self, host: &str, port: u16, security: Security) -> Result<Self::Wire, WireError>;
    /// Announces what the next write commits, and of each call that was not announced before, by its number, its output
    /// (JSON) should nobody learn how it ends.
    ///
    /// # Errors
    ///
    /// Why none of it may be written.
    fn committing(&mut self, parts: &[Part], in_doubt: Vec<(u32, String)>) -> Result<(), Stop>;
    /// The server confirmed a part. With the step's output as JSON, where the message is complete with it.
    fn confirmed(&mut self, part: Part, output: Option<&str>);
    /// The server refused a part with this reply.
    fn refused(&mut self, part: Part, evidence: &str);
    /// A call is over.
    fn settled(&mut self, call: u32, outcome: Result<String, CallFailure>);
    /// The run's files, for a call.
    fn files(&self, call: u32) -> Box<dyn Files>;
    /// Something odd about a call that is no reason to refuse it.
    fn warn(&mut self, call: u32, message: &str);
    /// Seconds since the Unix epoch.
    fn now(&self) -> u64;
    /// Random bits.
    fn random(&mut self) -> u64;
}
