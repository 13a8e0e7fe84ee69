//! Who is trusted: the authorities that the account names, and the system's.
//!
//! The system has some hundred and fifty, and reading them takes longer than everything else that a process does before
//! its first message. So a certificate is held against the account's own authorities first, and only what those do not
//! answer for makes the system's be read. What is trusted in the end is the same as with all of them together: the
//! account's are among those that have the last word.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Where systems keep all their authorities in one file. The directories beside them hold the same ones again.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

/// Judges servers' certificates.
#[derive(Debug)]
pub(super) struct Trust {
    authorities: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    /// Of the account's authorities alone; none when it names none.
    own: Option<Arc<WebPkiServerVerifier>>,
    /// Of those and the system's.
    all: OnceLock<Result<Arc<WebPkiServerVerifier>, Error>>,
}

impl Trust {
    pub(super) fn new(authorities: &[CertificateDer<'static>], provider: Arc<CryptoProvider>) -> Self {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            // They were read and judged with the account; one that is no root at all adds nothing.
            if let Err(error) = roots.add(authority.clone()) {
                tracing::warn!(%error, "a certificate of the account's `ca_file` cannot be trusted");
            }
        }
        let own = (!roots.is_empty()).then(|| verifier(roots, &provider).ok()).flatten();
        Self {
            authorities: authorities.to_vec(),
            provider,
            own,
            all: OnceLock::new(),
        }
    }

    fn all(&self) -> Result<&WebPkiServerVerifier, Error> {
        let all = self.all.get_or_init(|| {
            let mut roots = system_roots().clone();
            roots.add_parsable_certificates(self.authorities.iter().cloned());
            verifier(roots, &self.provider)
        });
        all.as_deref().map_err(Clone::clone)
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(own) = &self.own
            && let Ok(verified) = own.verify_server_cert(end_entity, intermediates, name, ocsp, now)
        {
            return Ok(verified);
        }
        self.all()?
            .verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn verifier(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, Error> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| Error::General(error.to_string()))
}

/// The system's roots, read once; the built-in set of Mozilla's where a machine has none (a bare container).
fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(system_certificates());
        if roots.is_empty() {
            tracing::info!("this machine has no trusted certificates: the built-in set is used");
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        roots
    })
}

fn system_certificates() -> Vec<CertificateDer<'static>> {
    let chosen = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(std::env::var_os);
    if cfg!(target_os = "linux") && chosen.iter().all(Option::is_none) {
        for bundle in BUNDLES {
            let found = rustls_native_certs::load_certs_from_paths(Some(bundle.as_ref()), None);
            if !found.certs.is_empty() {
                return found.certs;
            }
        }
    }
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::debug!(%error, "some of the system's certificates could not be read");
    }
    found.certs
}
