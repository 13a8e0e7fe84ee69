//! The client's certificate in the TLS handshake: whether the server asked for it, and what its refusal means.
//!
//! A server that demands a certificate and gets none, or refuses the one it got, says so with an alert. In TLS 1.2 the
//! alert ends the handshake (RFC 5246, section 7.4.6). In TLS 1.3 the client's handshake is over by then, and the alert
//! comes in the place of the server's first words (RFC 8446, section 4.4.2.4). The alerts are the same that stand for
//! other failures, so they are read with what is known: whether the server asked, and whether there was an answer.
//!
//! Some servers close the connection in the alert's place. After an asked-for certificate that was not shown, that is taken
//! for the same demand. After one that was shown it is not: a connection may be lost at any time, and another try may help.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pipepost_accounts::ClientIdentity;
use pipepost_core::Endpoint;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, ClientConfig, SignatureScheme};

use crate::certificate;
use crate::tls::TlsError;

/// Whether a server asked for the client's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    #[default]
    NotAsked,
    /// It asked, and the account names none.
    Nothing,
    /// It asked, and the account's cannot be used with the signatures that it takes.
    Unfit,
    /// It asked, and got the account's.
    Shown,
}

impl ClientAuth {
    /// Whether the server asked.
    pub(crate) fn was_asked(self) -> bool {
        self != Self::NotAsked
    }

    /// What an error means, where it is the server's word on the client's certificate.
    pub(crate) fn explain(self, error: &io::Error, address: &Endpoint) -> Option<TlsError> {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let Some(rustls::Error::AlertReceived(alert)) = inner else {
            return self.explain_end(inner.is_none() && is_end(error), address);
        };
        let sentence = match (self, reason(*alert)?) {
            (Self::NotAsked, _) if *alert != AlertDescription::CertificateRequired => return None,
            (Self::NotAsked | Self::Nothing, _) => format!(
                "{address} demands a client certificate, and the account names none. Write \"client_certificate\" and \"client_key\" into the account, as the server's operator issued them."
            ),
            (Self::Unfit, _) => format!(
                "{address} demands a client certificate, and takes no signature that the account's key can make. Ask the server's operator for a certificate with another kind of key."
            ),
            (Self::Shown, reason) => format!(
                "{address} does not take the account's client certificate: {reason}. Name another in \"client_certificate\", or ask the server's operator to trust this one."
            ),
        };
        Some(TlsError::ClientCertificate(sentence))
    }

    /// What the end of the connection means in the place of the handshake's last word, or of the server's first one.
    pub(crate) fn explain_end(self, is_end: bool, address: &Endpoint) -> Option<TlsError> {
        let which = match self {
            Self::Nothing => {
                "and the account names none. Write \"client_certificate\" and \"client_key\" into the account, as the server's operator issued them."
            }
            Self::Unfit => {
                "and takes no signature that the account's key can make. Ask the server's operator for a certificate with another kind of key."
            }
            Self::NotAsked | Self::Shown => return None,
        };
        is_end.then(|| {
            TlsError::ClientCertificate(format!(
                "{address} closed the connection after it had asked for a client certificate: it demands one, {which}"
            ))
        })
    }
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe
    )
}

/// What an alert says of a certificate, as a clause; none for one that does not speak of certificates. Servers send
/// `handshake_failure` in TLS 1.2 for a certificate that is missing, and some send it for everything.
fn reason(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::UnknownCA => "it does not trust the authority that issued it",
        AlertDescription::CertificateExpired => "it has expired, or is not valid yet",
        AlertDescription::CertificateRevoked => "it has been revoked",
        AlertDescription::UnsupportedCertificate => "it is not for the use of clients, or of an unsupported kind",
        AlertDescription::AccessDenied => "it is not allowed there",
        AlertDescription::DecryptError => "its signature could not be verified",
        AlertDescription::CertificateRequired
        | AlertDescription::NoCertificate
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::HandshakeFailure => "the server does not say why",
        _ => return None,
    })
}

/// Makes the certificate and its key ready for handshakes.
///
/// That the two belong together is compared here, by the public key: rustls would parse the certificate as a server's, and
/// refuse the first version of X.509, which authorities still issue to clients (`openssl x509 -req` does).
///
/// # Errors
/// When they do not belong together, or the key is of a kind that TLS cannot use.
pub(crate) fn resolver(
    identity: ClientIdentity,
    provider: &CryptoProvider,
) -> Result<Arc<dyn ResolvesClientCert>, TlsError> {
    let ClientIdentity { chain, key, .. } = identity;
    let unusable =
        |why: &str| TlsError::ClientCertificate(format!("The account's client certificate cannot be shown: {why}."));
    let key = provider.key_provider.load_private_key(key).map_err(|_| {
        unusable("`client_key` is of a kind that TLS cannot use; use an RSA key of 2048 bits or more, an ECDSA key on P-256 or P-384, or an Ed25519 key")
    })?;
    let certified = chain.first().and_then(|first| certificate::public_key(first));
    let certified = certified
        .ok_or_else(|| unusable("`client_certificate` is not a certificate that can be read; export it anew"))?;
    if key.public_key().is_some_and(|own| own.as_ref() != certified) {
        return Err(unusable(
            "`client_key` is not the key of the first certificate in `client_certificate`; name the two that belong together",
        ));
    }
    Ok(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key))))
}

/// Notes whether the server of one handshake asks for the client's certificate.
#[derive(Debug)]
pub(crate) struct CertificateRequests {
    inner: Arc<dyn ResolvesClientCert>,
    asked: AtomicBool,
    shown: AtomicBool,
}

impl CertificateRequests {
    /// Puts itself before the certificates of a configuration, which is for one handshake from then on.
    pub(crate) fn of(config: &mut ClientConfig) -> Arc<Self> {
        let requests = Arc::new(Self {
            inner: Arc::clone(&config.client_auth_cert_resolver),
            asked: AtomicBool::new(false),
            shown: AtomicBool::new(false),
        });
        config.client_auth_cert_resolver = Arc::clone(&requests) as Arc<dyn ResolvesClientCert>;
        requests
    }

    /// Returns what was seen so far.
    pub(crate) fn client_auth(&self) -> ClientAuth {
        match (self.asked.load(Ordering::Relaxed), self.shown.load(Ordering::Relaxed)) {
            (false, _) => ClientAuth::NotAsked,
            (true, true) => ClientAuth::Shown,
            (true, false) if self.inner.has_certs() => ClientAuth::Unfit,
            (true, false) => ClientAuth::Nothing,
        }
    }
}

impl ResolvesClientCert for CertificateRequests {
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        let found = self.inner.resolve(authorities, schemes);
        let fits = found
            .as_ref()
            .is_some_and(|found| found.key.choose_scheme(schemes).is_some());
        self.shown.store(fits, Ordering::Relaxed);
        found
    }

    fn has_certs(&self) -> bool {
        self.inner.has_certs()
    }
}

#[cfg(test)]
mod tests;
