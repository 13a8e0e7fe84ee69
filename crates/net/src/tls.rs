//! TLS: which certificates are trusted, which versions are used, and what a failed handshake means to a person.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use pipepost_accounts::{ClientIdentity, TlsSettings, TlsVersion};
use pipepost_core::Endpoint;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) use crate::client_auth::ClientAuth;
use crate::client_auth::{self, CertificateRequests};
use crate::handshake_trouble;
use crate::trust::{Trust, system_roots};

/// The reason why TLS could not be started. Each is a whole sentence.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The host's name cannot be in a certificate.
    #[error("`{0}` is no name that a certificate could be issued for.")]
    Name(String),
    /// The server's certificate cannot be trusted for this host.
    #[error("{0}")]
    Certificate(String),
    /// The server demands a client certificate, or does not take the account's.
    #[error("{0}")]
    ClientCertificate(String),
    /// The handshake failed.
    #[error("{0}")]
    Handshake(String),
    /// The connection was lost before the handshake was complete, which says nothing about the TLS of either side.
    #[error("{0}")]
    Lost(String),
}

impl TlsError {
    /// Returns it with its text put through `change`.
    pub(crate) fn with_text(self, change: impl FnOnce(&str) -> String) -> Self {
        match self {
            Self::Name(text) => Self::Name(change(&text)),
            Self::Certificate(text) => Self::Certificate(change(&text)),
            Self::ClientCertificate(text) => Self::ClientCertificate(change(&text)),
            Self::Handshake(text) => Self::Handshake(change(&text)),
            Self::Lost(text) => Self::Lost(change(&text)),
        }
    }

    /// Checks whether the other side spoke TLS and the problem is its certificate.
    pub fn is_about_the_certificate(&self) -> bool {
        matches!(self, Self::Certificate(_))
    }

    /// Checks whether another try may succeed, with nothing changed on either side.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Lost(_))
    }
}

/// What a handshake showed.
#[derive(Debug, Clone)]
pub struct TlsFacts {
    /// The server's certificate; it was checked.
    pub certificate: Option<CertificateDer<'static>>,
    /// The name of the cipher suite.
    pub cipher: Option<&'static str>,
}

impl TlsFacts {
    pub(crate) fn of(connection: &rustls::ClientConnection) -> Self {
        let certificates = connection.peer_certificates().unwrap_or_default();
        Self {
            certificate: certificates.first().cloned(),
            cipher: connection
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str()),
        }
    }
}

/// Makes client configurations, one for each settings, so that sessions resume between connections.
#[derive(Debug, Default)]
pub(crate) struct TlsConfigs {
    made: Mutex<HashMap<Key, Arc<ClientConfig>>>,
}

/// The versions, the account's authorities, and which client's identity is shown.
type Key = (TlsVersion, TlsVersion, Vec<CertificateDer<'static>>, Option<[u8; 32]>);

impl TlsConfigs {
    fn get(&self, settings: &TlsSettings, identity: Option<ClientIdentity>) -> Result<Arc<ClientConfig>, TlsError> {
        let mut made = self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let fingerprint = identity.as_ref().map(ClientIdentity::fingerprint);
        let key = (settings.min, settings.max, settings.ca.clone(), fingerprint);
        if let Some(config) = made.get(&key) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(client_config(settings, identity)?);
        made.insert(key, Arc::clone(&config));
        Ok(config)
    }

    /// Shakes hands with the server, whose certificate must be valid for the endpoint's own name. `identity` is shown to a
    /// server that asks for the client's. Returns also whether the server asked.
    ///
    /// # Errors
    /// A [`TlsError`].
    pub(crate) async fn handshake(
        &self,
        stream: TcpStream,
        address: &Endpoint,
        settings: &TlsSettings,
        identity: Option<ClientIdentity>,
    ) -> Result<(TlsStream<TcpStream>, ClientAuth), TlsError> {
        let mut config = ClientConfig::clone(&*self.get(settings, identity)?);
        let requests = CertificateRequests::of(&mut config);
        let bare = address.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare).map_err(|_| TlsError::Name(address.host.clone()))?;
        match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
            Ok(stream) => Ok((stream, requests.client_auth())),
            Err(error) => Err(requests
                .client_auth()
                .explain(&error, address)
                .unwrap_or_else(|| handshake_trouble::explain(&error, address))),
        }
    }
}

/// Makes the client's side of TLS for a database of the operator's: its name is verified, by these authorities, or by the
/// system's where none are named.
pub fn tls_to_a_database(authorities: &[CertificateDer<'static>]) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = system_roots().clone();
    if !authorities.is_empty() {
        roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities.iter().cloned());
    }
    let versions: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
    // Both are versions of this provider's.
    let builder = builder.unwrap_or_else(|error| unreachable!("{error}"));
    builder.with_root_certificates(roots).with_no_client_auth()
}

fn client_config(settings: &TlsSettings, identity: Option<ClientIdentity>) -> Result<ClientConfig, TlsError> {
    let versions: &[&rustls::SupportedProtocolVersion] = match (settings.min, settings.max) {
        (TlsVersion::V1_3, _) => &[&rustls::version::TLS13],
        (_, TlsVersion::V1_2) => &[&rustls::version::TLS12],
        _ => &[&rustls::version::TLS13, &rustls::version::TLS12],
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trust = Arc::new(Trust::new(&settings.ca, Arc::clone(&provider)));
    let key_provider = Arc::clone(&provider);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|_| TlsError::Handshake("No version of TLS is left that the account allows.".to_owned()))?
        // Not a weaker one: it asks rustls's own twice at most.
        .dangerous()
        .with_custom_certificate_verifier(trust);
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(client_auth::resolver(identity, &key_provider)?),
        None => builder.with_no_client_auth(),
    };
    // A replayed early flight could be a replayed message.
    config.enable_early_data = false;
    Ok(config)
}
