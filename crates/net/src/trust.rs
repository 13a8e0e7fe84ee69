//! Which authorities are trusted: those that the account names, and the system's.
//!
//! The system has about a hundred and fifty, often in one file and again in a directory of small ones. Reading all of
//! them takes longer than everything else that a process does before its first message. So a certificate is checked
//! against the account's own authorities first, then against the one file; only when neither accepts it are all
//! authorities read. The result is the same as with all of them together: each step's authorities are among those of
//! the last step, and the last step decides every refusal.
//!
//! A server may also show one of the account's own certificates itself, as Proton Bridge does, and whoever ran
//! `openssl req -x509`. Then the operator has pinned this very certificate, and it is accepted whatever it says of being
//! an authority, and for whatever name it was issued; it has to be within its period of validity. That gives nobody a new
//! way in: whoever has its private key could as well sign, as the authority that the account trusts, a certificate for the
//! account's host. That the server has the private key is verified as always.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::certificate;

/// Where systems keep their authorities in one file.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

/// Judges servers' certificates.
#[derive(Debug)]
pub(crate) struct Trust {
    authorities: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    /// The verifier with only the account's own authorities; `None` when it names none.
    own: Option<Arc<WebPkiServerVerifier>>,
    /// The verifier with the system's one file; `None` where there is no such file.
    bundle: OnceLock<Option<Arc<WebPkiServerVerifier>>>,
    /// Of the account's and all of the system's.
    all: OnceLock<Result<Arc<WebPkiServerVerifier>, Error>>,
}

impl Trust {
    pub(crate) fn new(authorities: &[CertificateDer<'static>], provider: Arc<CryptoProvider>) -> Self {
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
            bundle: OnceLock::new(),
            all: OnceLock::new(),
        }
    }

    fn bundle(&self) -> Option<&Arc<WebPkiServerVerifier>> {
        let made = || verifier(bundled_roots()?.clone(), &self.provider).ok();
        self.bundle.get_or_init(made).as_ref()
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
        if self.authorities.iter().any(|pinned| pinned == end_entity) {
            certificate::check_period(end_entity, now)?;
            return Ok(ServerCertVerified::assertion());
        }
        let verify = |by: &WebPkiServerVerifier| by.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        let trusted = self.own.as_ref().and_then(|own| verify(own).ok());
        if let Some(verified) = trusted.or_else(|| verify(self.bundle()?).ok()) {
            return Ok(verified);
        }
        verify(self.all()?)
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

/// Returns the roots of the system's one file, read once. `None` where there is no such file, or the environment names
/// others.
fn bundled_roots() -> Option<&'static RootCertStore> {
    static ROOTS: OnceLock<Option<RootCertStore>> = OnceLock::new();
    ROOTS
        .get_or_init(|| {
            let chosen = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(std::env::var_os);
            if chosen.iter().any(Option::is_some) {
                return None;
            }
            BUNDLES.iter().find_map(|bundle| {
                let found = rustls_native_certs::load_certs_from_paths(Some(bundle.as_ref()), None);
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(found.certs);
                (!roots.is_empty()).then_some(roots)
            })
        })
        .as_ref()
}

/// The system's roots, read once; the built-in set of Mozilla's where a machine has none (a bare container).
pub(crate) fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in found.errors {
            tracing::debug!(%error, "some of the system's certificates could not be read");
        }
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            tracing::info!("this machine has no trusted certificates: the built-in set is used");
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        roots
    })
}
