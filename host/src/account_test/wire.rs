//! The host's connection, as the conversation of the test uses it.

use std::time::Duration;

use pipepost_accounts::Security;
use pipepost_core::Endpoint;
use pipepost_net::{Connection as HostConnection, ConnectionError, TransportGrant};
use pipepost_probe::Connection;

/// How long a server has for its greeting before it is asked whether it speaks TLS there.
const SHY: Duration = Duration::from_secs(3);

/// How long each further reply may take, when the account does not say.
const REPLY: Duration = Duration::from_secs(30);

/// The host's connection, as the conversation uses it.
pub(super) struct HostWire {
    link: HostConnection,
    transport: TransportGrant,
    security: Security,
    greeted: bool,
    patience: Duration,
}

/// Why the connection did not do as asked.
pub(super) enum WireTrouble {
    /// It waits for TLS.
    TlsPort,
    TimedOut,
    Connection(ConnectionError),
}

impl std::fmt::Display for WireTrouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TlsPort => f.write_str("it waits for TLS"),
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
            greeted: false,
            patience: patience.unwrap_or(REPLY),
        }
    }

    pub(super) fn link(&self) -> &HostConnection {
        &self.link
    }

    pub(super) fn address(&self) -> &Endpoint {
        self.transport.route.endpoint()
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
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

    /// Whether the same port answers a TLS handshake.
    async fn speaks_tls(&self) -> bool {
        let mut unwatched = |_| ();
        let opened = HostConnection::open_watched(&self.transport, Security::Tls, &mut unwatched);
        match tokio::time::timeout(SHY, opened).await {
            // A certificate that is not trusted is TLS all the same.
            Ok(Ok(_)) => true,
            Ok(Err(ConnectionError::Tls(error))) => error.is_about_the_certificate(),
            _ => false,
        }
    }
}

impl Connection for HostWire {
    type Error = WireTrouble;

    async fn read(&mut self) -> Result<Vec<u8>, WireTrouble> {
        const MOST: u32 = 64 * 1024;
        if !self.greeted && self.security != Security::Tls {
            match Self::within(SHY, self.link.read(MOST)).await {
                Err(WireTrouble::TimedOut) if self.speaks_tls().await => return Err(WireTrouble::TlsPort),
                Err(WireTrouble::TimedOut) => {}
                result => {
                    self.greeted = true;
                    return result;
                }
            }
        }
        let result = Self::within(self.patience, self.link.read(MOST)).await;
        self.greeted = true;
        result
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), WireTrouble> {
        Self::within(self.patience, self.link.write(bytes, 0)).await
    }

    async fn start_tls(&mut self) -> Result<(), WireTrouble> {
        Self::within(self.patience, self.link.start_tls()).await
    }

    async fn sign_in(&mut self, mechanism: &str) -> Result<(Vec<u8>, Option<String>), WireTrouble> {
        let patience = self.patience.max(REPLY) * 2;
        let reply = Self::within(patience, self.link.sign_in(mechanism)).await?;
        Ok((reply.text, reply.mechanism))
    }
}
