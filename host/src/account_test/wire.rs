//! The host's connection, as the conversation of the test uses it.

use std::time::Duration;

use pipepost_accounts::Security;
use pipepost_core::Endpoint;
use pipepost_net::{Connection as HostConnection, ConnectionError, TransportGrant};
use pipepost_probe::Connection;
use tokio::time::Instant;

/// How long each further reply may take, when the account does not say.
const REPLY: Duration = Duration::from_secs(30);

/// How many messages may end in one write. The conversation is the host's own, and sends one letter at most.
const LETTERS_MAX: u64 = 1;

/// The host's connection, as the conversation uses it.
pub(super) struct HostWire {
    link: HostConnection,
    transport: TransportGrant,
    security: Security,
    patience: Duration,
}

/// Why the connection did not do as asked.
pub(super) enum WireTrouble {
    TimedOut,
    Connection(ConnectionError),
}

impl std::fmt::Display for WireTrouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TimedOut => f.write_str("nothing came"),
            Self::Connection(error) => write!(f, "{error}"),
        }
    }
}

impl HostWire {
    /// `patience` is for each reply, where the account says.
    pub(super) fn new(
        link: HostConnection,
        transport: TransportGrant,
        security: Security,
        patience: Option<Duration>,
    ) -> Self {
        Self {
            link,
            transport,
            security,
            patience: patience.unwrap_or(REPLY),
        }
    }

    pub(super) fn link(&self) -> &HostConnection {
        &self.link
    }

    pub(super) fn address(&self) -> &Endpoint {
        self.transport.route.endpoint()
    }

    /// Whether TLS comes after STARTTLS, if it comes.
    pub(super) fn begins_in_clear(&self) -> bool {
        self.security == Security::StartTls
    }

    async fn within<T>(
        patience: Duration,
        act: impl Future<Output = Result<T, ConnectionError>>,
    ) -> Result<T, WireTrouble> {
        match tokio::time::timeout(patience, act).await {
            Ok(result) => result.map_err(WireTrouble::Connection),
            Err(_) => Err(WireTrouble::TimedOut),
        }
    }
}

impl Connection for HostWire {
    type Error = WireTrouble;

    async fn read(&mut self) -> Result<Vec<u8>, WireTrouble> {
        const MOST: u32 = 64 * 1024;
        self.link.set_deadline(Instant::now() + self.patience);
        Self::within(self.patience, self.link.read(MOST)).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), WireTrouble> {
        Self::within(self.patience, self.link.write(bytes, LETTERS_MAX)).await
    }

    async fn start_tls(&mut self) -> Result<(), WireTrouble> {
        Self::within(self.patience, self.link.start_tls()).await
    }

    async fn sign_in(&mut self, mechanism: &str) -> Result<(Vec<u8>, Option<String>), WireTrouble> {
        let patience = self.patience.max(REPLY) * 2;
        match Self::within(patience, self.link.sign_in(mechanism)).await {
            Ok(reply) => Ok((reply.text, reply.mechanism)),
            // The server was not asked for anything yet.
            Err(WireTrouble::TimedOut) if let Some(why) = self.link.why_held_up() => {
                Err(WireTrouble::Connection(ConnectionError::TokenUnavailable(why)))
            }
            Err(trouble) => Err(trouble),
        }
    }
}
