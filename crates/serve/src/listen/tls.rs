//! The certificate of a listener.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{DEFAULT_VERSIONS, ServerConfig};

use super::ListenError;

/// Reads a certificate with its key. Both are PEM; the key belongs to the first certificate.
pub(super) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, ListenError> {
    let wrong = |path: &Path, reason: String| ListenError::Certificate {
        path: path.to_owned(),
        reason,
    };
    let of_certificate =
        |error: &dyn std::fmt::Display| wrong(certificate, format!("the certificate cannot be read: {error}"));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .map_err(|error| of_certificate(&error))?
        .collect::<Result<_, _>>()
        .map_err(|error| of_certificate(&error))?;
    if chain.is_empty() {
        return Err(wrong(certificate, "the file holds no certificate in PEM".to_owned()));
    }
    // The error's text could hold a line of the key; its kind cannot.
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        let reason = match error {
            tokio_rustls::rustls::pki_types::pem::Error::Io(error) => format!("the key cannot be read: {error}"),
            _ => "the file holds no private key in PEM".to_owned(),
        };
        wrong(key, reason)
    })?;
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(DEFAULT_VERSIONS)
        .map_err(|error| of_certificate(&error))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| wrong(key, format!("the key cannot be used with the certificate: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
